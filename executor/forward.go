package executor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"carillon/internal/failpoint"
	"carillon/jobs"
)

// forward executes the steps of a run from the first one that has not succeeded.
// A job without steps and undo is one part, which nobody needs to know of: it
// records nothing and costs no round trip.
func (e *Executor) forward(a *attempt) end {
	ctx := a.ctx
	if t := a.job.Timeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t, &timedOut{whose: "the job", after: t})
		defer cancel()
	}
	if recorded(a.job) {
		return e.forwardSteps(ctx, a)
	}
	part := Part{Step: jobs.SoleStep, Action: &a.job.Action}
	return end{Report: e.cfg.Actions.Run(ctx, e.at(a, part), a.log.writer())}
}

// forwardSteps records each step, with its undo, and executes it then.
func (e *Executor) forwardSteps(ctx context.Context, a *attempt) end {
	plan := a.job.Plan()
	var report Report
	for i := max(a.claim.Step, 0); i < len(plan); i++ {
		step := &plan[i]
		part := Part{Step: step.Name, Action: &step.Action, Timeout: step.Timeout}
		record := jobs.StepRecord{RunID: a.claim.RunID, Token: a.claim.Token, Index: i, Name: step.Name, Undo: step.Undo != nil}
		a.came.begin(i) // an undo bears that its step never began
		failpoint.Hit(failpoint.BeforeStep)
		err := e.record(ctx, a, func(ctx context.Context) (bool, error) { return e.store.Step(ctx, record) })
		if err != nil {
			report = Report{Err: err}
		} else {
			failpoint.Hit(failpoint.StepRecorded)
			report = e.tries(ctx, a, part, step.Retry)
			failpoint.Hit(failpoint.StepDone)
		}
		if report.Err != nil {
			report.Err = inPart(part, report.Err)
			return end{step: step.Name, Report: report}
		}
	}
	return end{Report: report}
}

// inPart says where an error occurred, in a job that has more than one part.
func inPart(p Part, err error) error {
	if p.sole() && !p.Undo {
		return err
	}
	return fmt.Errorf("%s: %w", p.name(), err)
}

// tries executes a part, again and again as its own retry policy says, while the
// lease is held.
func (e *Executor) tries(ctx context.Context, a *attempt, p Part, retry jobs.Retry) Report {
	for n := 1; ; n++ {
		if ctx.Err() != nil {
			return Report{Err: cutShort(ctx)}
		}
		if !p.sole() || p.Undo {
			a.log.mark(a.secrets, title(p, n, retry.Attempts))
		}
		report := e.cfg.Actions.Run(ctx, e.at(a, p), a.log.writer())
		switch {
		case report.Err == nil, n >= retry.Attempts, !worth(retry, report):
			return report
		case report.StillRuns, a.lease().lost, ctx.Err() != nil, notTheJobs(nil, report.Err) != nil:
			return report
		}
		delay := retryDelay(retry, n, a.claim.RunID+p.Step, report.RetryAfter)
		a.log.mark(a.secrets, fmt.Sprintf("%s: %s: trying again in %s", p.name(), report.Err, delay.Round(time.Millisecond)))
		if !pause(ctx.Done(), delay) {
			report.Err = fmt.Errorf("%w (it waited for try %d after: %w)", cutShort(ctx), n+1, report.Err)
			return report
		}
	}
}

// title is the line above the output of a part.
func title(p Part, try, tries int) string {
	text := "step " + p.Step
	switch {
	case p.Undo && p.sole():
		text = "undo"
	case p.Undo:
		text = "undo " + p.Step
	}
	if tries > 1 {
		text += fmt.Sprintf(", try %d of %d", try, tries)
	}
	return text
}

// recordPatience bounds one call of the store.
const recordPatience = 5 * time.Second

// record tells the store something of this attempt until it answers. The error
// says why the attempt must not go on: its context ended, or its run is another's.
func (e *Executor) record(ctx context.Context, a *attempt, tell func(context.Context) (held bool, err error)) error {
	wait := 25 * time.Millisecond
	for {
		if ctx.Err() != nil {
			return cutShort(ctx)
		}
		timed, cancel := context.WithTimeout(ctx, recordPatience)
		held, err := tell(timed)
		cancel()
		switch {
		case err == nil && held:
			return nil
		case err == nil:
			a.markLost()
			e.log.Warn("this run is not ours any more: another attempt holds it, or Redis lost its record; ours stops between two steps", "run", a.claim.RunID, "attempt", a.claim.Attempt)
			return fmt.Errorf("%w: the run is not this attempt's any more", ErrLeaseLost)
		case ctx.Err() != nil:
			return cutShort(ctx)
		}
		e.complain.warn("a step cannot be recorded, and must not start before that; trying again", "run", a.claim.RunID, "error", err)
		wait = min(2*wait, time.Second)
		pause(ctx.Done(), time.Duration(rand.Int64N(int64(wait))+1))
	}
}
