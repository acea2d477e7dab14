package jobs

import "time"

// ExchangeRequest is what a node says to the store in one round trip: ends of
// attempts, and how many runs it can take. The same request may be sent again
// after an error; it is answered as the first one was.
type ExchangeRequest struct {
	Lane    int      // which of the node's lanes asks; a lane has one request under way
	ClaimID string   // names the claim; a new one for each new claim of the lane
	Results []Result // at most MaxBatch
	Want    int      // free slots; 0 claims nothing
}

// MaxBatch is how many runs one call of a script carries at most where latency
// matters: a larger call blocks Redis for several milliseconds.
const MaxBatch = 128

// FinishAnswer is what became of one Result.
type FinishAnswer string

// The answers to a Result.
const (
	FinishOK         FinishAnswer = "ok"
	FinishSuperseded FinishAnswer = "superseded" // another attempt holds the run; this result changes nothing
	FinishUnknown    FinishAnswer = "unknown"    // the store has no such run (it lost its data)
)

// ExchangeReply is the answer to an ExchangeRequest.
type ExchangeReply struct {
	Answers []FinishAnswer // one for each result, in order
	Claims  []Claim
	More    bool // runs were left waiting
}

// LeaseRef names one attempt.
type LeaseRef struct {
	RunID string
	Token string
}

// RenewAnswer is what became of one lease.
type RenewAnswer string

// The answers to a renewal.
const (
	RenewOK   RenewAnswer = "ok"
	RenewLost RenewAnswer = "lost" // another attempt holds the run, or it ended
	// RenewCanceled: renewed, and somebody called the run off.
	RenewCanceled RenewAnswer = "canceled"
)

// ReleaseKind says how far a run that is given back had come.
type ReleaseKind string

// The kinds of release.
const (
	ReleaseUnstarted ReleaseKind = "unstarted" // keeps its attempt number
	ReleaseStarted   ReleaseKind = "started"   // was killed by a drain
	ReleasePark      ReleaseKind = "park"      // this node lacks its definition
)

// Release gives one run back.
type Release struct {
	RunID  string
	Token  string
	Kind   ReleaseKind
	Reason string
}

// StepRecord says that a step is about to start. The store keeps its undo on the
// run's rollback list from then on.
type StepRecord struct {
	RunID string
	Token string
	Index int
	Name  string
	Undo  bool // the step has one
}

// CancelAnswer is what became of a cancel.
type CancelAnswer string

// The answers to a cancel.
const (
	CancelDone     CancelAnswer = "canceled"     // it had not started, or waited: it is over
	CancelRollback CancelAnswer = "rolling_back" // it waited with something to undo, which begins now
	CancelAsked    CancelAnswer = "asked"        // its node was told; it ends soon
	CancelFinal    CancelAnswer = "final"        // it had ended already
	CancelUndoing  CancelAnswer = "undoing"      // it is being undone already
	CancelUnknown  CancelAnswer = "unknown"      // no such run
)

// Pause is a job's pause.
type Pause struct {
	Job   string
	Since time.Time
	By    string // user@host
	Note  string
}
