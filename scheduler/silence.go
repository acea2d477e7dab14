package scheduler

import (
	"fmt"
	"time"

	"carillon/jobs"
)

// Is the leader silent? This file answers from what was seen; watchdog.go looks.
//
// A leader is silent when a tick should have been decided, and it decides nothing at
// all, for the whole grace, at each look. One that works off a backlog is not silent,
// however late it is. Of a leader with another schedule it is not known what it should
// do, so there it takes a job that it does not schedule, and the longer driftGrace.

const (
	// DefaultGrace is how long a leader may decide nothing while ticks are due. A
	// change of leader takes the leader TTL, 5 seconds, and does not count: a term
	// is judged from its own beginning. What counts is what a healthy one needs: a
	// call with all its repeats gives up after 3 seconds, the pause after that is
	// at most 1, and the cursors of 100,000 jobs are taken over in less than 1.
	DefaultGrace = 15 * time.Second

	// driftGrace is the grace of a leader that has another schedule: as long as the
	// nodes of a roll-out may differ before anybody is told.
	driftGrace = 5 * time.Minute

	// dueBy is how long ago a tick must have started to count as due.
	dueBy = jobs.LateAfter

	// leastLooks is how many looks in a row must agree.
	leastLooks = 4
)

// late is a tick that should have been decided.
type late struct {
	job   string
	start time.Time // on the store's clock
	lacks bool      // the leader has another schedule, and does not schedule the job like this
}

// glance is what one look showed. The zero token: a vacant seat, or nothing to judge.
type glance struct {
	at     time.Time     // on the local clock, with its monotonic reading
	clock  time.Time     // on the store's
	token  string        // the leader's
	moved  time.Time     // when its term last got on
	drift  bool          // its schedule is not the one of this node
	late   *late         // nil: all is decided that should be
	steady time.Duration // for how long the store has answered this node without a break
}

// suspicion is what was seen at the looks before: since when, at each of them, the
// same leader stood still before something that is due.
type suspicion struct {
	glance           // the last one
	since  time.Time // the first one; zero: there is none
	looks  int
}

// next takes a glance in.
func (s suspicion) next(v glance, every time.Duration) suspicion {
	if v.token == "" || v.late == nil {
		return suspicion{}
	}
	if s.since.IsZero() || !s.unbroken(v, every) || !s.stands(v) {
		return suspicion{glance: v, since: v.at, looks: 1}
	}
	return suspicion{glance: v, since: s.since, looks: s.looks + 1}
}

// unbroken reports whether nothing can have been missed since the look before: it was
// not long ago, and the clock of the store and the local one agree on that.
func (s suspicion) unbroken(v glance, every time.Duration) bool {
	passed := v.at.Sub(s.at)
	return passed <= 3*every && (v.clock.Sub(s.clock)-passed).Abs() <= jump
}

// stands reports whether the leader has done nothing since then that would excuse it.
func (s suspicion) stands(v glance) bool {
	switch {
	case s.token != v.token, s.drift != v.drift, s.late.lacks != v.late.lacks:
		return false
	case v.late.lacks:
		return s.late.job == v.late.job // it does other things meanwhile
	default:
		return s.moved.Equal(v.moved)
	}
}

// verdict says why the leader is silent; "" when it is not, or nobody can say.
func (s suspicion) verdict(grace time.Duration) (why string) {
	patience := grace
	if s.drift {
		patience = max(grace, driftGrace)
	}
	if s.since.IsZero() || s.looks < leastLooks || s.at.Sub(s.since) < patience || s.steady < grace {
		return ""
	}
	due := fmt.Sprintf("job %s is due since %s", s.late.job, s.late.start.UTC().Format(time.TimeOnly))
	if s.late.lacks {
		return due + ", and the leader has another schedule, in which it is not"
	}
	return due + fmt.Sprintf(", and nothing was decided for %s", jobs.DurationText(s.clock.Sub(s.moved).Truncate(time.Second)))
}

// judge says whether a tick of the job should have been decided, or else when to look
// again; the zero time for never. since is from when on the leader is to know the job.
func judge(job *jobs.Job, c jobs.CursorSight, now, since time.Time) (found *late, again time.Time) {
	known := c.Timing == job.Timing && !c.Gone
	from := since
	if known {
		from = c.Decided
	}
	t, ok := source{job: job}.next(from)
	switch {
	case !ok:
		return nil, time.Time{}
	case t.start.After(now.Add(-dueBy)):
		return nil, t.start
	case c.Unfinished && mayWait(job):
		return nil, now
	default:
		return &late{job: job.Name, start: t.start, lacks: !known}, time.Time{}
	}
}
