package scheduler

import "time"

// Pulse says how the term under way is doing, for who has to tell others.
type Pulse struct {
	Leading bool // a term is under way
	// Passed is when the term last brought the store up to date: what was due was
	// committed, or nothing was due. Zero when it has not yet. It has a monotonic
	// reading.
	Passed time.Time
}

// Pulse may be called from any goroutine at any time.
func (s *Scheduler) Pulse() Pulse {
	if p := s.pulse.Load(); p != nil {
		return *p
	}
	return Pulse{}
}

// beat notes that a pass ended well.
func (s *Scheduler) beat() { s.pulse.Store(&Pulse{Leading: true, Passed: time.Now()}) }
