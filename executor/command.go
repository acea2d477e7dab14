package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// pipePatience is how long the output of a command that has ended is read
	// on: whoever still holds the pipe then left the group on purpose.
	pipePatience = time.Second
	// killPatience is how long a killed process may take to vanish. One that
	// does not is stuck in the kernel.
	killPatience = 5 * time.Second
	// groupPoll is how often a group that was told to end is looked at.
	groupPoll = 20 * time.Millisecond
)

// runCommand runs a command or a script in a process group of its own. When it
// is over, nothing of the group is left.
func (a *Actions) runCommand(ctx context.Context, at *Attempt, out io.Writer) Report {
	p, refused := prepare(*at, os.Environ())
	if refused != nil {
		return refused.report()
	}
	if err := a.leashes.take(*at, func() (*Watcher, error) { return newWatcher(at.Boot, a.logger()) }); err != nil {
		for _, of := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.ENOMEM} {
			if errors.Is(err, of) {
				err = fmt.Errorf("%w: %w", errShort, err)
				break
			}
		}
		return Report{Err: err}
	}
	g, err := startGroup(p, out)
	if err != nil {
		a.leashes.drop(at.Claim.Token)
		return notStarted(p, err).report()
	}
	a.leashes.started(at.Claim.Token, g.pgid)
	told, gone := g.supervise(ctx, a.grace())
	if !gone {
		go a.bury(g, at.Claim.Token)
		return Report{StillRuns: true, Err: fmt.Errorf("process %d (%s) does not die although it was killed: it is stuck in the kernel, perhaps on a network disk; this node stops waiting for it", g.pgid, p.argv[0])}
	}
	overdue := a.leashes.drop(at.Claim.Token)
	err = g.reap()
	if errors.Is(err, exec.ErrWaitDelay) {
		fmt.Fprintf(out, "\ncarillon: a process that left the command's group still holds its output; what it writes from here on is not kept\n")
		err = nil
	}
	if told {
		if pids := strays(at.Boot, at.Claim.RunID); len(pids) > 0 {
			fmt.Fprintf(out, "\ncarillon: the command was ended, and left processes behind that are not of its group any more: %s; they end with this node\n", joinInts(pids))
		}
	}
	return ended(ctx, *at, g.cmd.ProcessState, err, told, overdue)
}

// bury waits for a process that does not die, and then forgets it in order.
func (a *Actions) bury(g *group, token string) {
	<-g.exit
	a.leashes.drop(token)
	_ = g.reap() // nobody waits for its exit code any more
}

// group is a started command and everything it starts, unless that leaves its
// process group.
type group struct {
	cmd  *exec.Cmd
	pgid int
	exit chan struct{} // closed when the leader has exited; it is unreaped then
}

// startGroup starts p with stdin at /dev/null and both outputs through one
// pipe, so that their order is kept.
func startGroup(p *program, out io.Writer) (*group, error) {
	var h handle
	attr := h.attributes(nil)
	if p.account != nil {
		attr.Credential = p.account.ids
	}
	cmd := &exec.Cmd{Path: p.path, Args: p.argv, Env: p.env, Dir: p.dir, Stdout: out, Stderr: out, SysProcAttr: attr, WaitDelay: pipePatience}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	g := &group{cmd: cmd, pgid: cmd.Process.Pid, exit: make(chan struct{})}
	go func() {
		defer close(g.exit)
		h.awaitExit(g.pgid)
	}()
	return g, nil
}

// supervise returns when the leader has exited and the rest of the group was
// killed. When ctx ends first the group is told to end, and killed after the
// grace. told reports that it was told, gone that the leader has exited.
func (g *group) supervise(ctx context.Context, grace time.Duration) (told, gone bool) {
	select {
	case <-g.exit:
	case <-ctx.Done():
		told = true
		signalGroup(g.pgid, syscall.SIGTERM)
		signalGroup(g.pgid, syscall.SIGCONT) // a stopped process sees no TERM
		g.awaitEmpty(grace)
	}
	killGroup(g.pgid)
	patience := time.NewTimer(killPatience)
	defer patience.Stop()
	select {
	case <-g.exit:
		killGroup(g.pgid) // whoever was forked while the first one struck
		return told, true
	case <-patience.C:
		return told, false
	}
}

// awaitEmpty waits until nothing of the group lives, at most for the grace. The
// leader alone does not count: a shell dies of TERM at once while the program it
// started still cleans up.
func (g *group) awaitEmpty(grace time.Duration) {
	end := time.NewTimer(grace)
	defer end.Stop()
	select {
	case <-g.exit:
	case <-end.C:
		return
	}
	poll := time.NewTicker(groupPoll)
	defer poll.Stop()
	for populated(g.pgid) {
		select {
		case <-poll.C:
		case <-end.C:
			return
		}
	}
}

// reap takes the exit of the leader. From here on its id may be given away.
func (g *group) reap() error { return g.cmd.Wait() }

func joinInts(list []int) string {
	var text []string
	for _, n := range list {
		text = append(text, strconv.Itoa(n))
	}
	return strings.Join(text, ", ")
}
