package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// A fleet lives in one slot of a Redis Cluster: all its keys have one hash tag. So
// its store is a plain client of one server, the master of that slot, and what is
// special about a cluster is only to find it, and to notice that it is another one
// now. The cluster client of the library is for keys all over the place, and does
// what we must not do: it sends TIME, PING and INFO to any node, repeats what may
// have been carried out, and follows ASK, which during the migration of a slot lets a
// script see half of the keys. Here nothing is redirected: MOVED and ASK mean that
// the call was not carried out, and the caller repeats it.

// owner finds and remembers the master of a slot, for the clients of one store.
type owner struct {
	slot  int
	seeds []string
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	ask   func(ctx context.Context, addr string) (slotNodes, error)
	moved func(to string) // told when another node has the slot

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	addr    string   // the master; "" before the first answer
	others  []string // its replicas, and a few other nodes of the cluster
	err     error    // of the last search
	last    time.Time
	looking chan struct{} // closed when the search under way is over; nil: there is none
	conns   map[*ownedConn]struct{}
	closed  bool
}

// slotNodes is what a node of the cluster says of a slot.
type slotNodes struct {
	master string   // host:port
	others []string // its replicas first, then nodes of other slots; at most othersKept
}

// othersKept is how many nodes beside the seeds are asked who has the slot.
const othersKept = 8

const (
	// askPatience is how long one node of the cluster may take to say who has a slot.
	askPatience = time.Second
	// lookPause lies between two searches: while a fail-over lasts every call fails.
	lookPause = 100 * time.Millisecond
)

func newOwner(t *target, slot int, o *redis.Options, moved func(to string)) *owner {
	w := &owner{slot: slot, seeds: t.nodes, dial: o.Dialer, moved: moved, conns: map[*ownedConn]struct{}{}}
	if w.dial == nil {
		w.dial = redis.NewDialer(o)
	}
	w.ask = func(ctx context.Context, addr string) (slotNodes, error) { return askSlots(ctx, o, w.dial, addr, slot) }
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// close ends the search. The clients close their connections themselves.
func (w *owner) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.cancel()
	w.wg.Wait()
}

// connect is the dialer of the clients: it connects to the master of the slot.
func (w *owner) connect(ctx context.Context, network, _ string) (net.Conn, error) {
	addr, err := w.where(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := w.dial(ctx, network, addr)
	if err != nil {
		w.look()
		return nil, passing(fmt.Sprintf("connect to %s, the master of our slot %d", addr, w.slot), err)
	}
	c := &ownedConn{Conn: conn, owner: w, addr: addr}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.addr != addr || w.closed {
		_ = conn.Close()
		return nil, &Error{Op: "connect to " + addr, Class: Transient, Err: fmt.Errorf("another node of the cluster has slot %d now", w.slot)}
	}
	w.conns[c] = struct{}{}
	if sys, ok := conn.(syscall.Conn); ok { // what the library checks idle connections by; TLS has none
		return struct {
			*ownedConn
			syscall.Conn
		}{c, sys}, nil
	}
	return c, nil
}

// where returns the master, and searches for it first when none is known.
func (w *owner) where(ctx context.Context) (string, error) {
	w.mu.Lock()
	addr := w.addr
	w.mu.Unlock()
	if addr != "" {
		return addr, nil
	}
	select {
	case <-w.look():
	case <-ctx.Done():
		return "", ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.addr == "" {
		return "", w.err
	}
	return w.addr, nil
}

// look starts a search unless one is under way; the channel is closed at its end.
func (w *owner) look() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.looking != nil {
		return w.looking
	}
	done := make(chan struct{})
	if w.closed {
		close(done)
		return done
	}
	w.looking = done
	pause := lookPause - time.Since(w.last)
	w.wg.Go(func() {
		select {
		case <-w.ctx.Done():
		case <-time.After(pause):
			w.search()
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.last, w.looking = time.Now(), nil
		close(done)
	})
	return done
}

// search asks all the nodes we know at once. The first answer counts, but for that
// of the master we had: one that was cut off or stopped for a while is the last to
// learn that it has been replaced.
func (w *owner) search() {
	w.mu.Lock()
	had := w.addr
	nodes := slices.Concat(w.others, w.seeds)
	if had != "" {
		nodes = append(nodes, had)
	}
	w.mu.Unlock()
	slices.Sort(nodes)
	nodes = slices.Compact(nodes)

	type answer struct {
		from string
		slotNodes
		err error
	}
	ctx, cancel := context.WithTimeout(w.ctx, askPatience)
	defer cancel()
	answers := make(chan answer, len(nodes))
	for _, node := range nodes {
		w.wg.Go(func() {
			found, err := w.ask(ctx, node)
			answers <- answer{node, found, err}
		})
	}
	var own, failed *answer
	for range nodes {
		a := <-answers
		switch {
		case a.err != nil:
			if failed == nil || ClassOf(a.err) == Fatal {
				failed = &a
			}
		case a.from == had:
			own = &a
		default:
			w.take(a.slotNodes)
			return
		}
	}
	if own != nil {
		w.take(own.slotNodes)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = passing("ask "+failed.from+" who has our slot", failed.err)
}

// passing is wrap for what may be over when another node of the cluster is asked.
func passing(op string, err error) error {
	var e *Error
	if !errors.As(wrap(op, err), &e) {
		return fmt.Errorf("%s: %w", op, err)
	}
	found := &Error{Op: op, Class: e.Class, Hint: e.Hint, Err: err}
	if found.Class == Loading || found.Class == Unclassified {
		found.Class = Transient
	}
	return found
}

// take notes who has the slot. Connections to whoever had it are closed: those of
// a pool that nobody uses would stay, and so would a subscription.
func (w *owner) take(found slotNodes) {
	w.mu.Lock()
	had := w.addr
	w.addr = found.master
	if found.others != nil {
		w.others = found.others
	}
	var old []*ownedConn
	for c := range w.conns {
		if c.addr != found.master {
			old = append(old, c)
		}
	}
	w.mu.Unlock()
	for _, c := range old {
		_ = c.Close()
	}
	if had != "" && had != found.master {
		w.moved(found.master)
	}
}

// learn takes from an error of a call that the slot may be elsewhere, and returns
// the error as it is for our callers.
func (w *owner) learn(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return err
	}
	text := err.Error()
	switch word, _, _ := strings.Cut(text, " "); word {
	case "MOVED": // slot host:port
		words := strings.Fields(text)
		host, port, split := "", "", error(nil)
		if len(words) == 3 {
			host, port, split = net.SplitHostPort(words[2])
		}
		if host == "" || host == "?" || port == "" || split != nil {
			w.look()
		} else {
			w.take(slotNodes{master: words[2]})
		}
		return &Error{Op: "reach our slot", Class: Transient, Hint: "another node of the cluster has it; carillon goes on there by itself", Err: err}
	case "CLUSTERDOWN":
		w.look()
		return err
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return err // of connect, which looks
	}
	switch class, _ := classify(err); {
	case class == Loading: // another one may have the slot by now
		w.look()
		return passing("reach our slot", err)
	case class == Transient && !isReply(err):
		w.look() // no answer, or the connection was cut
	}
	return err
}

func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// ownedConn is a connection that its owner can close.
type ownedConn struct {
	net.Conn
	owner *owner
	addr  string
}

func (c *ownedConn) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.conns, c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

// slotErrors reads the errors of a client's calls.
type slotErrors struct{ *owner }

func (slotErrors) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h slotErrors) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if learned := h.learn(err); learned != err {
			cmd.SetErr(learned)
			return learned
		}
		return err
	}
}

func (h slotErrors) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		var first error
		for _, cmd := range cmds {
			if learned := h.learn(cmd.Err()); learned != cmd.Err() {
				cmd.SetErr(learned)
			}
			if first == nil {
				first = cmd.Err()
			}
		}
		if first != nil {
			return first
		}
		return err
	}
}

// askSlots asks one node of the cluster who has a slot.
func askSlots(ctx context.Context, o *redis.Options, dial func(ctx context.Context, network, addr string) (net.Conn, error), addr string, slot int) (slotNodes, error) {
	one := *o
	one.Addr, one.Dialer = addr, dial
	c := redis.NewClient(honest(&one, askPatience, 1))
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })() // a context does not end a read
	ranges, err := c.Do(ctx, "CLUSTER", "SLOTS").Slice()
	if err != nil {
		return slotNodes{}, err
	}
	host, _, _ := net.SplitHostPort(addr)
	return findSlot(ranges, slot, host)
}

// findSlot reads the answer of CLUSTER SLOTS: [[from, to, [host, port, …] of the
// master, of a replica, …], …]. A node that does not know its own name leaves the
// host out; it is the one we asked it by.
func findSlot(ranges []any, slot int, asked string) (slotNodes, error) {
	var found slotNodes
	var elsewhere []string
	for _, r := range ranges {
		r, _ := r.([]any)
		if len(r) < 3 {
			continue
		}
		var addrs []string
		for _, node := range r[2:] {
			node, _ := node.([]any)
			if len(node) < 2 {
				continue
			}
			host := toString(node[0])
			if host == "" || host == "?" {
				host = asked
			}
			addrs = append(addrs, net.JoinHostPort(host, strconv.FormatInt(toInt(node[1]), 10)))
		}
		if toInt(r[0]) <= int64(slot) && int64(slot) <= toInt(r[1]) && len(addrs) > 0 {
			found = slotNodes{master: addrs[0], others: addrs[1:]}
		} else {
			elsewhere = append(elsewhere, addrs...)
		}
	}
	if found.master == "" {
		return slotNodes{}, &Error{Op: "find our slot", Class: Transient, Err: fmt.Errorf("no node has slot %d", slot), Hint: "see CLUSTER INFO"}
	}
	for _, addr := range elsewhere {
		if len(found.others) < othersKept && addr != found.master && !slices.Contains(found.others, addr) {
			found.others = append(found.others, addr)
		}
	}
	return found, nil
}

// slotOf is the slot of all keys with this hash tag: CRC16 (XMODEM) of it, modulo
// the 16384 slots of a cluster.
func slotOf(tag string) int {
	var crc uint16
	for _, b := range []byte(tag) {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc % 16384)
}
