package redistest

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Fault is what a Link does to the traffic through it.
type Fault int

// The faults of a Link.
const (
	Pass        Fault = iota // nothing
	Refuse                   // connections break, new ones are refused: the server is down
	Blackhole                // nothing arrives in either direction, nothing breaks: the network is gone
	LoseReplies              // requests are carried out, their replies vanish
	CutAtReply               // a request is carried out, then its connection breaks instead of answering
)

// Link stands between clients and a server and loses what it is told to. It
// works inside a synctest bubble (around Bubble's dialer) and outside of one
// (around net.Dialer's DialContext).
type Link struct {
	dial DialFunc

	mu    sync.Mutex
	fault Fault
	conns map[*linkConn]struct{}
}

// NewLink returns a link that passes everything.
func NewLink(dial DialFunc) *Link {
	return &Link{dial: dial, conns: map[*linkConn]struct{}{}}
}

// Set changes what happens from now on. Bytes that a fault swallowed are gone
// for good, so a connection that lived through one is of no use to either
// side: that is left to the client's timeouts, as it would be in life.
func (l *Link) Set(f Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = f
	if f == Refuse {
		for c := range l.conns {
			c.cut()
		}
		clear(l.conns)
	}
}

func (l *Link) current() Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// Dial is a DialFunc. In a black hole it waits for ctx.
func (l *Link) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	switch l.current() {
	case Refuse:
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	case Blackhole:
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: context.Cause(ctx)}
	}
	inner, err := l.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	near, far := Pipe()
	c := &linkConn{Conn: near, far: far, inner: inner, link: l}
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	go c.carryReplies()
	return c, nil
}

// linkConn is the client's end: it reads from a pipe that carryReplies fills,
// so that deadlines work while nothing is let through.
type linkConn struct {
	net.Conn // near end of the pipe: Read and deadlines
	far      net.Conn
	inner    net.Conn
	link     *Link
}

func (c *linkConn) Write(p []byte) (int, error) {
	switch c.link.current() {
	case Refuse:
		return 0, syscall.EPIPE
	case Blackhole:
		return len(p), nil
	}
	return c.inner.Write(p)
}

func (c *linkConn) Close() error {
	c.link.mu.Lock()
	delete(c.link.conns, c)
	c.link.mu.Unlock()
	_ = c.inner.Close() // a fault may have closed it before
	return c.Conn.Close()
}

// cut breaks the connection as the other side would.
func (c *linkConn) cut() {
	_ = c.far.Close()   // the client reads EOF
	_ = c.inner.Close() // the server too
}

func (c *linkConn) carryReplies() {
	defer c.cut()
	buf := make([]byte, 16<<10)
	for {
		n, err := c.inner.Read(buf)
		switch c.link.current() {
		case Pass:
			if _, werr := c.far.Write(buf[:n]); werr != nil {
				return
			}
		case Refuse, CutAtReply:
			return
		case Blackhole, LoseReplies:
		}
		if err != nil {
			return
		}
	}
}
