package scheduler

import (
	"time"

	"carillon/jobs"
)

// source gives the ticks of a job in order, each with its start. Jitter is
// shorter than the time between two ticks, so the starts are in order too.
type source struct {
	job    *jobs.Job
	before time.Time // only ticks that start before it; zero: all
}

// timed is a tick and when it starts.
type timed struct{ tick, start time.Time }

// next is the first tick after an instant; false when there is none.
func (s source) next(after time.Time) (t timed, ok bool) {
	t.tick, ok = s.job.Next(after)
	if !ok {
		return t, false
	}
	t.start = s.job.Starts(t.tick)
	return t, s.before.IsZero() || t.start.Before(s.before)
}

// from is the first tick that starts at an instant or after it.
func (s source) from(start time.Time) (timed, bool) {
	t, ok := s.next(start.Add(-s.job.Jitter - 1))
	for ok && t.start.Before(start) {
		t, ok = s.next(t.tick)
	}
	return t, ok
}

// startedBy is the last whole second up to which every tick starts at end or
// before, first at least, which is known to. It counts no ticks: there may be
// millions.
func (s source) startedBy(end, first time.Time) time.Time {
	all, until := source{job: s.job}, end.Truncate(time.Second)
	for t, ok := all.next(until.Add(-s.job.Jitter)); ok && !t.tick.After(until); t, ok = all.next(t.tick) {
		if t.start.After(end) {
			until = t.tick.Add(-time.Second)
		}
	}
	if until.Before(first) {
		return first
	}
	return until
}

// runsAfter reports whether a tick that is not paused has started since the first
// of these pauses.
func (s source) runsAfter(pauses []jobs.Span, now time.Time) bool {
	for i, p := range pauses {
		if p.To.IsZero() {
			return false
		}
		t, ok := s.from(p.To)
		if i+1 < len(pauses) && ok && !t.start.Before(pauses[i+1].From) {
			continue
		}
		if ok && !t.start.After(now) {
			return true
		}
	}
	return false
}
