package scheduler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"carillon/internal/failpoint"
	"carillon/leader"
)

const (
	// wakeAtLeast bounds every sleep, so that a clock that was set or a machine
	// that slept is noticed within a second.
	wakeAtLeast = time.Second

	// fine is how long before a tick the timer wakes: Go's timers may be up to a
	// millisecond late on a quiet machine, and nap sleeps out the rest.
	fine = time.Millisecond

	// jump is how far the store's clock and the local monotonic one may drift
	// apart between two wakes before it is called a jump.
	jump = 2 * time.Second
)

// term is one leadership at work. play owns everything in it but what sweep
// reads: the store, the token and adopted.
type term struct {
	*Scheduler
	token   string
	agenda  *agenda
	stale   bool          // what is decided is unknown: adopt before the next commit
	reload  bool          // the schedule changed: adopt after the next commit
	adopted chan struct{} // closed after the first Adopt

	failures int       // passes in a row that ended in an error
	downFrom time.Time // since the first of them
	words    throttle

	seen   time.Time // the store's clock at the last look,
	seenAt time.Time // and the local one, with its monotonic reading
}

// play passes and sleeps until the term ends.
func (t *term) play(ctx context.Context) error {
	t.stale = true
	for {
		if err := t.pass(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if errors.Is(err, leader.ErrFenced) {
				return fmt.Errorf("scheduler: %w", err)
			}
			t.stale = true
			t.complain(err)
			pause(ctx, backoff(t.failures))
			continue
		}
		t.recovered()
		t.beat()
		t.sleep(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// pass brings the store up to date: it adopts when it has to and commits what
// is due, one batch, or all of it before a reload.
func (t *term) pass(ctx context.Context) error {
	if t.stale {
		if err := t.adopt(ctx); err != nil {
			return err
		}
	}
	for {
		some, err := t.commit(ctx)
		if err != nil {
			return err
		}
		if !t.reload {
			return nil
		}
		if !some {
			return t.adopt(ctx)
		}
	}
}

// adopt makes the newest schedule this term's, and takes the cursors from the
// store: the only place that knows them after a change of leader, after a
// commit whose answer was lost, and when a job changed its timing.
func (t *term) adopt(ctx context.Context) error {
	sched, list := t.scheduled()
	if sched != nil {
		if err := t.store.Rename(ctx, t.token, sched); err != nil {
			return err
		}
	}
	adopted, err := t.store.Adopt(ctx, t.token, list)
	if err != nil {
		return err
	}
	failpoint.Hit(failpoint.Adopted)
	if t.agenda != nil {
		err = t.agenda.update(list, adopted)
	} else if t.agenda, err = newAgenda(list, adopted); err == nil {
		close(t.adopted)
	}
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	t.stale, t.reload = false, false
	t.log.Debug("scheduler: jobs adopted", "jobs", len(list))
	return nil
}

// commit commits one batch of what is due; some is false when nothing was.
func (t *term) commit(ctx context.Context) (some bool, err error) {
	ds := t.agenda.due(t.look())
	if len(ds) == 0 {
		return false, nil
	}
	failpoint.Hit(failpoint.BeforeCommit)
	vs, err := t.store.Commit(ctx, t.token, ds)
	if err != nil {
		return false, err // it says what it was
	}
	failpoint.Hit(failpoint.Committed)
	if err := t.agenda.settle(ds, vs, t.now()); err != nil {
		return false, fmt.Errorf("commit: %w", err)
	}
	return true, nil
}

// now is the store's clock, without a monotonic reading: it is compared with
// ticks, and must not be measured against the local clock by accident.
func (t *term) now() time.Time { return t.store.Now().Round(0) }

// look reads the store's clock and notices when it jumped. Nothing is lost by a
// jump: what it passed over is decided late, and what it took back was decided
// and stays so. Only the pauses of waiting jobs are measured anew.
func (t *term) look() time.Time {
	now, local := t.now(), time.Now()
	if !t.seen.IsZero() {
		if by := now.Sub(t.seen) - local.Sub(t.seenAt); by.Abs() > jump {
			t.log.Warn("scheduler: the clock jumped or the machine slept; overdue ticks follow the catch-up rules",
				"by", by.Round(time.Millisecond))
			t.agenda.replan()
		}
	}
	t.seen, t.seenAt = now, local
	return now
}

// sleep returns when the next tick is due, to some tens of microseconds, after
// a second, on a reload, or when ctx ends.
func (t *term) sleep(ctx context.Context) {
	d := t.left()
	if d > wakeAtLeast {
		t.rest(ctx, wakeAtLeast)
		return
	}
	if d > fine {
		if !t.rest(ctx, d-fine) {
			return
		}
		d = t.left()
	}
	if 0 < d && d <= fine {
		t.nap(d)
		d = t.left()
	}
	// Nothing, or the hair by which the sleep was short, or more when the clock
	// was set back meanwhile. Even for nothing it looks for a reload.
	t.rest(ctx, min(d, wakeAtLeast))
}

// left is how long until the agenda has something to look at.
func (t *term) left() time.Duration {
	next, ok := t.agenda.next()
	if !ok {
		return math.MaxInt64
	}
	return next.Sub(t.now())
}

// rest waits for d; false when a reload or the end of ctx cut it short.
func (t *term) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.reloaded:
		t.reload = true
		return false
	case <-timer.C:
		return true
	}
}

// complain says, not too often, that the store does not do its part.
func (t *term) complain(err error) {
	if t.failures == 0 {
		t.downFrom = time.Now()
	}
	t.failures++
	if t.words.allow(time.Now()) {
		t.log.Warn("scheduler: the store does not take decisions; undecided ticks wait",
			"error", err, "for", time.Since(t.downFrom).Round(time.Millisecond), "tries", t.failures)
	}
}

// recovered says that it does again.
func (t *term) recovered() {
	if t.failures > 0 {
		t.log.Info("scheduler: the store takes decisions again",
			"after", time.Since(t.downFrom).Round(time.Millisecond), "tries", t.failures)
		t.failures = 0
	}
}
