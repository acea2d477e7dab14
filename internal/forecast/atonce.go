package forecast

import (
	"math/bits"
	"time"

	"carillon/jobs"
)

// AtOnce is an estimate of how many runs are unfinished at the same moment.
type AtOnce struct {
	Peak   int
	Minute time.Time // the first minute in which there are so many
	Known  int       // jobs whose runs have a known duration
	Jobs   int       // jobs with ticks
}

// unknownRun is what a run of a job counts that nobody has seen run.
const unknownRun = time.Second

// leadIn is how far before the first minute runs may have started that still go
// on then.
const leadIn = 24 * 60

// EstimateAtOnce counts the runs that are unfinished at the same second, when
// every run of a job lasts as long as durations says, or a second. A job of
// every_node has a run on each of the live nodes.
//
// It assumes that nothing waits: neither for a slot nor for another job of the
// group. A job has one run at a time, which a tick in its middle prolongs, unless
// it has overlap: allow; then its own runs are counted by the minute, up to
// max_running. Jitter is left out.
func (d *Density) EstimateAtOnce(durations map[string]time.Duration, liveNodes int) AtOnce {
	n := len(d.Minutes) + leadIn
	from := d.From.Add(-leadIn * time.Minute)
	e := AtOnce{Jobs: len(d.Ticking)}
	c := counter{extra: make([]int, n)}
	for _, j := range d.Ticking {
		lasts, known := durations[j.Name]
		if known {
			e.Known++
		} else {
			lasts = unknownRun
		}
		seconds := max(1, int((lasts+time.Second-1)/time.Second))
		times := 1
		if j.EveryNode {
			times = max(1, liveNodes)
		}
		if j.Overlap == jobs.OverlapAllow {
			c.addOverlapping(d.mark(j, from, n), seconds, j.MaxRunning, times)
			continue
		}
		if ticks := d.ticksOf(j, from, n); ticks.all == nil {
			occupiedFew(ticks.few, seconds, n, func(minute int, busy uint64) { c.addMinute(minute, busy, times) })
		} else {
			occupied(ticks.all, seconds)
			c.add(ticks.all, times)
		}
	}
	for i := leadIn; i < n; i++ {
		if total := c.most(i); total > e.Peak {
			e.Peak, e.Minute = total, d.At(i-leadIn)
		}
	}
	return e
}

// minuteMask has a bit for each second of a minute.
const minuteMask = 1<<60 - 1

// occupied turns the seconds at which a job has ticks into those in which it has a
// run, in place, when each run lasts that long.
func occupied(marks []uint64, seconds int) {
	if seconds < 60 {
		var carry, lastMark, lastLo, lastHi uint64
		for i, m := range marks {
			if m != lastMark {
				lastMark = m
				lastHi, lastLo = smear(m, seconds)
			}
			marks[i] = lastLo&minuteMask | carry
			carry = lastLo>>60 | lastHi<<4
		}
		return
	}
	until := 0 // seconds from the beginning of the minute
	for i, m := range marks {
		var busy uint64
		if until > 0 {
			busy = 1<<min(until, 60) - 1
		}
		if m != 0 {
			busy |= minuteMask &^ (1<<bits.TrailingZeros64(m) - 1)
			until = max(until, 63-bits.LeadingZeros64(m)+seconds)
		}
		marks[i] = busy
		until -= 60
	}
}

// occupiedFew is occupied for few ticks, of n minutes: it calls busy with each minute
// in which the job has a run, in the order of time.
func occupiedFew(few []tickMinute, seconds, n int, busy func(minute int, marks uint64)) {
	until := 0  // the second, from the beginning of all minutes, at which the last run ends
	minute := 0 // the first one that is not told yet
	goOn := func(before int) {
		for ; minute < before && until > 60*minute; minute++ {
			busy(minute, 1<<min(until-60*minute, 60)-1)
		}
	}
	for _, m := range few {
		goOn(m.minute)
		minute = m.minute
		marks := uint64(minuteMask) &^ (1<<bits.TrailingZeros64(m.marks) - 1)
		if seconds < 60 {
			_, lo := smear(m.marks, seconds)
			marks = lo & minuteMask
		}
		if left := until - 60*minute; left > 0 {
			marks |= 1<<min(left, 60) - 1
		}
		busy(minute, marks)
		until = max(until, 60*minute+63-bits.LeadingZeros64(m.marks)+seconds)
		minute++
	}
	goOn(n)
}

// smear sets the bits up to n-1 above each bit of m, in two words.
func smear(m uint64, n int) (hi, lo uint64) {
	lo = m
	for have := 1; have < n; {
		by := min(have, n-have)
		hi |= hi<<by | lo>>(64-by)
		lo |= lo << by
		have += by
	}
	return hi, lo
}

// counter counts how many jobs are occupied in each second. A plane holds one
// binary digit of the counts of all seconds, so that a minute of sixty counts
// takes one more in a few steps: adding is carrying from plane to plane.
type counter struct {
	planes [][]uint64
	extra  []int // runs in each minute that are counted by the minute
}

// add counts the marked seconds, as many times.
func (c *counter) add(marks []uint64, times int) {
	for digit := 0; times>>digit != 0; digit++ {
		if times>>digit&1 == 0 {
			continue
		}
		for i, carry := range marks {
			c.carry(i, carry, digit)
		}
	}
}

// addMinute is add for one minute.
func (c *counter) addMinute(minute int, marks uint64, times int) {
	for digit := 0; times>>digit != 0; digit++ {
		if times>>digit&1 != 0 {
			c.carry(minute, marks, digit)
		}
	}
}

// carry adds the marked seconds of a minute to a plane and those above it.
func (c *counter) carry(minute int, marks uint64, plane int) {
	for ; marks != 0; plane++ {
		for plane >= len(c.planes) {
			c.planes = append(c.planes, make([]uint64, len(c.extra)))
		}
		p := c.planes[plane]
		p[minute], marks = p[minute]^marks, p[minute]&marks
	}
}

// addOverlapping counts the runs of a job that may overlap itself, by the minute:
// those that started in the minutes that a run lasts, or, of shorter runs, the
// part of the minute that each takes.
func (c *counter) addOverlapping(marks []uint64, seconds, most, times int) {
	back := (seconds + 59) / 60
	open := 0
	for i, m := range marks {
		open += bits.OnesCount64(m)
		if i >= back {
			open -= bits.OnesCount64(marks[i-back])
		}
		runs := open
		if back == 1 {
			runs = (open*seconds + 59) / 60
		}
		if most > 0 {
			runs = min(runs, most)
		}
		c.extra[i] += runs * times
	}
}

// most is the highest count of the minute's seconds.
func (c *counter) most(minute int) int {
	total := 0
	candidates := uint64(minuteMask)
	for p := len(c.planes) - 1; p >= 0; p-- {
		if higher := candidates & c.planes[p][minute]; higher != 0 {
			candidates = higher
			total |= 1 << p
		}
	}
	return total + c.extra[minute]
}
