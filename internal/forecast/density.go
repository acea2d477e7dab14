package forecast

import (
	"iter"
	"math/bits"
	"slices"
	"time"

	"carillon/jobs"
)

// Density is how many runs start in each minute of a stretch of time: those of
// the jobs' own ticks, each at the time that jitter gives it. Runs that follow
// other runs or are started by hand are not in it, and a job of every_node counts
// once.
type Density struct {
	From    time.Time // a whole minute
	Minutes []int     // starts in each minute after From
	Starts  int       // in all
	Ticking []*jobs.Job
	// Unspread is how many jobs with jitter were counted at their ticks all the
	// same: those beyond some millions of ticks, each of which costs a hash.
	Unspread int

	// Scratch.
	marks []uint64
	few   []tickMinute
}

// spreadTicks is how many ticks of jobs with jitter are looked at one by one: a
// second of work.
const spreadTicks = 20_000_000

// NewDensity counts the starts of the enabled jobs of the list in n minutes from
// a whole minute on. A job that fires seldom costs its ticks; one that fires often
// costs the minutes, however many ticks there are in each, unless it has jitter.
func NewDensity(list []*jobs.Job, from time.Time, n int) *Density {
	d := &Density{From: from, Minutes: make([]int, n)}
	budget := spreadTicks
	for _, j := range list {
		if !j.Enabled || !j.Ticks() {
			continue
		}
		d.Ticking = append(d.Ticking, j)
		lead := minutesUp(j.Jitter)
		ticks := d.ticksOf(j, from.Add(-time.Duration(lead)*time.Minute), n+lead)
		count := 0
		if j.Jitter > 0 {
			for _, m := range ticks.minutes() {
				count += bits.OnesCount64(m)
			}
		}
		switch {
		case j.Jitter == 0 || count > budget:
			for i, m := range ticks.minutes() {
				if i >= lead {
					d.Minutes[i-lead] += bits.OnesCount64(m)
				}
			}
			if j.Jitter > 0 {
				d.Unspread++
			}
		default:
			budget -= count
			d.spread(j, ticks, lead)
		}
	}
	for _, c := range d.Minutes {
		d.Starts += c
	}
	return d
}

// ticks are those of a job in some minutes: a list of the few minutes that have
// one, or all minutes.
type ticks struct {
	few []tickMinute
	all []uint64
}

// tickMinute is a minute with ticks, one bit for each of its seconds.
type tickMinute struct {
	minute int
	marks  uint64
}

// minutes goes through the minutes with ticks, in the order of time.
func (t ticks) minutes() iter.Seq2[int, uint64] {
	return func(yield func(int, uint64) bool) {
		for _, m := range t.few {
			if !yield(m.minute, m.marks) {
				return
			}
		}
		for i, m := range t.all {
			if m != 0 && !yield(i, m) {
				return
			}
		}
	}
}

// ticksOf is the job's ticks in n minutes from an instant on, in memory that the
// next call uses again. One tick after the other is found quickly where there are
// few, and all at once where there are many.
func (d *Density) ticksOf(j *jobs.Job, from time.Time, n int) ticks {
	if few, ok := d.walk(j, from, n); ok {
		return ticks{few: few}
	}
	return ticks{all: d.mark(j, from, n)}
}

// A job fires seldom when it has no more than a tick in so many minutes, at each
// tick from the first of them on, with some to begin with. Marking a day takes as
// long as finding some thirty ticks.
const (
	seldom  = 60
	toBegin = 32
)

// walk finds the ticks of a job one by one, unless it fires often.
func (d *Density) walk(j *jobs.Job, from time.Time, n int) ([]tickMinute, bool) {
	d.few = d.few[:0]
	found := 0
	for at := from.Add(-time.Second); ; found++ {
		tick, ok := j.Next(at)
		second := int(tick.Unix() - from.Unix())
		minute := second / 60
		switch {
		case !ok || minute >= n:
			return d.few, true
		case found >= toBegin+minute/seldom:
			return nil, false
		}
		if last := len(d.few) - 1; last < 0 || d.few[last].minute != minute {
			d.few = append(d.few, tickMinute{minute: minute})
		}
		d.few[len(d.few)-1].marks |= 1 << (second % 60)
		at = tick
	}
}

// mark is the job's ticks in n minutes from an instant on, a word a minute, in
// memory that the next call uses again.
func (d *Density) mark(j *jobs.Job, from time.Time, n int) []uint64 {
	if cap(d.marks) < n {
		d.marks = make([]uint64, n)
	}
	marks := d.marks[:n]
	clear(marks)
	j.Mark(from, marks)
	return marks
}

// spread counts ticks at the times at which they start. The ticks begin some
// minutes early, so that starts of ticks before the first minute are found.
func (d *Density) spread(j *jobs.Job, ticks ticks, lead int) {
	for i, m := range ticks.minutes() {
		minute := d.From.Add(time.Duration(i-lead) * time.Minute)
		for ; m != 0; m &= m - 1 {
			start := j.Starts(minute.Add(time.Duration(bits.TrailingZeros64(m)) * time.Second))
			if at := int(start.Sub(d.From) / time.Minute); !start.Before(d.From) && at < len(d.Minutes) {
				d.Minutes[at]++
			}
		}
	}
}

// At is the instant at which a minute begins.
func (d *Density) At(minute int) time.Time { return d.From.Add(time.Duration(minute) * time.Minute) }

// Peak is the minute with the most starts, the first of equals.
func (d *Density) Peak() (minute, starts int) {
	for i, c := range d.Minutes {
		if c > starts {
			minute, starts = i, c
		}
	}
	return minute, starts
}

// In are the jobs with starts in that minute, in the order of the list.
func (d *Density) In(minute int) []*jobs.Job {
	var found []*jobs.Job
	one := Density{From: d.At(minute), Minutes: make([]int, 1)}
	for _, j := range d.Ticking {
		lead := minutesUp(j.Jitter)
		ticks := one.ticksOf(j, one.From.Add(-time.Duration(lead)*time.Minute), 1+lead)
		one.Minutes[0] = 0
		one.spread(j, ticks, lead)
		if one.Minutes[0] > 0 {
			found = append(found, j)
		}
	}
	return found
}

// Hour is the starts of one hour of the clock in some zone; the first and the last
// of a stretch, and those in which the clocks change, may be shorter or longer.
type Hour struct {
	Begin  time.Time // in that zone
	Starts int
}

// Hours sums the minutes by the hours of a zone's clock.
func (d *Density) Hours(loc *time.Location) []Hour {
	var hours []Hour
	for i := 0; i < len(d.Minutes); {
		begin := d.At(i).In(loc)
		end := min(i+60-begin.Minute(), len(d.Minutes))
		h := Hour{Begin: begin}
		for ; i < end; i++ {
			h.Starts += d.Minutes[i]
		}
		hours = append(hours, h)
	}
	return hours
}

// usual is the number of starts of the middle one of the minutes around: half of
// them have no more.
func (d *Density) usual(minute int) int {
	const around = 30
	lo, hi := max(0, minute-around), min(len(d.Minutes), minute+around)
	var sorted [2 * around]int
	some := append(sorted[:0], d.Minutes[lo:hi]...)
	slices.Sort(some)
	return some[len(some)/2]
}

// minutesUp is a duration in minutes, rounded up.
func minutesUp(d time.Duration) int { return int((d + time.Minute - 1) / time.Minute) }
