package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/internal/redistest"
	"carillon/leader"
)

// parliament is a Redis for the data and several for the lock, in a bubble, and
// nodes that stand for election there.
type parliament struct {
	t     *testing.T
	data  *bench
	locks []*bench

	begun chan *reign
	mu    sync.Mutex
	all   []*reign
}

// bench is one Redis of the parliament.
type bench struct {
	addr string
	link *redistest.Link
	m    *miniredis.Miniredis
}

// reign is one call of a lead function.
type reign struct {
	leader.Term
	by   *deputy
	from time.Time
	ctx  context.Context
	over chan struct{}
}

func (r *reign) why() error { <-r.over; return context.Cause(r.ctx) }

// deputy is a node.
type deputy struct {
	*Store
	name string
	stop context.CancelFunc
	gone chan struct{}
	cut  map[string]*redistest.Link // by address
}

const quorumTTL = leader.DefaultTTL

// newParliament has n lock Redises; their clocks differ by skew from one to the next.
func newParliament(t *testing.T, n int, skew time.Duration) *parliament {
	p := &parliament{t: t, begun: make(chan *reign, 1000)}
	open := func(addr string, off time.Duration) *bench {
		dial, m := redistest.Bubble(t)
		if off != 0 {
			m.SetTime(time.Now().Add(off))
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for ctx.Err() == nil {
					m.SetTime(time.Now().Add(off))
					select {
					case <-ctx.Done():
					case <-time.After(20 * time.Millisecond):
					}
				}
			}()
			t.Cleanup(func() { cancel(); <-done })
		}
		return &bench{addr: addr, link: redistest.NewLink(dial), m: m}
	}
	// go-redis probes a dead server once a second; the probe sees only then
	// that its client was closed.
	t.Cleanup(func() { time.Sleep(3 * time.Second) })
	p.data = open("10.0.0.1:6379", 0)
	for i := range n {
		p.locks = append(p.locks, open(fmt.Sprintf("10.0.1.%d:6379", i+1), time.Duration(i)*skew))
	}
	return p
}

// seat is a node's store, without the node. lock says whether it knows of the lock Redises.
func (p *parliament) seat(name string, lock bool) *deputy {
	p.t.Helper()
	d := &deputy{name: name, gone: make(chan struct{}), cut: map[string]*redistest.Link{}}
	var urls []string
	for _, b := range append([]*bench{p.data}, p.locks...) {
		d.cut[b.addr] = redistest.NewLink(b.link.Dial)
	}
	for _, b := range p.locks {
		urls = append(urls, "redis://"+b.addr+"/0")
	}
	if !lock {
		urls = nil
	}
	s, err := Open(Options{URL: "redis://" + p.data.addr, LockRedis: urls, Namespace: "test", Node: name, Boot: "b-" + name,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return d.cut[addr].Dial(ctx, network, addr)
		}})
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = s.Close() })
	d.Store = s
	return d
}

// start makes a node stand for election. As leader it writes ten times a second,
// as every script of a leader does: see written.
func (p *parliament) start(name string, lock bool) *deputy {
	d := p.seat(name, lock)
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	control := make(chan struct{})
	go func() { defer close(control); _ = d.ReceiveControl(ctx) }()
	e := leader.New(d.Store, leader.Config{Node: name, Boot: d.opts.Boot, TTL: quorumTTL, Quorum: d.Quorum(),
		Logger: slog.New(slog.NewTextHandler(p.t.Output(), nil))})
	go func() {
		defer close(d.gone)
		assert.NoError(p.t, e.Run(ctx, func(ctx context.Context, term leader.Term) error { return p.lead(ctx, d, term) }))
		<-control
	}()
	p.t.Cleanup(func() { stop(); <-d.gone })
	return d
}

var leaderWrites = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[2])
return 1`)

func (p *parliament) lead(ctx context.Context, d *deputy, term leader.Term) error {
	r := &reign{Term: term, by: d, from: time.Now(), ctx: ctx, over: make(chan struct{})}
	context.AfterFunc(ctx, func() { close(r.over) })
	p.mu.Lock()
	p.all = append(p.all, r)
	p.mu.Unlock()
	p.begun <- r
	for {
		call, cancel := context.WithTimeout(ctx, time.Second)
		_ = leaderWrites.Run(call, d.cmd, []string{d.keys.leader(), "{test}:written"}, term.Token, fmt.Sprintf("%d %s", term.Epoch, term.Token)).Err()
		cancel()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p *parliament) next(within time.Duration) *reign {
	p.t.Helper()
	select {
	case r := <-p.begun:
		return r
	case <-time.After(within):
		require.FailNow(p.t, "nobody was elected", "within %v", within)
		return nil
	}
}

func (p *parliament) none(during time.Duration) {
	p.t.Helper()
	select {
	case r := <-p.begun:
		require.FailNow(p.t, "an election", "%s", r.Token)
	case <-time.After(during):
	}
}

// installed is the token that scripts accept now.
func (p *parliament) installed() string {
	v, _ := p.data.m.Get("{test}:leader")
	return v
}

// safe asserts what holds whatever happened, while the data was kept: no write of
// an earlier term was accepted after one of a later term.
func (p *parliament) safe() {
	p.t.Helper()
	list, err := p.data.m.List("{test}:written")
	if errors.Is(err, miniredis.ErrKeyNotFound) {
		return
	}
	require.NoError(p.t, err)
	require.True(p.t, slices.IsSortedFunc(list, func(a, b string) int {
		x, _, _ := strings.Cut(a, " ")
		y, _, _ := strings.Cut(b, " ")
		return int(toInt(x) - toInt(y))
	}), "writes in the order of their epochs: %v", list)
	blocks := map[string]bool{}
	for i, w := range list {
		if i > 0 && list[i-1] == w {
			continue
		}
		require.False(p.t, blocks[w], "a term that was over wrote again: %s", w)
		blocks[w] = true
	}
}

// restartEmpty is a Redis that was killed and comes back without its data.
func (b *bench) restartEmpty() {
	b.link.Set(redistest.Refuse)
	b.m.FlushAll()
	b.link.Set(redistest.Pass)
}

func TestAQuorumElectsOneLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParliament(t, 5, time.Hour)
		for i := range 5 {
			p.start(fmt.Sprint("n", i), true)
		}
		now := p.next(5 * time.Second)
		p.none(4 * quorumTTL)
		require.Equal(t, now.Token, p.installed())
		l, led, err := now.by.Leader(t.Context())
		require.NoError(t, err)
		require.True(t, led)
		require.Equal(t, now.Epoch, l.Epoch)
		require.Equal(t, now.by.name, l.Node)
		require.Greater(t, now.Epoch, now.from.Add(2*time.Hour-time.Second).UnixMilli(), "the highest clock of any three counts")
		for _, b := range p.locks {
			v, _ := b.m.Get("{test}:lock")
			require.Equal(t, now.Token, v, "the lock lies on all of them")
		}
		for range 4 {
			start, before := time.Now(), now
			now.by.stop()
			now = p.next(2 * time.Second)
			t.Logf("a successor after %v", now.from.Sub(start))
			require.Greater(t, now.Epoch, before.Epoch)
		}
		p.safe()
	})
}

// A leader that dies is replaced as with one Redis: when its token has expired.
func TestAQuorumReplacesADeadLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParliament(t, 3, 0)
		for i := range 3 {
			p.start(fmt.Sprint("n", i), true)
		}
		first := p.next(5 * time.Second)
		time.Sleep(quorumTTL)
		for _, l := range first.by.cut {
			l.Set(redistest.Refuse)
		}
		died := time.Now()
		second := p.next(quorumTTL + time.Second)
		t.Logf("a successor after %v", second.from.Sub(died))
		require.Greater(t, second.Epoch, first.Epoch)
		p.safe()
	})
}

// Leadership goes on while most of the lock Redises live, whatever the others do,
// and also when each of them in its turn comes back without its memory.
func TestALeaderOutlivesAMinorityOfLockRedises(t *testing.T) {
	for name, fault := range map[string]func(b *bench){
		"dead":    func(b *bench) { b.link.Set(redistest.Refuse) },
		"hanging": func(b *bench) { b.link.Set(redistest.Blackhole) },
		"silent":  func(b *bench) { b.link.Set(redistest.LoseReplies) },
		"empty":   (*bench).restartEmpty,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newParliament(t, 5, -time.Hour)
				for i := range 3 {
					p.start(fmt.Sprint("n", i), true)
				}
				now := p.next(5 * time.Second)
				for i := range 5 {
					a, b := p.locks[i], p.locks[(i+1)%5]
					fault(a)
					fault(b)
					p.none(3 * quorumTTL)
					a.link.Set(redistest.Pass)
					b.link.Set(redistest.Pass)
					p.none(2 * quorumTTL)
					v, _ := a.m.Get("{test}:lock")
					require.Equal(t, now.Token, v, "it was locked again")
				}
				require.Equal(t, now.Token, p.installed())

				// And an election succeeds with the rest.
				fault(p.locks[0])
				fault(p.locks[3])
				now.by.stop()
				start := time.Now()
				next := p.next(10 * time.Second)
				t.Logf("a successor after %v", next.from.Sub(start))
				p.none(2 * quorumTTL)
				p.safe()
			})
		})
	}
}

func TestNobodyLeadsWithoutMostLockRedises(t *testing.T) {
	for name, fault := range map[string]redistest.Fault{"dead": redistest.Refuse, "hanging": redistest.Blackhole} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newParliament(t, 5, time.Hour)
				for i := range 3 {
					p.start(fmt.Sprint("n", i), true)
				}
				first := p.next(5 * time.Second)
				gone := time.Now()
				for _, b := range p.locks[:3] {
					b.link.Set(fault)
				}
				require.ErrorIs(t, first.why(), leader.ErrTrustExpired)
				require.LessOrEqual(t, time.Since(gone), quorumTTL)
				time.Sleep(2 * time.Second)
				require.Empty(t, p.installed(), "scripts accept nobody's token")
				p.none(4 * quorumTTL)
				for _, b := range p.locks {
					b.link.Set(redistest.Pass)
				}
				second := p.next(2 * quorumTTL)
				require.Greater(t, second.Epoch, first.Epoch)
				p.none(2 * quorumTTL)
				p.safe()
			})
		})
	}
}

// The Redis of the data comes back empty: the lock Redises remember the epochs.
func TestAQuorumRemembersWhatTheDataForgot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParliament(t, 3, time.Hour)
		p.start("a", true)
		p.start("b", true)
		first := p.next(5 * time.Second)
		p.data.restartEmpty()
		second := p.next(quorumTTL + time.Second)
		require.ErrorIs(t, first.why(), leader.ErrLost)
		require.Greater(t, second.Epoch, first.Epoch)
		p.none(2 * quorumTTL)
		p.safe()
	})
}

// The lock Redises come back empty, all of them: whoever has the token goes on, and
// the next one is above it although nobody but the data remembers.
func TestTheDataRemembersWhatAQuorumForgot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParliament(t, 3, time.Hour)
		a := p.start("a", true)
		first := p.next(5 * time.Second)
		for _, b := range p.locks {
			b.restartEmpty()
			b.m.SetTime(time.Now().Add(-24 * time.Hour)) // once: the clocks of this test go on
		}
		p.none(2 * quorumTTL)
		for _, b := range p.locks {
			b.m.FlushAll()
		}
		// What the clocks propose is lower than what was installed.
		p.locks[1].m.HSet("{test}:lock_epoch", "epoch", "1", "token", "x")
		require.NoError(t, a.cmd.HSet(t.Context(), "{test}:term", "epoch", time.Now().Add(1000*time.Hour).UnixMilli()).Err())
		a.stop()
		<-a.gone
		p.start("b", true)
		second := p.next(2 * quorumTTL)
		require.Greater(t, second.Epoch, time.Now().Add(1000*time.Hour).UnixMilli()-quorumTTL.Milliseconds()*20)
		require.Greater(t, second.Epoch, first.Epoch)
		p.safe()
	})
}

// A winner that stood still between the lock and its installation comes too late:
// the Redis of the data refuses it, and so do the lock Redises.
func TestADelayedWinnerIsRefused(t *testing.T) {
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				p := newParliament(t, 3, skew)
				old, late := p.seat("old", true), p.seat("late", true)
				ask := func(d *deputy, from []int, f func(i int) (bool, int64, error)) (granted int, highest int64) {
					for _, i := range from {
						ok, known, err := f(i)
						require.NoError(t, err)
						if ok {
							granted++
						}
						highest = max(highest, known)
					}
					return granted, highest
				}
				lock := func(d *deputy, token string, on ...int) {
					for _, i := range on {
						require.NoError(t, p.locks[i].m.Set("{test}:lock", token))
					}
				}
				elect := func(d *deputy, token string, on ...int) int64 {
					q := d.Quorum()
					granted, epoch := ask(d, on, func(i int) (bool, int64, error) { return q.Propose(ctx, i, token, 0) })
					require.Equal(t, len(on), granted)
					granted, _ = ask(d, on, func(i int) (bool, int64, error) { return q.Record(ctx, i, token, epoch) })
					require.Equal(t, len(on), granted)
					return epoch
				}
				lock(old, "old:1", 0, 1)
				first := elect(old, "old:1", 0, 1)
				// It stands still here; the lock expires, another one wins elsewhere.
				lock(late, "late:1", 1, 2)
				second := elect(late, "late:1", 1, 2)
				require.Greater(t, second, first)
				in, err := late.Quorum().InstallAt(ctx, "late:1", "late", second, quorumTTL)
				require.NoError(t, err)
				require.True(t, in.OK)

				again, err := late.Quorum().InstallAt(ctx, "late:1", "late", second, quorumTTL)
				require.NoError(t, err)
				require.Equal(t, in, again, "a repeat is answered as the first")
				in, err = old.Quorum().InstallAt(ctx, "old:1", "old", first, quorumTTL)
				require.NoError(t, err)
				require.Equal(t, leader.Installed{Epoch: second, Holder: "late:1"}, in)
				require.Equal(t, "late:1", p.installed())
				granted, _ := ask(old, []int{0, 1, 2}, func(i int) (bool, int64, error) { return old.Quorum().Propose(ctx, i, "old:1", second) })
				require.Equal(t, 1, granted, "its lock is left on one alone: no quorum for a higher epoch")
				held, err := old.Quorum().Prolong(ctx, "old:1", quorumTTL)
				require.NoError(t, err)
				require.False(t, held)
				removed, err := old.Quorum().Uninstall(ctx, "old:1")
				require.NoError(t, err)
				require.False(t, removed)
			})
		})
	}
}

// A node that does not know of the lock Redises elects itself on the Redis of the
// data. That is a mistake, and yet the scripts accept one token at a time, and
// never one that they had stopped accepting.
func TestMixedElectionsAreSafe(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				p := newParliament(t, 3, time.Duration(r.IntN(3)-1)*time.Hour)
				nodes := []*deputy{p.start("q1", true), p.start("q2", true), p.start("alone", false)}
				for range 40 {
					b := p.locks[r.IntN(len(p.locks))]
					d := nodes[r.IntN(len(nodes))]
					switch r.IntN(6) {
					case 0:
						b.link.Set(redistest.Refuse)
					case 1:
						b.link.Set(redistest.Blackhole)
					case 2:
						b.restartEmpty()
					case 3:
						d.cut[p.data.addr].Set(redistest.Fault(r.IntN(5)))
					case 4:
						d.cut[b.addr].Set(redistest.Fault(r.IntN(5)))
					case 5: // somebody loses the seat
						p.data.m.Del("{test}:leader")
					}
					time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
					if r.IntN(3) == 0 {
						for _, b := range p.locks {
							b.link.Set(redistest.Pass)
						}
						for _, d := range nodes {
							for _, l := range d.cut {
								l.Set(redistest.Pass)
							}
						}
					}
				}
				for _, b := range p.locks {
					b.link.Set(redistest.Pass)
				}
				for _, d := range nodes {
					for _, l := range d.cut {
						l.Set(redistest.Pass)
					}
				}
				time.Sleep(4 * quorumTTL)
				require.NotEmpty(t, p.installed(), "somebody leads again")
				p.safe()
				p.mu.Lock()
				defer p.mu.Unlock()
				require.Greater(t, len(p.all), 1)
				for i, a := range p.all {
					for _, b := range p.all[i+1:] {
						require.NotEqual(t, a.Epoch, b.Epoch)
					}
				}
			})
		})
	}
}

func TestListsOfLockRedises(t *testing.T) {
	for _, c := range []struct {
		urls []string
		want string
	}{
		{nil, ""},
		{[]string{"redis://a:1"}, "expected 3, 5, 7 or 9"},
		{[]string{"redis://a:1", "redis://b:1"}, "one more of an even number"},
		{[]string{"redis://a:1", "redis://b:1", "redis://c:1"}, ""},
		{[]string{"redis://a:1", "redis://b:1", "redis://c:1", "redis://d:1"}, "one more of an even number"},
		{[]string{"redis://a:1", "redis://b:1", "redis://:secret@a:1/0"}, "there twice"},
		{[]string{"redis://a:1", "redis://b:1", "redis://a:1/3"}, ""},
		{[]string{"redis://a:1", "redis://b:1", "http://:secret@x"}, "lock Redis: "},
		{[]string{"redis://a:1", "redis://b:1", "redis+sentinel://:secret@c:1/main"}, "fail over"},
		{[]string{"redis://a:1", "redis://b:1", "redis+cluster://:secret@c:1"}, "fail over"},
	} {
		err := CheckLockRedis(c.urls)
		if c.want == "" {
			require.NoError(t, err, c.urls)
			continue
		}
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "secret")
	}
	open := func(urls ...string) string {
		s, err := Open(Options{URL: "redis://a:1", LockRedis: urls})
		require.NoError(t, err)
		defer s.Close()
		return s.LockList()
	}
	one := open("redis://a:1", "redis://b:1", "redis://c:1")
	require.Equal(t, one, open("redis://c:1/0", "redis://user:pw@a:1", "redis://b:1"), "order and credentials do not matter")
	require.NotEqual(t, one, open("redis://a:1", "redis://b:1", "redis://d:1"))
	require.Regexp(t, `^3:[0-9a-f]{8}$`, one)
	require.Empty(t, open())
}

// A lock Redis records no epoch that is not above what it has heard of, also for
// one whose lock came back to it late.
func TestALockRedisGoesUpOnly(t *testing.T) {
	ctx := t.Context()
	var urls []string
	var first *miniredis.Miniredis
	for i := range 3 {
		url, m := redistest.Mini(t)
		urls = append(urls, url)
		if i == 0 {
			first = m
			m.SetTime(time.Now()) // stands still
		}
	}
	s, err := Open(Options{URL: urls[0], LockRedis: urls, Namespace: "test"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	q := s.Quorum()
	ask := func(granted bool, known int64, err error) []any {
		t.Helper()
		require.NoError(t, err)
		return []any{granted, known}
	}
	require.NoError(t, first.Set("{test}:lock", "a"))
	granted, low, err := q.Propose(ctx, 0, "a", 0)
	require.NoError(t, err)
	require.True(t, granted)
	require.Equal(t, []any{true, low}, ask(q.Propose(ctx, 0, "a", 0)), "a repeat is answered as the first")
	require.Equal(t, []any{true, low + 5}, ask(q.Propose(ctx, 0, "a", low+4)))
	require.NoError(t, first.Set("{test}:lock", "b"))
	granted, high, err := q.Propose(ctx, 0, "b", low+9)
	require.NoError(t, err)
	require.True(t, granted)
	require.Equal(t, low+10, high)
	require.Equal(t, []any{false, high}, ask(q.Propose(ctx, 0, "a", high+1)), "the lock is not a's")
	require.NoError(t, first.Set("{test}:lock", "a"))
	require.Equal(t, []any{false, high}, ask(q.Record(ctx, 0, "a", low)))
	require.Equal(t, []any{false, high}, ask(q.Record(ctx, 0, "a", high)), "b has that")
	require.Equal(t, []any{true, high + 1}, ask(q.Record(ctx, 0, "a", high+1)))
	require.Equal(t, []any{true, high + 1}, ask(q.Record(ctx, 0, "a", high+1)))
}

// candidate is an elector of TestEpochsComeInTheOrderOfTheTerms, call by call.
type candidate struct {
	token    string
	phase    int   // 0 lock, 1 propose, 2 record, 3 install, 4 over
	asked    []int // lock Redises that are still to be asked in this phase
	late     []int // lock Redises to which its lock is still on the way
	granted  int
	epoch    int64
	began    int // when it was through with the lock
	recorded int // when most had its epoch; 0: never
}

// Whatever the order in which the calls of several winners arrive, whichever locks
// expire between them, and however far the clocks are apart: who was elected after
// another one had its epoch recorded has a higher one, no two have the same, and
// what is installed only grows.
func TestEpochsComeInTheOrderOfTheTerms(t *testing.T) {
	const voters = 3
	ctx := t.Context()
	var urls []string
	var minis []*miniredis.Miniredis
	for i := range voters {
		url, m := redistest.Mini(t)
		m.SetTime(time.Now().Add(time.Duration(i-1) * time.Hour))
		urls, minis = append(urls, url), append(minis, m)
	}
	data, dm := redistest.Mini(t)
	s, err := Open(Options{URL: data, LockRedis: urls, Namespace: "test", Node: "n", Boot: "b"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	q := s.Quorum()
	rounds := 0
	rapid.Check(t, func(rt *rapid.T) {
		for _, m := range append([]*miniredis.Miniredis{dm}, minis...) {
			m.FlushAll()
		}
		var all, live []*candidate
		installed := int64(0)
		order := rapid.Permutation([]int{0, 1, 2})
		for step := 1; step <= 200; step++ {
			switch op := rapid.IntRange(0, 11).Draw(rt, "op"); {
			case op == 0 && len(live) < 4:
				c := &candidate{token: fmt.Sprintf("c%d", len(all)), asked: order.Draw(rt, "order")}
				all, live = append(all, c), append(live, c)
			case op == 2 && len(live) > 0: // a lock that its owner has given up on arrives
				c := live[rapid.IntRange(0, len(live)-1).Draw(rt, "whose")]
				if c.phase > 0 && len(c.late) > 0 {
					require.NoError(rt, s.voters.clients[c.late[0]].SetNX(ctx, q.LockName(), c.token, 0).Err())
					c.late = c.late[1:]
				}
			case op == 1:
				minis[rapid.IntRange(0, voters-1).Draw(rt, "expires")].Del("{test}:lock")
			case len(live) > 0:
				c := live[rapid.IntRange(0, len(live)-1).Draw(rt, "who")]
				if len(c.asked) > 0 {
					i := c.asked[0]
					c.asked = c.asked[1:]
					ok, known := false, int64(0)
					switch c.phase {
					case 0:
						if rapid.IntRange(0, 3).Draw(rt, "late") == 0 {
							c.late = append(c.late, i)
							break
						}
						ok, err = s.voters.clients[i].SetNX(ctx, q.LockName(), c.token, 0).Result()
					case 1:
						ok, known, err = q.Propose(ctx, i, c.token, 0)
						c.epoch = max(c.epoch, known)
					case 2:
						ok, _, err = q.Record(ctx, i, c.token, c.epoch)
					}
					require.NoError(rt, err)
					if ok {
						c.granted++
						holder, err := minis[i].Get("{test}:lock")
						require.NoError(rt, err)
						require.Equal(rt, c.token, holder, "granted to who does not hold the lock")
					}
				}
				if len(c.asked) > 0 {
					continue
				}
				if c.phase < 3 && c.granted <= voters/2 {
					c.phase = 4
				}
				switch c.phase {
				case 0:
					c.began = step
				case 1:
					c.epoch = max(c.epoch, 1)
				case 2:
					c.recorded = step
				case 3:
					in, err := q.InstallAt(ctx, c.token, "n", c.epoch, time.Minute)
					require.NoError(rt, err)
					require.Equal(rt, c.epoch > installed, in.OK)
					if in.OK {
						installed = c.epoch
						rounds++
					}
				}
				if c.phase >= 3 {
					live = slices.DeleteFunc(live, func(o *candidate) bool { return o == c })
					continue
				}
				c.phase++
				c.granted = 0
				if c.phase < 3 {
					c.asked = order.Draw(rt, "order")
				}
			}
		}
		for _, a := range all {
			for _, b := range all {
				if a == b || a.recorded == 0 || b.recorded == 0 {
					continue
				}
				require.NotEqual(rt, a.epoch, b.epoch)
				if a.recorded < b.began {
					require.Less(rt, a.epoch, b.epoch, "%+v and then %+v", a, b)
				}
			}
		}
	})
	require.Greater(t, rounds, 50, "terms began")
}
