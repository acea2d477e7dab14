package jobs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestJitterIsPinned(t *testing.T) {
	tick := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		jitter time.Duration
		tick   time.Time
		want   string
	}{
		{"report", 0, tick, "0s"},
		{"report", time.Nanosecond, tick, "0s"},
		{"report", time.Millisecond, tick, "0s"},
		{"report", 5 * time.Minute, tick, "13.414s"},
		{"report", 5 * time.Minute, tick.Add(time.Second), "1m38.868s"},
		{"report", 24 * time.Hour, tick.AddDate(0, 0, 1), "4h33m26.066s"},
		{"nightly-backup", 5 * time.Minute, tick, "4m2.988s"},
		{"", 5 * time.Minute, tick, "3m32.858s"},
		{"nightly-backup", 5 * time.Minute, time.Unix(-1, 0), "29.233s"},
	} {
		j := &Job{Name: c.name, Jitter: c.jitter}
		assert.Equal(t, c.want, j.Starts(c.tick).Sub(c.tick).String(), "%s %s %s", c.name, c.jitter, c.tick)
	}
}

func TestJitterIsUniform(t *testing.T) {
	const buckets = 300
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, apart := range []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
		j := &Job{Name: "report", Jitter: buckets * time.Second}
		counts := make([]int, buckets)
		for n := range 100_000 {
			tick := start.Add(time.Duration(n) * apart)
			late := j.Starts(tick).Sub(tick)
			if late < 0 || late >= j.Jitter || late%time.Millisecond != 0 {
				t.Fatalf("%s starts %s late", tick, late)
			}
			counts[late/time.Second]++
		}
		requireUniform(t, counts)
	}
	counts := make([]int, buckets) // jobs that share a tick
	for n := range 100_000 {
		j := &Job{Name: fmt.Sprintf("job-%d", n), Jitter: buckets * time.Second}
		counts[j.Starts(start).Sub(start)/time.Second]++
	}
	requireUniform(t, counts)
	j := &Job{Name: "report", Jitter: time.Minute}
	assert.Zero(t, testing.AllocsPerRun(100, func() { j.Starts(start) }))
}

// jittered is a job with those expressions and instants.
func jittered(t require.TestingT, zone, exprs, at string, o SpecOptions) *Job {
	loc, err := LoadZone(zone)
	require.NoError(t, err)
	o.Location = loc
	j := &Job{Name: "a-job", Location: loc}
	for expr := range strings.SplitSeq(exprs, "; ") {
		if expr == "" {
			continue
		}
		s, err := NewSpec(expr, o)
		require.NoError(t, err, expr)
		j.Specs = append(j.Specs, s)
	}
	for text := range strings.FieldsSeq(at) {
		instant, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		j.At = append(j.At, instant.UTC())
	}
	return j
}

// The most that a job may have is a nanosecond less than the time between two ticks.
func TestJitterIsLessThanTheTimeBetweenTicks(t *testing.T) {
	const newYork, lordHowe = "America/New_York", "Australia/Lord_Howe"
	for _, c := range []struct {
		zone, exprs, at string
		o               SpecOptions
		shortest        time.Duration
	}{
		{"UTC", "* * * * *", "", SpecOptions{}, time.Minute},
		{"UTC", "* * * * * *", "", SpecOptions{}, time.Second},
		{"UTC", "*/7 * * * *", "", SpecOptions{}, 4 * time.Minute},
		{"UTC", "0 2 * * *", "", SpecOptions{}, 24 * time.Hour},
		{"UTC", "0 2 * * MON,WED", "", SpecOptions{}, 48 * time.Hour},
		{"UTC", "0 0 1 * *", "", SpecOptions{}, 28 * 24 * time.Hour},
		{"UTC", "0 23,1 * * *", "", SpecOptions{}, 2 * time.Hour},
		{"UTC", "0 23,1 1 * *", "", SpecOptions{}, 22 * time.Hour},
		{"UTC", "0 2 * * *; 10 2 * * *", "", SpecOptions{}, 10 * time.Minute},
		{"UTC", "0 2 1 * *; 10 2 2 * *", "", SpecOptions{}, 24*time.Hour + 10*time.Minute},
		{"UTC", "@every 90s", "", SpecOptions{}, 90 * time.Second},
		{"UTC", "@every 1h; 20 * * * *", "", SpecOptions{}, 20 * time.Minute},
		{"UTC", "@every 1h offset 10m; 50 * * * *", "", SpecOptions{}, 20 * time.Minute},
		{"UTC", "0 2 * * *", "2027-01-01T02:00:00Z", SpecOptions{}, 24 * time.Hour},
		{"UTC", "0 2 * * *", "2027-01-01T02:00:05Z 2027-01-01T02:00:08Z", SpecOptions{}, 3 * time.Second},
		{"UTC", "0 2 * * *", "2027-01-01T01:59:48Z", SpecOptions{}, 12 * time.Second},
		{"UTC", "", "2027-01-01T02:00:00Z 2027-01-01T03:00:00Z", SpecOptions{}, time.Hour},
		{"UTC", "0 9 * * *; 0 9 * * FRI,SAT", "", SpecOptions{Exclude: []*Calendar{weekend}}, 24 * time.Hour},

		{newYork, "* * * * *", "", SpecOptions{}, time.Minute},
		{newYork, "*/5 * * * *", "", SpecOptions{}, 5 * time.Minute},
		{newYork, "5 4,16 * * *", "", SpecOptions{}, 11 * time.Hour},
		{newYork, "0 2 * * *", "", SpecOptions{}, 23 * time.Hour},
		{newYork, "30 2 * * *", "", SpecOptions{}, 23*time.Hour + 30*time.Minute},
		{newYork, "30 1,3 * * *", "", SpecOptions{}, time.Hour},
		{newYork, "30 2 * * *; 10 3 * * *", "", SpecOptions{}, 10 * time.Minute},
		{newYork, "30 2 * * *; 10 3 * * *", "", SpecOptions{DST: DST{Gap: DSTSkip}}, 40 * time.Minute},
		{newYork, "5,55 1 * * *", "", SpecOptions{}, 50 * time.Minute},
		{newYork, "5,55 1 * * *", "", SpecOptions{DST: DST{Overlap: DSTTwice}}, 10 * time.Minute},
		{newYork, "55 1 * * *", "", SpecOptions{DST: DST{Overlap: DSTTwice}}, time.Hour},
		{newYork, "50 1,2 * * *; 5 3 * * *", "", SpecOptions{DST: DST{Gap: DSTSkip}}, 15 * time.Minute},
		{newYork, "0 0 * * *; @every 24h", "", SpecOptions{}, 4 * time.Hour},
		{lordHowe, "45 1 * * *; 10 2 * * *", "", SpecOptions{}, 15 * time.Minute},
		{lordHowe, "45 1 * * *; 10 2 * * *; 35 2 * * *", "", SpecOptions{}, 5 * time.Minute},
		{lordHowe, "30 * * * *", "", SpecOptions{}, 30 * time.Minute},
	} {
		j := jittered(t, c.zone, c.exprs, c.at, c.o)
		for _, d := range []time.Duration{1, time.Millisecond, c.shortest / 3, c.shortest - 1} {
			j.Jitter = d
			assert.NoError(t, checkJitter(j), "%s with %s in %s: %s", c.exprs, c.at, c.zone, d)
		}
		for _, d := range []time.Duration{c.shortest, c.shortest + 1} {
			j.Jitter = d
			assert.ErrorContains(t, checkJitter(j), "expected less than "+DurationText(c.shortest)+", the time between the ticks ", "%s with %s in %s: %s", c.exprs, c.at, c.zone, d)
		}
	}
	assert.NoError(t, checkJitter(&Job{Jitter: time.Hour}), "nothing to delay")
	assert.EqualError(t, checkJitter(&Job{Specs: []*Spec{parse(t, "30 2 * * *", zoneNamed(t, newYork)), parse(t, "10 3 * * *", zoneNamed(t, newYork))}, Jitter: 15 * time.Minute}),
		"jitter 15m: expected less than 10m, the time between the ticks 2025-03-09T03:00:00-04:00 and 2025-03-09T03:10:00-04:00")
}

// What the quick look lets pass is right: no two ticks are nearer, wherever one
// looks.
func TestTheQuickLookAtJitterIsRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := SpecOptions{DST: rapid.SampledFrom(everyDST).Draw(t, "dst"), Name: "a-job"}
		loc, at := drawTransition(t)
		if at < jitterSince {
			return
		}
		var exprs []string
		for range rapid.IntRange(1, 2).Draw(t, "expressions") {
			minute, hour := drawField(t, "minute", 0, 59, ""), drawField(t, "hour", 0, 23, "")
			if rapid.Bool().Draw(t, "few") {
				minute, hour = fmt.Sprint(rapid.IntRange(0, 59).Draw(t, "m")), rapid.SampledFrom([]string{"1", "2", "0,12", "1,3", "3/4"}).Draw(t, "h")
			}
			exprs = append(exprs, minute+" "+hour+" * * *")
		}
		j := jittered(t, loc.String(), strings.Join(exprs, "; "), "", o)
		least := shortestAligned(j.Specs)
		if len(j.Specs) == 1 {
			least = max(least, j.Specs[0].shortestByDay(0))
		}
		p := pair{job: j, most: least - 1}
		if first, ok := p.nextTick(at - 3*daySeconds); ok {
			p.follow(first, at+3*daySeconds, 10_000)
		}
		require.Zero(t, p.first, "%v in %s: %s and %s are nearer than %d seconds", exprs, loc, time.Unix(p.first, 0).In(loc), time.Unix(p.second, 0).In(loc), least)
	})
}

func BenchmarkCheckJitter(b *testing.B) {
	for _, exprs := range []string{"0 2 * * *", "30 2 * * *", "*/5 * * * *", "0 9-17 * * MON-FRI", "5 4,16 * * *", "30 2 * * *; 10 3 * * *"} {
		b.Run(exprs, func(b *testing.B) {
			j := jittered(b, "America/New_York", exprs, "", SpecOptions{})
			j.Jitter = 4 * time.Minute
			for b.Loop() {
				if err := checkJitter(j); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
