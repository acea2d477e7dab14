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

// nextLeaseStep decides what a lease needs. renewed is the sending of the last
// accepted renewal, or of the claim; first is true when there was none since the claim.
func nextLeaseStep(now, renewed time.Time, first bool, lease time.Duration) leaseStep {
	age := now.Sub(renewed)
	switch {
	case age >= part(lease, killAt):
		return leaseKill
	case age >= part(lease, termAt):
		return leaseTerm
	case age >= lease/3, first && age >= min(firstRenewal, lease/3):
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
			switch nextLeaseStep(now, a.renewedAt(), a.neverRenewed(), e.cfg.Lease) {
			case leaseRenew:
				due = append(due, a)
			case leaseTerm:
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
		case e.store.Down(err):
			// Nobody else can take these runs while Redis itself is down, and the sweep
			// waits a whole lease after it is back.
			e.extend(due, time.Now())
			e.complain.warn("Redis is down: running jobs go on, and their leases stand still", "runs", len(due), "error", err)
		default:
			e.complain.warn("leases could not be renewed; their runs go on until two thirds of the lease are over", "runs", len(due), "error", err)
		}
		return
	}
	kept := due[:0]
	for i, a := range due {
		if answers[i] == jobs.RenewOK {
			kept = append(kept, a)
			continue
		}
		e.log.Warn("this run is not ours any more: another attempt holds it, or Redis lost its record; ending ours", "run", a.claim.RunID, "attempt", a.claim.Attempt)
		a.cancel(ErrLeaseLost)
		e.cfg.Actions.Kill(a.claim.Token)
	}
	e.extend(kept, sent)
	for _, a := range kept {
		a.markRenewed()
	}
}

// extend moves the deadlines of attempts, here and in the watcher.
func (e *Executor) extend(list []*attempt, from time.Time) {
	tokens := make([]string, 0, len(list))
	for _, a := range list {
		if a.setRenewed(from) {
			tokens = append(tokens, a.claim.Token)
		}
	}
	e.cfg.Actions.Extend(from.Add(part(e.cfg.Lease, killAt)), tokens...)
}
