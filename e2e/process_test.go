package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/proctest"
)

// process is one started carillon.
type process struct {
	*proctest.Process
	t    testing.TB
	name string
	cmd  *exec.Cmd
}

// launch starts the binary. It is killed at the end of the test, and when the
// test binary itself is killed.
func launch(t testing.TB, dir, name string, env []string, args ...string) *process {
	t.Helper()
	return launchProgram(t, dir, name, env, binary, args...)
}

func launchProgram(t testing.TB, dir, name string, env []string, program string, args ...string) *process {
	t.Helper()
	started, err := proctest.Start(dir, name, env, program, args...)
	require.NoError(t, err)
	p := &process{Process: started, t: t, name: name, cmd: started.Cmd}
	t.Cleanup(func() {
		p.kill()
		sound(t, name, p.stderr())
		if t.Failed() {
			t.Logf("---- %s wrote to stderr ----\n%s", name, tail(p.stderr(), 6000))
		}
	})
	return p
}

func (p *process) pid() int { return p.Pid() }

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(sig), "%v to %s", sig, p.name)
}

// kill ends the process as a power cut would, and waits until it is gone.
func (p *process) kill() { p.Kill() }

// term asks the process to end and returns its exit code.
func (p *process) term(within time.Duration) int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.exit(within)
}

// exit waits for the end of the process.
func (p *process) exit(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.Done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		require.FailNow(p.t, "still alive", "%s did not end within %v:\n%s", p.name, within, tail(p.stderr(), 3000))
		return -1
	}
}

func (p *process) alive() bool { return p.Alive() }

func (p *process) stdout() string { return p.Stdout() }
func (p *process) stderr() string { return p.Stderr() }

// sound fails the test when a process has crashed, or when the race detector in
// it has found something.
func sound(t testing.TB, name, stderr string) {
	t.Helper()
	if words := proctest.Unsound(stderr); words != "" {
		assert.Fail(t, name+" is not sound", "%s", words)
	}
}

// says waits until the process has written every one of words to stderr.
func (p *process) says(within time.Duration, words ...string) {
	p.t.Helper()
	eventually(p.t, within, func() bool {
		text := p.stderr()
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	}, "%s says %q", p.name, words)
}

// result is what a command that ended left behind.
type result struct {
	code     int
	out, err string
	took     time.Duration
}

// command runs the binary to its end, within half a minute.
func command(t testing.TB, dir string, env []string, args ...string) result {
	t.Helper()
	return execute(t, dir, env, binary, args...)
}

func execute(t testing.TB, dir string, env []string, program string, args ...string) result {
	t.Helper()
	proctest.LookAtSources()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(proctest.Environment(), env...), &out, &errs
	cmd.WaitDelay = time.Second
	start := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err, "%s %v", program, args)
	}
	sound(t, fmt.Sprint(args), errs.String())
	return result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errs.String(), took: time.Since(start)}
}

// eventually waits for a condition. The limit is there for a test that fails.
func eventually(t testing.TB, within time.Duration, condition func() bool, format string, args ...any) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !condition() {
		if time.Now().After(deadline) {
			require.FailNow(t, "waited in vain", "for %v: %s", within, fmt.Sprintf(format, args...))
		}
		<-time.After(5 * time.Millisecond)
	}
}

// pass lets time go by: that nothing happens in it is what a test is about.
func pass(d time.Duration) { <-time.After(d) }

// repeat calls f again and again in the background, until the test calls stop
// or ends.
func repeat(t testing.TB, every time.Duration, f func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				f()
			}
		}
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

// living reports whether a process runs; a zombie does not.
func living(pid int) bool { return proctest.Living(pid) }

func read(path string) string {
	b, _ := os.ReadFile(path) // what is not there yet is empty
	return string(b)
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// shell runs a script with arguments, within half a minute.
func shell(t testing.TB, dir, script string, args ...string) result {
	t.Helper()
	return execute(t, dir, nil, "/bin/sh", append([]string{"-c", script}, args...)...)
}
