package jobs

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Scalars are read as they were written. YAML would make 8 of 010, 90 of 1:30
// and true of "yes"; each of these is an error here that says what to write.

// maxArgument is the longest text that Linux takes as one argument or one
// variable of a process, its end mark included.
const maxArgument = 128 << 10

// text reads any scalar as it was written: 8080, 1.10 and true are texts too.
// Only "nothing" is refused, because nobody can tell whether it means "".
func (d *decoder) text(e entry, expected string) (string, bool) {
	n := d.resolve(e.value)
	if n.Kind != yaml.ScalarNode || isNull(n) || foreignTag(n) {
		d.mismatch(e, expected)
		return "", false
	}
	if strings.ContainsRune(n.Value, 0) {
		d.problem(n, "%s contains a NUL character, which no process and no request can be given", e.path())
		return "", false
	}
	if len(n.Value) >= maxArgument {
		d.problem(n, "%s has %d bytes; at most %d can be handed to a process: keep it in a file", e.path(), len(n.Value), maxArgument-1)
		return "", false
	}
	return n.Value, true
}

// word reads a text that may not be empty.
func (d *decoder) word(e entry, expected string) (string, bool) {
	s, ok := d.text(e, expected)
	if ok && strings.TrimSpace(s) == "" {
		d.problem(e.value, "%s is empty; expected %s", e.path(), expected)
		return "", false
	}
	return s, ok
}

var booleanWords = map[string]string{
	"yes": "true", "on": "true", "y": "true", "1": "true", "true": "true",
	"no": "false", "off": "false", "n": "false", "0": "false", "false": "false",
}

func (d *decoder) boolean(e entry) (value, ok bool) {
	n := d.resolve(e.value)
	if n.Kind != yaml.ScalarNode || isNull(n) || foreignTag(n) {
		d.mismatch(e, "true or false")
		return false, false
	}
	if n.Style&quotedStyles == 0 {
		switch n.Value {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	if meant, ok := booleanWords[strings.ToLower(n.Value)]; ok {
		expected := "true or false"
		if n.Style&quotedStyles != 0 {
			expected += " without quotes"
		}
		d.problem(n, "%s is %s; expected %s; did you mean %s?", e.path(), describe(n), expected, meant)
	} else {
		d.mismatch(e, "true or false")
	}
	return false, false
}

const quotedStyles = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

var (
	wholeNumber   = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	decimalNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
	leadingZeros  = regexp.MustCompile(`^0[0-9]+$`)
	wholeDecimal  = regexp.MustCompile(`^([0-9]+)\.0+$`)
	oddNumber     = regexp.MustCompile(`^[-+]?(0[xob][0-9a-fA-F_]+|[0-9][0-9_]*)$`)
)

// integer reads a whole number from lo to hi.
func (d *decoder) integer(e entry, lo, hi int) (int, bool) {
	n := d.resolve(e.value)
	if isPlain(n) && !foreignTag(n) && n.Style&quotedStyles == 0 {
		if v, err := strconv.Atoi(n.Value); err == nil && lo <= v && v <= hi && strconv.Itoa(v) == n.Value {
			return v, true
		}
	}
	expected := fmt.Sprintf("a whole number from %d to %d", lo, hi)
	if n.Kind != yaml.ScalarNode || isNull(n) || foreignTag(n) {
		d.mismatch(e, expected)
		return 0, false
	}
	if hint := numberTrap(n); hint != "" {
		d.problem(n, "%s is %s; expected %s; %s", e.path(), describe(n), expected, hint)
		return 0, false
	}
	if !wholeNumber.MatchString(n.Value) {
		d.mismatch(e, expected)
		return 0, false
	}
	v, err := strconv.Atoi(n.Value)
	if err != nil || v < lo || v > hi {
		d.problem(n, "%s is %s; expected %s", e.path(), shortened(n.Value), expected)
		return 0, false
	}
	return v, true
}

// numberTrap says what to write instead of a number that YAML and people read
// differently, or "".
func numberTrap(n *yaml.Node) string {
	v := n.Value
	trimmed := strings.TrimLeft(v, "0")
	switch {
	case n.Style&quotedStyles != 0 && decimalNumber.MatchString(v):
		return "write it without quotes"
	case leadingZeros.MatchString(v):
		if trimmed == "" {
			trimmed = "0"
		}
		return fmt.Sprintf("a leading zero means octal to some readers; did you mean %s?", trimmed)
	case wholeDecimal.MatchString(v):
		return fmt.Sprintf("did you mean %s?", wholeDecimal.FindStringSubmatch(v)[1])
	case !wholeNumber.MatchString(v) && oddNumber.MatchString(v):
		if x, err := strconv.ParseInt(v, 0, 64); err == nil {
			return fmt.Sprintf("did you mean %d?", x)
		}
		return "write it in plain digits"
	}
	return ""
}

// decimal reads a number from lo to hi, with or without a fraction.
func (d *decoder) decimal(e entry, lo, hi float64) (float64, bool) {
	expected := fmt.Sprintf("a number from %g to %g", lo, hi)
	n := d.resolve(e.value)
	if n.Kind != yaml.ScalarNode || isNull(n) || foreignTag(n) {
		d.mismatch(e, expected)
		return 0, false
	}
	if !decimalNumber.MatchString(n.Value) || n.Style&quotedStyles != 0 {
		if hint := numberTrap(n); hint != "" {
			d.problem(n, "%s is %s; expected %s; %s", e.path(), describe(n), expected, hint)
		} else {
			d.mismatch(e, expected)
		}
		return 0, false
	}
	v, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || math.IsInf(v, 0) || v < lo || v > hi {
		d.problem(n, "%s is %s; expected %s", e.path(), shortened(n.Value), expected)
		return 0, false
	}
	return v, true
}

// maxDuration bounds every duration of a file; beyond a year it is a slip.
const maxDuration = 366 * 24 * time.Hour

// duration reads a duration from lo to hi. When zero is not empty, 0 is
// allowed too and means that.
func (d *decoder) duration(e entry, lo, hi time.Duration, zero string) (time.Duration, bool) {
	n := d.resolve(e.value)
	v, err := time.ParseDuration(n.Value)
	if err == nil && (lo <= v && v <= hi || v == 0 && zero != "") && isPlain(n) && !foreignTag(n) {
		return v, true
	}
	expected, bounds := "a duration such as 30s, 10m or 1h30m", fmt.Sprintf("%s to %s", DurationText(lo), DurationText(hi))
	if zero != "" {
		expected += ", or 0 for " + zero
		bounds += ", or 0 for " + zero
	}
	switch {
	case !isPlain(n) || foreignTag(n):
		d.mismatch(e, expected)
	case err != nil && !tooLong.MatchString(n.Value):
		d.problem(n, "%s is %s; expected %s%s", e.path(), describe(n), expected, durationHint(n.Value))
	default:
		d.problem(n, "%s is %s; expected %s", e.path(), shortened(n.Value), bounds)
	}
	return 0, false
}

// tooLong is a duration in form that time.ParseDuration refuses all the same:
// more than its 292 years.
var tooLong = regexp.MustCompile(`^-?[0-9]+(ns|us|ms|s|m|h)$`)

var looseDuration = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)[ _]*([a-zA-Z]*)$`)

// durationUnits are the units people write, in the units that are read.
var durationUnits = map[string]string{
	"": "s", "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
	"m": "m", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
	"h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h",
	"ms": "ms", "msec": "ms", "millis": "ms", "milliseconds": "ms",
	"d": "24h", "day": "24h", "days": "24h", "w": "168h", "week": "168h", "weeks": "168h",
}

// durationHint offers the duration that was meant.
func durationHint(text string) string {
	m := looseDuration.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return ""
	}
	unit, ok := durationUnits[strings.ToLower(m[2])]
	if !ok {
		return ""
	}
	meant := m[1] + unit
	if strings.HasSuffix(unit, "4h") || unit == "168h" { // days and weeks are counted in hours
		count, err := strconv.Atoi(m[1])
		if err != nil || count > 366 {
			return "; days and weeks are written in hours"
		}
		hours, _ := strconv.Atoi(strings.TrimSuffix(unit, "h"))
		meant = fmt.Sprintf("%dh", count*hours)
	}
	return fmt.Sprintf("; did you mean %q?", meant)
}
