package e2e

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/failpoint"
)

// threeSteps are jobs whose steps and undos leave a line each in DIR/trail: one
// that succeeds, one whose last step fails, one that hangs in the middle while the
// node that dies has it, and two of one action.
const threeSteps = `
jobs:
  good:
    steps:
      - {name: one, run: 'echo one >> DIR/trail', undo: {run: 'echo -one >> DIR/trail'}}
      - {name: two, run: 'echo two >> DIR/trail', undo: {run: 'echo -two >> DIR/trail'}}
      - {name: three, run: 'echo three >> DIR/trail', undo: {run: 'echo -three >> DIR/trail'}}
  bad:
    steps:
      - {name: one, run: 'echo one >> DIR/trail', undo: {run: 'echo -one >> DIR/trail'}}
      - {name: two, run: 'echo two >> DIR/trail', undo: {run: 'echo -two >> DIR/trail'}}
      - {name: three, run: 'echo three >> DIR/trail; exit 3', undo: {run: 'echo -three >> DIR/trail'}}
  hanging:
    steps:
      - {name: one, run: 'echo one >> DIR/trail', undo: {run: 'echo -one >> DIR/trail'}}
      - name: two
        run: |
          echo two >> DIR/trail
          if [ "$CARILLON_NODE" = doomed ]; then exec sleep 60; fi
        undo: {run: 'echo -two >> DIR/trail'}
      - {name: three, run: 'echo three >> DIR/trail', undo: {run: 'echo -three >> DIR/trail'}}
  sole: {run: 'echo sole >> DIR/trail'}
  undoable: {run: 'echo done >> DIR/trail; exit 3', undo: {run: 'echo -done >> DIR/trail'}}
`

// death is a line at which a node is killed, and what the user sees of that.
type death struct {
	job     string
	at      failpoint.Point
	visit   int
	trail   string // what the steps and undos of both nodes did, in order
	status  string
	attempt int
}

// trails are what may be seen. With its result sent and its slot free, a node may have
// taken the run back for undoing by the time it dies, and the first undo is then begun twice.
func (d death) trails() []string {
	trails := []string{d.trail}
	if d.at == failpoint.ResultSent && d.status == "rolled_back" {
		steps, undos, _ := strings.Cut(d.trail, " -")
		first, _, _ := strings.Cut(undos, " ")
		trails = append(trails, steps+" -"+first+" -"+undos)
	}
	return trails
}

// deaths are the lines at which a node is killed while it has a run, and what the
// user sees of that. A step may run again only when no later one was recorded; an
// undo only when its node died between its end and the record of it.
var deaths = []death{
	{"good", failpoint.Claimed, 1, "one two three", "succeeded", 2},
	{"good", failpoint.BeforeStep, 1, "one two three", "succeeded", 2},
	{"good", failpoint.BeforeStep, 3, "one two two three", "succeeded", 2}, // two is not known to have ended
	{"good", failpoint.StepRecorded, 2, "one two three", "succeeded", 2},
	{"good", failpoint.StepDone, 2, "one two two three", "succeeded", 2},
	{"good", failpoint.BeforeResult, 1, "one two three three", "succeeded", 2},
	{"good", failpoint.ResultSent, 1, "one two three", "succeeded", 1},

	{"bad", failpoint.Claimed, 1, "one two three -three -two -one", "rolled_back", 2},
	{"bad", failpoint.StepRecorded, 3, "one two three -three -two -one", "rolled_back", 2},
	{"bad", failpoint.StepDone, 3, "one two three three -three -two -one", "rolled_back", 2},
	{"bad", failpoint.BeforeResult, 1, "one two three three -three -two -one", "rolled_back", 2},
	{"bad", failpoint.ResultSent, 1, "one two three -three -two -one", "rolled_back", 1},
	{"bad", failpoint.UndoClaimed, 1, "one two three -three -two -one", "rolled_back", 1},
	{"bad", failpoint.BeforeUndo, 1, "one two three -three -two -one", "rolled_back", 1},
	{"bad", failpoint.BeforeUndo, 3, "one two three -three -two -one", "rolled_back", 1},
	{"bad", failpoint.UndoDone, 2, "one two three -three -two -two -one", "rolled_back", 1},
	{"bad", failpoint.UndoRecorded, 1, "one two three -three -two -one", "rolled_back", 1},
	{"bad", failpoint.UndoRecorded, 3, "one two three -three -two -one", "rolled_back", 1},
	{"bad", failpoint.BeforeRolledBack, 1, "one two three -three -two -one", "rolled_back", 1},
	{"bad", failpoint.BeforeResult, 2, "one two three -three -two -one", "rolled_back", 1},
	{"bad", failpoint.ResultSent, 2, "one two three -three -two -one", "rolled_back", 1},

	{"hanging", failpoint.BeforeRelease, 1, "one two two three", "succeeded", 2},
	{"hanging", failpoint.Released, 1, "one two two three", "succeeded", 2},

	{"sole", failpoint.Claimed, 1, "sole", "succeeded", 2},
	{"sole", failpoint.BeforeResult, 1, "sole sole", "succeeded", 2},
	{"sole", failpoint.ResultSent, 1, "sole", "succeeded", 1},

	{"undoable", failpoint.BeforeStep, 1, "done -done", "rolled_back", 2},
	{"undoable", failpoint.UndoDone, 1, "done -done -done", "rolled_back", 1},
}

// hasty are the flags of nodes whose death is noticed soon.
var hasty = []string{"--lease", "2s", "--leader-ttl", "1s"}

// calm are the flags of nodes that must not lose a run before they die, or one that they
// inherit, to a machine that stands still for a second; and whose sweep needs an answer
// of Redis only every 670 ms.
var calm = []string{"--lease", "4s", "--leader-ttl", "3s"}

// beginDoomed starts a node that dies at the visit to a point.
func (f *fleet) beginDoomed(name string, at failpoint.Point, visit int, flags ...string) *process {
	f.t.Helper()
	program, err := mortal()
	require.NoError(f.t, err, "build the binary with failpoints")
	return f.beginProgram(program, []string{"CARILLON_FAILPOINT=" + string(at) + ":" + itoa(visit)}, name, flags...)
}

// struck waits until a process was killed: it did not end by itself.
func (p *process) struck(within time.Duration) {
	p.t.Helper()
	p.exit(within)
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(p.t, ok)
	require.True(p.t, status.Signaled() && status.Signal() == syscall.SIGKILL, "%s ended with %v:\n%s", p.name, p.cmd.ProcessState, tail(p.stderr(), 3000))
}

// trail is what steps and undos have left in DIR/trail.
func (f *fleet) trail() string {
	return strings.Join(strings.Fields(read(filepath.Join(f.dir, "trail"))), " ")
}

// transient are the families of keys that only unfinished runs have.
var transient = []string{"leases", "active", "rollback", "queue", "priorities", "waiting", "group", "groupwait", "routes"}

// leftovers are keys that only unfinished runs have.
func (f *fleet) leftovers() (keys []string) {
	ctx := context.Background()
	iter := f.rdb.Scan(ctx, 0, f.key("*"), 1000).Iterator()
	for iter.Next(ctx) {
		family, _, _ := strings.Cut(strings.TrimPrefix(iter.Val(), f.key("")), ":")
		if slices.Contains(transient, family) {
			keys = append(keys, iter.Val())
		}
	}
	require.NoError(f.t, iter.Err())
	return keys
}

// nothingLeft waits until Redis holds nothing of unfinished runs.
func (f *fleet) nothingLeft() {
	f.t.Helper()
	var keys []string
	eventually(f.t, patience, func() bool { keys = f.leftovers(); return len(keys) == 0 }, "nothing of a run is left behind, not %v", &keys)
}

func TestANodeCanDieAnywhere(t *testing.T) {
	t.Parallel()
	for _, d := range deaths {
		t.Run(d.job+" "+string(d.at)+" "+itoa(d.visit), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, threeSteps)
			id := f.trigger(d.job)
			doomed := f.beginDoomed("doomed", d.at, d.visit, append(calm, "--drain", "100ms")...)
			if d.job == "hanging" {
				eventually(t, patience, func() bool { return f.trail() == "one two" }, "the second step hangs")
				doomed.signal(syscall.SIGTERM)
			}
			doomed.struck(patience)
			died := time.Now()
			f.up("heir", calm...)
			r := f.awaitRun(patience, id, d.status, d.attempt)
			t.Logf("death to the end of the run: %v (lease 4s)", time.Since(died))
			assert.Contains(t, d.trails(), f.trail(), "what the steps did, in order")
			assert.Equal(t, d.attempt, r.Attempt)
			assert.Empty(t, r.Rollback)
			f.ends(t, d.status, r)
			f.nothingLeft()
			pass(700 * time.Millisecond) // a sweep
			assert.Contains(t, d.trails(), f.trail(), "and nothing after its end")
			assert.Equal(t, d.status, f.run(id).Status)
		})
	}
}

// ends checks what a run with a final status says of its steps.
func (f *fleet) ends(t *testing.T, status string, r run) {
	t.Helper()
	for _, s := range r.Steps {
		assert.Equal(t, status, s.Status, "step %s", s.Name)
	}
	if status == "succeeded" {
		assert.Empty(t, r.Error)
	} else {
		assert.Contains(t, r.Error, "exit status 3", "why it was rolled back")
	}
}

// A leader dies before and after each of its writes.
func TestALeaderCanDieAnywhere(t *testing.T) {
	t.Parallel()
	for _, d := range []struct {
		at    failpoint.Point
		visit int
	}{
		{failpoint.Adopted, 1}, {failpoint.BeforeCommit, 1}, {failpoint.BeforeCommit, 3}, {failpoint.Committed, 1}, {failpoint.Committed, 3},
	} {
		t.Run(string(d.at)+" "+itoa(d.visit), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, everySecondAll)
			doomed := f.beginDoomed("doomed", d.at, d.visit, hasty...)
			begin := f.adopted(1)
			doomed.struck(patience)
			f.up("heir", hasty...)
			f.awaitLeader(patience, "doomed")
			a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
			t.Log(accountHead() + "\n" + a.row(string(d.at)))
			a.balanced(t)
			assert.Zero(t, a.missed+a.skipped, "catch_up: all")
		})
	}
	// A run that waits out its back-off while no leader lives: the next one's first
	// sweep finds it.
	for _, at := range []failpoint.Point{failpoint.BeforeSweep, failpoint.Swept} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, `
jobs:
  flaky: {retry: {attempts: 2, backoff: 50ms}, run: 'MARK; [ "$CARILLON_ATTEMPT" -gt 1 ]'}
`)
			id := f.trigger("flaky")
			f.up("worker", append(hasty, "--no-lead")...)
			f.awaitRun(patience, id, "retrying", 1)
			pass(200 * time.Millisecond) // the back-off is over, and nobody sweeps
			f.beginDoomed("doomed", at, 1, hasty...).struck(patience)
			f.up("heir", hasty...)
			r := f.awaitRun(patience, id, "succeeded", 2)
			assert.Equal(t, 2, r.Attempt)
			f.nothingLeft()
			assert.Len(t, f.marksOf(id), 2, "one start for each attempt")
		})
	}
}

// A leader dies while it feeds the ticks of a backfill: each of them has one run.
func TestALeaderCanDieInABackfill(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  yearly: {schedule: "@yearly", catch_up: skip, run: MARK}
`)
	f.adoptedByAnother(1)
	year := f.now().UTC().Year()
	stamp := func(year int) string { return itoa(year) + "-01-01T00:00:00Z" }
	r := f.call("backfill", "yearly", "--from", stamp(year-4), "--to", stamp(year), "--force")
	require.Zero(t, r.code, r.err)
	f.beginDoomed("doomed", failpoint.Fed, 2, hasty...).struck(patience)
	f.up("heir", hasty...)
	for y := year - 4; y <= year; y++ {
		f.awaitRun(patience, "yearly@"+stamp(y), "succeeded", 1)
	}
	f.nothingLeft()
	seen := map[string]bool{}
	for _, m := range f.marks() {
		start := m.run + " " + itoa(m.attempt)
		assert.False(t, seen[start], "%s twice", start)
		seen[start] = true
	}
	var ledger []entry
	f.query(&ledger, "ledger", "yearly")
	assert.Len(t, ledger, 5, "one entry for each tick: %+v", ledger)
}

// An undo that kills its node is tried elsewhere, but not until there is no node left.
func TestAnUndoThatKillsItsNodeIsLeftToAPerson(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  poison:
    steps:
      - {name: one, run: "true", undo: {run: "true"}}
      - {name: two, run: "exit 3", undo: {run: 'echo -two >> DIR/trail; sleep 1.4; kill -9 $PPID; sleep 9'}}
`)
	for i := range 4 {
		f.up("node-"+itoa(i), append(hasty, "--slots", "1")...)
	}
	id := f.trigger("poison")
	r := f.awaitRun(2*patience, id, "rollback_failed", 1)
	t.Logf("after %d starts of the undo: %s", len(strings.Fields(f.trail())), r.Error)
	assert.Contains(t, r.Error, "undo the rest by hand")
	assert.Equal(t, []string{"two", "one"}, r.Rollback)
	assert.Equal(t, 1, r.Attempt)
	// A machine that stands still may cost a start in which no node died.
	assert.InDelta(t, 3, len(strings.Fields(f.trail())), 1)
	assert.NotEmpty(t, f.awaitLeader(patience), "the fleet lives")
}

// A point that no test kills a node at proves nothing.
func TestEveryPointIsDiedAt(t *testing.T) {
	t.Parallel()
	tested := []failpoint.Point{ // TestALeaderCanDieAnywhere
		failpoint.Adopted, failpoint.BeforeCommit, failpoint.Committed, failpoint.BeforeSweep, failpoint.Swept, failpoint.Fed,
	}
	for _, d := range deaths {
		tested = append(tested, d.at)
	}
	for _, p := range failpoint.All() {
		assert.Contains(t, tested, p)
	}
}

func TestAPlainBinaryHasNoFailpoints(t *testing.T) {
	t.Parallel()
	f := newFleet(t, threeSteps)
	p := f.beginProgram(binary, []string{"CARILLON_FAILPOINT=claimed"}, "plain")
	id := f.trigger("good")
	f.awaitRun(patience, id, "succeeded", 1)
	assert.Zero(t, p.term(patience))
	r := command(t, f.dir, []string{"CARILLON_FAILPOINT=nonsense"}, "version")
	assert.Zero(t, r.code, r.err)
	assert.False(t, strings.Contains(read(binary), "CARILLON_FAILPOINT"), "it does not even know the name")

	program, err := mortal()
	require.NoError(t, err)
	r = execute(t, f.dir, []string{"CARILLON_FAILPOINT=nonsense"}, program, "version")
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.err, `there is no point "nonsense"`)
}
