package importer

import (
	"fmt"
	"strconv"
	"strings"
)

// A timeField is one field of an expression, as both grammars know it.
type timeField struct {
	name     string
	min, max int
	names    []string // of the values from min on, in lower case
}

var (
	secondField  = timeField{name: "second", max: 59}
	minuteField  = timeField{name: "minute", max: 59}
	hourField    = timeField{name: "hour", max: 23}
	dayField     = timeField{name: "day of month", min: 1, max: 31}
	monthField   = timeField{name: "month", min: 1, max: 12, names: strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")}
	weekdayField = timeField{name: "day of week", max: 7, names: strings.Fields("sun mon tue wed thu fri sat")}

	// goWeekdayField is what the Go library reads: there is no Sunday 7.
	goWeekdayField = timeField{name: "day of week", max: 6, names: weekdayField.names}
)

// number reads digits, with as many leading zeros as there are.
func (f *timeField) number(text string) (int, error) {
	digits := strings.TrimLeft(text, "0")
	if text == "" || strings.Trim(text, "0123456789") != "" || len(digits) > 6 {
		return 0, fmt.Errorf("%s %q: expected a number from %d to %d%s", f.name, text, f.min, f.max, f.orName())
	}
	n, _ := strconv.Atoi("0" + digits) // at most six digits
	return n, nil
}

// value reads a number or a name, and answers how it is written.
func (f *timeField) value(text string) (n int, written string, err error) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.min + i, text, nil
		}
	}
	if n, err = f.number(text); err != nil {
		return 0, "", err
	}
	if n < f.min || n > f.max {
		return 0, "", fmt.Errorf("%s %q: expected %d to %d%s", f.name, text, f.min, f.max, f.orName())
	}
	return n, strconv.Itoa(n), nil
}

func (f *timeField) orName() string {
	if f.names == nil {
		return ""
	}
	return fmt.Sprintf(", or %s to %s", strings.ToUpper(f.names[0]), strings.ToUpper(f.names[len(f.names)-1]))
}

// steps reads what follows the slash.
func (f *timeField) steps(item, text string) (string, error) {
	n, err := f.number(text)
	if err != nil || n == 0 {
		return "", fmt.Errorf("%s %q: the step is no number of at least 1", f.name, item)
	}
	return "/" + strconv.Itoa(n), nil
}

// begins reports whether a field begins with one of the signs for "any".
func begins(text, signs string) bool { return text != "" && strings.ContainsAny(text[:1], signs) }
