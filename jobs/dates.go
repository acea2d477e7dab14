package jobs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// date is a day as a schedule file writes it: of one year, or of every year.
type date struct{ year, month, day int } // year 0: of every year

const dateExpected = "a date such as 2026-12-25, or 12-25 for every year"

var (
	fullDate   = regexp.MustCompile(`^([0-9]{4})-([0-9]{2})-([0-9]{2})$`)
	yearlyDate = regexp.MustCompile(`^([0-9]{2})-([0-9]{2})$`)
)

// parseDate reads a date. The error does not repeat the text.
func parseDate(text string) (date, error) {
	var d date
	if m := fullDate.FindStringSubmatch(text); m != nil {
		d = date{number(m[1]), number(m[2]), number(m[3])}
		if d.year < firstYear {
			return date{}, fmt.Errorf("there is no year %s; expected %s", m[1], dateExpected)
		}
	} else if m := yearlyDate.FindStringSubmatch(text); m != nil {
		d = date{0, number(m[1]), number(m[2])}
	} else {
		return date{}, fmt.Errorf("expected %s%s", dateExpected, dateHint(text))
	}
	if err := d.check(); err != nil {
		return date{}, err
	}
	return d, nil
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits) // the pattern has seen to it
	return n
}

// check says what is wrong with a date that is well formed. A date of every year
// may be one that only leap years have.
func (d date) check() error {
	if d.month < 1 || d.month > 12 {
		if swapped := (date{d.year, d.day, d.month}); d.day >= 1 && d.day <= 12 && swapped.check() == nil {
			return fmt.Errorf("there is no month %d; the month comes first; did you mean %q?", d.month, swapped)
		}
		return fmt.Errorf("there is no month %02d; expected %s", d.month, dateExpected)
	}
	year := d.year
	if year == 0 {
		year = 2000 // a leap year
	}
	if days := monthDays(year, d.month); d.day < 1 || d.day > days {
		if d.year == 0 {
			return fmt.Errorf("%s has at most %d days", time.Month(d.month), days)
		}
		return fmt.Errorf("%s %d has %d days", time.Month(d.month), d.year, days)
	}
	return nil
}

func (d date) String() string {
	if d.year == 0 {
		return fmt.Sprintf("%02d-%02d", d.month, d.day)
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.year, d.month, d.day)
}

// number of the day, for a date of one year.
func (d date) number() int64 { return dayNumber(d.year, d.month) + int64(d.day-1) }

var (
	looseFull  = regexp.MustCompile(`^([0-9]{4})[-/. ]([0-9]{1,2})[-/. ]([0-9]{1,2})\.?$`)
	looseLast  = regexp.MustCompile(`^([0-9]{1,2})[-/. ] ?([0-9]{1,2})[-/. ] ?([0-9]{4})$`)
	looseShort = regexp.MustCompile(`^(?:--)?([0-9]{1,2})[-/. ]([0-9]{1,2})\.?$`)
	packed     = regexp.MustCompile(`^([0-9]{4})([0-9]{2})([0-9]{2})$`)
	withTime   = regexp.MustCompile(`^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]`)
)

// dateHint offers the date that was probably meant. Of 01/02 nobody can tell.
func dateHint(text string) string {
	offer := func(d date) string {
		if d.check() != nil || d.year > lastYear {
			return ""
		}
		return fmt.Sprintf("; did you mean %q?", d)
	}
	first := func(year, a, b int) string {
		if a > 12 {
			a, b = b, a
		} else if b <= 12 && a != b && !strings.Contains(text, "-") {
			return "; the month comes before the day"
		}
		return offer(date{year, a, b})
	}
	text = strings.TrimSpace(text)
	for _, form := range []*regexp.Regexp{looseFull, packed, withTime} {
		if m := form.FindStringSubmatch(text); m != nil {
			return offer(date{number(m[1]), number(m[2]), number(m[3])})
		}
	}
	if m := looseLast.FindStringSubmatch(text); m != nil {
		return first(number(m[3]), number(m[1]), number(m[2]))
	}
	if m := looseShort.FindStringSubmatch(text); m != nil {
		return first(0, number(m[1]), number(m[2]))
	}
	return ""
}

// dateRange is a stretch of days, both ends in it. A range of every year may go
// over the end of the year.
type dateRange struct{ from, to date }

const rangeExpected = dateExpected + ", or a range such as 2026-12-24..2027-01-02"

var looseRange = regexp.MustCompile(`^([0-9-]+) *(?:\.{2,}|–|—|/|to|until|-) *([0-9-]+)$`)

// parseDates reads a date or a range of them.
func parseDates(text string) (dateRange, error) {
	from, to, ranged := strings.Cut(text, "..")
	if !ranged || strings.ContainsAny(text, " \t") || strings.HasPrefix(to, ".") {
		d, err := parseDate(text)
		if err == nil {
			return dateRange{d, d}, nil
		}
		if m := looseRange.FindStringSubmatch(strings.TrimSpace(text)); m != nil {
			if r, bad := parseDates(m[1] + ".." + m[2]); bad == nil {
				return dateRange{}, fmt.Errorf("expected %s; did you mean \"%s..%s\"?", rangeExpected, r.from, r.to)
			}
		}
		return dateRange{}, err
	}
	var r dateRange
	var err error
	if r.from, err = parseDate(from); err != nil {
		return dateRange{}, fmt.Errorf("from %s: %w", quoted(from), err)
	}
	if r.to, err = parseDate(to); err != nil {
		return dateRange{}, fmt.Errorf("to %s: %w", quoted(to), err)
	}
	return r, r.check()
}

// check says what is wrong with the two ends together.
func (r dateRange) check() error {
	switch {
	case (r.from.year == 0) != (r.to.year == 0):
		return fmt.Errorf("from %s to %s: one is of every year and the other is not; give both a year, or none", r.from, r.to)
	case r.from.year != 0 && r.to.number() < r.from.number():
		return fmt.Errorf("it ends on %s, before it begins on %s; did you mean \"%s..%s\"?", r.to, r.from, r.to, r.from)
	}
	return nil
}

// addTo adds the days of the range to a set that is being made.
func (r dateRange) addTo(yearly *yearMask, spans *[]daySpan) {
	if r.from.year != 0 {
		*spans = append(*spans, daySpan{r.from.number(), r.to.number()})
		return
	}
	if r.to.month < r.from.month || r.to.month == r.from.month && r.to.day < r.from.day { // over the end of the year
		dateRange{r.from, date{0, 12, 31}}.addTo(yearly, spans)
		dateRange{date{0, 1, 1}, r.to}.addTo(yearly, spans)
		return
	}
	for month := r.from.month; month <= r.to.month; month++ {
		first, last := 1, monthDays(2000, month)
		if month == r.from.month {
			first = r.from.day
		}
		if month == r.to.month {
			last = r.to.day
		}
		yearly[month] |= dayMask(first, last)
	}
}
