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
		lines := append(a.runLines(run), a.runStanding(ctx, st, run)...)
		for _, line := range lines {
			name := line[0]
			if name != "" {
				name += ":"
			}
			if _, err := fmt.Fprintf(w, "%-13s%s\n", name, line[1]); err != nil {
				return err
			}
		}
		return nil
	}))
}

// runStanding is what Redis knows beside the run: why nobody takes it, and that its
// job is paused. What cannot be read at once is left out.
func (a *app) runStanding(ctx context.Context, st store, r jobs.Run) [][2]string {
	ctx, cancel := context.WithTimeout(ctx, glancePatience)
	defer cancel()
	var lines [][2]string
	if r.Status == jobs.Queued || r.Status == jobs.RollingBack && r.Node == "" {
		if nodes, err := st.Nodes(ctx); err == nil && waitsFor(nodes, r.Route) != "" {
			lines = append(lines, [2]string{"waiting", oneLine(waitsFor(nodes, r.Route))})
		}
	}
	if p, paused := a.pauseOf(ctx, st, r.Job); paused {
		lines = append(lines, [2]string{"job paused", oneLine(pauseWords(p))})
	}
	return lines
}

// findRun reads a run, or says what the id may have been meant to be.
func (a *app) findRun(ctx context.Context, st store, id string) (jobs.Run, error) {
	run, err := st.Run(ctx, id)
	if !errors.Is(err, errNoRun) {
		return run, err
	}
	e := fail(exitNotFound, "there is no run %q", id)
	job, ok := jobs.JobOf(id)
	if ok {
		if runs, err := runsUnder(ctx, st, job, id); err == nil && len(runs) > 0 {
			ids := make([]string, len(runs))
			for i, r := range runs {
				ids[i] = r.ID
			}
			return jobs.Run{}, e.withHint("every node has its own: %s", strings.Join(ids, ", "))
		}
	}
	if !ok {
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
	if r.Route != jobs.AnyRoute {
		add("route", r.Route)
	}
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
	lines = append(lines, stepLines(r)...)
	if len(r.Rollback) > 0 {
		add("to undo", undoWords(r))
	}
	if r.Status == jobs.RollbackFailed {
		add("go on with", "carillon rollback "+r.ID)
	}
	add("canceled by", r.CanceledBy)
	add("params", paramWords(r.Params))
	add("by", r.By)
	add("reason", r.Reason)
	if r.OutputBytes > 0 {
		add("output", fmt.Sprintf("%d bytes; see `carillon logs %s`", r.OutputBytes, r.ID))
	}
	return lines
}

// stepLines are the steps of a run as far as they were started, one a line.
func stepLines(r jobs.Run) [][2]string {
	longest := 0
	for _, s := range r.Steps {
		longest = max(longest, width(oneLine(s.Name)))
	}
	var lines [][2]string
	name := "steps"
	for _, s := range r.Steps {
		if s.Name == jobs.SoleStep {
			continue // the job's own action: the run says it all
		}
		gap := strings.Repeat(" ", longest-width(oneLine(s.Name)))
		lines = append(lines, [2]string{name, fmt.Sprintf("%s%s  %-11s  %s", oneLine(s.Name), gap, s.Status, moment(s.StartedAt))})
		name = ""
	}
	return lines
}

// undoWords are what is on a run's rollback list, the next one first.
func undoWords(r jobs.Run) string {
	names := stepNames(r.Rollback)
	if r.Status == jobs.RollingBack || r.Status == jobs.RollbackFailed {
		return names
	}
	return names + " (if it fails)"
}

func paramWords(params map[string]string) string {
	var words []string
	for name, value := range params {
		words = append(words, name+"="+value)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}
