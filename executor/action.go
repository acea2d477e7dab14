package executor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"carillon/jobs"
)

// DefaultGrace is how long an attempt that was told to end may take to do so.
const DefaultGrace = 10 * time.Second

// Attempt is one try of a part of a run on this node: of its action, of one of its
// steps, or of an undo.
type Attempt struct {
	Claim jobs.Claim
	Job   *jobs.Job
	Part  Part
	Node  string
	Boot  string // of this node; its processes carry it as CARILLON_BOOT
	Epoch int64  // of the current term as this node knows it; 0 when it knows none

	// Deadline is when the attempt's processes must be dead unless
	// Actions.Extend moves it: the watcher kills them then, even while this node
	// is stopped. It is compared on the monotonic clock. Zero is no deadline.
	Deadline time.Time

	secrets *secrets // nil: the job has none
}

// Part is what is executed of a run at a time.
type Part struct {
	Step    string        // name of the step; jobs.SoleStep for a job without steps
	Undo    bool          // the undo of that step, not the step
	Action  *jobs.Action  // of the step, or of its undo
	Timeout time.Duration // of one try of it; 0 is no limit but the job's
}

// Report is what an action says of its end.
type Report struct {
	ExitCode   *int          // of a process; 128+n after signal n; nil when none ran
	Err        error         // nil is success; otherwise for the operator, with what to do
	RetryAfter time.Duration // what an answer asks for before the next try; 0 is nothing
	// StillRuns: what was started could not be ended and may work on, so nothing
	// may be tried again beside it.
	StillRuns bool
}

// Handler is the Go function behind a func action. It should return when ctx
// ends: nothing can stop it otherwise. What it writes to out becomes the output
// of the run. A panic is recovered; its stack goes to the output.
type Handler func(ctx context.Context, at Attempt, out io.Writer) error

// Actions runs attempts: it knows how a command, a script, a request and a Go
// function start and end. The zero value is ready. It must not be copied, and
// Close ends it.
type Actions struct {
	Funcs  map[string]Handler
	Grace  time.Duration // between TERM and KILL; 0 is DefaultGrace
	Logger *slog.Logger  // nil is slog.Default()

	leashes leashes
	client  sync.Once
	http    *http.Client
}

// Run runs one try of a part and returns when it is over. When ctx ends, or the
// timeout of the part passes, it is told to end, and Run returns at most a little
// over the grace later. The error of a try that was cut short wraps the cause of
// ctx, or ErrTimedOut.
//
// An attempt is a large value: copied on the way down it would make the stack of
// its goroutine grow once more.
func (a *Actions) Run(ctx context.Context, at *Attempt, out io.Writer) Report {
	if ctx.Err() != nil {
		return Report{Err: cutShort(ctx)}
	}
	if at.Part.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, at.Part.Timeout, &timedOut{whose: at.Part.name(), after: at.Part.Timeout})
		defer cancel()
	}
	switch at.Part.Action.Kind {
	case jobs.ActionCommand, jobs.ActionRun:
		return a.runCommand(ctx, at, out)
	case jobs.ActionHTTP:
		return a.runHTTP(ctx, at, out)
	case jobs.ActionFunc:
		return a.runFunc(ctx, at, out)
	default:
		return Report{Err: fmt.Errorf("run job %q: unknown action %q: this node is older than the schedule; update carillon", at.Job.Name, at.Part.Action.Kind)}
	}
}

// Extend moves the deadline of the processes of these attempts; tokens are
// those of their claims. Tokens of attempts that have no processes are ignored,
// so the caller may pass all it renewed. It never blocks for long.
func (a *Actions) Extend(deadline time.Time, tokens ...string) {
	a.leashes.extend(deadline, tokens)
}

// Kill ends the processes of these attempts at once, without grace.
func (a *Actions) Kill(tokens ...string) { a.leashes.kill(tokens) }

// Close ends what outlives single attempts. Call it when no Run is under way.
func (a *Actions) Close() { a.leashes.close() }

func (a *Actions) grace() time.Duration {
	if a.Grace > 0 {
		return a.Grace
	}
	return DefaultGrace
}

func (a *Actions) logger() *slog.Logger {
	if a.Logger != nil {
		return a.Logger
	}
	return slog.Default()
}
