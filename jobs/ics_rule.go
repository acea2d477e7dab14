package jobs

import (
	"fmt"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

// starts are the beginnings of all occurrences of an event, on its own clock and
// before its exceptions: DTSTART, those of RRULE, and those of RDATE. A rule that
// is the same date of every year is put into the calendar as such, and is none of
// them.
func (r *icsReader) starts(e *icsEvent, s icsSpan, without map[int64]bool, label string) ([]int64, error) {
	starts := []int64{s.start.seconds}
	for _, l := range e.props["RDATE"] {
		if strings.EqualFold(l.params["VALUE"], "PERIOD") {
			continue // they have lengths of their own
		}
		for text := range strings.SplitSeq(l.value, ",") {
			at, err := r.on(s.start, l, text)
			if err != nil {
				return nil, err
			}
			starts = append(starts, at.seconds)
		}
	}
	line, ok := e.get("RRULE")
	if !ok {
		return starts, nil
	}
	if r.rules++; r.rules > maxICSRules {
		return nil, r.tooMuch(line.bad("the file has more than %d rules", maxICSRules))
	}
	rule, err := r.rule(line, s.start)
	if err != nil {
		return nil, err
	}
	if len(without) == 0 && r.yearly(rule, s, label) {
		return starts, nil
	}
	return r.follow(line, rule, starts)
}

// follow adds the occurrences of a rule to that of DTSTART, which counts as the
// first of them whether or not the rule says so (RFC 5545, 3.8.5.3).
//
// The library looks for an occurrence in every year that it can write, thousands
// of them for a rule that has none, so a few kilobytes could keep it busy for
// minutes. A rule without any is therefore an error, and all rules of a file
// share a bound of years.
func (r *icsReader) follow(l icsLine, rule *rrule.ROption, starts []int64) ([]int64, error) {
	left, until := rule.Count, rule.Until
	rule.Count, rule.Until = 0, time.Time{} // or the end of the rule looks like that of the search
	if horizon := time.Date(icsLastYear, 12, 31, 23, 59, 59, 0, time.UTC); until.IsZero() || until.After(horizon) {
		until = horizon
	}
	if r.years += max(0, until.Year()-rule.Dtstart.Year()); r.years > maxICSYears {
		return nil, r.tooMuch(l.bad("the rules up to this one go over more than %d years; begin them later, or end them with UNTIL", maxICSYears))
	}
	compiled, err := rrule.NewRRule(*rule)
	if err != nil {
		return nil, l.bad("%v", err)
	}
	next := compiled.Iterator()
	first := rule.Dtstart.Unix()
	for found, seen := 0, false; ; seen = true {
		at, ok := next()
		switch {
		case !ok && !seen:
			return nil, l.bad("%s comes on no day of any year", quoted(l.value))
		case !ok, at.After(until):
			return starts, nil
		case at.Unix() == first:
			continue
		}
		if found++; left > 0 && found >= left { // DTSTART is one of them
			return starts, nil
		}
		if r.total+len(starts) >= maxICSDays {
			return nil, r.tooMuch(l.bad("the events up to this one are on more than %d days; write weekdays or ranges of dates instead", maxICSDays))
		}
		starts = append(starts, at.Unix())
	}
}

// ruleParts are the parts of a RRULE (RFC 5545, 3.3.10), and whether a calendar of
// days has a use for it.
var ruleParts = map[string]bool{
	"FREQ": true, "INTERVAL": true, "COUNT": true, "UNTIL": true, "WKST": true, "BYMONTH": true, "BYMONTHDAY": true,
	"BYYEARDAY": true, "BYWEEKNO": true, "BYDAY": true, "BYSETPOS": true, "BYHOUR": false, "BYMINUTE": false, "BYSECOND": false,
}

// maxRule is more than any honest rule needs: all days of a year take half of it.
const maxRule = 4096

// maxInterval is more than the horizon has days.
const maxInterval = 100_000

// rule reads a RRULE. What the library would make something of that the RFC does
// not allow, or would fail on, is refused here.
func (r *icsReader) rule(l icsLine, start wall) (*rrule.ROption, error) {
	text := strings.ToUpper(strings.TrimSpace(l.value))
	if len(text) > maxRule {
		return nil, l.bad("the rule has %d bytes; expected at most %d", len(text), maxRule)
	}
	parts := map[string]string{}
	var kept []string
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		days, known := ruleParts[name]
		_, twice := parts[name]
		switch {
		case !known:
			return nil, l.bad("%s is no part of a rule", quoted(part))
		case twice:
			return nil, l.bad("%s is given twice", name)
		case value == "":
			return nil, l.bad("%s has no value", name)
		case !days:
			return nil, l.bad("%s recurs within a day; a calendar has whole days", name)
		}
		parts[name] = value
		if name != "UNTIL" { // read here, as a time
			kept = append(kept, part)
		}
	}
	switch parts["FREQ"] {
	case "YEARLY", "MONTHLY", "WEEKLY", "DAILY":
	case "HOURLY", "MINUTELY", "SECONDLY":
		return nil, l.bad("FREQ=%s recurs within a day; a calendar has whole days, so write FREQ=DAILY", parts["FREQ"])
	default:
		return nil, l.bad("FREQ is %s; expected YEARLY, MONTHLY, WEEKLY or DAILY", quoted(parts["FREQ"]))
	}
	rule, err := rrule.StrToROption(strings.Join(kept, ";"))
	if err != nil {
		return nil, l.bad("%s: %v", quoted(text), err)
	}
	if err := checkRule(rule, parts); err != nil {
		return nil, l.bad("%v", err)
	}
	rule.Dtstart = time.Unix(start.seconds, 0).UTC()
	if _, err := rrule.NewRRule(*rule); err != nil { // a number out of its range
		return nil, l.bad("%v", err)
	}
	if until, ok := parts["UNTIL"]; ok {
		if rule.Until, err = r.until(start, l, until); err != nil {
			return nil, err
		}
	}
	return rule, nil
}

// checkRule holds a rule against RFC 5545, 3.3.10.
func checkRule(rule *rrule.ROption, parts map[string]string) error {
	has := func(name string) bool { _, ok := parts[name]; return ok }
	yearly, monthly := rule.Freq == rrule.YEARLY, rule.Freq == rrule.MONTHLY
	switch {
	case has("INTERVAL") && (rule.Interval < 1 || rule.Interval > maxInterval):
		return fmt.Errorf("INTERVAL is %s; expected 1 to %d", parts["INTERVAL"], maxInterval)
	case has("COUNT") && rule.Count < 1:
		return fmt.Errorf("COUNT is %s; expected at least 1", parts["COUNT"])
	case has("COUNT") && has("UNTIL"):
		return fmt.Errorf("COUNT and UNTIL are both given; expected one of them")
	case has("BYWEEKNO") && !yearly:
		return fmt.Errorf("BYWEEKNO needs FREQ=YEARLY")
	case has("BYYEARDAY") && !yearly:
		return fmt.Errorf("BYYEARDAY needs FREQ=YEARLY")
	case has("BYMONTHDAY") && rule.Freq == rrule.WEEKLY:
		return fmt.Errorf("BYMONTHDAY has no meaning with FREQ=WEEKLY")
	case has("BYSETPOS") && !has("BYDAY") && !has("BYMONTHDAY") && !has("BYMONTH") && !has("BYYEARDAY") && !has("BYWEEKNO"):
		return fmt.Errorf("BYSETPOS needs another BY to choose from")
	}
	for _, day := range strings.Split(parts["BYDAY"], ",") {
		ordinal := strings.TrimRight(day, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
		if strings.Trim(ordinal, "+-0") == "" && ordinal != "" {
			return fmt.Errorf("BYDAY has %s; expected a weekday such as MO, or one of a month or year such as 1MO and -1FR", quoted(day))
		}
	}
	most := 53
	if monthly || has("BYMONTH") {
		most = 5
	}
	for _, day := range rule.Byweekday {
		n := day.N()
		switch {
		case n != 0 && !yearly && !monthly:
			return fmt.Errorf("BYDAY=%s chooses one of a month or year, and FREQ is %s", parts["BYDAY"], parts["FREQ"])
		case n != 0 && has("BYWEEKNO"):
			return fmt.Errorf("BYDAY=%s chooses one of a year, and BYWEEKNO one of a week", parts["BYDAY"])
		case n < -most || n > most:
			return fmt.Errorf("BYDAY=%s; expected at most the %d-th", parts["BYDAY"], most)
		}
	}
	return nil
}

// until is the last moment of a rule on the clock of its event. A date is meant
// with its whole day. In UTC, and in a zone that only the file knows, the clock is
// taken to be as far ahead as it ever is: the last occurrence, which UNTIL mostly
// names, is then still in it.
func (r *icsReader) until(start wall, l icsLine, text string) (time.Time, error) {
	l.params = nil
	at, err := r.time(l, text)
	switch {
	case err != nil:
		return time.Time{}, err
	case at.allDay || start.allDay:
		at.seconds = (at.day()+1)*daySeconds - 1
	case at.utc && !start.utc && start.tzid != "":
		if z := r.zones[start.tzid]; z != nil && z.known {
			if _, err := r.zoneFor(start.tzid); err != nil {
				at.seconds += int64(z.ahead / time.Second)
				break
			}
		}
		if at, err = r.on(start, l, text); err != nil {
			return time.Time{}, err
		}
	case at.utc && !start.utc:
		return time.Time{}, l.bad("UNTIL is in UTC, and DTSTART is in no zone; write UNTIL as a date")
	}
	return time.Unix(at.seconds, 0).UTC(), nil
}

// yearly puts a rule into the calendar that is one and the same date of every
// year, for ever, and reports whether it is one. An event of several days is, when
// no leap day moves its end.
func (r *icsReader) yearly(rule *rrule.ROption, s icsSpan, label string) bool {
	simple := rule.Freq == rrule.YEARLY && rule.Interval <= 1 && rule.Count == 0 && rule.Until.IsZero() &&
		len(rule.Bysetpos)+len(rule.Byyearday)+len(rule.Byweekno)+len(rule.Byweekday) == 0 &&
		len(rule.Bymonth) <= 1 && len(rule.Bymonthday) <= len(rule.Bymonth)
	if !simple || s.start.utc {
		return false
	}
	_, month, day := civilDate(s.start.day())
	if len(rule.Bymonth) == 1 {
		month = rule.Bymonth[0]
	}
	if len(rule.Bymonthday) == 1 {
		day = rule.Bymonthday[0]
	}
	if day < 1 || day > monthDays(2000, month) {
		return false
	}
	more := floorDiv(floorMod(s.start.seconds, daySeconds)+max(s.length-1, 0), daySeconds)
	for n := int64(0); n <= more; n++ {
		leapDate := dateOf(dayNumber(2000, month) + int64(day-1) + n)
		if n > 0 && (more > 31 || leapDate != dateOf(dayNumber(2001, month)+int64(day-1)+n)) {
			return false
		}
	}
	for n := int64(0); n <= more; n++ {
		d := dateOf(dayNumber(2000, month) + int64(day-1) + n)
		r.days.yearly[d.month] |= 1 << d.day
		r.days.names.addYearly(d, label)
	}
	return true
}

// dateOf is the date of a day, of every year.
func dateOf(day int64) date {
	_, month, dom := civilDate(day)
	return date{0, month, dom}
}

func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }
