package scheduler

import (
	"fmt"
	"time"

	"carillon/jobs"
)

// SimplyLate is how old an undecided tick may be and still run whatever the
// job's catch-up policy says: a short change of leader is not an absence.
const SimplyLate = time.Minute

// Due decides the undecided ticks of one job: those after cursor that start not
// after now. It is pure; now is the store's clock, and cursor the last tick that
// was decided, whoever led then. The decisions are in the order of time and leave
// no tick out: committed in order, they move the cursor over all of them.
//
// A tick is named by its time and judged by its start, which jitter puts later
// (jobs.Job.Starts): the start says when it is due, how late it is, whether it is
// inside the catch-up window, and which pause it falls into. So a tick whose time
// is in a pause runs when the pause is over before its start, just as it would
// under a leader who never left, and so does no tick whose start is in one.
//
// Memory is bounded by the job's catch_up.max, not by how many ticks were
// missed, and what is older than the window is not even enumerated.
//
// Ticks within one of the pauses, which are in the order of time, are skipped.
func Due(job *jobs.Job, cursor, now time.Time, pauses ...jobs.Span) []jobs.Decision {
	return decide(nil, job, cursor, now, pauses)
}

// decide appends the decisions of Due to ds.
func decide(ds []jobs.Decision, job *jobs.Job, cursor, now time.Time, pauses []jobs.Span) []jobs.Decision {
	all := source{job: job}
	for i, p := range pauses {
		if !p.To.IsZero() && !p.To.After(cursor) {
			continue // decided long ago
		}
		if p.From.After(cursor) {
			newer := all.runsAfter(pauses[i:], now)
			known := len(ds)
			if ds = decidePart(ds, source{job: job, before: p.From}, cursor, p.From, now, newer); len(ds) > known {
				cursor = ds[len(ds)-1].Until
			}
		}
		ds, cursor = skipPaused(ds, all, cursor, p, now)
	}
	return decidePart(ds, all, cursor, now, now, false)
}

// skipPaused decides the ticks that start in a pause as one range, and returns the
// cursor after it; those that start before it are decided. Ticks older than the
// window are not enumerated.
func skipPaused(ds []jobs.Decision, ticks source, cursor time.Time, p jobs.Span, now time.Time) ([]jobs.Decision, time.Time) {
	end := now
	if !p.To.IsZero() {
		end = earlier(p.To.Add(-1), now) // its end is not in it
	}
	t, ok := ticks.next(cursor)
	if !ok || t.start.After(end) {
		return ds, cursor
	}
	d := jobs.Decision{Job: ticks.job, Tick: t.tick, Until: t.tick, Outcome: jobs.OutcomeSkipped, Reason: "paused"}
	if opens := earlier(now.Add(-ticks.job.CatchUp.Window), end); t.start.Before(opens) {
		d.Until = ticks.startedBy(opens, t.tick)
		ds = append(ds, d)
		if t, ok = ticks.next(d.Until); !ok || t.start.After(end) {
			return ds, d.Until
		}
		d.Tick = t.tick
	}
	for ; ok && !t.start.After(end); t, ok = ticks.next(t.tick) {
		d.Until = t.tick
		d.Count++
	}
	return append(ds, d), d.Until
}

// decidePart decides the ticks after cursor that the source has, all of which
// start before end unless that is now. newer: a tick after them runs.
func decidePart(ds []jobs.Decision, ticks source, cursor, end, now time.Time, newer bool) []jobs.Decision {
	job := ticks.job
	t, ok := ticks.next(cursor)
	if !ok || t.start.After(now) {
		return ds
	}
	young := now.Add(-SimplyLate)

	// Older than the window: one decision, without counting.
	if opens := earlier(earlier(now.Add(-job.CatchUp.Window), young), end); t.start.Before(opens) {
		d := jobs.Decision{
			Job: job, Tick: t.tick, Until: ticks.startedBy(opens.Add(-1), t.tick),
			Outcome: jobs.OutcomeMissed, Reason: "window: older than " + jobs.DurationText(job.CatchUp.Window),
		}
		ds = append(ds, d)
		t, ok = ticks.next(d.Until)
	}

	// Inside the window, but late enough for the policy to be asked.
	if ok && t.start.Before(young) {
		var old backlog
		for old.keep = keeps(job.CatchUp); ok && t.start.Before(young); t, ok = ticks.next(t.tick) {
			old.add(t.tick)
		}
		if younger := newer || ok && !t.start.After(now); younger && job.CatchUp.Policy == jobs.CatchUpLatest {
			old.dropAll()
		}
		ds = old.appendTo(ds, job)
	}

	// Young enough to simply run.
	waits := feedsOneByOne(job)
	waiting := waits && len(ds) > 0 && ds[len(ds)-1].Wait
	for ; ok && !t.start.After(now); t, ok = ticks.next(t.tick) {
		outcome := jobs.OutcomeLate
		if now.Sub(t.start) <= jobs.LateAfter {
			outcome = jobs.OutcomeRan
		}
		// A tick in time waits only behind one that waits: alone, it meets the
		// job's overlap policy like on any other day.
		waiting = waits && (waiting || outcome == jobs.OutcomeLate)
		ds = append(ds, one(job, t.tick, outcome, waiting))
	}
	return ds
}

// keeps is how many of the older ticks the policy may still run.
func keeps(c jobs.CatchUp) int {
	switch c.Policy {
	case jobs.CatchUpAll:
		return c.Max
	case jobs.CatchUpSkip:
		return 0
	default: // latest
		return min(1, c.Max)
	}
}

// feedsOneByOne reports whether late ticks of the job wait for the run in
// their way instead of being skipped because of it: a job that wants all its
// ticks and never two at once.
func feedsOneByOne(job *jobs.Job) bool {
	return job.CatchUp.Policy == jobs.CatchUpAll && job.Overlap == jobs.OverlapSkip
}

// one is the decision to run one tick.
func one(job *jobs.Job, tick time.Time, outcome jobs.Outcome, wait bool) jobs.Decision {
	return jobs.Decision{Job: job, Tick: tick, Until: tick, Count: 1, Outcome: outcome, Wait: wait}
}

// backlog takes a job's older ticks in order, holds the newest keep of them
// and remembers the rest as one range.
type backlog struct {
	keep        int
	ring        []time.Time // the newest; the oldest of them at head once full
	head        int
	first, last time.Time // the range of dropped ticks
	dropped     int
}

func (b *backlog) add(tick time.Time) {
	switch {
	case b.keep <= 0:
		b.drop(tick)
	case len(b.ring) < b.keep:
		b.ring = append(b.ring, tick)
	default:
		b.drop(b.ring[b.head])
		b.ring[b.head] = tick
		b.head = (b.head + 1) % b.keep
	}
}

func (b *backlog) drop(tick time.Time) {
	if b.dropped == 0 {
		b.first = tick
	}
	b.last = tick
	b.dropped++
}

// each calls fn with the held ticks, oldest first.
func (b *backlog) each(fn func(time.Time)) {
	for i := range b.ring {
		fn(b.ring[(b.head+i)%len(b.ring)])
	}
}

// dropAll gives up the held ticks too.
func (b *backlog) dropAll() {
	b.each(b.drop)
	b.ring, b.head = nil, 0
}

// appendTo appends the range of dropped ticks, then the held ones as late.
func (b *backlog) appendTo(ds []jobs.Decision, job *jobs.Job) []jobs.Decision {
	if b.dropped > 0 {
		ds = append(ds, jobs.Decision{
			Job: job, Tick: b.first, Until: b.last, Count: b.dropped,
			Outcome: jobs.OutcomeMissed, Reason: whyDropped(job.CatchUp),
		})
	}
	waits := feedsOneByOne(job)
	b.each(func(tick time.Time) { ds = append(ds, one(job, tick, jobs.OutcomeLate, waits)) })
	return ds
}

// whyDropped is the reason in the ledger of ticks inside the window that do not run.
func whyDropped(c jobs.CatchUp) string {
	switch c.Policy {
	case jobs.CatchUpAll:
		return fmt.Sprintf("max: only the newest %d run late", c.Max)
	case jobs.CatchUpSkip:
		return "policy: catch_up is skip"
	default:
		return "policy: catch_up is latest"
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
