package leader

import (
	"errors"
	"fmt"
	"time"
)

// Term is one leadership of one node. It is a value: it never changes, and it
// does not know whether it is still in force.
type Term struct {
	Node  string
	Token string    // what the lock holds while the term lasts, and what scripts check; unique
	Epoch int64     // larger than that of every earlier term; for display and logs only
	Since time.Time // on the store's clock
}

// Why a term ended. They are causes of the context that lead runs under.
var (
	// ErrLost: the lock expired or another token took its place.
	ErrLost = errors.New("leader: the seat is lost")
	// ErrTrustExpired: the lock could not be renewed in time, so somebody else
	// may hold it by now.
	ErrTrustExpired = errors.New("leader: no renewal was confirmed in time")
	// ErrClockJumped: the wall clock moved more than 2 s further than the
	// monotonic one. The machine was suspended, or its clock was set.
	ErrClockJumped = errors.New("leader: the clock jumped (the machine was suspended, or its clock was set)")
	// ErrYielded: Config.Yield named another node that should lead instead.
	ErrYielded = errors.New("leader: another node should lead")
	// ErrReturned: lead returned while the term was still in force.
	ErrReturned = errors.New("leader: lead returned")
)

// ErrFenced is what a script's caller returns when the script refused a token
// because the lock does not hold it. Lead should return it: the term is over.
var ErrFenced = errors.New("leader: refused: this term no longer holds the seat")

// maxClockGap is how far the wall clock may run ahead of the monotonic one
// within one trust before both are distrusted. Time synchronisation slews by
// far less, a suspended machine is usually away for longer.
const maxClockGap = 2 * time.Second

// reading is one look at both clocks. They are kept apart because time.Time
// compares only the monotonic one when it has it.
type reading struct {
	mono time.Duration // since the elector was made
	wall time.Time     // without its monotonic part
}

// trust is the belief to hold the lock: since when, and for how long at most.
// It is replaced at each renewal, never changed.
type trust struct {
	from reading       // the start of the attempt that was confirmed
	span time.Duration // see trustSpan
}

// trustSpan is how long after the start of a confirmed attempt a lock with
// this time to live may be relied on.
func trustSpan(ttl time.Duration) time.Duration {
	return ttl - ttl/100 - 5*time.Millisecond
}

// left returns how much longer t holds at now, or why it does not.
func (t trust) left(now reading) (time.Duration, error) {
	mono := now.mono - t.from.mono
	wall := now.wall.Sub(t.from.wall)
	if gap := wall - mono; gap > maxClockGap {
		return 0, fmt.Errorf("%w: by %v", ErrClockJumped, gap.Round(time.Millisecond))
	}
	left := t.span - max(mono, wall)
	if left <= 0 {
		return 0, ErrTrustExpired
	}
	return left, nil
}
