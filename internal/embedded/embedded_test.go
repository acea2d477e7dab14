package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// serve runs a server for the length of a test.
func serve(t *testing.T) (*Server, *redis.Client) {
	t.Helper()
	s, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c := redis.NewClient(&redis.Options{
		Addr: s.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1, ReadTimeout: 5 * time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		cancel()
		require.NoError(t, <-done)
		goleak.VerifyNone(t)
	})
	require.NoError(t, c.Ping(t.Context()).Err())
	return s, c
}

func TestOnlyLoopbackIsServed(t *testing.T) {
	for _, addr := range []string{":7379", "0.0.0.0:7379", "[::]:7379", "10.0.0.5:7379", "example.com:7379", "7379", "127.0.0.1", ""} {
		_, err := Listen(addr)
		require.ErrorContains(t, err, "127.0.0.1:7379", "%q", addr)
	}
	for _, addr := range []string{"127.0.0.1:0", "127.9.9.9:0", "localhost:0"} {
		s, err := Listen(addr)
		require.NoError(t, err, "%q", addr)
		require.True(t, strings.HasPrefix(s.Addr(), "127."))
		require.NoError(t, s.Close())
	}
}

func TestAddressInUseCanBeToldFromOtherErrors(t *testing.T) {
	s, _ := serve(t)
	_, err := Listen(s.Addr())
	require.ErrorIs(t, err, ErrInUse)
	require.ErrorContains(t, err, s.Addr())

	_, err = Listen("127.0.0.1:99999")
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrInUse)
}

func TestTimeMoves(t *testing.T) {
	_, c := serve(t)
	ctx := t.Context()
	before := c.Time(ctx).Val()
	require.NoError(t, c.Set(ctx, "k", "v", 0).Err())
	require.NoError(t, c.PExpire(ctx, "k", 400*time.Millisecond).Err())
	require.NoError(t, c.Get(ctx, "k").Err())
	require.Eventually(t, func() bool { return errors.Is(c.Get(ctx, "k").Err(), redis.Nil) }, 5*time.Second, 10*time.Millisecond)
	after := c.Time(ctx).Val()
	require.Greater(t, after.Sub(before), 100*time.Millisecond)
	require.InDelta(t, 0, time.Since(after).Seconds(), 1)
}

func TestTimeFollowsTheWallClock(t *testing.T) {
	now := time.Now()
	require.Equal(t, time.Second, wallElapsed(now, now.Add(time.Second)))
	require.Zero(t, wallElapsed(now, now.Add(-time.Hour)), "set back")
	require.Equal(t, time.Hour, wallElapsed(now, now.Round(0).Add(time.Hour)), "asleep: only the wall clock moved")

	require.Equal(t, minTick, nextTick(0))
	require.Equal(t, 400*time.Millisecond, nextTick(2*time.Millisecond))
	require.Equal(t, maxTick, nextTick(time.Minute))
}

// A subscriber that is stopped must not stop the others for longer than its
// second, and must be gone afterwards.
func TestSubscriberThatStopsReadingIsCutOff(t *testing.T) {
	s, c := serve(t)
	ctx := t.Context()
	for range 2 {
		stuck, err := net.Dial("tcp", s.Addr())
		require.NoError(t, err)
		defer stuck.Close()
		_, err = stuck.Write([]byte("*2\r\n$9\r\nSUBSCRIBE\r\n$6\r\nevents\r\n"))
		require.NoError(t, err)
		line, err := bufio.NewReader(stuck).ReadString('\n') // and not a byte more
		require.NoError(t, err)
		require.Equal(t, "*3\r\n", line)
	}
	good := c.Subscribe(ctx, "events")
	defer good.Close()
	_, err := good.Receive(ctx)
	require.NoError(t, err)
	received := make(chan int, 1)
	go func() {
		n := 0
		for ; n < 64; n++ {
			if _, err := good.ReceiveMessage(ctx); err != nil {
				break
			}
		}
		received <- n
	}()

	published := make(chan struct{})
	go func() {
		defer close(published)
		message := strings.Repeat("x", 1<<20)
		for range 64 {
			if err := c.Publish(ctx, "events", message).Err(); err != nil {
				t.Errorf("publish: %v", err)
			}
		}
	}()
	slowest := time.Duration(0)
	for open := true; open; {
		start := time.Now()
		require.NoError(t, c.Set(ctx, "k", "v", 0).Err())
		slowest = max(slowest, time.Since(start))
		select {
		case <-published:
			open = false
		default:
		}
	}
	t.Logf("slowest answer to another client: %v", slowest)
	require.Less(t, slowest, 1500*time.Millisecond)
	require.Equal(t, 64, <-received, "who reads gets everything")
	require.Eventually(t, func() bool { return c.PubSubNumSub(ctx, "events").Val()["events"] == 1 },
		5*time.Second, 10*time.Millisecond, "the stuck ones are cut off")
}

func TestClientsThatWaitDoNotDelayTheEnd(t *testing.T) {
	s, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	waiting, err := net.Dial("tcp", s.Addr())
	require.NoError(t, err)
	defer waiting.Close()
	_, err = waiting.Write([]byte("*1\r\n$4\r\nPING\r\n*3\r\n$5\r\nBLPOP\r\n$4\r\nbell\r\n$1\r\n0\r\n"))
	require.NoError(t, err)
	_, err = bufio.NewReader(waiting).ReadString('\n')
	require.NoError(t, err)

	start := time.Now()
	cancel()
	require.NoError(t, <-done)
	require.Less(t, time.Since(start), time.Second)
	_, err = net.Dial("tcp", s.Addr())
	require.Error(t, err, "the port is free again")
}

// A browser can be made to send a request to any local port.
func TestWebPagesGetNothingDone(t *testing.T) {
	s, c := serve(t)
	page, err := net.Dial("tcp", s.Addr())
	require.NoError(t, err)
	defer page.Close()
	_, err = fmt.Fprint(page, "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n")
	require.NoError(t, err)
	require.NoError(t, page.SetReadDeadline(time.Now().Add(5*time.Second)))
	answer, _ := io.ReadAll(page) // it may be reset
	require.Empty(t, answer)
	require.Zero(t, c.Exists(t.Context(), "k").Val())
}
