package jobs

import (
	"slices"
	"time"
)

// Calendar is a named set of days, from "calendars:" of a schedule file. It is
// immutable and may be shared.
//
// A day is a date and no span of time: which instants it holds is for the zone of
// the job that asks. Days are counted from 1970-01-01, which is day 0.
type Calendar struct {
	Name   string
	Line   int // of the file, where it is declared
	days   daySet
	labels []dayLabel // in order of days, one for a day
	yearly []yearlyLabel
}

// dayLabel is what a calendar file calls a day.
type dayLabel struct {
	day  int32
	text string
}

// yearlyLabel is what a calendar file calls a date of every year.
type yearlyLabel struct {
	month, day int8
	text       string
}

// Contains reports whether a date is in the calendar. The date is in the proleptic
// Gregorian calendar, as everywhere in package time; a day past the end of its
// month is none, and in no calendar.
func (c *Calendar) Contains(year int, month time.Month, day int) bool {
	if month < time.January || month > time.December || day < 1 || day > monthDays(year, int(month)) {
		return false
	}
	return c.contains(dayNumber(year, int(month)) + int64(day-1))
}

func (c *Calendar) contains(day int64) bool { return c.days.contains(day) }

// Label is what a calendar file calls that day, such as "Christmas Day", or "" when
// no file of the calendar names it. Of several names it is the first.
func (c *Calendar) Label(day int64) string {
	i, ok := slices.BinarySearchFunc(c.labels, day, func(l dayLabel, day int64) int { return int(int64(l.day) - day) })
	if ok {
		return c.labels[i].text
	}
	if len(c.yearly) > 0 {
		_, month, dom := civilDate(day)
		for _, l := range c.yearly {
			if int(l.month) == month && int(l.day) == dom {
				return l.text
			}
		}
	}
	return ""
}
