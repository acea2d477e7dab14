package leader_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
	"carillon/leader"
)

// cluster is some electors on one server, and what they did.
type cluster struct {
	t    testing.TB
	dial redistest.DialFunc
	addr string
	ns   string
	ttl  time.Duration
	m    *miniredis.Miniredis // nil on a real server

	lossy bool // data is thrown away in this test: two may believe for a while

	begun chan *reignRecord // each term as it begins
	mu    sync.Mutex
	all   []*reignRecord
}

// reignRecord is one call of a lead function.
type reignRecord struct {
	leader.Term
	by   *node
	ctx  context.Context
	from time.Time

	ended    chan struct{} // closed when ctx has ended and the fields below are set
	to       time.Time
	why      error
	lockLeft time.Duration // of the lock when ctx ended; miniredis only
}

type node struct {
	*leader.Elector
	name string
	seat *testSeat
	stop context.CancelCauseFunc
	gone chan struct{} // closed when Run has returned
}

// nodeOptions are the ways in which a node of a test differs.
type nodeOptions struct {
	deaf bool            // hears no hints
	lead leader.LeadFunc // called inside the recording lead, which otherwise waits for ctx
	prep func(*node)     // before Run
	log  slog.Handler

	yield func(ctx context.Context, vacant time.Time) (why string)
}

// bubble makes a cluster inside a synctest bubble.
func bubble(t *testing.T) *cluster {
	dial, m := redistest.Bubble(t)
	// go-redis probes a dead server once a second; the probe sees only then
	// that its client was closed.
	t.Cleanup(func() { time.Sleep(2 * time.Second) })
	return &cluster{t: t, dial: dial, addr: "127.0.0.1:6379", ns: "test", ttl: leader.DefaultTTL, m: m,
		begun: make(chan *reignRecord, 1000)}
}

func (c *cluster) start(name string, o nodeOptions) *node {
	c.t.Helper()
	n := &node{name: name, seat: newSeat(c.t, c.dial, c.addr, c.ns, o.deaf), gone: make(chan struct{})}
	if o.log == nil {
		o.log = slog.NewTextHandler(c.t.Output(), nil)
	}
	n.Elector = leader.New(n.seat, leader.Config{Node: name, TTL: c.ttl, Logger: slog.New(o.log), Yield: o.yield})
	if o.prep != nil {
		o.prep(n)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	n.stop = stop
	go func() {
		defer close(n.gone)
		assert.NoError(c.t, n.Run(ctx, c.recorded(n, o.lead)))
	}()
	c.t.Cleanup(func() { stop(nil); <-n.gone })
	return n
}

func (c *cluster) recorded(n *node, inner leader.LeadFunc) leader.LeadFunc {
	return func(ctx context.Context, term leader.Term) error {
		r := &reignRecord{Term: term, by: n, ctx: ctx, from: time.Now(), ended: make(chan struct{})}
		c.mu.Lock()
		for _, other := range c.all {
			if !c.lossy && other.ctx.Err() == nil {
				assert.Failf(c.t, "two trusted leaders", "%s and %s", other.Token, term.Token)
			}
			assert.Less(c.t, other.Epoch, term.Epoch, "epochs only grow")
			assert.NotEqual(c.t, other.Token, term.Token)
		}
		c.all = append(c.all, r)
		c.mu.Unlock()
		c.begun <- r
		context.AfterFunc(ctx, func() { // ctx always ends, soon after lead has returned
			r.to, r.why = time.Now(), context.Cause(ctx)
			if c.m != nil {
				r.lockLeft = c.m.TTL(n.seat.LockKey())
			}
			close(r.ended)
		})
		if inner != nil {
			return inner(ctx, term)
		}
		<-ctx.Done()
		return nil
	}
}

// next waits for the next term to begin.
func (c *cluster) next(within time.Duration) *reignRecord {
	c.t.Helper()
	select {
	case r := <-c.begun:
		return r
	case <-time.After(within):
		require.FailNow(c.t, fmt.Sprintf("nobody was elected within %v", within))
		return nil
	}
}

// none asserts that no term begins for a while.
func (c *cluster) none(during time.Duration) {
	c.t.Helper()
	select {
	case r := <-c.begun:
		require.FailNow(c.t, "an election", "%s", r.Token)
	case <-time.After(during):
	}
}

// end waits for the end of a term.
func (c *cluster) end(r *reignRecord, within time.Duration) {
	c.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(within):
		require.FailNow(c.t, fmt.Sprintf("%s still leads after %v", r.Token, within))
	}
}

// crash ends a node as kill -9 would: nothing it sends arrives any more.
func (n *node) crash() {
	n.seat.link.Set(redistest.Refuse)
	n.seat.lockLink.Set(redistest.Refuse)
	n.stop(nil)
}

// cutOff takes away a node's network, or gives it back.
func (n *node) cutOff(f redistest.Fault) {
	n.seat.link.Set(f)
	n.seat.lockLink.Set(f)
}
