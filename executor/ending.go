package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"carillon/jobs"
)

// ended is the report of a command that has exited. told says that it was told
// to end, overdue that its deadline had passed.
func ended(ctx context.Context, at Attempt, state *os.ProcessState, err error, told, overdue bool) Report {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Report{Err: fmt.Errorf("wait for the command: %w", err)}
	}
	status := state.Sys().(syscall.WaitStatus)
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	report := Report{ExitCode: &code}
	switch {
	case told:
		report.Err = cutShort(ctx)
	case status.Signaled() && status.Signal() == syscall.SIGKILL && overdue:
		report.Err = fmt.Errorf("%w: this node was stopped or too busy to renew it, so its watcher killed the command before another node starts the next attempt", ErrLeaseLost)
	case status.Signaled():
		report.Err = fmt.Errorf("killed by signal %s%s", signalName(status.Signal()), signalHint(status))
	case code != 0:
		report.Err = fmt.Errorf("exit status %d%s", code, exitHint(at.Part.Action.Kind, code))
	}
	return report
}

// signalHint says who usually sends such a signal.
func signalHint(status syscall.WaitStatus) string {
	switch status.Signal() {
	case syscall.SIGKILL:
		return ", not by carillon (out of memory? see dmesg on the node)"
	case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGABRT, syscall.SIGILL, syscall.SIGFPE:
		return ": the program crashed"
	case syscall.SIGXCPU, syscall.SIGXFSZ:
		return ": it exceeded a limit of its process (ulimit)"
	case syscall.SIGPIPE:
		return ": it wrote to a pipe that nobody reads any more"
	default:
		return ", not by carillon"
	}
}

// exitHint explains the codes that a shell gives for what happened inside it.
func exitHint(kind jobs.ActionKind, code int) string {
	switch {
	case kind != jobs.ActionRun:
		return ""
	case code == exitNotFound:
		return ": the shell did not find a command; jobs see the PATH of the node, or the one in their env"
	case code == exitNotExecutable:
		return ": the shell could not execute a file: chmod +x it"
	case code > 128 && code <= 128+64:
		return fmt.Sprintf(": a command in the script was killed by signal %s", signalName(syscall.Signal(code-128)))
	}
	return ""
}

var signalNames = map[syscall.Signal]string{
	syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGILL: "SIGILL",
	syscall.SIGTRAP: "SIGTRAP", syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE",
	syscall.SIGKILL: "SIGKILL", syscall.SIGUSR1: "SIGUSR1", syscall.SIGSEGV: "SIGSEGV", syscall.SIGUSR2: "SIGUSR2",
	syscall.SIGPIPE: "SIGPIPE", syscall.SIGALRM: "SIGALRM", syscall.SIGTERM: "SIGTERM", syscall.SIGXCPU: "SIGXCPU",
	syscall.SIGXFSZ: "SIGXFSZ", syscall.SIGSYS: "SIGSYS",
}

func signalName(sig syscall.Signal) string {
	if name, ok := signalNames[sig]; ok {
		return name
	}
	return fmt.Sprintf("%d (%s)", int(sig), strings.TrimSpace(sig.String()))
}
