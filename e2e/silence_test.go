package e2e

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/failpoint"
)

// beginHung starts a node a part of which hangs at the visit to a point.
func (f *fleet) beginHung(name string, at failpoint.Point, visit int, flags ...string) *process {
	f.t.Helper()
	program, err := mortal()
	require.NoError(f.t, err, "build the binary with failpoints")
	return f.beginProgram(program, []string{"CARILLON_FAILPOINT=" + string(at) + ":" + itoa(visit) + ":hang"}, name, flags...)
}

// undeposed fails if a leader was deposed.
func (f *fleet) undeposed() {
	f.t.Helper()
	assert.Empty(f.t, f.rdb.HGet(context.Background(), f.key("term"), "deposed").Val(), "no leader was deposed")
}

// heard are the events that `carillon watch -o jsonl` wrote, of some types.
func heard(p *process, types ...string) (list []map[string]any) {
	for line := range strings.Lines(p.stdout()) {
		var e map[string]any
		if json.Unmarshal([]byte(line), &e) == nil && slices.Contains(types, e["type"].(string)) {
			list = append(list, e)
		}
	}
	return list
}

// The leader's scheduler hangs, and everything else of the process goes on: it renews
// the lock, sweeps, beats and executes.
func TestAHungLeaderIsDeposed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		at        failpoint.Point
		visit     int
		followers []string
		flags     []string
		grace     time.Duration
		quorum    bool // the lock is on Redises of its own
	}{
		{"one of three", failpoint.BeforeCommit, 6, []string{"n1", "n2"}, nil, 15 * time.Second, false},
		{"one of two", failpoint.Committed, 6, []string{"n1"}, []string{"--leader-grace", "6s"}, 6 * time.Second, false},
		{"of a lock quorum", failpoint.BeforeCommit, 6, []string{"n1", "n2"}, []string{"--leader-grace", "6s"}, 6 * time.Second, true},
		{"before it began", failpoint.Adopted, 1, []string{"n1", "n2"}, []string{"--leader-grace", "6s"}, 6 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, everySecondAll)
			if c.quorum {
				_, locks := lockFlags(t)
				c.flags = append(c.flags, locks...)
			}
			hung := f.beginHung("hung", c.at, c.visit, c.flags...)
			f.ledBy("hung")
			_, token := f.term()
			begin := f.adopted(1)
			watch := f.start("watch", "watch", "-o", "jsonl")
			var others []*process
			for _, name := range c.followers {
				others = append(others, f.up(name, c.flags...))
			}
			var last time.Time // the last decision of the hung leader
			eventually(t, 2*time.Minute, func() bool {
				if ms, err := f.rdb.HGet(context.Background(), f.key("term"), "moved").Int64(); err == nil && f.leader() == "hung" {
					last = time.UnixMilli(ms)
				}
				return f.leader() != "" && f.leader() != "hung"
			}, "another node leads")
			silent := f.now().Sub(last)
			t.Logf("silence: %v (grace %v; promised: 7 seconds more on a machine that is not busy)", silent, c.grace)
			assert.GreaterOrEqual(t, silent, c.grace, "it had its time")

			eventually(t, patience, func() bool { return len(heard(watch, "silent_leader", "deposed")) >= 2 }, "the events")
			events := heard(watch, "silent_leader", "deposed")
			require.Len(t, events, 2, "once each")
			assert.Equal(t, []any{"silent_leader", "hung"}, []any{events[0]["type"], events[0]["node"]})
			assert.Contains(t, events[0]["reason"], "job tick is due since ")
			assert.Equal(t, []any{"deposed", "hung"}, []any{events[1]["type"], events[1]["node"]})
			said := ""
			for _, p := range others {
				said += p.stderr()
			}
			assert.Contains(t, said, "the leader is silent: it renews its lock and decides no ticks")
			assert.Contains(t, said, "the silent leader is deposed")

			// What is left of it executes, and says that it wants a restart.
			eventually(t, patience, func() bool { return f.call("healthcheck", "--node", "hung").code == 1 }, "the hung node is not healthy")
			assert.Contains(t, f.call("healthcheck", "--node", "hung").err, "node hung hangs")
			eventually(t, patience, func() bool {
				marks := f.marks()
				return slices.ContainsFunc(marks[max(0, len(marks)-10):], func(m mark) bool { return m.node == "hung" && m.at.After(last.Add(silent)) })
			}, "it executes runs that others have decided")
			for _, name := range c.followers {
				assert.Zero(t, f.call("healthcheck", "--node", name).code, name)
			}
			pass(6*time.Second + 4*time.Second) // the shorter grace
			_, next := f.term()
			assert.NotEqual(t, token, next)
			assert.Len(t, heard(watch, "deposed"), 1, "and nobody else is")

			end := f.settle(patience, "tick")
			a := f.audit("tick", everySecond(begin, end))
			t.Log(accountHead() + "\n" + a.row(c.name))
			a.balanced(t)
			assert.Equal(t, a.ticks, a.ran+a.late, "each tick ran")

			hung.signal(syscall.SIGTERM)
			hung.says(patience, "stopping: running jobs get the drain time")
			pass(time.Second)
			assert.True(t, hung.alive(), "its scheduler keeps it")
			hung.signal(syscall.SIGTERM)
			hung.exit(patience)
		})
	}
}

// Redis refuses every write, for longer than the grace: whoever leads is not to blame.
func TestAFullRedisDeposesNobody(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, everySecondAll)
	flags := []string{"--leader-grace", "5s"}
	f.up("n1", flags...)
	f.ledBy("n1")
	begin := f.adopted(1)
	n2 := f.up("n2", append(flags, "--listen", "127.0.0.1:0")...)
	n3 := f.up("n3", flags...)
	at := n2.listens()
	calm := scrape(t, at)
	assert.True(t, calm["carillon_leader_silent 0"] && calm["carillon_silent_leaders_total 0"], "%v", calm)
	pass(6 * time.Second) // their record has to be unbroken for the grace
	ctx := context.Background()
	require.NoError(t, f.rdb.ConfigSet(ctx, "maxmemory", "1").Err())
	n2.says(patience, "the leader is silent", "this node cannot write either")
	n3.says(patience, "the leader is silent")
	alarm := scrape(t, at)
	assert.True(t, alarm["carillon_leader_silent 1"] && alarm["carillon_silent_leaders_total 1"], "%v", alarm)
	require.NoError(t, f.rdb.ConfigSet(ctx, "maxmemory", "0").Err())
	n2.says(patience, "ticks are decided again")
	calm = scrape(t, at)
	assert.True(t, calm["carillon_leader_silent 0"] && begins(calm, "carillon_silent_leaders_total ") && !calm["carillon_silent_leaders_total 0"], "%v", calm)
	f.undeposed()
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("maxmemory"))
	a.balanced(t)
	assert.Equal(t, a.ticks, a.ran+a.late)
}

// Redis refuses the leader alone: somebody took a right from its user.
func TestALeaderThatMayNotWriteIsDeposed(t *testing.T) {
	t.Parallel()
	// The leader executes nothing: what it pops without the right to write is not of interest.
	f, _ := ownFleet(t, `
jobs:
  tick: {schedule: "* * * * * *", catch_up: all, overlap: allow, pool: work, run: MARK}
`)
	ctx := context.Background()
	require.NoError(t, f.rdb.Do(ctx, "ACL", "SETUSER", "one", "on", ">secret", "~*", "&*", "+@all").Err())
	flags := []string{"--leader-grace", "5s"}
	n1 := f.upAt(strings.Replace(f.url, "redis://", "redis://one:secret@", 1), "n1", flags...)
	f.ledBy("n1")
	begin := f.adopted(1)
	f.up("n2", append(flags, "--pool", "work")...)
	f.up("n3", append(flags, "--pool", "work")...)
	require.NoError(t, f.rdb.Do(ctx, "ACL", "SETUSER", "one", "-hset").Err())
	f.awaitLeader(time.Minute, "n1")
	assert.NotEmpty(t, f.rdb.HGet(ctx, f.key("term"), "deposed").Val())
	n1.says(patience, "the store does not take decisions", "no longer leading")
	require.NoError(t, f.rdb.Do(ctx, "ACL", "SETUSER", "one", "+hset").Err())
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("-hset"))
	a.balanced(t)
	assert.Equal(t, a.ticks, a.ran+a.late)
}
