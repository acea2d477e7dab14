package jobs

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Spec is one schedule expression in one time zone: the set of its ticks. It is
// immutable and may be shared.
type Spec struct {
	expr                 string
	loc                  *time.Location
	zone                 *zone
	cal                  calendar
	wildcard             bool  // the minute or the hour field begins with "*"
	skip                 bool  // a local time in a gap does not fire
	once                 bool  // of those that come twice only the first fires
	toldGap, toldOverlap bool  // those two were asked for; they are no default
	every                int64 // seconds, of "@every"; 0 otherwise
	offset               int64 // seconds, less than every
	since                int64 // all ticks are after this instant
	until                int64 // and not after this one
}

// maxExpr is more than any honest expression needs: all six fields written out
// as lists take some 500 bytes.
const maxExpr = 1024

// ParseSpec reads a schedule expression: five cron fields (minute, hour, day of
// month, month, day of week), six with seconds first, a name such as "@daily",
// or "@every 90s", which fires at whole multiples of its duration since the
// Unix epoch in whatever zone, and "@every 90s offset 10s", that much later. A
// nil location is UTC; time.Local is refused, because nodes on different hosts
// would disagree.
//
// Besides lists, ranges and steps, day of month has L (the last day), L-3 (the
// third day before it), 15W (the day from Monday to Friday that is nearest to
// the 15th), LW and L-3W, and day of week has 5L or FRIL (the last Friday of the
// month) and 5#2 or FRI#2 (the second one). H, in any field, needs a name: see
// SpecOptions.
//
// The error names the field, what was found and what was expected. An
// expression that no date in 400 years satisfies is an error too.
func ParseSpec(expr string, loc *time.Location) (*Spec, error) {
	return NewSpec(expr, SpecOptions{Location: loc})
}

// NewSpec is ParseSpec with everything else that decides when a job fires.
func NewSpec(expr string, o SpecOptions) (*Spec, error) {
	loc := o.Location
	if loc == nil {
		loc = time.UTC
	}
	if loc == time.Local {
		return nil, errors.New(`time zone "Local": every host would read the schedule in its own zone; name one, such as "Europe/Berlin"`)
	}
	if len(expr) > maxExpr {
		return nil, fmt.Errorf("expression of %d bytes: expected at most %d", len(expr), maxExpr)
	}
	expr = strings.TrimSpace(expr)
	if err := checkText(expr); err != nil {
		return nil, err
	}
	fields := strings.Fields(expr)
	s := &Spec{expr: strings.Join(fields, " "), loc: loc, zone: zoneOf(loc), since: firstInstant - 1, until: endInstant - 1}
	if !o.Start.IsZero() {
		s.since = max(s.since, ceilSecond(o.Start)-1)
	}
	if !o.End.IsZero() {
		s.until = min(s.until, o.End.Unix())
	}
	if err := s.read(fields, &o); err != nil {
		return nil, err
	}
	var err error
	if s.cal.filter, err = s.newFilter(&o); err != nil {
		return nil, err
	}
	if s.cal.filter != nil || !o.Start.IsZero() || !o.End.IsZero() {
		if err := s.checkFires(&o); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// read takes the expression in.
func (s *Spec) read(fields []string, o *SpecOptions) (err error) {
	if fields[0][0] == '@' {
		name := strings.ToLower(fields[0])
		if name == "@every" {
			return s.parseEvery(fields[1:], o.Offset)
		}
		full, err := descriptor(name, fields[1:])
		if err != nil {
			return err
		}
		fields = strings.Fields(full)
	}
	if o.Offset != 0 {
		return fmt.Errorf("offset %s: expected \"@every\" as the schedule; %q says itself when it fires", o.Offset, s.expr)
	}
	if s.cal, s.wildcard, err = parseFields(fields, o.Name); err != nil {
		return err
	}
	return s.setDST(o.DST)
}

// ceilSecond is the first whole second at or after an instant.
func ceilSecond(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// localDay is the date that the clock shows at an instant.
func (s *Spec) localDay(sec int64) int64 {
	return floorDiv(sec+s.zone.spans[s.zone.at(sec).i].off, daySeconds)
}

// setDST chooses the policies for the changes of the clocks: those asked for, or
// those of the kind of time.
func (s *Spec) setDST(d DST) error {
	s.toldGap, s.toldOverlap = d.Gap != "", d.Overlap != ""
	switch d.Gap {
	case "":
		s.skip = s.wildcard
	case DSTRunAfter, DSTSkip:
		s.skip = d.Gap == DSTSkip
	default:
		return fmt.Errorf("dst gap %q: expected %s or %s", d.Gap, DSTRunAfter, DSTSkip)
	}
	switch d.Overlap {
	case "":
		s.once = !s.wildcard
	case DSTOnce, DSTTwice:
		s.once = d.Overlap == DSTOnce
	default:
		return fmt.Errorf("dst overlap %q: expected %s or %s", d.Overlap, DSTOnce, DSTTwice)
	}
	// A time that the clocks skip whenever it is due is no time.
	if _, ok := s.nextLocal(cycleStart); !ok {
		return fmt.Errorf("can never fire: in %s a gap swallows %q whenever it is due, and those are skipped; choose another time of day, or dst: {gap: %s}", s.loc, s.expr, DSTRunAfter)
	}
	return nil
}

// String is the expression as it was written, with single blanks.
func (s *Spec) String() string { return s.expr }

// Location is the zone whose clock the expression describes.
func (s *Spec) Location() *time.Location { return s.loc }

// checkText refuses what cannot be an expression at all, with a word on why.
func checkText(expr string) error {
	if expr == "" {
		return errors.New(`empty expression: expected 5 or 6 fields, such as "0 2 * * *", or a name such as "@daily"`)
	}
	for _, r := range expr {
		if r == ' ' || r == '\t' {
			continue
		}
		if r < ' ' || r > '~' {
			what := "a character that no expression has"
			if unicode.IsSpace(r) {
				what = "an odd blank"
			}
			return fmt.Errorf("found %q: %s; expected digits, names, and the signs * , - / ? # ( ) @", r, what)
		}
	}
	upper := strings.ToUpper(expr)
	if strings.HasPrefix(upper, "TZ=") || strings.HasPrefix(upper, "CRON_TZ=") {
		prefix, _, _ := strings.Cut(expr, " ")
		_, name, _ := strings.Cut(prefix, "=")
		if name == "" {
			name = "Europe/Berlin"
		}
		return fmt.Errorf("%q: a zone is no part of the expression; use timezone: %s", prefix, name)
	}
	if q := expr[0]; q == '"' || q == '\'' || q == '`' {
		return fmt.Errorf("found %q: the quotes have become part of the expression; write them once", q)
	}
	return nil
}

// descriptors are the named schedules, in the five-field form they stand for.
var descriptors = map[string]string{
	"@hourly":   "0 * * * *",
	"@daily":    "0 0 * * *",
	"@midnight": "0 0 * * *",
	"@weekly":   "0 0 * * 0",
	"@monthly":  "0 0 1 * *",
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
}

const descriptorNames = "@hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually or @every 90s"

// descriptor is the five-field form of a named schedule.
func descriptor(name string, rest []string) (string, error) {
	full, ok := descriptors[name]
	switch {
	case ok && len(rest) == 0:
		return full, nil
	case ok:
		return "", fmt.Errorf("%q after %s: expected nothing; for another time of day write five fields, such as \"30 2 * * *\"", strings.Join(rest, " "), name)
	case name == "@reboot" || name == "@restart":
		return "", fmt.Errorf("%q: a cluster never boots; expected %s", name, descriptorNames)
	}
	if d, found := strings.CutPrefix(name, "@every"); found {
		if v, err := time.ParseDuration(d); err == nil && v > 0 {
			return "", fmt.Errorf("%q: did you mean \"@every %s\"?", name, d)
		}
	}
	if guess := guessDescriptor(name); guess != "" {
		return "", fmt.Errorf("%q: did you mean %q?", name, guess)
	}
	return "", fmt.Errorf("%q: expected %s", name, descriptorNames)
}

// guessDescriptor is the known name that was most likely meant, or "".
func guessDescriptor(name string) string {
	meant := map[string]string{
		"@everyday": "@daily", "@day": "@daily", "@nightly": "@daily", "@everynight": "@midnight", "@everyhour": "@hourly", "@hour": "@hourly",
		"@everyweek": "@weekly", "@week": "@weekly", "@everymonth": "@monthly", "@month": "@monthly", "@everyyear": "@yearly", "@year": "@yearly",
		"@annual": "@annually", "@minutely": "* * * * *", "@everyminute": "* * * * *", "@minute": "* * * * *",
		"@secondly": "@every 1s", "@everysecond": "@every 1s", "@second": "@every 1s",
	}
	if guess, ok := meant[name]; ok {
		return guess
	}
	known := make([]string, 0, len(descriptors)+1)
	for d := range descriptors {
		known = append(known, d)
	}
	return nearest(name, append(known, "@every"), 2)
}

// parseEvery reads what follows "@every": a duration, and how far its ticks are
// behind its multiples, unless the job says so itself.
func (s *Spec) parseEvery(words []string, offset time.Duration) error {
	var after []string
	for i, w := range words {
		if strings.EqualFold(w, "offset") {
			words, after = words[:i], words[i:]
			break
		}
	}
	if len(words) == 0 {
		return errors.New(`"@every": expected a duration after it, such as "@every 90s"`)
	}
	text := strings.Join(words, "")
	every, err := everyDuration("@every", text)
	switch {
	case err != nil:
		return err
	case every < time.Second:
		return fmt.Errorf("@every %q: expected at least 1s", text)
	}
	name, text := "@every offset", DurationText(offset)
	switch {
	case len(after) == 1:
		return fmt.Errorf("%q: expected a duration after offset, such as \"@every 1h offset 5m\"", s.expr)
	case len(after) > 1 && offset != 0:
		return fmt.Errorf("%q: the offset is given twice; the key offset: says %s", s.expr, offset)
	case len(after) > 1:
		text = strings.Join(after[1:], "")
		if offset, err = everyDuration(name, text); err != nil {
			return err
		}
	}
	switch {
	case offset < 0 || offset >= every:
		return fmt.Errorf("%s %q: expected at least 0s and less than the %s of @every", name, text, DurationText(every))
	case offset%time.Second != 0:
		return fmt.Errorf("%s %q: expected whole seconds", name, text)
	}
	s.every, s.offset = int64(every/time.Second), int64(offset/time.Second)
	return nil
}

// everyDuration reads a duration of whole seconds.
func everyDuration(name, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && strings.TrimLeft(text, "0123456789.") == "":
		return 0, fmt.Errorf("%s %q: expected a unit, such as %ss or %sm", name, text, text, text)
	case err != nil && strings.ContainsAny(text, "dDwW"):
		return 0, fmt.Errorf("%s %q: expected hours, minutes and seconds, such as 24h for a day", name, text)
	case err != nil:
		return 0, fmt.Errorf("%s %q: expected a duration, such as 90s, 5m or 1h30m", name, text)
	case d%time.Second != 0 && (d < 0 || d >= time.Second):
		return 0, fmt.Errorf("%s %q: expected whole seconds", name, text)
	}
	return d, nil
}
