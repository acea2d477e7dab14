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
	to     string
	listen net.Listener

	mu                        sync.Mutex
	delay                     func() time.Duration // of a piece, in one direction
	rate                      int                  // bytes a second in one direction; 0: any
	loseRequests, loseReplies bool
	conns                     map[net.Conn]bool
	lostRequests, lostReplies int // pieces
}

func newWire(t testing.TB, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{to: to, listen: l, delay: func() time.Duration { return 0 }, conns: map[net.Conn]bool{}}
	go w.accept()
	t.Cleanup(func() {
		_ = l.Close() // accept ends with it
		w.mu.Lock()
		defer w.mu.Unlock()
		for c := range w.conns {
			_ = c.Close() // the other end may have been first
		}
	})
	return w
}

// url is the address of Redis through the wire.
func (w *wire) url() string { return "redis://" + w.listen.Addr().String() + "/0" }

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

func (w *wire) accept() {
	for {
		near, err := w.listen.Accept()
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
		w.mu.Unlock()
		go w.carry(far, near, true)
		go w.carry(near, far, false)
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
