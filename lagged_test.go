package carillon_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon"
	"carillon/internal/redisstore"
	"carillon/internal/redistest"
	"carillon/jobs"
)

// The sentinels promote a replica that has not heard of its master for some seconds. What
// was acknowledged meanwhile is gone; that is noticed, no tick is without an entry, none
// runs under two ids, and what is outside of the window runs once.
func TestTheSentinelsPromoteAReplicaThatLagged(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	master := redistest.StartReal(t, "--requirepass", "hunter2", "--masterauth", "hunter2", "--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(master.Addr())
	require.NoError(t, err)
	replica := redistest.StartReal(t, "--requirepass", "hunter2", "--masterauth", "hunter2", "--replicaof", host, port, "--repl-diskless-sync-delay", "0")
	behind := connect(t, replica.Addr(), "hunter2")
	link := func(state string) bool {
		return strings.Contains(behind.Info(ctx, "replication").Val(), "master_link_status:"+state)
	}
	require.Eventually(t, func() bool { return link("up") }, time.Minute, 20*time.Millisecond)
	addrs, sentinels := startSentinels(t, master.Addr(), 1, "sentinel auth-pass main hunter2\n")

	var rec recorder
	url := "redis+sentinel://:hunter2@" + strings.Join(addrs, ",") + "/main/0"
	var nodes []*carillon.Node
	var stops []func()
	for _, name := range []string{"a", "b"} {
		n, stop := up(t, carillon.Options{Redis: url, Node: name, LeaderTTL: 1500 * time.Millisecond, Schedule: schedule(t, everySecond),
			Funcs: map[string]carillon.Func{"beat": rec.handler(name)}})
		nodes, stops = append(nodes, n), append(stops, stop)
	}
	more := func(n int) {
		t.Helper()
		before := len(rec.snapshot())
		require.Eventually(t, func() bool { return len(rec.snapshot()) >= before+n }, 2*time.Minute, 20*time.Millisecond)
	}
	more(3)
	var term jobs.Leadership
	require.Eventually(t, func() bool {
		var led bool
		term, led, err = nodes[0].Leader(ctx)
		return err == nil && led
	}, time.Minute, 20*time.Millisecond)

	// It lags: its master does not let it in any more.
	require.NoError(t, behind.ConfigSet(ctx, "masterauth", "another").Err())
	require.NoError(t, behind.ClientKillByFilter(ctx, "TYPE", "master").Err())
	require.Eventually(t, func() bool { return link("down") }, time.Minute, 20*time.Millisecond)
	lags := time.Now()
	more(3)
	require.True(t, link("down"))
	require.NoError(t, sentinels[0].Do(ctx, "SENTINEL", "FAILOVER", "main").Err())
	require.Eventually(t, func() bool {
		at, err := sentinels[1].Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main").StringSlice()
		return err == nil && at[1] != port
	}, time.Minute, 20*time.Millisecond, "another master")
	switched := time.Now()
	more(4)
	require.Eventually(t, func() bool {
		next, led, err := nodes[0].Leader(ctx)
		return err == nil && led && next.Epoch > term.Epoch
	}, time.Minute, 20*time.Millisecond, "a term with a greater epoch")
	for _, stop := range stops {
		stop()
	}

	st, err := redisstore.Open(redisstore.Options{URL: "redis://:hunter2@" + replica.Addr() + "/0"})
	require.NoError(t, err)
	defer func() { _ = st.Close() }()
	entries, err := st.Ledger(ctx, "beat", 1000)
	require.NoError(t, err)
	amnesia := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Reason, "amnesia: Redis went back to an older state") {
			amnesia++
		}
	}
	require.Positive(t, amnesia, "the loss is in the ledger: %v", entries)
	entered := func(tick time.Time) bool {
		for _, e := range entries {
			if e.Tick.Equal(tick) || !tick.Before(e.Tick) && !tick.After(e.Until) {
				return true
			}
		}
		return false
	}
	var first, last time.Time
	got := rec.snapshot()
	twice := 0
	for id, attempts := range got {
		at, err := time.Parse(jobs.TickLayout, strings.TrimPrefix(id, "beat@"))
		require.NoError(t, err, "no run but those of ticks")
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
		twice += len(attempts) - 1
		if at.Before(lags.Add(-time.Second)) || at.After(switched.Add(10*time.Second)) {
			require.Len(t, attempts, 1, id)
		}
	}
	for tick := first; !tick.After(last); tick = tick.Add(time.Second) {
		_, ran := got[jobs.TickRunID("beat", tick)]
		require.True(t, entered(tick), "%s is in the ledger (ran: %v): %v", tick, ran, entries)
		if tick.Before(lags.Add(-time.Second)) {
			require.True(t, ran, "%s ran", tick)
		}
	}
	t.Logf("%d ticks ran, %d times one ran again", len(got), twice)
}
