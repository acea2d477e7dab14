package main

import (
	"context"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

type cancelOptions struct {
	waitOptions
	reason string
}

func (a *app) cancelCommand() *cobra.Command {
	var o cancelOptions
	cmd := a.command(spec{
		use:   "cancel RUN",
		short: "Call a run off, undo what it did, say how it ended",
		long: `Call a run off. One that waits is over at once. One that runs gets TERM, and KILL
10 seconds later; then what its steps did is undone. Waits until the run has ended:
exit 0 when it is canceled or rolled back, 6 when its rollback failed, 8 when it had
ended before the cancel reached it. Ctrl-C ends the wait, not the cancel.`,
		example: `  carillon cancel backup@2026-11-22T02:00:00Z
  carillon cancel release@manual-019d3f --reason "wrong branch"
  carillon runs --job backup --status queued -o jsonl | jq -r .id | xargs -n1 carillon cancel --detach`,
		args:     exactlyOne("one run id"),
		complete: a.completeRunsThat(runFilter{}, func(r jobs.Run) bool { return !r.Status.Final() }),
		run: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if err := checkText("--reason", o.reason); err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(st store) error { return a.cancel(cmd.Context(), st, args[0], o) })
		},
	})
	cmd.Flags().StringVar(&o.reason, "reason", "", "say `WHY`, for the record")
	a.waitFlags(cmd, &o.waitOptions, "do not wait until the run has ended")
	a.completeFlag(cmd, "reason", cobra.NoFileCompletions)
	return cmd
}

func (a *app) cancel(ctx context.Context, st store, id string, o cancelOptions) error {
	before, err := a.findRun(ctx, st, id) // with a word about a run that is not there
	if err != nil {
		return err
	}
	answer, status, err := st.Cancel(ctx, id, a.whoami(), o.reason)
	if err != nil {
		return err
	}
	switch answer {
	case jobs.CancelUnknown:
		return fail(exitNotFound, "run %q is no longer in Redis", id)
	case jobs.CancelFinal:
		return a.tooLate(ctx, st, id)
	case jobs.CancelAsked:
		a.say("canceling %s, which runs on %s", id, orSome(before.Node))
	case jobs.CancelRollback:
		a.say("%s is called off, and is rolled back now", id)
	case jobs.CancelUndoing:
		a.say("%s is being rolled back already", id)
	}
	if o.detach && !status.Final() {
		return outputFailed(a.acted(actionView{ID: id, Answer: string(answer), Status: status}))
	}
	run, err := a.keepOne(ctx, st, vigil{id: id, goesOn: "the cancel goes on", last: before}, o.waitOptions)
	if err != nil {
		return err
	}
	switch run.Status {
	case jobs.Canceled, jobs.RolledBack:
		return a.sayFate(run)
	case jobs.RollbackFailed:
		return a.fate(run)
	default:
		if err := a.sayFate(run); err != nil {
			return err
		}
		return fail(exitRefused, "%s was not canceled: it %s before the cancel reached it", id, ending(run.Status))
	}
}

// tooLate is the answer for a run that had ended.
func (a *app) tooLate(ctx context.Context, st store, id string) error {
	run, err := a.findRun(ctx, st, id)
	if err != nil {
		return err
	}
	e := fail(exitRefused, "%s has ended already: it %s", id, ending(run.Status))
	if run.Status == jobs.RollbackFailed {
		return e.withHint("`carillon rollback %s` goes on with what is left to undo", id)
	}
	return e
}

// ending is a final status as what the run did, or what was done to it.
func ending(s jobs.State) string {
	switch s {
	case jobs.Canceled, jobs.RolledBack:
		return "was " + stateWords(s)
	case jobs.RollbackFailed:
		return "failed to roll back"
	default:
		return stateWords(s)
	}
}

// actionView is what became of a command that does not wait.
type actionView struct {
	ID     string     `json:"id"`
	Answer string     `json:"answer"`
	Status jobs.State `json:"status"`
}

// acted writes the view with a data format; in words it is said already.
func (a *app) acted(v actionView) error {
	return a.one(v, wordless)
}
