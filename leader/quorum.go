package leader

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-redsync/redsync/v4"
)

// This file is the election over several lock Redises; the package comment says
// how it goes and what it is worth.

// enactTries is how often a winner whose epoch was too low for the others looks
// for a higher one. Once is enough unless two are at it at the same moment.
const enactTries = 3

// stand is try over a quorum.
func (e *Elector) stand(ctx context.Context) (*candidacy, time.Duration, error) {
	token := e.newToken()
	// It waits for every lock Redis, so that it ends with the lock on all that
	// live, or on none. One that hangs costs a TTL/6.
	m := e.lock.NewMutex(e.cfg.Quorum.LockName(),
		redsync.WithExpiry(e.cfg.TTL),
		redsync.WithTries(1),
		redsync.WithTimeoutFactor(1.0/6), // as callFor
		redsync.WithGenValueFunc(func() (string, error) { return token, nil }),
	)
	start := e.read()
	// As in try: a failed attempt must be taken back, also after ctx has ended.
	if err := m.TryLockContext(context.WithoutCancel(ctx)); err != nil {
		silent, why := unanswered(err)
		if all := len(e.cfg.Quorum.Pools()); all-silent < e.most() {
			return nil, 0, fmt.Errorf("take the seat: %d of %d lock Redises answered, %d are needed: %w", all-silent, all, e.most(), why)
		}
		return nil, e.afterSplit(), nil
	}
	c := &candidacy{lock: e.shared(token), trust: trust{from: start, span: trustSpan(e.cfg.TTL)}}
	term, err := e.enact(ctx, token, c.trust)
	if err == nil && term != nil {
		c.term = *term
		return c, 0, nil
	}
	if ferr := e.free(ctx, token); ferr != nil && err != nil {
		err = errors.Join(err, ferr)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("begin a term: %w", err)
	}
	return nil, e.afterSplit(), nil
}

// enact gives the term of token, which was just elected, an epoch that no later
// winner can fall below, and installs it. It returns nil without an error when
// another node is in front.
//
// Two rounds make the epoch: the lock Redises that hold the token propose one
// each, above all that they have heard of, and the highest is recorded on most of
// them. Whoever wins later has the lock on most of them too, so at least one of
// those tells it. A delayed winner does not come through the second round, or is
// refused by the Redis of the data.
func (e *Elector) enact(ctx context.Context, token string, t trust) (*Term, error) {
	q, floor := e.cfg.Quorum, int64(0)
	for range enactTries {
		above := floor // of this round: who answers late is asked late, too
		granted, epoch, err := e.ballot(ctx, func(ctx context.Context, i int) (bool, int64, error) {
			return q.Propose(ctx, i, token, above)
		})
		if granted < e.most() {
			return nil, err
		}
		// Those that do not hold the token may have heard of a higher one.
		epoch = max(epoch, floor+1)
		granted, known, err := e.ballot(ctx, func(ctx context.Context, i int) (bool, int64, error) {
			return q.Record(ctx, i, token, epoch)
		})
		if granted < e.most() {
			if known < epoch {
				return nil, err
			}
			floor = known
			continue
		}
		left, why := t.left(e.read())
		if why != nil {
			return nil, why
		}
		call, cancel := context.WithTimeout(ctx, min(e.callFor(), left))
		in, err := q.InstallAt(call, token, e.cfg.Node, epoch, e.cfg.TTL)
		cancel()
		if err != nil {
			return nil, err
		}
		if in.OK {
			return &Term{Node: e.cfg.Node, Token: token, Epoch: epoch, Since: in.Since}, nil
		}
		if in.Holder != "" {
			return nil, nil // a higher one is in force: it may rule, whatever the lock says
		}
		// Nobody rules, and yet a higher epoch was installed: the lock Redises
		// forgot it, or had no part in it.
		floor = max(in.Epoch, epoch)
	}
	return nil, nil
}

// ballot puts a question to all lock Redises at once. It returns how many granted
// it and the highest epoch that any of them named, when all have answered, or a
// little after enough have: one that hangs keeps nobody waiting. The error says
// which did not answer, when too few granted it for that.
func (e *Elector) ballot(ctx context.Context, ask func(ctx context.Context, i int) (bool, int64, error)) (granted int, known int64, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.callFor())
	context.AfterFunc(ctx, cancel) // who answers late is not cut off
	type vote struct {
		granted bool
		known   int64
		err     error
	}
	all := len(e.cfg.Quorum.Pools())
	votes := make(chan vote, all)
	for i := range all {
		go func() {
			var v vote
			v.granted, v.known, v.err = ask(ctx, i)
			votes <- v
		}()
	}
	var enough <-chan time.Time
	var silent []error
	for range all {
		select {
		case v := <-votes:
			known = max(known, v.known)
			if v.err != nil {
				silent = append(silent, v.err)
			}
			if v.granted {
				granted++
			}
			if granted == e.most() && enough == nil {
				enough = time.After(spread)
			}
		case <-enough:
			return granted, known, nil
		}
	}
	if all-len(silent) < e.most() {
		return granted, known, fmt.Errorf("%d of %d lock Redises answered, %d are needed: %w", all-len(silent), all, e.most(), silent[0])
	}
	return granted, known, nil
}

// most is how many lock Redises are more than half of them.
func (e *Elector) most() int { return len(e.cfg.Quorum.Pools())/2 + 1 }

// afterSplit is when to stand again after a vote that was not won. It grows, so
// that the electors get out of each other's way.
func (e *Elector) afterSplit() time.Duration {
	d := jitter(min(spread<<min(e.splits, 5), maxBackoff))
	e.splits++
	return d
}

// sharedLock is the lock on a quorum, and what was installed in its place.
type sharedLock struct {
	*redsync.Mutex
	quorum Quorum
	token  string
	ttl    time.Duration
}

// shared is the lock of token.
func (e *Elector) shared(token string) *sharedLock {
	return &sharedLock{quorum: e.cfg.Quorum, token: token, ttl: e.cfg.TTL,
		Mutex: e.lock.NewMutex(e.cfg.Quorum.LockName(),
			redsync.WithExpiry(e.cfg.TTL),
			redsync.WithValue(token),
			// A lock Redis that came back empty is locked again: else one after
			// the other would be lost to us. What is installed tells whether
			// somebody else led meanwhile.
			redsync.WithSetNXOnExtend(),
			// One that hangs must not delay a renewal or a resignation.
			redsync.WithFailFast(true),
		)}
}

// renew lets both live for another TTL: the lock, and the token on the Redis of
// the data. The term has no force without either.
func (l *sharedLock) renew(ctx context.Context, timeout time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var installed bool
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		installed, err = l.quorum.Prolong(ctx, l.token, l.ttl)
	}()
	locked, lerr := extended(l.ExtendContext(outlive(ctx)))
	<-done
	switch {
	case lerr == nil && !locked, err == nil && !installed:
		return false, nil
	case lerr != nil:
		return false, shorten(lerr)
	case err != nil:
		return false, fmt.Errorf("renew: %w", err)
	}
	return true, nil
}

// giveBack removes the token from the Redis of the data, and the lock. When the
// lock Redises do not answer, half of the time is left to tell the others.
func (l *sharedLock) giveBack(ctx context.Context) (ours bool, err error) {
	deadline, _ := ctx.Deadline()
	half, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := sole{l.Mutex}.giveBack(outlive(half))
		done <- err
	}()
	removed, err := l.quorum.Uninstall(ctx, l.token)
	return removed, errors.Join(err, shorten(<-done))
}

// outlive returns a context that ends at the deadline of ctx, which has one, but
// not before. With a quorum a call returns while the slower half is still at it,
// and that half should not be cut off.
func outlive(ctx context.Context) context.Context {
	deadline, _ := ctx.Deadline()
	free, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	context.AfterFunc(free, cancel)
	return free
}

// unanswered counts the lock Redises in an error of redsync that did not answer,
// and returns what was wrong with one of them.
func unanswered(err error) (n int, why error) {
	if silent, ok := err.(*redsync.RedisError); ok { //nolint:errorlint // the tree is walked by hand
		return 1, silent.Err
	}
	if tree, ok := err.(interface{ Unwrap() []error }); ok {
		for _, branch := range tree.Unwrap() {
			if k, w := unanswered(branch); k > 0 {
				n, why = n+k, w
			}
		}
		return n, why
	}
	if inner := errors.Unwrap(err); inner != nil {
		return unanswered(inner)
	}
	return 0, nil
}

// shorten makes one line of an error that has one for each lock Redis.
func shorten(err error) error {
	n, why := unanswered(err)
	if n == 0 || !strings.Contains(err.Error(), "\n") {
		return err
	}
	return fmt.Errorf("%d lock Redises do not answer: %w", n, why)
}
