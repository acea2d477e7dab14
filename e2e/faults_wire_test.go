package e2e

import (
	"flag"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// full asks for the faults as long and as large as docs/faults.md tells of them;
// without it they are shortened until the suite stays quick.
var full = flag.Bool("faults", false, "the tests of docs/faults.md at full length (make faults)")

// atLength is the length of a fault: the first one, or with -faults the second.
func atLength[T any](short, long T) T {
	if *full {
		return long
	}
	return short
}

// wire stands between a node and Redis, as a network does: it may be slow, narrow,
// or lose what it carries in either direction without a word.
type wire struct {
	t    testing.TB
	to   string
	addr string

	mu                        sync.Mutex
	listen                    net.Listener         // nil while it refuses
	delay                     func() time.Duration // of a piece, in one direction
	rate                      int                  // bytes a second in one direction; 0: any
	loseRequests, loseReplies bool
	conns                     map[net.Conn]bool
	lostRequests, lostReplies int // pieces
}

func newWire(t testing.TB, to string) *wire {
	t.Helper()
	w := &wire{t: t, to: to, addr: "127.0.0.1:0", delay: func() time.Duration { return 0 }, conns: map[net.Conn]bool{}}
	w.accept()
	w.addr = w.listen.Addr().String()
	t.Cleanup(w.refuse)
	return w
}

// url is the address of Redis through the wire.
func (w *wire) url() string { return "redis://" + w.addr + "/0" }

// refuse resets every connection, and refuses new ones until accept.
func (w *wire) refuse() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listen != nil {
		_ = w.listen.Close() // serve ends with it
	}
	w.listen = nil
	for c := range w.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close() // the other end may have been first
	}
}

// accept takes connections, at the same address each time.
func (w *wire) accept() {
	w.t.Helper()
	l, err := net.Listen("tcp", w.addr)
	require.NoError(w.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listen = l
	go w.serve(l)
}

// lose says what vanishes from now on. What a connection has lost is lost: that
// direction of it stays dumb, as no retransmission ever comes.
func (w *wire) lose(requests, replies bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loseRequests, w.loseReplies = requests, replies
}

// slow sets the delay of every piece, and how many bytes a second get through.
func (w *wire) slow(delay func() time.Duration, rate int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay, w.rate = delay, rate
}

func (w *wire) serve(l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.to)
		if err != nil {
			_ = near.Close() // who dialed sees that nobody is there
			continue
		}
		w.mu.Lock()
		w.conns[near], w.conns[far] = true, true
		refused := w.listen != l
		w.mu.Unlock()
		go w.carry(far, near, true)
		go w.carry(near, far, false)
		if refused { // meanwhile
			_, _ = near.Close(), far.Close()
		}
	}
}

// piece is what was read at once, and when it arrives.
type piece struct {
	data []byte
	at   time.Time
}

// carry takes what comes from one end to the other, in order.
func (w *wire) carry(to, from net.Conn, requests bool) {
	pieces := make(chan piece, 4096)
	go func() {
		defer func() { _ = to.Close() }()
		for p := range pieces {
			<-time.After(time.Until(p.at))
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close() // the reader below ends with it
			}
		}
	}()
	defer func() {
		close(pieces)
		w.mu.Lock()
		delete(w.conns, from)
		w.mu.Unlock()
		_ = from.Close()
	}()
	var last time.Time
	dumb := false
	for {
		buf := make([]byte, 16<<10)
		n, err := from.Read(buf)
		if n > 0 {
			w.mu.Lock()
			if requests && w.loseRequests {
				dumb = true
				w.lostRequests++
			}
			if !requests && w.loseReplies {
				dumb = true
				w.lostReplies++
			}
			at := time.Now().Add(w.delay())
			if at.Before(last) {
				at = last
			}
			if w.rate > 0 {
				at = at.Add(time.Duration(n) * time.Second / time.Duration(w.rate))
			}
			w.mu.Unlock()
			last = at
			if !dumb {
				pieces <- piece{data: buf[:n], at: at}
			}
		}
		if err != nil {
			if err != io.EOF {
				_ = to.Close() // reset here, reset there
			}
			return
		}
	}
}

// beginAt starts a node that reaches Redis at another address than the fleet's.
func (f *fleet) beginAt(url, name string, args ...string) *process {
	f.t.Helper()
	return f.begin(name, append(args, "--redis", url)...) // the last one counts
}

// upAt is beginAt, and waits until the node takes part.
func (f *fleet) upAt(url, name string, args ...string) *process {
	f.t.Helper()
	p := f.beginAt(url, name, args...)
	p.says(patience, `"msg":"up"`)
	return p
}

// lines counts the lines of a process that have all the words.
func (p *process) lines(words ...string) (n int) {
	for line := range strings.Lines(p.stderr()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			n++
		}
	}
	return n
}
