package leader

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-redsync/redsync/v4"
)

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second
	// complainEvery is how often a follower repeats that it cannot reach the store.
	complainEvery = 5 * time.Second
	// spread is the most by which followers are kept apart when a seat becomes
	// vacant, so that most of them find it taken instead of fighting for it.
	spread = 50 * time.Millisecond
)

// follow waits until this node holds the seat. It returns nil when ctx ended.
func (e *Elector) follow(ctx context.Context) *candidacy {
	var trouble trouble
	for ctx.Err() == nil {
		c, wait, err := e.look(ctx)
		if c != nil {
			return c
		}
		if err != nil {
			wait = trouble.backoff(rand.Float64())
			if ctx.Err() == nil && trouble.worthSaying(time.Now()) {
				e.log.Warn("standing for election, but cannot be elected", "error", err)
			}
		} else {
			trouble.over()
		}
		if e.sleep(ctx, wait) {
			pause(ctx, jitter(spread))
		}
	}
	return nil
}

// look sees who holds the seat, and takes it if nobody does. Otherwise it
// returns when to look again.
func (e *Elector) look(ctx context.Context) (*candidacy, time.Duration, error) {
	call, cancel := context.WithTimeout(ctx, e.callFor())
	holder, ttl, err := e.seat.Holder(call)
	cancel()
	if err == nil {
		e.vacancy.saw(holder, time.Now(), e.cfg.TTL)
		if holder != "" {
			e.splits = 0
		}
	}
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("look at the seat: %w", err)
	case holder == "":
		if wait := e.holdBack(ctx); wait > 0 {
			return nil, wait, nil
		}
		if e.cfg.Quorum != nil {
			return e.stand(ctx)
		}
		return e.try(ctx)
	case e.mine(holder):
		// Nobody leads with it: this node is here. The reply to taking it, or
		// to giving it back, was lost.
		return nil, jitter(spread), e.free(ctx, holder)
	case ttl < 0:
		return nil, 0, fmt.Errorf("look at the seat: %s holds it for ever: delete the key %s, it has no expiry", holder, e.seat.LockKey())
	}
	return nil, lookAgain(ttl, rand.Float64()), nil
}

// holdBack asks whether the vacant seat should be left to another node; if so it
// returns when to look again.
func (e *Elector) holdBack(ctx context.Context) time.Duration {
	if e.cfg.Yield == nil {
		return 0
	}
	call, cancel := context.WithTimeout(ctx, e.callFor())
	defer cancel()
	why := e.cfg.Yield(call, e.vacancy.since)
	if why == "" {
		return 0
	}
	if !e.vacancy.said {
		e.vacancy.said = true
		e.log.Info("the seat is vacant, and left to another node", "why", why)
	}
	return min(lookEvery, e.cfg.TTL) / 2
}

// vacancy is since when a follower has found the seat vacant. A term that was
// over before it lasted a TTL does not count: a node that takes the seat again
// and again and cannot keep it must not keep the others waiting for ever.
type vacancy struct {
	since  time.Time // zero: the seat is held
	holder string    // the token seen last
	held   time.Time // since when it has been seen
	said   bool      // that this node holds back
}

func (v *vacancy) saw(holder string, now time.Time, ttl time.Duration) {
	switch {
	case holder == "":
		if v.since.IsZero() {
			v.since = now
		}
		v.holder = ""
	case holder != v.holder:
		v.holder, v.held = holder, now
	case now.Sub(v.held) >= ttl:
		v.since, v.said = time.Time{}, false
	}
}

// try takes the vacant seat. A nil candidacy without an error means that
// another node was faster.
func (e *Elector) try(ctx context.Context) (*candidacy, time.Duration, error) {
	token := e.newToken()
	m := e.lock.NewMutex(e.seat.LockKey(),
		redsync.WithExpiry(e.cfg.TTL),
		redsync.WithTries(1),
		redsync.WithTimeoutFactor(1.0/6), // as callFor
		redsync.WithGenValueFunc(func() (string, error) { return token, nil }),
	)
	start := e.read()
	// TryLock takes back a failed attempt, and must be able to do so after
	// ctx has ended: else the seat would stay taken by nobody for a TTL. Its
	// calls are limited by the factor above.
	err := m.TryLockContext(context.WithoutCancel(ctx))
	var taken *redsync.ErrTaken
	if errors.As(err, &taken) {
		return nil, jitter(spread), nil // now look how long the winner has it
	}
	if err != nil {
		return nil, 0, fmt.Errorf("take the seat: %w", err)
	}

	c := &candidacy{lock: sole{m}, trust: trust{from: start, span: trustSpan(e.cfg.TTL)}}
	call, cancel := context.WithTimeout(ctx, e.callFor())
	defer cancel()
	epoch, since, err := e.seat.Install(call, token, e.cfg.Node)
	if err != nil {
		if ferr := e.free(ctx, token); ferr != nil {
			err = errors.Join(err, ferr)
		}
		return nil, 0, fmt.Errorf("begin a term: %w", err)
	}
	c.term = Term{Node: e.cfg.Node, Token: token, Epoch: epoch, Since: since}
	return c, 0, nil
}

// newToken makes up the token of a term that is to be.
func (e *Elector) newToken() string {
	e.terms++
	return fmt.Sprint(e.prefix, e.terms)
}

// free removes the lock if it holds token, a token of ours without a term.
func (e *Elector) free(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.callFor())
	defer cancel()
	var l lock = sole{e.lock.NewMutex(e.seat.LockKey(), redsync.WithValue(token))}
	if e.cfg.Quorum != nil {
		l = e.shared(token)
	}
	if _, err := l.giveBack(ctx); err != nil {
		return fmt.Errorf("free the seat: %w", err)
	}
	return nil
}

// lookAgain is when to look again at a seat that is held for ttl more, if it
// is not renewed. r in [0, 1) sets the nodes apart.
func lookAgain(ttl time.Duration, r float64) time.Duration {
	apart := time.Duration(r * float64(spread))
	if ttl >= lookEvery {
		return lookEvery - apart
	}
	return min(ttl+time.Millisecond+apart, lookEvery)
}

// giveWay is how long a node whose lead failed leaves the seat to the others.
func giveWay() time.Duration { return maxBackoff/4 + jitter(maxBackoff*3/4) }

func jitter(most time.Duration) time.Duration { return rand.N(most) }

// sleep waits for d, or for the hint that the seat is vacant. It reports
// whether the hint came.
func (e *Elector) sleep(ctx context.Context, d time.Duration) (hinted bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-e.seat.Vacancies():
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// pause waits for d whatever anybody hints.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// trouble is a row of failures: how long to wait, and when to say so.
type trouble struct {
	failures int
	said     time.Time
}

// backoff counts a failure and returns how long to wait after it: doubling
// from 50 ms to 1 s, the upper half of it by r in [0, 1).
func (t *trouble) backoff(r float64) time.Duration {
	d := min(minBackoff<<min(t.failures, 10), maxBackoff)
	t.failures++
	return d/2 + time.Duration(r*float64(d/2))
}

func (t *trouble) worthSaying(now time.Time) bool {
	if !t.said.IsZero() && now.Sub(t.said) < complainEvery {
		return false
	}
	t.said = now
	return true
}

func (t *trouble) over() { *t = trouble{} }
