package e2e

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// gate is the way of one node to Redis. It is open, or it resets what goes through and
// refuses what comes.
type gate struct {
	t        *testing.T
	addr, to string

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
}

func openGate(t *testing.T, to string) *gate {
	g := &gate{t: t, to: to, addr: "127.0.0.1:0"}
	g.open()
	g.addr = g.listener.Addr().String()
	t.Cleanup(g.shut)
	return g
}

func (g *gate) open() {
	g.t.Helper()
	l, err := net.Listen("tcp", g.addr)
	require.NoError(g.t, err)
	g.mu.Lock()
	g.listener = l
	g.mu.Unlock()
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", g.to)
			if err != nil {
				_ = near.Close()
				continue
			}
			g.mu.Lock()
			g.conns = append(g.conns, near, far)
			shut := g.listener != l
			g.mu.Unlock()
			if shut {
				_, _ = near.Close(), far.Close()
			}
			go pipe(near, far)
			go pipe(far, near)
		}
	}()
}

func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = to.Close(), from.Close()
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		_ = g.listener.Close()
	}
	g.listener = nil
	for _, c := range g.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset
		}
		_ = c.Close()
	}
	g.conns = nil
}
