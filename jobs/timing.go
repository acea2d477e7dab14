package jobs

import "time"

// DST is what a job does with the local times that a change of the clocks takes
// away or shows twice. An empty policy is the default of the kind of time: a
// fixed time runs after a gap and once in an overlap; a wildcard time, one whose
// minute or hour field begins with "*", follows the wall clock, which is to skip
// and to fire twice.
type DST struct {
	Gap     DSTGap
	Overlap DSTOverlap
}

// DSTGap says what becomes of a local time that does not exist.
type DSTGap string

// The gap policies of the schedule file.
const (
	DSTRunAfter DSTGap = "run-after" // it fires at the first instant after the gap
	DSTSkip     DSTGap = "skip"      // it does not fire
)

// DSTOverlap says what becomes of a local time that the clock shows twice.
type DSTOverlap string

// The overlap policies of the schedule file.
const (
	DSTOnce  DSTOverlap = "once"  // it fires when the clock shows it first
	DSTTwice DSTOverlap = "twice" // it fires both times
)

// EveryN thins out days: of all weeks (which begin on Monday, as in RFC 5545) or
// of all days, only each N-th counts, beginning with the one that holds the
// job's start. A zero N thins out nothing.
type EveryN struct {
	N    int
	Unit EveryUnit
}

// EveryUnit is what EveryN counts.
type EveryUnit string

// The units of every_n.
const (
	EveryWeeks EveryUnit = "weeks"
	EveryDays  EveryUnit = "days"
)

// Shift says where a tick goes whose day the calendars of the job rule out. The
// time of day stays.
type Shift string

// The shifts of the schedule file. Business days are the days that the job's
// calendars leave.
const (
	ShiftNone     Shift = ""                      // it is dropped
	ShiftNext     Shift = "next-business-day"     // to the next day that is left
	ShiftPrevious Shift = "previous-business-day" // to the last day before that is left
)

// SpecOptions is everything beside the expression that decides when it fires.
// The zero value is the expression alone, in UTC.
type SpecOptions struct {
	Location *time.Location // nil is UTC
	Name     string         // what H is spread by: the job's name; "" refuses H
	DST      DST
	Offset   time.Duration // of "@every": the ticks are that much after its multiples
	Start    time.Time     // no tick before it; zero: no bound
	End      time.Time     // no tick after it; zero: no bound
	EveryN   EveryN        // needs Start
	Only     []*Calendar   // only days that are in one of them
	Exclude  []*Calendar   // no day that is in one of them
	Shift    Shift         // needs Only or Exclude
}
