package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// An iCalendar file (RFC 5545) is read in three steps: lines (this file), events
// (ics_event.go, ics_time.go), and the days of their recurrences (ics_rule.go). What decides
// about a day and is not understood is an error with its line. What says nothing
// about days (alarms, tasks, attendees, colours) is passed over.
//
// A day is in the calendar when an event touches it:
//   - An all-day event is on each of its dates. DTEND is the day after the last.
//   - An event with times is on each date that its own clock shows while it lasts,
//     whatever zone that clock is in: that is the date its author wrote. An event
//     in UTC (times that end in Z) has no such clock and is on the dates that it
//     has in the zone of the schedule file. An end at midnight touches nothing.
//   - A rule that comes on the same date of every year, without exceptions, stands
//     for that date of every year. All others are followed to the end of 2100.
//   - A canceled event is on no day.

// MaxCalendarFile is the largest calendar file that is read.
const MaxCalendarFile = 4 << 20

const (
	maxICSFiles = 64      // of one schedule
	maxICSDays  = 200_000 // of all events of one file
	maxICSRules = 2_000   // of one file
	maxICSYears = 200_000 // of all rules of one file, from the first day of each to its last
	icsLastYear = 2100    // the end of rules without an end
)

// icsLine is one content line, unfolded: NAME;PARAM=value:value.
type icsLine struct {
	number int // of its first line in the file, from 1
	name   string
	params map[string]string // in upper case; of several values the first
	value  string
}

// icsError is something wrong with a line of the file.
type icsError struct {
	line int
	why  string
}

func (e icsError) Error() string { return fmt.Sprintf("%d: %s", e.line, e.why) }

// badLine makes an error about a line.
func (l icsLine) bad(format string, args ...any) error {
	return icsError{l.number, l.name + ": " + fmt.Sprintf(format, args...)}
}

// icsDays are the days of a calendar file.
type icsDays struct {
	spans  []daySpan
	yearly yearMask
	names  dayNames
}

// parseICS reads a calendar file. Times in UTC are on the dates of loc; zones that
// the file names are looked up in the database. The errors are icsErrors, in the
// order in which they were found.
func parseICS(data []byte, loc *time.Location, database *Zones) (*icsDays, []error) {
	if err := checkICSText(data); err != nil {
		return nil, []error{err}
	}
	events, zones, errs := readComponents(data)
	r := &icsReader{loc: loc, database: database, zones: zones, days: &icsDays{}}
	errs = append(errs, r.read(events)...)
	if len(errs) > 0 {
		return nil, errs[:min(len(errs), maxICSErrors)]
	}
	return r.days, nil
}

func checkICSText(data []byte) error {
	switch {
	case len(data) > MaxCalendarFile:
		return icsError{1, fmt.Sprintf("the file is larger than %d MiB; expected a calendar", MaxCalendarFile>>20)}
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return icsError{1, "the file is in UTF-16; save it as UTF-8"}
	}
	return nil
}

// unfold splits a file into its content lines: a line that begins with a blank or
// a tab goes on with the one before it. Lines end in CRLF, or in LF alone. It
// calls line with each of them until that is false.
func unfold(data []byte, line func(number int, text []byte) bool) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var text []byte
	begin, number := 0, 0
	for len(data) > 0 {
		raw, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		number++
		raw = bytes.TrimSuffix(raw, []byte("\r"))
		if begin > 0 && len(raw) > 0 && (raw[0] == ' ' || raw[0] == '\t') {
			text = append(text, raw[1:]...)
			continue
		}
		if begin > 0 && len(text) > 0 && !line(begin, text) {
			return
		}
		begin, text = number, append(text[:0], raw...)
	}
	if len(text) > 0 {
		line(begin, text)
	}
}

var (
	icsName  = regexp.MustCompile(`^[A-Za-z0-9-]+`)
	icsParam = regexp.MustCompile(`^;([A-Za-z0-9-]+)=("[^"]*"|[^";:,]*)`)
	icsMore  = regexp.MustCompile(`^,("[^"]*"|[^";:,]*)`)
)

// parseLine takes a content line apart.
func parseLine(number int, text []byte) (icsLine, error) {
	if !utf8.Valid(text) {
		return icsLine{}, icsError{number, "the line is not UTF-8; save the file as UTF-8"}
	}
	rest := string(text)
	l := icsLine{number: number, name: icsName.FindString(rest)}
	if l.name == "" {
		return icsLine{}, icsError{number, "expected a property such as SUMMARY:New Year"}
	}
	rest = rest[len(l.name):]
	l.name = strings.ToUpper(l.name)
	for strings.HasPrefix(rest, ";") {
		m := icsParam.FindStringSubmatch(rest)
		if m == nil {
			return icsLine{}, l.bad("expected a parameter such as ;VALUE=DATE")
		}
		rest = rest[len(m[0]):]
		if l.params == nil {
			l.params = map[string]string{}
		}
		l.params[strings.ToUpper(m[1])] = strings.Trim(m[2], `"`)
		for {
			more := icsMore.FindString(rest)
			if more == "" {
				break
			}
			rest = rest[len(more):]
		}
	}
	value, ok := strings.CutPrefix(rest, ":")
	if !ok {
		return icsLine{}, l.bad("expected a colon and a value after the name")
	}
	l.value = value
	return l, nil
}

// icsEvent is a VEVENT: the properties that say something about days.
type icsEvent struct {
	line  int // of its BEGIN
	props map[string][]icsLine
}

func (e *icsEvent) get(name string) (icsLine, bool) {
	if lines := e.props[name]; len(lines) > 0 {
		return lines[0], true
	}
	return icsLine{}, false
}

// eventProps are the properties of an event that are read, and whether it may have
// several.
var eventProps = map[string]bool{
	"DTSTART": false, "DTEND": false, "DURATION": false, "RRULE": false, "EXRULE": false, "RDATE": true, "EXDATE": true,
	"RECURRENCE-ID": false, "UID": false, "SUMMARY": false, "STATUS": false,
}

// icsZone is what a VTIMEZONE says that the time zone database may not know.
type icsZone struct {
	location string        // X-LIC-LOCATION: its name there
	ahead    time.Duration // the furthest that its clocks are ahead of UTC
	known    bool          // ahead is
}

// readComponents collects the events and zones of a file and passes over the rest.
func readComponents(data []byte) (events []*icsEvent, zones map[string]*icsZone, errs []error) {
	type open struct {
		name string
		line int
	}
	var stack []open
	var event *icsEvent
	var zone *icsZone
	zones = map[string]*icsZone{}
	calendars := 0
	unfold(data, func(number int, text []byte) bool {
		l, err := parseLine(number, text)
		if err != nil {
			errs = append(errs, err)
			return calendars > 0 && len(errs) < maxICSErrors // not a calendar, or no longer
		}
		value := strings.ToUpper(strings.TrimSpace(l.value))
		switch {
		case l.name == "BEGIN":
			if len(stack) == 0 {
				if value != "VCALENDAR" {
					errs = append(errs, l.bad("expected VCALENDAR"))
					return false
				}
				calendars++
			}
			if len(stack) >= 16 {
				errs = append(errs, l.bad("components stand in one another more than 16 deep"))
				return false
			}
			stack = append(stack, open{value, number})
			if len(stack) == 2 {
				switch value {
				case "VEVENT":
					event = &icsEvent{line: number, props: map[string][]icsLine{}}
				case "VTIMEZONE":
					zone = &icsZone{}
				}
			}
		case len(stack) == 0:
			errs = append(errs, l.bad("expected BEGIN:VCALENDAR"))
			return false
		case l.name == "END":
			if top := stack[len(stack)-1]; top.name != value {
				errs = append(errs, l.bad("it ends %s, but the component of line %d is %s", shortened(value), top.line, shortened(top.name)))
				return false
			}
			stack = stack[:len(stack)-1]
			if len(stack) == 1 {
				if event != nil {
					events = append(events, event)
				}
				event, zone = nil, nil
			}
		case len(stack) == 1 && l.name == "VERSION" && value != "2.0":
			errs = append(errs, l.bad("expected version 2.0 of iCalendar"))
			return false
		case event != nil && len(stack) == 2:
			several, wanted := eventProps[l.name]
			if wanted && !several && len(event.props[l.name]) > 0 {
				errs = append(errs, l.bad("the event has it already, in line %d", event.props[l.name][0].number))
				return len(errs) < maxICSErrors
			}
			if wanted {
				event.props[l.name] = append(event.props[l.name], l)
			}
		case zone != nil:
			zone.read(l, zones)
		}
		return true
	})
	switch {
	case len(errs) > 0:
	case len(stack) > 0:
		top := stack[len(stack)-1]
		errs = append(errs, icsError{top.line, top.name + " does not end: the file is cut off"})
	case calendars == 0:
		errs = append(errs, icsError{1, "the file is empty; expected BEGIN:VCALENDAR"})
	case len(events) == 0:
		errs = append(errs, icsError{1, "there is no event in the file"})
	}
	return events, zones, errs
}

// maxICSErrors bounds what is said about one file.
const maxICSErrors = 10

var utcOffset = regexp.MustCompile(`^([+-])([0-9]{2})([0-9]{2})([0-9]{2})?$`)

// read takes what is of use from a line of a VTIMEZONE. Of a zone without a name
// there is none.
func (z *icsZone) read(l icsLine, zones map[string]*icsZone) {
	switch l.name {
	case "TZID":
		zones[l.value] = z
	case "X-LIC-LOCATION":
		z.location = l.value
	case "TZOFFSETTO":
		if m := utcOffset.FindStringSubmatch(l.value); m != nil {
			ahead := time.Duration(number(m[2]))*time.Hour + time.Duration(number(m[3]))*time.Minute
			if m[1] == "-" {
				ahead = -ahead
			}
			if !z.known || ahead > z.ahead {
				z.ahead, z.known = ahead, true
			}
		}
	}
}

// zoneFor is the location that a TZID means, as far as the time zone database
// knows it. Some programs put a path of their own before its name.
func (r *icsReader) zoneFor(tzid string) (*time.Location, error) {
	names := []string{tzid}
	if z := r.zones[tzid]; z != nil && z.location != "" {
		names = append(names, z.location)
	}
	if parts := strings.Split(tzid, "/"); len(parts) > 2 {
		names = append(names, strings.Join(parts[len(parts)-2:], "/"), strings.Join(parts[len(parts)-3:], "/"))
	}
	for _, name := range names {
		if loc, err := r.database.Load(name); err == nil {
			return loc, nil
		}
	}
	return nil, errors.New("zone " + quoted(tzid) + " is not in the time zone database")
}
