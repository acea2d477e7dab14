package jobs

import "math/bits"

// Civil time is counted in plain integers: a local time is the number of
// seconds its wall clock shows since 1970-01-01 00:00:00, a date the number of
// days since then. No zone is known here; zone.go turns one into the other.

const (
	daySeconds   = 24 * 60 * 60
	cycleDays    = 146097 // 400 years, after which dates and weekdays repeat
	cycleSeconds = cycleDays * daySeconds
	cycleYears   = 400
	lastYear     = 9999
)

// floorDiv divides rounding down, so that times before 1970 land on their day.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// leap reports whether the year has a 29th of February.
func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// monthDays is the length of the month, 28 to 31.
func monthDays(year, month int) int {
	if month == 2 {
		if leap(year) {
			return 29
		}
		return 28
	}
	return 30 + (month+month>>3)&1
}

// dayNumber is the day of the 1st of the month. Years are counted from March,
// so that the leap day is the last of its year and month lengths follow a
// straight line (153 days in every five months).
func dayNumber(year, month int) int64 {
	month -= 3
	if month < 0 {
		month += 12
		year--
	}
	era := floorDiv(int64(year), cycleYears)
	inEra := int64(year) - era*cycleYears
	return era*cycleDays + inEra*365 + inEra/4 - inEra/100 + int64(153*month+2)/5 - 719468
}

// civilDate is the inverse of dayNumber: the date of a day.
func civilDate(day int64) (year, month, dom int) {
	day += 719468
	era := floorDiv(day, cycleDays)
	d := uint32(day - era*cycleDays)
	y := (d - d/1460 + d/36524 - d/146096) / 365
	d -= y*365 + y/4 - y/100
	m := (5*d + 2) / 153
	dom = int(d-(153*m+2)/5) + 1
	year = int(era)*cycleYears + int(y)
	month = int(m) + 3
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, dom
}

// weekday is 0 for Sunday. 1970-01-01 was a Thursday.
func weekday(day int64) int {
	w := int((day + 4) % 7)
	if w < 0 {
		w += 7
	}
	return w
}

// calendar is the set of local times of one cron expression: bit n of a field
// stands for the value n.
type calendar struct {
	second, minute uint64
	hour, dom      uint32
	month          uint16
	dow            uint8
	either         bool      // a day matches when dom or dow does, not only when both do
	first          int32     // the first matching second of a day
	items          *dayItems // what the day fields have beside dom and dow, or nil
	filter         *dayFilter
}

// next is the first matching local time at or after from. It is false when
// there is none before the year 10000.
func (c *calendar) next(from int64) (int64, bool) {
	if c.filter != nil {
		return c.nextFiltered(from)
	}
	day := floorDiv(from, daySeconds)
	year, month, dom := civilDate(day)
	firstDay := day - int64(dom-1)
	if c.month>>month&1 != 0 && c.days(firstDay, monthDays(year, month))>>dom&1 != 0 {
		if tod, ok := c.timeOfDay(int(from - day*daySeconds)); ok {
			return day*daySeconds + int64(tod), year <= lastYear
		}
	}
	day, ok := c.nextDay(year, month, dom+1, firstDay)
	return day*daySeconds + int64(c.first), ok
}

// nextDay is the first matching day at or after the given day of the month
// (which may lie just behind its end). Four hundred years without a match mean
// that there is none.
func (c *calendar) nextDay(year, month, dom int, firstDay int64) (int64, bool) {
	for limit := min(year+cycleYears, lastYear); year <= limit; {
		if c.month>>month&1 != 0 {
			if days := c.days(firstDay, monthDays(year, month)) >> dom; days != 0 {
				return firstDay + int64(dom-1+bits.TrailingZeros64(days)), true
			}
		}
		dom = 1
		year, month, firstDay = nextMonth(c.month, year, month, firstDay)
	}
	return 0, false
}

// nextMonth is the first month of a set that comes after one whose 1st is firstDay.
func nextMonth(months uint16, year, month int, firstDay int64) (int, int, int64) {
	later := months >> (month + 1)
	switch {
	case later&1 != 0: // the neighbour
		return year, month + 1, firstDay + int64(monthDays(year, month))
	case later != 0:
		month += 1 + bits.TrailingZeros16(later)
	case months == 1<<month: // the same one of the next year
		firstDay += 365
		if month <= 2 && leap(year) || month > 2 && leap(year+1) {
			firstDay++
		}
		return year + 1, month, firstDay
	default:
		month = bits.TrailingZeros16(months)
		year++
	}
	return year, month, dayNumber(year, month)
}

// days is the set of matching days of a month of that length whose 1st is
// firstDay, whatever month it is.
func (c *calendar) days(firstDay int64, length int) uint64 {
	w := weekday(firstDay)
	days, dom := everyWeek(c.dow, w), uint64(c.dom)
	if c.items != nil {
		days |= c.items.ofWeek(w, length)
		dom |= c.items.ofMonth(w, length)
	}
	if c.either {
		days |= dom
	} else {
		days &= dom
	}
	return days & (1<<(length+1) - 1)
}

// timeOfDay is the first matching second of a day at or after from.
func (c *calendar) timeOfDay(from int) (int, bool) {
	h, m, s := from/3600, from/60%60, from%60
	if c.hour>>h&1 != 0 {
		if c.minute>>m&1 != 0 {
			if left := c.second >> s; left != 0 {
				return from + bits.TrailingZeros64(left), true
			}
		}
		if left := c.minute >> (m + 1); left != 0 {
			m += 1 + bits.TrailingZeros64(left)
			return h*3600 + m*60 + bits.TrailingZeros64(c.second), true
		}
	}
	if left := c.hour >> (h + 1); left != 0 {
		h += 1 + bits.TrailingZeros32(left)
		return h*3600 + int(c.first)%3600, true
	}
	return 0, false
}

// possible reports whether any date in 400 years matches. It does not depend
// on today: an expression is either a schedule or a mistake, for ever.
func (c *calendar) possible() bool {
	const year = 2000
	_, ok := c.nextDay(year, 1, 1, dayNumber(year, 1))
	return ok
}
