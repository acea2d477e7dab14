package redisstore

import (
	"context"
	"sync"
	"time"
)

// clock follows the clock of Redis, the one clock that all nodes share, by
// measuring it now and then and counting on the local monotonic clock between
// the measurements. It also keeps the record that tells whether this node saw
// Redis without a break: only such a node may take runs away from others.
type clock struct {
	maxGap time.Duration // between two answers of an unbroken record
	skew   func() time.Duration

	mu      sync.Mutex
	samples []sample // the newest last
	steady  time.Time
	offset  time.Duration
}

// sample is one measurement: Redis said remote somewhere within rtt around local.
type sample struct {
	local  time.Time // middle of the exchange; carries a monotonic reading
	remote time.Time
	rtt    time.Duration
}

const (
	samplesKept = 8
	// jump is how far a measurement may be from what the earlier ones foretold
	// before it counts as a step of one of the clocks.
	jump = 500 * time.Millisecond
)

// newClock makes a clock without measurements. skew, if not nil, is what a test adds to
// the local clock.
func newClock(maxGap time.Duration, skew func() time.Duration) *clock {
	return &clock{maxGap: maxGap, skew: skew}
}

// local is this node's own clock.
func (c *clock) local() time.Time {
	now := time.Now()
	if c.skew != nil {
		now = now.Add(c.skew())
	}
	return now
}

// now is the time of Redis; the local time before the first measurement.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at(c.local())
}

func (c *clock) at(local time.Time) time.Time {
	best := c.best()
	if best == nil {
		return local.UTC().Round(0)
	}
	return best.remote.Add(local.Sub(best.local))
}

// best is the sample that can be wrong by the least.
func (c *clock) best() *sample {
	var best *sample
	for i := range c.samples {
		if best == nil || c.samples[i].rtt <= best.rtt {
			best = &c.samples[i]
		}
	}
	return best
}

// add takes a measurement in. start and end are local times around the exchange.
func (c *clock) add(start, end, remote time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rtt := end.Sub(start)
	s := sample{local: start.Add(rtt / 2), remote: remote.UTC(), rtt: rtt}
	if n := len(c.samples); n > 0 {
		last := c.samples[n-1]
		drift := s.remote.Sub(c.at(s.local))
		if drift < 0 {
			drift = -drift
		}
		switch {
		case drift > jump+rtt:
			// One of the clocks was set, or this machine slept: what was measured
			// before says nothing any more.
			c.samples = c.samples[:0]
			c.steady = s.local
		case s.local.Sub(last.local) > c.maxGap:
			c.steady = s.local
		}
	} else {
		c.steady = s.local
	}
	if len(c.samples) == samplesKept {
		copy(c.samples, c.samples[1:])
		c.samples = c.samples[:samplesKept-1]
	}
	c.samples = append(c.samples, s)
	c.offset = s.local.Round(0).Sub(s.remote)
}

// interrupt ends the record: Redis answers, but not everybody can tell it something.
func (c *clock) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steady = c.local()
}

// steadyFor is how long the record has been unbroken; 0 when the last answer is
// too old.
func (c *clock) steadyFor() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.samples) == 0 {
		return 0
	}
	now := c.local()
	if now.Sub(c.samples[len(c.samples)-1].local) > c.maxGap {
		return 0
	}
	return now.Sub(c.steady)
}

func (c *clock) localOffset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}

// Now is the time of Redis. It costs no round trip.
func (s *Store) Now() time.Time { return s.clock.now() }

// SteadyFor is how long this node has seen Redis answer, in step with its own
// monotonic clock and without a gap of more than a sixth of the lease.
func (s *Store) SteadyFor() time.Duration { return s.clock.steadyFor() }

// ClockOffset is the local wall clock minus the clock of Redis.
func (s *Store) ClockOffset() time.Duration { return s.clock.localOffset() }

// SyncClock measures the clock of Redis once.
func (s *Store) SyncClock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	start := s.clock.local()
	remote, err := s.readTime(ctx)
	end := s.clock.local()
	if err != nil {
		return wrap("read the clock of Redis", err)
	}
	s.clock.add(start, end, remote)
	return nil
}

// readTime asks for the time of the machine that runs our scripts. In a cluster any
// node would answer TIME, also one that lost our slot without having told us yet; so
// there it goes together with a read in the slot, which only its owner answers.
func (s *Store) readTime(ctx context.Context) (time.Time, error) {
	if s.owner == nil {
		return s.cmd.Time(ctx).Result()
	}
	pipe := s.cmd.Pipeline()
	pipe.Exists(ctx, s.keys.probe())
	now := pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		return time.Time{}, err
	}
	return now.Val(), nil
}

// KeepTime measures the clock of Redis until ctx ends: a few times at once, then
// often enough for an unbroken record.
func (s *Store) KeepTime(ctx context.Context) error {
	every := min(2*time.Second, s.opts.Lease/12)
	for i := 0; ; i++ {
		_ = s.SyncClock(ctx) // a gap shows in the record
		pause := every
		if i < 4 {
			pause = 20 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}
