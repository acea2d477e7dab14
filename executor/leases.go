package executor

import (
	"context"
	"time"

	"carillon/jobs"
)

// The life of a lease, counted on this node's monotonic clock from the sending of
// the last renewal that was accepted. The sweep can take the run at the full
// lease, so the old command is dead before that.
const (
	termAt = 2.0 / 3 // the attempt is told to end
	killAt = 9.0 / 10
	// claimMaxAge is how old a claim may be when its run starts.
	claimMaxAge = 1.0 / 2
	// firstRenewal comes early: an attempt that renewed once counts as a crash
	// when its node dies.
	firstRenewal = time.Second
)

func part(lease time.Duration, of float64) time.Duration { return time.Duration(float64(lease) * of) }

// leaseStep is what to do about one lease now.
type leaseStep int

const (
	leaseRest leaseStep = iota
	leaseRenew
	leaseTerm // tell the attempt to end, and go on trying to renew
	leaseKill
)

// leaseState is what is known of one lease.
type leaseState struct {
	renewed time.Time // sending of the last accepted renewal, or of the claim
	never   bool      // no renewal since the claim
	lost    bool      // the store said that another attempt holds the run
}

// nextLeaseStep decides what a lease needs. An attempt to keep is not ended for
// its lease: it is renewed until the answer is that it was lost.
func nextLeaseStep(now time.Time, l leaseState, keep bool, lease time.Duration) leaseStep {
	age := now.Sub(l.renewed)
	switch {
	case keep && l.lost:
		return leaseRest
	case keep && age >= lease/3:
		return leaseRenew
	case age >= part(lease, killAt):
		return leaseKill
	case age >= part(lease, termAt):
		return leaseTerm
	case age >= lease/3, l.never && age >= min(firstRenewal, lease/3):
		return leaseRenew
	}
	return leaseRest
}

// keepLeases looks at every lease a few times a lease and renews what is due, all
// of it in one call. One renewal is under way at a time; the looking goes on
// while it is, so that a Redis that hangs cannot delay the end of an attempt.
func (e *Executor) keepLeases(ctx context.Context) error {
	tick := time.NewTicker(max(min(e.cfg.Lease/24, 500*time.Millisecond), 10*time.Millisecond))
	defer tick.Stop()
	done := make(chan struct{}, 1)
	busy := false
	for {
		select {
		case <-ctx.Done():
			if busy {
				<-done
			}
			return nil
		case <-done:
			busy = false
			continue
		case <-tick.C:
		}
		now := time.Now()
		var due []*attempt
		for _, a := range e.board.attempts() {
			switch nextLeaseStep(now, a.lease(), a.keep(), e.cfg.Lease) {
			case leaseRenew:
				due = append(due, a)
			case leaseTerm:
				if a.ctx.Err() == nil {
					e.log.Warn("this run's lease could not be renewed for two thirds of it: ending its attempt here, since another node may start the next one when the lease is over", "run", a.claim.RunID, "attempt", a.claim.Attempt)
				}
				a.cancel(ErrLeaseLost)
				due = append(due, a)
			case leaseKill:
				a.cancel(ErrLeaseLost)
				e.cfg.Actions.Kill(a.claim.Token)
			}
		}
		if len(due) > 0 && !busy {
			busy = true
			go func() {
				e.renew(ctx, due)
				done <- struct{}{}
			}()
		}
	}
}

// renew renews the leases of attempts and ends those that lost theirs.
func (e *Executor) renew(ctx context.Context, due []*attempt) {
	refs := make([]jobs.LeaseRef, len(due))
	for i, a := range due {
		refs[i] = jobs.LeaseRef{RunID: a.claim.RunID, Token: a.claim.Token}
	}
	sent := time.Now()
	timed, cancel := context.WithTimeout(ctx, e.cfg.Lease/6)
	defer cancel()
	answers, err := e.store.Renew(timed, refs)
	if err != nil {
		switch {
		case ctx.Err() != nil:
		case e.servesNobody(ctx, err):
			// The sweep waits a whole lease after Redis is back, if the leader noticed:
			// it asks more often than this.
			if now := time.Now(); e.idle.IsZero() {
				e.idle = now
			} else if now.Sub(e.idle) > e.cfg.Lease/5 {
				e.idle = time.Time{} // each time it is proven anew
				e.extend(due, now)
			}
			e.complain.warn("Redis serves nobody: running jobs go on, and their leases stand still", "runs", len(due), "error", err)
		default:
			e.idle = time.Time{}
			e.complain.warn("leases could not be renewed; their runs go on until two thirds of the lease are over", "runs", len(due), "error", err)
		}
		return
	}
	e.idle = time.Time{}
	kept := due[:0]
	for i, a := range due {
		switch answers[i] {
		case jobs.RenewCanceled:
			e.callOff(a)
			kept = append(kept, a)
		case jobs.RenewOK:
			kept = append(kept, a)
		default:
			e.loseLease(a)
		}
	}
	e.extend(kept, sent)
	for _, a := range kept {
		a.markRenewed()
	}
}

// servesNobody asks the store what an error proves, for as long as a renewal may take.
func (e *Executor) servesNobody(ctx context.Context, err error) bool {
	timed, cancel := context.WithTimeout(ctx, e.cfg.Lease/6)
	defer cancel()
	return e.store.ServesNobody(timed, err)
}

// loseLease is what follows from the answer that an attempt does not hold its run
// any more. One to keep goes on; its result will be refused.
func (e *Executor) loseLease(a *attempt) {
	a.markLost()
	why := "this run is not ours any more: another attempt holds it, or Redis lost its record; "
	if a.keep() {
		e.log.Warn(why+"ours goes on, as its job says (on_lost: keep), but its result will not count", "run", a.claim.RunID, "attempt", a.claim.Attempt)
		return
	}
	e.log.Warn(why+"ending ours", "run", a.claim.RunID, "attempt", a.claim.Attempt)
	a.cancel(ErrLeaseLost)
	e.cfg.Actions.Kill(a.claim.Token)
}

// extend moves the deadlines of attempts, here and in the watcher. An attempt to
// keep has none.
func (e *Executor) extend(list []*attempt, from time.Time) {
	tokens := make([]string, 0, len(list))
	for _, a := range list {
		if a.setRenewed(from) && !a.keep() {
			tokens = append(tokens, a.claim.Token)
		}
	}
	e.cfg.Actions.Extend(from.Add(part(e.cfg.Lease, killAt)), tokens...)
}
