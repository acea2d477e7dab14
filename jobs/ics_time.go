package jobs

import (
	"regexp"
	"strings"
	"time"
)

// wall is a time as a calendar file writes it.
type wall struct {
	seconds int64 // since 1970 on the clock it is written in
	allDay  bool  // a date
	utc     bool
	tzid    string
}

func (w wall) day() int64 { return floorDiv(w.seconds, daySeconds) }

var (
	icsDate     = regexp.MustCompile(`^[0-9]{8}$`)
	icsDateTime = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z?$`)
)

// time reads a DATE or a DATE-TIME (RFC 5545, 3.3.4 and 3.3.5).
func (r *icsReader) time(l icsLine, text string) (wall, error) {
	text = strings.ToUpper(strings.TrimSpace(text))
	kind := strings.ToUpper(l.params["VALUE"])
	w := wall{allDay: icsDate.MatchString(text), utc: strings.HasSuffix(text, "Z"), tzid: l.params["TZID"]}
	switch {
	case !w.allDay && !icsDateTime.MatchString(text):
		return w, l.bad("%s is no date such as 20261225 and no time such as 20261225T090000", quoted(text))
	case kind == "DATE" && !w.allDay, kind == "DATE-TIME" && w.allDay:
		return w, l.bad("%s is not of the kind VALUE=%s", quoted(text), kind)
	case kind != "" && kind != "DATE" && kind != "DATE-TIME" && kind != "PERIOD":
		return w, l.bad("VALUE=%s; expected DATE or DATE-TIME", shortened(kind))
	}
	d := date{number(text[:4]), number(text[4:6]), number(text[6:8])}
	if d.year < firstYear || d.month < 1 || d.month > 12 || d.day < 1 || d.day > monthDays(d.year, d.month) {
		return w, l.bad("there is no date %s", text[:8])
	}
	w.seconds = d.number() * daySeconds
	if w.allDay {
		return w, nil
	}
	hour, minute, second := number(text[9:11]), number(text[11:13]), number(text[13:15])
	if hour > 23 || minute > 59 || second > 60 {
		return w, l.bad("there is no time of day %s", text[9:15])
	}
	w.seconds += int64(hour*3600 + minute*60 + min(second, 59)) // a leap second is the end of its minute
	return w, nil
}

// on reads a time of the same event on the clock of its DTSTART.
func (r *icsReader) on(clock wall, l icsLine, text string) (wall, error) {
	w, err := r.time(l, text)
	if err != nil || w.allDay || clock.allDay || w.utc == clock.utc {
		return w, err
	}
	if clock.utc {
		return w, l.bad("%s is not in UTC, as DTSTART is", quoted(text))
	}
	if clock.tzid == "" {
		return w, l.bad("%s is in UTC, and DTSTART is in no zone", quoted(text))
	}
	loc, err := r.zoneFor(clock.tzid)
	if err != nil {
		return w, l.bad("%s is in UTC, and DTSTART is not: %v", quoted(text), err)
	}
	_, offset := time.Unix(w.seconds, 0).In(loc).Zone()
	w.seconds, w.utc, w.tzid = w.seconds+int64(offset), false, clock.tzid
	return w, nil
}

var icsDurationText = regexp.MustCompile(`^\+?P(?:([0-9]{1,6})W|(?:([0-9]{1,6})D)?(?:T(?:([0-9]{1,6})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,8})S)?)?)$`)

// icsDuration reads a DURATION (RFC 5545, 3.3.6), in seconds.
func icsDuration(l icsLine, allDay bool) (int64, error) {
	text := strings.ToUpper(strings.TrimSpace(l.value))
	m := icsDurationText.FindStringSubmatch(text)
	if m == nil || strings.HasSuffix(text, "P") || strings.HasSuffix(text, "T") {
		return 0, l.bad("%s is no duration of an event, such as P1D or PT2H", quoted(text))
	}
	seconds := int64(7*number(m[1])+number(m[2]))*daySeconds + int64(3600*number(m[3])+60*number(m[4])+number(m[5]))
	if allDay {
		if seconds%daySeconds != 0 {
			return 0, l.bad("%s is no number of whole days, and the event has no time", quoted(text))
		}
		seconds = max(seconds, daySeconds)
	}
	return seconds, nil
}
