package executor

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"carillon/jobs"
)

// buffer is an output that may be read while it is written.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newActions returns actions that leave nothing behind when the test ends.
func newActions(t *testing.T, grace time.Duration) *Actions {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	a := &Actions{Grace: grace, Logger: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() {
		a.Close()
		goleak.VerifyNone(t, leaks)
	})
	return a
}

// attemptOf is the first attempt of a job with this action.
func attemptOf(action jobs.Action) Attempt {
	return Attempt{
		Claim: jobs.Claim{RunID: "tidy@2026-11-22T02:00:00Z", Job: "tidy", Token: "n1:1", Attempt: 1,
			Trigger: jobs.TriggerSchedule, ScheduledAt: time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)},
		Job:  &jobs.Job{Name: "tidy", Action: action},
		Part: Part{Step: jobs.SoleStep, Action: &action},
		Node: "n1", Boot: "boot-" + time.Now().Format("150405.000000000"), Epoch: 7,
	}
}

func script(text string) Attempt {
	return attemptOf(jobs.Action{Kind: jobs.ActionRun, Script: text})
}

func argv(words ...string) Attempt {
	return attemptOf(jobs.Action{Kind: jobs.ActionCommand, Command: words})
}

// running is an attempt under way.
type running struct {
	out    *buffer
	cancel context.CancelCauseFunc
	report chan Report
}

func contextCause(t *testing.T) (context.Context, context.CancelCauseFunc) {
	return context.WithCancelCause(t.Context())
}

func begin(t *testing.T, a *Actions, at Attempt) *running {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	r := &running{out: &buffer{}, cancel: cancel, report: make(chan Report, 1)}
	go func() { r.report <- a.Run(ctx, &at, r.out) }()
	t.Cleanup(func() { cancel(ErrCanceled) })
	return r
}

// said waits until the output contains the text.
func (r *running) said(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return bytes.Contains([]byte(r.out.String()), []byte(text)) }, 10*time.Second, time.Millisecond, "output so far: %q", r.out.String())
}

// end waits for the report.
func (r *running) end(t *testing.T) Report {
	t.Helper()
	select {
	case report := <-r.report:
		return report
	case <-time.After(20 * time.Second):
		require.FailNow(t, "the attempt does not end")
		return Report{}
	}
}

// alive reports whether a process lives; one that waits to be reaped does not.
func alive(pid int) bool {
	return syscall.Kill(pid, 0) == nil && !zombie(pid)
}

func requireCode(t *testing.T, want int, report Report) {
	t.Helper()
	require.NotNil(t, report.ExitCode, "error: %v", report.Err)
	require.Equal(t, want, *report.ExitCode, "error: %v", report.Err)
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
	require.NoError(t, os.Chmod(path, mode))
}
