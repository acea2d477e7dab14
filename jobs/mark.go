package jobs

import (
	"math/bits"
	"time"
)

// Mark sets the bits of the job's ticks: bit s of minutes[i] when there is a tick
// i minutes and s seconds after from, which must be a whole minute. It says what
// the schedule means, whether or not the job is enabled, and leaves out jitter.
//
// Its cost does not depend on how many ticks there are: a day of a job that fires
// every second costs as much as one that fires every minute, some two microseconds.
func (j *Job) Mark(from time.Time, minutes []uint64) {
	w := window{from: from.Unix(), minutes: minutes}
	for _, s := range j.Specs {
		s.mark(w)
	}
	for _, t := range j.At {
		w.set(t.Unix())
	}
}

// window is the stretch of time that is marked.
type window struct {
	from    int64
	minutes []uint64
}

func (w window) until() int64 { return w.from + 60*int64(len(w.minutes)) }

func (w window) set(at int64) {
	if at >= w.from && at < w.until() {
		w.minutes[(at-w.from)/60] |= 1 << ((at - w.from) % 60)
	}
}

// mark goes through the window in pieces of a local day with one offset. In such a
// piece the ticks are the pattern of the times of day, unless something cuts into
// it: the day is not one of the expression's, a clock change has added or taken
// ticks, or the spec begins or ends there. Each of these shows at the first or at
// the last tick of the piece; so when both are where the pattern has them, the
// pattern is what there is, and otherwise the ticks are found one by one.
func (s *Spec) mark(w window) {
	for a := w.from; a < w.until(); {
		c := s.zone.at(a)
		off := s.zone.spans[c.i].off
		day := floorDiv(a+off, daySeconds)
		b := min((day+1)*daySeconds-off, s.zone.end(c), w.until())
		p := piece{a, b, day*daySeconds - off}
		if first, ok := s.nextUnix(a - 1); ok && first < b {
			lo, hi, plain := s.edges(p)
			if plain && first == lo {
				last, ok := s.nextUnix(hi - 1)
				plain = ok && last == hi
			}
			if plain && first == lo {
				s.fill(w, p)
			} else {
				s.walk(w, first, b)
			}
		}
		a = b
	}
}

// piece is a part of a local day, from a until b, both instants, and where that
// day began by the offset of the piece.
type piece struct{ a, b, midnight int64 }

func (s *Spec) nextUnix(after int64) (int64, bool) {
	t, ok := s.Next(time.Unix(after, 0))
	return t.Unix(), ok
}

// walk marks the ticks of a piece one by one.
func (s *Spec) walk(w window, tick, until int64) {
	for ok := true; ok && tick < until; tick, ok = s.nextUnix(tick) {
		w.set(tick)
	}
}

// edges are the first and the last tick of the pattern in the piece. It is false
// where a pattern of minutes does not fit: the pattern has none there, or the
// offset of the zone is no whole number of minutes, as before 1972.
func (s *Spec) edges(p piece) (first, last int64, ok bool) {
	if p.a%60 != 0 || p.b%60 != 0 || p.midnight%60 != 0 {
		return 0, 0, false
	}
	if s.every > 0 {
		last = floorDiv(p.b-1-s.offset, s.every)*s.every + s.offset
		return s.multiple(p.a), last, last >= p.a
	}
	from, ok := s.cal.timeOfDay(int(p.a - p.midnight))
	if !ok {
		return 0, 0, false
	}
	return p.midnight + int64(from), p.midnight + s.lastBefore(p.b-p.midnight), true
}

// lastBefore is the last matching second of a day before the given one.
func (s *Spec) lastBefore(until int64) int64 {
	at := int(until - 1)
	h, m := at/3600, at/60%60
	minutes := s.cal.minute & (2<<m - 1)
	if s.cal.hour>>h&1 == 0 || minutes == 0 {
		minutes = s.cal.minute
		h = 31 - bits.LeadingZeros32(s.cal.hour&(1<<h-1))
	}
	m = 63 - bits.LeadingZeros64(minutes)
	return int64(h*3600 + m*60 + 63 - bits.LeadingZeros64(s.cal.second))
}

// fill marks the pattern of a piece.
func (s *Spec) fill(w window, p piece) {
	if s.every > 0 {
		s.fillEvery(w, p)
		return
	}
	lo, hi := (p.a-w.from)/60, (p.b-w.from)/60
	midnight := (p.midnight - w.from) / 60 // may be before the window
	for hours := s.cal.hour; hours != 0; hours &= hours - 1 {
		hour := midnight + 60*int64(bits.TrailingZeros32(hours))
		if hour >= hi {
			return
		}
		if hour+60 <= lo {
			continue
		}
		for minutes := s.cal.minute; minutes != 0; minutes &= minutes - 1 {
			if at := hour + int64(bits.TrailingZeros64(minutes)); at >= lo && at < hi {
				w.minutes[at] |= s.cal.second
			}
		}
	}
}

// fillEvery marks the multiples of a duration. A minute's marks depend on where in
// the duration the minute begins, so those of short durations are made once each.
func (s *Spec) fillEvery(w window, p piece) {
	first := s.multiple(p.a)
	if s.every >= 60 {
		for at := first; at < p.b; at += s.every {
			w.set(at)
		}
		return
	}
	var marks [60]uint64 // by the second of the first tick in the minute
	for i := range s.every {
		for at := i; at < 60; at += s.every {
			marks[i] |= 1 << at
		}
	}
	begin, back := first-p.a, 60%s.every
	for at := (p.a - w.from) / 60; at < (p.b-w.from)/60; at++ {
		w.minutes[at] |= marks[begin]
		if begin -= back; begin < 0 {
			begin += s.every
		}
	}
}
