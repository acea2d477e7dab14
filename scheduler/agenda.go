package scheduler

import (
	"fmt"
	"time"

	"carillon/jobs"
)

const (
	// batch is how many decisions due hands out before it stops taking further
	// jobs, so that the first of many ticks due at one instant does not wait for
	// the last to be computed, and a long absence of many jobs is worked off in
	// bounded memory.
	batch = 250

	// retryFirst and retryMost bound the wait of a parked job: one whose next
	// tick waits for the run in its way.
	retryFirst = 50 * time.Millisecond
	retryMost  = time.Second

	// earlyLeast keeps a clock that runs a hair ahead of the store's from
	// asking again without a pause.
	earlyLeast = 100 * time.Microsecond
)

// agenda knows when each job is next to be looked at, and from where: a heap,
// so that a second in which one job of 100,000 is due costs the work of one.
//
// It is used in turns: due hands out decisions and takes their jobs out of the
// heap, settle takes the store's verdicts about exactly those and puts the jobs
// back. When the verdicts are not known (the commit failed) update has to put the
// agenda right first: only the store can say where the cursors are. It belongs to
// one goroutine. A job costs it 56 bytes, and 30 to 60 more in the index.
type agenda struct {
	entries []entry          // in no order, without holes
	index   map[string]int32 // name -> entry
	heap    []slot           // by at, four children each; every entry that is neither out nor without a next tick
	out     []outside        // handed out by due, in order
	spare   []jobs.Decision  // memory for what due hands out
	now     time.Time        // of the last due
	pauses  map[string][]jobs.Span
}

// entry is one job.
type entry struct {
	job    *jobs.Job
	cursor time.Time // its last decided tick
	place  int32     // in the heap; nowhere when it is not in it
	tries  uint8     // pauses in a row without a decision
	held   bool      // its next tick waits, though it may be in time
	listed bool      // update has met it
}

// outside is one job of a due that is not settled yet.
type outside struct {
	entry     int32
	decisions int32
}

// newAgenda plans the jobs from their cursors.
func newAgenda(list []*jobs.Job, adopted jobs.Adopted) (*agenda, error) {
	a := &agenda{entries: make([]entry, 0, len(list)), heap: make([]slot, 0, len(list)), index: make(map[string]int32, len(list))}
	if err := a.update(list, adopted); err != nil {
		return nil, err
	}
	return a, nil
}

// update makes these the jobs of the agenda, at these cursors: as if it were made
// anew, but with the work of what changed. A job without a cursor is an error:
// starting it from now would lose what is undecided. The agenda is then of no use
// before the next update.
//
// A job whose tick waits for a run is asked about anew, but it goes on waiting,
// unless its timing changed: a reload does not skip a tick that already waits.
func (a *agenda) update(list []*jobs.Job, adopted jobs.Adopted) error {
	a.pauses, a.out = adopted.Pauses, a.out[:0]
	for i := range a.entries {
		a.entries[i].listed = false
	}
	for _, job := range list {
		cursor, ok := adopted.Cursors[job.Name]
		if !ok {
			return fmt.Errorf("the store returned no cursor for job %s", job.Name)
		}
		i, known := a.index[job.Name]
		if !known {
			i = a.add(job, cursor)
		} else if e := &a.entries[i]; sameTicks(e.job, job) && e.place != nowhere && e.tries == 0 && e.cursor.Equal(cursor) {
			e.job, e.held = job, e.held && feedsOneByOne(job)
		} else {
			held := e.held && e.job.Timing == job.Timing && feedsOneByOne(job)
			a.take(i)
			*e = entry{job: job, cursor: cursor, place: nowhere, held: held}
			a.plan(i)
		}
		a.entries[i].listed = true
	}
	for i := len(a.entries) - 1; i >= 0; i-- {
		if e := &a.entries[i]; !e.listed {
			a.remove(e.job.Name)
		}
	}
	return nil
}

// sameTicks reports whether two definitions of a job start the same ticks at the
// same times.
func sameTicks(a, b *jobs.Job) bool {
	return a.Timing == b.Timing && a.Jitter == b.Jitter && a.Enabled == b.Enabled
}

// add takes in a job that is not in the agenda.
func (a *agenda) add(job *jobs.Job, cursor time.Time) int32 {
	i := int32(len(a.entries))
	a.entries = append(a.entries, entry{job: job, cursor: cursor, place: nowhere})
	a.index[job.Name] = i
	a.plan(i)
	return i
}

// remove forgets a job. The last entry takes its place, so it must not be done
// between due and settle.
func (a *agenda) remove(name string) {
	i := a.index[name]
	a.take(i)
	delete(a.index, name)
	last := int32(len(a.entries) - 1)
	if e := a.entries[last]; i != last {
		a.entries[i], a.index[e.job.Name] = e, i
		if e.place != nowhere {
			a.heap[e.place].entry = i
		}
	}
	a.entries[last] = entry{}
	a.entries = a.entries[:last]
}

// replan puts every job at its next tick, forgetting all pauses: they were
// measured on a clock that has jumped since.
func (a *agenda) replan() {
	a.heap, a.out = a.heap[:0], a.out[:0]
	for i := range a.entries {
		a.entries[i].tries, a.entries[i].place = 0, nowhere
	}
	for i := range a.entries {
		a.plan(int32(i))
	}
}

// next is when due has something to look at; false when no job has a next tick.
func (a *agenda) next() (time.Time, bool) {
	if len(a.heap) == 0 {
		return time.Time{}, false
	}
	return time.UnixMicro(a.heap[0].at), true
}

// due takes the jobs whose time has come, longest overdue first, and decides
// their ticks. A job's decisions are neighbours and in the order of time. It
// stops after about batch decisions; next then still answers a time that has
// passed. The answer is good until the next call.
//
// Of a job that feeds one by one it hands out nothing beyond the first tick
// that waits: what comes after would be in that tick's way.
func (a *agenda) due(now time.Time) []jobs.Decision {
	a.now, a.out = now, a.out[:0]
	ds := a.spare[:0]
	for limit := now.UnixMicro(); len(a.heap) > 0 && a.heap[0].at <= limit && len(ds) < batch; {
		i := a.pop()
		e := &a.entries[i]
		from := len(ds)
		ds = decide(ds, e.job, e.cursor, now, a.pauses[e.job.Name])
		if len(ds) == from { // the clock went back while the job was parked
			a.plan(i)
			continue
		}
		ds = untilFirstWait(ds, from, e.held)
		a.out = append(a.out, outside{entry: i, decisions: int32(len(ds) - from)})
	}
	if a.spare = nil; cap(ds) <= 4*batch { // a job may catch up on 10,000 ticks
		a.spare = ds
	}
	return ds
}

// untilFirstWait cuts ds after the first decision from there on that waits. The
// first one to run waits too when its job is held.
func untilFirstWait(ds []jobs.Decision, from int, held bool) []jobs.Decision {
	for i := from; i < len(ds); i++ {
		d := &ds[i]
		if held && (d.Outcome == jobs.OutcomeRan || d.Outcome == jobs.OutcomeLate) {
			d.Wait = true
		}
		if d.Wait {
			return ds[:i+1]
		}
	}
	return ds
}

// settle applies the verdicts about the decisions of the last due: it moves the
// cursors over what was decided and plans each job's next look. now is the
// store's clock after the commit. An error means the verdicts make no sense;
// the agenda is then of no use any more.
func (a *agenda) settle(ds []jobs.Decision, vs []jobs.Verdict, now time.Time) error {
	if len(vs) != len(ds) {
		return fmt.Errorf("the store gave %d verdicts about %d decisions", len(vs), len(ds))
	}
	for _, o := range a.out {
		n := o.decisions
		if err := a.settleJob(o.entry, ds[:n], vs[:n], now); err != nil {
			return err
		}
		ds, vs = ds[n:], vs[n:]
	}
	a.out = a.out[:0]
	return nil
}

func (a *agenda) settleJob(i int32, ds []jobs.Decision, vs []jobs.Verdict, now time.Time) error {
	e := &a.entries[i]
	before := e.cursor
	for k, v := range vs {
		switch v.Kind {
		case jobs.VerdictRan, jobs.VerdictRecorded, jobs.VerdictSkipped, jobs.VerdictQueued:
			e.advance(ds[k].Until)
		case jobs.VerdictDuplicate:
			e.advance(v.Cursor)
		case jobs.VerdictBusy:
			e.held = true
			a.park(i, now)
			return nil
		case jobs.VerdictEarly:
			// At most a second, because the store's clock may be set right meanwhile.
			a.push(i, now.Add(min(max(v.Wait, earlyLeast), retryMost)))
			return nil
		default:
			return fmt.Errorf("the store gave the unknown verdict %q about job %s", v.Kind, e.job.Name)
		}
	}
	if !e.cursor.After(before) { // a duplicate that says nothing new: do not ask in a circle
		a.park(i, now)
		return nil
	}
	last := ds[len(ds)-1]
	if last.Wait {
		if tick, ok := e.job.Next(e.cursor); ok && !e.job.Starts(tick).After(a.now) {
			// The next one has been waiting behind the one that was just decided.
			e.tries, e.held = 0, true
			a.park(i, now)
			return nil
		}
	}
	// A run of a tick that waited may still be in the way of the next one, which
	// must not be skipped for that. It is over when a tick ran at its first try.
	e.held = last.Wait && (last.Outcome == jobs.OutcomeLate || e.tries > 0)
	e.tries = 0
	a.plan(i)
	return nil
}

func (e *entry) advance(to time.Time) {
	if to.After(e.cursor) {
		e.cursor = to
	}
}

// plan puts an entry at the start of its next tick; one without stays out for good.
func (a *agenda) plan(i int32) {
	e := &a.entries[i]
	if !e.job.Enabled {
		return
	}
	if tick, ok := e.job.Next(e.cursor); ok {
		a.push(i, e.job.Starts(tick))
	}
}

// park puts an entry at the end of its next pause: 50 ms, doubling to a second.
func (a *agenda) park(i int32, now time.Time) {
	e := &a.entries[i]
	pause := min(retryFirst<<e.tries, retryMost)
	if pause < retryMost {
		e.tries++
	}
	a.push(i, now.Add(pause))
}
