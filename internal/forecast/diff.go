package forecast

import (
	"slices"
	"time"

	"carillon/jobs"
)

// Change is what an edit of the schedule does to a job, in a word.
type Change string

// The changes, the one that says most first: a job that is disabled and whose
// timing is another one too is disabled.
const (
	Added     Change = "added"     // only the new file has it
	Removed   Change = "removed"   // only the old file has it
	Disabled  Change = "disabled"  // its ticks end
	Enabled   Change = "enabled"   // its ticks begin
	Retimed   Change = "retimed"   // when it fires was written differently, though its ticks may be the same
	Redefined Change = "redefined" // anything else about it
	Unchanged Change = "unchanged"
)

// Diff is what an edit of the schedule does to the ticks after From, up to and
// including Until.
type Diff struct {
	From, Until time.Time
	Keys        []string  // what differs outside of jobs: keys of the file, such as "max_wait"
	Jobs        []JobDiff // in the order of the new file, then what only the old one has
}

// Empty reports whether the edit changes nothing.
func (d *Diff) Empty() bool {
	return len(d.Keys) == 0 && !slices.ContainsFunc(d.Jobs, func(j JobDiff) bool { return j.Change != Unchanged })
}

// JobDiff is what an edit does to one job. Its lists are in the order of time.
//
// Added, Removed and Moved are exact: whoever takes the ticks of the old job in
// the time compared, removes Removed and what Moved comes from, and adds Added and
// what Moved goes to, has the ticks of the new job in that time. The one
// exception: a move over the edge of that time is listed with both its ends.
type JobDiff struct {
	Name     string
	Change   Change
	Old, New *jobs.Job // nil in the file that does not have it
	Keys     []string  // what differs beside the timing: keys of the file, such as "command"

	Added, Removed []time.Time
	Moved          []Move
	Cut            time.Time // zero, or up to when ticks were compared; there may be more after it

	First   time.Time // the first tick after From of a job that was added, enabled or retimed; the one that a removed or disabled job would have had; zero: none
	Renamed string    // of a job that was added or removed: the one that was removed or added and is the same otherwise
}

// Move is a tick that an edit puts at another time of the same day.
type Move struct{ From, To time.Time }

// Restarts reports whether the leader takes the job's timing for a new one when
// the edit is deployed. Then its cursor moves to that moment, and what was
// undecided until then is skipped.
func (d *JobDiff) Restarts() bool {
	return d.Old != nil && d.New != nil && d.Old.Timing != d.New.Timing
}

// Compare is what an edit of a schedule, from old to edited, does to the ticks
// after from, up to and including until.
//
// A job that fires each second has more ticks than anybody wants to wait for, so
// a job is compared up to a bound: limit ticks of all jobs together, shared among
// those that are compared, but at least leastOfAJob and at most mostOfAJob of each.
// Then JobDiff.Cut says how far.
func Compare(old, edited *jobs.Schedule, from, until time.Time, limit int) Diff {
	d := Diff{From: from, Until: until, Keys: changedFileKeys(old, edited)}
	for _, job := range edited.Jobs {
		before := old.Job(job.Name)
		if before == nil && job.RenamedFrom != "" {
			before = old.Job(job.RenamedFrom)
		}
		d.Jobs = append(d.Jobs, comparePair(job.Name, before, job))
	}
	for _, job := range old.Jobs {
		if edited.Job(job.Name) == nil && edited.Formerly(job.Name) == nil {
			d.Jobs = append(d.Jobs, comparePair(job.Name, job, nil))
		}
	}
	markRenamed(d.Jobs)
	changing := 0
	for i := range d.Jobs {
		if d.Jobs[i].ticksMayChange() {
			changing++
		}
	}
	share := min(max(leastOfAJob, limit/max(1, changing)), mostOfAJob)
	for i := range d.Jobs {
		if j := &d.Jobs[i]; j.ticksMayChange() {
			j.compareTicks(from, until, share)
		}
	}
	return d
}

// The bounds of how many ticks of one job are compared, old and new ones. The upper
// one is a month of a job that fires each minute at another second.
const (
	leastOfAJob = 1000
	mostOfAJob  = 100_000
)

// comparePair says in a word what became of a job.
func comparePair(name string, old, edited *jobs.Job) JobDiff {
	d := JobDiff{Name: name, Old: old, New: edited}
	switch {
	case old == nil:
		d.Change = Added
		return d
	case edited == nil:
		d.Change = Removed
		return d
	}
	d.Keys = changedKeys(old, edited)
	switch {
	case old.Enabled && !edited.Enabled:
		d.Change = Disabled
	case !old.Enabled && edited.Enabled:
		d.Change = Enabled
	case old.Timing != edited.Timing:
		d.Change = Retimed
	case len(d.Keys) > 0:
		d.Change = Redefined
	default:
		d.Change = Unchanged
	}
	return d
}

// ticksMayChange reports whether the ticks of the job are worth comparing: there
// are some, and equal timing digests of one name mean equal ticks.
func (d *JobDiff) ticksMayChange() bool {
	some := d.Old != nil && d.Old.Ticks() || d.New != nil && d.New.Ticks()
	return some && d.Change != Unchanged && (d.Change != Redefined || d.WasRenamed())
}

// WasRenamed reports whether the new file says that the job had another name in the
// old one: its cursor and its history follow it.
func (d *JobDiff) WasRenamed() bool { return d.Old != nil && d.New != nil && d.Old.Name != d.New.Name }

// markRenamed pairs jobs that were removed with added ones that do the same at the
// same times. Only pairs that leave no choice are marked.
func markRenamed(list []JobDiff) {
	type twin struct{ timing, digest string }
	added, removed := map[twin][]*JobDiff{}, map[twin][]*JobDiff{}
	for i := range list {
		switch d := &list[i]; d.Change {
		case Added:
			k := twin{d.New.Timing, d.New.Digest}
			added[k] = append(added[k], d)
		case Removed:
			k := twin{d.Old.Timing, d.Old.Digest}
			removed[k] = append(removed[k], d)
		}
	}
	for k, as := range added {
		if rs := removed[k]; len(as) == 1 && len(rs) == 1 {
			as[0].Renamed, rs[0].Renamed = rs[0].Name, as[0].Name
		}
	}
}

// source is where the ticks of a job come from: nowhere, when there is no such job
// or it is disabled.
func source(job *jobs.Job) Source {
	if job == nil || !job.Enabled {
		return func(time.Time) (time.Time, bool) { return time.Time{}, false }
	}
	return job.Next
}

// over is how much further than its end a comparison looks, so that a tick that
// moves over this edge is seen to move: two ticks of one day, each in its own
// zone, are less than that apart.
const over = 51 * time.Hour

// mostAhead is how many ticks of that time are looked at when the limit of the
// comparison is used up: all of them, unless the job fires every few minutes.
const mostAhead = 1000

// compareTicks fills in the lists, from at most limit ticks and those ahead of the
// edge that some of them may move to.
func (d *JobDiff) compareTicks(from, until time.Time, limit int) {
	before, after := source(d.Old), source(d.New)
	a, aOK := before(from)
	b, bOK := after(from)
	if d.First = b; !bOK {
		d.First = a // zero when there is none either
	}
	edge, ahead := until, 0
	for n := 0; ; n++ {
		next, ok := a, aOK
		if bOK && (!aOK || b.Before(a)) {
			next, ok = b, true
		}
		if n == limit && ok && !next.After(until) {
			d.Cut = next.Add(-time.Second)
			edge = d.Cut
		}
		if n >= limit {
			ahead++
		}
		if !ok || next.After(edge.Add(over)) || ahead > mostAhead {
			break
		}
		was, is := aOK && a.Equal(next), bOK && b.Equal(next)
		if was && !is {
			d.Removed = append(d.Removed, next)
		}
		if is && !was {
			d.Added = append(d.Added, next)
		}
		if was {
			a, aOK = before(a)
		}
		if is {
			b, bOK = after(b)
		}
	}
	if d.Old != nil && d.New != nil {
		d.pair()
	}
	late := func(t time.Time) bool { return t.After(edge) }
	d.Added = slices.DeleteFunc(d.Added, late)
	d.Removed = slices.DeleteFunc(d.Removed, late)
	d.Moved = slices.DeleteFunc(d.Moved, func(m Move) bool { return late(m.From) && late(m.To) })
}

// pair makes moves of removed and added ticks: of two that have the same local
// date, each in its job's zone, and of which each is the other's nearest, without a
// second one as near. What is left has no clear partner.
func (d *JobDiff) pair() {
	removed, added := byDate(d.Removed, d.Old.Zone()), byDate(d.Added, d.New.Zone())
	gone, come := map[time.Time]bool{}, map[time.Time]bool{}
	for date, from := range removed {
		to := added[date]
		for _, r := range from {
			a, ok := nearest(r, to)
			if !ok {
				continue
			}
			if back, ok := nearest(a, from); ok && back.Equal(r) {
				d.Moved = append(d.Moved, Move{From: r, To: a})
				gone[r], come[a] = true, true
			}
		}
	}
	slices.SortFunc(d.Moved, func(a, b Move) int { return a.From.Compare(b.From) })
	d.Removed = slices.DeleteFunc(d.Removed, func(t time.Time) bool { return gone[t] })
	d.Added = slices.DeleteFunc(d.Added, func(t time.Time) bool { return come[t] })
}

// byDate sorts ticks by their local date.
func byDate(ticks []time.Time, loc *time.Location) map[int][]time.Time {
	dates := map[int][]time.Time{}
	for _, t := range ticks {
		year, month, day := t.In(loc).Date()
		date := (year*12+int(month))*31 + day
		dates[date] = append(dates[date], t)
	}
	return dates
}

// nearest is the one of the ticks, which are in the order of time, that is nearest
// to t; false when there is none or two are equally near.
func nearest(t time.Time, ticks []time.Time) (time.Time, bool) {
	i, _ := slices.BinarySearchFunc(ticks, t, time.Time.Compare)
	switch {
	case len(ticks) == 0:
		return time.Time{}, false
	case i == 0:
		return ticks[0], true
	case i == len(ticks):
		return ticks[i-1], true
	}
	before, after := ticks[i-1], ticks[i]
	switch down, up := t.Sub(before), after.Sub(t); {
	case down < up:
		return before, true
	case up < down:
		return after, true
	default:
		return time.Time{}, false
	}
}
