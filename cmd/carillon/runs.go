package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

type runsOptions struct {
	job    string
	status string
	limit  int
}

func (a *app) runsCommand() *cobra.Command {
	var o runsOptions
	cmd := a.command(spec{
		use:   "runs",
		short: "List runs, newest first",
		example: `  carillon runs
  carillon runs --job backup --limit 5
  carillon runs --status failed -o json`,
		args: noArgs,
		run:  func(cmd *cobra.Command, _ []string) error { return a.runs(cmd.Context(), o) },
	})
	cmd.Flags().StringVar(&o.job, "job", "", "only runs of this `JOB`")
	cmd.Flags().StringVar(&o.status, "status", "", "only runs with this `STATUS`: "+strings.Join(stateNames(), ", "))
	cmd.Flags().IntVar(&o.limit, "limit", 20, "show at most `N`")
	a.completeFlag(cmd, "job", a.completeJobs)
	a.completeFlag(cmd, "status", completeWords(stateNames()))
	return cmd
}

func stateNames() []string {
	var names []string
	for _, s := range jobs.States() {
		names = append(names, string(s))
	}
	return names
}

func (a *app) runs(ctx context.Context, o runsOptions) error {
	status := jobs.State(o.status)
	switch {
	case o.status != "" && !status.Known():
		return fail(exitUsage, "--status %q: expected one of %s%s", o.status,
			strings.Join(stateNames(), ", "), didYouMean("", o.status, stateNames())).withHint("see `carillon runs --help`")
	case o.limit < 1:
		return fail(exitUsage, "--limit %d: expected at least 1", o.limit).withHint("see `carillon runs --help`")
	}
	return a.withStore(ctx, func(st store) error {
		runs, err := st.Runs(ctx, runFilter{Job: o.job, Status: status, Limit: o.limit})
		if err != nil {
			return err
		}
		if len(runs) == 0 && o.job != "" {
			if err := a.everRan(ctx, st, o.job); err != nil {
				return err
			}
		}
		return outputFailed(a.showRuns(runs))
	})
}

// everRan refuses the name of a job that neither the file nor the store has: one that left
// the schedule has its runs and its ledger yet.
func (a *app) everRan(ctx context.Context, st store, job string) error {
	unknown := a.knownJob(job)
	if unknown == nil {
		return nil
	}
	runs, err := st.Runs(ctx, runFilter{Job: job, Limit: 1})
	if err != nil || len(runs) > 0 {
		return err
	}
	ticks, err := st.Ledger(ctx, job, 1)
	if err != nil || len(ticks) > 0 {
		return err
	}
	return unknown
}

func (a *app) showRuns(runs []jobs.Run) error {
	now := a.now()
	t := &table{head: []string{"ID", "STATUS", "ATTEMPT", "NODE", "QUEUED", "TOOK", "ERROR"}}
	var items []any
	for _, r := range runs {
		items = append(items, viewRun(r))
		t.add(r.ID, string(r.Status), strconv.Itoa(r.Attempt), orDash(r.Node), orDash(ago(r.QueuedAt, now)), orDash(took(r, now)), r.Error)
		t.paint(1, stateColour(r.Status))
	}
	if len(runs) == 0 {
		a.say("no runs")
	}
	return a.list(items, t)
}
