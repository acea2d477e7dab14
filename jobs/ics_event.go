package jobs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// icsReader turns events into days.
type icsReader struct {
	loc      *time.Location      // the zone of the schedule file
	database *Zones              // that knows more
	zones    map[string]*icsZone // of the calendar file
	days     *icsDays

	total int  // days so far
	rules int  // recurrence rules so far
	years int  // that they were followed through
	full  bool // one of these is more than a file may have
}

// tooMuch is an error after which no more of the file is read: all that follows
// would be too much as well.
func (r *icsReader) tooMuch(err error) error {
	r.full = true
	return err
}

// icsSpan is when an event takes place the first time.
type icsSpan struct {
	start  wall
	length int64 // seconds; of all-day events whole days, one at least
}

// read adds the days of all events.
func (r *icsReader) read(events []*icsEvent) []error {
	var errs []error
	moved, bad := r.overrides(events)
	errs = append(errs, bad...)
	for _, e := range events {
		if len(errs) >= maxICSErrors {
			break
		}
		if err := r.event(e, moved); err != nil {
			errs = append(errs, err)
		}
		if r.full {
			break
		}
	}
	return errs
}

// overrides are the occurrences that have an event of their own, which may have
// been moved or canceled: UID -> days on the clock of the event that recurs.
func (r *icsReader) overrides(events []*icsEvent) (map[string]map[int64]bool, []error) {
	clocks := map[string]wall{}
	for _, e := range events {
		uid, known := e.get("UID")
		start, ok := e.get("DTSTART")
		if _, override := e.get("RECURRENCE-ID"); override || !known || !ok {
			continue
		}
		if clock, err := r.time(start, start.value); err == nil { // said when the event is read
			clocks[uid.value] = clock
		}
	}
	moved := map[string]map[int64]bool{}
	var errs []error
	for _, e := range events {
		id, override := e.get("RECURRENCE-ID")
		uid, _ := e.get("UID")
		clock, ok := clocks[uid.value]
		switch {
		case !override:
			continue
		case id.params["RANGE"] != "":
			errs = append(errs, id.bad("RANGE=%s changes a recurrence from some day on; expected two events with a rule each", shortened(id.params["RANGE"])))
			continue
		case !ok:
			continue // what it replaces is not in the file
		}
		at, err := r.on(clock, id, id.value)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if moved[uid.value] == nil {
			moved[uid.value] = map[int64]bool{}
		}
		moved[uid.value][at.day()] = true
	}
	return moved, errs
}

// event adds the days of one event.
func (r *icsReader) event(e *icsEvent, moved map[string]map[int64]bool) error {
	if status, ok := e.get("STATUS"); ok && strings.EqualFold(strings.TrimSpace(status.value), "CANCELLED") {
		return nil
	}
	span, err := r.span(e)
	if err != nil {
		return err
	}
	if rule, ok := e.get("EXRULE"); ok {
		return rule.bad("it is no part of iCalendar any more; expected EXDATE")
	}
	summary, _ := e.get("SUMMARY")
	label := summaryText(summary.value)
	without, err := r.exceptions(e, span.start)
	if err != nil {
		return err
	}
	if _, override := e.get("RECURRENCE-ID"); !override {
		uid, _ := e.get("UID")
		for day := range moved[uid.value] {
			without[day] = true
		}
	}
	starts, err := r.starts(e, span, without, label)
	if err != nil {
		return err
	}
	for _, start := range starts {
		if without[floorDiv(start, daySeconds)] {
			continue
		}
		if err := r.add(e, span, start, span.length, label); err != nil {
			return err
		}
	}
	return r.addPeriods(e, span, label)
}

// add puts the days of one occurrence into the calendar.
func (r *icsReader) add(e *icsEvent, s icsSpan, start, length int64, label string) error {
	last := start + max(length-1, 0)
	if s.start.utc {
		start, last = r.local(start), r.local(last)
	}
	days := daySpan{floorDiv(start, daySeconds), floorDiv(last, daySeconds)}
	count := days.last - days.first + 1
	if count > maxICSDays || r.total+int(count) > maxICSDays {
		return r.tooMuch(icsError{e.line, fmt.Sprintf("the events up to this one are on more than %d days; write weekdays or ranges of dates instead", maxICSDays)})
	}
	r.total += int(count)
	r.days.spans = append(r.days.spans, days)
	for day := days.first; day <= days.last; day++ {
		r.days.names.add(day, label)
	}
	return nil
}

// local is what the clock of the file's zone shows at an instant.
func (r *icsReader) local(instant int64) int64 {
	_, offset := time.Unix(instant, 0).In(r.loc).Zone()
	return instant + int64(offset)
}

// span reads DTSTART with DTEND or DURATION.
func (r *icsReader) span(e *icsEvent) (icsSpan, error) {
	line, ok := e.get("DTSTART")
	if !ok {
		return icsSpan{}, icsError{e.line, "the event has no DTSTART"}
	}
	start, err := r.time(line, line.value)
	if err != nil {
		return icsSpan{}, err
	}
	s := icsSpan{start: start}
	if start.allDay {
		s.length = daySeconds
	}
	endLine, ends := e.get("DTEND")
	duration, lasts := e.get("DURATION")
	switch {
	case ends && lasts:
		return s, duration.bad("the event has a DTEND too, in line %d", endLine.number)
	case lasts:
		s.length, err = icsDuration(duration, start.allDay)
		return s, err
	case !ends:
		return s, nil
	}
	end, err := r.time(endLine, endLine.value)
	switch {
	case err != nil:
		return s, err
	case end.allDay != start.allDay:
		return s, endLine.bad("one of DTSTART and DTEND is a date, the other has a time")
	case end.utc != start.utc:
		return s, endLine.bad("one of DTSTART and DTEND is in UTC, the other is not")
	case end.seconds < start.seconds && end.tzid == start.tzid:
		return s, endLine.bad("the event ends before it begins, in line %d", line.number)
	}
	// Two zones, as flights have them: the dates are still those that were written.
	// A whole day that ends on itself is a day all the same; programs write that.
	s.length = max(s.length, end.seconds-start.seconds)
	return s, nil
}

// exceptions are the days of EXDATE. An event recurs once a day at most, so a day
// tells which occurrence is meant, whatever its time.
func (r *icsReader) exceptions(e *icsEvent, clock wall) (map[int64]bool, error) {
	without := map[int64]bool{}
	for _, l := range e.props["EXDATE"] {
		for text := range strings.SplitSeq(l.value, ",") {
			at, err := r.on(clock, l, text)
			if err != nil {
				return nil, err
			}
			without[at.day()] = true
		}
	}
	return without, nil
}

// addPeriods adds the occurrences of RDATE that have a length of their own.
func (r *icsReader) addPeriods(e *icsEvent, s icsSpan, label string) error {
	for _, l := range e.props["RDATE"] {
		if !strings.EqualFold(l.params["VALUE"], "PERIOD") {
			continue
		}
		for text := range strings.SplitSeq(l.value, ",") {
			from, to, ok := strings.Cut(text, "/")
			if !ok {
				return l.bad("%s is no period such as 20261225T090000/PT2H", quoted(text))
			}
			start, err := r.on(s.start, l, from)
			if err != nil {
				return err
			}
			var length int64
			if strings.ContainsAny(to, "Pp") {
				to := l
				_, to.value, _ = strings.Cut(text, "/")
				length, err = icsDuration(to, start.allDay)
			} else {
				var end wall
				end, err = r.on(s.start, l, to)
				length = end.seconds - start.seconds
			}
			switch {
			case err != nil:
				return err
			case length < 0:
				return l.bad("%s ends before it begins", quoted(text))
			}
			if err := r.add(e, s, start.seconds, length, label); err != nil {
				return err
			}
		}
	}
	return nil
}

// summaryText is a SUMMARY without its escapes (RFC 5545, 3.3.11), in one short
// line.
func summaryText(value string) string {
	text := strings.NewReplacer(`\\`, `\`, `\n`, " ", `\N`, " ", `\,`, ",", `\;`, ";").Replace(value)
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	return strings.Clone(shortened(strings.Join(strings.Fields(text), " ")))
}

// dayNames collects the names of days; the first one of a day stays.
type dayNames struct {
	days   map[int64]string
	yearly map[date]string
}

func (n *dayNames) add(day int64, text string) {
	if n.days == nil {
		n.days = map[int64]string{}
	}
	if _, named := n.days[day]; !named && text != "" {
		n.days[day] = text
	}
}

func (n *dayNames) addYearly(day date, text string) {
	if n.yearly == nil {
		n.yearly = map[date]string{}
	}
	if _, named := n.yearly[day]; !named && text != "" {
		n.yearly[day] = text
	}
}

// merge adds the names of another file, which come after these.
func (n *dayNames) merge(other dayNames) {
	for day, text := range other.days {
		n.add(day, text)
	}
	for day, text := range other.yearly {
		n.addYearly(day, text)
	}
}

// sorted are the names as a Calendar holds them.
func (n *dayNames) sorted() ([]dayLabel, []yearlyLabel) {
	var labels []dayLabel
	for day, text := range n.days {
		labels = append(labels, dayLabel{int32(day), text})
	}
	slices.SortFunc(labels, func(a, b dayLabel) int { return cmp.Compare(a.day, b.day) })
	var yearly []yearlyLabel
	for d, text := range n.yearly {
		yearly = append(yearly, yearlyLabel{int8(d.month), int8(d.day), text})
	}
	slices.SortFunc(yearly, func(a, b yearlyLabel) int { return cmp.Or(cmp.Compare(a.month, b.month), cmp.Compare(a.day, b.day)) })
	return labels, yearly
}
