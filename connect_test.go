package carillon_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon"
	"carillon/internal/redistest"
	"carillon/jobs"
)

// oneTick runs a node at this address until a tick has become a run that succeeded.
func oneTick(t *testing.T, url string) {
	t.Helper()
	ran := make(chan carillon.Run, 100)
	n, stop := up(t, carillon.Options{Redis: url, Node: "a", Schedule: schedule(t, everySecond), Funcs: map[string]carillon.Func{
		"beat": func(_ context.Context, run carillon.Run) error { ran <- run; return nil },
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	succeeded := map[string]bool{}
	var first carillon.Run
	done := errors.New("done")
	err := n.Watch(ctx, func(batch []jobs.Event, _ bool) error {
		for _, e := range batch {
			if e.Type == jobs.EventSucceeded {
				succeeded[e.Run] = true
			}
		}
		if first.ID == "" {
			select {
			case first = <-ran:
			default:
			}
		}
		if succeeded[first.ID] {
			return done
		}
		return nil
	})
	require.ErrorIs(t, err, done)
	require.False(t, first.ScheduledAt.IsZero())
	stop()
}

func TestANodeOverTLS(t *testing.T) {
	t.Parallel()
	ca := redistest.NewCA(t)
	cert, key := ca.Issue(t, "node")
	addr, _ := redistest.StartTLS(t, ca, "--requirepass", "hunter2")
	files := url.Values{"ca": {ca.File}, "cert": {cert}, "key": {key}, "server_name": {"redis.test"}}
	oneTick(t, "rediss://:hunter2@"+addr+"/1?"+files.Encode())

	files.Set("ca", filepath.Join(t.TempDir(), "none.pem"))
	n, err := carillon.New(carillon.Options{Redis: "rediss://:hunter2@" + addr + "?" + files.Encode(), Schedule: schedule(t, everySecond),
		Funcs: map[string]carillon.Func{"beat": func(context.Context, carillon.Run) error { return nil }}})
	require.NoError(t, err)
	err = n.Run(t.Context())
	require.ErrorContains(t, err, "none.pem: no such file")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestANodeOverASocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "sock") //nolint:usetesting // a socket's path has at most 107 bytes
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "redis.sock")
	redistest.StartReal(t, "--unixsocket", socket)
	oneTick(t, "unix://"+socket+"?db=1")
}
