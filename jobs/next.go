package jobs

import (
	"math"
	"sort"
	"time"
)

// Ticks lie in the years 1 to 9999 of UTC, the years RFC 3339 can write.
var (
	firstInstant = dayNumber(1, 1) * daySeconds
	endInstant   = dayNumber(lastYear+1, 1) * daySeconds
)

// Next is the first tick strictly after the given instant, in UTC. It is false
// when there is none before the year 10000. A tick is a whole second.
//
// It does not allocate, and it may be called from many goroutines.
func (s *Spec) Next(after time.Time) (time.Time, bool) {
	tick, ok := s.next(max(after.Unix(), s.since))
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(tick, 0).UTC(), true
}

// next is the first tick after an instant that is not before since.
func (s *Spec) next(after int64) (tick int64, ok bool) {
	if after >= s.until {
		return 0, false
	}
	if s.every > 0 {
		tick, ok = s.nextEvery(after)
	} else {
		tick, ok = s.nextLocal(after)
	}
	return tick, ok && tick <= s.until
}

// nextEvery finds the next tick of "@every".
func (s *Spec) nextEvery(sec int64) (int64, bool) {
	tick := s.multiple(sec + 1)
	if s.cal.filter == nil {
		return tick, true
	}
	z := s.zone
	searched, left := int64(0), int64(-1) // the first day left since searched
	for ; tick <= s.until; tick = s.multiple(tick) {
		c := z.at(tick)
		local := tick + z.spans[c.i].off
		day := floorDiv(local, daySeconds)
		if day < searched || day > left {
			searched, left = day, never
			if found, ok := s.cal.search(leftDays, day); ok {
				left = found
			}
		}
		if left == day {
			return tick, true
		}
		// The clock may go back to a day before this one when the span ends.
		end := z.end(c)
		switch {
		case left < never:
			tick = max(tick+1, min(z.first(left*daySeconds), end))
		case z.goesBackBehind(c, local):
			tick = end
		default:
			return 0, false
		}
	}
	return 0, false
}

// never is later than every local time.
const never = math.MaxInt64 / 4

// multiple is the first tick of an unfiltered "@every" at or after an instant.
func (s *Spec) multiple(sec int64) int64 {
	return (floorDiv(sec-1-s.offset, s.every)+1)*s.every + s.offset
}

// nextLocal finds the next tick of a calendar, a set of local times.
//
// A zone is a row of spans, in each of which its clock runs from one local time
// to another. Between two spans the clock jumps. Jumping back, it shows for a
// second time what lies below the highest local time it has ever shown: a spec
// that fires once looks for local times above that only. Jumping forward, it
// leaves a gap that begins there: a spec that runs after the gap looks for local
// times from there on, and what it finds in the gap fires at the gap's end. So
// the four policies differ in nothing but the local time from which a span is
// searched.
func (s *Spec) nextLocal(sec int64) (int64, bool) {
	// No zone changes its clocks more than four times a year for long.
	const maxSpans = 4*cycleYears + 200
	z := s.zone
	c := z.at(sec + 1)
	sp := &z.spans[c.i]
	from := sec + 1 + sp.off
	switch {
	case sec+1 == sp.start+c.shift:
		from = s.enter(sp) + c.shift
	case s.once:
		from = max(from, sp.high+c.shift)
	}
	local := s.matching(from)
	for range maxSpans {
		// A local time in the gap before the span fires at its start.
		if tick := max(local-sp.off, sp.start+c.shift); tick < z.end(c) {
			return tick, true
		}
		if local == never && !z.goesBackBehind(c, from) {
			return 0, false
		}
		c = s.onward(c, from, local)
		sp = &z.spans[c.i]
		// What was found is still the answer unless the new span is searched from
		// a place before that where the search began or behind that where it ended.
		if enter := s.enter(sp) + c.shift; enter < from || enter > local {
			from = enter
			local = s.matching(from)
		}
	}
	return 0, false
}

// matching is the first matching local time at or after another, or never.
func (s *Spec) matching(from int64) int64 {
	if local, ok := s.cal.next(from); ok {
		return local
	}
	return never
}

// enter is the local time from which a span is searched as a whole, before the
// table's shift.
func (s *Spec) enter(sp *span) int64 {
	begin := sp.start + sp.off
	if begin > sp.high && s.skip || begin < sp.high && !s.once {
		return begin
	}
	return sp.high
}

// onward is the next span to search when none up to this one has a tick and
// local is the first matching local time at or after from. It is the one that
// first shows local, unless a clock before it goes back behind from.
func (s *Spec) onward(c cursor, from, local int64) cursor {
	z := s.zone
	far := !z.goesBackBehind(c, from)
	c = z.next(c)
	sp := &z.spans[c.i]
	if far && local-sp.off >= z.end(c) && local >= sp.high+c.shift && local < never {
		return z.reach(local)
	}
	return c
}

// NextOf is the first tick strictly after the given instant of any of specs,
// in UTC; equal ticks of several of them are one. It is false when there is
// none.
func NextOf(specs []*Spec, after time.Time) (time.Time, bool) {
	var first time.Time
	found := false
	for _, s := range specs {
		if t, ok := s.Next(after); ok && (!found || t.Before(first)) {
			first, found = t, true
		}
	}
	return first, found
}

// Next is the job's first tick strictly after the given instant, in UTC. It is
// false for a job that is started by hand only. It says what the schedule
// means, whether or not the job is enabled.
func (j *Job) Next(after time.Time) (time.Time, bool) {
	first, found := NextOf(j.Specs, after)
	i := sort.Search(len(j.At), func(i int) bool { return j.At[i].After(after) })
	if i < len(j.At) && (!found || j.At[i].Before(first)) {
		return j.At[i], true
	}
	return first, found
}

// Ticks reports whether the job has ticks of its own, enabled or not: a schedule,
// or single instants.
func (j *Job) Ticks() bool { return len(j.Specs) > 0 || len(j.At) > 0 }

// Zone is the time zone the job's times are shown in.
func (j *Job) Zone() *time.Location {
	switch {
	case j.Location != nil:
		return j.Location
	case len(j.Specs) > 0:
		return j.Specs[0].loc
	default:
		return time.UTC
	}
}
