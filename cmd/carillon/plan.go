package main

import (
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"carillon/internal/forecast"
	"carillon/jobs"
)

type planOptions struct {
	against  string
	days     int
	from     string
	all      bool
	exitCode bool
}

func (a *app) planCommand() *cobra.Command {
	var o planOptions
	cmd := a.command(spec{
		use:      "plan",
		short:    "Show which ticks an edit adds, moves and removes; needs no Redis",
		computes: true,
		long: `Compare the ticks of the schedule file with those of an older version of it: which
are added, removed or moved to another time of their day, which jobs come and go, and
what else about a job is another now.`,
		example: `  git show HEAD:schedule.yaml | carillon plan --against -
  carillon plan --against /etc/carillon/schedule.yaml --days 31
  carillon plan --against old.yaml --exit-code      # 1 if anything changes, as with git diff
  carillon plan --against old.yaml -o json     # every tick that changes`,
		args: noArgs,
		run:  func(*cobra.Command, []string) error { return a.plan(o) },
	})
	cmd.Flags().StringVar(&o.against, "against", "", "the older schedule `FILE`; - reads it from standard input")
	cmd.Flags().IntVar(&o.days, "days", 7, "compare the ticks of `N` days")
	cmd.Flags().StringVar(&o.from, "from", "", "compare what fires after `TIME`, RFC 3339 (default now)")
	cmd.Flags().BoolVar(&o.all, "all", false, "list every tick that changes, not only the first ones")
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "end with exit code 1 if anything changes")
	for _, name := range []string{"days", "from"} {
		a.completeFlag(cmd, name, cobra.NoFileCompletions)
	}
	return cmd
}

const (
	maxPlanDays = 3660
	planTicks   = 2_000_000 // of all jobs together; a hundred jobs that fire each minute, for a week
)

func (a *app) plan(o planOptions) error {
	const hint = "see `carillon plan --help`"
	if o.against == "" {
		return fail(exitUsage, "plan needs --against FILE: the version to compare with").
			withHint("`git show HEAD:schedule.yaml | carillon plan --against -` compares with the last commit")
	}
	if o.days < 1 || o.days > maxPlanDays {
		return fail(exitUsage, "--days %d: expected 1 to %d", o.days, maxPlanDays).withHint(hint)
	}
	from := a.now()
	if o.from != "" {
		var err error
		if from, err = parseTime("--from", o.from); err != nil {
			return err
		}
	}
	edited, err := a.schedule()
	if err != nil {
		return err
	}
	old, err := a.olderSchedule(o.against)
	if err != nil {
		return err
	}
	d := forecast.Compare(old, edited, from, from.Add(time.Duration(o.days)*24*time.Hour), planTicks)
	view := viewPlan(o.against, edited.Path, d)
	err = a.one(view, func(w io.Writer) error {
		_, err := io.WriteString(w, painted(planLines(d, o, edited.Path), a.colours(a.stdoutTTY)))
		return err
	})
	if err == nil && o.exitCode && !d.Empty() {
		return ended(exitOther, "the schedule changes")
	}
	return err
}

// olderSchedule reads the file to compare with. What comes on standard input is an
// older version of the schedule file, so that the files it names are found beside
// that.
func (a *app) olderSchedule(path string) (*jobs.Schedule, error) {
	if path != "-" {
		s, err := a.load(path)
		if err != nil {
			return nil, loadFailed(path, true, err)
		}
		return s, nil
	}
	current, _ := a.path()
	name := filepath.Join(filepath.Dir(current), "(stdin)")
	data, err := io.ReadAll(io.LimitReader(a.stdin, jobs.MaxFileSize+1))
	if err != nil {
		return nil, fail(exitSchedule, "read the older schedule from standard input: %w", err)
	}
	s, err := a.parse(name, data)
	if err != nil {
		return nil, loadFailed(name, true, err)
	}
	return s, nil
}

type planView struct {
	Against string        `json:"against"`
	File    string        `json:"file"`
	From    stamp         `json:"from"`
	Until   stamp         `json:"until"`
	Changed []string      `json:"changed"` // keys of the file outside of jobs
	Jobs    []planJobView `json:"jobs"`
	Counts  planCounts    `json:"counts"`
}

type planJobView struct {
	Job           string          `json:"job"`
	Change        forecast.Change `json:"change"`
	Changed       []string        `json:"changed"` // keys beside those of the timing
	Added         []stamp         `json:"added"`
	Removed       []stamp         `json:"removed"`
	Moved         []moveView      `json:"moved"`
	First         stamp           `json:"first"`
	ComparedUntil stamp           `json:"compared_until,omitzero"` // there are too many ticks to compare them all
	Restarts      bool            `json:"restarts"`                // its cursor moves to when the file is deployed
	Renamed       string          `json:"renamed,omitempty"`       // the job it looks to be
}

type moveView struct {
	From stamp `json:"from"`
	To   stamp `json:"to"`
}

type planCounts struct {
	Jobs  map[forecast.Change]int `json:"jobs"`
	Ticks tickCounts              `json:"ticks"`
}

type tickCounts struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Moved   int `json:"moved"`
}

func viewPlan(against, file string, d forecast.Diff) planView {
	v := planView{
		Against: against, File: file, From: utc(d.From), Until: utc(d.Until), Changed: append([]string{}, d.Keys...), Jobs: []planJobView{},
		Counts: planCounts{Jobs: map[forecast.Change]int{}},
	}
	for _, c := range []forecast.Change{
		forecast.Added, forecast.Removed, forecast.Disabled, forecast.Enabled, forecast.Retimed, forecast.Redefined, forecast.Unchanged,
	} {
		v.Counts.Jobs[c] = 0
	}
	for i := range d.Jobs {
		j := &d.Jobs[i]
		v.Jobs = append(v.Jobs, viewJobDiff(j))
		v.Counts.Jobs[j.Change]++
		v.Counts.Ticks.Added += len(j.Added)
		v.Counts.Ticks.Removed += len(j.Removed)
		v.Counts.Ticks.Moved += len(j.Moved)
	}
	return v
}

func viewJobDiff(j *forecast.JobDiff) planJobView {
	oldZone, newZone := zonesOf(j)
	v := planJobView{
		Job: j.Name, Change: j.Change, Changed: append([]string{}, j.Keys...), Restarts: j.Restarts(), Renamed: j.Renamed,
		Added: []stamp{}, Removed: []stamp{}, Moved: []moveView{},
	}
	for _, t := range j.Added {
		v.Added = append(v.Added, stamp(t.In(newZone)))
	}
	for _, t := range j.Removed {
		v.Removed = append(v.Removed, stamp(t.In(oldZone)))
	}
	for _, m := range j.Moved {
		v.Moved = append(v.Moved, moveView{From: stamp(m.From.In(oldZone)), To: stamp(m.To.In(newZone))})
	}
	if !j.First.IsZero() {
		v.First = stamp(j.First.In(newZone))
	}
	if !j.Cut.IsZero() {
		v.ComparedUntil = stamp(j.Cut.In(newZone))
	}
	return v
}

// zonesOf are the zones in which the two versions of a job are shown.
func zonesOf(j *forecast.JobDiff) (before, after *time.Location) {
	switch {
	case j.Old == nil:
		return j.New.Zone(), j.New.Zone()
	case j.New == nil:
		return j.Old.Zone(), j.Old.Zone()
	default:
		return j.Old.Zone(), j.New.Zone()
	}
}
