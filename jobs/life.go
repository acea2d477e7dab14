package jobs

import (
	"context"
	"fmt"
	"time"
)

// StoreLife is one life of the store: from its first use, or from the moment when it was
// found to have lost data, to the next such moment.
type StoreLife struct {
	ID     string
	Number int64     // 1 until it lost data
	Since  time.Time // when it began, or its loss was noticed
	Kind   LossKind
	Heard  time.Time // when the node that noticed had last heard of the life before
	Before int64     // the number of the last message that node had seen
	After  int64     // the number of the last message that was left
	Node   string    // who noticed
}

// LossKind says how much was lost at the beginning of a life.
type LossKind string

// The kinds of loss.
const (
	LossNone  LossKind = "first" // nothing: there was no life before
	LossEmpty LossKind = "empty" // everything
	LossBack  LossKind = "back"  // what was written last: the store is an older one
)

// String says what happened.
func (l StoreLife) String() string {
	switch l.Kind {
	case LossEmpty:
		return "it lost everything"
	case LossBack:
		if l.After >= l.Before { // another life counts its own messages
			return "it went back to an older state, one from before an earlier loss or of another Redis"
		}
		return fmt.Sprintf("it went back to an older state: message %d is the last that it knows, %d the last that was seen", l.After, l.Before)
	}
	return "it lost nothing"
}

// Held is what a node knows of one attempt when the store may have forgotten it.
type Held struct {
	RunID, Token string
	Attempt      int
	Undoing      bool
	Failures     int // of the attempts before
	Age          time.Duration
	Steps        []string // those that began, in order
	Rollback     []string // what is to be undone, the next one first
	Failure      string   // with Undoing: why
	FailedAt     string   // with Undoing: at which step

	// Claim and Job are what the run is made of, for a store that does not know it at
	// all. Without them it is not made anew.
	Claim *Claim
	Job   *Job

	// Result is how the attempt ended, if the store had accepted that once. It is
	// written again if the store takes the attempt back.
	Result *Result
}

// HeldAnswer is what the store says of an attempt that a node recalled.
type HeldAnswer string

// The answers to a Held.
const (
	HeldOK    HeldAnswer = "held"  // the token holds the run
	HeldOther HeldAnswer = "other" // the store knows more of the run than the node
	HeldGone  HeldAnswer = "gone"  // it knows nothing of it, and will not
)

// Relive is what a node does when the store has lost data: it tells the store of the runs that
// it knows. The answers of tell are in order; after an error some may have been told.
type Relive = func(ctx context.Context, life StoreLife, tell func(context.Context, []Held) ([]HeldAnswer, error)) error
