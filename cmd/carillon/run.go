package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

func (a *app) runCommand() *cobra.Command {
	return a.command(spec{
		use:   "run ID",
		short: "Show one run",
		example: `  carillon run backup@2026-11-22T02:00:00Z
  carillon run backup@2026-11-22T02:00:00Z -o json`,
		args:     exactlyOne("one run id"),
		complete: a.completeRuns,
		run: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), func(st store) error { return a.showRun(cmd.Context(), st, args[0]) })
		},
	})
}

func (a *app) showRun(ctx context.Context, st store, id string) error {
	run, err := a.findRun(ctx, st, id)
	if err != nil {
		return err
	}
	return outputFailed(a.one(viewRun(run), func(w io.Writer) error {
		for _, line := range a.runLines(run) {
			if _, err := fmt.Fprintf(w, "%-13s%s\n", line[0]+":", line[1]); err != nil {
				return err
			}
		}
		return nil
	}))
}

// findRun reads a run, or says what the id may have been meant to be.
func (a *app) findRun(ctx context.Context, st store, id string) (jobs.Run, error) {
	run, err := st.Run(ctx, id)
	if !errors.Is(err, errNoRun) {
		return run, err
	}
	e := fail(exitNotFound, "there is no run %q", id)
	if _, ok := jobs.JobOf(id); !ok {
		return jobs.Run{}, e.withHint("a run id is JOB@TIME; `carillon runs --job %s` lists those of a job", id)
	}
	return jobs.Run{}, e.withHint("`carillon runs` lists what is kept; old runs are dropped")
}

// runLines are the facts of a run that are there, one a line.
func (a *app) runLines(r jobs.Run) [][2]string {
	now := a.now()
	var lines [][2]string
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, [2]string{name, oneLine(value)})
		}
	}
	add("run", r.ID)
	add("job", r.Job)
	add("trigger", string(r.Trigger))
	add("scheduled", moment(r.ScheduledAt))
	add("status", string(r.Status))
	add("attempt", strconv.Itoa(r.Attempt))
	add("node", r.Node)
	add("priority", strconv.Itoa(r.Priority))
	add("queued", moment(r.QueuedAt))
	add("started", moment(r.StartedAt))
	add("finished", moment(r.FinishedAt))
	if r.Status == jobs.Retrying {
		add("retry at", moment(r.RetryAt))
	}
	add("took", took(r, now))
	if r.ExitCode != nil {
		add("exit code", strconv.Itoa(*r.ExitCode))
	}
	add("error", r.Error)
	add("params", paramWords(r.Params))
	add("by", r.By)
	add("reason", r.Reason)
	if r.OutputBytes > 0 {
		add("output", fmt.Sprintf("%d bytes; see `carillon logs %s`", r.OutputBytes, r.ID))
	}
	return lines
}

func paramWords(params map[string]string) string {
	var words []string
	for name, value := range params {
		words = append(words, name+"="+value)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}
