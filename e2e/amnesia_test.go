package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

// forgetful is a job that falls due every second, one that takes some seconds, one that
// has a step to undo, and one that waits for a slot.
const forgetful = `
jobs:
  tick: {schedule: "* * * * * *", catch_up: {policy: all, max: 1000}, overlap: allow, run: MARK}
  work: {run: 'MARK; echo begin; sleep 7; echo "$CARILLON_ATTEMPT" >> DIR/over'}
  deploy:
    steps:
      - {name: one, run: 'MARK; echo one >> DIR/steps', undo: {run: 'echo undo one >> DIR/steps'}}
      - {name: two, run: 'sleep 7; exit 1', undo: {run: 'echo undo two >> DIR/steps'}}
  queued: {overlap: allow, nodes: {only: n1}, run: MARK}
  blocker: {overlap: allow, nodes: {only: n1}, run: 'MARK; sleep 3'}
`

const warning = `"msg":"Redis has lost data: `

// watching begins to listen to the events; the function returns those of a type.
func (f *fleet) watching() func(kind string) []map[string]any {
	f.t.Helper()
	p := f.start("watch", "watch", "-o", "jsonl")
	ctx, channel := context.Background(), f.key("events")
	eventually(f.t, patience, func() bool { return f.rdb.PubSubNumSub(ctx, channel).Val()[channel] > 0 }, "it listens")
	return func(kind string) (list []map[string]any) {
		for line := range strings.Lines(p.stdout()) {
			var e map[string]any
			if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &e) == nil && e["type"] == kind {
				list = append(list, e)
			}
		}
		return list
	}
}

// warned counts the warnings of a node.
func warned(p *process) int { return strings.Count(p.stderr(), warning) }

// amnesia is the one entry of a ledger that says so.
func (f *fleet) amnesia(job string) entry {
	f.t.Helper()
	var ledger []entry
	f.query(&ledger, "ledger", job, "--limit", "100000")
	var found []entry
	for _, e := range ledger {
		if strings.HasPrefix(e.Reason, "amnesia: ") {
			found = append(found, e)
		}
	}
	require.Len(f.t, found, 1, "%s: %+v", job, ledger)
	assert.Equal(f.t, "missed", found[0].Outcome)
	return found[0]
}

// secondLife: one loss of that kind was reported, once.
func (f *fleet) secondLife(kind string) {
	f.t.Helper()
	life := strings.Fields(f.rdb.Get(context.Background(), f.key("cluster")).Val())
	require.Len(f.t, life, 9)
	assert.Equal(f.t, []string{"2", "done", kind}, []string{life[1], life[3], life[4]})
}

// onceEach: no attempt of any run began twice, and none began again.
func (f *fleet) onceEach() {
	f.t.Helper()
	seen := map[string]int{}
	for _, m := range f.marks() {
		seen[m.run]++
		assert.Equal(f.t, 1, seen[m.run], "%+v", m)
	}
}

// Everything is gone at once: it is noticed, reported once, nothing is caught up, and what
// ran goes on to its one end.
func TestRedisForgetsEverything(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]func(f *fleet, server *redistest.Server){
		"flushed": func(f *fleet, _ *redistest.Server) {
			require.NoError(f.t, f.rdb.FlushAll(context.Background()).Err())
		},
		"restarted": func(_ *fleet, server *redistest.Server) { server.Restart() }, // keeps nothing on disk
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, server := ownFleet(t, forgetful)
			flags := []string{"--lease", "20s", "--leader-ttl", "3s"}
			nodes := []*process{f.up("n1", flags...), f.up("n2", flags...)}
			f.adopted(1)
			f.putBack("tick", f.now().Add(-3*time.Second))
			epoch, _ := f.term()
			events := f.watching()
			id, steps := f.trigger("work"), f.trigger("deploy")
			eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 && len(f.marksOf(steps)) == 1 }, "they begin")
			pass(2500 * time.Millisecond) // so that leases were renewed and nodes were heard
			hurt(f, server)
			eventually(t, patience, func() bool {
				return f.rdb.HLen(context.Background(), f.key("cursors")).Val() == 1 && warned(nodes[0]) == 1 && warned(nodes[1]) == 1
			}, "both notice, and one of them leads")
			late := f.up("late", flags...)
			assert.Equal(t, 1, f.awaitRun(patience, id, "succeeded", 1).Attempt)
			assert.Equal(t, 1, f.awaitRun(patience, steps, "rolled_back", 1).Attempt)
			assert.Equal(t, "1\n", read(f.dir+"/over"), "the command went on to its one end")
			assert.Equal(t, "one\nundo two\nundo one\n", read(f.dir+"/steps"))
			later, _ := f.term()
			assert.Greater(t, later, epoch, "epochs never go back")

			// From the loss on every tick is accounted for.
			lost := f.amnesia("tick")
			a := f.audit("tick", everySecond(lost.Until, f.settle(patience, "tick")))
			t.Log(accountHead() + "\n" + a.row(name))
			a.balanced(t)
			assert.Zero(t, a.missed+a.skipped)
			assert.Less(t, lost.Until.Sub(lost.Tick), 10*time.Second, "from when it was last heard of")
			f.onceEach()

			f.secondLife("empty")
			if name == "flushed" { // after a restart nobody may listen yet
				assert.Len(t, events("store_amnesia"), 1)
			}
			assert.LessOrEqual(t, len(events("store_amnesia")), 1)
			assert.Equal(t, 1, warned(nodes[0]), nodes[0].stderr())
			assert.Equal(t, 1, warned(nodes[1]), nodes[1].stderr())
			assert.Zero(t, warned(late))
			r := f.call("doctor")
			assert.Contains(t, r.out, "lost_data")
			for _, p := range append(nodes, late) {
				assert.Zero(t, p.term(patience), p.stderr())
			}
		})
	}
}

// A snapshot is restored, in which runs wait, and run, that have long ended: their nodes write
// their ends again. What ran goes on, nothing is caught up, nothing runs twice. Without
// -faults the snapshot is half a minute old, which is older than a lease all the same.
func TestRedisGoesBackAMinute(t *testing.T) {
	t.Parallel()
	back := 30 * time.Second
	if *full {
		back = time.Minute
	}
	f, server := ownFleet(t, forgetful)
	ctx := context.Background()
	flags := []string{"--lease", "20s", "--leader-ttl", "3s"}
	nodes := []*process{f.up("n1", append(flags, "--slots", "3", "--label", "only=n1")...), f.up("n2", flags...)}
	f.adopted(1)
	events := f.watching()
	var before []string
	for range 3 {
		before = append(before, f.trigger("blocker"))
	}
	eventually(t, patience, func() bool {
		for _, id := range before {
			if len(f.marksOf(id)) == 0 {
				return false
			}
		}
		return true
	}, "n1 is busy")
	for range 4 {
		before = append(before, f.trigger("queued"))
	}
	require.NoError(t, f.rdb.Save(ctx).Err())
	saved := f.now()
	for _, id := range before {
		f.awaitRun(patience, id, "succeeded", 1)
	}
	for f.now().Sub(saved) < back {
		pass(time.Second)
	}
	epoch, _ := f.term()
	id, steps := f.trigger("work"), f.trigger("deploy")
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 && len(f.marksOf(steps)) == 1 }, "they begin")
	pass(2500 * time.Millisecond)
	server.Restart() // with the snapshot
	eventually(t, patience, func() bool { return warned(nodes[0]) == 1 && warned(nodes[1]) == 1 }, "both notice")
	for _, id := range before {
		f.awaitRun(patience, id, "succeeded", 1)
	}
	assert.Equal(t, 1, f.awaitRun(patience, id, "succeeded", 1).Attempt)
	assert.Equal(t, 1, f.awaitRun(patience, steps, "rolled_back", 1).Attempt)
	assert.Equal(t, "1\n", read(f.dir+"/over"))
	assert.Equal(t, "one\nundo two\nundo one\n", read(f.dir+"/steps"))
	later, _ := f.term()
	assert.Greater(t, later, epoch)

	lost := f.amnesia("tick")
	assert.WithinDuration(t, saved, lost.Tick, 3*time.Second, "from the cursor of the snapshot")
	a := f.audit("tick", everySecond(lost.Until, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("a snapshot"))
	a.balanced(t)
	assert.Zero(t, a.missed+a.skipped)
	f.onceEach()
	f.secondLife("back")
	assert.LessOrEqual(t, len(events("store_amnesia")), 1)
	for _, p := range nodes {
		assert.Equal(t, 1, warned(p), p.stderr())
		assert.Zero(t, p.term(patience), p.stderr())
	}
}
