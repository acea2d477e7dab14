package faults

import (
	"bufio"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// echo is a server that answers every line, and counts them.
type echo struct {
	listen net.Listener
	lines  atomic.Int64
	ended  atomic.Int64 // connections
}

func newEcho(t *testing.T) *echo {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	e := &echo{listen: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer e.ended.Add(1)
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					e.lines.Add(1)
					fmt.Fprint(c, line)
				}
			}()
		}
	}()
	return e
}

// caller is a client that gives up.
type caller struct {
	net.Conn
	r *bufio.Reader
}

func call(t *testing.T, addr string) *caller {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return &caller{c, bufio.NewReader(c)}
}

func (c *caller) ask(within time.Duration) error {
	_ = c.SetDeadline(time.Now().Add(within))
	if _, err := fmt.Fprintln(c, "hello"); err != nil {
		return err
	}
	_, err := c.r.ReadString('\n')
	return err
}

func timedOut(err error) bool { e, ok := err.(net.Error); return ok && e.Timeout() }

// What each rule does is asked of a server that is no Redis.
func TestTheProxyDoesWhatItIsTold(t *testing.T) {
	t.Parallel()
	const short, ample = 300 * time.Millisecond, 20 * time.Second
	start := func(t *testing.T) (*echo, *proxy, *caller) {
		t.Parallel()
		e := newEcho(t)
		p, err := newProxy(e.listen.Addr().String(), "127.0.0.1", 1)
		require.NoError(t, err)
		t.Cleanup(p.close)
		c := call(t, p.addr)
		require.NoError(t, c.ask(ample))
		require.EqualValues(t, 1, e.lines.Load())
		return e, p, c
	}
	t.Run("passes", func(t *testing.T) {
		e, _, c := start(t)
		for range 10 {
			require.NoError(t, c.ask(ample))
		}
		c.Close()
		assert.True(t, eventually(ample, func() bool { return e.ended.Load() == 1 }), "the end of one side is that of the other")
	})
	t.Run("delays", func(t *testing.T) {
		_, p, c := start(t)
		require.NoError(t, p.set(rule{delay: 100 * time.Millisecond, jitter: 20 * time.Millisecond}))
		began := time.Now()
		require.NoError(t, c.ask(ample))
		assert.GreaterOrEqual(t, time.Since(began), 160*time.Millisecond, "each way")
	})
	t.Run("throttles", func(t *testing.T) {
		_, p, c := start(t)
		require.NoError(t, p.set(rule{bytesPerSecond: 40}))
		began := time.Now()
		require.NoError(t, c.ask(ample))
		assert.GreaterOrEqual(t, time.Since(began), 250*time.Millisecond, "12 bytes")
	})
	t.Run("cuts a reply", func(t *testing.T) {
		e, p, c := start(t)
		require.NoError(t, p.set(rule{cutReply: 1}))
		err := c.ask(ample)
		require.Error(t, err)
		assert.False(t, timedOut(err), "it is told at once")
		assert.EqualValues(t, 2, e.lines.Load(), "it was carried out")
		require.NoError(t, p.set(rule{}))
		assert.NoError(t, call(t, p.addr).ask(ample))
	})
	t.Run("swallows replies", func(t *testing.T) {
		e, p, c := start(t)
		require.NoError(t, p.set(rule{swallowReplies: true}))
		assert.True(t, timedOut(c.ask(short)))
		assert.True(t, eventually(ample, func() bool { return e.lines.Load() == 2 }), "it was carried out")
		require.NoError(t, p.set(rule{}))
		err := c.ask(ample)
		require.Error(t, err, "a stream with a hole does not go on")
		assert.False(t, timedOut(err))
	})
	t.Run("swallows requests", func(t *testing.T) {
		e, p, c := start(t)
		require.NoError(t, p.set(rule{swallowRequests: true}))
		assert.True(t, timedOut(c.ask(short)))
		require.NoError(t, p.set(rule{}))
		require.Error(t, c.ask(ample))
		assert.EqualValues(t, 1, e.lines.Load())
	})
	t.Run("holds requests back", func(t *testing.T) {
		e, p, c := start(t)
		require.NoError(t, p.set(rule{holdRequests: true}))
		assert.True(t, timedOut(c.ask(short)))
		c.Close()
		assert.EqualValues(t, 1, e.lines.Load())
		require.NoError(t, p.set(rule{}))
		assert.True(t, eventually(ample, func() bool { return e.lines.Load() == 2 }), "it comes although nobody waits for it any more")
	})
	t.Run("refuses", func(t *testing.T) {
		e, p, c := start(t)
		require.NoError(t, p.set(rule{refuse: true}))
		err := c.ask(ample)
		require.Error(t, err)
		assert.False(t, timedOut(err))
		_, err = net.Dial("tcp", p.addr)
		require.Error(t, err)
		assert.True(t, eventually(ample, func() bool { return e.ended.Load() == 1 }))
		require.NoError(t, p.set(rule{}))
		assert.NoError(t, call(t, p.addr).ask(ample), "on the port that it had")
	})
	t.Run("half-open", func(t *testing.T) {
		e, p, c := start(t)
		require.NoError(t, p.set(rule{halfOpen: true, acceptAndNothing: true}))
		assert.True(t, eventually(ample, func() bool { return e.ended.Load() == 1 }), "the server sees the end")
		assert.True(t, timedOut(c.ask(short)), "the client does not")
		fresh := call(t, p.addr)
		assert.True(t, timedOut(fresh.ask(short)), "a new one leads nowhere")
		require.NoError(t, p.set(rule{}))
		assert.True(t, timedOut(c.ask(short)), "nobody ever tells the old one")
		assert.Error(t, fresh.ask(ample))
		assert.NoError(t, call(t, p.addr).ask(ample))
		assert.EqualValues(t, 2, e.lines.Load())
	})
}
