package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"carillon/internal/failpoint"
	"carillon/jobs"
)

// backward undoes a run: the undos of its rollback list, in that order. Each is
// taken off the list when it has succeeded; one that is spent ends the rollback,
// and the list keeps the rest. The job's timeout is not theirs: what was done is
// undone, however long it takes.
func (e *Executor) backward(a *attempt) end {
	plan := a.job.Plan()
	for i, name := range a.claim.Rollback {
		left := a.claim.Rollback[i:]
		step := slices.IndexFunc(plan, func(s jobs.Step) bool { return s.Name == name })
		if step < 0 || plan[step].Undo == nil {
			return end{step: name, left: left, Report: Report{Err: fmt.Errorf("step %q has no undo in the schedule of this node", name)}}
		}
		undo := plan[step].Undo
		part := Part{Step: name, Undo: true, Action: &undo.Action, Timeout: undo.Timeout}
		failpoint.Hit(failpoint.BeforeUndo)
		report := e.tries(a.ctx, a, part, undo.Retry)
		if report.Err == nil {
			failpoint.Hit(failpoint.UndoDone)
			report.Err = e.undone(a, name)
		}
		if report.Err != nil {
			report.Err = inPart(part, report.Err)
			return end{step: name, left: left, Report: report}
		}
		a.came.undid(i + 1)
		failpoint.Hit(failpoint.UndoRecorded)
	}
	failpoint.Hit(failpoint.BeforeRolledBack)
	return end{}
}

// undone takes an undo off the rollback list. A node that shuts down says so
// before it gives the run back, or the next one would undo the step again.
func (e *Executor) undone(a *attempt, step string) error {
	ctx := a.ctx
	if errors.Is(context.Cause(ctx), ErrDraining) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(e.work, logFlushHurried, ErrDraining)
		defer cancel()
	}
	return e.record(ctx, a, func(ctx context.Context) (bool, error) {
		return e.store.Undone(ctx, a.claim.RunID, a.claim.Token, step)
	})
}

// byHand says what a rollback that failed leaves to do: pure.
func byHand(why string, left []string) string {
	switch len(left) {
	case 0:
		return why
	case 1:
		return fmt.Sprintf("%s; left to undo by hand: %s (carillon rollback tries it again)", why, left[0])
	default:
		return fmt.Sprintf("%s; left to undo by hand, in this order: %s (carillon rollback tries them again)", why, strings.Join(left, ", "))
	}
}
