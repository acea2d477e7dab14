package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// jittered is a job whose ticks start up to that much after their time.
func jittered(t testing.TB, name, expr string, by time.Duration) *jobs.Job {
	job := newJob(t, name, expr)
	job.Jitter = by
	return job
}

func TestJitteredTicksAreCommittedAtTheirStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := []*jobs.Job{
			jittered(t, "second", "* * * * * *", 900*time.Millisecond), jittered(t, "seven", "@every 7s", 6*time.Second),
			jittered(t, "minute", "* * * * *", 59*time.Second), newJob(t, "exact", "@every 10s"),
		}
		f, begin := newFakeStore(), time.Now()
		p := newPlayer(f, list...)
		p.start(t, "a")
		time.Sleep(5 * time.Minute)
		p.stop(t)
		for _, job := range list {
			f.accounted(t, job, begin, time.Now())
			for _, d := range f.page(job.Name) {
				require.Equal(t, jobs.OutcomeRan, d.outcome, "late is after the start, not after the tick")
				require.Equal(t, job.Starts(d.tick), d.at.UTC(), "%s %s was not committed at its start", job.Name, d.tick)
			}
		}
		assert.NotEmpty(t, f.page("minute"))
	})
}

// TestJitterOverChangesOfLeader: the start of a tick may lie in another term than
// its time, and in an absence of any length.
func TestJitterOverChangesOfLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		job := jittered(t, "j", "@every 1m", 59*time.Second)
		job.CatchUp.Policy, job.Overlap = jobs.CatchUpAll, jobs.OverlapAllow
		f, begin := newFakeStore(), time.Now()
		for _, away := range []time.Duration{0, time.Second, 20 * time.Second, 55 * time.Second, 10 * time.Minute} {
			p := newPlayer(f, job)
			p.start(t, "a")
			time.Sleep(3*time.Minute + 17*time.Second)
			p.stop(t)
			time.Sleep(away)
		}
		last := newPlayer(f, job)
		last.start(t, "a")
		time.Sleep(time.Minute)
		last.stop(t)
		f.accounted(t, job, begin, time.Now())
		assert.Zero(t, f.tally("j")[jobs.OutcomeMissed])
		for _, d := range f.page("j") {
			require.False(t, d.at.Before(job.Starts(d.tick)), "%s was committed before its start", d.tick)
		}
	})
}

// TestReloadChangesTheJitter: it is no part of the timing, so the cursor stays and
// only the starts to come change.
func TestReloadChangesTheJitter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		before, after := jittered(t, "j", "@every 1m", 59*time.Second), newJob(t, "j", "@every 1m")
		f, begin := newFakeStore(), time.Now()
		p := newPlayer(f, before)
		p.start(t, "a")
		time.Sleep(5 * time.Minute)
		p.Reload(sheet(after))
		reloaded := time.Now()
		time.Sleep(5 * time.Minute)
		p.stop(t)
		f.accounted(t, after, begin, time.Now())
		for _, d := range f.page("j") {
			if d.tick.After(reloaded) {
				require.Equal(t, d.tick, d.at.UTC())
			}
		}
	})
}

// TestSingleInstantsAreTicksToo: a job that has at: alone is adopted.
func TestSingleInstantsAreTicksToo(t *testing.T) {
	once := newJob(t, "once")
	once.At = []time.Time{noon}
	s := New(nil, Config{Schedule: sheet(once, newJob(t, "by-hand"))})
	_, list := s.scheduled()
	assert.Equal(t, []*jobs.Job{once}, list)
}
