package jobs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// explainDays puts the two day fields into words; "" is every day. Whether a day
// must match both or either of them is said with "only" and "or".
func explainDays(dom, dow wordField) string {
	either := !dom.open && !dow.open
	switch {
	case either && (dom.full() || dow.full()), dom.all() && dow.all():
		return ""
	case dow.all():
		return wordsOfMonthDays(dom.items)
	case dom.all():
		days, how := wordsOfWeekdays(dow.items)
		return strings.TrimPrefix(how+" "+days, " ")
	}
	days, how := wordsOfWeekdays(dow.items)
	link := ", only "
	if either {
		link = ", or "
	}
	if how != "" || dow.items[0].kind == wordSpan {
		link += "on "
	}
	return wordsOfMonthDays(dom.items) + link + days
}

var monthDayWords = phrases{
	item:  strconv.Itoa,
	every: "every %d days in a month",
	span:  "between day %s and %s of the month",
	one:   func(list string) string { return "on day " + list + " of the month" },
}

// wordsOfMonthDays puts days of the month into words. The ones that are counted from
// its end or moved off a weekend stand behind the others.
func wordsOfMonthDays(items []wordItem) string {
	plain, special := parted(items)
	if len(special) == 0 {
		return monthDayWords.say(plain)
	}
	names := make([]string, len(special))
	for i, item := range special {
		names[i] = specialDay(item)
	}
	switch {
	case len(plain) == 0 && len(special) == 1 && special[0].kind == wordLastDay && special[0].lo > 0:
		return daysBefore(special[0].lo) + " the last day of the month"
	case len(plain) == 0:
		return "on " + listed(names) + " of the month"
	case hasSteps(plain):
		return monthDayWords.say(plain) + ", and on " + listed(names) + " of the month"
	}
	var words []string
	for _, item := range plain {
		day := strconv.Itoa(item.lo)
		if item.kind == wordSpan {
			day += " through " + strconv.Itoa(item.hi)
		}
		words = append(words, day)
	}
	return monthDayWords.one(listed(append(words, names...)))
}

// specialDay names a day of the month that is no number; "of the month" follows.
func specialDay(i wordItem) string {
	switch {
	case i.kind == wordNearest && i.lo == 1:
		return "the first weekday"
	case i.kind == wordNearest:
		return fmt.Sprintf("the weekday nearest day %d", i.lo)
	case i.kind == wordNearestLast && i.lo == 0:
		return "the last weekday"
	case i.kind == wordNearestLast:
		return "the weekday nearest the day " + daysBefore(i.lo) + " the last"
	case i.lo > 0:
		return "the day " + daysBefore(i.lo) + " the last"
	}
	return "the last day"
}

func daysBefore(n int) string { return fmt.Sprintf("%d %s before", n, plural(n, "day")) }

var (
	weekdayNames = strings.Fields("Sunday Monday Tuesday Wednesday Thursday Friday Saturday")
	ordinals     = strings.Fields("first second third fourth fifth")
)

var weekdayWords = phrases{
	item:  func(d int) string { return weekdayNames[d%7] },
	every: "every %d days of the week",
	span:  "%s through %s",
	one:   func(list string) string { return list },
}

// wordsOfWeekdays puts days of the week into words, and says how they follow a time:
// "only on" Monday, "on" the last Friday, and nothing before a range.
func wordsOfWeekdays(items []wordItem) (days, how string) {
	plain, special := parted(items)
	if len(special) == 0 {
		days = weekdayWords.say(plain)
		if hasSteps(plain) || len(plain) == 1 && plain[0].kind == wordSpan {
			return days, ""
		}
		return days, "only on"
	}
	names := make([]string, len(special))
	same := !slices.ContainsFunc(special, func(i wordItem) bool { return i.kind != wordLastOfDay })
	for i, item := range special {
		names[i] = weekdayNames[item.lo]
		switch {
		case item.kind == wordNthOfDay:
			names[i] = ordinals[item.step-1] + " " + names[i]
		case !same || i == 0:
			names[i] = "last " + names[i]
		}
	}
	days = "the " + listed(names) + " of the month"
	if len(plain) == 0 {
		return days, "on"
	}
	return weekdayWords.say(plain) + " and on " + days, "only on"
}

// parted divides items into the ones every field has and those of a day field.
func parted(items []wordItem) (plain, special []wordItem) {
	for _, i := range items {
		if i.kind < wordLastDay {
			plain = append(plain, i)
		} else {
			special = append(special, i)
		}
	}
	return plain, special
}
