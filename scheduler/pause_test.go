package scheduler

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/jobs"
)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// told is a decision without its job.
type told struct {
	from, to int // minutes
	count    int
	outcome  jobs.Outcome
	reason   string
}

func tell(ds []jobs.Decision) []told {
	var out []told
	for _, d := range ds {
		out = append(out, told{int(d.Tick.Sub(noon) / time.Minute), int(d.Until.Sub(noon) / time.Minute), d.Count, d.Outcome, d.Reason})
	}
	return out
}

func TestPausedTicksAreSkippedAlsoAfterTheFact(t *testing.T) {
	job := newJob(t, "j", "*/10 * * * *")
	job.CatchUp = jobs.CatchUp{Policy: jobs.CatchUpLatest, Window: 24 * time.Hour, Max: 100}
	span := func(from, to int) jobs.Span { return jobs.Span{From: at(from), To: at(to)} }
	open := jobs.Span{From: at(-25)}
	const policy = "policy: catch_up is latest"
	for name, c := range map[string]struct {
		cursor int
		pauses []jobs.Span
		want   []told
	}{
		"none":            {-20, nil, []told{{-10, -10, 1, "missed", policy}, {0, 0, 1, "ran", ""}}},
		"open":            {-40, []jobs.Span{open}, []told{{-30, -30, 1, "late", ""}, {-20, 0, 3, "skipped", "paused"}}},
		"over":            {-40, []jobs.Span{span(-35, -15)}, []told{{-30, -20, 2, "skipped", "paused"}, {-10, -10, 1, "missed", policy}, {0, 0, 1, "ran", ""}}},
		"over, then none": {-30, []jobs.Span{span(-25, -5)}, []told{{-20, -10, 2, "skipped", "paused"}, {0, 0, 1, "ran", ""}}},
		"between ticks":   {-20, []jobs.Span{span(-19, -11)}, []told{{-10, -10, 1, "missed", policy}, {0, 0, 1, "ran", ""}}},
		"two": {-60, []jobs.Span{span(-55, -45), span(-25, -15)}, []told{{-50, -50, 1, "skipped", "paused"}, {-40, -30, 2, "missed", policy},
			{-20, -20, 1, "skipped", "paused"}, {-10, -10, 1, "missed", policy}, {0, 0, 1, "ran", ""}}},
		"long decided":   {-20, []jobs.Span{span(-90, -80)}, []told{{-10, -10, 1, "missed", policy}, {0, 0, 1, "ran", ""}}},
		"over at a tick": {-20, []jobs.Span{span(-5, 0)}, []told{{-10, -10, 1, "missed", policy}, {0, 0, 1, "ran", ""}}},
		"the newest runs though later ones are paused": {-40, []jobs.Span{span(-15, 5)}, []told{{-30, -30, 1, "missed", policy}, {-20, -20, 1, "late", ""},
			{-10, 0, 2, "skipped", "paused"}}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, tell(Due(job, at(c.cursor), at(0), c.pauses...)))
		})
	}
}

func TestALongPauseIsNotEnumerated(t *testing.T) {
	job := newJob(t, "j", "* * * * * *")
	job.CatchUp.Window = time.Hour
	ds := Due(job, noon.Add(-30*24*time.Hour), noon, jobs.Span{From: noon.Add(-31 * 24 * time.Hour)})
	require.Len(t, ds, 2)
	assert.Zero(t, ds[0].Count)
	assert.Equal(t, 3600, ds[1].Count)
	assert.Equal(t, noon, ds[1].Until)
}

// A tick belongs to the pause that it starts in, whatever its time: what a leader
// who comes later decides is what one who never left would have done.
func TestPausesCountByTheStart(t *testing.T) {
	job := newJob(t, "j", "0 12 * * *")
	job.Jitter = 10 * time.Minute
	start := job.Starts(noon)
	hair := time.Millisecond
	for name, c := range map[string]struct {
		pause jobs.Span
		want  jobs.Outcome
	}{
		"over before the start":     {jobs.Span{From: noon.Add(-time.Minute), To: start}, jobs.OutcomeRan},
		"over after the start":      {jobs.Span{From: noon.Add(-time.Minute), To: start.Add(hair)}, jobs.OutcomeSkipped},
		"begun at the start":        {jobs.Span{From: start}, jobs.OutcomeSkipped},
		"begun after it":            {jobs.Span{From: start.Add(hair)}, jobs.OutcomeRan},
		"begun after it, long over": {jobs.Span{From: start.Add(hair), To: start.Add(2 * hair)}, jobs.OutcomeRan},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Empty(t, Due(job, noon.Add(-time.Hour), start.Add(-hair), c.pause), "not before the start")
			ds := Due(job, noon.Add(-time.Hour), start.Add(time.Second), c.pause)
			require.Len(t, ds, 1)
			assert.Equal(t, noon, ds[0].Tick)
			assert.Equal(t, c.want, ds[0].Outcome)
		})
	}
}

// Whatever the jitter, the pauses and the absences, and however often leaders
// look, each tick is decided once, in order, not before its start; a tick that
// starts in a pause is skipped and no other.
func TestPausesLeaveNoTickOut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		job := newJob(t, "j", "*/7 * * * *")
		job.CatchUp = jobs.CatchUp{Window: time.Duration(rapid.IntRange(1, 300).Draw(rt, "window")) * time.Minute, Max: rapid.IntRange(1, 5).Draw(rt, "max"),
			Policy: rapid.SampledFrom([]jobs.CatchUpPolicy{jobs.CatchUpAll, jobs.CatchUpLatest, jobs.CatchUpSkip}).Draw(rt, "policy")}
		job.Jitter = rapid.SampledFrom([]time.Duration{0, time.Minute, 4*time.Minute - 1}).Draw(rt, "jitter") // 56 to 00 is 4 minutes
		var pauses []jobs.Span
		for from := -400; ; {
			from += rapid.IntRange(1, 200).Draw(rt, "gap")
			to := from + rapid.IntRange(1, 100).Draw(rt, "length")
			if from > 0 {
				break
			}
			pauses = append(pauses, jobs.Span{From: at(from), To: at(to)})
			from = to
		}
		covered := at(-rapid.IntRange(0, 400).Draw(rt, "cursor"))
		looks := rapid.SliceOfN(rapid.IntRange(-300, 0), 0, 3).Draw(rt, "looks")
		slices.Sort(looks)
		for _, minute := range append(looks, 0) {
			now := at(minute)
			for _, d := range Due(job, covered, now, pauses...) {
				require.True(rt, d.Tick.After(covered), "decisions are in order")
				next, ok := job.Next(covered)
				require.True(rt, ok)
				require.Equal(rt, next, d.Tick, "no tick is left out")
				require.False(rt, d.Until.Before(d.Tick))
				count := 0
				for tick := d.Tick; !tick.After(d.Until); tick, _ = job.Next(tick) {
					start, in := job.Starts(tick), false
					require.False(rt, start.After(now), "%s starts at %s", tick, start)
					for _, p := range pauses {
						in = in || !start.Before(p.From) && start.Before(p.To)
					}
					require.Equal(rt, in, d.Reason == "paused", "%s starts at %s", tick, start)
					count++
				}
				if d.Count > 0 {
					require.Equal(rt, count, d.Count)
				}
				covered = d.Until
			}
			if next, ok := job.Next(covered); ok {
				require.True(rt, job.Starts(next).After(now), "nothing due is undecided")
			}
		}
	})
}
