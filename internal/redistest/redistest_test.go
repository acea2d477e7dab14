package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func client(t testing.TB, opt *redis.Options) *redis.Client {
	t.Helper()
	opt.Protocol, opt.DisableIdentity = 2, true
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	opt.MaxRetries, opt.ContextTimeoutEnabled, opt.DialerRetries = -1, true, 1
	c := redis.NewClient(opt)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

func clientURL(t testing.TB, url string) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(url)
	require.NoError(t, err)
	return client(t, opt)
}

func TestSharedGivesEveryTestItsOwnNamespace(t *testing.T) {
	url1, ns1 := redistest.Shared(t)
	url2, ns2 := redistest.Shared(t)
	require.Equal(t, url1, url2)
	require.NotEqual(t, ns1, ns2)
	require.Contains(t, ns1, "TestShared")
	require.NoError(t, clientURL(t, url1).Ping(t.Context()).Err())
}

func TestServerSurvivesWhatTestsDoToIt(t *testing.T) {
	s := redistest.StartReal(t, "--appendonly", "yes", "--appendfsync", "always")
	c := clientURL(t, s.URL())
	ctx := t.Context()
	require.NoError(t, c.Set(ctx, "k", "v", 0).Err())

	s.Stop()
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	require.Error(t, c.Get(short, "k").Err(), "nothing answers")
	s.Cont()
	require.Equal(t, "v", c.Get(ctx, "k").Val())

	s.Kill()
	require.Error(t, c.Get(ctx, "k").Err())
	s.Restart()
	require.Equal(t, "v", clientURL(t, s.URL()).Get(ctx, "k").Val(), "the append-only file was asked for")
}

func TestRealForgetsUnlessToldOtherwise(t *testing.T) {
	s := redistest.StartReal(t)
	require.NoError(t, clientURL(t, s.URL()).Set(t.Context(), "k", "v", 0).Err())
	s.Restart()
	require.ErrorIs(t, clientURL(t, s.URL()).Get(t.Context(), "k").Err(), redis.Nil)
}

func TestMiniExpiresKeysInRealTime(t *testing.T) {
	url, _ := redistest.Mini(t)
	c := clientURL(t, url)
	require.NoError(t, c.Set(t.Context(), "k", "v", 30*time.Millisecond).Err())
	require.Eventually(t, func() bool { return errors.Is(c.Get(t.Context(), "k").Err(), redis.Nil) },
		2*time.Second, 5*time.Millisecond)
}

func TestBubbleMovesItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial, _ := redistest.Bubble(t)
		c := client(t, &redis.Options{Addr: "127.0.0.1:6379", Dialer: dial})
		ctx := t.Context()

		require.NoError(t, c.Set(ctx, "k", "v", time.Hour).Err())
		time.Sleep(time.Hour + time.Millisecond)
		require.ErrorIs(t, c.Get(ctx, "k").Err(), redis.Nil)

		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range 5000 {
				p.Set(ctx, fmt.Sprint("key", i), "some value", 0)
			}
			return nil
		})
		require.NoError(t, err, "a pipeline larger than any pipe")

		start := time.Now()
		require.ErrorIs(t, c.BLPop(ctx, 2*time.Second, "nothing").Err(), redis.Nil)
		require.InDelta(t, 2, time.Since(start).Seconds(), 0.1)
	})
}

func TestLinkFaults(t *testing.T) {
	cases := map[redistest.Fault]struct {
		carriedOut bool
		wait       bool // until the client gives up
	}{
		redistest.Refuse:      {false, false},
		redistest.Blackhole:   {false, true},
		redistest.LoseReplies: {true, true},
		redistest.CutAtReply:  {true, false},
	}
	for fault, want := range cases {
		t.Run(fmt.Sprint(int(fault)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial, m := redistest.Bubble(t)
				link := redistest.NewLink(dial)
				c := client(t, &redis.Options{Addr: "127.0.0.1:6379", Dialer: link.Dial})
				require.NoError(t, c.Set(t.Context(), "k", "before", 0).Err())

				link.Set(fault)
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				require.Error(t, c.Set(ctx, "k", "after", 0).Err())
				if want.wait {
					require.Equal(t, time.Second, time.Since(start))
				} else {
					require.Zero(t, time.Since(start))
				}
				synctest.Wait()
				got, err := m.Get("k")
				require.NoError(t, err)
				require.Equal(t, map[bool]string{false: "before", true: "after"}[want.carriedOut], got)

				link.Set(redistest.Pass)
				require.NoError(t, c.Set(t.Context(), "k", "healed", 0).Err())
			})
		})
	}
}

func TestPipeIsAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := redistest.Pipe()
		buf := make([]byte, 8)

		require.NoError(t, a.SetReadDeadline(time.Now().Add(time.Second)))
		_, err := a.Read(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, a.SetReadDeadline(time.Time{}))

		_, err = b.Write([]byte("last"))
		require.NoError(t, err)
		require.NoError(t, b.Close())
		n, err := a.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "last", string(buf[:n]))
		_, err = a.Read(buf)
		require.ErrorIs(t, err, io.EOF)
		_, err = a.Write([]byte("x"))
		require.ErrorIs(t, err, io.ErrClosedPipe)
		require.NoError(t, a.Close())
		_, err = a.Read(buf)
		require.ErrorIs(t, err, net.ErrClosed)
	})
}
