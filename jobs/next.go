package jobs

import "time"

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
	sec := max(after.Unix(), firstInstant-1)
	if sec >= endInstant-1 {
		return time.Time{}, false
	}
	var tick int64
	ok := true
	switch {
	case s.every > 0:
		tick = (floorDiv(sec-s.offset, s.every)+1)*s.every + s.offset
	case s.wildcard:
		tick, ok = s.nextWildcard(sec)
	default:
		tick, ok = s.nextFixed(sec)
	}
	if !ok || tick >= endInstant {
		return time.Time{}, false
	}
	return time.Unix(tick, 0).UTC(), true
}

// nextFixed finds the next tick of a fixed time: one whose minute and hour are
// named. Every matching local time fires once, at the first instant the clock
// shows it or, when a gap swallows it, at the first instant behind the gap. So
// the local times still to come are those above everything the clock has ever
// shown, and the smallest of them is the next tick.
func (s *Spec) nextFixed(sec int64) (int64, bool) {
	c := s.zone.at(sec)
	sp := s.zone.spans[c.i]
	local, ok := s.cal.next(max(sec+1+sp.off, sp.high+c.shift))
	if !ok {
		return 0, false
	}
	if tick := local - sp.off; tick < s.zone.end(c) {
		return tick, true
	}
	return s.zone.first(local), true
}

// nextWildcard finds the next tick of a wildcard time, which fires whenever the
// clock shows a matching local time: never in a gap, twice in a repeated hour.
// So each span is searched as if it were the whole world.
func (s *Spec) nextWildcard(sec int64) (int64, bool) {
	// No zone changes its clocks more than four times a year for long.
	const maxSpans = 4*cycleYears + 200
	c := s.zone.at(sec + 1)
	from := sec + 1 + s.zone.spans[c.i].off
	local, ok := s.cal.next(from)
	for range maxSpans {
		if !ok {
			return 0, false
		}
		end := s.zone.end(c)
		if tick := local - s.zone.spans[c.i].off; tick < end {
			return tick, true
		}
		c = s.zone.next(c)
		// What was found is still the answer unless the new span's clock begins
		// before the place the search began or behind the place it ended.
		if begin := end + s.zone.spans[c.i].off; begin < from || begin > local {
			from = begin
			local, ok = s.cal.next(from)
		}
	}
	return 0, false
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
func (j *Job) Next(after time.Time) (time.Time, bool) { return NextOf(j.Specs, after) }

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
