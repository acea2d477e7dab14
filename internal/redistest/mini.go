package redistest

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Mini starts a miniredis on a port of 127.0.0.1 in which keys expire as real
// time passes. It ends with the test.
func Mini(t testing.TB) (url string, m *miniredis.Miniredis) {
	t.Helper()
	m = miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		t.Fatalf("redistest: miniredis: %v", err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		moveTime(m, stop)
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
		m.Close()
	})
	return "redis://" + m.Addr() + "/0", m
}

// moveTime lets the time-to-live of keys run. miniredis' own ClockTTL would
// sort every key on every command.
func moveTime(m *miniredis.Miniredis, stop <-chan struct{}) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-stop:
			return
		case now := <-tick.C:
			m.FastForward(now.Sub(last))
			last = now
		}
	}
}

// DialFunc is what go-redis takes as Options.Dialer.
type DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// Bubble starts a miniredis for a test inside a testing/synctest bubble: it
// has no listener, its connections are memory, and keys expire as the bubble's
// time passes. Every client must be closed before the test ends (t.Cleanup
// after Bubble is early enough); the server closes itself.
//
// Give the client an IP literal as address (a name would be resolved outside
// the bubble) and switch off maintenance notifications. Such a test may not be
// parallel: clients share timers in a process, and bubbles must not.
func Bubble(t testing.TB) (DialFunc, *miniredis.Miniredis) {
	t.Helper()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	first, err := m.Dial() // starts the server without a listener
	if err != nil {
		t.Fatalf("redistest: miniredis: %v", err)
	}
	_ = first.Close() // a pipe; nothing to flush
	srv := m.Server()
	t.Cleanup(func() {
		m.Close()
		// The client library keeps timers in a pool of the whole process, and one of this
		// bubble would be the end of whoever takes it outside: two collections empty the pool.
		runtime.GC()
		runtime.GC()
	})
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// Not m.Dial: its net.Pipe has no buffer, so a pipeline of some fifty
		// commands and its replies wait for each other for ever.
		client, server := Pipe()
		srv.ServeConn(server)
		return client, nil
	}, m
}
