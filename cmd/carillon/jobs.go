package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

func (a *app) jobsCommand() *cobra.Command {
	return a.command(spec{
		use:      "jobs",
		short:    "List the jobs of the schedule file",
		computes: true,
		long: `List the jobs of the schedule file with their next tick and, when Redis answers,
what became of their last run.`,
		example: `  carillon jobs
  carillon jobs -o json
  carillon jobs -f staging.yaml --redis redis://10.0.0.5:6379/0`,
		args: noArgs,
		run:  func(cmd *cobra.Command, _ []string) error { return a.jobs(cmd.Context()) },
	})
}

func (a *app) jobs(ctx context.Context) error {
	s, err := a.schedule()
	if err != nil {
		return err
	}
	known := a.glance(ctx, s)
	now := a.now()
	t := &table{head: []string{"NAME", "SCHEDULE", "TIMEZONE", "NEXT", "LAST", "PAUSED", "DESCRIPTION"}}
	var items []any
	for _, job := range s.Jobs {
		view := viewJob(job, known.last[job.Name], now)
		p, paused := known.paused[job.Name]
		if paused {
			view.Paused = viewPause(p)
		}
		t.add(job.Name, orDash(a.narrow(whenWords(job))), job.Timezone, nextWords(job, view), lastWords(view, now), pauseCell(p, paused), job.Description)
		if paused {
			t.paint(5, yellow)
		}
		items = append(items, view)
		t.paint(4, stateColour(view.LastStatus))
		if !job.Enabled {
			t.paint(3, faint)
		}
	}
	return a.list(items, t)
}

// narrow cuts a text that stands before other columns to a third of the terminal.
func (a *app) narrow(text string) string {
	if a.width == 0 {
		return text
	}
	return cut(text, a.width/3)
}

func viewJob(job *jobs.Job, last jobs.Run, now time.Time) jobView {
	v := jobView{
		Name: job.Name, Description: job.Description, Enabled: job.Enabled,
		Schedule: []string{}, Timezone: job.Timezone, Priority: job.Priority, Overlap: job.Overlap,
		LastRun: last.ID, LastStatus: last.Status, LastAt: utc(lastMoment(last)),
	}
	for _, sp := range job.Specs {
		v.Schedule = append(v.Schedule, sp.String())
	}
	for _, t := range job.At {
		v.At = append(v.At, stamp(t.In(job.Zone())))
	}
	if job.EveryN.N > 1 {
		v.EveryN = fmt.Sprintf("%d %s", job.EveryN.N, job.EveryN.Unit)
	}
	v.Start, v.End = bound(job.Start, job), bound(job.End, job)
	v.Only, v.Exclude, v.Shift = calendarNames(job.Only), calendarNames(job.Exclude), job.Shift
	if job.Jitter > 0 {
		v.Jitter = jobs.DurationText(job.Jitter)
	}
	if job.After != nil {
		v.After = &afterView{Job: job.After.Job, When: job.After.When}
	}
	if next, ok := job.Next(now); ok && job.Enabled {
		v.Next = stamp(next.In(job.Zone()))
	}
	return v
}

// bound is a start or an end in the job's zone, or nil.
func bound(t time.Time, job *jobs.Job) *stamp {
	if t.IsZero() {
		return nil
	}
	in := stamp(t.In(job.Zone()))
	return &in
}

// lastMoment is when the last thing happened to a run.
func lastMoment(r jobs.Run) time.Time {
	for _, t := range []time.Time{r.FinishedAt, r.StartedAt, r.QueuedAt} {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

func nextWords(job *jobs.Job, v jobView) string {
	switch {
	case !job.Enabled:
		return "disabled"
	case v.Next.IsZero():
		return "-"
	default:
		return time.Time(v.Next).Format("2006-01-02 15:04:05 -07:00")
	}
}

func lastWords(v jobView, now time.Time) string {
	if v.LastStatus == "" {
		return "-"
	}
	return string(v.LastStatus) + " " + ago(time.Time(v.LastAt), now)
}

const (
	glancePatience = 2 * time.Second
	latestRuns     = 500 // of all jobs, read at once
	// askedJobs is how many jobs without a run among the latest are asked about
	// one by one; of thousands of rare jobs the rest shows nothing.
	askedJobs = 300
)

// standings are what Redis knows about the jobs of the file.
type standings struct {
	last   map[string]jobs.Run
	paused map[string]jobs.Pause
}

// glance reads the latest run of each job and the pauses, as far as a quick look
// finds them. A Redis that somebody named and that does not answer is worth a word;
// the embedded server just may not be running.
func (a *app) glance(ctx context.Context, s *jobs.Schedule) (known standings) {
	ctx, cancel := context.WithTimeout(ctx, glancePatience)
	defer cancel()
	addr, err := a.address()
	if err != nil {
		a.say("without the last runs: %v", err)
		return known
	}
	st, err := a.connectTo(ctx, addr, glancePatience)
	if err != nil {
		if !addr.embedded {
			a.say("without the last runs: %v", err)
		}
		return known
	}
	defer func() { _ = st.Close() }()
	if known.paused, err = st.Paused(ctx); err != nil {
		a.say("without the pauses: %s", addr.scrub(err.Error()))
	}
	if known.last, err = lookBack(ctx, st, s); err != nil {
		a.say("without some of the last runs: %s", addr.scrub(err.Error()))
	}
	return known
}

// lookBack reads the latest runs of all jobs in one go, and asks only about the
// jobs that are not among them.
func lookBack(ctx context.Context, st store, s *jobs.Schedule) (map[string]jobs.Run, error) {
	last := make(map[string]jobs.Run, len(s.Jobs))
	runs, err := st.Runs(ctx, runFilter{Limit: latestRuns})
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		if _, ok := last[r.Job]; !ok {
			last[r.Job] = r
		}
	}
	asked := 0
	for _, job := range s.Jobs {
		if _, ok := last[job.Name]; ok || asked == askedJobs {
			continue
		}
		asked++
		runs, err := st.Runs(ctx, runFilter{Job: job.Name, Limit: 1})
		if err != nil {
			return last, err
		}
		if len(runs) > 0 {
			last[job.Name] = runs[0]
		}
	}
	return last, nil
}
