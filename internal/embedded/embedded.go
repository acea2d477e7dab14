package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// ErrInUse is part of Listen's error when something listens on the address
// already: most likely another node's embedded server, to be joined.
var ErrInUse = errors.New("address in use")

// writeTimeout is what a reader has for each write to it.
const writeTimeout = time.Second

// Server is a miniredis on a loopback port.
type Server struct {
	listener net.Listener
	redis    *miniredis.Miniredis
}

// Listen takes the address, host:port with a loopback IP or "localhost" as
// host; port 0 means any free one. It answers nobody before Run.
func Listen(addr string) (*Server, error) {
	loopback, err := loopbackAddr(addr)
	if err != nil {
		return nil, fmt.Errorf("embedded redis: %w", err)
	}
	l, err := net.Listen("tcp", loopback)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("embedded redis: %s: %w", addr, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("embedded redis: %w", err)
	}
	return &Server{listener: l, redis: miniredis.NewMiniRedis()}, nil
}

// loopbackAddr accepts only what other machines cannot reach.
func loopbackAddr(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("%q: write it as 127.0.0.1:7379: %w", addr, err)
	}
	if host == "localhost" {
		host = "127.0.0.1" // whatever the resolver thinks
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return "", fmt.Errorf("%q: it has no password and listens on loopback only: write 127.0.0.1:%s, or share a real Redis (--redis)", addr, port)
	}
	return net.JoinHostPort(host, port), nil
}

// Addr is the host:port to connect to.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close gives up the address of a server that is not Run.
func (s *Server) Close() error { return s.listener.Close() }

// Run serves until ctx ends, then closes all connections and returns nil. The
// data goes with it.
func (s *Server) Run(ctx context.Context) error {
	defer s.listener.Close() // closed below already, unless something failed
	if err := startEngine(s.redis); err != nil {
		return fmt.Errorf("embedded redis: start: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = s.listener.Close() })() // wakes Accept

	var wg sync.WaitGroup
	wg.Go(func() { moveTime(ctx, s.redis) })
	err := s.accept(ctx)
	cancel()
	wg.Wait()
	s.redis.Close()
	return err
}

// startEngine starts a miniredis without a listener of its own: the first Dial
// does that.
func startEngine(m *miniredis.Miniredis) error {
	c, err := m.Dial()
	if err != nil {
		return err
	}
	return c.Close()
}

func (s *Server) accept(ctx context.Context) error {
	wait := 5 * time.Millisecond
	for {
		c, err := s.listener.Accept()
		switch {
		case err == nil:
			wait = 5 * time.Millisecond
			s.redis.Server().ServeConn(&impatientConn{Conn: c})
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("embedded redis: accept: %w", err)
		default: // out of file descriptors, or a client that was gone again
			wait = min(2*wait, time.Second)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
	}
}

// impatientConn is a connection to a reader who has a second for each write.
type impatientConn struct {
	net.Conn
}

// Write closes the connection when it fails: the engine takes no notice of the
// errors of a write, and would try again and again.
func (c *impatientConn) Write(p []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails only when closed, as Write will
	n, err := c.Conn.Write(p)
	if err != nil {
		_ = c.Close() // the error of the write is the one to report
	}
	return n, err
}
