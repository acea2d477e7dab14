package executor

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The reasons for which an attempt is cut short. The context of an attempt is
// cancelled with one of them as its cause, and the Report of that attempt wraps
// it, so that errors.Is answers why.
var (
	// ErrTimedOut: the attempt ran longer than its job's timeout, or a step than
	// its own.
	ErrTimedOut = errors.New("timed out")
	// ErrDraining: the node shuts down and the drain time is over.
	ErrDraining = errors.New("the node is shutting down")
	// ErrLeaseLost: another node may take the run, so this attempt must end.
	ErrLeaseLost = errors.New("the lease was lost")
	// ErrCanceled: somebody asked for the run to end.
	ErrCanceled = errors.New("canceled")
)

// errShort: this node has no file, no process or no memory left to start a command with.
// Another one may have, or this one in a moment.
var errShort = errors.New("the node is short of something")

// timedOut is the cause of a context whose time is over: ErrTimedOut, and whose
// timeout it was.
type timedOut struct {
	whose string // "the job", or which step or undo
	after time.Duration
}

func (e *timedOut) Error() string {
	return fmt.Sprintf("%s after %s: raise the timeout of %s, or find out what it waits for", ErrTimedOut, e.after, e.whose)
}

// Is makes it an ErrTimedOut.
func (e *timedOut) Is(target error) bool { return target == ErrTimedOut }

// cutShort is the error of an attempt whose context ended: the cause, in words
// that tell an operator what to do.
func cutShort(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrLeaseLost) {
		return fmt.Errorf("%w: this node could not renew it in time, so the attempt was ended before another node starts the next one", cause)
	}
	return cause
}
