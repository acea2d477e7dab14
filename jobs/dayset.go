package jobs

import (
	"cmp"
	"slices"
)

// daySet is a set of days: some weekdays, some dates of every year, and some days
// of certain years. The set without anything in it is the zero value.
//
// The days of certain years are kept as one mask a month, so that a whole month is
// answered at once, however many days there are: a schedule that looks for a free
// day asks about twelve months in a row. Years that look alike share their page,
// which keeps a range up to the year 9999 small.
type daySet struct {
	week   uint8    // bit 0 is Sunday
	yearly yearMask // the 29th of February counts in leap years
	first  int      // the year of pages[0]
	pages  []uint16 // year - first -> where its mask is in masks
	masks  []yearMask
	or     *daySet // the rest of a union, or nil
}

// yearMask is a set of days of a year: bit d of element m is day d of month m.
type yearMask [13]uint32

const (
	everyWeekday = 0x7f
	firstYear    = 1
)

// daySpan is a run of days, both ends in it.
type daySpan struct{ first, last int64 }

// newDaySet is the set of all days that are on one of the weekdays, on one of the
// dates or in one of the spans. Equal sets of days become equal values.
func newDaySet(week uint8, yearly yearMask, spans []daySpan) daySet {
	if week == everyWeekday || yearly == everyDate() {
		return daySet{week: everyWeekday}
	}
	s := daySet{week: week, yearly: yearly}
	s.paint(disjoint(spans))
	return s
}

// everyDate is the mask of a whole leap year.
func everyDate() yearMask {
	var all yearMask
	for m := 1; m <= 12; m++ {
		all[m] = dayMask(1, monthDays(2000, m))
	}
	return all
}

// dayMask is the days from first to last of a month.
func dayMask(first, last int) uint32 { return uint32(1<<(last+1) - 1<<first) }

// disjoint sorts spans and joins those that meet.
func disjoint(spans []daySpan) []daySpan {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b daySpan) int { return cmp.Compare(a.first, b.first) })
	joined := spans[:0]
	for _, s := range spans {
		if n := len(joined); n > 0 && s.first <= joined[n-1].last+1 {
			joined[n-1].last = max(joined[n-1].last, s.last)
		} else {
			joined = append(joined, s)
		}
	}
	return joined
}

// paint fills in the pages for spans in order, as far as the weekdays and the
// yearly dates do not already hold their days.
func (s *daySet) paint(spans []daySpan) {
	first, last := dayNumber(firstYear, 1), dayNumber(lastYear+1, 1)-1
	page, places := yearMask{}, map[yearMask]uint16{}
	turn := func(year int) { // the page of that year is full
		place, known := places[page]
		if !known {
			place = uint16(len(s.masks)) // there are fewer years
			places[page] = place
			s.masks = append(s.masks, page)
		}
		if len(s.pages) == 0 {
			s.first = year
		}
		s.pages = append(s.pages, place)
		page = yearMask{}
	}
	year := 0
	for _, span := range spans {
		for day := max(span.first, first); day <= min(span.last, last); {
			y, month, dom := civilDate(day)
			length := monthDays(y, month)
			until := min(int64(dom)+span.last-day, int64(length))
			days := dayMask(dom, int(until)) &^ s.regular(day-int64(dom-1), month)
			day += until - int64(dom) + 1
			if days == 0 {
				continue
			}
			for ; year < y; year++ {
				if page != (yearMask{}) || len(s.pages) > 0 {
					turn(year)
				}
			}
			page[month] |= days
		}
	}
	if page != (yearMask{}) {
		turn(year)
	}
}

// regular is what the weekdays and the yearly dates make of a month; it may hold
// days past the end of the month.
func (s *daySet) regular(firstDay int64, month int) uint32 {
	w := weekday(firstDay)
	week := (uint32(s.week)>>w | uint32(s.week)<<(7-w)) & everyWeekday // bit 0: the weekday of the 1st
	return week*(1|1<<7|1<<14|1<<21|1<<28)<<1 | s.yearly[month]
}

// contains reports whether a day is in the set.
func (s *daySet) contains(day int64) bool {
	year, month, dom := civilDate(day)
	return s.month(day-int64(dom-1), year, month, dom)>>dom&1 != 0
}

// month is the part of the set that lies in one month, of that length and with its
// 1st on firstDay: bit n stands for day n. It does not allocate.
func (s *daySet) month(firstDay int64, year, month, length int) uint64 {
	var days uint32
	for ; s != nil; s = s.or {
		days |= s.regular(firstDay, month)
		if i := year - s.first; uint(i) < uint(len(s.pages)) {
			days |= s.masks[s.pages[i]][month]
		}
	}
	return uint64(days) & (1<<(length+1) - 1)
}

// empty reports that no day is in the set.
func (s *daySet) empty() bool {
	for ; s != nil; s = s.or {
		if s.week != 0 || s.yearly != (yearMask{}) || len(s.pages) != 0 {
			return false
		}
	}
	return true
}

// unionOf is the set of days that are in one of the calendars, nil when there are
// no calendars. A union shares what its parts hold.
func unionOf(calendars []*Calendar) *daySet {
	switch len(calendars) {
	case 0:
		return nil
	case 1:
		return &calendars[0].days
	}
	// Weekdays and yearly dates are added up; only what has days of certain years
	// takes a place of its own.
	all := &daySet{}
	for _, c := range calendars {
		for part := &c.days; part != nil; part = part.or {
			all.week |= part.week
			for m, days := range part.yearly {
				all.yearly[m] |= days
			}
			if len(part.pages) == 0 {
				continue
			}
			if len(all.pages) != 0 {
				all.or = &daySet{first: all.first, pages: all.pages, masks: all.masks, or: all.or}
			}
			all.first, all.pages, all.masks = part.first, part.pages, part.masks
		}
	}
	return all
}
