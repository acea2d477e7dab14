package forecast

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/jobs"
)

// sunday is a Sunday at noon, five weeks after the clocks of Europe changed.
var sunday = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func parseJobs(t require.TestingT, text string) []*jobs.Job {
	s, err := jobs.Parse("schedule.yaml", []byte("timezone: Europe/Berlin\njobs:\n"+text))
	require.NoError(t, err, text)
	return s.Jobs
}

// anySchedule draws a few jobs of all kinds.
func anySchedule(t *rapid.T) []*jobs.Job {
	exprs := []string{
		"* * * * *", "*/5 * * * *", "0 * * * *", "30 2 * * *", "15,45 9-17 * * MON-FRI", "@daily", "@every 7s", "@every 90s", "@every 5h",
		"*/20 * * * * *", "H * * * *", "0 0 L * *", "H/15 2-4 * * *", "0 3 * * SUN",
	}
	var b strings.Builder
	for i := range rapid.IntRange(1, 8).Draw(t, "jobs") {
		fmt.Fprintf(&b, "  j%d: {run: x, schedule: %q", i, rapid.SampledFrom(exprs).Draw(t, "expr"))
		if rapid.Bool().Draw(t, "jitter") {
			fmt.Fprintf(&b, ", jitter: %s", rapid.SampledFrom([]string{"500ms", "6s"}).Draw(t, "by"))
		}
		b.WriteString("}\n")
	}
	return parseJobs(t, b.String())
}

func TestDensityIsTheNumberOfStarts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := anySchedule(t)
		from := sunday.Add(time.Duration(rapid.IntRange(-60*24*40, 60*24*180).Draw(t, "from")) * time.Minute)
		n := rapid.IntRange(1, 3000).Draw(t, "minutes")
		d := NewDensity(list, from, n)
		want := make([]int, n)
		starts := 0
		for _, j := range list {
			for at := from.Add(-time.Minute); ; {
				tick, ok := j.Next(at)
				if !ok || !tick.Before(d.At(n)) {
					break
				}
				if s := j.Starts(tick); !s.Before(from) && s.Before(d.At(n)) {
					want[int(s.Sub(from)/time.Minute)]++
					starts++
				}
				at = tick
			}
		}
		require.Equal(t, want, d.Minutes)
		require.Equal(t, starts, d.Starts)
		sum := 0
		for _, h := range d.Hours(list[0].Zone()) {
			sum += h.Starts
		}
		require.Equal(t, starts, sum, "in hours")
		minute, peak := d.Peak()
		in := 0
		for range d.In(minute) {
			in++
		}
		if peak > 0 {
			require.Positive(t, in)
			require.LessOrEqual(t, in, peak)
		}
	})
}

// TestTicksOfAreTheMarks holds the two ways of finding ticks against each other.
func TestTicksOfAreTheMarks(t *testing.T) {
	var fewer, all bool
	rapid.Check(t, func(rt *rapid.T) {
		expr := rapid.SampledFrom([]string{
			"* * * * *", "*/30 * * * *", "0 * * * *", "30 2 * * *", "0 9-17 * * MON-FRI", "@every 7s", "@every 59m", "0 0 1 1 *", "*/10 0 3 * * *", "* * 1 * *",
		}).Draw(rt, "expr")
		start := rapid.SampledFrom([]string{"", ", start: 2026-12-20T12:00:30Z"}).Draw(rt, "start") // often from then on
		j := parseJobs(rt, fmt.Sprintf("  j: {run: x, schedule: %q%s}\n", expr, start))[0]
		from := sunday.Add(time.Duration(rapid.IntRange(0, 60*24*30).Draw(rt, "from")) * time.Minute)
		n := rapid.IntRange(1, 60*24*60).Draw(rt, "minutes")
		var d Density
		want := slices.Clone(d.mark(j, from, n))
		got, before := make([]uint64, n), -1
		ticks := d.ticksOf(j, from, n)
		for i, m := range ticks.minutes() {
			require.Greater(rt, i, before, "in the order of time")
			require.NotZero(rt, m)
			got[i], before = m, i
		}
		require.Equal(rt, want, got)
		fewer, all = fewer || len(ticks.few) > 0, all || ticks.all != nil
	})
	assert.True(t, fewer && all, "both ways were taken")
}

// TestOccupiedFewIsOccupied holds the way for few ticks against that for many.
func TestOccupiedFewIsOccupied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "minutes")
		want := make([]uint64, n)
		var few []tickMinute
		for i := range want {
			if rapid.IntRange(0, 3).Draw(t, "some") == 0 {
				want[i] = rapid.Uint64Range(1, minuteMask).Draw(t, "marks")
				few = append(few, tickMinute{i, want[i]})
			}
		}
		seconds := rapid.OneOf(rapid.IntRange(1, 130), rapid.IntRange(1, 5000)).Draw(t, "seconds")
		occupied(want, seconds)
		got, before := make([]uint64, n), -1
		occupiedFew(few, seconds, n, func(minute int, marks uint64) {
			require.Greater(t, minute, before, "each once, in the order of time")
			got[minute], before = marks, minute
		})
		require.Equal(t, want, got)
	})
}

func TestDensityHours(t *testing.T) {
	loc, err := jobs.LoadZone("Europe/Berlin")
	require.NoError(t, err)
	begin := time.Date(2026, 10, 25, 0, 0, 0, 0, loc)
	hours := NewDensity(parseJobs(t, `  a: {run: x, schedule: "* * * * *"}`), begin, 25*60).Hours(loc)
	require.Len(t, hours, 25, "that day has an hour more")
	for _, h := range hours {
		require.Equal(t, 60, h.Starts)
		require.Zero(t, h.Begin.Minute())
	}
	require.Equal(t, 2, hours[2].Begin.Hour())
	require.Equal(t, 2, hours[3].Begin.Hour())

	kathmandu, err := jobs.LoadZone("Asia/Kathmandu") // 5:45 east
	require.NoError(t, err)
	hours = NewDensity(nil, begin, 60).Hours(kathmandu)
	require.Equal(t, []string{"03:45", "04:00"}, []string{hours[0].Begin.Format("15:04"), hours[1].Begin.Format("15:04")})
}

func TestDensityCountsWhatFires(t *testing.T) {
	list := parseJobs(t, `
  hand: {run: x}
  off: {run: x, schedule: "0 * * * *", enabled: false}
  one: {run: x, schedule: "0 * * * *", every_node: true}
  two: {run: x, schedule: ["0 * * * *", "0 0 * * * *", "30 * * * *"]}
`)
	d := NewDensity(list, sunday, 60)
	assert.Equal(t, 3, d.Starts, "two reasons to fire at one instant are one tick")
	assert.Len(t, d.Ticking, 2)
	minute, starts := d.Peak()
	assert.Equal(t, []int{0, 2}, []int{minute, starts})
	assert.Len(t, d.In(0), 2)
	assert.Len(t, d.In(30), 1)
	assert.Empty(t, d.In(1))
}

func TestAdvise(t *testing.T) {
	var b strings.Builder
	for i, expr := range []string{"0 4 * * *", "@daily", "0 4 * * 1", "*/10 * * * *", "*/10 4 * * *", "0 0 4 * * *", "*/5 0 4 * * *", "H 4 * * *", "0,30 4 * * *", "@every 1h"} {
		fmt.Fprintf(&b, "  j%d: {run: x, schedule: %q}\n", i, expr)
	}
	b.WriteString("  jittered: {run: x, jitter: 1m, schedule: \"0 4 * * *\"}\n")
	got := map[string]string{}
	d := NewDensity(parseJobs(t, b.String()), sunday, 7*24*60)
	for _, a := range d.Advise() {
		got[a.Was] = a.Instead
		assert.Equal(t, "04:00", a.Minute.In(d.Ticking[0].Zone()).Format("15:04"))
		assert.GreaterOrEqual(t, a.Starts, a.Usual+crowdedBy)
	}
	assert.Equal(t, map[string]string{"0 4 * * *": "H 4 * * *", "0 4 * * 1": "H 4 * * 1", "*/10 * * * *": "H/10 * * * *", "0 0 4 * * *": "0 H 4 * * *"}, got)

	quiet := parseJobs(t, "  a: {run: x, schedule: \"0 4 * * *\"}\n  b: {run: x, schedule: \"0 4 * * *\"}\n")
	assert.Empty(t, NewDensity(quiet, sunday, 7*24*60).Advise(), "two jobs are no crowd")
	every := ""
	for i := range 20 {
		every += fmt.Sprintf("  j%d: {run: x, schedule: \"* * * * *\"}\n", i)
	}
	assert.Empty(t, NewDensity(parseJobs(t, every+"  a: {run: x, schedule: \"0 4 * * *\"}\n"), sunday, 7*24*60).Advise(), "one more among many")
}

// runningAt counts, second by second, the runs of jobs that have one at a time.
func runningAt(list []*jobs.Job, durations map[string]time.Duration, from time.Time, minutes int) (peak int) {
	count := make([]int, 60*minutes)
	for _, j := range list {
		lasts := durations[j.Name]
		busy := make([]bool, len(count))
		for at := from.Add(-lasts); ; {
			tick, ok := j.Next(at)
			begin := int(tick.Sub(from) / time.Second)
			if !ok || begin >= len(count) {
				break
			}
			for s := max(0, begin); s < min(len(count), begin+int(lasts/time.Second)); s++ {
				busy[s] = true
			}
			at = tick
		}
		for s, b := range busy {
			if b {
				count[s]++
				peak = max(peak, count[s])
			}
		}
	}
	return peak
}

func TestAtOnceIsTheHighestCountOfASecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := anySchedule(t)
		durations := map[string]time.Duration{}
		for _, j := range list {
			durations[j.Name] = time.Duration(rapid.SampledFrom([]int{1, 2, 3, 20, 59, 60, 61, 119, 600, 4000}).Draw(t, "lasts")) * time.Second
		}
		from := sunday.Add(time.Duration(rapid.IntRange(0, 60*24).Draw(t, "from")) * time.Minute)
		n := rapid.IntRange(1, 200).Draw(t, "minutes")
		got := NewDensity(list, from, n).EstimateAtOnce(durations, 0)
		require.Equal(t, runningAt(list, durations, from, n), got.Peak)
		require.Equal(t, len(list), got.Known)
	})
}

func TestAtOnceOfJobsThatOverlap(t *testing.T) {
	for _, c := range []struct {
		job   string
		lasts time.Duration
		nodes int
		want  int
	}{
		{`{run: x, schedule: "* * * * *", overlap: allow}`, 10 * time.Minute, 3, 10},
		{`{run: x, schedule: "* * * * *", overlap: allow, max_running: 4}`, 10 * time.Minute, 3, 4},
		{`{run: x, schedule: "* * * * *", overlap: allow}`, 61 * time.Second, 3, 2},
		{`{run: x, schedule: "* * * * *", overlap: allow}`, 60 * time.Second, 3, 1},
		{`{run: x, schedule: "* * * * *", overlap: allow}`, time.Second, 3, 1},
		{`{run: x, schedule: "@every 1s", overlap: allow}`, 5 * time.Second, 3, 5},
		{`{run: x, schedule: "* * * * *", every_node: true}`, 10 * time.Minute, 3, 3},
		{`{run: x, schedule: "* * * * *", every_node: true}`, 10 * time.Minute, 0, 1},
		{`{run: x, schedule: "* * * * *"}`, 10 * time.Minute, 3, 1},
	} {
		d := NewDensity(parseJobs(t, "  j: "+c.job+"\n"), sunday, 60)
		got := d.EstimateAtOnce(map[string]time.Duration{"j": c.lasts}, c.nodes)
		assert.Equal(t, c.want, got.Peak, "%s for %s", c.job, c.lasts)
		assert.Equal(t, sunday, got.Minute)
	}
}

// BenchmarkDensity counts a week of 10,000 jobs, of whatever density.
func BenchmarkDensity(b *testing.B) {
	for _, expr := range []string{"@every 1s", "* * * * *", "H H * * *"} {
		var text strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&text, "  j%d: {run: x, schedule: %q}\n", i, expr)
		}
		list := parseJobs(b, text.String())
		b.Run(expr, func(b *testing.B) {
			for b.Loop() {
				d := NewDensity(list, sunday, 7*24*60)
				d.Advise()
				d.In(0)
			}
		})
		b.Run("at once "+expr, func(b *testing.B) {
			d := NewDensity(list, sunday, 7*24*60)
			for b.Loop() {
				d.EstimateAtOnce(map[string]time.Duration{"j1": 30 * time.Second}, 3)
			}
		})
	}
}
