package carillon

import (
	"runtime/debug"
	"sync"

	"carillon/jobs"
)

// giveBack returns the memory that reading a large file took: it is several times
// what stays of it, and a node may then sleep for days.
func giveBack(s *jobs.Schedule) {
	if len(s.Jobs) >= 1000 {
		debug.FreeOSMemory()
	}
}

// definitionsKept is how many schedules a node can execute from: the current one
// and those before it, whose runs may still be waiting.
const definitionsKept = 8

// definitions are the schedules that this node has, the current one first.
type definitions struct {
	mu   sync.RWMutex
	list []*jobs.Schedule
}

func newDefinitions(s *jobs.Schedule) *definitions { return &definitions{list: []*jobs.Schedule{s}} }

func (d *definitions) current() *jobs.Schedule {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.list[0]
}

// all returns them, the current one first.
func (d *definitions) all() []*jobs.Schedule {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return append([]*jobs.Schedule(nil), d.list...)
}

// replace makes s the current schedule.
func (d *definitions) replace(s *jobs.Schedule) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []*jobs.Schedule{s}
	for _, old := range d.list {
		if old.Digest != s.Digest && len(list) < definitionsKept {
			list = append(list, old)
		}
	}
	d.list = list
}

// find returns the definition of a job with that digest, or nil. A job that was
// renamed answers to its old name too: runs keep the name they were made under.
func (d *definitions) find(job, digest string) *jobs.Job {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, s := range d.list {
		if j := s.Job(job); j != nil && j.Digest == digest {
			return j
		}
		if j := s.Formerly(job); j != nil && j.Digest == digest {
			return j
		}
	}
	return nil
}
