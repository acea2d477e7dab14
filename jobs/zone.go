package jobs

import (
	"math"
	"time"
)

// zone is the history and future of a time zone as a table, so that the next
// tick costs a search instead of an interpretation of the zone's rules.
// It is immutable.
//
// The table is exact up to tableEnd. Behind it the rules repeat: from
// cycleStart on a zone has no history, only a yearly rule, and dates and
// weekdays come back after 400 years.
type zone struct {
	spans []span
	wrap  int // the span that starts at cycleStart
	sum   clockChanges
}

// clockChanges sums up what the clocks of a zone do from 2025 on, in seconds.
type clockChanges struct {
	off               int64  // the offset to begin with
	unit              int64  // all offsets differ by whole multiples of it; 0 when there is one
	shortest, longest int64  // change, without its sign
	lostHours         uint32 // bit h: some local time from h to h+1 is in a gap
	gapEnd, gapUnit   int64  // all gaps end at local times that are whole multiples of the unit from gapEnd
}

// span is a stretch of time with one offset.
type span struct {
	start int64 // instant, seconds since 1970; the next span's start is its end
	off   int64 // local time = instant + off
	high  int64 // the local time that some clock face before start went up to, exclusive
	low   int64 // the least local time that some clock face from start on shows
}

var (
	tableEnd   = dayNumber(2500, 1) * daySeconds
	cycleStart = tableEnd - cycleSeconds
)

// utcZone serves the zones without any transition that are UTC.
var utcZone = newZone(time.UTC)

// newZone tabulates a location.
func newZone(loc *time.Location) *zone {
	z := &zone{}
	defer z.finish()
	add := func(start, off int64) {
		high := int64(math.MinInt64)
		if n := len(z.spans); n > 0 {
			last := z.spans[n-1]
			high = max(last.high, start+last.off)
		}
		z.spans = append(z.spans, span{start: start, off: off, high: high})
	}
	t := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).In(loc)
	_, off := t.Zone()
	add(math.MinInt64/2, int64(off))
	for cut := false; ; {
		_, end := t.ZoneBounds()
		next := end.Unix()
		switch {
		case end.IsZero() || next > tableEnd:
			next = tableEnd
		case !end.After(t):
			// On the last day of a leap year package time names the day's own
			// beginning as its end.
			next = t.Unix() + daySeconds
		}
		if !cut && next >= cycleStart {
			// The cycle begins in the middle of a span; give it one of its own.
			cut = true
			_, off := t.Zone()
			z.wrap = len(z.spans)
			add(cycleStart, int64(off))
		}
		if next >= tableEnd {
			return z
		}
		t = time.Unix(next, 0).In(loc)
		if _, off := t.Zone(); int64(off) != z.spans[len(z.spans)-1].off {
			add(next, int64(off))
		}
	}
}

// cursor is a position in a zone's table: a span, and how far the table is
// shifted into the future.
type cursor struct {
	i     int
	shift int64
}

// at finds the span of an instant.
func (z *zone) at(instant int64) cursor {
	c := cursor{}
	if instant >= tableEnd {
		c.shift = ((instant-tableEnd)/cycleSeconds + 1) * cycleSeconds
		instant -= c.shift
	}
	lo, hi := 0, len(z.spans)
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) / 2); z.spans[mid].start <= instant {
			lo = mid
		} else {
			hi = mid
		}
	}
	c.i = lo
	return c
}

// next is the span that follows.
func (z *zone) next(c cursor) cursor {
	if c.i+1 < len(z.spans) {
		return cursor{c.i + 1, c.shift}
	}
	return cursor{z.wrap, c.shift + cycleSeconds}
}

// goesBackBehind reports whether some clock after the span shows a local time
// before that one.
func (z *zone) goesBackBehind(c cursor, local int64) bool {
	c = z.next(c)
	return z.spans[c.i].low+c.shift < local
}

// end is the first instant behind the span.
func (z *zone) end(c cursor) int64 {
	if c.i+1 < len(z.spans) {
		return z.spans[c.i+1].start + c.shift
	}
	return tableEnd + c.shift
}

// reach finds the span in which the clock first shows local or something later.
func (z *zone) reach(local int64) cursor {
	const margin = 2 * daySeconds // more than any offset
	c := cursor{}
	if over := local - (tableEnd - margin); over >= 0 {
		c.shift = (over/cycleSeconds + 1) * cycleSeconds
		local -= c.shift
	}
	// The last span needs no look at its end: local is before it.
	lo, hi := 0, len(z.spans)
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) / 2); z.spans[mid].high <= local {
			lo = mid
		} else {
			hi = mid
		}
	}
	c.i = lo
	return c
}

// first is the first instant at which the clock shows local or, when a gap
// swallows it, something later.
func (z *zone) first(local int64) int64 {
	c := z.reach(local)
	return max(z.spans[c.i].start+c.shift, local-z.spans[c.i].off)
}

// finish fills in what is known when the table is whole.
func (z *zone) finish() {
	low := int64(math.MaxInt64)
	for i := len(z.spans) - 1; i >= 0; i-- {
		low = min(low, z.spans[i].start+z.spans[i].off)
		z.spans[i].low = low
	}
	first := z.at(jitterSince).i
	ch := &z.sum
	ch.off = z.spans[first].off
	for i := first + 1; i < len(z.spans); i++ {
		begin, change := z.spans[i].start+z.spans[i].off, z.spans[i].off-z.spans[i-1].off
		if change == 0 {
			continue
		}
		length := max(change, -change)
		if ch.unit = gcd(ch.unit, change); ch.shortest == 0 {
			ch.shortest = length
		}
		ch.shortest, ch.longest = min(ch.shortest, length), max(ch.longest, length)
		if change < 0 {
			continue
		}
		if ch.lostHours == 0 {
			ch.gapEnd = begin
		}
		ch.gapUnit = gcd(ch.gapUnit, begin-ch.gapEnd)
		for local := begin - change; local < begin; local += 3600 - (local%3600+3600)%3600 {
			ch.lostHours |= 1 << (floorDiv(local, 3600) % 24)
		}
	}
}
