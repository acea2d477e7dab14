package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carillon/internal/failpoint"
	"carillon/leader"
)

// sweepEvery is how long an expired lease or an over back-off may lie. Nothing
// waits for it but what has already waited for seconds.
const sweepEvery = 500 * time.Millisecond

// feedEvery is how long the next tick of a backfill waits at most after the run
// before it has ended.
const feedEvery = 100 * time.Millisecond

// sweep is the other half of a term: beside the ticks, never in front of them.
// It returns nil when ctx ends and an error when the token no longer holds the
// seat.
func (t *term) sweep(ctx context.Context) error {
	select {
	case <-t.adopted:
	case <-ctx.Done():
		return nil
	}
	var words throttle
	for failures := 0; ctx.Err() == nil; {
		failpoint.Hit(failpoint.BeforeSweep)
		more, err := t.store.Sweep(ctx, t.token, t.takeRunning(), t.find)
		failpoint.Hit(failpoint.Swept)
		fed := false
		if err == nil {
			fed, err = t.store.Feed(ctx, t.token, t.find)
			failpoint.Hit(failpoint.Fed)
		}
		switch {
		case errors.Is(err, leader.ErrFenced):
			return fmt.Errorf("scheduler: sweep: %w", err)
		case err != nil:
			if failures++; ctx.Err() == nil && words.allow(time.Now()) {
				t.log.Warn("scheduler: expired leases cannot be swept; retries wait", "error", err)
			}
			pause(ctx, sweepEvery+backoff(failures))
		default:
			failures = 0
			switch {
			case more:
			case fed:
				pause(ctx, feedEvery)
			default:
				pause(ctx, sweepEvery)
			}
		}
	}
	return nil
}

// takeRunning reports whether a lease that looks expired may be believed. While
// the store was away nobody could renew, so all leases look expired when it
// comes back: a node that has not seen it answer for a whole lease cannot tell
// a dead node from one that had nobody to talk to.
func (t *term) takeRunning() bool { return t.store.SteadyFor() >= t.lease }
