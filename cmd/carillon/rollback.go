package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

func (a *app) rollbackCommand() *cobra.Command {
	var o waitOptions
	cmd := a.command(spec{
		use:   "rollback RUN",
		short: "Go on with a rollback that failed",
		long: `Go on with a rollback that failed, at the undo that failed, once what kept it from
working is mended. Waits for its end and shows its output: exit 0 when everything is
undone, 6 when it failed again, 8 when there is nothing to go on with. Only a node
with the same definition of the job takes it.`,
		example: `  carillon rollback release@manual-019d3f
  carillon runs --status rollback_failed`,
		args: exactlyOne("one run id"),
		complete: a.completeRunsThat(runFilter{Status: jobs.RollbackFailed},
			func(r jobs.Run) bool { return r.Status == jobs.RollbackFailed }),
		run: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(st store) error { return a.rollback(cmd.Context(), st, args[0], o) })
		},
	})
	a.waitFlags(cmd, &o, "do not wait until the rollback has ended")
	return cmd
}

func (a *app) rollback(ctx context.Context, st store, id string, o waitOptions) error {
	before, err := a.findRun(ctx, st, id)
	if err != nil {
		return err
	}
	view, from, err := a.seen(ctx, st, id)
	if err != nil {
		return err
	}
	resumed, status, err := st.ResumeRollback(ctx, id, a.whoami())
	switch {
	case errors.Is(err, errNoRun):
		return fail(exitNotFound, "run %q is no longer in Redis", id)
	case err != nil:
		return err
	case !resumed:
		return nothingToUndo(id, status)
	case before.Status == jobs.RollingBack:
		a.say("%s is being rolled back already", id)
	default:
		a.say("rolling back %s: %s", id, oneLine(stepNames(before.Rollback)))
	}
	if o.detach {
		return outputFailed(a.acted(actionView{ID: id, Answer: "rolling_back", Status: status}))
	}
	before.Status = jobs.RollingBack // which is no news any more
	run, err := a.keepOne(ctx, st, vigil{id: id, goesOn: "the rollback goes on", view: view, from: from, last: before}, o)
	if err != nil {
		return err
	}
	if run.Status == jobs.RolledBack {
		return a.sayFate(run)
	}
	return a.fate(run)
}

func nothingToUndo(id string, status jobs.State) error {
	switch {
	case status == jobs.RollbackFailed:
		return fail(exitRefused, "%s: nothing is left to undo", id)
	case status.Final():
		return fail(exitRefused, "%s %s: there is no rollback to go on with", id, ending(status))
	default:
		return fail(exitRefused, "%s has not ended (it is %s): only a rollback that failed is gone on with", id, stateWords(status)).
			withHint("`carillon cancel %s` ends the run and rolls it back", id)
	}
}

// seen reads the output up to now without showing it, and returns a view for what
// comes after it.
func (a *app) seen(ctx context.Context, st store, id string) (view *logView, last string, err error) {
	view = &logView{out: io.Discard, say: func(string, ...any) {}}
	f := &follower{st: st, id: id, now: a.now, say: a.say, chunk: view.chunk}
	if _, _, err := f.look(ctx); err != nil {
		return nil, "", err
	}
	view.out, view.say, view.midLine, view.wrote = logOutput(a.jobOutput()), a.say, false, false
	return view, f.last, nil
}
