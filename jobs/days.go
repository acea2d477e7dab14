package jobs

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// dayItems are the items of the day fields whose days differ from month to
// month: L, L-3, 15W, LW, L-3W in day of month, 5L and 5#2 in day of week. Most
// expressions have none. Their meaning is Quartz's.
type dayItems struct {
	fromEnd uint32   // bit n: L-n, the n-th day before the last one
	near    uint32   // bit n: nW, the day from Monday to Friday that is nearest to day n
	nearEnd uint32   // bit n: L-nW, the same of the n-th day before the last one
	last    uint8    // bit w: wL, the last weekday w
	nth     [5]uint8 // bit w of nth[n-1]: w#n, the n-th weekday w
}

// orNil is a copy of the items, or nil for none.
func (d *dayItems) orNil() *dayItems {
	if *d == (dayItems{}) {
		return nil
	}
	items := *d
	return &items
}

// ofMonth is the set of days that the items of day of month mean in a month of
// that length whose 1st is weekday w: bit n is day n.
func (d *dayItems) ofMonth(w, length int) uint64 {
	days := fromEnd(d.fromEnd, length)
	if near := uint64(d.near) | fromEnd(d.nearEnd, length); near != 0 {
		days |= nearestWeekday(near, w, length)
	}
	return days
}

// ofWeek is the same of the items of day of week.
func (d *dayItems) ofWeek(w, length int) uint64 {
	var days uint64
	for n, weekdays := range d.nth {
		if weekdays != 0 {
			days |= firstWeek(weekdays, w) << (7 * n)
		}
	}
	if d.last != 0 {
		days |= everyWeek(d.last, w) &^ (1<<(length-6) - 1)
	}
	return days
}

// fromEnd turns days counted from the end of a month around.
func fromEnd(set uint32, length int) uint64 {
	return uint64(bits.Reverse32(set)>>(31-length)) &^ 1
}

// firstWeek is the days 1 to 7 of a month whose 1st is weekday w that are one of
// the weekdays.
func firstWeek(weekdays uint8, w int) uint64 {
	return (uint64(weekdays)>>w | uint64(weekdays)<<(7-w)) & 0x7f << 1
}

// everyWeek is the days 1 to 35 of such a month.
func everyWeek(weekdays uint8, w int) uint64 {
	return firstWeek(weekdays, w) * (1 | 1<<7 | 1<<14 | 1<<21 | 1<<28)
}

// nearestWeekday moves the days of a set that fall on a weekend: Saturday to the
// Friday before, Sunday to the Monday after, but never out of the month.
func nearestWeekday(days uint64, w, length int) uint64 {
	inMonth := uint64(1)<<(length+1) - 2
	days &= inMonth
	saturdays, sundays := days&everyWeek(1<<6, w), days&everyWeek(1<<0, w)
	first, last := uint64(1)<<1, uint64(1)<<length
	return days&^(saturdays|sundays) |
		saturdays&^first>>1 | saturdays&first<<2 |
		sundays&^last<<1 | sundays&last>>2
}

// read takes an item in if it is one of these. It is false for an item that is
// to be read as a plain one.
func (d *dayItems) read(f *cronField, item string) (bool, error) {
	if !strings.ContainsAny(item, "lLwW#") {
		return false, nil
	}
	upper := strings.ToUpper(item)
	if f == &domField {
		return d.readMonth(upper, item)
	}
	return d.readWeek(upper, item)
}

const domItems = "L (the last day), L-3, 15W (the weekday nearest to the 15th) or LW"

// readMonth reads an item of day of month.
func (d *dayItems) readMonth(upper, item string) (bool, error) {
	bad := func(format string, args ...any) (bool, error) {
		return false, fmt.Errorf("day of month %q: %s", item, fmt.Sprintf(format, args...))
	}
	if strings.ContainsAny(upper, "#") {
		return bad("# counts weekdays; write it in day of week, such as FRI#2")
	}
	body, workday := strings.CutSuffix(upper, "W")
	rest, last := strings.CutPrefix(body, "L")
	switch {
	case strings.Trim(upper, "LW-/0123456789") != "":
		return false, nil
	case strings.Contains(upper, "/"):
		return bad("expected no step after L or W; write a list, such as 15W,LW")
	case upper == "W":
		return bad("W needs a day before it: 15W is the weekday nearest to the 15th, LW the last weekday")
	case upper == "WL":
		return bad("expected LW")
	case last && rest == "" && workday:
		d.nearEnd |= 1
		return true, nil
	case last && rest == "":
		d.fromEnd |= 1
		return true, nil
	case last && rest[0] == '-':
		n, err := smallNumber(rest[1:])
		if err != nil || n < 1 || n > 30 {
			return bad("expected L-1 to L-30: that many days before the last one")
		}
		if workday {
			d.nearEnd |= 1 << n
		} else {
			d.fromEnd |= 1 << n
		}
		return true, nil
	case workday && isDigits(body):
		n, err := smallNumber(body)
		if err != nil || n < 1 || n > 31 {
			return bad("expected 1W to 31W, or LW")
		}
		d.near |= 1 << n
		return true, nil
	case workday && strings.Contains(body, "-") && !strings.ContainsAny(body, "LW"):
		return bad("W stands after one day; write a list, such as 1W,15W")
	}
	digits := strings.Trim(upper, "LW-")
	switch {
	case isDigits(digits) && strings.HasSuffix(upper, "L"):
		return bad("expected L alone for the last day, L-%s for a day before it; the last Friday is 5L in day of week", digits)
	case isDigits(digits) && strings.HasPrefix(upper, "W"):
		return bad("expected %sW", digits)
	}
	return bad("expected %s, or %s", domField.expected, domItems)
}

// readWeek reads an item of day of week.
func (d *dayItems) readWeek(upper, item string) (bool, error) {
	bad := func(format string, args ...any) (bool, error) {
		return false, fmt.Errorf("day of week %q: %s", item, fmt.Sprintf(format, args...))
	}
	f := &weekdayField
	if day, count, found := strings.Cut(upper, "#"); found {
		w, err := f.value(day)
		switch n, numberErr := smallNumber(count); {
		case day == "":
			return bad("expected a weekday before #, such as FRI#2 for the second Friday")
		case strings.ContainsAny(upper, "/-") && err != nil:
			return bad("# stands after one weekday; write a list, such as MON#1,TUE#1")
		case err != nil:
			return false, err
		case count == "L" || strings.HasPrefix(count, "-"):
			return bad("expected a number from 1 to 5 after #; the last one of the month is %sL", day)
		case numberErr != nil || n < 1 || n > 5:
			return bad("expected a number from 1 to 5 after #: no month has more than five of a weekday")
		default:
			d.nth[n-1] |= 1 << (w % 7)
			return true, nil
		}
	}
	body, last := strings.CutSuffix(upper, "L")
	if rest, first := strings.CutPrefix(upper, "L"); first && !last {
		body = rest
	}
	switch w, err := f.value(body); {
	case upper == "L":
		return bad("write 6L or SATL for the last Saturday of the month, or SAT for every Saturday")
	case upper == "LW" || strings.HasSuffix(upper, "W") && isDigits(upper[:len(upper)-1]):
		return bad("W counts days of the month; write it in day of month")
	case last && err == nil:
		d.last |= 1 << (w % 7)
		return true, nil
	case last && strings.ContainsAny(body, "-/"):
		return bad("L stands after one weekday; write a list, such as MONL,TUEL")
	case upper[0] == 'L' && err == nil:
		return bad("expected %sL for the last one of the month", body)
	case upper[0] == 'L' && strings.HasPrefix(body, "-"):
		return bad("days before the last one are counted in day of month; here 5L is the last Friday")
	}
	return false, nil
}

// smallNumber reads digits without superfluous zeros.
func smallNumber(text string) (int, error) {
	if !isDigits(text) || looksOctal(text) {
		return 0, strconv.ErrSyntax
	}
	return strconv.Atoi(text)
}
