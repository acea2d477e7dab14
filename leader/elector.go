package leader

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-redsync/redsync/v4"
	redsyncredis "github.com/go-redsync/redsync/v4/redis"
)

// LeadFunc does a leader's work. It returns soon after ctx ends, whatever the
// cause. Returning earlier, with or without an error, gives up the seat.
type LeadFunc = func(ctx context.Context, term Term) error

const (
	// lookEvery is the longest a leader or follower goes without looking at
	// its clocks or at the seat.
	lookEvery = time.Second
	// yieldEvery is how often a leader asks whether another should lead instead.
	yieldEvery = 2 * time.Second
	// joinFor is how long resigning waits for lead to return. Longer only
	// delays the successor; see the package comment.
	joinFor = 100 * time.Millisecond
	// warnAfter is how long lead may take to return before that is reported.
	warnAfter = time.Second
	// resignFor is how long giving back the lock may take. It has its own
	// limit because the context of a resigning node has usually ended.
	resignFor = time.Second
)

// Elector stands for election on behalf of one node. It may be used for one
// Run at a time.
type Elector struct {
	seat Seat
	cfg  Config
	log  *slog.Logger

	lock   *redsync.Redsync // on one Redis, or on those of the quorum
	born   time.Time        // zero of the monotonic clock in readings
	prefix string           // of all tokens of this process: node:boot:
	terms  int              // tokens given out; Run's goroutine only

	vacancy vacancy // Run's goroutine only
	splits  int     // votes in a row that nobody was seen to win; Run's goroutine only

	leading atomic.Pointer[Term]
	hangs   atomic.Pointer[time.Time]
}

// New returns an elector that does nothing until Run.
func New(seat Seat, cfg Config) *Elector {
	if cfg.TTL <= 0 {
		cfg.TTL = DefaultTTL
	}
	if cfg.Boot == "" {
		cfg.Boot = rand.Text()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	pools := []redsyncredis.Pool{}
	if cfg.Quorum != nil {
		pools = cfg.Quorum.Pools()
	} else {
		pools = append(pools, seat.Pool())
	}
	return &Elector{
		seat:   seat,
		cfg:    cfg,
		log:    cfg.Logger,
		lock:   redsync.New(pools...),
		born:   time.Now(),
		prefix: cfg.Node + ":" + cfg.Boot + ":",
	}
}

// Leading returns the term this node is in. It is for display: by the time the
// caller looks at it, it may be over. Work that needs a leader belongs into
// lead, and its writes carry the token.
func (e *Elector) Leading() (Term, bool) {
	if t := e.leading.Load(); t != nil {
		return *t, true
	}
	return Term{}, false
}

// Hangs returns since when lead has not returned though its term is over; the zero
// time when there is no such lead. While it lasts this node stands for no election.
func (e *Elector) Hangs() time.Time {
	if t := e.hangs.Load(); t != nil {
		return *t
	}
	return time.Time{}
}

// Run stands for election, and calls lead for each term it wins, until ctx
// ends; then it resigns and returns nil. One lead runs at a time, and none is
// left when Run returns. Errors of the store are waited out.
func (e *Elector) Run(ctx context.Context, lead LeadFunc) error {
	for {
		c := e.follow(ctx)
		if c == nil {
			return nil
		}
		why := e.reign(ctx, c, lead)
		if errors.Is(why, ErrReturned) {
			pause(ctx, giveWay())
		}
	}
}

// candidacy is a lock that was taken, and since when it is trusted.
type candidacy struct {
	lock  lock
	term  Term
	trust trust
}

// lock is what a term stands on: on one Redis, or on a quorum.
type lock interface {
	// renew asks for another TTL. The lock is held (true, nil), lost (false, nil),
	// or there was no answer (false, err).
	renew(ctx context.Context, timeout time.Duration) (held bool, err error)
	// giveBack releases it. ours is false when there was nothing to release.
	giveBack(ctx context.Context) (ours bool, err error)
}

// reign is a term, from the call of lead to its return. It returns why the
// term ended.
func (e *Elector) reign(run context.Context, c *candidacy, lead LeadFunc) error {
	term := c.term
	log := e.log.With("epoch", term.Epoch)
	log.Info("leading", "token", term.Token)
	began := time.Now()

	ctx, cancel := context.WithCancelCause(run)
	defer cancel(nil)
	returned := make(chan error, 1)
	e.leading.Store(&term)
	go func() { returned <- lead(ctx, term) }()
	doubt := make(chan struct{})
	go func() {
		defer close(doubt)
		e.doubt(ctx, cancel)
	}()
	defer func() { <-doubt }()
	e.vacancy = vacancy{}

	done, why := e.hold(ctx, cancel, c, returned)
	cancel(why)
	why = context.Cause(ctx) // the first cause; the guard in hold may have been it
	e.leading.Store(nil)
	level := slog.LevelWarn
	if run.Err() != nil || errors.Is(why, ErrYielded) {
		level = slog.LevelInfo // as it was told to, or of its own will
	}
	log.Log(context.Background(), level, "no longer leading", "why", sentence(run, why), "after", time.Since(began).Round(time.Millisecond))

	if !done {
		done = joined(returned, joinFor)
	}
	if !errors.Is(why, ErrLost) || e.cfg.Quorum != nil { // a part of a quorum may still be ours
		e.resign(log, c)
	}
	if !done && !joined(returned, warnAfter) {
		log.Warn("lead has not returned; this node stands for no election until it does", "for", warnAfter)
		since := time.Now()
		e.hangs.Store(&since)
		<-returned
		e.hangs.Store(nil)
		log.Info("lead has returned")
	}
	return why
}

// hold keeps the lock until the term is over. It returns whether that is because
// lead returned, and why it is over.
func (e *Elector) hold(ctx context.Context, cancel context.CancelCauseFunc, c *candidacy, returned <-chan error) (done bool, why error) {
	left, why := c.trust.left(e.read())
	if why != nil {
		return false, why
	}
	// The guard ends the term on time even while a renewal hangs.
	guard := time.AfterFunc(left, func() { cancel(ErrTrustExpired) })
	defer guard.Stop()

	next := c.trust.from.mono + e.cfg.TTL/3
	failing := false
	wake := time.NewTimer(0)
	defer wake.Stop()
	for {
		wake.Reset(max(0, min(lookEvery, next-e.read().mono)))
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case err := <-returned:
			return true, leadReturned(err)
		case <-wake.C:
		}

		now := e.read()
		left, why := c.trust.left(now)
		if why != nil {
			return false, why
		}
		if now.mono < next {
			continue
		}
		held, err := c.lock.renew(ctx, min(e.callFor(), left))
		switch {
		case held:
			c.trust.from = now
			if left, why = c.trust.left(e.read()); why != nil {
				return false, why // the answer came too late to be of use
			}
			guard.Reset(left)
			next = now.mono + e.cfg.TTL/3
			if failing {
				e.log.Info("the seat is renewed again", "epoch", c.term.Epoch)
			}
			failing = false
		case err == nil:
			return false, ErrLost
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		default:
			next = now.mono + e.cfg.TTL/6
			if !failing {
				e.log.Warn("renewing the seat fails; leading on until trust ends", "epoch", c.term.Epoch,
					"left", left.Round(time.Millisecond), "error", err)
			}
			failing = true
		}
	}
}

// doubt ends a term when another node should lead instead. It asks beside the
// renewals: an answer that takes its time must not cost the seat.
func (e *Elector) doubt(ctx context.Context, cancel context.CancelCauseFunc) {
	if e.cfg.Yield == nil {
		return
	}
	tick := time.NewTicker(yieldEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		call, done := context.WithTimeout(ctx, e.callFor())
		why := e.cfg.Yield(call, time.Time{})
		done()
		if why != "" {
			cancel(fmt.Errorf("%w: %s", ErrYielded, why))
			return
		}
	}
}

// sole is the lock on one Redis.
type sole struct{ *redsync.Mutex }

func (m sole) renew(ctx context.Context, timeout time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	held, err := extended(m.ExtendContext(ctx))
	return held, unnumbered(err)
}

// unnumbered is an error of the one Redis there is, without the number that redsync gives it.
func unnumbered(err error) error {
	if e := (&redsync.RedisError{}); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// extended says what redsync's answer to an extension means; see lock.renew.
func extended(held bool, err error) (bool, error) {
	var taken *redsync.ErrTaken
	if held || errors.As(err, &taken) || errors.Is(err, redsync.ErrExtendFailed) {
		return held, nil
	}
	if err == nil {
		return false, nil
	}
	return false, fmt.Errorf("renew: %w", err)
}

func (m sole) giveBack(ctx context.Context) (bool, error) {
	released, err := m.UnlockContext(ctx)
	var taken *redsync.ErrTaken
	if errors.As(err, &taken) || errors.Is(err, redsync.ErrLockAlreadyExpired) {
		return false, nil
	}
	return released, unnumbered(err)
}

// resign gives the lock back and tells the others. It has its own time limit:
// the context of the term has ended, that is why it is called.
func (e *Elector) resign(log *slog.Logger, c *candidacy) {
	ctx, cancel := context.WithTimeout(context.Background(), resignFor)
	defer cancel()
	ours, err := c.lock.giveBack(ctx)
	if err != nil {
		log.Warn("the seat was not given back; it expires by itself", "within", e.cfg.TTL, "error", err)
	}
	if !ours {
		return // nothing was given back, so there is nothing to tell
	}
	if err := e.seat.Resigned(ctx, c.term.Token, c.term.Node); err != nil {
		log.Warn("the others were not told that the seat is vacant; they will see within a second", "error", err)
	}
}

// leadReturned is the end of a term that lead itself ended.
func leadReturned(err error) error {
	if err == nil {
		return ErrReturned
	}
	return fmt.Errorf("%w: %w", ErrReturned, err)
}

// sentence says why a term is over to whoever reads the log.
func sentence(run context.Context, why error) string {
	switch {
	case run.Err() != nil && errors.Is(why, context.Cause(run)):
		return "this node stops"
	case errors.Is(why, ErrFenced):
		return "what it wrote was refused: the lock holds another token, or none"
	case errors.Is(why, ErrLost):
		return "its lock expired, was deleted, or holds another token"
	default:
		return strings.TrimPrefix(why.Error(), "leader: ")
	}
}

// joined waits for lead to return, at most for d.
func joined(returned <-chan error, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-returned:
		return true
	case <-t.C:
		return false
	}
}

// mine reports whether this process made up the token.
func (e *Elector) mine(token string) bool { return strings.HasPrefix(token, e.prefix) }

// callFor is how long one call to the store may take.
func (e *Elector) callFor() time.Duration { return e.cfg.TTL / 6 }

// read looks at both clocks.
func (e *Elector) read() reading {
	now := time.Now()
	return reading{mono: now.Sub(e.born), wall: now.Round(0)}
}
