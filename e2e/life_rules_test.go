package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gated are jobs whose runs go on until DIR/go-JOB exists, under every rule of what
// may run beside them.
const gated = `
groups:
  scratch: {limit: 1}
jobs:
  queued: {overlap: queue, run: 'MARK; until test -e DIR/go-queued; do sleep 0.05; done'}
  replaced:
    overlap: replace
    run: |
      trap 'until test -e DIR/go-away; do sleep 0.05; done; exit 9' TERM
      MARK
      until test -e DIR/go-replaced; do sleep 0.05; done
  two: {overlap: allow, max_running: 2, run: 'MARK; until test -e DIR/go-two; do sleep 0.05; done'}
  left: {group: scratch, run: 'MARK; until test -e DIR/go-left; do sleep 0.05; done'}
  right: {group: scratch, run: MARK}
  patient: {group: scratch, overlap: queue, run: MARK}
`

// open lets the runs of a gated job end.
func (f *fleet) open(job string) {
	f.t.Helper()
	require.NoError(f.t, os.WriteFile(filepath.Join(f.dir, "go-"+job), nil, 0o600))
}

// refused starts a job and expects that a rule says no.
func (f *fleet) refused(job, why string) {
	f.t.Helper()
	r := f.call("trigger", job, "--detach")
	assert.Equal(f.t, 8, r.code, "trigger %s: %s", job, r.err)
	assert.Contains(f.t, r.err, why)
	assert.Empty(f.t, r.out)
}

func TestOverlapQueueLetsOneWait(t *testing.T) {
	t.Parallel()
	f := newFleet(t, gated)
	f.up("node")
	first := f.trigger("queued")
	f.begun(first)
	second := f.trigger("queued")
	f.refused("queued", second)
	assert.Equal(t, "queued", f.run(second).Status)
	assert.Contains(t, f.run(second).Reason, first)
	f.open("queued")
	f.awaitRun(patience, first, "succeeded", 1)
	f.awaitRun(patience, second, "succeeded", 1)
	f.nothingLeft()
}

// The run in the way dies with its node: the one that waits gets its turn all the
// same, after the other.
func TestOverlapQueueSurvivesTheNodeOfTheRunInTheWay(t *testing.T) {
	t.Parallel()
	f := newFleet(t, gated)
	worker := f.up("worker", hasty...)
	first := f.trigger("queued")
	f.begun(first)
	second := f.trigger("queued")
	worker.kill()
	f.up("heir", hasty...)
	eventually(t, patience, func() bool { return len(f.marksOf(first)) == 2 }, "%s begins again", first)
	assert.Empty(t, f.marksOf(second))
	f.open("queued")
	f.awaitRun(patience, first, "succeeded", 2)
	f.awaitRun(patience, second, "succeeded", 1)
	f.nothingLeft()
}

func TestOverlapReplaceWaitsUntilTheOldOneIsGone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, gated)
	f.up("node")
	first := f.trigger("replaced")
	f.begun(first)
	second := f.trigger("replaced")
	third := f.trigger("replaced")
	r := f.awaitRun(patience, second, "canceled", 0)
	assert.Contains(t, r.Error, "replaced by "+third, "a newer one takes its place")
	assert.Equal(t, "running", f.run(first).Status, "it has not ended yet")
	assert.Empty(t, f.marksOf(third))
	f.open("away")
	f.begun(third)
	r = f.run(first)
	assert.Equal(t, "canceled", r.Status, "gone before the next one began")
	assert.Contains(t, r.Error, "replaced by "+second)
	f.open("replaced")
	f.awaitRun(patience, third, "succeeded", 1)
	assert.Empty(t, f.marksOf(second))
	f.nothingLeft()
}

func TestMaxRunningBoundsRunsBesideEachOther(t *testing.T) {
	t.Parallel()
	f := newFleet(t, gated)
	f.up("node", "--slots", "4")
	one, two := f.trigger("two"), f.trigger("two")
	f.begun(one)
	f.begun(two)
	f.refused("two", "max_running is 2")
	f.open("two")
	f.awaitRun(patience, one, "succeeded", 1)
	f.awaitRun(patience, two, "succeeded", 1)
	three := f.trigger("two")
	f.awaitRun(patience, three, "succeeded", 1)
	f.nothingLeft()
}

func TestGroupKeepsJobsApart(t *testing.T) {
	t.Parallel()
	f := newFleet(t, gated)
	worker := f.up("worker", hasty...)
	left := f.trigger("left")
	f.begun(left)
	f.refused("right", "group scratch is full")
	patient := f.trigger("patient")
	// The member dies with its node, and keeps its place.
	worker.kill()
	f.up("heir", hasty...)
	eventually(t, patience, func() bool { return len(f.marksOf(left)) == 2 }, "%s begins again", left)
	f.refused("right", "group scratch is full")
	assert.Empty(t, f.marksOf(patient))
	f.open("left")
	f.awaitRun(patience, left, "succeeded", 2)
	f.awaitRun(patience, patient, "succeeded", 1)
	right := f.trigger("right")
	f.awaitRun(patience, right, "succeeded", 1)
	f.nothingLeft()
}

func TestPausedTicksAreSkippedWithAndWithoutALeader(t *testing.T) {
	t.Parallel()
	f := newFleet(t, everySecondAll)
	node := f.up("first")
	begin := f.adopted(1)
	pass(1200 * time.Millisecond)

	pausing := f.now()
	r := f.call("pause", "tick", "--note", "moving the disks")
	require.Zero(t, r.code, r.err)
	paused := f.now()
	f.refused("tick", "moving the disks")
	var list []struct {
		Name   string
		Paused *struct{ Note, By string }
	}
	f.query(&list, "jobs")
	require.Len(t, list, 1)
	require.NotNil(t, list[0].Paused)
	assert.Equal(t, "moving the disks", list[0].Paused.Note)
	assert.NotEmpty(t, list[0].Paused.By)
	pass(1500 * time.Millisecond)

	assert.Zero(t, node.term(patience)) // nobody leads
	pass(1500 * time.Millisecond)
	resuming := f.now()
	require.Zero(t, f.call("resume", "tick").code)
	resumed := f.now()
	pass(1200 * time.Millisecond)
	f.up("second")
	end := f.settle(patience, "tick")

	a := f.audit("tick", everySecond(begin, end))
	t.Log(accountHead() + "\n" + a.row("paused"))
	a.balanced(t)
	assert.Zero(t, a.missed, "ticks after the resume, while nobody led, are caught up")
	var ledger []entry
	f.query(&ledger, "ledger", "tick", "--limit", "1000")
	for _, e := range ledger {
		if e.Until.IsZero() {
			e.Until = e.Tick
		}
		switch e.Outcome {
		case "skipped":
			assert.True(t, strings.HasPrefix(e.Reason, "paused"), "%+v", e)
			assert.False(t, e.Tick.Before(pausing.Add(-time.Second)), "%+v was due before the pause of %v", e, pausing)
			assert.False(t, e.Until.After(resumed), "%+v is after the resume of %v", e, resumed)
		default:
			assert.True(t, !e.Tick.After(paused) || e.Tick.After(resuming), "%+v ran in the pause from %v to %v", e, paused, resuming)
		}
	}
	assert.GreaterOrEqual(t, a.skipped, 2)
}

// A fleet was away; its job catches nothing up by itself.
func TestBackfillRunsWhatAnOutageCost(t *testing.T) {
	t.Parallel()
	// The last tick is half an hour ago, and so is the next one away: a tick that is at
	// most a minute late simply runs, and one that comes while the test runs is one more.
	now := time.Now().UTC()
	hour := now.Truncate(time.Minute).Add(-30 * time.Minute)
	f := newFleet(t, fmt.Sprintf(`
defaults: {catch_up: skip}
jobs:
  hourly: {schedule: "0 %d * * * *", run: 'MARK; sleep 0.2; echo "$CARILLON_RUN_ID" >> DIR/over'}
`, hour.Minute()))
	f.adoptedByAnother(1)
	f.putBack("hourly", hour.Add(-5*time.Hour))
	f.up("after", "--slots", "4")
	f.settled(patience, hour, "hourly")
	var ledger []entry
	f.query(&ledger, "ledger", "hourly")
	require.Len(t, ledger, 1)
	assert.Equal(t, "missed", ledger[0].Outcome)
	assert.Contains(t, ledger[0].Reason, "policy")
	assert.Equal(t, 5, ledger[0].Count)
	assert.Empty(t, f.marks())

	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	args := []string{"backfill", "hourly", "--from", stamp(hour.Add(-4 * time.Hour)), "--to", stamp(hour)}
	r := f.call("backfill", "hourly", "--from", stamp(hour.Add(-9*time.Hour)), "--to", stamp(hour))
	assert.Equal(t, 8, r.code, "older than the ledger: %s", r.err)
	assert.Contains(t, r.err, "--force")
	r = f.call("backfill", "hourly", "--from", stamp(hour), "--to", stamp(hour.Add(time.Hour)))
	assert.Equal(t, 8, r.code, "not decided yet: %s", r.err)

	require.Zero(t, f.call("pause", "hourly").code)
	var done struct{ Ticks, Queued, Ran int }
	f.query(&done, args...)
	assert.Equal(t, 5, done.Queued)
	pass(time.Second)
	assert.Empty(t, f.marks(), "a paused job is fed nothing")
	require.Zero(t, f.call("resume", "hourly").code)
	eventually(t, patience, func() bool { return strings.Count(read(filepath.Join(f.dir, "over")), "\n") == 5 }, "five runs end")

	marks := f.marks()
	require.Len(t, marks, 5)
	for i, m := range marks {
		assert.Equal(t, "hourly@"+stamp(hour.Add(time.Duration(i-4)*time.Hour)), m.run, "one after the other, under the id of its tick")
		if i > 0 {
			assert.GreaterOrEqual(t, m.at.Sub(marks[i-1].at), 200*time.Millisecond, "not beside each other")
		}
	}
	f.query(&done, args...)
	assert.Zero(t, done.Queued, "what ran is not run again")
	assert.Equal(t, 5, done.Ran)
	f.nothingLeft()
}
