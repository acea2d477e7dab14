package carillon_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

// connect is a client of a server, closed with the test.
func connect(t *testing.T, addr, password string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr, Password: password, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// startSentinels starts three sentinels that watch a master, by the name of main, and
// waits until each has found its replicas and the other two.
func startSentinels(t *testing.T, master string, replicas int, config string) (addrs []string, clients []*redis.Client) {
	t.Helper()
	host, port, err := net.SplitHostPort(master)
	require.NoError(t, err)
	for i := range 3 {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("sentinel%d.conf", i))
		require.NoError(t, os.WriteFile(file, []byte(fmt.Sprintf("sentinel monitor main %s %s 2\n"+
			"sentinel down-after-milliseconds main 60000\n%s", host, port, config)), 0o600))
		s := redistest.StartSentinel(t, file)
		addrs, clients = append(addrs, s.Addr()), append(clients, connect(t, s.Addr(), ""))
	}
	for _, c := range clients {
		require.Eventually(t, func() bool {
			return sentinelSees(t.Context(), c, "num-slaves") == fmt.Sprint(replicas) && sentinelSees(t.Context(), c, "num-other-sentinels") == "2"
		}, time.Minute, 50*time.Millisecond, "the sentinels find the replicas and each other")
	}
	return addrs, clients
}

// sentinelSees is a field of what a sentinel knows of its master; "" when it does not say.
func sentinelSees(ctx context.Context, c *redis.Client, field string) string {
	m, err := c.Do(ctx, "SENTINEL", "MASTER", "main").StringSlice()
	for i := 0; err == nil && i+1 < len(m); i += 2 {
		if m[i] == field {
			return m[i+1]
		}
	}
	return ""
}
