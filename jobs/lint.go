package jobs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Warning is something in a schedule that is legal and yet seldom what was
// meant. What is certainly wrong is a Problem, and the file is then not read.
type Warning struct {
	ID      string // which rule found it; what "silence:" names
	Job     string // "" of the file as a whole
	Line    int    // of the file, from 1
	Column  int    // from 1, in characters
	Message string // what happens, why, and what to write instead
}

// LintRule is a kind of warning that Lint may give.
type LintRule struct {
	ID      string
	Meaning string // in one line
}

// LintRules lists all kinds of warnings, in the order of their ids.
func LintRules() []LintRule {
	list := make([]LintRule, len(lintRules))
	for i, r := range lintRules {
		list[i] = LintRule{ID: r.id, Meaning: r.meaning}
	}
	return list
}

// lintIDs are the words that "silence:" may name.
func lintIDs() []string {
	ids := make([]string, len(lintRules))
	for i, r := range lintRules {
		ids[i] = r.id
	}
	return ids
}

// Lint looks for what is legal and surprising, as seen at the given instant: some
// rules look at the ticks of the coming week, some at the clock changes of the
// coming two years. What the file or the job silences is left out. The warnings
// come in the order of the file; a schedule without any has nil.
func (s *Schedule) Lint(now time.Time) []Warning {
	l := &linter{schedule: s, now: now.UTC(), changes: map[*time.Location][]clockChange{}}
	for i := range lintRules {
		l.rule = &lintRules[i]
		if slices.Contains(s.Silence, l.rule.id) {
			continue
		}
		if l.rule.file != nil {
			l.job = nil
			l.rule.file(l)
			continue
		}
		for _, j := range s.Jobs {
			if !slices.Contains(j.Silence, l.rule.id) {
				l.job = j
				l.rule.job(l, j)
			}
		}
	}
	slices.SortStableFunc(l.found, func(a, b Warning) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column, strings.Compare(a.ID, b.ID))
	})
	return l.found
}

// lintRule is one rule. It looks at each job, or at the file as a whole; exactly
// one of the two functions is set.
type lintRule struct {
	id      string
	meaning string
	job     func(l *linter, j *Job)
	file    func(l *linter)
}

// linter is one look at a schedule.
type linter struct {
	schedule *Schedule
	now      time.Time
	changes  map[*time.Location][]clockChange // of the coming years, by zone
	found    []Warning

	rule *lintRule // the one that looks
	job  *Job      // at what it looks; nil is the file
}

// warn records what the rule found at its job, or in the file.
func (l *linter) warn(format string, args ...any) {
	at := Place{Line: 1, Column: 1}
	if l.job != nil {
		at.Line = max(l.job.Line, 1)
	}
	l.warnAt(at, format, args...)
}

// warnSpec records what the rule found in one expression of its job.
func (l *linter) warnSpec(i int, format string, args ...any) {
	if i < len(l.job.Places.Specs) {
		l.warnAt(l.job.Places.Specs[i], format, args...)
		return
	}
	l.warn(format, args...)
}

func (l *linter) warnAt(at Place, format string, args ...any) {
	w := Warning{ID: l.rule.id, Line: at.Line, Column: at.Column, Message: fmt.Sprintf(format, args...)}
	if l.job != nil {
		w.Job = l.job.Name
	}
	l.found = append(l.found, w)
}

// cronFields are the texts of an expression's six fields, in upper case.
type cronFields struct{ second, minute, hour, dom, month, dow string }

// written are the fields of an expression that was written as fields. It is false
// for names such as "@daily" and for "@every".
func written(s *Spec) (cronFields, bool) {
	texts := strings.Fields(strings.ToUpper(s.String()))
	if len(texts) == 5 {
		texts = append([]string{"0"}, texts...)
	}
	if len(texts) != 6 || texts[0][0] == '@' {
		return cronFields{}, false
	}
	return cronFields{texts[0], texts[1], texts[2], texts[3], texts[4], texts[5]}, true
}

// anyValue reports whether a field takes every value there is.
func anyValue(field string) bool { return field == "*" || field == "?" || field == "*/1" }

// The forms in which a warning names a day, and a tick to the minute.
const (
	lintDay  = "Mon 2006-01-02"
	lintTick = "Mon 2006-01-02 15:04"
)

// nextDays are the next n days on which the expression fires.
func nextDays(s *Spec, after time.Time, n int) []string {
	var days []string
	for len(days) < n {
		tick, ok := s.Next(after)
		if !ok {
			break
		}
		local := tick.In(s.Location())
		days = append(days, local.Format(lintDay))
		y, m, d := local.Date()
		after = time.Date(y, m, d, 23, 59, 59, 0, s.Location())
		if after.Before(tick) { // a clock set back in the last hour of the day
			after = tick
		}
	}
	return days
}
