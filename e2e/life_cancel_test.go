package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// longRuns are jobs that go on until they are called off: one that ends at TERM, one
// that does not, and one that has done something by then.
const longRuns = `
jobs:
  polite: {run: 'MARK; exec sleep 60'}
  stubborn: {run: 'trap "" TERM; MARK; echo $$ >> DIR/pids; while :; do sleep 0.1; done'}
  waiting: {retry: {attempts: 2, backoff: 10m}, run: 'MARK; exit 1'}
  quick: {run: MARK}
  steps:
    steps:
      - {name: one, run: 'MARK; echo one >> DIR/trail', undo: {run: 'echo -one >> DIR/trail'}}
      - {name: two, run: 'echo two >> DIR/trail; trap "" TERM; exec sleep 60', undo: {run: 'echo -two >> DIR/trail'}}
      - {name: three, run: 'echo three >> DIR/trail', undo: {run: 'echo -three >> DIR/trail'}}
  polite-steps:
    steps:
      - {name: one, run: 'MARK; echo one >> DIR/trail', undo: {run: 'echo -one >> DIR/trail'}}
      - {name: two, run: 'echo two >> DIR/trail; exec sleep 60', undo: {run: 'echo -two >> DIR/trail'}}
`

// begun waits until an attempt of a run has begun.
func (f *fleet) begun(id string) {
	f.t.Helper()
	eventually(f.t, patience, func() bool { return len(f.marksOf(id)) > 0 }, "%s begins", id)
}

func TestCancelOfARunThatWaitsIsFinalAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, longRuns)
	id := f.trigger("quick") // no node is there
	r := f.call("cancel", id, "--reason", "wrong day")
	require.Zero(t, r.code, r.err)
	got := f.run(id)
	assert.Equal(t, "canceled", got.Status)
	assert.Contains(t, got.Error, "wrong day")
	assert.NotEmpty(t, got.CanceledBy)

	r = f.call("cancel", id)
	assert.Equal(t, 8, r.code, "it has ended already: %s", r.err)
	assert.Equal(t, 4, f.call("cancel", "quick@nothing").code)

	f.up("node")
	after := f.trigger("quick")
	f.awaitRun(patience, after, "succeeded", 1)
	assert.Empty(t, f.marksOf(id), "what was called off does not start")
	r = f.call("cancel", after)
	assert.Equal(t, 8, r.code, r.err)
	assert.Contains(t, r.err, "ended already")

	// In its back-off it waits too.
	id = f.trigger("waiting")
	f.awaitRun(patience, id, "retrying", 1)
	require.Zero(t, f.call("cancel", id).code)
	assert.Equal(t, "canceled", f.run(id).Status)
	f.nothingLeft()
}

func TestCancelKillsWhatDoesNotHear(t *testing.T) {
	t.Parallel()
	f := newFleet(t, longRuns)
	f.up("node")
	id := f.trigger("stubborn")
	f.begun(id)
	start := time.Now()
	r := f.call("cancel", id)
	require.Zero(t, r.code, r.err)
	took := time.Since(start)
	t.Logf("cancel to the end of a command that ignores TERM: %v (grace 10s)", took)
	assert.Greater(t, took, 9*time.Second, "it had its grace")
	assert.Equal(t, "canceled", f.run(id).Status)
	assert.True(t, noneLives(f.pidsIn("pids"))())
	f.nothingLeft()
}

func TestCancelUndoesWhatWasDone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, longRuns)
	f.up("node")
	id := f.trigger("polite-steps")
	eventually(t, patience, func() bool { return f.trail() == "one two" }, "the second step runs")
	start := time.Now()
	r := f.call("cancel", id, "--reason", "wrong branch")
	require.Zero(t, r.code, r.err)
	t.Logf("cancel to the end of the rollback: %v", time.Since(start))
	got := f.run(id)
	assert.Equal(t, "rolled_back", got.Status)
	assert.Contains(t, got.Error, "wrong branch")
	assert.Equal(t, "one two -two -one", f.trail())
	assert.Equal(t, 1, got.Attempt)
	f.nothingLeft()
}

func TestCancelIsHeardWithoutPubSub(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, longRuns)
	p := f.up("node", "--lease", "3s")
	id := f.trigger("polite")
	f.begun(id)
	stop := repeat(t, time.Millisecond, func() {
		_ = f.rdb.Do(context.Background(), "CLIENT", "KILL", "TYPE", "pubsub").Err() // there may be none
	})
	pass(200 * time.Millisecond)
	start := time.Now()
	require.Zero(t, f.call("cancel", id, "--detach").code)
	f.awaitRun(patience, id, "canceled", 1)
	took := time.Since(start)
	stop()
	t.Logf("cancel to its end with every subscription cut: %v (lease 3s)", took)
	assert.Less(t, took, 6*time.Second, "promised: the next renewal, a third of a lease")
	assert.Contains(t, p.stderr(), "somebody called this run off")
	f.nothingLeft()
}

// The node that should end a run dies first: the sweep ends the run, it does not
// start it again.
func TestCancelOutlivesTheNodeThatShouldHearIt(t *testing.T) {
	t.Parallel()
	for job, want := range map[string]struct{ status, trail string }{
		"stubborn": {"canceled", ""},
		"steps":    {"rolled_back", "one two -two -one"},
	} {
		t.Run(job, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, longRuns)
			worker := f.up("worker", hasty...)
			id := f.trigger(job)
			f.begun(id)
			eventually(t, patience, func() bool { return job == "stubborn" || f.trail() == "one two" }, "the second step runs")
			f.up("heir", hasty...)
			require.Zero(t, f.call("cancel", id, "--detach").code)
			worker.says(patience, "somebody called this run off")
			worker.kill()
			r := f.awaitRun(patience, id, want.status, 1)
			assert.Contains(t, r.Error, "canceled by")
			assert.Equal(t, 1, r.Attempt)
			assert.Len(t, f.marksOf(id), 1, "it is not started again")
			assert.Equal(t, want.trail, f.trail())
			f.nothingLeft()
		})
	}
}

func TestRetryStartsANewRunOfAFinishedOne(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  greet:
    params: {who: {default: nobody}}
    run: 'MARK; echo "hello $CARILLON_PARAM_WHO"; test -e DIR/mended'
`)
	id := f.trigger("greet", "--param", "who=Ada")
	r := f.call("retry", id)
	assert.Equal(t, 8, r.code, "there is nothing to retry yet: %s", r.err)
	f.up("node")
	f.awaitRun(patience, id, "failed", 1)

	r = f.call("retry", id)
	assert.Equal(t, 6, r.code, "it fails again: %s", r.err)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "mended"), nil, 0o600))
	r = f.call("retry", id)
	assert.Zero(t, r.code, r.err)
	assert.Equal(t, "hello Ada\n", r.out)
	r = f.call("retry", id, "--detach")
	require.Zero(t, r.code, r.err)
	again := strings.TrimSpace(r.out)
	assert.NotEqual(t, id, again)
	assert.Equal(t, "retry of "+id, f.awaitRun(patience, again, "succeeded", 1).Reason)
	assert.Equal(t, "failed", f.run(id).Status, "the finished run stays as it is")
	assert.Len(t, f.marksOf(id), 1)
	f.nothingLeft()
}

func TestRollbackGoesOnWhenItsUndoIsMended(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  release:
    steps:
      - {name: one, run: 'echo one >> DIR/trail', undo: {run: 'echo -one >> DIR/trail'}}
      - {name: two, run: 'echo two >> DIR/trail', undo: {run: 'test -e DIR/mended && echo -two >> DIR/trail', retry: {attempts: 2, backoff: 50ms}}}
      - {name: three, run: 'echo three >> DIR/trail; exit 3', undo: {run: 'echo -three >> DIR/trail'}}
`)
	first := f.up("first")
	id := f.trigger("release")
	r := f.awaitRun(patience, id, "rollback_failed", 1)
	assert.Equal(t, []string{"two", "one"}, r.Rollback, "left to undo, in this order")
	assert.Contains(t, r.Error, "two, one")
	assert.Equal(t, "one two three -three", f.trail())

	res := f.call("rollback", id)
	assert.Equal(t, 6, res.code, "it is still broken: %s", res.err)
	assert.Equal(t, []string{"two", "one"}, f.run(id).Rollback)

	// Whoever has the definition goes on with it.
	f.up("second")
	assert.Zero(t, first.term(patience))
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "mended"), nil, 0o600))
	res = f.call("rollback", id)
	assert.Zero(t, res.code, res.err)
	got := f.run(id)
	assert.Equal(t, "rolled_back", got.Status)
	assert.Empty(t, got.Rollback)
	assert.Equal(t, "one two three -three -two -one", f.trail())
	assert.Equal(t, 8, f.call("rollback", id).code, "nothing is left")
	f.nothingLeft()
}
