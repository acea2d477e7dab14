package jobs

import (
	"fmt"
	"strconv"
	"strings"
)

// The words for the parts of an expression: its time of day, its days, its
// months.

// explainTime puts the three fields of the clock into words.
func explainTime(second, minute, hour wordField) string {
	if times, ok := timesOfDay(second, minute, hour); ok {
		return "at " + joined(times, "and")
	}
	if m := minute.items; second.zero() && hour.one() && len(m) == 1 && m[0].kind == wordSpan {
		return fmt.Sprintf("every minute between %s and %s", clock(hour.items[0].lo, m[0].lo), clock(hour.items[0].lo, m[0].hi))
	}
	var parts []string
	switch {
	case second.all():
		parts = append(parts, "every second")
	case !second.zero():
		parts = append(parts, secondWords.say(second.items))
	}
	if times, ok := timesOfDay(zeroSecond, minute, hour); ok && minute.one() {
		return strings.Join(append(parts, "at "+joined(times, "and")), ", ")
	}
	switch quiet := len(parts) == 0; {
	case minute.all() && quiet:
		parts = append(parts, "every minute")
	case minute.all():
	case minute.zero() && quiet && !hour.steps():
		parts = append(parts, "every hour")
	case minute.zero():
		parts = append(parts, "on the hour")
	default:
		parts = append(parts, minuteWords.say(minute.items))
	}
	switch {
	case hour.all():
	case minute.zero():
		parts = append(parts, exactHours.say(hour.items))
	default:
		parts = append(parts, wholeHours.say(hour.items))
	}
	return strings.Join(parts, ", ")
}

var zeroSecond = wordField{field: &secondField, items: []wordItem{{kind: wordValue}}}

// fewTimes is how many times of day are listed that are not all at one minute.
const fewTimes = 6

// timesOfDay lists the times of a clock that names them all: "09:00", "09:30".
func timesOfDay(second, minute, hour wordField) ([]string, bool) {
	if !second.one() || !minute.values() || !hour.values() {
		return nil, false
	}
	if len(minute.items)*len(hour.items) > fewTimes && (len(minute.items) > 1 || !second.zero()) {
		return nil, false
	}
	var times []string
	for _, h := range hour.items {
		for _, m := range minute.items {
			t := clock(h.lo, m.lo)
			if !second.zero() {
				t += fmt.Sprintf(":%02d", second.items[0].lo)
			}
			times = append(times, t)
		}
	}
	return times, true
}

func clock(hour, minute int) string { return fmt.Sprintf("%02d:%02d", hour, minute) }

var secondWords = phrases{
	item:  strconv.Itoa,
	every: "every %d seconds",
	span:  "seconds %s through %s past the minute",
	one:   func(list string) string { return "at " + list + pluralOf(list, " second") + " past the minute" },
}

var minuteWords = phrases{
	item:  strconv.Itoa,
	every: "every %d minutes",
	span:  "minutes %s through %s past the hour",
	one:   func(list string) string { return "at " + list + pluralOf(list, " minute") + " past the hour" },
}

// exactHours are the words for the hours of a time at minute 0.
var exactHours = phrases{
	item:  func(h int) string { return clock(h, 0) },
	every: "every %d hours",
	span:  "between %s and %s",
	one:   func(list string) string { return "at " + list },
}

// wholeHours are the words for hours in which something happens at another
// minute, or at several: the last of them lasts until its end.
var wholeHours = phrases{
	item:  exactHours.item,
	end:   func(h int) string { return clock(h, 59) },
	every: exactHours.every,
	span:  exactHours.span,
	one:   exactHours.one,
	whole: true,
}

var monthNames = strings.Fields("January February March April May June July August September October November December")

var monthWords = phrases{
	item:  func(m int) string { return monthNames[m-1] },
	every: "every %d months",
	span:  "%s through %s",
	one:   func(list string) string { return "only in " + list },
}

// explainMonths puts the month field into words; "" is every month.
func explainMonths(month wordField) string {
	if month.all() {
		return ""
	}
	return monthWords.say(month.items)
}

// phrases are how a field is put into words.
type phrases struct {
	item  func(v int) string // in a list, such as "5" or "Monday"
	end   func(v int) string // as the end of a range; like item, unless set
	every string             // of a step
	span  string             // of the words for its two ends
	one   func(list string) string
	whole bool // one value is a span of its own
}

// say puts the items of a field into words, "all" excepted. Items with a step
// are sentences of their own; the others make one list.
func (p phrases) say(items []wordItem) string {
	if len(items) == 1 {
		return p.alone(items[0])
	}
	words := make([]string, len(items))
	if hasSteps(items) {
		for n, i := range items {
			words[n] = p.alone(i)
		}
		return listed(words)
	}
	for n, i := range items {
		words[n] = p.item(i.lo)
		if i.kind == wordSpan || p.whole {
			words[n] += " through " + p.last(max(i.lo, i.hi))
		}
	}
	return p.one(listed(words))
}

// alone puts an item into words that stand alone.
func (p phrases) alone(i wordItem) string {
	switch {
	case i.kind == wordEvery && i.start:
		return fmt.Sprintf(p.every, i.step) + ", starting " + p.one(p.item(i.lo))
	case i.kind == wordEvery:
		return fmt.Sprintf(p.every, i.step)
	case i.kind == wordEverySpan:
		return fmt.Sprintf(p.every, i.step) + ", " + fmt.Sprintf(p.span, p.item(i.lo), p.last(i.hi))
	case i.kind == wordSpan || p.whole:
		return fmt.Sprintf(p.span, p.item(i.lo), p.last(max(i.lo, i.hi)))
	}
	return p.one(p.item(i.lo))
}

// last is the word for the end of a range.
func (p phrases) last(v int) string {
	if p.end != nil {
		return p.end(v)
	}
	return p.item(v)
}

// listed joins words as in "a, b, and c".
func listed(words []string) string {
	last := len(words) - 1
	switch last {
	case 0:
		return words[0]
	case 1:
		return words[0] + " and " + words[1]
	}
	return strings.Join(words[:last], ", ") + ", and " + words[last]
}

// pluralOf is the noun behind a list of numbers.
func pluralOf(list, noun string) string {
	if list == "1" {
		return noun
	}
	return noun + "s"
}
