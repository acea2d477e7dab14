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
	// ErrTimedOut: the attempt ran longer than its job's timeout.
	ErrTimedOut = errors.New("timed out")
	// ErrDraining: the node shuts down and the drain time is over.
	ErrDraining = errors.New("the node is shutting down")
	// ErrLeaseLost: another node may take the run, so this attempt must end.
	ErrLeaseLost = errors.New("the lease was lost")
	// ErrCanceled: somebody asked for the run to end.
	ErrCanceled = errors.New("canceled")
)

// cutShort is the error of an attempt whose context ended: the cause, in words
// that tell an operator what to do.
func cutShort(ctx context.Context, timeout time.Duration) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, ErrTimedOut) && timeout > 0:
		return fmt.Errorf("%w after %s: raise the job's timeout, or find out what it waits for", cause, timeout)
	case errors.Is(cause, ErrLeaseLost):
		return fmt.Errorf("%w: this node could not renew it in time, so the attempt was ended before another node starts the next one", cause)
	default:
		return cause
	}
}
