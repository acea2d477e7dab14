package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func funcAttempt() Attempt {
	return attemptOf(jobs.Action{Kind: jobs.ActionFunc, Func: "tidy"})
}

func funcActions(h Handler) *Actions {
	return &Actions{Funcs: map[string]Handler{"tidy": h}, Logger: slog.New(slog.DiscardHandler)}
}

func TestFunc(t *testing.T) {
	broken := errors.New("no rows")
	for name, c := range map[string]struct {
		handler Handler
		is      error
		text    string
		output  string
	}{
		"succeeds": {handler: func(_ context.Context, at Attempt, out io.Writer) error {
			fmt.Fprintf(out, "attempt %d", at.Claim.Attempt)
			return nil
		}, output: "attempt 1"},
		"fails":              {handler: func(context.Context, Attempt, io.Writer) error { return broken }, is: broken, text: "no rows"},
		"panics":             {handler: func(context.Context, Attempt, io.Writer) error { panic("oh") }, text: `func "tidy" panicked: oh: the stack is in the run's output`, output: "func_test.go"},
		"ends its goroutine": {handler: func(context.Context, Attempt, io.Writer) error { runtime.Goexit(); return nil }, text: "return instead"},
		"is not registered":  {text: "this program registers no handler of that name"},
	} {
		t.Run(name, func(t *testing.T) {
			out := &buffer{}
			report := funcActions(c.handler).Run(t.Context(), new(funcAttempt()), out)
			assert.Nil(t, report.ExitCode)
			assert.Contains(t, out.String(), c.output)
			if c.text == "" {
				require.NoError(t, report.Err)
				return
			}
			require.ErrorContains(t, report.Err, c.text)
			if c.is != nil {
				require.ErrorIs(t, report.Err, c.is)
			}
		})
	}
}

func TestFuncTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := funcAttempt()
		at.Part.Timeout = time.Minute
		a := funcActions(func(ctx context.Context, _ Attempt, _ io.Writer) error {
			<-ctx.Done()
			return fmt.Errorf("query: %w", ctx.Err())
		})
		report := a.Run(t.Context(), &at, io.Discard)
		require.ErrorIs(t, report.Err, ErrTimedOut)
		require.ErrorContains(t, report.Err, `func "tidy": timed out after 1m0s`)
	})
}

func TestFuncThatFinishedAfterAllSucceeded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	a := funcActions(func(ctx context.Context, _ Attempt, _ io.Writer) error {
		cancel(ErrDraining)
		<-ctx.Done()
		return nil
	})
	require.NoError(t, a.Run(ctx, new(funcAttempt()), io.Discard).Err)
}

func TestFuncThatIgnoresItsEndIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		a := funcActions(func(context.Context, Attempt, io.Writer) error { <-release; return nil })
		at := funcAttempt()
		at.Part.Timeout = time.Minute
		start := time.Now()
		report := a.Run(t.Context(), &at, io.Discard)
		assert.Equal(t, time.Minute+DefaultGrace, time.Since(start))
		require.ErrorIs(t, report.Err, ErrTimedOut)
		require.ErrorContains(t, report.Err, "still runs: make it watch its context")
		close(release)
	})
}

func TestUnknownAction(t *testing.T) {
	report := (&Actions{}).Run(t.Context(), new(attemptOf(jobs.Action{Kind: "telegram"})), io.Discard)
	require.ErrorContains(t, report.Err, `unknown action "telegram": this node is older than the schedule`)
}
