package faults

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// rule is what a proxy does with the traffic of now. The zero rule passes everything.
//
// TCP never delivers a stream with a hole in it. So a connection from which bytes were
// swallowed never delivers anything in that direction again: what is left of it is for
// the timeouts of both sides.
type rule struct {
	delay, jitter    time.Duration // each way
	bytesPerSecond   int           // each way
	cutReply         float64       // how probably a reply is a cut instead: the request has been carried out
	swallowRequests  bool
	swallowReplies   bool
	holdRequests     bool // they are delivered when the rule ends, however late that is
	refuse           bool // connections are reset, new ones refused
	halfOpen         bool // Redis sees the connections close, their clients see nothing
	acceptAndNothing bool // new connections are accepted and lead nowhere
}

// proxy stands between one node and Redis, on 127.0.0.1.
type proxy struct {
	target string
	addr   string

	mu     sync.Mutex
	rng    *rand.Rand
	rule   rule
	over   chan struct{} // closed when the rule changes
	listen net.Listener  // nil while it refuses
	conns  map[*proxied]struct{}
	wg     sync.WaitGroup
	closed bool
}

// proxied is one connection through a proxy.
type proxied struct {
	client, server *net.TCPConn
	deaf           [2]bool // requests, replies: bytes are missing, nothing more can come
	forgotten      bool    // its client will never be told
}

func (c *proxied) reset() {
	_ = c.client.SetLinger(0) // an RST instead of a FIN
	_ = c.server.SetLinger(0)
	c.client.Close()
	c.server.Close()
}

func newProxy(target, host string, seed uint64) (*proxy, error) {
	p := &proxy{target: target, over: make(chan struct{}), conns: map[*proxied]struct{}{}, rng: rand.New(rand.NewPCG(seed, seed))}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	p.addr, p.listen = l.Addr().String(), l
	p.wg.Go(func() { p.accept(l) })
	return p, nil
}

// set changes the rule.
func (p *proxy) set(r rule) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = r
	close(p.over)
	p.over = make(chan struct{})
	for c := range p.conns {
		switch {
		case c.forgotten:
		case r.halfOpen:
			c.forgotten, c.deaf = true, [2]bool{true, true}
			c.server.Close()
		case r.refuse || c.deaf[0] || c.deaf[1]: // what is missing will not come any more
			c.reset()
		}
	}
	switch {
	case r.refuse && p.listen != nil:
		p.listen.Close()
		p.listen = nil
	case !r.refuse && p.listen == nil:
		l, err := listenAgain(p.addr)
		if err != nil {
			return err
		}
		p.listen = l
		p.wg.Go(func() { p.accept(l) })
	}
	return nil
}

// listenAgain takes a port back that was ours a moment ago.
func listenAgain(addr string) (l net.Listener, err error) {
	for range 50 {
		if l, err = net.Listen("tcp", addr); err == nil {
			return l, nil
		}
		<-time.After(20 * time.Millisecond)
	}
	return nil, err
}

// close ends everything and waits for it.
func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	if p.listen != nil {
		p.listen.Close()
	}
	close(p.over)
	p.over = make(chan struct{})
	for c := range p.conns {
		c.client.Close()
		c.server.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *proxy) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(conn.(*net.TCPConn)) })
	}
}

// serve carries one connection until both ways have ended.
func (p *proxy) serve(client *net.TCPConn) {
	defer client.Close()
	upstream, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		_ = client.SetLinger(0) // nobody listens: so this must look
		return
	}
	c := &proxied{client: client, server: upstream.(*net.TCPConn)}
	defer c.server.Close()
	p.mu.Lock()
	if p.closed || p.rule.refuse {
		p.mu.Unlock()
		return
	}
	if p.rule.acceptAndNothing {
		c.deaf = [2]bool{true, true}
	}
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	replies := make(chan struct{})
	p.wg.Go(func() {
		defer close(replies)
		p.carry(c, c.server, c.client, 1)
	})
	p.carry(c, c.client, c.server, 0)
	<-replies
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// carry takes bytes one way (0: requests, 1: replies) until that way ends. The other
// side learns of the end, unless bytes are missing between the two.
func (p *proxy) carry(c *proxied, from, to *net.TCPConn, way int) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		whole := n == 0 || p.pass(c, buf[:n], to, way)
		if err == nil && whole {
			continue
		}
		if p.deaf(c) {
			return
		}
		if !whole || !errors.Is(err, io.EOF) {
			from.Close()
			to.Close()
			return
		}
		_ = to.CloseWrite() // it may be closed
		return
	}
}

// pass delivers, delays, swallows or cuts one piece. It says whether the connection
// goes on.
func (p *proxy) pass(c *proxied, piece []byte, to *net.TCPConn, way int) bool {
	p.mu.Lock()
	r, over := p.rule, p.over
	if way == 0 && r.swallowRequests || way == 1 && r.swallowReplies {
		c.deaf[way] = true
	}
	deaf := c.deaf[way]
	cut := way == 1 && !deaf && r.cutReply > 0 && p.rng.Float64() < r.cutReply
	wait := r.delay
	if r.jitter > 0 {
		wait += time.Duration(p.rng.Int64N(int64(2*r.jitter))) - r.jitter
	}
	p.mu.Unlock()
	switch {
	case deaf:
		return true // it goes on reading, and nothing comes of it
	case cut:
		c.client.Close()
		c.server.Close()
		return false
	case way == 0 && r.holdRequests:
		<-over
	case wait > 0:
		select {
		case <-over:
		case <-time.After(wait):
		}
	}
	for len(piece) > 0 {
		now := piece
		if r.bytesPerSecond > 0 {
			now = piece[:min(len(piece), max(1, r.bytesPerSecond/20))]
			select {
			case <-over:
				r.bytesPerSecond = 0
			case <-time.After(time.Duration(len(now)) * time.Second / time.Duration(r.bytesPerSecond)):
			}
		}
		if _, err := to.Write(now); err != nil {
			return false
		}
		piece = piece[len(now):]
	}
	return true
}

// deaf says whether anything is missing in a connection.
func (p *proxy) deaf(c *proxied) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.deaf[0] || c.deaf[1]
}
