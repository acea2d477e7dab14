package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"
)

// runFunc calls the Go handler of a func action. A handler that ignores the end
// of its context for longer than the grace is left behind: it holds no slot
// and its run gets its result, but nothing can stop it.
func (a *Actions) runFunc(ctx context.Context, at *Attempt, out io.Writer) Report {
	name := at.Part.Action.Func
	handler := a.Funcs[name]
	if handler == nil {
		return Report{Err: fmt.Errorf("func %q: this program registers no handler of that name: add it to Options.Funcs, or mend the job's func", name)}
	}
	ended := make(chan error, 1)
	go call(ctx, handler, name, at, out, ended)
	select {
	case err := <-ended:
		return funcReport(ctx, at, err)
	case <-ctx.Done():
	}
	patience := time.NewTimer(a.grace())
	defer patience.Stop()
	select {
	case err := <-ended:
		return funcReport(ctx, at, err)
	case <-patience.C:
		a.logger().Error("a handler ignores the end of its context and was left behind", "func", name, "run", at.Claim.RunID, "attempt", at.Claim.Attempt)
		return Report{StillRuns: true, Err: fmt.Errorf("func %q: %w; the handler did not return within %s after that and still runs: make it watch its context", name, context.Cause(ctx), a.grace())}
	}
}

// call runs the handler and sends exactly one error, also when it panics or
// ends its goroutine.
func call(ctx context.Context, handler Handler, name string, at *Attempt, out io.Writer, ended chan<- error) {
	err := fmt.Errorf("func %q: the handler ended its goroutine (runtime.Goexit): return instead", name)
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(out, "panic: %v\n\n%s", p, debug.Stack())
			err = fmt.Errorf("func %q panicked: %v: the stack is in the run's output", name, p)
		}
		ended <- err
	}()
	err = handler(ctx, *at, out)
}

// funcReport turns "context canceled", which says nothing, into the reason.
func funcReport(ctx context.Context, at *Attempt, err error) Report {
	if err != nil && ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return Report{Err: fmt.Errorf("func %q: %w", at.Part.Action.Func, cutShort(ctx))}
	}
	return Report{Err: err}
}
