package executor

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A copy of the test binary with this variable is a node of its own: it runs
// one script, whose text is the value, and can be killed.
const (
	nodeVar  = "EXECUTOR_TEST_NODE"
	leaseVar = "EXECUTOR_TEST_LEASE"
)

func init() {
	if text := os.Getenv(nodeVar); text != "" && os.Getenv(watcherVar) == "" {
		os.Exit(nodeMain(text))
	}
}

func nodeMain(text string) int {
	a := &Actions{Logger: slog.New(slog.DiscardHandler)}
	defer a.Close()
	at := script(text)
	if lease, err := time.ParseDuration(os.Getenv(leaseVar)); err == nil {
		at.Deadline = time.Now().Add(lease)
		go func() {
			for range time.Tick(lease / 4) {
				a.Extend(time.Now().Add(lease), at.Claim.Token)
			}
		}()
	}
	if report := a.Run(context.Background(), &at, os.Stdout); report.Err != nil {
		fmt.Println("report:", report.Err)
	}
	return 0
}

// node is another node, in its own process.
type node struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

func startNode(t *testing.T, text string, env ...string) *node {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	n := &node{cmd: exec.Command(exe)}
	n.cmd.Env = append(os.Environ(), append(env, nodeVar+"="+text)...)
	pipe, err := n.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, n.cmd.Start())
	n.out = bufio.NewScanner(pipe)
	t.Cleanup(func() {
		n.cmd.Process.Kill()
		n.cmd.Wait()
	})
	return n
}

// pids reads lines until every name has been said as name=pid.
func (n *node) pids(t *testing.T, names ...string) []int {
	t.Helper()
	var text strings.Builder
	for {
		missing := false
		for _, name := range names {
			missing = missing || !strings.Contains(text.String(), name+"=")
		}
		if !missing {
			return pids(t, text.String(), names...)
		}
		require.True(t, n.out.Scan(), "the node ended after %q", text.String())
		text.WriteString(n.out.Text() + "\n")
	}
}

// family is a script with a leader that ignores TERM, a child in its group and
// one that left it.
const family = `trap '' TERM HUP INT
sleep 0.1
sleep 300 & echo child=$!
setsid sh -c 'echo stray=$$; exec sleep 300' &
echo leader=$$
while :; do sleep 0.05; done`

func TestCommandsDieWithAKilledNode(t *testing.T) {
	n := startNode(t, family)
	list := n.pids(t, "leader", "child", "stray")
	for _, pid := range list {
		require.True(t, alive(pid))
	}
	require.NoError(t, n.cmd.Process.Kill())
	requireDead(t, time.Second, list...)
}

func TestCommandsOfAStoppedNodeDieAtTheirDeadline(t *testing.T) {
	n := startNode(t, family, leaseVar+"=400ms")
	list := n.pids(t, "leader", "child", "stray")
	beyond := time.After(time.Second)
	<-beyond
	require.True(t, alive(list[0]), "a deadline that is extended does not count")
	require.NoError(t, n.cmd.Process.Signal(syscall.SIGSTOP))
	requireDead(t, 2*time.Second, list[:2]...)
	require.NoError(t, n.cmd.Process.Kill())
	requireDead(t, time.Second, list...)
}

func TestANodeThatWasStoppedKnowsWhatBecameOfItsCommand(t *testing.T) {
	// The command speaks up a moment after its start: a node that is stopped
	// before it could announce the group cannot have it watched.
	n := startNode(t, "sleep 0.3; echo leader=$$; sleep 300", leaseVar+"=1s")
	list := n.pids(t, "leader")
	require.NoError(t, n.cmd.Process.Signal(syscall.SIGSTOP))
	requireDead(t, 5*time.Second, list...)
	require.NoError(t, n.cmd.Process.Signal(syscall.SIGCONT))
	require.True(t, n.out.Scan())
	assert.Contains(t, n.out.Text(), "report: the lease was lost: this node was stopped or too busy to renew it")
}

func TestCommandsMayOutliveANodeThatLeavesInOrder(t *testing.T) {
	n := startNode(t, "echo leader=$$; setsid sh -c 'echo stray=$$; exec sleep 300 >/dev/null 2>&1' & sleep 0.3")
	list := n.pids(t, "leader", "stray")
	for n.out.Scan() {
	}
	require.NoError(t, n.cmd.Wait())
	assert.True(t, alive(list[1]), "a daemon that a job started goes on")
	killGroup(list[1])
}

func TestADeadWatcherIsReplacedAndToldEverything(t *testing.T) {
	a := newActions(t, 0)
	at := script("echo leader=$$; sleep 300")
	r := begin(t, a, at)
	r.said(t, "leader=")
	first := watcherPid(a)
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	require.Eventually(t, func() bool { pid := watcherPid(a); return pid != 0 && pid != first }, 5*time.Second, time.Millisecond)
	assert.True(t, alive(pids(t, r.out.String(), "leader")[0]), "the watcher's death is not the command's")

	// The new one knows the group: it enforces a deadline.
	a.Extend(time.Now().Add(50*time.Millisecond), at.Claim.Token)
	report := r.end(t)
	require.ErrorIs(t, report.Err, ErrLeaseLost)
	requireCode(t, 137, report)
}

func TestAStuckWatcherIsReplaced(t *testing.T) {
	a := newActions(t, 0)
	at := script("echo leader=$$; sleep 300")
	r := begin(t, a, at)
	r.said(t, "leader=")
	first := watcherPid(a)
	require.NoError(t, syscall.Kill(first, syscall.SIGSTOP))
	require.Eventually(t, func() bool {
		for range 1000 {
			a.Extend(time.Now().Add(time.Hour), at.Claim.Token)
		}
		pid := watcherPid(a)
		return pid != 0 && pid != first
	}, 10*time.Second, time.Millisecond)
	assert.True(t, alive(pids(t, r.out.String(), "leader")[0]))
	r.cancel(ErrCanceled)
	require.ErrorIs(t, r.end(t).Err, ErrCanceled)
}

// watcherPid is the id of the watcher process that listens, 0 if none does.
func watcherPid(a *Actions) int {
	a.leashes.mu.Lock()
	defer a.leashes.mu.Unlock()
	w := a.leashes.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.proc == nil {
		return 0
	}
	return w.proc.cmd.Process.Pid
}

func TestTheWatcherIgnoresWhatEndsItsNode(t *testing.T) {
	w, err := newWatcher("boot-of-this-test", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	cmd := w.proc.cmd
	pid := cmd.Process.Pid
	require.Eventually(t, func() bool {
		// It ignores them from its first moment of its own on.
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return string(status) == "carillon-watch\n"
	}, 5*time.Second, time.Millisecond)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		require.NoError(t, syscall.Kill(pid, sig))
	}
	session, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
	require.Zero(t, errno)
	assert.Equal(t, pid, int(session), "it has a session of its own")
	w.Watch(1<<22+1, time.Time{}) // no such group; the process takes it and lives
	assert.True(t, alive(pid))
	w.Close()
	w.Close()
	assert.True(t, cmd.ProcessState.Success(), "it left in order")
}

func TestAWatcherNeedsABoot(t *testing.T) {
	_, err := newWatcher("", nil)
	require.ErrorContains(t, err, "no boot id", "or the copy would be a whole node again")
}

func TestWatcherVariableSetByHand(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), watcherVar+"=x")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "CARILLON_WATCHER is set")
}

func TestWards(t *testing.T) {
	now := time.Now()
	w := wards{groups: map[int]time.Time{}}
	text := appendLease(nil, 100, now.Add(3*time.Second), now)
	text = appendLease(text, 200, time.Time{}, now)
	text = appendLease(text, 300, now.Add(-time.Hour), now)
	text = append(text, "lease 1 50\nlease x\n\nsing 4711\n"...)
	for _, b := range text { // however it is cut
		w.hear([]byte{b}, now)
	}
	assert.Equal(t, map[int]time.Time{100: now.Add(3 * time.Second), 200: {}, 300: now}, w.groups, "neither every process nor nonsense is a group")
	assert.Equal(t, now, w.next())
	assert.Equal(t, []int{300}, w.overdue(now))
	assert.Empty(t, w.overdue(now), "once is enough")
	assert.Equal(t, now.Add(3*time.Second), w.next())

	w.hear(appendLease(nil, 100, now.Add(9*time.Second), now), now)
	assert.Empty(t, w.overdue(now.Add(4*time.Second)), "it was extended")
	w.hear(appendDone(appendDone(nil, 100), 4711), now)
	assert.True(t, w.next().IsZero())
	assert.False(t, w.bye)
	w.hear(appendBye(nil), now)
	assert.True(t, w.bye)
}
