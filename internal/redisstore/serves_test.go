package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

// Running commands outlast a Redis that serves nobody, and their leases with them. That is
// safe only if it is true: nobody else may get through.
func TestWhoMaySayThatNobodyIsServed(t *testing.T) {
	ctx := t.Context()
	full := errors.New("MISCONF Errors writing to the AOF file: No space left on device")
	wrapped := errors.New("ERR Error running script (call to f_62b825b7): @user_script:83: @user_script: 83: -" + full.Error())
	open := func(url string) *Store {
		t.Helper()
		s, err := Open(Options{URL: url, Node: "n", Boot: "b"})
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := open("redis://127.0.0.1:1")
	for _, disk := range []error{full, wrapped} { // Redis 6.2 wraps it
		require.True(t, s.ServesNobody(ctx, fmt.Errorf("renew: %w", wrap("renew leases", disk))))
	}
	for _, proves := range []error{
		s.Ping(ctx), // refused: us, or everybody
		errors.New("READONLY You can't write against a read only replica."),
		errors.New("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
		errors.New("OOM command not allowed when used memory > 'maxmemory'"),
		context.DeadlineExceeded,
		errors.New("LOADING Redis is loading the dataset in memory"), // and then nobody says that it is the master
	} {
		require.Error(t, proves)
		require.False(t, s.ServesNobody(ctx, wrap("renew leases", proves)), "%v", proves)
	}
	for _, url := range []string{"redis+sentinel://127.0.0.1:1/main", "redis+cluster://127.0.0.1:1"} {
		require.False(t, open(url).ServesNobody(ctx, wrap("renew leases", full)), "another one may be the master by now: %s", url)
	}
}

// A replica loads what its master sends it, and says LOADING like one that starts. Behind
// a name that was moved, its master serves everybody else.
func TestOnlyAMasterThatLoadsServesNobody(t *testing.T) {
	if redistest.Major(t) < 7 {
		t.Skip("before 7.0 it cannot be told to answer often while it loads so little")
	}
	ctx := t.Context()
	const keys = 200
	slow := []string{"--repl-diskless-sync", "no", "--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"}
	server := redistest.StartReal(t, slow...)
	s, err := Open(Options{URL: server.URL(), Node: "n", Boot: "b"})
	require.NoError(t, err)
	defer s.Close()
	for i := range keys {
		require.NoError(t, s.cmd.Set(ctx, fmt.Sprintf("filler-%d", i), "0123456789012345678901234567890123456789", 0).Err())
	}
	require.NoError(t, s.cmd.Save(ctx).Err())
	says := func(s *Store, serving bool) {
		t.Helper()
		var err error
		for end := time.Now().Add(30 * time.Second); err == nil || ClassOf(err) != Loading; time.Sleep(time.Millisecond) {
			require.True(t, time.Now().Before(end), "%v", err)
			err = wrap("run a script", s.cmd.Eval(ctx, "return 1", []string{"k"}).Err())
		}
		require.Equal(t, !serving, s.ServesNobody(ctx, err))
	}

	host, port, err := net.SplitHostPort(server.Addr())
	require.NoError(t, err)
	replica := redistest.StartReal(t, slow...)
	r, err := Open(Options{URL: replica.URL(), Node: "n", Boot: "b"})
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, r.cmd.Do(ctx, "REPLICAOF", host, port).Err())
	says(r, true)

	back := make(chan struct{})
	go func() {
		defer close(back)
		server.Restart()
	}()
	says(s, false)
	<-back
}
