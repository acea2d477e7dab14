package redistest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Pipe returns the two ends of a connection in memory. Unlike net.Pipe it has
// a buffer without a limit, so a write never waits; unlike a socket a reader
// of it is durably blocked in the sense of testing/synctest.
func Pipe() (a, b net.Conn) {
	ab, ba := newBuffer(), newBuffer()
	return &pipeEnd{in: ba, out: ab}, &pipeEnd{in: ab, out: ba}
}

type pipeEnd struct {
	in, out *buffer

	mu            sync.Mutex
	writeDeadline time.Time
	closed        bool
}

func (p *pipeEnd) Read(b []byte) (int, error) { return p.in.read(b) }

func (p *pipeEnd) Write(b []byte) (int, error) {
	p.mu.Lock()
	closed, deadline := p.closed, p.writeDeadline
	p.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	if !deadline.IsZero() && !time.Now().Before(deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return p.out.write(b)
}

// Close ends both directions. The other end reads what was written before,
// then io.EOF; writing to a closed pipe fails.
func (p *pipeEnd) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.in.close(net.ErrClosed)
	p.out.close(io.EOF)
	return nil
}

func (p *pipeEnd) LocalAddr() net.Addr  { return memAddr{} }
func (p *pipeEnd) RemoteAddr() net.Addr { return memAddr{} }

func (p *pipeEnd) SetDeadline(t time.Time) error {
	_ = p.SetWriteDeadline(t) // cannot fail
	return p.SetReadDeadline(t)
}

func (p *pipeEnd) SetReadDeadline(t time.Time) error {
	p.in.setDeadline(t)
	return nil
}

func (p *pipeEnd) SetWriteDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeDeadline = t
	return nil
}

type memAddr struct{}

func (memAddr) Network() string { return "memory" }
func (memAddr) String() string  { return "memory" }

// buffer is one direction of a pipe: writers append, one reader waits.
type buffer struct {
	mu       sync.Mutex
	changed  *sync.Cond
	data     []byte
	end      error // what a reader gets after the data; nil while open
	deadline time.Time
	timer    *time.Timer
}

func newBuffer() *buffer {
	b := &buffer{}
	b.changed = sync.NewCond(&b.mu)
	return b
}

func (b *buffer) read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case b.end == net.ErrClosed: // closed by the reader itself
			return 0, b.end
		case !b.deadline.IsZero() && !time.Now().Before(b.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(b.data) > 0:
			n := copy(p, b.data)
			b.data = b.data[n:]
			return n, nil
		case b.end != nil:
			return 0, b.end
		case len(p) == 0:
			return 0, nil
		}
		b.changed.Wait()
	}
}

func (b *buffer) write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end != nil {
		return 0, io.ErrClosedPipe
	}
	b.data = append(b.data, p...)
	b.changed.Broadcast()
	return len(p), nil
}

// close ends the buffer. A reader's own close outranks the writer's.
func (b *buffer) close(end error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil || end == net.ErrClosed {
		b.end = end
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	b.changed.Broadcast()
}

func (b *buffer) setDeadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deadline = t
	b.changed.Broadcast() // a reader may be late already
	if b.timer != nil {
		b.timer.Stop()
	}
	if t.IsZero() || b.end != nil {
		return
	}
	wait := max(time.Until(t), 0)
	if b.timer == nil {
		b.timer = time.AfterFunc(wait, b.wake)
		return
	}
	b.timer.Reset(wait)
}

func (b *buffer) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed.Broadcast()
}
