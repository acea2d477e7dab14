package main

import (
	"context"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

type retryOptions struct {
	waitOptions
	reason string
}

func (a *app) retryCommand() *cobra.Command {
	var o retryOptions
	cmd := a.command(spec{
		use:   "retry RUN",
		short: "Start a finished run's job again with the same parameters",
		long: `Start a new run of a finished one's job, with its parameters, from its first step
and as the schedule file declares the job now. It streams and ends like
` + "`carillon trigger`" + `; the finished run stays as it is.`,
		example: `  carillon retry backup@2026-11-22T02:00:00Z
  carillon retry report@manual-019d3f --reason "the disk has room again" --detach`,
		args:     exactlyOne("one run id"),
		complete: a.completeRunsThat(runFilter{}, func(r jobs.Run) bool { return r.Status.Final() }),
		run: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if err := checkText("--reason", o.reason); err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(st store) error { return a.retry(cmd.Context(), st, args[0], o) })
		},
	})
	a.waitFlags(cmd, &o.waitOptions, "do not wait: print the new run's id and nothing else")
	cmd.Flags().StringVar(&o.reason, "reason", "", "say `WHY`, for the record (default: that it is a retry, and of what)")
	a.completeFlag(cmd, "reason", cobra.NoFileCompletions)
	return cmd
}

func (a *app) retry(ctx context.Context, st store, id string, o retryOptions) error {
	run, err := a.findRun(ctx, st, id)
	if err != nil {
		return err
	}
	if !run.Status.Final() {
		return fail(exitRefused, "%s has not ended (it is %s): there is nothing to retry yet", id, stateWords(run.Status)).
			withHint("`carillon logs -f %s` watches it", id)
	}
	s, err := a.schedule()
	if err != nil {
		return err
	}
	job := s.Formerly(run.Job)
	if job == nil || s.Job(run.Job) != nil {
		if job, err = jobIn(s, run.Job); err != nil {
			return err
		}
	}
	params, err := job.BindParams(run.Params)
	if err != nil {
		return fail(exitRefused, "the params of %s do not fit the job any more: %w", id, err).
			withHint("`carillon trigger %s --param NAME=VALUE` starts it with others", job.Name)
	}
	for _, remark := range retryRemarks(job, run) {
		a.say("%s", remark)
	}
	if o.reason == "" {
		o.reason = "retry of " + id
	}
	req, err := a.newRequest(job, params, o.reason)
	if err != nil {
		return err
	}
	return a.start(ctx, st, req, o.waitOptions)
}

// retryRemarks say where a retry differs from the run it repeats.
func retryRemarks(job *jobs.Job, run jobs.Run) []string {
	var remarks []string
	if run.Status == jobs.RollbackFailed {
		remarks = append(remarks, "what "+run.ID+" left is not undone; `carillon rollback "+run.ID+"` goes on with that")
	}
	if run.Digest != "" && job.Digest != run.Digest {
		remarks = append(remarks, "the definition of "+job.Name+" has changed since that run; the new one is used")
	}
	if run.Trigger == jobs.TriggerAfter {
		remarks = append(remarks, "the new run has no upstream run: its CARILLON_UPSTREAM_* are empty")
	}
	if job.EveryNode {
		remarks = append(remarks, job.Name+" has every_node: it starts on each of them, not only where that run was")
	}
	return remarks
}
