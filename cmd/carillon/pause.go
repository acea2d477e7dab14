package main

import (
	"context"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

func (a *app) pauseCommand() *cobra.Command {
	var note string
	cmd := a.command(spec{
		use:   "pause JOB",
		short: "Skip a job's ticks until it is resumed",
		long: `Skip a job's ticks until somebody resumes it; its ledger says so. Triggers are
refused, and follow-on runs are not made. What runs or waits already goes on. A job
that is paused already keeps its pause: exit 0.`,
		example: `  carillon pause backup --note "moving the disks, until noon"
  carillon jobs                          # shows who paused what, since when and why`,
		args:     exactlyOne("one job"),
		complete: a.completeOneJob,
		run: func(cmd *cobra.Command, args []string) error {
			if err := checkText("--note", note); err != nil {
				return err
			}
			s, err := a.schedule()
			if err != nil {
				return err
			}
			job, err := jobIn(s, args[0])
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(st store) error { return a.pauseJob(cmd.Context(), st, job.Name, note) })
		},
	})
	cmd.Flags().StringVar(&note, "note", "", "say `WHY`; it is shown wherever the job is")
	a.completeFlag(cmd, "note", cobra.NoFileCompletions)
	return cmd
}

func (a *app) resumeCommand() *cobra.Command {
	return a.command(spec{
		use:   "resume JOB",
		short: "End the pause of a job",
		long: `End the pause of a job: its next tick runs. Ticks of the pause stay skipped;
` + "`carillon backfill`" + ` runs them after all. A job that is not paused: exit 0.`,
		example: `  carillon resume backup`,
		args:    exactlyOne("one job"), complete: a.completePaused,
		run: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), func(st store) error { return a.resumeJob(cmd.Context(), st, args[0]) })
		},
	})
}

// pausedView is what pause and resume did: paused is the pause in force, was the one
// that ended.
type pausedView struct {
	Job     string     `json:"job"`
	Changed bool       `json:"changed"`
	Paused  *pauseView `json:"paused"`
	Was     *pauseView `json:"was,omitempty"`
}

func (a *app) pauseJob(ctx context.Context, st store, job, note string) error {
	p, fresh, err := st.Pause(ctx, job, a.whoami(), note)
	if err != nil {
		return err
	}
	if fresh {
		a.say("%s is paused: its ticks are skipped until `carillon resume %s`", job, job)
	} else {
		a.say("%s was paused before, %s; that pause stays", job, pauseWords(p))
	}
	return outputFailed(a.one(pausedView{Job: job, Changed: fresh, Paused: viewPause(p)}, wordless))
}

func (a *app) resumeJob(ctx context.Context, st store, job string) error {
	was, paused, err := st.Resume(ctx, job, a.whoami())
	if err != nil {
		return err
	}
	v := pausedView{Job: job, Changed: paused}
	if paused {
		v.Was = viewPause(was)
		a.say("%s goes on; it was paused %s", job, pauseWords(was))
	} else {
		if err := a.knownJob(job); err != nil {
			return err
		}
		a.say("%s is not paused", job)
	}
	return outputFailed(a.one(v, wordless))
}

// pauseCell is a pause in a column of a table.
func pauseCell(p jobs.Pause, ok bool) string {
	if !ok {
		return "-"
	}
	return cut(pauseWords(p), 60)
}
