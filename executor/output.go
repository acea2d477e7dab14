package executor

import (
	"context"
	"os"
	"sync"

	"carillon/jobs"
)

// What is kept of one attempt's output.
const (
	HeadBytes = 32 << 10  // the first bytes, kept for good
	TailBytes = 224 << 10 // the last bytes; what lies between is dropped
)

// Log is where output is kept while and after a run runs. AppendLog adds chunks
// in order and removes those whose ids it is given, in one round trip, and
// returns the ids of the added ones.
type Log interface {
	AppendLog(ctx context.Context, runID string, add []jobs.LogChunk, drop []string) (ids []string, err error)
}

// Output takes the output of one attempt and brings it to the log while the
// attempt runs. Of any amount it keeps the first HeadBytes and the last
// TailBytes, in bounded memory, and a write never waits for the log: when the
// log is slower than the output, bytes between the head and the tail are
// skipped. A reader of the log sees that in the offsets. A chunk whose reply
// got lost is sent again, so a reader skips what it has already seen.
//
// Output starts a goroutine with the first byte; Flush and Close end it.
type Output struct {
	log     Log
	runID   string
	attempt int

	mu     sync.Mutex // guards the fields down to tail; not held while the log is called
	closed bool
	total  int64  // bytes written
	last   byte   // of them
	head   []byte // of the head, not yet in the log
	tail   ring   // of the rest, not yet in the log

	flusher *flusher // nil until the first byte

	// The flusher's own, and Flush's when the flusher has ended.
	headSent int64
	sent     []sentChunk // of the tail, in the log, oldest first
}

// flusher is the goroutine that sends what waits.
type flusher struct {
	wake  chan struct{} // buffered: there are new bytes
	stop  chan struct{} // closed by Flush
	done  chan struct{} // closed by the flusher
	abort context.CancelFunc
}

// sentChunk is one chunk of the tail that is in the log.
type sentChunk struct {
	id   string
	size int64
}

// NewOutput returns the output of one attempt of a run.
func NewOutput(log Log, runID string, attempt int) *Output {
	return &Output{log: log, runID: runID, attempt: attempt, tail: ring{at: HeadBytes}}
}

// Write takes p. It never waits for the log, and fails only after Close, with
// os.ErrClosed.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.write(p)
}

// Mark writes a line of carillon's own, on a line of its own.
func (o *Output) Mark(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.total > 0 && o.last != '\n' {
		line = "\n" + line
	}
	_, _ = o.write([]byte(line + "\n")) // fails only after Close
}

func (o *Output) write(p []byte) (int, error) {
	if o.closed {
		return 0, os.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	rest := p
	if room := HeadBytes - o.total; room > 0 {
		n := min(int(room), len(p))
		o.head = append(o.head, p[:n]...)
		rest = p[n:]
	}
	o.tail.write(rest)
	o.total += int64(len(p))
	o.last = p[len(p)-1]
	if o.flusher == nil {
		o.startFlusher()
	}
	select {
	case o.flusher.wake <- struct{}{}:
	default:
	}
	return len(p), nil
}

// startFlusher gives the flusher no context of the attempt: what an attempt
// said must reach the log also, and above all, when the attempt was cut short.
func (o *Output) startFlusher() {
	ctx, abort := context.WithCancel(context.Background())
	o.flusher = &flusher{wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}), abort: abort}
	go o.flushLoop(ctx, o.flusher)
}

// Flush sends what is left. While the log fails it tries again until ctx ends. Later
// writes fail.
func (o *Output) Flush(ctx context.Context) {
	o.mu.Lock()
	first := !o.closed
	o.closed = true
	f := o.flusher
	o.mu.Unlock()
	if f == nil {
		return
	}
	if first {
		close(f.stop)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		f.abort()
		<-f.done
	}
	f.abort()
	o.drain(ctx)
}

// Close is Flush, and forgets what could not be sent. It returns how many bytes the
// attempt wrote and how many of them are in the log.
func (o *Output) Close(ctx context.Context) (written, kept int64) {
	o.Flush(ctx)
	o.mu.Lock()
	written = o.total
	o.head, o.tail = nil, ring{at: o.total} // a handler left behind may hold on to o
	o.mu.Unlock()
	return written, o.kept()
}

func (o *Output) kept() int64 {
	n := o.headSent
	for _, c := range o.sent {
		n += c.size
	}
	return n
}
