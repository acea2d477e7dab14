package jobs

import "time"

// Sight is what one look of a follower shows of the leader's work.
type Sight struct {
	At    time.Time // the store's clock
	Token string    // what holds the seat; "" when it is vacant
	Node  string    // whose term it is; "" when none has begun under Token
	Since time.Time // when it began
	// Moved is when the term last got on: it began, gave jobs their cursors, or
	// decided ticks. Zero when the leader's version of carillon does not say so.
	Moved time.Time

	Digest, Zoneinfo string // of the leader's schedule, by its heartbeat; "" when that is not known
	Revision         int64

	Cursors []CursorSight // of the jobs that were asked about, in that order
}

// CursorSight is how far the ticks of one job are decided.
type CursorSight struct {
	Decided    time.Time // the last decided tick; zero when the job has no cursor
	Timing     string    // by which definition of its timing
	Gone       bool      // the schedule of the leader who wrote it does not have the job
	Unfinished bool      // a run of the job is unfinished
}

// Accusation is a follower's vote that the leader is silent.
type Accusation struct {
	Token string    // the leader's
	Since time.Time // when it was first found so, on the store's clock
	Why   string
}

// AccusationReply is what became of a vote.
type AccusationReply struct {
	Answer AccusationAnswer
	Votes  int       // followers that find the leader silent,
	Voters int       // of so many that have its schedule
	At     time.Time // of respite: until when; of deposed: when
}

// AccusationAnswer names what became of a vote.
type AccusationAnswer string

// The answers to a vote.
const (
	AccusedGone    AccusationAnswer = "gone"    // another holds the seat by now, or nobody
	AccusedUnheard AccusationAnswer = "unheard" // the voter itself is not heard
	AccusedNoted   AccusationAnswer = "noted"   // there is no majority
	AccusedNobody  AccusationAnswer = "nobody"  // there is, and no other node would lead
	AccusedRespite AccusationAnswer = "respite" // there is, and the leader before was deposed in vain
	AccusedDeposed AccusationAnswer = "deposed" // the seat is vacant
)
