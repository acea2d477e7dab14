package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everySecondAll is one job that falls due every second and misses nothing.
const everySecondAll = `
jobs:
  tick: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: MARK}
`

func TestResignedLeaderIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, everySecondAll)
	nodes := map[string]*process{"n1": f.up("n1"), "n2": f.up("n2")} // with the default leader TTL of 5 s
	begin := f.adopted(1)
	first := f.awaitLeader(patience)

	start := time.Now()
	nodes[first].signal(syscall.SIGTERM)
	second := f.awaitLeader(patience, first)
	took := time.Since(start)
	t.Logf("SIGTERM to the next leader's term: %v", took)
	assert.Less(t, took, 1500*time.Millisecond, "promised: 300 ms on a machine that is not busy")
	assert.Zero(t, nodes[first].exit(patience))
	assert.NotEqual(t, first, second)

	f.audit("tick", everySecond(begin, f.settle(patience, "tick"))).balanced(t)
}

func TestKilledLeaderIsReplacedWhenItsLockHasExpired(t *testing.T) {
	t.Parallel()
	f := newFleet(t, everySecondAll)
	nodes := map[string]*process{"n1": f.up("n1", "--lease", "3s"), "n2": f.up("n2", "--lease", "3s")}
	begin := f.adopted(1)
	first := f.awaitLeader(patience)

	start := time.Now()
	nodes[first].kill()
	f.awaitLeader(patience, first)
	took := time.Since(start)
	t.Logf("SIGKILL to the next leader's term: %v (TTL 5s)", took)
	assert.Less(t, took, 8*time.Second, "promised: TTL + 1 s")

	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	a.balanced(t)
	assert.Zero(t, a.missed+a.skipped, "catch_up: all")
	t.Log(accountHead() + "\n" + a.row("killed leader"))
}

func TestStoppedLeaderWritesNothingWhenItGoesOn(t *testing.T) {
	t.Parallel()
	const ttl = 1500 * time.Millisecond
	// Several runs at a time, so that no node can take them all.
	f := newFleet(t, `
defaults: {catch_up: all, overlap: allow}
jobs:
  tick: {schedule: "* * * * * *", run: MARK; sleep 0.1}
  tack: {schedule: "* * * * * *", run: MARK; sleep 0.1}
  tock: {schedule: "* * * * * *", run: MARK; sleep 0.1}
`)
	nodes := map[string]*process{}
	for _, name := range []string{"n1", "n2"} {
		nodes[name] = f.up(name, "--leader-ttl", ttl.String(), "--lease", "10s")
	}
	begin := f.adopted(3)
	first := f.awaitLeader(patience)
	epoch, _ := f.term()

	nodes[first].signal(syscall.SIGSTOP)
	second := f.awaitLeader(patience, first)
	later, token := f.term()
	assert.Greater(t, later, epoch)
	pass(3 * ttl)
	nodes[first].signal(syscall.SIGCONT)
	woken := time.Now()

	// It takes part again: it executes.
	eventually(t, patience, func() bool {
		for _, m := range f.marks() {
			if m.node == first && m.at.After(woken) {
				return true
			}
		}
		return false
	}, "%s executes again", first)
	pass(3 * ttl) // in which it could do harm
	assert.Equal(t, second, f.leader(), "the seat is %s's", second)
	e, tok := f.term()
	assert.Equal(t, later, e, "no term was begun since")
	assert.Equal(t, token, tok)

	// It takes part again: it leads.
	nodes[second].kill()
	assert.Equal(t, first, f.awaitLeader(patience, second))
	var sum account
	end := f.settle(40*time.Second, "tick", "tack", "tock")
	for _, job := range []string{"tick", "tack", "tock"} {
		sum.add(f.audit(job, everySecond(begin, end)))
	}
	t.Log(accountHead() + "\n" + sum.row("stopped leader"))
	sum.balanced(t)
}

func TestNodesWithOneNameRunNothingTwice(t *testing.T) {
	t.Parallel()
	f := newFleet(t, everySecondAll)
	a := f.up("twin", "--leader-ttl", "1500ms", "--lease", "3s")
	begin := f.adopted(1)
	b := f.up("twin", "--leader-ttl", "1500ms", "--lease", "3s")
	eventually(t, patience, func() bool {
		const words = "another live node has this node's name"
		return strings.Contains(a.stderr(), words) || strings.Contains(b.stderr(), words)
	}, "one of the two warns")
	pass(3 * time.Second)
	r := f.call("nodes")
	assert.Zero(t, r.code)

	// One of them dies, whichever it is: the other goes on under the same name.
	a.kill()
	killed := f.now()
	eventually(t, patience, func() bool {
		for _, m := range f.marks() {
			if m.at.After(killed.Add(2 * time.Second)) {
				return true
			}
		}
		return false
	}, "ticks go on")
	got := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + got.row("two with one name"))
	got.balanced(t)
	require.True(t, b.alive())
}

// What a suspended virtual machine looks like to a fleet that lives on it.
func TestWholeFleetStoppedForAWhile(t *testing.T) {
	t.Parallel()
	f := newFleet(t, everySecondAll)
	nodes := []*process{f.up("n1", "--leader-ttl", "1500ms", "--lease", "4s"), f.up("n2", "--leader-ttl", "1500ms", "--lease", "4s")}
	begin := f.adopted(1)
	for _, p := range nodes {
		p.signal(syscall.SIGSTOP)
	}
	pass(6 * time.Second)
	for _, p := range nodes {
		p.signal(syscall.SIGCONT)
	}
	pass(2 * time.Second)
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("stopped fleet"))
	a.balanced(t)
	assert.Zero(t, a.missed+a.skipped)
	assert.GreaterOrEqual(t, a.late, 3)
}

// The leader is killed while it works off what nobody was there to do.
func TestLeaderKilledAmidCatchUp(t *testing.T) {
	t.Parallel()
	const ticks = 240
	f := newFleet(t, `
defaults: {catch_up: {policy: all, max: 10000}, overlap: allow}
jobs:
  a: {schedule: "* * * * * *", run: MARK}
  b: {schedule: "* * * * * *", run: MARK}
  c: {schedule: "* * * * * *", run: MARK}
  d: {schedule: "* * * * * *", run: MARK}
`)
	jobs := []string{"a", "b", "c", "d"}
	f.adoptedByAnother(len(jobs))
	away := f.now().Truncate(time.Second).Add(-ticks * time.Second)
	for _, job := range jobs {
		f.putBack(job, away)
	}
	flags := []string{"--leader-ttl", "1s", "--lease", "3s", "--slots", "4"}
	nodes := map[string]*process{"n1": f.begin("n1", flags...), "n2": f.begin("n2", flags...)}
	decided := func() (n int64) {
		for _, job := range jobs {
			n += f.rdb.LLen(t.Context(), f.key("ledger:"+job)).Val()
		}
		return n
	}
	var kills []int64 // how many ticks were decided when a leader was killed
	for len(kills) < 3 {
		before := decided()
		if before >= ticks*int64(len(jobs)) {
			break
		}
		name := f.awaitLeader(patience)
		for deadline := time.Now().Add(patience); decided() == before && time.Now().Before(deadline); {
			// The whole of it takes some milliseconds: this one does not wait.
		}
		nodes[name].kill()
		kills = append(kills, decided())
		nodes[name] = f.begin(name, flags...)
	}
	var sum account
	end := f.settle(2*time.Minute, jobs...) // a thousand commands, on a machine that has other tests to run
	for _, job := range jobs {
		sum.add(f.audit(job, everySecond(away, end)))
	}
	t.Logf("of %d ticks, when a leader was killed, were decided: %v\n%s\n%s", ticks*len(jobs), kills, accountHead(), sum.row("catch-up"))
	sum.balanced(t)
	assert.Zero(t, sum.missed+sum.skipped)
}

// Retry is expiry: who waits out a back-off does not need the leader that saw it
// fail.
func TestBackOffSurvivesItsLeader(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  flaky:
    retry: {attempts: 3, backoff: 2s, factor: 1}
    run: MARK; test "$CARILLON_ATTEMPT" = 2
`)
	f.up("worker", "--no-lead")
	flags := []string{"--leader-ttl", "1s", "--slots", "1"}
	first := f.up("first", flags...)
	require.Equal(t, "first", f.awaitLeader(patience))
	f.up("second", flags...)
	waiting := f.start("trigger", "trigger", "flaky")
	eventually(t, patience, func() bool { return len(f.marks()) == 1 }, "it begins")
	id := f.marks()[0].run
	r := f.awaitRun(patience, id, "retrying", 1)
	assert.Equal(t, "exit status 1", r.Error)
	first.kill()
	r = f.awaitRun(patience, id, "succeeded", 2)
	assert.Empty(t, r.Error)
	assert.Zero(t, waiting.exit(patience), waiting.stderr())
	assert.Contains(t, waiting.stderr(), "attempt 1 failed: exit status 1; retry in ")
	lines := f.marksOf(id)
	require.Len(t, lines, 2)
	pause := lines[1].at.Sub(lines[0].at)
	t.Logf("a back-off of 2s: %v from start to start", pause)
	assert.Greater(t, pause, 1900*time.Millisecond)
	assert.Less(t, pause, 8*time.Second)
}
