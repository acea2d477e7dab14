package jobs

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Explain says in one paragraph of plain English when the job runs: its
// expressions and instants, and every rule that bends them.
func (j *Job) Explain() string {
	sentences := []string{j.explainTicks()}
	if j.After != nil {
		sentences = append(sentences, explainAfter(j.After, j.Ticks()))
	}
	if len(j.Specs) > 0 {
		sentences = append(sentences, j.explainDays()...)
		sentences = append(sentences, j.explainBounds()...)
		sentences = append(sentences, explainClocks(j)...)
	}
	if j.Ticks() {
		sentences = append(sentences, explainStart(j)...)
	}
	if !j.Enabled {
		sentences = append(sentences, "The job rests (enabled: false): it runs only when it is started by hand")
	}
	return strings.Join(nonEmpty(sentences), ". ") + "."
}

// explainTicks says what the expressions and the instants are.
func (j *Job) explainTicks() string {
	said, local := "", false
	for i, s := range j.Specs {
		words := s.Explain()
		if i > 0 {
			said += "; and "
			words = strings.ToLower(words[:1]) + words[1:]
		}
		said += words
		local = local || s.every == 0
	}
	if local {
		said += ", in " + j.Zone().String()
	}
	if len(j.At) > 0 {
		if said != "" {
			said += "; and "
		}
		said += "once at " + listedTimes(j.At, j.Zone())
	}
	switch {
	case said != "":
		return capital(said)
	case j.After != nil:
		return ""
	}
	return "It has no schedule: it runs when it is started by hand"
}

// mostTimes is how many instants are named.
const mostTimes = 5

func listedTimes(times []time.Time, loc *time.Location) string {
	texts := make([]string, 0, mostTimes+1)
	for i, t := range times {
		if i == mostTimes {
			texts = append(texts, fmt.Sprintf("%d more", len(times)-i))
			break
		}
		texts = append(texts, t.In(loc).Format(time.RFC3339))
	}
	return joined(texts, "and")
}

func explainAfter(a *After, also bool) string {
	end := map[When]string{
		WhenSuccess: "has succeeded", WhenFailure: "has failed or was rolled back", WhenDone: "has ended, however it ended",
	}[a.When]
	if also {
		return fmt.Sprintf("It also follows each run of %s that %s", a.Job, end)
	}
	return fmt.Sprintf("It follows each run of %s that %s", a.Job, end)
}

// explainDays says which days the rules of the job leave.
func (j *Job) explainDays() []string {
	var said []string
	if n := j.EveryN; n.N > 1 {
		unit, first := "week", "the week (Monday to Sunday) of "+j.Start.In(j.Zone()).Format(time.DateOnly)
		if n.Unit == EveryDays {
			unit, first = "day", j.Start.In(j.Zone()).Format(time.DateOnly)
		}
		said = append(said, fmt.Sprintf("Of the %ss only every %s counts, from %s on", unit, ordinal(n.N), first))
	}
	if len(j.Only) > 0 {
		said = append(said, "Only on days of "+joined(namesOf(j.Only), "or"))
	}
	if len(j.Exclude) > 0 {
		said = append(said, "Not on days of "+joined(namesOf(j.Exclude), "or"))
	}
	switch j.Shift {
	case ShiftNext:
		said = append(said, "What falls on another day moves to the next day that is left, at the same time")
	case ShiftPrevious:
		said = append(said, "What falls on another day moves to the last day before it that is left, at the same time")
	}
	return said
}

func namesOf(calendars []*Calendar) []string {
	names := make([]string, len(calendars))
	for i, c := range calendars {
		names[i] = c.Name
	}
	return names
}

// explainBounds says when the schedule begins and ends.
func (j *Job) explainBounds() []string {
	var said []string
	if !j.Start.IsZero() {
		said = append(said, "Not before "+j.Start.In(j.Zone()).Format(time.RFC3339))
	}
	if !j.End.IsZero() {
		said = append(said, "Not after "+j.End.In(j.Zone()).Format(time.RFC3339))
	}
	return said
}

// explainClocks says what a change of the clocks does, for each kind of time
// that the job has; nothing in a zone without changes.
func explainClocks(j *Job) []string {
	var said []string
	whose := map[string][]string{}
	for _, s := range j.Specs {
		words := s.ExplainClocks()
		if words == "" {
			continue
		}
		if whose[words] == nil {
			said = append(said, words)
		}
		whose[words] = append(whose[words], quoted(s.String()))
	}
	for i, words := range said {
		if len(said) > 1 {
			words += " (" + joined(whose[words], "and") + ")"
		}
		said[i] = "When the clocks change, " + words
	}
	return said
}

// explainStart says when a tick becomes a run, and what becomes of a late one.
func explainStart(j *Job) []string {
	var said []string
	if j.Jitter > 0 {
		said = append(said, fmt.Sprintf("Each run starts up to %s after its time, a delay that the job's name and the tick decide", spoken(j.Jitter)))
	}
	switch c := j.CatchUp; c.Policy {
	case CatchUpAll:
		said = append(said, fmt.Sprintf("Of the times that nobody was there for, the newest %d of the last %s run late", c.Max, spoken(c.Window)))
	case CatchUpLatest:
		said = append(said, fmt.Sprintf("Of the times that nobody was there for, the newest of the last %s runs late", spoken(c.Window)))
	case CatchUpSkip:
		said = append(said, fmt.Sprintf("A time that nobody was there for runs up to %s late, and then no more", spoken(alwaysRuns)))
	}
	return said
}

// ordinal is "2nd", "3rd", "11th".
func ordinal(n int) string {
	suffix := "th"
	if n/10%10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}

func nonEmpty(texts []string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}
