package jobs

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// dayFilter is what a job says about days beside its expression. Days are dates
// of the job's zone, as the expression means them: a time that a gap moves into
// the next day is judged by the day it was meant for.
type dayFilter struct {
	only    *daySet // the days must be in it, unless it is nil
	exclude *daySet // and not in this one
	shift   Shift   // where a day goes that is not
	period  int64   // days; 0 without every_n
	run     int64   // the first so many days of each period count
	from    int64   // the day on which the first period begins
	last    int64   // no day after it is of interest

	onlys, excludes []*Calendar // what only and exclude are made of
}

// maxShift is how many days a tick is moved at most.
const maxShift = 366

// dayKind names a set of days that can be searched.
type dayKind uint8

const (
	namedDays dayKind = iota // those that the fields and every_n name
	leftDays                 // those that the calendars leave
	firedDays                // those that are both
)

// month is one month of such a set, of that length and with its 1st on firstDay.
func (c *calendar) monthOf(kind dayKind, firstDay int64, year, month, length int) uint64 {
	f := c.filter
	set := uint64(1)<<(length+1) - 2
	if kind != leftDays {
		set = c.days(firstDay, length)
		if f.period != 0 {
			set &= f.counted(firstDay, length)
		}
	}
	if kind == namedDays || set == 0 {
		return set
	}
	if f.only != nil {
		set &= f.only.month(firstDay, year, month, length)
	}
	if f.exclude != nil {
		set &^= f.exclude.month(firstDay, year, month, length)
	}
	return set
}

// counted is the days of a month that every_n lets through.
func (f *dayFilter) counted(firstDay int64, length int) uint64 {
	at := f.from - firstDay // where a run of days begins, seen from the 1st
	if at < 0 {
		at = -(-at % f.period)
		if at+f.run <= 0 {
			at += f.period
		}
	}
	run := uint64(1)<<f.run - 1
	var set uint64
	for ; at < int64(length); at += f.period {
		if at < 0 {
			set |= run >> -at
		} else {
			set |= run << at
		}
	}
	return set << 1
}

// search is the first day of a set at or after the given one.
func (c *calendar) search(kind dayKind, day int64) (int64, bool) {
	months := c.month
	if kind == leftDays {
		months = 1<<13 - 2
	}
	year, month, dom := civilDate(day)
	firstDay := day - int64(dom-1)
	for firstDay <= c.filter.last {
		length := monthDays(year, month)
		if months>>month&1 != 0 {
			if set := c.monthOf(kind, firstDay, year, month, length) >> dom; set != 0 {
				day := firstDay + int64(dom-1+bits.TrailingZeros64(set))
				return day, day <= c.filter.last
			}
		}
		dom = 1
		year, month, firstDay = nextMonth(months, year, month, firstDay)
	}
	return 0, false
}

// searchBack is the last day that the calendars leave at or before the given
// one, if it is not further away than maxShift.
func (c *calendar) searchBack(day int64) (int64, bool) {
	until := day - maxShift
	for day >= until {
		year, month, dom := civilDate(day)
		firstDay := day - int64(dom-1)
		set := c.monthOf(leftDays, firstDay, year, month, monthDays(year, month)) & (1<<(dom+1) - 1)
		if set != 0 {
			day = firstDay + int64(bits.Len64(set)) - 2
			return day, day >= until
		}
		day = firstDay - 1
	}
	return 0, false
}

// nextFiltered is next for a calendar with a filter. Times of day are the same
// on all days, so that a day to which another one is moved simply fires.
func (c *calendar) nextFiltered(from int64) (int64, bool) {
	day := floorDiv(from, daySeconds)
	found, ok := c.nextFilteredDay(day)
	if ok && found == day {
		if tod, ok := c.timeOfDay(int(from - day*daySeconds)); ok {
			return day*daySeconds + int64(tod), true
		}
		found, ok = c.nextFilteredDay(day + 1)
	}
	return found*daySeconds + int64(c.first), ok
}

// nextFilteredDay is the first day at or after the given one on which the
// calendar fires.
func (c *calendar) nextFilteredDay(day int64) (int64, bool) {
	switch c.filter.shift {
	case ShiftNext:
		return c.nextShiftedOn(day)
	case ShiftPrevious:
		return c.nextShiftedBack(day)
	}
	return c.search(firedDays, day)
}

// nextShiftedOn: a day that is left fires when it is named, or when one of the
// days between the last day that was left and itself is.
func (c *calendar) nextShiftedOn(day int64) (int64, bool) {
	since := day - maxShift
	if before, ok := c.searchBack(day - 1); ok {
		since = before + 1
	}
	for {
		left, ok := c.search(leftDays, day)
		if !ok {
			return 0, false
		}
		named, ok := c.search(namedDays, max(since, left-maxShift))
		if !ok || named <= left {
			return left, ok
		}
		day, since = named, named
	}
}

// nextShiftedBack: what is named before the first day that is left goes to a day
// before the given one.
func (c *calendar) nextShiftedBack(day int64) (int64, bool) {
	for {
		left, ok := c.search(leftDays, day)
		if !ok {
			return 0, false
		}
		named, ok := c.search(namedDays, left)
		if !ok {
			return 0, false
		}
		if to, ok := c.searchBack(named); ok {
			return to, true
		}
		day = named + 1
	}
}

// newFilter makes the filter of a spec, nil when the options have nothing to say
// about days.
func (s *Spec) newFilter(o *SpecOptions) (*dayFilter, error) {
	filtered := len(o.Only) > 0 || len(o.Exclude) > 0
	switch {
	case o.Shift != ShiftNone && o.Shift != ShiftNext && o.Shift != ShiftPrevious:
		return nil, fmt.Errorf("shift %q: expected %s or %s", o.Shift, ShiftNext, ShiftPrevious)
	case o.Shift != ShiftNone && !filtered:
		return nil, fmt.Errorf("shift %s: expected only: or exclude: too, which say what the business days are", o.Shift)
	case s.every > 0 && (o.Shift != ShiftNone || o.EveryN.N != 0):
		return nil, fmt.Errorf("%q has no days to count or to move: leave out shift: and every_n:, or write the time of day as five fields", s.expr)
	case !filtered && o.EveryN.N == 0:
		return nil, nil
	}
	f := &dayFilter{onlys: o.Only, excludes: o.Exclude, only: unionOf(o.Only), exclude: unionOf(o.Exclude), shift: o.Shift, last: dayNumber(lastYear+1, 1) - 1}
	if err := f.countFrom(o.EveryN, o.Start, s.localDay); err != nil {
		return nil, err
	}
	if f.only != nil {
		f.last = min(f.last, f.only.lastDay())
	}
	if s.until < endInstant-1 {
		// A clock that went back may have shown a later date before.
		f.last = min(f.last, s.localDay(s.until)+2)
	}
	if f.shift == ShiftPrevious {
		f.last += maxShift // what is named later may come back
	}
	return f, nil
}

// countFrom sets the filter up for every_n.
func (f *dayFilter) countFrom(n EveryN, start time.Time, localDay func(int64) int64) error {
	const most = 100_000 // nineteen centuries of weeks
	switch {
	case n.N == 0:
		return nil
	case n.N < 0 || n.N > most:
		return fmt.Errorf("every_n %d: expected 1 to %d", n.N, most)
	case n.Unit != EveryWeeks && n.Unit != EveryDays:
		return fmt.Errorf("every_n unit %q: expected %s or %s", n.Unit, EveryWeeks, EveryDays)
	case start.IsZero():
		return fmt.Errorf("every_n %d: expected start: too, which says where the counting begins", n.N)
	}
	f.from, f.run, f.period = localDay(start.Unix()), 1, int64(n.N)
	if n.Unit == EveryWeeks {
		f.from -= int64(weekday(f.from)+6) % 7 // weeks begin on Monday
		f.run, f.period = 7, 7*int64(n.N)
	}
	return nil
}

// lastDay is a day after which the set has none, or the last day of all.
func (s *daySet) lastDay() int64 {
	year := 0
	for ; s != nil; s = s.or {
		if s.week != 0 || s.yearly != (yearMask{}) {
			return dayNumber(lastYear+1, 1) - 1
		}
		year = max(year, s.first+len(s.pages))
	}
	return dayNumber(year, 1) - 1
}

// checkFires refuses a spec that has no tick at all.
func (s *Spec) checkFires(o *SpecOptions) error {
	var between string
	switch {
	case !o.Start.IsZero() && !o.End.IsZero():
		between = fmt.Sprintf(" between %s and %s", o.Start.In(s.loc).Format(time.RFC3339), o.End.In(s.loc).Format(time.RFC3339))
	case !o.Start.IsZero():
		between = " after " + o.Start.In(s.loc).Format(time.RFC3339)
	case !o.End.IsZero():
		between = " before " + o.End.In(s.loc).Format(time.RFC3339)
	}
	if s.since >= s.until {
		return fmt.Errorf("can never fire%s: the end is before the start", between)
	}
	if _, ok := s.next(s.since); ok {
		return nil
	}
	if f := s.cal.filter; f != nil {
		if _, ok := s.cal.search(leftDays, s.localDay(s.since+1)); !ok {
			return fmt.Errorf("can never fire%s: %s leaves no day", between, filterNames(o))
		}
		if names := filterNames(o); names != "" {
			return fmt.Errorf("can never fire%s: none of its days is left by %s", between, names)
		}
	}
	if between != "" {
		return errors.New("can never fire" + between)
	}
	return nil
}

// filterNames lists the calendars of a spec.
func filterNames(o *SpecOptions) string {
	var parts []string
	for _, list := range []struct {
		key       string
		calendars []*Calendar
	}{{"only", o.Only}, {"exclude", o.Exclude}} {
		var names []string
		for _, c := range list.calendars {
			names = append(names, c.Name)
		}
		if len(names) > 0 {
			parts = append(parts, fmt.Sprintf("%s: [%s]", list.key, strings.Join(names, ", ")))
		}
	}
	return strings.Join(parts, " with ")
}
