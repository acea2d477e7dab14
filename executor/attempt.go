package executor

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"carillon/internal/failpoint"
	"carillon/jobs"
)

// attempt is one run in one slot.
type attempt struct {
	claim   jobs.Claim
	job     *jobs.Job
	ctx     context.Context
	cancel  context.CancelCauseFunc
	secrets *secrets // nil: the job has none; it and log are set before the first part starts
	log     journal
	signed  signedLog
	came    progress
	began   time.Time // sending of the claim

	mu    sync.Mutex
	state leaseState
}

// keep: the attempt may finish although its run may be another's.
func (a *attempt) keep() bool { return a.job.OnLost == jobs.OnLostKeep }

func (a *attempt) lease() leaseState {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

func (a *attempt) markRenewed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.never = false
}

func (a *attempt) markLost() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.lost = true
}

// setRenewed moves the lease on; false when the attempt is being ended, because
// an attempt that was told to end does not come back.
func (a *attempt) setRenewed(from time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if errors.Is(context.Cause(a.ctx), ErrLeaseLost) {
		return false
	}
	a.state.renewed = from
	return true
}

// at is the attempt as the actions see it, about to execute that part.
func (e *Executor) at(a *attempt, p Part) *Attempt {
	at := &Attempt{Claim: a.claim, Job: a.job, Part: p, Node: e.cfg.Node, Boot: e.cfg.Boot, Epoch: a.claim.Epoch, secrets: a.secrets}
	if !a.keep() {
		at.Deadline = a.lease().renewed.Add(part(e.cfg.Lease, killAt))
	}
	return at
}

// end is how the parts of an attempt ended, taken together.
type end struct {
	Report            // of the last part that was executed
	step     string   // at which it stopped; "" when all is done, or nothing was recorded
	left     []string // with Claim.Undoing: the steps that are not undone
	canceled bool     // somebody called the run off, and it noticed
}

// verdict turns the end of an attempt into what is written: pure.
func verdict(job *jobs.Job, claim jobs.Claim, e end) jobs.Result {
	r := jobs.Result{RunID: claim.RunID, Token: claim.Token, ExitCode: e.ExitCode, FailedStep: e.step}
	failures := claim.Failures + 1
	switch {
	case e.Err == nil && claim.Undoing:
		r.Status = jobs.RolledBack
	case e.Err == nil:
		r.Status = jobs.Succeeded
	case claim.Undoing:
		r.Status = jobs.RollbackFailed
		r.Error = byHand(e.Err.Error(), e.left)
	case e.canceled:
		r.Status = jobs.Canceled
		r.Error = e.Err.Error()
		if !errors.Is(e.Err, ErrCanceled) {
			r.Error = ErrCanceled.Error() + ": " + r.Error
		}
	case failures < job.Retry.Attempts && worth(job.Retry, e.Report):
		r.Status = jobs.Retrying
		r.RetryIn = retryDelay(job.Retry, failures, claim.RunID, e.RetryAfter)
		r.Error = e.Err.Error()
	default:
		r.Status = jobs.Failed
		r.Error = e.Err.Error()
	}
	return r
}

// worth reports whether a failure is worth another try, as far as the policy says:
// pure. What its timeout ended has an exit code, but not of its own.
func worth(r jobs.Retry, report Report) bool {
	return errors.Is(report.Err, ErrTimedOut) || r.Worth(report.ExitCode)
}

// stoppedAt is the step at which a claim stands that could not be started.
func stoppedAt(job *jobs.Job, c jobs.Claim) string {
	if c.Undoing {
		if len(c.Rollback) > 0 {
			return c.Rollback[0]
		}
		return ""
	}
	if recorded(job) && c.Step >= 0 && c.Step < len(job.Plan()) {
		return job.Plan()[c.Step].Name
	}
	return ""
}

// recorded: the steps of the job are made known to the store before they start.
// One action without an undo is not: there is nothing to resume at, or to undo.
func recorded(job *jobs.Job) bool { return len(job.Steps) > 0 || job.Undo != nil }

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

// shortRest is how long a node that could not start a command claims nothing.
const shortRest = time.Second

// logFlush bounds how long a result waits for the rest of its output to be
// stored: a result is worth more than the last lines of a log.
const logFlush = 30 * time.Second

// logFlushHurried is the same for a run that goes back, since another node could start
// it already: before that, and once more when the store has answered.
const logFlushHurried = 2 * time.Second

// execute runs one attempt in its slot, from its start to the hand-in of its
// result. What comes after the work is a call of its own: a goroutine starts with
// a small stack, and what is deep below a large frame has to grow it.
func (e *Executor) execute(a *attempt) {
	defer e.attempts.Done()
	defer a.cancel(nil)
	if a.claim.Undoing {
		failpoint.Hit(failpoint.UndoClaimed)
	} else {
		failpoint.Hit(failpoint.Claimed)
	}
	if err := e.open(a); err != nil {
		e.conclude(a, end{Report: Report{Err: err}, step: stoppedAt(a.job, a.claim), left: a.claim.Rollback})
	} else if a.claim.Undoing {
		e.conclude(a, e.backward(a))
	} else {
		e.conclude(a, e.forward(a))
	}
}

// open reads the secrets of an attempt and opens its log, which must not
// contain them.
func (e *Executor) open(a *attempt) (err error) {
	a.secrets, err = readSecrets(a.job.Secrets, os.LookupEnv)
	a.signed = signedLog{e.store, a.claim.Token}
	out := NewOutput(&a.signed, a.claim.RunID, a.claim.Attempt)
	a.log = journal{out: out, redact: a.secrets.redactor(out)}
	return err
}

// conclude hands in the result of an attempt, or gives its run back.
func (e *Executor) conclude(a *attempt, ended end) {
	if cause := notTheJobs(context.Cause(a.ctx), ended.Err); cause != nil {
		flush, cancel := context.WithTimeout(e.work, logFlushHurried)
		a.log.flush(flush)
		cancel()
		e.giveBack(a, jobs.Release{RunID: a.claim.RunID, Token: a.claim.Token, Kind: jobs.ReleaseStarted, Reason: cause.Error()})
		e.board.end(a, nil)
		return
	}
	flush, cancel := context.WithTimeout(e.work, logFlush)
	written, kept := a.log.close(flush)
	cancel()
	if errors.Is(ended.Err, errShort) && context.Cause(a.ctx) == nil && !a.claim.Undoing && !recorded(a.job) {
		e.complain.warn("a command cannot be started here; its run goes back, and no other is claimed for a moment", "run", a.claim.RunID, "error", ended.Err)
		e.board.rest(shortRest)
		e.giveBack(a, jobs.Release{RunID: a.claim.RunID, Token: a.claim.Token, Kind: jobs.ReleaseUnstarted, Reason: ended.Err.Error()})
		e.board.end(a, nil)
		return
	}
	ended.canceled = ended.Err != nil && errors.Is(context.Cause(a.ctx), ErrCanceled)
	result := verdict(a.job, a.claim, ended)
	result.Error = a.secrets.redact(result.Error)
	result.OutputBytes, result.LogBytes = written, kept
	failpoint.Hit(failpoint.BeforeResult)
	e.board.end(a, &result)
}

// signedLog marks what one claim writes: offsets count within it, and a run that is
// undone has the attempt number of the attempt that failed.
type signedLog struct {
	Log
	writer string
}

// AppendLog is that of the log behind it.
func (l *signedLog) AppendLog(ctx context.Context, runID string, add []jobs.LogChunk, drop []string) ([]string, error) {
	for i := range add {
		add[i].Writer = l.writer
	}
	return l.Log.AppendLog(ctx, runID, add, drop)
}
