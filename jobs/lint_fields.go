package jobs

import (
	"fmt"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// These rules read the text of an expression: what was written and what was
// probably meant.

func lintDomAndDow(l *linter, j *Job) {
	for i, s := range j.Specs {
		f, ok := written(s)
		if !ok || isOpen(f.dom) || isOpen(f.dow) {
			continue
		}
		instead := `for days that are both, leave the day of week open and take the weekdays from a calendar (only: [NAME])`
		if nth := nthWeekday(f); nth != "" {
			instead = fmt.Sprintf("for %s of the month write day of month * and day of week %s", nthWords(nth), nth)
		}
		l.warnSpec(i, "%s fires on days that match the day of month %s or the day of week %s, not only on days that match both (next: %s); %s",
			quoted(s.String()), f.dom, f.dow, strings.Join(nextDays(s, l.now, 3), ", "), instead)
	}
}

var oneWeekday = regexp.MustCompile(`^([0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)$`)

// nthWeekday is the form "MON#1" of what "1-7" and "MON" together were meant to
// be, or "".
func nthWeekday(f cronFields) string {
	weeks := map[string]string{"1-7": "#1", "8-14": "#2", "15-21": "#3", "22-28": "#4", "25-31": "L", "24-31": "L", "24-30": "L"}
	which, ok := weeks[f.dom]
	if !ok || !oneWeekday.MatchString(f.dow) {
		return ""
	}
	return f.dow + which
}

func nthWords(nth string) string {
	day, n, found := strings.Cut(nth, "#")
	if !found {
		return "the last " + strings.TrimSuffix(day, "L")
	}
	return map[string]string{"1": "the first ", "2": "the second ", "3": "the third ", "4": "the fourth "}[n] + day
}

// wholeStep is a field that is nothing but a step over its whole range.
var wholeStep = regexp.MustCompile(`^(\*|H|\d+)/(\d+)$`)

// stepOf is the step of a field that is one step over its whole range.
func stepOf(field string) (step int, ok bool) {
	m := wholeStep.FindStringSubmatch(field)
	if m == nil {
		return 0, false
	}
	step, err := strconv.Atoi(m[2])
	if err != nil {
		return 0, false
	}
	if first, err := strconv.Atoi(m[1]); err == nil && first >= step {
		return 0, false // it was told to begin in the middle
	}
	return step, true
}

// single reports a field of one value, in which nothing begins anew.
func single(field string) bool {
	_, err := strconv.Atoi(field)
	return err == nil || field == "H"
}

func lintUnevenStep(l *linter, j *Job) {
	for i, s := range j.Specs {
		f, ok := written(s)
		if !ok {
			continue
		}
		for _, c := range []struct {
			name, text, in string
			set            uint64
			size           int
			unit, every    string
			wraps          bool
		}{
			{"second", f.second, "minute", s.cal.second, 60, "second", "s", !single(f.minute)},
			{"minute", f.minute, "hour", s.cal.minute, 60, "minute", "m", !single(f.hour)},
			{"hour", f.hour, "day", uint64(s.cal.hour), 24, "hour", "h", !single(f.dom) && !single(f.dow)},
		} {
			step, ok := stepOf(c.text)
			if !ok || !c.wraps || c.size%step == 0 {
				continue
			}
			wanders := ""
			if c.unit == "hour" {
				wanders = ", which changes its times of day"
			}
			l.warnSpec(i, "%s %s of %s begins anew in every %s: %s; for even steps write one that divides %d, for every %d %ss \"@every %d%s\"%s",
				c.name, c.text, quoted(s.String()), c.in, wrapWords(c.set, c.size, c.unit), c.size, step, c.unit, step, c.every, wanders)
		}
		if step, ok := stepOf(f.dom); ok && step > 1 && isOpen(f.dow) {
			l.warnSpec(i, "day of month %s of %s begins anew in every month, so the last step of a month is shorter or longer; for every %d days write day of month * and every_n: {days: %d} with a start:",
				f.dom, quoted(s.String()), step, step)
		}
		if step, ok := stepOf(f.month); ok && 12%step != 0 {
			l.warnSpec(i, "month %s of %s begins anew in every year: %s; write a step that divides 12, or name the months",
				f.month, quoted(s.String()), wrapWords(uint64(s.cal.month)>>1, 12, "month"))
		}
		if step, ok := stepOf(f.dow); ok && step > 1 {
			l.warnSpec(i, "day of week %s of %s begins anew on every Sunday, so the last step of a week is shorter or longer; for every %d days write every_n: {days: %d} with a start:, or name the weekdays",
				f.dow, quoted(s.String()), step, step)
		}
	}
}

// wrapWords say what happens at the end of a range of that size.
func wrapWords(set uint64, size int, unit string) string {
	first, last := bits.TrailingZeros64(set), 63-bits.LeadingZeros64(set)
	if first == last {
		return fmt.Sprintf("it fires once in all %d", size)
	}
	one := size - last + first
	shift := 0
	if unit == "month" {
		shift = 1 // they count from 1
	}
	return fmt.Sprintf("after %s %d comes %s %d, %d %s later", unit, last+shift, unit, first+shift, one, plural(one, unit))
}

// fewHours are hours that were named one by one.
var fewHours = regexp.MustCompile(`^(H|\d+)(,\d+)*$`)

func lintEveryMinuteOfHour(l *linter, j *Job) {
	for i, s := range j.Specs {
		f, ok := written(s)
		if !ok || !anyValue(f.minute) || !fewHours.MatchString(f.hour) {
			continue
		}
		fields := strings.Fields(s.String())
		fields[len(fields)-5] = "0"
		l.warnSpec(i, "%s fires in every minute of the hour, 60 times; for once write %s, and for every minute say so with 0-59",
			quoted(s.String()), quoted(strings.Join(fields, " ")))
	}
}

func lintEverySecond(l *linter, j *Job) {
	for i, s := range j.Specs {
		f, ok := written(s)
		if !ok || !anyValue(f.second) {
			continue
		}
		fields := strings.Fields(s.String())
		instead := `for every second say so with "@every 1s"`
		if !anyValue(f.minute) || !anyValue(f.hour) {
			instead = "for every second say so with 0-59"
		}
		l.warnSpec(i, "%s has six fields, the first of them seconds: it fires at every second of each minute that matches; for once in each write %s, %s",
			quoted(s.String()), quoted(strings.Join(fields[1:], " ")), instead)
	}
}

// lateDays are days of the month that not all months have.
var lateDays = regexp.MustCompile(`^(29|30|31)W?(-(29|30|31))?(,(29|30|31)W?(-(29|30|31))?)*$`)

func lintShortMonths(l *linter, j *Job) {
	for i, s := range j.Specs {
		f, ok := written(s)
		if !ok || !isOpen(f.dow) || !lateDays.MatchString(f.dom) {
			continue
		}
		first := 31
		for _, item := range strings.Split(f.dom, ",") {
			if n, err := strconv.Atoi(item[:2]); err == nil {
				first = min(first, n)
			}
		}
		if s.cal.month == 1<<2 {
			continue // the 29th of February was meant
		}
		var without []string
		for m := 1; m <= 12; m++ {
			const commonYear = 2027
			if s.cal.month>>m&1 != 0 && monthDays(commonYear, m) < first {
				without = append(without, time.Month(m).String())
			}
		}
		if len(without) == 0 {
			continue
		}
		but := ""
		if first == 29 {
			but = " except in leap years"
		}
		l.warnSpec(i, "%s skips %s%s, without day %d; for the last day of every month write L as the day of month",
			quoted(s.String()), joined(without, "and"), but, first)
	}
}
