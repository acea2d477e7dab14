package redisstore

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

// That the master refuses us lets leases stand still as long as most sentinels stand by
// it, and not a moment longer.
func TestARefusalProvesNothingWithoutMostSentinels(t *testing.T) {
	ctx := t.Context()
	master := redistest.StartReal(t)
	host, port, err := net.SplitHostPort(master.Addr())
	require.NoError(t, err)
	var sentinels []*redistest.Server
	var addrs []string
	for i := range 3 {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("sentinel%d.conf", i))
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "sentinel monitor main %s %s 2\nsentinel down-after-milliseconds main 600000\n", host, port), 0o600))
		s := redistest.StartSentinel(t, file)
		sentinels, addrs = append(sentinels, s), append(addrs, s.Addr())
	}
	s, err := Open(Options{URL: "redis+sentinel://" + strings.Join(addrs, ",") + "/main", Node: "n", Boot: "b"})
	require.NoError(t, err)
	defer s.Close()
	require.Eventually(t, func() bool { return s.Ping(ctx) == nil }, 20*time.Second, 20*time.Millisecond)
	class := func(want Class) {
		t.Helper()
		require.Eventually(t, func() bool {
			err = s.Ping(ctx)
			return err != nil && ClassOf(err) == want && strings.Contains(err.Error(), "connection refused")
		}, 30*time.Second, 50*time.Millisecond)
	}

	master.Kill()
	class(Down)
	sentinels[0].Kill()
	class(Down)
	sentinels[1].Kill()
	class(Transient)
	sentinels[2].Kill()
	class(Transient)

	sentinels[0].Restart()
	sentinels[1].Restart()
	class(Down)
	master.Restart()
	require.Eventually(t, func() bool { return s.Ping(ctx) == nil }, 20*time.Second, 20*time.Millisecond)
}
