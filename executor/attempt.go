package executor

import (
	"context"
	"errors"
	"sync"
	"time"

	"carillon/jobs"
)

// attempt is one run in one slot.
type attempt struct {
	claim  jobs.Claim
	job    *jobs.Job
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	renewed time.Time // sending of the last accepted renewal, or of the claim
	never   bool      // no renewal since the claim
}

func (a *attempt) renewedAt() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.renewed
}

func (a *attempt) neverRenewed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.never
}

func (a *attempt) markRenewed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.never = false
}

// setRenewed moves the lease on; false when the attempt is being ended, because
// an attempt that was told to end does not come back.
func (a *attempt) setRenewed(from time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if errors.Is(context.Cause(a.ctx), ErrLeaseLost) {
		return false
	}
	a.renewed = from
	return true
}

// verdict turns the report of an attempt into what is written: pure.
func verdict(job *jobs.Job, claim jobs.Claim, report Report) jobs.Result {
	r := jobs.Result{RunID: claim.RunID, Token: claim.Token, Status: jobs.Succeeded, ExitCode: report.ExitCode}
	if report.Err == nil {
		return r
	}
	r.Error = report.Err.Error()
	r.Status = jobs.Failed
	if failures := claim.Failures + 1; failures < job.Retry.Attempts {
		r.Status = jobs.Retrying
		r.RetryIn = jobs.RetryDelay(job.Retry, failures, claim.RunID)
	}
	return r
}

// notTheJobs returns why an attempt ended when that was this node's doing and not
// the job's failure: the run then goes back, if it still is ours. The cause is
// that of the attempt's context; the watcher may have ended it without one.
func notTheJobs(cause, err error) error {
	for _, why := range []error{ErrLeaseLost, ErrDraining} {
		if err != nil && (errors.Is(cause, why) || errors.Is(err, why)) {
			return why
		}
	}
	return nil
}

// logFlush bounds how long a result waits for the rest of its output to be
// stored: a result is worth more than the last lines of a log.
const logFlush = 30 * time.Second

// logFlushHurried is the same for a run that goes back: another node could start
// it already.
const logFlushHurried = 2 * time.Second

// execute runs one attempt in its slot, from its start to the hand-in of its
// result.
func (e *Executor) execute(a *attempt) {
	defer e.attempts.Done()
	defer a.cancel(nil)
	out := NewOutput(e.store, a.claim.RunID, a.claim.Attempt)
	report := e.cfg.Actions.Run(a.ctx, Attempt{
		Claim: a.claim, Job: a.job, Node: e.cfg.Node, Boot: e.cfg.Boot, Epoch: a.claim.Epoch,
		Deadline: a.renewedAt().Add(part(e.cfg.Lease, killAt)),
	}, out)
	cause, patience := notTheJobs(context.Cause(a.ctx), report.Err), logFlush
	if cause != nil {
		patience = logFlushHurried
	}
	flush, cancel := context.WithTimeout(e.work, patience)
	written, kept := out.Close(flush)
	cancel()

	if cause != nil {
		e.board.end(a.claim.Token, nil)
		e.giveBack(jobs.Release{RunID: a.claim.RunID, Token: a.claim.Token, Kind: jobs.ReleaseStarted, Reason: cause.Error()})
		return
	}
	result := verdict(a.job, a.claim, report)
	result.OutputBytes, result.LogBytes = written, kept
	e.board.end(a.claim.Token, &result)
}
