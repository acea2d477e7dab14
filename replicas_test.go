package carillon_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"carillon"
	"carillon/internal/redistest"
)

// Two replicas, and a master that goes on with one of them (min-replicas-to-write 1):
// in a fail-over it acknowledges for about a second what the new master never hears
// of. With --wait-replicas 2 no command begins that the new master does not know of.
func TestNothingRunsTwiceInAFailOverThatIsWaitedFor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	wait, failovers := 2, 1
	if os.Getenv("CARILLON_MEASURE_FAILOVERS") != "" {
		_, err := fmt.Sscan(os.Getenv("CARILLON_MEASURE_FAILOVERS"), &wait, &failovers)
		require.NoError(t, err)
	}
	flags := []string{"--min-replicas-to-write", "1", "--repl-diskless-sync-delay", "0"}
	master := redistest.StartReal(t, flags...)
	host, port, err := net.SplitHostPort(master.Addr())
	require.NoError(t, err)
	servers := map[string]*redis.Client{master.Addr(): connect(t, master.Addr(), "")}
	for range 2 {
		r := redistest.StartReal(t, append(flags, "--replicaof", host, port)...)
		servers[r.Addr()] = connect(t, r.Addr(), "")
	}
	inSync := func(c *redis.Client) bool { return c.Wait(ctx, 2, time.Second).Val() == 2 }
	require.Eventually(t, func() bool { return inSync(servers[master.Addr()]) }, time.Minute, 20*time.Millisecond)
	addrs, sentinels := startSentinels(t, master.Addr(), 2, "sentinel failover-timeout main 20000\n")
	current := func() string {
		at, err := sentinels[0].Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main").StringSlice()
		if err != nil || len(at) != 2 {
			return ""
		}
		return net.JoinHostPort(at[0], at[1])
	}
	var text strings.Builder
	text.WriteString("version: 1\ndefaults: {catch_up: all, overlap: allow}\njobs:\n")
	for i := range 20 {
		fmt.Fprintf(&text, "  beat%d: {schedule: \"* * * * * *\", jitter: 900ms, func: beat}\n", i)
	}
	var rec recorder
	url := "redis+sentinel://" + strings.Join(addrs, ",") + "/main/0"
	var stops []func()
	for _, name := range []string{"a", "b"} {
		_, stop := up(t, carillon.Options{Redis: url, Node: name, WaitReplicas: wait, LeaderTTL: 1500 * time.Millisecond, Schedule: schedule(t, text.String()),
			Funcs: map[string]carillon.Func{"beat": rec.handler(name)}})
		stops = append(stops, stop)
	}
	runs := func(n int) {
		t.Helper()
		before := len(rec.snapshot())
		require.Eventually(t, func() bool { return len(rec.snapshot()) >= before+n }, 2*time.Minute, 10*time.Millisecond)
	}
	runs(40)
	for range failovers {
		old := current()
		require.Eventually(t, func() bool { return sentinels[0].Do(ctx, "SENTINEL", "FAILOVER", "main").Err() == nil }, time.Minute, 200*time.Millisecond)
		require.Eventually(t, func() bool { return current() != old && current() != "" }, time.Minute, 20*time.Millisecond, "another master")
		runs(100)
		require.Eventually(t, func() bool {
			return inSync(servers[current()]) && !strings.Contains(sentinelSees(ctx, sentinels[0], "flags"), "failover") && sentinelSees(ctx, sentinels[0], "num-slaves") == "2"
		}, time.Minute, 50*time.Millisecond, "all is as before")
	}
	for _, stop := range stops {
		stop()
	}
	twice := 0
	got := rec.snapshot()
	for id, attempts := range got {
		if len(attempts) > 1 {
			twice++
			t.Logf("%s ran %v", id, attempts)
		}
	}
	t.Logf("%d runs, %d fail-overs, --wait-replicas %d: %d ran twice", len(got), failovers, wait, twice)
	require.Zero(t, twice)
}

// A node that waits for replicas under a lease that leaves no room for it says so, once,
// and what to give instead.
func TestALeaseThatIsTooShortToWaitInIsWarnedOf(t *testing.T) {
	url, namespace := redistest.Shared(t)
	for _, c := range []struct {
		wait  int
		lease time.Duration
		warns bool
	}{{1, 6900 * time.Millisecond, true}, {1, 7 * time.Second, false}, {0, time.Second, false}} {
		var log lines
		_, stop := up(t, carillon.Options{Redis: url, Namespace: namespace, WaitReplicas: c.wait, Lease: c.lease, NoLead: true,
			Schedule: schedule(t, "version: 1\njobs: {a: {run: 'true'}}\n"), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.Equal(t, c.warns, log.has("the lease is too short to wait for replicas in"), "%v", c)
		require.Equal(t, c.warns, log.has(`mend="--lease 7s or more"`), "%v", c)
		stop()
	}
}
