package jobs

import "time"

// Outcome is what became of a tick.
type Outcome string

// The outcomes in the ledger.
const (
	OutcomeRan     Outcome = "ran"     // became a run in time
	OutcomeLate    Outcome = "late"    // became a run more than LateAfter after its time
	OutcomeSkipped Outcome = "skipped" // a rule of the job said no
	OutcomeMissed  Outcome = "missed"  // nobody was there in time, and the catch-up rules said no
)

// LateAfter is how late a tick may be committed and still count as "ran". A
// node wakes at least once a second, so anything beyond is worth a word.
const LateAfter = time.Second

// Decision is what the leader wants to become of one tick, or of a range of
// equal ones. The store may still answer otherwise (Verdict).
type Decision struct {
	Job     *Job
	Tick    time.Time // the first tick
	Until   time.Time // the last tick of the range; equal to Tick for one
	Count   int       // ticks in the range; 0 when they were not enumerated
	Outcome Outcome   // ran and late become a run
	Reason  string    // for skipped and missed
	Wait    bool      // a run in the way defers this tick instead of skipping it
}

// VerdictKind is the store's answer to a Decision.
type VerdictKind string

// The verdicts of commit.
const (
	VerdictRan       VerdictKind = "ran"       // a run was queued
	VerdictRecorded  VerdictKind = "recorded"  // written to the ledger as decided
	VerdictSkipped   VerdictKind = "skipped"   // a run was in the way, or the job is paused
	VerdictQueued    VerdictKind = "waiting"   // it waits for the end of the run in the way (overlap queue, replace)
	VerdictBusy      VerdictKind = "busy"      // a run was in the way and the tick waits (Decision.Wait)
	VerdictDuplicate VerdictKind = "duplicate" // the cursor is already there
	VerdictEarly     VerdictKind = "early"     // later than the store's clock; see Verdict.Wait
)

// Verdict is what commit did with one Decision.
type Verdict struct {
	Kind   VerdictKind
	RunID  string        // of the queued run, or of the run in the way
	Wait   time.Duration // with VerdictEarly: until the tick is due
	Cursor time.Time     // with VerdictDuplicate: where the cursor stands
}

// LedgerEntry is one line of a job's ledger: what became of a tick, or of a
// range of neighbours that met the same fate.
type LedgerEntry struct {
	Tick    time.Time
	Until   time.Time
	Outcome Outcome
	Reason  string
	RunID   string // of the run, or of the run in the way
	Count   int    // 0: older than the window, not enumerated
}

// Span is a stretch of time, from From (included) to To (excluded). A zero To is
// open: it lasts still.
type Span struct{ From, To time.Time }

// Adopted is what a leader learns of its jobs at the beginning of a term.
type Adopted struct {
	Cursors map[string]time.Time // the last decided tick of each job
	Pauses  map[string][]Span    // in the order of time; those that undecided ticks may fall into
}
