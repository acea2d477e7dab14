package scheduler

import (
	"time"

	"carillon/jobs"
)

// expected is what a follower knows of the leader's work without asking: which jobs
// have had a tick start. It is the agenda's heap without its cursors, 24 bytes a job,
// and costs what is taken out of it. It belongs to one goroutine.
type expected struct {
	list []*jobs.Job
	heap []slot // by at, two children each
}

// newExpected expects the ticks after from.
func newExpected(sched *jobs.Schedule, from time.Time) *expected {
	e := &expected{list: make([]*jobs.Job, 0, len(sched.Jobs))}
	for _, job := range sched.Jobs {
		if job.Ticks() && job.Enabled && !maySitStill(job) {
			e.list = append(e.list, job)
		}
	}
	e.heap = make([]slot, 0, len(e.list))
	for i, job := range e.list {
		if t, ok := (source{job: job}).next(from); ok {
			e.put(int32(i), t.start)
		}
	}
	return e
}

// maySitStill reports whether a tick of the job may stay undecided for a reason that
// a follower does not see: late ones wait for a turn in a group.
func maySitStill(job *jobs.Job) bool { return mayWait(job) && job.Group != "" }

// mayWait reports whether a late tick of the job stays undecided while a run of it is
// unfinished.
func mayWait(job *jobs.Job) bool { return feedsOneByOne(job) && !job.EveryNode }

// due takes out at most n jobs whose time has come, longest overdue first.
func (e *expected) due(now time.Time, n int) (out []int32) {
	for limit := now.UnixMicro(); len(out) < n && len(e.heap) > 0 && e.heap[0].at <= limit; {
		out = append(out, e.heap[0].entry)
		last := len(e.heap) - 1
		moved := e.heap[last]
		e.heap = e.heap[:last]
		if last > 0 {
			e.sink(moved)
		}
	}
	return out
}

// put puts a job in at a time.
func (e *expected) put(i int32, at time.Time) {
	s := slot{at: ceilMicro(at), entry: i}
	e.heap = append(e.heap, s)
	k := len(e.heap) - 1
	for k > 0 && e.heap[(k-1)/2].at > s.at {
		e.heap[k] = e.heap[(k-1)/2]
		k = (k - 1) / 2
	}
	e.heap[k] = s
}

// sink puts a slot at the top, or below it.
func (e *expected) sink(s slot) {
	k := 0
	for {
		child := 2*k + 1
		if child+1 < len(e.heap) && e.heap[child+1].at < e.heap[child].at {
			child++
		}
		if child >= len(e.heap) || e.heap[child].at >= s.at {
			break
		}
		e.heap[k] = e.heap[child]
		k = child
	}
	e.heap[k] = s
}
