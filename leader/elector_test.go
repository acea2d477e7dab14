package leader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
	"carillon/leader"
)

func TestOneNodeIsElectedAndKeepsTheSeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t)
		nodes := []*node{c.start("a", nodeOptions{}), c.start("b", nodeOptions{}), c.start("b", nodeOptions{})}
		r := c.next(time.Second)
		require.True(t, strings.HasPrefix(r.Token, r.by.name+":"), r.Token)
		require.Equal(t, r.by.name, r.Node)
		require.Equal(t, r.Since.UnixMilli(), r.Epoch)

		for range 600 {
			time.Sleep(997 * time.Millisecond)
			require.GreaterOrEqual(t, c.m.TTL(r.by.seat.LockKey()), c.ttl*2/3-time.Millisecond, "renewed every third")
		}
		c.none(time.Second)
		for _, n := range nodes {
			term, leads := n.Leading()
			require.Equal(t, n == r.by, leads)
			if leads {
				require.Equal(t, r.Term, term)
			}
		}
	})
}

func TestResigningLeaderIsReplacedAtOnce(t *testing.T) {
	for name, o := range map[string]struct {
		deaf   bool
		within time.Duration
	}{
		"told":   {false, 120 * time.Millisecond},
		"untold": {true, 1100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := bubble(t)
				for _, name := range []string{"a", "b", "c"} {
					c.start(name, nodeOptions{deaf: o.deaf})
				}
				first := c.next(time.Second)
				time.Sleep(time.Minute)

				terminated := errors.New("terminated")
				first.by.stop(terminated)
				second := c.next(o.within)
				require.NotSame(t, first.by, second.by)
				c.end(first, time.Millisecond)
				require.ErrorIs(t, first.why, terminated)
				require.Equal(t, first.Token, <-first.by.seat.resigned)
				<-first.by.gone
				_, leads := first.by.Leading()
				require.False(t, leads)
				t.Logf("successor after %v", second.from.Sub(first.to))
			})
		})
	}
}

func TestKilledLeaderIsReplacedWithinTTLAndASecond(t *testing.T) {
	for i := range 10 { // at different times after a renewal
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := bubble(t)
				c.start("a", nodeOptions{})
				c.start("b", nodeOptions{})
				first := c.next(time.Second)
				time.Sleep(10*time.Second + time.Duration(i)*c.ttl/30)

				first.by.crash()
				killed := time.Now()
				second := c.next(c.ttl + time.Second)
				t.Logf("successor after %v", second.from.Sub(killed))
				require.Less(t, second.from.Sub(killed), c.ttl+100*time.Millisecond)
			})
		})
	}
}

func TestCutOffLeaderStepsDownBeforeTheLockExpires(t *testing.T) {
	for _, f := range []redistest.Fault{redistest.Blackhole, redistest.Refuse} {
		t.Run(strconv.Itoa(int(f)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := bubble(t)
				c.start("a", nodeOptions{})
				c.start("b", nodeOptions{})
				first := c.next(time.Second)
				time.Sleep(time.Minute)

				first.by.cutOff(f)
				cut := time.Now()
				c.end(first, c.ttl)
				require.ErrorIs(t, first.why, leader.ErrTrustExpired)
				require.Positive(t, first.lockLeft, "it stops believing while it still holds the lock")
				require.Less(t, first.lockLeft, 100*time.Millisecond, "but not much earlier")
				second := c.next(time.Second)
				require.NotSame(t, first.by, second.by)
				require.Less(t, second.from.Sub(cut), c.ttl+time.Second)

				first.by.cutOff(redistest.Pass) // back again: no word of the old term
				c.none(time.Minute)
			})
		})
	}
}

// What the leader asked for was done, but it never heard so: it may not count
// on it, and must not keep others out for longer than a TTL.
func TestRenewalsWithoutAnAnswerAreWorthNothing(t *testing.T) {
	for _, f := range []redistest.Fault{redistest.LoseReplies, redistest.CutAtReply} {
		t.Run(strconv.Itoa(int(f)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := bubble(t)
				c.start("a", nodeOptions{})
				c.start("b", nodeOptions{})
				first := c.next(time.Second)
				time.Sleep(time.Minute)
				first.by.seat.lockLink.Set(f)
				cut := time.Now()
				c.end(first, c.ttl)
				require.ErrorIs(t, first.why, leader.ErrTrustExpired)
				second := c.next(2*c.ttl + time.Second)
				require.Less(t, second.from.Sub(cut), 2*c.ttl+time.Second)
			})
		})
	}
}

func TestShortOutageKeepsTheTerm(t *testing.T) {
	for _, f := range []redistest.Fault{redistest.Refuse, redistest.Blackhole, redistest.LoseReplies} {
		t.Run(strconv.Itoa(int(f)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := bubble(t)
				c.start("a", nodeOptions{})
				c.next(time.Second).by.cutOff(f)
				time.Sleep(c.ttl / 2)
				for _, r := range c.all {
					r.by.cutOff(redistest.Pass)
				}
				c.none(time.Minute)
				require.NoError(t, c.all[0].ctx.Err())
			})
		})
	}
}

func TestLostLockEndsTheTermAtTheNextRenewal(t *testing.T) {
	for name, lose := range map[string]func(c *cluster, key string){
		"all data gone": func(c *cluster, key string) { c.m.FlushAll() },
		"lock deleted":  func(c *cluster, key string) { c.m.Del(key) },
		"lock stolen": func(c *cluster, key string) {
			_ = c.m.Set(key, "somebody:else:1") // it exists
			c.m.SetTTL(key, time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := bubble(t)
				c.lossy = true
				c.start("a", nodeOptions{})
				c.start("b", nodeOptions{})
				first := c.next(time.Second)
				time.Sleep(61 * time.Second)
				lose(c, first.by.seat.LockKey())
				lost := time.Now()
				c.end(first, c.ttl/3+time.Millisecond)
				require.ErrorIs(t, first.why, leader.ErrLost)
				second := c.next(2 * time.Second)
				require.Less(t, second.from.Sub(lost), c.ttl/3+time.Second)
				require.Empty(t, first.by.seat.resigned, "what was lost is not given back")
			})
		})
	}
}

// SET NX was carried out, its reply lost, and so was the attempt to take it
// back: the lock holds a token nobody leads with.
func TestGhostLockIsFreedByTheNodeThatMadeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t)
		n := c.start("a", nodeOptions{prep: func(n *node) {
			require.NoError(t, n.seat.pool.Ping(t.Context()).Err()) // a connection that has shaken hands
			n.seat.lockLink.Set(redistest.LoseReplies)
		}})
		time.Sleep(2*c.ttl/6 + time.Millisecond)
		ghost, err := c.m.Get(n.seat.LockKey())
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(ghost, "a:"))
		n.seat.lockLink.Set(redistest.Pass)
		r := c.next(300 * time.Millisecond) // not after the TTL
		require.NotEqual(t, ghost, r.Token)
	})
}

func TestSeatLostBeforeTheTermBeganIsNoTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t)
		c.start("a", nodeOptions{prep: func(n *node) {
			n.seat.afterLock = func() {
				_ = c.m.Set(n.seat.LockKey(), "somebody:else:1") // no error possible
				c.m.SetTTL(n.seat.LockKey(), 10*time.Second)
			}
		}})
		c.none(9900 * time.Millisecond)
		c.next(time.Second)
	})
}

func TestFailingLeadGivesWayToAnotherNode(t *testing.T) {
	for name, failure := range map[string]error{"error": errors.New("no"), "fenced": leader.ErrFenced, "nothing": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := bubble(t)
				var failed int
				c.start("bad", nodeOptions{lead: func(context.Context, leader.Term) error {
					failed++
					return failure
				}})
				c.next(time.Second)
				good := c.start("good", nodeOptions{})
				for c.next(3*time.Second).by != good {
				}
				c.none(time.Minute)
				require.LessOrEqual(t, failed, 3)
			})
		})
	}
}

// Why a term ended is one sentence, without the names of those who passed it on.
func TestWhyATermEndedIsASentence(t *testing.T) {
	fenced := fmt.Errorf("commit: %w", fmt.Errorf("commit ticks: %w", leader.ErrFenced))
	for want, failure := range map[string]error{
		"what it wrote was refused: the lock holds another token, or none": fenced,
		"lead returned: boom": errors.New("boom"),
		"lead returned":       nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			c := bubble(t)
			var log bytes.Buffer
			c.start("a", nodeOptions{log: slog.NewTextHandler(&log, nil), lead: func(context.Context, leader.Term) error { return failure }})
			time.Sleep(2 * time.Second)
			synctest.Wait()
			require.Contains(t, log.String(), `msg="no longer leading" epoch=`)
			require.Contains(t, log.String(), `why="`+want+`" after=`)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t)
		var log bytes.Buffer
		n := c.start("a", nodeOptions{log: slog.NewTextHandler(&log, nil)})
		c.next(time.Second)
		n.stop(nil)
		<-n.gone
		synctest.Wait()
		require.Contains(t, log.String(), `why="this node stops" after=`)
	})
}

func TestFailingLeadOfTheOnlyNodeIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t)
		boom := errors.New("boom")
		c.start("a", nodeOptions{lead: func(context.Context, leader.Term) error { return boom }})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Greater(t, len(c.begun), 15)
		require.Less(t, len(c.begun), 100, "and not without a pause")
	})
}

func TestLeadThatDoesNotReturnKeepsNobodyWaitingButItsNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t)
		var log lines
		slow := c.start("slow", nodeOptions{log: &log, lead: func(ctx context.Context, _ leader.Term) error {
			<-ctx.Done()
			time.Sleep(10 * time.Second)
			return nil
		}})
		first := c.next(time.Second)
		c.start("b", nodeOptions{})
		time.Sleep(time.Second)
		slow.stop(nil)
		second := c.next(300 * time.Millisecond)
		require.Equal(t, "b", second.Node)
		select {
		case <-slow.gone:
			require.FailNow(t, "Run returned before lead did")
		default:
		}
		<-slow.gone
		require.Equal(t, 10*time.Second, time.Since(first.to))
		require.Contains(t, log.String(), "lead has not returned")
	})
}

func TestNodesWaitForAStoreThatIsNotThere(t *testing.T) {
	for _, f := range []redistest.Fault{redistest.Refuse, redistest.Blackhole} {
		t.Run(strconv.Itoa(int(f)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := bubble(t)
				var log lines
				n := c.start("a", nodeOptions{log: &log, prep: func(n *node) { n.cutOff(f) }})
				c.none(time.Minute)
				require.InDelta(t, 12, log.count("cannot be elected"), 2, "it says so every few seconds")
				n.cutOff(redistest.Pass)
				// A call that hangs (833 ms) and its back-off (at most 1 s), and the same for
				// a connection on which the black hole has swallowed something.
				c.next(4 * time.Second)
			})
		})
	}
}

func TestStoppingDoesNotWaitForAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t)
		a := c.start("a", nodeOptions{})
		c.next(time.Second)
		b := c.start("b", nodeOptions{})
		time.Sleep(time.Second)
		for _, n := range []*node{a, b} {
			n.cutOff(redistest.Blackhole)
		}
		start := time.Now()
		a.stop(nil)
		b.stop(nil)
		<-a.gone
		<-b.gone
		require.LessOrEqual(t, time.Since(start), 2*time.Second)
	})
}

func TestLockWithoutExpiryIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t)
		var log lines
		require.NoError(t, c.m.Set("{test}:leader", "by-hand"))
		c.start("a", nodeOptions{log: &log})
		c.none(time.Minute)
		require.Contains(t, log.String(), "delete the key {test}:leader")
		c.m.Del("{test}:leader")
		c.next(1100 * time.Millisecond)
	})
}

// Faults of every kind at random, on leads that go on writing for a second
// after their trust has ended: never two that believe, no write of an older
// term after one of a newer term, and a leader soon after all is well again.
func TestStorm(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storm(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func storm(t *testing.T, rnd *rand.Rand) {
	c := bubble(t)
	var refused atomic.Int64
	start := func(name string) *node {
		var n *node
		return c.start(name, nodeOptions{deaf: rnd.IntN(2) == 0, prep: func(made *node) { n = made }, lead: func(ctx context.Context, term leader.Term) error {
			over, cancel := context.WithCancel(context.Background()) // a second after ctx
			defer cancel()
			defer context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, cancel) })()
			for over.Err() == nil {
				wctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
				if errors.Is(n.seat.write(wctx, term.Token, strconv.FormatInt(term.Epoch, 10)), leader.ErrFenced) {
					refused.Add(1)
				}
				cancel()
				time.Sleep(50 * time.Millisecond)
			}
			return nil
		}})
	}
	nodes := []*node{start("a"), start("b"), start("c")}
	for range 60 {
		time.Sleep(time.Duration(rnd.IntN(4000)) * time.Millisecond)
		i := rnd.IntN(len(nodes))
		n := nodes[i]
		f := redistest.Fault(rnd.IntN(int(redistest.CutAtReply) + 1))
		switch rnd.IntN(6) {
		case 0:
			n.crash()
			nodes[i] = start(n.name)
		case 1:
			n.stop(nil)
			nodes[i] = start(n.name)
		case 2, 3:
			n.seat.lockLink.Set(f)
		default:
			n.cutOff(f)
		}
	}
	for _, n := range nodes {
		n.cutOff(redistest.Pass)
	}
	time.Sleep(c.ttl + 2*time.Second)
	leads := 0
	for _, n := range nodes {
		if _, ok := n.Leading(); ok {
			leads++
		}
	}
	assert.Equal(t, 1, leads, "all is well again")

	written, err := c.m.List("{test}:data")
	require.NoError(t, err)
	last := int64(0)
	for _, w := range written {
		epoch, err := strconv.ParseInt(w, 10, 64)
		require.NoError(t, err)
		require.GreaterOrEqual(t, epoch, last, "a stale leader wrote")
		last = epoch
	}
	t.Logf("%d terms, %d writes, %d refused", len(c.all), len(written), refused.Load())
}

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool { l.b.WriteString(" " + a.String()); return true })
	l.b.WriteByte('\n')
	return nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) count(s string) int { return strings.Count(l.String(), s) }
