package carillon_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon"
	"carillon/internal/lab"
	"carillon/internal/redisstore"
	"carillon/internal/redistest"
	"carillon/jobs"
)

// These are the faults of docs/faults.md that strike a clock. The number in a name is
// the number there. Whole nodes run in a bubble, whose time is the true one.

const clocked = `
version: 1
jobs:
  tick: {schedule: "* * * * * *", catch_up: latest, overlap: allow, func: tick}
  all: {schedule: "@every 10s", catch_up: {policy: all, max: 1000}, overlap: allow, func: tick}
  hourly: {schedule: "@every 20m", catch_up: skip, overlap: allow, func: tick}
  long: {overlap: allow, func: long}
`

// begun is one start of a handler, at the true time.
type begun struct {
	run, node string
	attempt   int
	at        time.Time
}

// tower is a fleet in a bubble: nodes with clocks of their own, and a Redis with one.
type tower struct {
	t      *testing.T
	dial   redistest.DialFunc
	m      *miniredis.Miniredis
	shift  atomic.Int64 // of the clock of Redis
	reader *redisstore.Store
	log    lines

	mu     sync.Mutex
	starts []begun
}

func newTower(t *testing.T) *tower {
	t.Helper()
	w := &tower{t: t}
	w.dial, w.m = redistest.Bubble(t)
	var err error
	w.reader, err = redisstore.Open(redisstore.Options{URL: "redis://127.0.0.1:6379/0", Dialer: w.dial})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.reader.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.set()
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// set gives Redis its time: the true one until it is shifted.
func (w *tower) set() {
	if by := time.Duration(w.shift.Load()); by != 0 {
		w.m.SetTime(time.Now().Add(by).UTC())
	}
}

// step sets the clock of Redis forward or back. Keys with a lifetime feel it.
func (w *tower) step(by time.Duration) {
	w.shift.Add(int64(by))
	w.set()
}

func (w *tower) up(name string, skew func() time.Duration) *carillon.Node {
	w.t.Helper()
	handler := func(work time.Duration) carillon.Func {
		return func(ctx context.Context, run carillon.Run) error {
			w.mu.Lock()
			w.starts = append(w.starts, begun{run: run.ID, node: name, attempt: run.Attempt, at: time.Now()})
			w.mu.Unlock()
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(work):
				return nil
			}
		}
	}
	n, err := carillon.New(carillon.Options{Redis: "redis://127.0.0.1:6379/0", Node: name, Schedule: schedule(w.t, clocked), Slots: 50,
		Funcs:  map[string]carillon.Func{"tick": handler(0), "long": handler(80 * time.Second)},
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)).With("node", name)})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(lab.With(context.Background(), lab.Lab{Dialer: w.dial, Skew: skew}))
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		assert.NoError(w.t, <-done)
	})
	<-n.Ready()
	return n
}

func (w *tower) awaitLeader(n *carillon.Node) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		l, held, err := n.Leader(context.Background())
		return err == nil && held && l.Node == n.Name()
	}, 10*time.Second, 10*time.Millisecond)
}

// begins are the starts of the runs of a job, by tick.
func (w *tower) begins(job string) map[time.Time][]begun {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := map[time.Time][]begun{}
	for _, s := range w.starts {
		name, stamp, _ := strings.Cut(s.run, "@")
		if name != job {
			continue
		}
		at, err := time.Parse(jobs.TickLayout, stamp)
		require.NoError(w.t, err)
		by[at] = append(by[at], s)
	}
	return by
}

// once checks that no run began twice, and that those which began on time did so at their
// tick on the clock of Redis, which is the true one plus shift. It returns how many did.
func (w *tower) once(job string, from, to time.Time, shift time.Duration) (n int) {
	w.t.Helper()
	for tick, list := range w.begins(job) {
		require.Len(w.t, list, 1, "%s@%v", job, tick)
		if at := list[0].at; !at.Before(from) && at.Before(to) {
			late := at.Add(shift).Sub(tick)
			assert.GreaterOrEqual(w.t, late, -time.Second, "%s@%v was early", job, tick)
			if late < 2*time.Second {
				n++
			}
		}
	}
	return n
}

func (w *tower) long(n *carillon.Node) string {
	w.t.Helper()
	id, err := n.Trigger(context.Background(), "long", nil)
	require.NoError(w.t, err)
	return id
}

// startsOf counts the attempts of a run.
func (w *tower) startsOf(id string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.starts {
		if s.run == id {
			n++
		}
	}
	return n
}

// The clock of the leader is an hour off, from its start. Nobody asks it.
func TestFault30LeaderAnHourAhead(t *testing.T) {
	for _, skew := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTower(t)
				a := w.up("a", func() time.Duration { return skew })
				w.awaitLeader(a)
				w.up("b", nil)
				from := time.Now()
				id := w.long(a)
				time.Sleep(time.Minute)
				assert.InDelta(t, 60, w.once("tick", from, time.Now(), 0), 1, "every second, on time")
				assert.InDelta(t, 6, w.once("all", from, time.Now(), 0), 1)
				assert.Equal(t, 1, w.startsOf(id), "leases are counted on one clock")
				l, held, err := a.Leader(context.Background())
				require.NoError(t, err)
				require.True(t, held)
				assert.Equal(t, "a", l.Node)
				nodes, err := w.reader.Nodes(context.Background())
				require.NoError(t, err)
				for _, n := range nodes {
					want := map[string]time.Duration{"a": skew, "b": 0}[n.Name]
					assert.InDelta(t, want, n.ClockOffset, float64(50*time.Millisecond), "it is shown, and the doctor warns (node_clock)")
				}
			})
		})
	}
}

// The leader's own clock is set while it leads, in the middle of a minute.
func TestFault31LeaderClockStepsBack(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour, -3 * time.Second} {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTower(t)
				var skew atomic.Int64
				a := w.up("a", func() time.Duration { return time.Duration(skew.Load()) })
				w.awaitLeader(a)
				w.up("b", nil)
				from := time.Now()
				id := w.long(a)
				time.Sleep(31*time.Second + 300*time.Millisecond)
				skew.Store(int64(by))
				time.Sleep(50 * time.Second)
				n := w.once("tick", from, time.Now(), 0)
				assert.InDelta(t, 81, n, 5, "each tick once; it asks Redis for the time every 2 s, and knows then")
				assert.InDelta(t, 8, len(w.begins("all")), 1, "and none is missing")
				assert.Equal(t, 1, w.startsOf(id))
				ledger, err := w.reader.Ledger(context.Background(), "tick", 1000)
				require.NoError(t, err)
				for _, e := range ledger {
					assert.Contains(t, []jobs.Outcome{jobs.OutcomeRan, jobs.OutcomeLate}, e.Outcome, "%+v", e)
				}
			})
		})
	}
}

// The clock of Redis jumps forward: an hour, or the half hour that the machine of the
// whole fleet slept, when no monotonic clock moved. All leases and the seat look
// expired at once.
func TestFault32RedisClockStepsForward(t *testing.T)  { forward(t, time.Hour) }
func TestFault33FleetSleptForHalfAnHour(t *testing.T) { forward(t, 30*time.Minute) }

func forward(t *testing.T, by time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		w := newTower(t)
		a := w.up("a", nil)
		w.up("b", nil)
		epoch := func() uint64 {
			l, _, err := a.Leader(context.Background())
			require.NoError(t, err)
			return uint64(l.Epoch)
		}
		time.Sleep(10 * time.Second)
		var ids []string
		for range 5 {
			ids = append(ids, w.long(a))
		}
		time.Sleep(35*time.Second + 300*time.Millisecond)
		before, jumped := epoch(), time.Now()
		w.step(by)
		time.Sleep(10 * time.Second)
		assert.Greater(t, epoch(), before, "the lock had expired: another term")
		assert.True(t, w.log.has("clock jumped") || w.log.has("no longer leading"), "it is said")
		time.Sleep(time.Minute)
		for _, id := range ids {
			assert.Equal(t, 1, w.startsOf(id), "no lease is taken from a node that lives")
			r, err := w.reader.Run(context.Background(), id)
			require.NoError(t, err)
			assert.Equal(t, jobs.Succeeded, r.Status)
		}
		on := w.once("tick", jumped.Add(10*time.Second), time.Now(), by)
		assert.InDelta(t, 60, on, 2, "on the new time")

		// What was jumped over, by what each job says.
		missed := func(job string) (n int, reason string) {
			ledger, err := w.reader.Ledger(context.Background(), job, 10000)
			require.NoError(t, err)
			for _, e := range ledger {
				if e.Outcome == jobs.OutcomeMissed {
					n, reason = n+e.Count, e.Reason
				}
			}
			return n, reason
		}
		n, reason := missed("tick")
		assert.InDelta(t, int(by/time.Second)-60, n, 10, "catch_up: latest, and the last minute")
		assert.Contains(t, reason, "policy")
		n, _ = missed("all")
		assert.Zero(t, n)
		assert.InDelta(t, int((by+105*time.Second)/(10*time.Second)), len(w.begins("all")), 2, "catch_up: all")
		n, _ = missed("hourly")
		assert.GreaterOrEqual(t, n, int(by/(20*time.Minute))-1, "catch_up: skip")
		for _, job := range []string{"tick", "all", "hourly"} {
			for tick, list := range w.begins(job) {
				assert.Len(t, list, 1, "%s@%v", job, tick)
			}
		}
	})
}
