package carillon_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon"
	"carillon/internal/redistest"
	"carillon/jobs"
)

// A node that asks sentinels goes on at the new master, and runs each tick once.
// The master refuses writes when it has no replica (min-replicas-to-write): without
// that, what it takes after its replica has been promoted is lost.
func TestANodeFollowsItsSentinels(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	master := redistest.StartReal(t, "--requirepass", "hunter2", "--masterauth", "hunter2",
		"--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(master.Addr())
	require.NoError(t, err)
	replica := redistest.StartReal(t, "--requirepass", "hunter2", "--masterauth", "hunter2", "--replicaof", host, port,
		"--min-replicas-to-write", "1", "--repl-diskless-sync-delay", "0")
	c := connect(t, replica.Addr(), "hunter2")
	require.Eventually(t, func() bool {
		return strings.Contains(c.Info(ctx, "replication").Val(), "master_link_status:up")
	}, time.Minute, 20*time.Millisecond)
	require.NoError(t, connect(t, master.Addr(), "hunter2").ConfigSet(ctx, "min-replicas-to-write", "1").Err())

	addrs, sentinels := startSentinels(t, master.Addr(), 1, "sentinel auth-pass main hunter2\n")

	var rec recorder
	url := "redis+sentinel://:hunter2@" + strings.Join(addrs, ",") + "/main/0"
	n, stop := up(t, carillon.Options{Redis: url, Node: "a", Schedule: schedule(t, everySecond),
		Funcs: map[string]carillon.Func{"beat": rec.handler("a")}})
	require.NotContains(t, n.Status().Redis, "hunter2")
	require.Eventually(t, func() bool { return len(rec.snapshot()) >= 3 }, time.Minute, 20*time.Millisecond)

	ticks := len(rec.snapshot()) // not while a tick is on its way to the replica
	require.Eventually(t, func() bool { return len(rec.snapshot()) > ticks }, time.Minute, time.Millisecond)
	require.NoError(t, sentinels[0].Do(ctx, "SENTINEL", "FAILOVER", "main").Err())
	require.Eventually(t, func() bool {
		at, err := sentinels[1].Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main").StringSlice()
		return err == nil && at[1] != port
	}, time.Minute, 20*time.Millisecond, "another master")
	before := len(rec.snapshot())
	require.Eventually(t, func() bool { return len(rec.snapshot()) >= before+5 }, 2*time.Minute, 20*time.Millisecond)
	stop()

	var first, last time.Time
	got := rec.snapshot()
	for id, attempts := range got {
		require.Len(t, attempts, 1, id)
		at, err := time.Parse(jobs.TickLayout, strings.TrimPrefix(id, "beat@"))
		require.NoError(t, err)
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	require.Len(t, got, int(last.Sub(first)/time.Second)+1, "no tick between the first and the last is missing")
}

func TestSentinelsThatDoNotKnowTheMaster(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	s := redistest.StartSentinel(t, file)
	var log lines
	n, err := carillon.New(carillon.Options{Redis: "redis+sentinel://:hunter2@" + s.Addr() + "/main", Node: "a", Schedule: schedule(t, everySecond),
		Funcs: map[string]carillon.Func{"beat": func(context.Context, carillon.Run) error { return nil }}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	require.Eventually(t, func() bool { return log.has("is the name after the address of the sentinels") }, 30*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.False(t, log.has("hunter2"))
}
