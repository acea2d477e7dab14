package scheduler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/jobs"
)

// noon is the now of the tables.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// newJob is an enabled job as the schedule file's defaults make it.
func newJob(t testing.TB, name string, exprs ...string) *jobs.Job {
	t.Helper()
	job := &jobs.Job{
		Name: name, Enabled: true, Overlap: jobs.OverlapSkip, Priority: 5,
		CatchUp: jobs.CatchUp{Policy: jobs.CatchUpLatest, Window: 24 * time.Hour, Max: 100},
		Timing:  strings.Join(exprs, ","),
	}
	for _, expr := range exprs {
		spec, err := jobs.ParseSpec(expr, time.UTC)
		require.NoError(t, err)
		job.Specs = append(job.Specs, spec)
	}
	return job
}

// lines writes decisions as one line each: outcome, tick(s), count, wait, reason.
func lines(ds []jobs.Decision) []string {
	var out []string
	for _, d := range ds {
		s := fmt.Sprintf("%s %s", d.Outcome, d.Tick.Format("02 15:04:05"))
		if !d.Until.Equal(d.Tick) || d.Count != 1 {
			s += fmt.Sprintf(" to %s x%d", d.Until.Format("02 15:04:05"), d.Count)
		}
		if d.Wait {
			s += " wait"
		}
		if d.Reason != "" {
			s += " " + d.Reason
		}
		out = append(out, s)
	}
	return out
}

func TestDue(t *testing.T) {
	type row struct {
		name    string
		expr    string
		catchUp jobs.CatchUp
		overlap jobs.Overlap
		cursor  time.Duration // before now
		now     time.Duration // after noon
		want    []string
	}
	day := 24 * time.Hour
	for _, r := range []row{
		{name: "nothing due", expr: "@every 1h", cursor: 5 * time.Minute, now: 10 * time.Minute},
		{name: "a cursor on the tick", expr: "@every 1h", cursor: 0},
		{name: "a cursor ahead of now", expr: "@every 1s", cursor: -time.Hour},
		{name: "on the dot", expr: "@every 1h", cursor: time.Hour, want: []string{"ran 22 12:00:00"}},
		{name: "a second old is in time", expr: "@every 1h", cursor: time.Hour, now: time.Second, want: []string{"ran 22 12:00:00"}},
		{name: "a hair more is late", expr: "@every 1h", cursor: time.Hour, now: time.Second + 1, want: []string{"late 22 12:00:00"}},
		{name: "a minute old runs under skip", expr: "@every 1h", catchUp: jobs.CatchUp{Policy: jobs.CatchUpSkip},
			cursor: time.Hour, now: time.Minute, want: []string{"late 22 12:00:00"}},
		{name: "a hair more is the policy's", expr: "@every 1h", catchUp: jobs.CatchUp{Policy: jobs.CatchUpSkip},
			cursor: time.Hour, now: time.Minute + 1, want: []string{"missed 22 12:00:00 policy: catch_up is skip"}},
		{name: "skip, and the young ones run", expr: "@every 30s", catchUp: jobs.CatchUp{Policy: jobs.CatchUpSkip},
			cursor: 3 * time.Minute, want: []string{
				"missed 22 11:57:30 to 22 11:58:30 x3 policy: catch_up is skip",
				"late 22 11:59:00", "late 22 11:59:30", "ran 22 12:00:00"}},
		{name: "latest", expr: "@every 10m", cursor: 40 * time.Minute, now: 5 * time.Minute, want: []string{
			"missed 22 11:30:00 to 22 11:50:00 x3 policy: catch_up is latest", "late 22 12:00:00"}},
		{name: "latest of one", expr: "@every 10m", cursor: 10 * time.Minute, now: 5 * time.Minute, want: []string{"late 22 12:00:00"}},
		{name: "latest, but a younger one runs anyway", expr: "@every 10m", cursor: 30 * time.Minute, now: 30 * time.Second,
			want: []string{"missed 22 11:40:00 to 22 11:50:00 x2 policy: catch_up is latest", "late 22 12:00:00"}},
		{name: "all", expr: "@every 10m", catchUp: jobs.CatchUp{Policy: jobs.CatchUpAll}, overlap: jobs.OverlapAllow,
			cursor: 30 * time.Minute, want: []string{"late 22 11:40:00", "late 22 11:50:00", "ran 22 12:00:00"}},
		{name: "all, never two at once: late ones wait and the rest behind them", expr: "@every 10m",
			catchUp: jobs.CatchUp{Policy: jobs.CatchUpAll}, cursor: 30 * time.Minute,
			want: []string{"late 22 11:40:00 wait", "late 22 11:50:00 wait", "ran 22 12:00:00 wait"}},
		{name: "all, never two at once: in time and alone does not wait", expr: "@every 10m",
			catchUp: jobs.CatchUp{Policy: jobs.CatchUpAll}, cursor: 10 * time.Minute, want: []string{"ran 22 12:00:00"}},
		{name: "all, a few seconds late waits too", expr: "@every 10m",
			catchUp: jobs.CatchUp{Policy: jobs.CatchUpAll}, cursor: 10 * time.Minute, now: 4 * time.Second,
			want: []string{"late 22 12:00:00 wait"}},
		{name: "max keeps the newest of the older, the young ones do not count", expr: "@every 20s",
			catchUp: jobs.CatchUp{Policy: jobs.CatchUpAll, Max: 2}, overlap: jobs.OverlapAllow, cursor: 3 * time.Minute,
			want: []string{"missed 22 11:57:20 to 22 11:58:00 x3 max: only the newest 2 run late",
				"late 22 11:58:20", "late 22 11:58:40", "late 22 11:59:00", "late 22 11:59:20", "late 22 11:59:40", "ran 22 12:00:00"}},
		{name: "max is not reached", expr: "@every 10m", catchUp: jobs.CatchUp{Policy: jobs.CatchUpAll, Max: 2}, overlap: jobs.OverlapAllow,
			cursor: 20 * time.Minute, now: 5 * time.Minute, want: []string{"late 22 11:50:00", "late 22 12:00:00"}},
		{name: "beyond the window", expr: "@every 6h", cursor: 3 * day, now: time.Minute + time.Second,
			want: []string{"missed 19 18:00:00 to 21 12:01:00 x0 window: older than 24h",
				"missed 21 18:00:00 to 22 06:00:00 x3 policy: catch_up is latest", "late 22 12:00:00"}},
		{name: "exactly as old as the window is inside", expr: "@every 6h", catchUp: jobs.CatchUp{Policy: jobs.CatchUpAll},
			overlap: jobs.OverlapAllow, cursor: 30*time.Hour + 1, want: []string{
				"missed 21 06:00:00 to 21 11:59:59 x0 window: older than 24h",
				"late 21 12:00:00", "late 21 18:00:00", "late 22 00:00:00", "late 22 06:00:00", "ran 22 12:00:00"}},
		{name: "a hair beyond the window", expr: "@every 24h", cursor: 25 * time.Hour, now: 12*time.Hour + 24*time.Hour + 1,
			want: []string{"missed 23 00:00:00 to 23 00:00:00 x0 window: older than 24h", "ran 24 00:00:00"}},
		{name: "a window between two ticks", expr: "@every 24h", catchUp: jobs.CatchUp{Policy: jobs.CatchUpAll, Window: time.Hour},
			cursor: 3 * day, want: []string{"missed 20 00:00:00 to 22 10:59:59 x0 window: older than 1h"}},
		{name: "a window of 90 minutes", expr: "@every 1h", catchUp: jobs.CatchUp{Policy: jobs.CatchUpSkip, Window: 90 * time.Minute},
			cursor: 4 * time.Hour, now: 30 * time.Minute, want: []string{
				"missed 22 09:00:00 to 22 10:59:59 x0 window: older than 1h30m",
				"missed 22 11:00:00 to 22 12:00:00 x2 policy: catch_up is skip"}},
		{name: "a window shorter than a minute does not stop the young", expr: "@every 30s",
			catchUp: jobs.CatchUp{Policy: jobs.CatchUpAll, Window: 10 * time.Second}, overlap: jobs.OverlapAllow, cursor: 2 * time.Minute,
			want: []string{"missed 22 11:58:30 to 22 11:58:59 x0 window: older than 10s",
				"late 22 11:59:00", "late 22 11:59:30", "ran 22 12:00:00"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			job := newJob(t, "j", r.expr)
			if r.catchUp.Policy != "" {
				job.CatchUp.Policy = r.catchUp.Policy
			}
			if r.catchUp.Window != 0 {
				job.CatchUp.Window = r.catchUp.Window
			}
			if r.catchUp.Max != 0 {
				job.CatchUp.Max = r.catchUp.Max
			}
			if r.overlap != "" {
				job.Overlap = r.overlap
			}
			now := noon.Add(r.now)
			ds := Due(job, now.Add(-r.cursor), now)
			assert.Equal(t, r.want, lines(ds))
			for _, d := range ds {
				assert.Same(t, job, d.Job)
			}
		})
	}
}

// TestDueOfNothing: a job without ticks has nothing to decide.
func TestDueOfNothing(t *testing.T) {
	assert.Empty(t, Due(&jobs.Job{Name: "by-hand", Enabled: true}, noon.Add(-time.Hour), noon))
}

// TestDueIsBounded: a day of seconds is walked through, not kept.
func TestDueIsBounded(t *testing.T) {
	job := newJob(t, "j", "* * * * * *")
	job.CatchUp.Policy = jobs.CatchUpAll
	job.CatchUp.Max = 10
	cursor := noon.Add(-365 * 24 * time.Hour)

	ds := Due(job, cursor, noon)
	assert.Len(t, ds, 2+10+61)
	assert.Equal(t, 0, ds[0].Count)
	assert.Equal(t, 86400-60-10, ds[1].Count)

	allocs := testing.AllocsPerRun(1, func() { Due(job, cursor, noon) })
	assert.Less(t, allocs, 40.0, "allocations must not grow with the number of ticks")
}

// fate is what the naive oracle says about one tick.
type fate struct {
	outcome jobs.Outcome
	why     string // first word of the reason
	wait    bool
}

// naive decides by listing every tick and asking the rules about each: the text
// of the rules, without regard for time or memory.
func naive(job *jobs.Job, ticks []time.Time, now time.Time) []fate {
	fates := make([]fate, len(ticks))
	var older []int // inside the window, older than a minute
	younger := false
	for i, tick := range ticks {
		switch age := now.Sub(job.Starts(tick)); {
		case age <= time.Second:
			fates[i], younger = fate{outcome: jobs.OutcomeRan}, true
		case age <= time.Minute:
			fates[i], younger = fate{outcome: jobs.OutcomeLate}, true
		case age <= job.CatchUp.Window:
			older = append(older, i)
		default:
			fates[i] = fate{outcome: jobs.OutcomeMissed, why: "window"}
		}
	}
	for k, i := range older {
		newness := len(older) - k // 1 is the newest
		switch p := job.CatchUp.Policy; {
		case p == jobs.CatchUpSkip, p == jobs.CatchUpLatest && (younger || newness > 1):
			fates[i] = fate{outcome: jobs.OutcomeMissed, why: "policy"}
		case newness > job.CatchUp.Max:
			fates[i] = fate{outcome: jobs.OutcomeMissed, why: "max"}
		default:
			fates[i] = fate{outcome: jobs.OutcomeLate}
		}
	}
	waiting := false
	for i := range fates {
		if job.CatchUp.Policy != jobs.CatchUpAll || job.Overlap != jobs.OverlapSkip {
			break
		}
		if fates[i].outcome == jobs.OutcomeLate || fates[i].outcome == jobs.OutcomeRan && waiting {
			fates[i].wait, waiting = true, true
		}
	}
	return fates
}

// ticksBetween are the job's ticks after cursor that have started by now.
func ticksBetween(job *jobs.Job, cursor, now time.Time) []time.Time {
	var ticks []time.Time
	for tick, ok := job.Next(cursor); ok && !job.Starts(tick).After(now); tick, ok = job.Next(tick) {
		ticks = append(ticks, tick)
	}
	return ticks
}

// drawJob draws a job with ticks every few seconds or minutes, evenly or not.
func drawJob(t *rapid.T, tb testing.TB) *jobs.Job {
	exprs := rapid.SampledFrom([][]string{
		{"* * * * * *"}, {"*/7 * * * * *"}, {"@every 13s"}, {"* * * * *"}, {"*/5 * * * *"},
		{"3,4,5 */2 * * * *", "@every 97s"}, {"0 * * * *", "*/20 1 * * * *"}, {"@every 30s"}, {"@every 31m"},
	}).Draw(t, "schedule")
	job := newJob(tb, "j", exprs...)
	job.CatchUp = jobs.CatchUp{
		Policy: rapid.SampledFrom([]jobs.CatchUpPolicy{jobs.CatchUpLatest, jobs.CatchUpAll, jobs.CatchUpSkip}).Draw(t, "policy"),
		Window: time.Duration(rapid.IntRange(1, 7200).Draw(t, "window")) * time.Second,
		Max:    rapid.IntRange(1, 30).Draw(t, "max"),
	}
	job.Overlap = rapid.SampledFrom([]jobs.Overlap{jobs.OverlapSkip, jobs.OverlapAllow}).Draw(t, "overlap")
	gap := shortestGap(job)
	job.Jitter = rapid.SampledFrom([]time.Duration{0, 0, gap / 3, gap - time.Millisecond}).Draw(t, "jitter")
	return job
}

// shortestGap is the least time between two ticks of the job around noon.
func shortestGap(job *jobs.Job) time.Duration {
	least := 24 * time.Hour
	ticks := ticksBetween(job, noon.Add(-12*time.Hour), noon.Add(12*time.Hour))
	for i := 1; i < len(ticks); i++ {
		least = min(least, ticks[i].Sub(ticks[i-1]))
	}
	return least
}

// drawSpan draws a duration that is often whole and often not.
func drawSpan(t *rapid.T, name string, most time.Duration) time.Duration {
	d := time.Duration(rapid.Int64Range(0, int64(most/time.Second)).Draw(t, name)) * time.Second
	return d + time.Duration(rapid.SampledFrom([]int64{0, 0, 1, 499_999_999, 999_999_999}).Draw(t, name+" ns"))
}

func TestDueAgreesWithTheRulesReadOneByOne(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		job := drawJob(rt, t)
		now := noon.Add(drawSpan(rt, "now", time.Hour))
		cursor := now.Add(-drawSpan(rt, "absence", 3*time.Hour))
		ticks := ticksBetween(job, cursor, now)
		want := naive(job, ticks, now)
		ds := Due(job, cursor, now)

		i, at := 0, cursor
		for k, d := range ds {
			require.True(rt, d.Tick.After(at), "decision %d is not after the one before", k)
			require.False(rt, d.Until.Before(d.Tick), "decision %d ends before it begins", k)
			require.False(rt, d.Until.After(now), "decision %d reaches into the future", k)
			at = d.Until
			why, _, _ := strings.Cut(d.Reason, ":")
			covered := 0
			for ; i < len(ticks) && !ticks[i].After(d.Until); i++ {
				require.Equal(rt, want[i], fate{d.Outcome, why, d.Wait}, "tick %s in decision %d", ticks[i], k)
				if covered == 0 {
					require.True(rt, ticks[i].Equal(d.Tick), "decision %d begins with a tick", k)
				}
				covered++
			}
			require.Positive(rt, covered)
			if why == "window" {
				require.Zero(rt, d.Count)
			} else {
				require.Equal(rt, covered, d.Count)
				require.True(rt, ticks[i-1].Equal(d.Until), "decision %d ends with a tick", k)
			}
			if k > 0 && d.Outcome == jobs.OutcomeMissed {
				require.NotEqual(rt, ds[k-1].Reason, d.Reason, "equal neighbours are one")
			}
			if d.Outcome != jobs.OutcomeMissed {
				require.Equal(rt, 1, d.Count)
			}
		}
		require.Equal(rt, len(ticks), i, "ticks left undecided")
	})
}

// TestDueContinues: whenever leaders look, together they decide each tick once.
func TestDueContinues(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		job := drawJob(rt, t)
		start := noon.Add(drawSpan(rt, "start", time.Hour))
		cursor, now := start, start
		decided := 0
		beyond := false
		for range rapid.IntRange(1, 12).Draw(rt, "looks") {
			now = now.Add(drawSpan(rt, "pause", 10*time.Minute))
			for _, d := range Due(job, cursor, now) {
				require.True(rt, d.Tick.After(cursor))
				cursor = d.Until
				decided += d.Count
				beyond = beyond || d.Count == 0
			}
			next, ok := job.Next(cursor)
			require.True(rt, ok && job.Starts(next).After(now), "the cursor passes everything that is due")
		}
		if !beyond {
			require.Len(rt, ticksBetween(job, start, now), decided)
		}
	})
}
