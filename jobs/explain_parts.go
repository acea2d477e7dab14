package jobs

import (
	"fmt"
	"strconv"
	"strings"
)

// SpecKind says how an expression goes with the changes of the clocks.
type SpecKind string

// The three kinds. See DST for what the first two mean.
const (
	KindFixed    SpecKind = "fixed"    // its minutes and hours are named
	KindWildcard SpecKind = "wildcard" // its minute or hour field begins with "*"
	KindEvery    SpecKind = "every"    // "@every": it has no local time
)

// Kind is the kind of the expression.
func (s *Spec) Kind() SpecKind {
	switch {
	case s.every > 0:
		return KindEvery
	case s.wildcard:
		return KindWildcard
	}
	return KindFixed
}

// SpecField is one field of an expression in its normal form.
type SpecField struct {
	Name  string // "minute", "day of month"
	Value string // such as "*/15", "9-17" or "Mon-Fri,SatL"; what H has become
}

// Fields are the fields of the expression from the minute on, the second before
// them when it is not 0. Of "@every" there are none.
func (s *Spec) Fields() []SpecField {
	if s.every > 0 {
		return nil
	}
	var fields []SpecField
	for i, w := range s.wordFields() {
		if i == 0 && w.zero() {
			continue
		}
		texts := make([]string, len(w.items))
		for n, item := range w.items {
			texts[n] = w.normal(item)
		}
		fields = append(fields, SpecField{w.field.name, strings.Join(texts, ",")})
	}
	return fields
}

// normal is the shortest way to write an item.
func (w wordField) normal(i wordItem) string {
	switch i.kind {
	case wordAll:
		if !w.open {
			return w.value(w.field.min) + "-" + w.value(w.field.last()) // "5,*": no star in front
		}
		return "*"
	case wordSpan:
		return w.value(i.lo) + "-" + w.value(i.hi)
	case wordEvery:
		if i.lo == w.field.min && w.open {
			return fmt.Sprintf("*/%d", i.step)
		}
		return fmt.Sprintf("%d-%d/%d", i.lo, i.hi, i.step)
	case wordEverySpan:
		return fmt.Sprintf("%s-%s/%d", w.value(i.lo), w.value(i.hi), i.step)
	case wordLastDay:
		return "L" + fromLast(i.lo)
	case wordNearest:
		return fmt.Sprintf("%dW", i.lo)
	case wordNearestLast:
		return "L" + fromLast(i.lo) + "W"
	case wordLastOfDay:
		return w.value(i.lo) + "L"
	case wordNthOfDay:
		return fmt.Sprintf("%s#%d", w.value(i.lo), i.step)
	}
	return w.value(i.lo)
}

func fromLast(days int) string {
	if days == 0 {
		return ""
	}
	return fmt.Sprintf("-%d", days)
}

// value is a value of the field, as a name where it has one.
func (w wordField) value(v int) string {
	switch w.field {
	case &monthField:
		return monthNames[v-1][:3]
	case &weekdayField:
		return weekdayNames[v%7][:3]
	}
	return strconv.Itoa(v)
}
