package jobs

import (
	"fmt"
	"math/bits"
	"time"
)

// Starts is when a tick of the job is to become a run: its time, or, for a job
// with jitter, up to that much later, in whole milliseconds. It depends on the
// job's name and the tick only, so that every node says the same. It does not
// allocate.
func (j *Job) Starts(tick time.Time) time.Time {
	steps := uint64((j.Jitter + time.Millisecond - 1) / time.Millisecond)
	if steps <= 1 {
		return tick
	}
	step, _ := bits.Mul64(jitterHash(j.Name, tick.Unix()), steps)
	return tick.Add(time.Duration(step) * time.Millisecond)
}

// jitterHash mixes a name and a tick: FNV-1a over the name, to which the tick is
// added in steps of the golden ratio, and the finaliser of splitmix64, after
// which every bit depends on every bit.
func jitterHash(name string, tick int64) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	h = mix64(h) + uint64(tick)*0x9e3779b97f4a7c15
	return mix64(h)
}

// mix64 is the finaliser of splitmix64 (Vigna, public domain).
func mix64(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// checkJitter refuses a jitter that could change the order of a job's ticks, or
// make one of two of them start before the other is over: it must be less than
// the time between any two.
func checkJitter(j *Job) error {
	if j.Jitter == 0 {
		return nil
	}
	p := pair{job: j, most: int64(j.Jitter / time.Second)} // the time between ticks is in whole seconds
	switch n := len(j.Specs); {
	case n == 0 || p.most < shortestAligned(j.Specs):
	case n == 1 && p.most < j.Specs[0].shortestByDay(p.most):
	default:
		p.walk()
	}
	p.instants()
	if p.first == 0 && p.second == 0 {
		return nil
	}
	zone := j.Zone()
	at := func(sec int64) string { return time.Unix(sec, 0).In(zone).Format(time.RFC3339) }
	return fmt.Errorf("jitter %s: expected less than %s, the time between the ticks %s and %s", DurationText(j.Jitter), DurationText(time.Duration(p.second-p.first)*time.Second), at(p.first), at(p.second))
}

// jitterSince is where the search for two near ticks begins: what the clocks did
// before there was any carillon is of no interest, and today must not matter.
var jitterSince = dayNumber(2025, 1) * daySeconds

// shortestAligned is a time that any two ticks of specs are apart at least, for
// nearly no effort: all of them lie on one grid, and it is the grid's width.
func shortestAligned(specs []*Spec) int64 {
	width, at := int64(0), int64(0)
	for i, s := range specs {
		w, a := s.grid()
		if i == 0 {
			width, at = w, a
		}
		width = gcd(gcd(width, w), a-at)
	}
	return width
}

// grid is a width and a place, in seconds since 1970, such that all ticks of the
// spec are whole widths from that place.
func (s *Spec) grid() (width, at int64) {
	if s.every > 0 {
		return s.every, s.offset
	}
	c, first := &s.cal, int64(s.cal.first)
	width = daySeconds
	for _, f := range []struct {
		set  uint64
		unit int64
	}{{c.second, 1}, {c.minute, 60}, {uint64(c.hour), 3600}} {
		least := bits.TrailingZeros64(f.set)
		for set := f.set & (f.set - 1); set != 0; set &= set - 1 {
			width = gcd(width, int64(bits.TrailingZeros64(set)-least)*f.unit)
		}
	}
	z := s.zone
	width = gcd(width, z.sum.unit)
	if !s.skip && c.hour&z.sum.lostHours != 0 {
		// What a gap swallows fires at its end.
		width = gcd(gcd(width, z.sum.gapUnit), first-z.sum.gapEnd)
	}
	return width, first - z.sum.off
}

// shortestByDay is a time that any two ticks of the spec are apart at least,
// from its times of day, or something up to most when it is not worth looking
// further.
func (s *Spec) shortestByDay(most int64) int64 {
	if s.every > 0 {
		return s.every
	}
	c := &s.cal
	shortest, last := int64(daySeconds), int64(c.first)-daySeconds
	for from := 0; ; {
		tod, ok := c.timeOfDay(from)
		if !ok {
			break
		}
		if last >= 0 {
			shortest = min(shortest, int64(tod)-last)
		}
		if shortest <= most {
			return shortest
		}
		if last, from = int64(tod), tod+1; from == daySeconds {
			break
		}
	}
	shortest = min(shortest, int64(c.first)+daySeconds-last)
	// A change of the clocks takes its length from a gap between two ticks, and
	// what is repeated comes again after it.
	change := s.zone.sum.longest
	if shortest <= change {
		return 0
	}
	shortest -= change
	if !s.once && change > 0 {
		shortest = min(shortest, s.zone.sum.shortest)
	}
	return shortest
}

// pair is the two ticks of a job that are nearest to each other, if they are no
// more than most seconds apart.
type pair struct {
	job           *Job
	most          int64
	first, second int64
}

// offer takes in two ticks.
func (p *pair) offer(first, second int64) {
	if second-first <= p.most && first < second {
		p.first, p.second, p.most = first, second, second-first-1
	}
}

// walk looks at the ticks of the specs one after the other: a thousand of them,
// and those around the changes of the clocks of 28 years, after which weekdays
// and dates come together again. What is left out is days that come near each
// other more rarely than that.
func (p *pair) walk() {
	const ticks = 1000
	from := jitterSince
	first, ok := p.nextTick(from)
	if !ok {
		return
	}
	p.follow(first, endInstant, ticks)
	z, most := p.job.Specs[0].zone, p.most
	until := from + 28*365*daySeconds
	for c := z.next(z.at(from)); z.spans[c.i].start+c.shift < until; c = z.next(c) {
		around := z.sum.longest + most
		at := z.spans[c.i].start + c.shift
		if first < at-around {
			if first, ok = p.nextTick(at - around - 1); !ok {
				return
			}
		}
		if first <= at+around {
			p.follow(first, at+around, ticks/20)
		}
		if len(z.spans) == z.wrap+1 {
			break // and so on for ever
		}
	}
}

// follow offers neighbours from one tick on.
func (p *pair) follow(tick, until int64, count int) {
	for range count {
		next, ok := p.nextTick(tick)
		if !ok || next > until {
			return
		}
		p.offer(tick, next)
		tick = next
	}
}

// nextTick is the next tick of the specs.
func (p *pair) nextTick(after int64) (int64, bool) {
	t, ok := NextOf(p.job.Specs, time.Unix(after, 0))
	return t.Unix(), ok
}

// instants offers what the single instants are near to.
func (p *pair) instants() {
	for i, t := range p.job.At {
		at := t.Unix()
		if i > 0 {
			p.offer(p.job.At[i-1].Unix(), at)
		}
		for before, ok := p.nextTick(at - p.most - 1); ok && before < at; before, ok = p.nextTick(before) {
			p.offer(before, at)
		}
		if after, ok := p.nextTick(at); ok {
			p.offer(at, after)
		}
	}
}

// gcd is the greatest common divisor, of 0 and n: n.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, -a)
}
