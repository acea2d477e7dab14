package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These are faults of docs/faults.md that strike a node's host, or come out of a job.
// The number in a name is the number there.

// memoryLimit makes a control group that may use so many bytes and returns how to put a
// process into it; ok is false where this test may not.
func memoryLimit(t *testing.T, bytes int) (join func(pid int), ok bool) {
	t.Helper()
	for _, kind := range []struct{ root, limit string }{
		{"/sys/fs/cgroup", "memory.max"}, {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
	} {
		dir := filepath.Join(kind.root, fmt.Sprintf("carillon-test-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		if !exists(filepath.Join(dir, kind.limit)) { // a folder like any other
			_ = os.Remove(dir)
			continue
		}
		t.Cleanup(func() { // when its processes are gone
			eventually(t, patience, func() bool { return os.Remove(dir) == nil || !exists(dir) }, "%s is empty", dir)
		})
		if os.WriteFile(filepath.Join(dir, kind.limit), []byte(itoa(bytes)), 0o600) != nil {
			continue
		}
		_ = os.WriteFile(filepath.Join(dir, "memory.swap.max"), []byte("0"), 0o600) // where there is swap
		return func(pid int) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(itoa(pid)), 0o600))
		}, true
	}
	return nil, false
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// The kernel kills a node because memory is short. Where no control group can be made the
// test sends the signal that the kernel would.
func TestFault10NodeKilledForItsMemory(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  tick: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: MARK}
  greedy:
    run: |
      MARK
      if [ "$CARILLON_ATTEMPT" -gt 1 ]; then exit 0; fi
      echo $$ >> DIR/pids
      while ! [ -e DIR/go ]; do sleep 0.1; done
      ulimit -v 2000000
      tail /dev/zero
`)
	join, limited := memoryLimit(t, 256<<20)
	other, worker, id := twoNodesWithWork(t, f, "greedy", "--lease", "3s", "--leader-ttl", "1500ms")
	begin := f.adopted(1)
	pass(1200 * time.Millisecond) // long enough for a renewal: dying now is a crash
	if limited {
		join(f.pids()[0])
		join(worker.pid())
		// Of the two, the kernel takes the node.
		require.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", worker.pid()), []byte("1000"), 0o600))
		t.Log("by memory")
	} else {
		worker.signal(syscall.SIGKILL)
		t.Log("by hand")
	}
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "go"), nil, 0o600))
	worker.struck(patience)
	died := time.Now()
	eventually(t, patience, noneLives(f.pids()), "its command is dead")
	r := f.awaitRun(patience, id, "succeeded", 2)
	t.Logf("the next attempt ended %v after the death of the node (lease 3 s)", time.Since(died).Round(time.Millisecond))
	assert.Equal(t, 2, r.Attempt)
	assert.Equal(t, "other", r.Node)
	require.True(t, other.alive())
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("out of memory"))
	a.balanced(t)
	assert.Zero(t, a.missed+a.skipped)
	// The runs of the dead node wait for their lease; the other's are on time.
	for _, m := range f.marks() {
		if m.node == "other" && m.attempt == 1 && m.job() == "tick" && m.at.After(died.Add(4*time.Second)) {
			tick, err := time.Parse(time.RFC3339, strings.TrimPrefix(m.run, "tick@"))
			require.NoError(t, err)
			assert.Less(t, m.at.Sub(tick), 4*time.Second, "promised: 1 s on a machine that is not busy")
		}
	}
}

// A job at the end of its time leaves something behind that has left its group: it
// outlives the run, is said, and dies with the node.
func TestFault38JobLeavesItsGroup(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  stubborn:
    timeout: 500ms
    run: |
      trap '' TERM
      echo $$ >> DIR/pids
      sh -c 'trap "" TERM; echo $$ >> DIR/pids; while :; do sleep 0.2; done' &
      setsid sh -c 'trap "" TERM HUP; echo $$ >> DIR/escaped; while :; do sleep 0.2; done' &
      while :; do sleep 0.2; done
`)
	p := f.up("n1")
	id := f.trigger("stubborn")
	r := f.awaitRun(40*time.Second, id, "failed", 1)
	assert.Contains(t, r.Error, "timed out after 500ms")
	require.Len(t, f.grouped(), 2)
	eventually(t, 5*time.Second, noneLives(f.grouped()), "nothing of the group lives, although it does not heed TERM")
	escaped := f.pidsIn("escaped")
	require.Len(t, escaped, 1)
	assert.True(t, living(escaped[0]), "what left the group is not the group's")
	// What the escaped one starts is left behind too, and a process number that has
	// begun anew can put it first.
	said := regexp.MustCompile(`left processes behind that are not of its group any more: ([\d, ]+); they end with this node`).FindStringSubmatch(f.call("logs", id).out)
	require.Len(t, said, 2, "the log of the run says what is left")
	assert.Contains(t, strings.Split(said[1], ", "), itoa(escaped[0]))
	p.kill()
	eventually(t, patience, noneLives(escaped), "it dies with its node, found by its environment")
}

// A job writes without end: no line ends, no text, and what takes over a terminal.
func TestFault39OutputBomb(t *testing.T) {
	t.Parallel()
	size := atLength(32<<20, 1<<30)
	f, _ := ownFleet(t, fmt.Sprintf(`
jobs:
  noise: {run: 'printf "\033[2J\033]0;owned\007\rbegin"; head -c %d /dev/urandom; printf "\033[8mend"'}
  ansi: {run: 'yes "$(printf "\033[31;1m\033[2J\007\b")" | tr -d "\n" | head -c %d'}
  tick: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: MARK}
`, size, size))
	p := f.up("n1", "--slots", "4")
	begin := f.adopted(1)
	idle := resident(p)
	var most atomic.Int64
	stop := repeat(t, 10*time.Millisecond, func() { most.Store(max(most.Load(), int64(resident(p)))) })
	start := time.Now()
	ids := []string{f.trigger("noise"), f.trigger("ansi")}
	for _, id := range ids {
		r := f.awaitRun(10*time.Minute, id, "succeeded", 1)
		assert.Empty(t, r.Error)
	}
	took := time.Since(start)
	stop()
	t.Logf("twice %d MiB of output in %v; resident: idle %d KiB, at most %d KiB", size>>20, took.Round(time.Millisecond), idle, most.Load())
	assert.Less(t, int(most.Load())-idle, 48<<10, "KiB more than idle, for two")
	for _, id := range ids {
		out := f.call("logs", id)
		assert.Less(t, len(out.out), 300<<10)
		assert.Contains(t, out.out+out.err, "bytes dropped")
		held, err := f.rdb.MemoryUsage(t.Context(), f.key("log:"+id), 0).Result()
		require.NoError(t, err)
		assert.Less(t, int(held), 600<<10)
		assert.NotContains(t, p.stderr(), "\x1b", "the node's own log is no terminal of a job's")
		r := f.call("run", id)
		assert.NotContains(t, r.out, "\x1b")
	}
	f.audit("tick", everySecond(begin, f.settle(patience, "tick"))).balanced(t)
}

// A job that forks without end, under the limit of its user: it fails, and the node goes
// on telling that it lives.
func TestFault40ForkBomb(t *testing.T) {
	t.Parallel()
	user := "user: nobody"
	if os.Geteuid() != 0 {
		user = `description: "of the node's own user"`
	}
	f := newFleet(t, `
jobs:
  bomb:
    `+user+`
    timeout: 2s
    run: |
      ulimit -u $(($(ps -o pid= -u "$(id -u)" 2>/dev/null | wc -l) + 60)) 2>/dev/null || ulimit -p 60
      fork() { fork | fork & }
      fork
      while :; do sleep 1; done
  tick: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: MARK}
`)
	p := f.up("n1")
	begin := f.adopted(1)
	var silent atomic.Int64
	key := f.key("node:n1")
	stop := repeat(t, 100*time.Millisecond, func() {
		seen, err := f.rdb.HGet(t.Context(), key, "seen_at").Int64()
		now, err2 := f.rdb.Time(t.Context()).Result()
		if err == nil && err2 == nil {
			silent.Store(max(silent.Load(), now.UnixMilli()-seen))
		}
	})
	id := f.trigger("bomb")
	r := f.awaitRun(2*patience, id, "failed", 1)
	t.Logf("the bomb ended: %s; no heartbeat for at most %d ms", r.Error, silent.Load())
	stop()
	assert.Contains(t, strings.ToLower(f.call("logs", id).out), "fork", "it met its limit")
	assert.Less(t, silent.Load(), int64(6000), "live is who was heard within 6 s")
	require.True(t, p.alive())
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("fork bomb"))
	a.balanced(t)
	assert.Equal(t, a.ticks, a.ran+a.late)
}

// A node may open 64 files, and has more to do than that is good for. What it cannot start
// is not a failure of the run: it goes back, and others take it.
func TestFault50NoMoreFiles(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  many: {schedule: "* * * * * *", catch_up: {policy: all, max: 1000}, overlap: allow, run: MARK; sleep 1}
`)
	f.adoptedByAnother(1)
	away := f.now().Truncate(time.Second).Add(-40 * time.Second)
	f.putBack("many", away)
	args := append([]string{"-c", `ulimit -n 64 && exec "$0" "$@"`, binary, "up", "--node", "poor", "--log", "json", "--slots", "60", "--lease", "4s", "--leader-ttl", "1500ms"}, f.flags()...)
	p := launchProgram(t, f.dir, "poor", nil, "/bin/sh", args...)
	p.says(patience, `"msg":"up"`)
	p.says(patience, "too many open files: raise the limit")
	require.True(t, p.alive())
	f.up("rich", "--lease", "4s", "--leader-ttl", "1500ms")
	a := f.audit("many", everySecond(away, f.settle(2*patience, "many")))
	t.Log(accountHead() + "\n" + a.row("64 files"))
	a.balanced(t)
	assert.Zero(t, a.missed+a.skipped)
	var runs []run
	f.query(&runs, "runs", "--job", "many", "--limit", "1000")
	for _, r := range runs {
		assert.NotEqual(t, "failed", r.Status, "%s: %s", r.ID, r.Error)
	}
	for message, n := range p.messages("too many open files") {
		if message != "released" { // one a run
			assert.Less(t, n, 10, "once in 5 s: %s", message)
		}
	}
}

// The disk under the jobs of a node is full. The node needs none; a job that does fails
// with what it says, and is tried again where there is room.
func TestFault51WorkersDiskIsFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "1m")
	fill(t, filepath.Join(disk, "ballast"))
	f := newFleet(t, `
jobs:
  frugal: {dir: DISK, run: MARK}
  writer:
    dir: DISK
    retry: {attempts: 50, backoff: 1s, factor: 1}
    run: 'MARK; [ "$CARILLON_NODE" = roomy ] || head -c 100000 /dev/zero > result'
`)
	f.write(strings.ReplaceAll(read(f.file), "DISK", disk))
	p := f.beginProgram(binary, []string{"TMPDIR=" + disk, "HOME=" + disk}, "full", "--lease", "4s", "--leader-ttl", "1500ms")
	p.says(patience, `"msg":"up"`)
	f.awaitRun(patience, f.trigger("frugal"), "succeeded", 1)

	id := f.trigger("writer")
	f.awaitRun(patience, id, "retrying", 1)
	assert.Contains(t, f.call("logs", id).out, "No space left on device", "the command says why")
	p.signal(syscall.SIGSTOP) // the full node stands still; its place is taken
	f.up("roomy", "--lease", "4s", "--leader-ttl", "1500ms")
	r := f.awaitRun(2*patience, id, "succeeded", 2)
	assert.Equal(t, "roomy", r.Node)
	p.signal(syscall.SIGCONT)
	require.True(t, p.alive())
}
