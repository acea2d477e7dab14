package e2e

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lasting runs until it is killed the first time, and is done at once the next
// time. One of its children has left for a session of its own.
const lasting = `
jobs:
  work:
    run: |
      MARK
      if [ "$CARILLON_ATTEMPT" -gt 1 ]; then exit 0; fi
      echo $$ >> DIR/pids
      (while :; do echo words; sleep 0.2; done) &
      sh -c 'echo $$ >> DIR/pids; while :; do sleep 0.2; done' &
      setsid sh -c 'echo $$ >> DIR/escaped; while :; do sleep 0.2; done' &
      while :; do sleep 0.2; done
`

// pids are the processes that a job of lasting has told of, grouped those of
// them that stayed in its process group.
func (f *fleet) pids() []int    { return append(f.grouped(), f.pidsIn("escaped")...) }
func (f *fleet) grouped() []int { return f.pidsIn("pids") }

func (f *fleet) pidsIn(file string) (list []int) {
	for _, w := range strings.Fields(read(filepath.Join(f.dir, file))) {
		list = append(list, number(w))
	}
	return list
}

// buryEscaped kills what left its group on purpose: while its node lives that is
// nobody's to kill.
func (f *fleet) buryEscaped() {
	for _, pid := range f.pidsIn("escaped") {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be dead
	}
}

func noneLives(pids []int) func() bool {
	return func() bool {
		for _, pid := range pids {
			if living(pid) {
				return false
			}
		}
		return true
	}
}

// twoNodesWithWork starts two nodes, has the second execute job, and waits until
// the run has begun.
func twoNodesWithWork(t *testing.T, f *fleet, job string, flags ...string) (other, worker *process, id string) {
	t.Helper()
	worker = f.up("worker", flags...)
	id = f.trigger(job)
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 }, "%s begins", id)
	other = f.up("other", flags...)
	return other, worker, id
}

func TestKilledNodeTakesItsCommandsAlong(t *testing.T) {
	t.Parallel()
	f := newFleet(t, lasting)
	_, worker, id := twoNodesWithWork(t, f, "work", "--lease", "3s", "--leader-ttl", "1500ms")
	eventually(t, patience, func() bool { return len(f.pids()) == 3 }, "three processes run")
	pids := f.pids()
	require.False(t, noneLives(pids)())
	pass(1200 * time.Millisecond) // long enough for a renewal: dying now is a crash

	start := time.Now()
	worker.kill()
	eventually(t, patience, noneLives(pids), "the commands of the killed node are dead")
	took := time.Since(start)
	t.Logf("SIGKILL of the node to the death of its commands: %v", took)
	assert.Less(t, took, 2*time.Second, "promised: 1 s")

	r := f.awaitRun(patience, id, "succeeded", 2)
	t.Logf("SIGKILL of the node to the second attempt's end: %v (lease 3s)", time.Since(start))
	assert.Equal(t, 2, r.Attempt)
	assert.Equal(t, "other", r.Node)
	lines := f.marksOf(id)
	require.Len(t, lines, 2)
	assert.Equal(t, []string{"worker", "other"}, []string{lines[0].node, lines[1].node})
}

func TestStoppedNodeLosesItsRunAndItsCommand(t *testing.T) {
	t.Parallel()
	f := newFleet(t, lasting)
	_, worker, id := twoNodesWithWork(t, f, "work", "--lease", "3s", "--leader-ttl", "1500ms")
	eventually(t, patience, func() bool { return len(f.pids()) == 3 }, "three processes run")
	main := f.marksOf(id)[0].pid

	worker.signal(syscall.SIGSTOP)
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 2 }, "%s begins again", id)
	assert.False(t, living(main), "the first attempt is dead before the second begins")
	f.awaitRun(patience, id, "succeeded", 2)
	worker.signal(syscall.SIGCONT)
	worker.says(patience, "no longer leading") // it is awake
	pass(time.Second)
	r := f.run(id)
	assert.Equal(t, "succeeded", r.Status, "the late end of the first attempt changes nothing")
	assert.Equal(t, "other", r.Node)
	assert.Len(t, f.marksOf(id), 2)
	f.buryEscaped()
}

func TestTermLetsAShortCommandFinish(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  short: {run: MARK; sleep 2; echo done}
`)
	_, worker, id := twoNodesWithWork(t, f, "short")
	start := time.Now()
	assert.Zero(t, worker.term(patience), worker.stderr())
	t.Logf("a node with a command of 2 s drained in %v", time.Since(start))
	r := f.run(id)
	assert.Equal(t, "succeeded", r.Status)
	assert.Equal(t, 1, r.Attempt)
	assert.Len(t, f.marksOf(id), 1)
	assert.Equal(t, "done\n", f.call("logs", id).out)
}

func TestTermHandsBackALongCommandAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, lasting)
	_, worker, id := twoNodesWithWork(t, f, "work", "--drain", "500ms") // and the default lease of 30 s
	start := time.Now()
	worker.signal(syscall.SIGTERM)
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 2 }, "%s begins elsewhere", id)
	took := time.Since(start)
	t.Logf("SIGTERM to the next attempt, with a drain time of 500ms: %v", took)
	assert.Less(t, took, 8*time.Second, "handed back, not left to the lease of 30 s")
	assert.Zero(t, worker.exit(patience), worker.stderr())
	r := f.awaitRun(patience, id, "succeeded", 2)
	assert.Equal(t, "other", r.Node)
	assert.Equal(t, 2, r.Attempt)
	assert.True(t, noneLives(f.grouped())(), "the first attempt is dead")
	f.buryEscaped()
}

func TestTermWhileNothingRunsIsQuick(t *testing.T) {
	t.Parallel()
	f := newFleet(t, lasting)
	p := f.up("idle")
	start := time.Now()
	assert.Zero(t, p.term(patience))
	took := time.Since(start)
	t.Logf("SIGTERM to the end of an idle node: %v", took)
	assert.Less(t, took, 3*time.Second)
	assert.Empty(t, f.leader(), "it left the seat")
}

func TestSecondSignalEndsADrainAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, lasting)
	_, worker, id := twoNodesWithWork(t, f, "work", "--lease", "3s")
	eventually(t, patience, func() bool { return len(f.pids()) == 3 }, "three processes run")
	worker.signal(syscall.SIGTERM)
	worker.says(patience, "draining")
	worker.signal(syscall.SIGTERM)
	assert.NotZero(t, worker.exit(patience))
	eventually(t, 5*time.Second, noneLives(f.pids()), "its commands die with it")
	f.awaitRun(patience, id, "succeeded", 2)
}

// A command that kills its node is started again elsewhere, but not until there
// is no node left: whether it strikes after a while or before its lease was ever
// renewed.
func TestCommandThatKillsItsNodeIsQuarantined(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		starts int
	}{
		"after a while": {"MARK; sleep 1.4; kill -9 $PPID; sleep 9", 3},
		"at once":       {"MARK; kill -9 $PPID; sleep 9", 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, "jobs:\n  poison: {run: "+c.script+"}\n")
			flags := []string{"--lease", "2s", "--leader-ttl", "1s", "--slots", "1"}
			f.up("node-0", flags...)
			f.up("node-1", flags...)
			id := f.trigger("poison")
			failed := func() bool {
				return f.rdb.HGet(t.Context(), f.key("run:"+id), "status").Val() == "failed"
			}
			for n := 1; n <= 2*c.starts && !failed(); n++ {
				eventually(t, patience, func() bool { return len(f.marksOf(id)) >= n || failed() }, "start %d", n)
				f.up("node-"+itoa(n+1), flags...)
			}
			r := f.awaitRun(patience, id, "failed", c.starts)
			starts := len(f.marksOf(id))
			t.Logf("after %d starts: %s", starts, r.Error)
			assert.Contains(t, r.Error, "nodes: quarantined")
			// A machine that stands still may cost a start in which no node died.
			assert.InDelta(t, c.starts, starts, 2)
			pass(time.Second)
			assert.Len(t, f.marksOf(id), starts)
			assert.NotEmpty(t, f.awaitLeader(patience), "the fleet lives")
		})
	}
}
