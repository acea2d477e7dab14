package jobs

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxNotes is how much is said of one tick.
const maxNotes = 3

// Notes says what is worth knowing about a tick and about what does not fire
// after an instant and before it: what the clocks and the calendars do to the
// job there. Most ticks have none; at most a few are told. The tick may be any
// instant that Next answers.
func (j *Job) Notes(after, tick time.Time) []string {
	var about, before []string
	for _, s := range j.Specs {
		about = append(about, s.notesAbout(tick.Unix())...)
		before = append(before, s.notesBefore(after.Unix(), tick.Unix())...)
	}
	return fewNotes(append(about, before...))
}

// Notes is Job.Notes for one expression.
func (s *Spec) Notes(after, tick time.Time) []string {
	return (&Job{Specs: []*Spec{s}}).Notes(after, tick)
}

// fewNotes drops repetitions and cuts a long list.
func fewNotes(notes []string) []string {
	var told []string
	for _, n := range notes {
		if !slices.Contains(told, n) {
			told = append(told, n)
		}
	}
	if n := len(told) - maxNotes; n > 0 {
		told = append(told[:maxNotes], fmt.Sprintf("and %d more", n))
	}
	return told
}

// notesAbout says how a tick came to its time, if it is one of the spec's.
func (s *Spec) notesAbout(tick int64) []string {
	if s.every > 0 {
		return nil
	}
	if t, ok := s.next(max(tick-1, s.since)); !ok || t != tick {
		return nil
	}
	var notes []string
	c := s.zone.at(tick)
	sp := &s.zone.spans[c.i]
	local := tick + sp.off
	day := floorDiv(local, daySeconds)
	if lost, n := s.lostBefore(c); n > 0 && tick == sp.start+c.shift && !s.skip {
		verb := "runs"
		if n > 1 {
			verb = "run"
		}
		notes = append(notes, fmt.Sprintf("%s, %s %s", missing(lost, n), verb, clockBeside(local, lost)))
		day = floorDiv(lost, daySeconds)
	} else if note := s.overlapNote(tick, local); note != "" {
		notes = append(notes, note)
	}
	if note := s.shiftNote(day); note != "" {
		notes = append(notes, note)
	}
	return notes
}

// lostBefore is the first of the matching local times in the gap before a span,
// and how many there are.
func (s *Spec) lostBefore(c cursor) (first int64, count int) {
	sp := &s.zone.spans[c.i]
	from, until := sp.high+c.shift, sp.start+sp.off+c.shift
	if c.i == 0 || from >= until { // no clock before, or no gap
		return 0, 0
	}
	for count < manyTimes {
		local, ok := s.cal.next(from)
		if !ok || local >= until {
			break
		}
		if count++; count == 1 {
			first = local
		}
		from = local + 1
	}
	return first, count
}

// manyTimes is where counting ends.
const manyTimes = 1000

// missing says that local times do not exist.
func missing(first int64, count int) string {
	date := dateText(floorDiv(first, daySeconds))
	switch count {
	case 1:
		return fmt.Sprintf("%s does not exist on %s", clockText(first), date)
	case manyTimes:
		return fmt.Sprintf("%d or more times from %s do not exist on %s", count, clockText(first), date)
	}
	return fmt.Sprintf("%d times from %s do not exist on %s", count, clockText(first), date)
}

// overlapNote says which of several times a tick is, unless the spec just follows
// the clock.
func (s *Spec) overlapNote(tick, local int64) string {
	if s.wildcard && !s.toldOverlap {
		return ""
	}
	shown := s.zone.shown(local)
	if len(shown) < 2 {
		return ""
	}
	which := "runs the first time"
	if !s.once {
		which = "this is the first"
		if tick != shown[0] {
			which = "this is the second"
		}
	}
	return fmt.Sprintf("%s comes twice on %s, %s", clockText(local), dateText(floorDiv(local, daySeconds)), which)
}

// shown lists the instants at which the clock shows a local time.
func (z *zone) shown(local int64) []int64 {
	var at []int64
	for c := z.reach(local); z.spans[c.i].low+c.shift <= local; c = z.next(c) {
		if t := local - z.spans[c.i].off; t >= z.spans[c.i].start+c.shift && t < z.end(c) {
			at = append(at, t)
		}
	}
	return at
}

// shiftNote says which days were moved to the day of a tick.
func (s *Spec) shiftNote(day int64) string {
	f := s.cal.filter
	if f == nil || f.shift == ShiftNone {
		return ""
	}
	var moved dayList
	from, until := day+1, day+maxShift
	if f.shift == ShiftNext {
		from, until = day-maxShift, day-1
		if before, ok := s.cal.searchBack(day - 1); ok {
			from = before + 1
		}
	} else if after, ok := s.cal.search(leftDays, day+1); ok {
		until = min(until, after-1)
	}
	for d, ok := s.cal.search(namedDays, from); ok && d <= until; d, ok = s.cal.search(namedDays, d+1) {
		moved.add(d, f)
	}
	if moved.count == 0 {
		return ""
	}
	named, ok := s.cal.search(namedDays, day)
	switch {
	case ok && named == day:
		return "also for " + moved.String()
	case moved.count > 1:
		return "for " + moved.String()
	}
	return "moved from " + moved.String()
}

// notesBefore says what does not fire after an instant and before a tick.
func (s *Spec) notesBefore(after, tick int64) []string {
	var notes []string
	after = max(after, s.since)
	if s.every == 0 && s.skip && (!s.wildcard || s.toldGap) {
		for c := s.zone.next(s.zone.at(after)); s.zone.spans[c.i].start+c.shift <= tick; c = s.zone.next(c) {
			if first, n := s.lostBefore(c); n > 0 {
				notes = append(notes, missing(first, n)+", skipped")
				if len(notes) > maxNotes {
					break
				}
			}
		}
	}
	if note := s.droppedNote(after, tick); note != "" {
		notes = append(notes, note)
	}
	return notes
}

// droppedNote says on which days the calendars keep the spec from firing.
func (s *Spec) droppedNote(after, tick int64) string {
	f := s.cal.filter
	if f == nil || f.shift != ShiftNone || f.only == nil && f.exclude == nil {
		return ""
	}
	var dropped dayList
	from := s.localDay(after)
	if s.every == 0 {
		if _, ok := s.cal.timeOfDay(int(after + 1 + s.zone.spans[s.zone.at(after).i].off - from*daySeconds)); !ok {
			from++
		}
	}
	for d, until := from, s.localDay(tick); d < until && dropped.count < manyTimes; d++ {
		if s.every > 0 {
			if s.multiple(max(after+1, s.zone.first(d*daySeconds))) >= min(tick, s.zone.first((d+1)*daySeconds)) {
				continue
			}
		} else {
			var ok bool
			if d, ok = s.cal.search(namedDays, d); !ok || d >= until {
				break
			}
		}
		if !f.leaves(d) {
			dropped.add(d, f)
		}
	}
	if dropped.count == 0 {
		return ""
	}
	return "not on " + dropped.String()
}

// leaves reports whether the calendars leave a day.
func (f *dayFilter) leaves(day int64) bool {
	return (f.only == nil || f.only.contains(day)) && (f.exclude == nil || !f.exclude.contains(day))
}

// dayList is some days that calendars rule out.
type dayList struct {
	first, count int64
	label        string // of the first
	why          []string
}

// add takes a day in.
func (l *dayList) add(day int64, f *dayFilter) {
	why := f.why(day)
	if l.count++; l.count == 1 {
		l.first = day
		for _, c := range f.excludes {
			if l.label = c.Label(day); l.label != "" {
				break
			}
		}
	}
	for _, name := range why {
		if !slices.Contains(l.why, name) {
			l.why = append(l.why, name)
		}
	}
}

// why names the calendars that rule a day out.
func (f *dayFilter) why(day int64) []string {
	var names []string
	for _, c := range f.excludes {
		if c.contains(day) {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		for _, c := range f.onlys {
			names = append(names, "not in "+c.Name)
		}
	}
	return names
}

// String is "Fri 2026-12-25 (holidays: Christmas Day)" or "3 days from 2026-12-24
// (holidays)".
func (l *dayList) String() string {
	why := strings.Join(l.why, ", ")
	switch {
	case l.count == 1 && l.label != "":
		return fmt.Sprintf("%s %s (%s: %s)", weekdayText(l.first), dateText(l.first), why, l.label)
	case l.count == 1:
		return fmt.Sprintf("%s %s (%s)", weekdayText(l.first), dateText(l.first), why)
	case l.count == manyTimes:
		return fmt.Sprintf("%d or more days from %s (%s)", l.count, dateText(l.first), why)
	}
	return fmt.Sprintf("%d days from %s (%s)", l.count, dateText(l.first), why)
}

// dateText, weekdayText and clockText write local times.
func dateText(day int64) string { return time.Unix(day*daySeconds, 0).UTC().Format(time.DateOnly) }

func weekdayText(day int64) string { return time.Unix(day*daySeconds, 0).UTC().Format("Mon") }

func clockText(local int64) string {
	if local%60 != 0 {
		return time.Unix(local, 0).UTC().Format(time.TimeOnly)
	}
	return time.Unix(local, 0).UTC().Format("15:04")
}

// clockBeside is a local time, with its date if that is not the date of another.
func clockBeside(local, other int64) string {
	if floorDiv(local, daySeconds) != floorDiv(other, daySeconds) {
		return dateText(floorDiv(local, daySeconds)) + " " + clockText(local)
	}
	return clockText(local)
}
