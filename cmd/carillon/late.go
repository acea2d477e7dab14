package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/internal/forecast"
	"carillon/jobs"
)

// late is `next --late`: what a node that starts at now would do about the ticks
// of an outage that ends there.
func (a *app) late(o nextOptions, now time.Time, names []string) error {
	switch {
	case o.late <= 0:
		return fail(exitUsage, "--late %s: expected a duration above 0", o.late)
	case o.spec.given:
		return fail(exitUsage, "--late asks about jobs of the file, and --spec has no catch-up rules: drop one of them")
	case o.hasCount || o.until != "":
		return fail(exitUsage, "--late shows the whole outage: drop --count and --until")
	case len(o.needsSpec) > 0:
		return fail(exitUsage, "--%s goes with --spec; a job has what the file says", o.needsSpec[0])
	}
	s, err := a.schedule()
	if err != nil {
		return err
	}
	chosen, err := a.chosen(s, names)
	if err != nil {
		return err
	}
	for _, job := range chosen {
		if !job.Enabled {
			a.say("%s is disabled: nothing of it runs", job.Name)
		}
	}
	since := now.Add(-o.late)
	fates := forecast.Late(s.Jobs, since, now) // all of them: those of a group compete
	if len(names) > 0 {
		fates = slices.DeleteFunc(fates, func(f forecast.Fate) bool { return !slices.Contains(chosen, f.Job) })
	}
	return a.showFates(fates, since)
}

type fateView struct {
	Job     string           `json:"job"`
	Tick    stamp            `json:"tick"`
	Until   stamp            `json:"until"`
	Count   int              `json:"count"` // 0: older than the window, not counted
	Outcome forecast.Outcome `json:"outcome"`
	Reason  string           `json:"reason"`
	Note    string           `json:"note"`
}

func (a *app) showFates(fates []forecast.Fate, since time.Time) error {
	t := &table{head: []string{"JOB", "TICKS", "COUNT", "OUTCOME", "WHY"}}
	var items []any
	for _, f := range fates {
		loc := f.Job.Zone()
		view := fateView{
			Job: f.Job.Name, Tick: stamp(f.Tick.In(loc)), Until: stamp(f.Until.In(loc)), Count: f.Count,
			Outcome: f.Outcome, Reason: f.Reason, Note: fateNote(f),
		}
		items = append(items, view)
		number := "?"
		if f.Count > 0 {
			number = fmt.Sprint(f.Count)
		}
		t.add(view.Job, rangeWords(f.Tick.In(loc), f.Until.In(loc)), number, outcomeWords(f.Outcome), joined(f.Reason, view.Note))
		t.paint(3, fateColour(f.Outcome))
	}
	a.say("after an outage since %s: %s", since.UTC().Format(time.RFC3339), forecast.Sum(fates))
	return a.list(items, t)
}

// fateNote is what else there is to say about ticks that fare alike.
func fateNote(f forecast.Fate) string {
	switch {
	case f.Count == 0:
		return "not counted"
	case f.Outcome == forecast.Runs || f.Outcome == forecast.Waits:
		return followWords(f.Job)
	default:
		return ""
	}
}

// followWords names the jobs that runs of a job start.
func followWords(job *jobs.Job) string {
	var names []string
	for _, f := range job.Followers {
		name := f.Name
		if f.After.When != jobs.WhenSuccess {
			name += " (" + string(f.After.When) + ")"
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return ""
	}
	return "then " + strings.Join(names, ", ")
}

func outcomeWords(o forecast.Outcome) string {
	if o == forecast.Waits {
		return "run (waits for the one before)"
	}
	return string(o)
}

func fateColour(o forecast.Outcome) colour {
	switch o {
	case forecast.Runs, forecast.Waits:
		return green
	case forecast.Missed, forecast.Skipped, forecast.Replaced:
		return yellow
	default:
		return plain
	}
}

// rangeWords writes two ticks as one range, without repeating their date.
func rangeWords(from, to time.Time) string {
	text := from.Format(tickLayout)
	switch {
	case to.Equal(from):
		return text
	case from.Format("-07:00") != to.Format("-07:00"):
		return text + " .. " + to.Format(tickLayout)
	case from.Format(time.DateOnly) == to.Format(time.DateOnly):
		return from.Format("Mon 2006-01-02 15:04:05") + " .. " + to.Format("15:04:05 -07:00")
	default:
		return from.Format("Mon 2006-01-02 15:04:05") + " .. " + to.Format(tickLayout)
	}
}

// joined puts what there is of some texts into one.
func joined(texts ...string) string {
	var some []string
	for _, text := range texts {
		if text != "" {
			some = append(some, text)
		}
	}
	return strings.Join(some, "; ")
}
