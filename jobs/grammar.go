package jobs

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/robfig/cron/v3"
)

// The grammar is robfig/cron's, so that expressions mean here what they mean in
// most Go programs. Its parser is only shown text that was checked and written
// anew, item by item: left alone it panics on some inputs, reads "*-5" as "*"
// and "," as nothing, has no Sunday 7, and cannot say which field is wrong.
// What it does not know is taken out before: days.go has L, W and #, and H has
// become a number by then (hash.go).

// cronField describes one of the six fields.
type cronField struct {
	name     string
	min, max int
	names    []string // of the values from min on, in lower case
	expected string
	day      bool // a day field: "?" is allowed and means "*"
}

var (
	secondField  = cronField{name: "second", max: 59, expected: "0-59"}
	minuteField  = cronField{name: "minute", max: 59, expected: "0-59"}
	hourField    = cronField{name: "hour", max: 23, expected: "0-23"}
	domField     = cronField{name: "day of month", min: 1, max: 31, expected: "1-31", day: true}
	monthField   = cronField{name: "month", min: 1, max: 12, names: strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec"), expected: "1-12 or JAN-DEC"}
	weekdayField = cronField{name: "day of week", max: 7, names: strings.Fields("sun mon tue wed thu fri sat"), expected: "0-7 (0 and 7 are Sunday) or SUN-SAT", day: true}

	fieldsInOrder = [6]*cronField{&secondField, &minuteField, &hourField, &domField, &monthField, &weekdayField}
)

const (
	fiveFields = "minute, hour, day of month, month, day of week"
	sixFields  = "second, minute, hour, day of month, month, day of week"
)

var cronParser = cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// parseFields reads five or six fields of the job of that name. wildcard says
// that the minute or the hour field begins with "*".
func parseFields(texts []string, job string) (c calendar, wildcard bool, err error) {
	switch n := len(texts); {
	case n == 5:
		texts = append([]string{"0"}, texts...)
	case n < 5:
		return c, false, fmt.Errorf("%d %s: expected 5 (%s) or 6 (seconds first)", n, plural(n, "field"), fiveFields)
	case n > 6 || looksLikeCommand(texts):
		return c, false, fmt.Errorf("%d fields: expected 5 (%s) or 6 (seconds first); the year and the command are no part of it", n, fiveFields)
	default:
		defer func() {
			if err != nil {
				err = fmt.Errorf("%w (6 fields are %s)", err, sixFields)
			}
		}()
	}
	clean := make([]string, len(texts))
	r := fieldReader{job: job}
	var errs []error
	for i, f := range fieldsInOrder {
		var err error
		if clean[i], err = r.clean(f, texts[i]); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return c, false, joinErrors(errs)
	}
	set, err := parseClean(strings.Join(clean, " "))
	if err != nil {
		return c, false, err
	}
	bitsOf := func(field int, set uint64) uint64 {
		if clean[field] == nothingPlain {
			return 0
		}
		return set & (1<<(fieldsInOrder[field].last()+1) - 1) // the parser adds a bit for the star
	}
	c = calendar{
		second: bitsOf(0, set.Second),
		minute: bitsOf(1, set.Minute),
		hour:   uint32(bitsOf(2, set.Hour)),
		dom:    uint32(bitsOf(3, set.Dom)),
		month:  uint16(bitsOf(4, set.Month)),
		dow:    uint8(bitsOf(5, set.Dow)),
		items:  r.items.orNil(),
		// Taken from the text: the parser forgets the star of "*/2".
		either: !isOpen(texts[3]) && !isOpen(texts[5]),
	}
	for i, b := range []uint64{c.second, c.minute, uint64(c.hour), uint64(c.dom), uint64(c.month), uint64(c.dow)} {
		if b == 0 && clean[i] != nothingPlain {
			return c, false, fmt.Errorf("%s %q: matches nothing", fieldsInOrder[i].name, texts[i])
		}
	}
	c.first = int32(bits.TrailingZeros32(c.hour)*3600 + bits.TrailingZeros64(c.minute)*60 + bits.TrailingZeros64(c.second))
	if !c.possible() {
		return c, false, fmt.Errorf("can never fire: no date in 400 years is day of month %q in month %q on day of week %q", texts[3], texts[4], texts[5])
	}
	return c, texts[1][0] == '*' || texts[2][0] == '*', nil
}

// isOpen reports whether a day field leaves its day open.
func isOpen(text string) bool { return text[0] == '*' || text[0] == '?' }

// parseClean hands checked text to the parser. Nothing that passed the checks
// makes it fail; should one slip through, it must not take the node along.
func parseClean(text string) (set *cron.SpecSchedule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%q: not understood: %v", text, r)
		}
	}()
	sched, err := cronParser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%q: not understood: %w", text, err)
	}
	set, ok := sched.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%q: not understood", text)
	}
	return set, nil
}

// fieldReader reads the fields of one expression.
type fieldReader struct {
	job   string   // whose name spreads H
	items dayItems // what was found in the day fields beside plain values
}

// nothingPlain stands for a field all of whose items the parser is not shown:
// a value that every field has, to be thrown away.
const nothingPlain = "01"

// clean checks a field and writes it in the parser's own terms.
func (r *fieldReader) clean(f *cronField, text string) (string, error) {
	all := strings.Split(text, ",")
	items := all[:0]
	for _, item := range all {
		switch {
		case item == "" && strings.Trim(text, ",") == "":
			return "", fmt.Errorf("%s %q: an empty list; expected %s", f.name, text, f.expected)
		case item == "":
			return "", fmt.Errorf("%s %q: an empty place in the list; remove one comma", f.name, text)
		case strings.HasPrefix(item, "?") && (text != "?" || !f.day):
			return "", fmt.Errorf("%s %q: \"?\" stands alone, for a day field left open; expected %s or *", f.name, text, f.expected)
		case strings.Contains(item, "~"):
			return "", fmt.Errorf("%s %q: \"~\" is another cron's word for a random value; write %s, which the job's name decides", f.name, item, f.insteadOfTilde(item))
		}
		plain, err := r.item(f, item)
		if err != nil {
			return "", err
		}
		if plain != "" {
			items = append(items, plain)
		}
	}
	if len(items) == 0 {
		return nothingPlain, nil
	}
	return strings.Join(items, ","), nil
}

// item is what the parser is to read for an item: nothing for one that it does
// not know.
func (r *fieldReader) item(f *cronField, item string) (string, error) {
	if item[0] == 'H' || item[0] == 'h' {
		return f.spread(item, r.job)
	}
	if f.day {
		if found, err := r.items.read(f, item); found || err != nil {
			return "", err
		}
	}
	return f.cleanItem(item)
}

// cleanItem checks one item of a list: *, n, n-m, and each of them with a step.
func (f *cronField) cleanItem(item string) (string, error) {
	body, stepText, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		var err error
		if step, err = f.step(item, body, stepText); err != nil {
			return "", err
		}
	}
	if body == "*" || body == "?" {
		return withStep("*", step), nil
	}
	if strings.HasPrefix(body, "*") {
		return "", fmt.Errorf("%s %q: expected nothing but a step, such as */5, after the *", f.name, item)
	}
	loText, hiText, isRange := strings.Cut(body, "-")
	if isRange && (loText == "" || hiText == "" || strings.Contains(hiText, "-")) {
		return "", fmt.Errorf("%s %q: expected a range such as %d-%d", f.name, item, f.min+1, f.min+4)
	}
	lo, err := f.value(loText)
	if err != nil {
		return "", err
	}
	if !isRange {
		if f == &weekdayField {
			lo %= 7
		}
		if stepped { // from there to the end
			return withStep(fmt.Sprintf("%d-%d", lo, f.last()), step), nil
		}
		return strconv.Itoa(lo), nil
	}
	hi, err := f.value(hiText)
	if err != nil {
		return "", err
	}
	if f == &weekdayField && hi == 0 && lo > 0 {
		hi = 7 // FRI-SUN
	}
	if lo > hi {
		return "", fmt.Errorf("%s %q: the range ends before it begins; expected two, such as %d-%d,%d-%d", f.name, item, lo, f.last(), f.min, hi)
	}
	if f == &weekdayField && hi == 7 {
		return sundays(lo, step), nil
	}
	return withStep(fmt.Sprintf("%d-%d", lo, hi), step), nil
}

// last is the greatest value to offer: Saturday, where 7 is another Sunday.
func (f *cronField) last() int {
	if f == &weekdayField {
		return 6
	}
	return f.max
}

// withStep is an item with its step.
func withStep(body string, step int) string {
	if step == 1 {
		return body
	}
	return body + "/" + strconv.Itoa(step)
}

// sundays writes out a range of weekdays that ends with 7, which the parser
// does not know.
func sundays(lo, step int) string {
	var days []string
	for d := lo; d <= 7; d += step {
		days = append(days, strconv.Itoa(d%7))
	}
	return strings.Join(days, ",")
}

// step reads what follows the slash. A step beyond the range is legal: it
// leaves the first value only.
func (f *cronField) step(item, body, text string) (int, error) {
	const most = 1_000_000 // far beyond every range, far below any overflow
	if body == "" {
		return 0, fmt.Errorf("%s %q: expected a value before the step, such as *%s", f.name, item, item)
	}
	if !isDigits(text) {
		return 0, fmt.Errorf("%s %q: expected a whole number of at least 1 as the step", f.name, item)
	}
	if looksOctal(text) {
		return 0, fmt.Errorf("%s %q: expected the step without leading zeros", f.name, item)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n > most {
		return 0, fmt.Errorf("%s %q: expected a step of at most %d", f.name, item, most)
	}
	if n == 0 {
		return 0, fmt.Errorf("%s %q: expected a step of at least 1", f.name, item)
	}
	return n, nil
}

// value reads a number or a name.
func (f *cronField) value(text string) (int, error) {
	if isDigits(text) {
		if looksOctal(text) {
			return 0, fmt.Errorf("%s %q: expected %s, without leading zeros", f.name, text, f.expected)
		}
		if n, err := strconv.Atoi(text); err == nil && n >= f.min && n <= f.max {
			return n, nil
		}
		return 0, fmt.Errorf("%s %q: expected %s%s", f.name, text, f.expected, f.hint(text))
	}
	lower := strings.ToLower(text)
	for i, name := range f.names {
		if lower == name {
			return f.min + i, nil
		}
	}
	return 0, fmt.Errorf("%s %q: expected %s%s", f.name, text, f.expected, f.hint(text))
}

// hint is a word about a value that people write often.
func (f *cronField) hint(text string) string {
	lower := strings.ToLower(text)
	for _, name := range f.names {
		if len(lower) > 3 && strings.HasPrefix(lower, name) {
			return "; write " + strings.ToUpper(name)
		}
	}
	switch {
	case f == &hourField && text == "24":
		return "; midnight is 0"
	case (f == &minuteField || f == &secondField) && text == "60":
		return "; the full one is 0"
	case f == &weekdayField && len(text) == 4 && isDigits(text):
		return "; there is no field for the year"
	case strings.HasPrefix(text, "+") || strings.HasPrefix(text, "-"):
		return ", without a sign"
	}
	return ""
}

// isDigits reports whether the text is a number without a sign.
func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// looksOctal reports whether a number could be taken for another one: 010 is eight
// to some readers and ten to others. 05 is five to everybody.
func looksOctal(text string) bool { return len(text) > 2 && text[0] == '0' }

// looksLikeCommand reports whether the sixth of six fields is a program: a
// whole line of a crontab.
func looksLikeCommand(texts []string) bool {
	return len(texts) == 6 && len(texts[5]) > 1 && strings.ContainsAny(texts[5][:1], "/.~") && !isDigits(texts[5][1:])
}

// joinErrors makes one sentence of several.
func joinErrors(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}

// plural is the noun in the number of n.
func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
