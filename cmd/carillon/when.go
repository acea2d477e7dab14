package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/jobs"
)

// whenWords are what starts a job, as briefly as it stays clear: its expressions,
// what bends them, and the job it follows; "" if it is started by hand only.
func whenWords(job *jobs.Job) string {
	words := make([]string, 0, 4)
	for _, sp := range job.Specs {
		words = append(words, expressionWords(sp, job.Offset))
	}
	if job.EveryN.N > 1 {
		words = append(words, fmt.Sprintf("every %d %s", job.EveryN.N, job.EveryN.Unit))
	}
	if len(job.Only) > 0 {
		words = append(words, "only "+strings.Join(calendarNames(job.Only), ", "))
	}
	if len(job.Exclude) > 0 {
		words = append(words, "except "+strings.Join(calendarNames(job.Exclude), ", "))
	}
	switch job.Shift {
	case jobs.ShiftNext:
		words = append(words, "else the next business day")
	case jobs.ShiftPrevious:
		words = append(words, "else the business day before")
	}
	if !job.Start.IsZero() {
		words = append(words, "from "+briefly(job.Start.In(job.Zone())))
	}
	if !job.End.IsZero() {
		words = append(words, "until "+briefly(job.End.In(job.Zone())))
	}
	switch n := len(job.At); {
	case n == 1:
		words = append(words, "at "+briefly(job.At[0].In(job.Zone())))
	case n > 1:
		words = append(words, fmt.Sprintf("at %d instants", n))
	}
	if job.Jitter > 0 {
		words = append(words, "jitter "+jobs.DurationText(job.Jitter))
	}
	if job.After != nil {
		words = append(words, fmt.Sprintf("after %s (%s)", job.After.Job, job.After.When))
	}
	return strings.Join(words, ", ")
}

// expressionWords is an expression with the offset that the job gives it.
func expressionWords(sp *jobs.Spec, offset time.Duration) string {
	text := sp.String()
	if offset > 0 && sp.Kind() == jobs.KindEvery && !strings.Contains(strings.ToLower(text), "offset") {
		text += " offset " + jobs.DurationText(offset)
	}
	return text
}

// calendarNames lists calendars; a file has each once.
func calendarNames(list []*jobs.Calendar) []string {
	var names []string
	for _, c := range list {
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// briefly writes a bound without a time of day that says nothing: the beginning
// of a day, or its last second.
func briefly(t time.Time) string {
	switch t.Format(time.TimeOnly) {
	case "00:00:00", "23:59:59":
		return t.Format(time.DateOnly)
	default:
		return t.Format(time.DateTime)
	}
}
