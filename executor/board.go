package executor

import (
	"slices"
	"sync"
	"time"

	"carillon/jobs"
)

// board is what the executor's goroutines share: free slots, results that wait
// to be written, and whether there may be runs to claim. It is a mutex and a
// condition; nothing here does I/O.
type board struct {
	mu      sync.Mutex
	changed *sync.Cond
	free    int
	results []jobs.Result
	ended   []*attempt          // whose results those are
	sending [lanes][]*attempt   // whose results are under way
	past    memory              // ends that were accepted
	hungry  bool                // runs may be waiting in Redis
	woken   bool                // and somebody said so since the last claim was sent
	resting bool                // no claims for a moment
	closing bool                // no more claims
	over    bool                // and nothing more to write is to come
	running map[string]*attempt // by token
	giving  map[string]*attempt // those that are being given back
}

func newBoard(slots int) *board {
	b := &board{free: slots, running: make(map[string]*attempt), giving: make(map[string]*attempt), hungry: true}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// take blocks until there is something to exchange and reserves it: results to
// write, and slots to fill (at most share). ok is false when all is said.
func (b *board) take(lane, share int) (results []jobs.Result, want int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		claim := b.hungry && !b.closing && !b.resting && b.free > 0
		if len(b.results) > 0 || claim {
			n := min(len(b.results), jobs.MaxBatch)
			results = append(results, b.results[:n]...)
			b.results = append(b.results[:0], b.results[n:]...)
			b.sending[lane] = append(b.sending[lane][:0], b.ended[:n]...)
			b.ended = slices.Delete(b.ended, 0, n)
			if claim {
				want = min(b.free, share)
				b.free -= want
				// Whoever finds that there is more says so again.
				b.hungry, b.woken = b.free > 0, false
			}
			return results, want, true
		}
		if b.over {
			return nil, 0, false
		}
		b.changed.Wait()
	}
}

// claimed gives back the slots of a claim that it did not fill. more says that
// the claim ended because it had enough, not because the queues were empty.
func (b *board) claimed(unused int, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += unused
	// A bell that rang while the claim was under way is not answered by it.
	b.hungry = more || b.woken
	b.changed.Broadcast()
}

// wake says that runs may be waiting. It returns false when there is no slot to
// put one in.
func (b *board) wake() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing || b.resting || b.free == 0 {
		return false
	}
	b.hungry, b.woken = true, true
	b.changed.Broadcast()
	return true
}

// rest keeps the board from claims for a while: what it claims cannot be started.
func (b *board) rest(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.resting {
		return
	}
	b.resting = true
	time.AfterFunc(d, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.resting, b.hungry = false, true
		b.changed.Broadcast()
	})
}

// waitFree blocks until there is a free slot and claims are made; false when they are over.
func (b *board) waitFree() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for (b.free == 0 || b.resting) && !b.closing {
		b.changed.Wait()
	}
	return !b.closing
}

// begin registers an attempt in a slot that take reserved. It returns false when
// the executor is closing: the run is to be given back. The attempt is counted
// under the lock, so that none is added once the drain waits for them.
func (b *board) begin(a *attempt, count *sync.WaitGroup) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return false
	}
	b.running[a.claim.Token] = a
	count.Add(1)
	return true
}

// end frees the slot of an attempt and hands in its result, if it has one.
func (b *board) end(a *attempt, result *jobs.Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.running, a.claim.Token)
	b.free++
	if result != nil {
		b.results = append(b.results, *result)
		b.ended = append(b.ended, a)
	}
	b.changed.Signal()
	if b.closing || b.free == 1 {
		b.changed.Broadcast() // the bell and the drain wait for this too
	}
}

// told says that the results a lane took were answered: those that count are remembered.
func (b *board) told(lane int, results []jobs.Result, answers []jobs.FinishAnswer, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, a := range b.sending[lane] {
		if answers[i] == jobs.FinishOK {
			b.past.add(a, &results[i], now)
		}
	}
	clear(b.sending[lane])
	b.sending[lane] = b.sending[lane][:0]
}

// keep takes results back that could not be written.
func (b *board) keep(lane int, results []jobs.Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.results = append(b.results, results...)
	b.ended = append(b.ended, b.sending[lane]...)
	b.sending[lane] = nil
}

// close ends the claims.
func (b *board) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closing = true
	b.changed.Broadcast()
}

func (b *board) isClosing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closing
}

// finish lets the lanes end once every result is written.
func (b *board) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	b.changed.Broadcast()
}

// attempts is a snapshot of what runs.
func (b *board) attempts() []*attempt {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*attempt, 0, len(b.running))
	for _, a := range b.running {
		list = append(list, a)
	}
	return list
}

func (b *board) runningCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.running)
}

// give notes that a run is being given back; gave that it was.
func (b *board) give(a *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.giving[a.claim.Token] = a
}

func (b *board) gave(token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.giving, token)
}

// untold are attempts that have ended, and whose results or return the store has not answered.
func (b *board) untold() []*attempt {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := append([]*attempt(nil), b.ended...)
	for _, a := range b.giving {
		list = append(list, a)
	}
	for _, sent := range b.sending {
		list = append(list, sent...)
	}
	return list
}

// remembered are the ends of attempts that the store accepted since then, of each run the last.
func (b *board) remembered(since time.Time) []record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.past.since(since)
}

func (b *board) unwritten() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.results)
}
