package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/internal/forecast"
	"carillon/jobs"
)

// fewTicks is how many ticks of a job `plan` lists without --all.
const fewTicks = 4

// planLines are a plan for a reader: a paragraph for each job that changes.
func planLines(d forecast.Diff, o planOptions, path string) []string {
	against := o.against
	if against == "-" {
		against = "standard input"
	}
	lines := []string{
		fmt.Sprintf("%s against %s: the ticks of %s from %s", path, against, count(o.days, "day"), d.From.UTC().Format(tickLayout)), "",
	}
	if len(d.Keys) > 0 {
		lines = append(lines, "~ the file: "+strings.Join(d.Keys, ", ")+" changed")
	}
	unchanged := 0
	var restarting []string
	for i := range d.Jobs {
		j := &d.Jobs[i]
		if j.Change == forecast.Unchanged {
			unchanged++
			continue
		}
		if j.Restarts() && j.New.Enabled {
			restarting = append(restarting, j.Name)
		}
		lines = append(lines, jobLines(j, o.all)...)
	}
	if unchanged > 0 {
		lines = append(lines, "= "+count(unchanged, "job")+" unchanged")
	}
	if len(restarting) > 0 {
		lines = append(lines, "", restartWords(restarting))
	}
	return lines
}

// jobLines are the paragraph about one job.
func jobLines(j *forecast.JobDiff, all bool) []string {
	var words []string
	switch j.Change {
	case forecast.Added, forecast.Enabled:
		words = []string{orHand(whenWords(j.New))}
		if !j.New.Enabled {
			words = append(words, "disabled")
		}
	case forecast.Removed, forecast.Disabled:
		words = []string{orHand(whenWords(j.Old))}
	case forecast.Retimed:
		words = []string{retimedWords(j.Old, j.New)}
	}
	if j.WasRenamed() {
		words = append(words, "renamed from "+j.Old.Name+", with its cursor and its history")
	}
	if len(j.Keys) > 0 {
		words = append(words, strings.Join(j.Keys, ", ")+" changed")
	}
	if text := tickWords(j); text != "" {
		words = append(words, text)
	}
	lines := []string{fmt.Sprintf("%s %s: %s", planSigns[j.Change], j.Name, string(j.Change)+", "+strings.Join(words, "; "))}
	if j.Renamed != "" {
		lines = append(lines, "    looks renamed: "+j.Renamed+" is the same by another name; cursor and history follow only with renamed_from")
	}
	changes := tickLines(j)
	shown := changes
	switch {
	case all:
	case j.Change != forecast.Retimed:
		shown = nil // they are what its expressions say
	case len(changes) > fewTicks+1:
		shown = changes[:fewTicks]
	}
	lines = append(lines, shown...)
	if more := len(changes) - len(shown); more > 0 && len(shown) > 0 {
		lines = append(lines, fmt.Sprintf("    and %d more: --all lists them", more))
	}
	return lines
}

// planSigns begin the line of a job, as in a diff.
var planSigns = map[forecast.Change]string{
	forecast.Added: "+", forecast.Enabled: "+", forecast.Removed: "-", forecast.Disabled: "-",
	forecast.Retimed: "~", forecast.Redefined: "~",
}

func orHand(when string) string {
	if when == "" {
		return "started by hand"
	}
	return when
}

// retimedWords say what a job's timing was and is.
func retimedWords(old, edited *jobs.Job) string {
	before, after := orHand(whenWords(old)), orHand(whenWords(edited))
	if old.Timezone != edited.Timezone {
		before, after = before+" in "+old.Timezone, after+" in "+edited.Timezone
	}
	switch {
	case before != after:
		return before + " -> " + after
	case !slices.EqualFunc(old.At, edited.At, time.Time.Equal):
		return after + " (other instants)"
	case old.DST != edited.DST:
		return after + " (another dst)"
	default:
		return after + " (its calendars have other days)"
	}
}

// tickWords count the ticks that change, and say when the first one is; "" for a
// job that has no ticks to lose or to win.
func tickWords(j *forecast.JobDiff) string {
	before, after := zonesOf(j)
	first := ""
	switch {
	case j.Change == forecast.Redefined || j.First.IsZero() && j.Change != forecast.Retimed:
		return ""
	case j.Change == forecast.Added || j.Change == forecast.Enabled:
		first = ", the first " + j.First.In(after).Format(tickLayout)
	case j.Change == forecast.Removed || j.Change == forecast.Disabled:
		first = ", the next was " + j.First.In(before).Format(tickLayout)
	}
	var counts []string
	for _, c := range []struct {
		n    int
		what string
	}{{len(j.Added), "added"}, {len(j.Removed), "removed"}, {len(j.Moved), "moved"}} {
		if c.n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	text := strings.Join(counts, ", ")
	switch {
	case j.Cut.IsZero() && text == "":
		return "no tick changes in that time" + first
	case j.Cut.IsZero():
		return text + first
	case text == "":
		return "no tick changes up to " + j.Cut.In(after).Format(tickLayout) + ", and there are too many to look further" + first
	default:
		return "at least " + text + ", up to " + j.Cut.In(after).Format(tickLayout) + first
	}
}

// tickLines are the ticks of a job that change, in the order of time.
func tickLines(j *forecast.JobDiff) []string {
	type line struct {
		at   time.Time
		text string
	}
	before, after := zonesOf(j)
	var lines []line
	for _, t := range j.Removed {
		lines = append(lines, line{t, "    - " + t.In(before).Format(tickLayout)})
	}
	for _, t := range j.Added {
		lines = append(lines, line{t, "    + " + t.In(after).Format(tickLayout)})
	}
	for _, m := range j.Moved {
		lines = append(lines, line{m.From, "    ~ " + moveWords(m.From.In(before), m.To.In(after))})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	texts := make([]string, len(lines))
	for i, l := range lines {
		texts[i] = l.text
	}
	return texts
}

// moveWords write a move within a local date without repeating what stays.
func moveWords(from, to time.Time) string {
	if from.Format("-07:00") == to.Format("-07:00") {
		return from.Format("Mon 2006-01-02 15:04:05") + " -> " + to.Format("15:04:05 -07:00")
	}
	return from.Format(tickLayout) + " -> " + to.Format("15:04:05 -07:00")
}

// restartWords say what the deployment of a new timing does to its jobs.
func restartWords(names []string) string {
	const most = 5
	list := strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	moves := "the cursors of " + list + " move"
	if len(names) == 1 {
		moves = "the cursor of " + list + " moves"
	}
	return "When the file is deployed, " + moves + " to that moment: ticks that nobody has decided by then are skipped (schedule changed)."
}

// painted joins lines, each in the colour of its sign.
func painted(lines []string, on bool) string {
	var b strings.Builder
	for _, line := range lines {
		c := plain
		switch sign, _, _ := strings.Cut(strings.TrimLeft(line, " "), " "); sign {
		case "+":
			c = green
		case "-":
			c = red
		case "~":
			c = yellow
		case "=":
			c = faint
		}
		b.WriteString(c.wrap(oneLine(line), on))
		b.WriteByte('\n')
	}
	return b.String()
}
