package scheduler

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/jobs"
)

func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 30, 0, time.UTC)
	minute := newJob(t, "minute", "* * * * *")
	ended := newJob(t, "ended")
	ended.At = []time.Time{now.Add(-time.Hour)}
	later := jittered(t, "later", "* * * * *", 50*time.Second)
	waits := newJob(t, "waits", "* * * * *")
	waits.CatchUp.Policy = jobs.CatchUpAll
	at := func(s string) time.Time {
		d, err := time.Parse(time.TimeOnly, s)
		require.NoError(t, err)
		return time.Date(2026, 11, 22, d.Hour(), d.Minute(), d.Second(), 0, time.UTC)
	}
	since := at("11:50:30")
	for _, c := range []struct {
		name  string
		job   *jobs.Job
		c     jobs.CursorSight
		late  string // since when a tick is due
		lacks bool
		again string // "": never
	}{
		{"decided", minute, jobs.CursorSight{Decided: at("12:00:00"), Timing: minute.Timing}, "", false, "12:01:00"},
		{"ahead, after the clock was set back", minute, jobs.CursorSight{Decided: at("13:00:00"), Timing: minute.Timing}, "", false, "13:01:00"},
		{"not decided", minute, jobs.CursorSight{Decided: at("11:58:00"), Timing: minute.Timing}, "11:59:00", false, ""},
		{"no cursor", minute, jobs.CursorSight{}, "11:51:00", true, ""},
		{"another timing", minute, jobs.CursorSight{Decided: at("12:00:00"), Timing: "x"}, "11:51:00", true, ""},
		{"gone", minute, jobs.CursorSight{Decided: at("12:00:00"), Timing: minute.Timing, Gone: true}, "11:51:00", true, ""},
		{"a run in its way", waits, jobs.CursorSight{Decided: at("11:58:00"), Timing: waits.Timing, Unfinished: true}, "", false, "12:00:30"},
		{"none in its way", waits, jobs.CursorSight{Decided: at("11:58:00"), Timing: waits.Timing}, "11:59:00", false, ""},
		{"a run that is in nobody's way", minute, jobs.CursorSight{Decided: at("11:58:00"), Timing: minute.Timing, Unfinished: true}, "11:59:00", false, ""},
	} {
		found, again := judge(c.job, c.c, now, since)
		if c.late == "" {
			assert.Nil(t, found, c.name)
			assert.Equal(t, at(c.again), again, c.name)
			continue
		}
		assert.Equal(t, &late{job: c.job.Name, start: at(c.late), lacks: c.lacks}, found, c.name)
		assert.Zero(t, again, c.name)
	}
	found, again := judge(ended, jobs.CursorSight{Decided: now, Timing: ended.Timing}, now, since)
	assert.Nil(t, found)
	assert.Zero(t, again, "there is no next one")

	// A tick is due from its start, not from its time; the first second is not late.
	tick := at("11:59:00")
	c := jobs.CursorSight{Decided: at("11:58:00"), Timing: later.Timing}
	found, again = judge(later, c, later.Starts(tick).Add(dueBy-1), since)
	assert.Nil(t, found)
	assert.Equal(t, later.Starts(tick), again)
	found, _ = judge(later, c, later.Starts(tick).Add(dueBy), since)
	assert.NotNil(t, found)
}

// The verdict, against a reading of the rule glance by glance: a leader is silent if for
// the whole grace back from the last glance, without a gap, each of them showed the
// same leader standing still before something that is due, and the store's answers to this
// node were unbroken for as long.
func TestVerdictIsTheRule(t *testing.T) {
	const every, grace = 2 * time.Second, 15 * time.Second
	rapid.Check(t, func(t *rapid.T) {
		var s suspicion
		var seen []glance
		at, clock, moved := time.Now(), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)
		token, job, lacks, drift := "a:1:1", "j", false, false
		rare := func(name string, percent int) bool { return rapid.IntRange(0, 999).Draw(t, name) < percent*10 }
		verdicts := 0
		for range rapid.IntRange(1, 250).Draw(t, "glances") {
			step := every
			if rare("pause", 2) {
				step = time.Duration(rapid.IntRange(1, 12).Draw(t, "seconds")) * time.Second
			}
			at, clock = at.Add(step), clock.Add(step)
			if rare("clock", 1) {
				clock = clock.Add(time.Duration(rapid.IntRange(-3, 3).Draw(t, "hours")) * time.Hour)
			}
			if rare("moves", 4) {
				moved = clock
			}
			if rare("leader", 1) {
				token = fmt.Sprint("a:1:", rapid.IntRange(1, 3).Draw(t, "term"))
			}
			if rare("drifts", 1) {
				drift = !drift
			}
			if rare("job", 2) {
				job = rapid.SampledFrom([]string{"j", "k"}).Draw(t, "which")
			}
			if rare("lacks", 2) {
				lacks = !lacks
			}
			v := glance{at: at, clock: clock, token: token, moved: moved, drift: drift, late: &late{job: job, start: clock.Add(-time.Minute), lacks: lacks && drift},
				steady: time.Hour}
			if rare("broken", 3) {
				v.steady = 14 * time.Second
			}
			if rare("nothing due", 2) {
				v.late = nil
			}
			if rare("vacant", 1) {
				v.token = ""
			}
			seen = append(seen, v)
			s = s.next(v, every)
			why := s.verdict(grace)
			require.Equal(t, silentByTheRule(seen, every, grace), why != "", "%+v", seen)
			if why != "" {
				verdicts++
			}
		}
	})
}

func silentByTheRule(seen []glance, every, grace time.Duration) bool {
	last := seen[len(seen)-1]
	if last.token == "" || last.late == nil || last.steady < grace {
		return false
	}
	first := last
	looks := 1
	for i := len(seen) - 2; i >= 0; i-- {
		v, after := seen[i], seen[i+1]
		passed := after.at.Sub(v.at)
		step := after.clock.Sub(v.clock) - passed
		if v.token != last.token || v.late == nil || v.drift != last.drift || v.late.lacks != last.late.lacks || passed > 3*every || step > 2*time.Second || step < -2*time.Second {
			break
		}
		if last.late.lacks && v.late.job != last.late.job || !last.late.lacks && v.moved != last.moved {
			break
		}
		first = v
		looks++
	}
	patience := grace
	if last.drift {
		patience = 5 * time.Minute
	}
	return looks >= 4 && last.at.Sub(first.at) >= patience
}

// Expected hands out what an exhaustive look would find, whatever is put back when.
func TestExpectedIsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &expected{}
		base := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		in := map[int32]time.Time{}
		for range rapid.IntRange(1, 100).Draw(t, "calls") {
			if rapid.Bool().Draw(t, "put") {
				i := rapid.Int32Range(0, 30).Draw(t, "job")
				if _, there := in[i]; there {
					continue
				}
				at := base.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "at")) * time.Second)
				in[i] = at
				e.put(i, at)
				continue
			}
			now, n := base.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "now"))*time.Second), rapid.IntRange(0, 10).Draw(t, "most")
			var last time.Time
			out := e.due(now, n)
			for _, i := range out {
				require.Contains(t, in, i)
				require.False(t, in[i].After(now) || in[i].Before(last))
				last = in[i]
				delete(in, i)
			}
			for _, at := range in {
				require.True(t, at.After(now) && len(out) < n || len(out) == n && !at.Before(last), "it was left out")
			}
		}
	})
}

// What a follower of 100,000 jobs pays for, 1 % of which are due each second.
func BenchmarkExpected(b *testing.B) {
	sched := &jobs.Schedule{}
	for i := range 100_000 {
		job := newJob(b, fmt.Sprint("job", i), "@every 100s")
		job.Specs[0], _ = jobs.ParseSpec(fmt.Sprintf("%d * * * * *", i%60), time.UTC)
		sched.Jobs = append(sched.Jobs, job)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	b.Run("begin", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			newExpected(sched, now)
		}
	})
	e := newExpected(sched, now)
	b.Run("look", func(b *testing.B) {
		for range b.N {
			now = now.Add(2 * time.Second)
			for _, i := range e.due(now, mostWatched) {
				found, again := judge(e.list[i], jobs.CursorSight{Decided: now, Timing: e.list[i].Timing}, now, now)
				if found == nil {
					e.put(i, again)
				}
			}
		}
	})
}
