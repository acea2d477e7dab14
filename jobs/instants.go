package jobs

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// rfc3339 is the form of an instant in a schedule file: RFC 3339, section 5.6,
// in whole seconds. (time.Parse alone would take an hour of one digit.)
var rfc3339 = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})$`)

const instantExpected = `an instant such as "2026-12-31T23:00:00Z" or "2026-12-31T23:00:00+01:00"`

// parseInstant reads an instant. The zone is the one that a text without any was
// probably meant in; it is used for the hint only. The error does not repeat the
// text.
func parseInstant(text string, loc *time.Location) (time.Time, error) {
	if !rfc3339.MatchString(text) {
		return time.Time{}, notAnInstant(text, loc)
	}
	t, err := time.Parse(time.RFC3339, text)
	var bad *time.ParseError
	if errors.As(err, &bad) {
		return time.Time{}, fmt.Errorf("there is no such time%s; expected %s", bad.Message, instantExpected)
	}
	if sec := t.Unix(); sec < firstInstant || sec >= endInstant {
		return time.Time{}, errors.New("it is outside of the years 1 to 9999 of UTC")
	}
	return t.UTC(), nil
}

// looseInstant takes apart what people write: date, time, fraction, zone.
var looseInstant = regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt_ ]+([0-9]{2}:[0-9]{2})(?::([0-9]{2})([.,][0-9]+)?)?)? ?(Z|z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?$`)

// notAnInstant says what a text lacks, and offers it whole.
func notAnInstant(text string, loc *time.Location) error {
	m := looseInstant.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("expected %s", instantExpected)
	}
	day, clock, seconds, fraction, zone := m[1], m[2], m[3], m[4], m[5]
	why := "expected " + instantExpected
	switch {
	case clock == "":
		why, clock = "it has no time of day; expected "+instantExpected, "00:00"
	case fraction != "":
		why = "ticks are whole seconds"
	case zone == "":
		why = "it has no zone, so nobody knows which instant it is; expected " + instantExpected
	}
	if seconds == "" {
		seconds = "00"
	}
	local := day + "T" + clock + ":" + seconds
	switch {
	case zone == "":
		at, err := time.ParseInLocation("2006-01-02T15:04:05", local, loc)
		if err != nil {
			return errors.New(why)
		}
		zone = at.Format("Z07:00")
	case zone[0] != '+' && zone[0] != '-':
		zone = "Z"
	case len(zone) == 3:
		zone += ":00"
	case len(zone) == 5:
		zone = zone[:3] + ":" + zone[3:]
	}
	if _, err := time.Parse(time.RFC3339, local+zone); err != nil {
		return errors.New(why)
	}
	return fmt.Errorf("%s; did you mean %q?", why, local+zone)
}

// dayBegins is the first instant that is of a day, or of what comes after it, on
// the clock of a zone.
func (z *zone) dayBegins(day int64) time.Time {
	return time.Unix(z.first(day*daySeconds), 0).UTC()
}

// dayEnds is the last second at which the clock of a zone shows a day, or
// something before it.
func (z *zone) dayEnds(day int64) time.Time {
	const midnight = daySeconds
	local := day*daySeconds + midnight
	last := z.first(local) - 1
	// A clock that is set back over midnight shows the end of the day again.
	for c := z.at(last); z.end(c) <= last+daySeconds; {
		begin := z.end(c)
		c = z.next(c)
		if off := z.spans[c.i].off; begin+off < local {
			last = min(local-off, z.end(c)) - 1
		}
	}
	return time.Unix(last, 0).UTC()
}
