package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/failpoint"
)

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// The run that follows is made by the script that ends the upstream run: once,
// wherever the node of that one dies.
func TestFollowersRunOnceWhereverTheUpstreamNodeDies(t *testing.T) {
	t.Parallel()
	const chain = `
jobs:
  up: {run: 'MARK'}
  down: {after: {job: up}, run: 'MARK; echo "$CARILLON_UPSTREAM_RUN_ID $CARILLON_UPSTREAM_STATUS" >> DIR/trail'}
  last: {after: {job: down, when: done}, run: MARK}
  never: {after: {job: up, when: failure}, run: MARK}
  broken:
    steps:
      - {name: one, run: 'MARK', undo: {run: "true"}}
      - {name: two, run: 'exit 3', undo: {run: "true"}}
  alarm: {after: {job: broken, when: failure}, run: 'MARK; echo "$CARILLON_UPSTREAM_RUN_ID $CARILLON_UPSTREAM_STATUS" >> DIR/trail'}
  party: {after: {job: broken, when: success}, run: MARK}
`
	for _, d := range []struct {
		job     string
		at      failpoint.Point
		visit   int
		status  string
		attempt int
		chain   []string // the jobs that follow
		not     string
	}{
		{"up", failpoint.BeforeResult, 1, "succeeded", 2, []string{"down", "last"}, "never"},
		{"up", failpoint.ResultSent, 1, "succeeded", 1, []string{"down", "last"}, "never"},
		{"broken", failpoint.BeforeRolledBack, 1, "rolled_back", 1, []string{"alarm"}, "party"},
		{"broken", failpoint.ResultSent, 2, "rolled_back", 1, []string{"alarm"}, "party"},
	} {
		t.Run(d.job+" "+string(d.at), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, chain)
			id := f.trigger(d.job)
			f.beginDoomed("doomed", d.at, d.visit, append(hasty, "--slots", "1")...).struck(patience)
			f.up("heir", hasty...)
			f.awaitRun(patience, id, d.status, d.attempt)
			upstream := id
			for _, job := range d.chain {
				next := job + "@after-" + upstream
				f.awaitRun(patience, next, "succeeded", 1)
				upstream = next
			}
			f.nothingLeft()
			assert.Equal(t, id+" "+d.status, f.trail())
			jobs := map[string]int{}
			for _, m := range f.marks() {
				jobs[m.job()]++
			}
			assert.Equal(t, d.attempt, jobs[d.job])
			for _, job := range d.chain {
				// The doomed node may have begun it in the exchange that ended the upstream run.
				assert.LessOrEqual(t, jobs[job], 2, job)
				assert.GreaterOrEqual(t, jobs[job], 1, job)
			}
			assert.Zero(t, jobs[d.not])
			var runs []run
			f.query(&runs, "runs")
			assert.Len(t, runs, 1+len(d.chain), "one run each")
		})
	}
}

func TestAtMostOnceIsNotStartedAgain(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  pay: {delivery: at-most-once, retry: {attempts: 3, backoff: 100ms}, run: 'MARK; exec sleep 60'}
  flaky: {delivery: at-most-once, retry: {attempts: 2, backoff: 100ms}, run: 'MARK; [ "$CARILLON_ATTEMPT" -gt 1 ]'}
`)
	worker := f.up("worker", hasty...)
	id := f.trigger("pay")
	f.begun(id)
	f.up("heir", hasty...)
	worker.kill()
	r := f.awaitRun(patience, id, "failed", 1)
	assert.Contains(t, r.Error, "outcome unknown")
	assert.Contains(t, r.Error, "worker")
	assert.Len(t, f.marksOf(id), 1)
	// A failure that was seen is retried.
	id = f.trigger("flaky")
	f.awaitRun(patience, id, "succeeded", 2)
	f.nothingLeft()
}

// Redis stands still for longer than a lease: what may not run beside itself is
// ended and starts again, what is to be kept goes on.
func TestOnLostKeepOutlivesARedisThatHangs(t *testing.T) {
	t.Parallel()
	f, server := ownFleet(t, `
jobs:
  kept: {on_lost: keep, run: 'MARK; sleep 5; echo kept >> DIR/trail'}
  killed: {run: 'MARK; sleep 5; echo killed >> DIR/trail'}
`)
	node := f.up("node", hasty...)
	kept, killed := f.trigger("kept"), f.trigger("killed")
	f.begun(kept)
	f.begun(killed)
	pass(1200 * time.Millisecond)
	server.Stop()
	pass(3 * time.Second)
	server.Cont()
	r := f.awaitRun(patience, kept, "succeeded", 1)
	assert.Equal(t, 1, r.Attempt)
	assert.Len(t, f.marksOf(kept), 1, "it was never ended")
	r = f.awaitRun(patience, killed, "succeeded", 2)
	assert.Equal(t, 2, r.Attempt)
	assert.Len(t, f.marksOf(killed), 2, "the first was ended")
	assert.Equal(t, "kept killed", f.trail(), "each came to its end once")
	assert.True(t, node.alive())
	f.nothingLeft()
}

// A node that was stopped past its lease keeps what it was told to keep; the result
// does not count, because the run is another node's by then.
func TestOnLostKeepIsSupersededWhenItsRunWasTaken(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  kept: {on_lost: keep, run: 'MARK; sleep 4; echo "$CARILLON_NODE" >> DIR/trail'}
`)
	server := f.up("heir", append(hasty, "--slots", "1", "--label", "x=y")...)
	server.signal(19) // SIGSTOP: the other one takes the run
	worker := f.up("worker", append(hasty, "--no-lead")...)
	id := f.trigger("kept")
	f.begun(id)
	worker.signal(19)
	server.signal(18) // SIGCONT
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 2 }, "%s begins again", id)
	worker.signal(18)
	worker.says(patience, "is not ours any more")
	f.awaitRun(patience, id, "succeeded", 2)
	eventually(t, patience, func() bool { return strings.Contains(f.trail(), "worker") && strings.Contains(f.trail(), "heir") }, "both come to their end")
	worker.says(patience, `"answer":"superseded"`)
	r := f.run(id)
	assert.Equal(t, "heir", r.Node)
	assert.Equal(t, 2, r.Attempt)
	f.nothingLeft()
	assert.Equal(t, 1, strings.Count(read(filepath.Join(f.dir, "trail")), "worker"))
}
