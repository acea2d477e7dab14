package carillon_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon"
	"carillon/internal/redistest"
)

// full asks for the faults at the size that docs/faults.md tells of.
var full = flag.Bool("faults", false, "the tests of docs/faults.md at full size (make faults)")

// rootClient is a client of the test's own.
func rootClient(t *testing.T, url string) *redis.Client {
	t.Helper()
	opts, err := redis.ParseURL(url)
	require.NoError(t, err)
	opts.MaxRetries = -1
	c := redis.NewClient(opts)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Every connection is killed, again and again. A node in this process keeps no goroutine for
// one that is gone.
func TestFault28ConnectionsKilledLeaveNothingBehind(t *testing.T) {
	url := redistest.Real(t)
	admin := rootClient(t, url)
	var rec recorder
	_, stop := up(t, carillon.Options{Redis: url, Node: "a", Schedule: schedule(t, everySecond), Lease: 4 * time.Second,
		Funcs: map[string]carillon.Func{"beat": rec.handler("a")}})
	require.Eventually(t, func() bool { return len(rec.snapshot()) > 1 }, 10*time.Second, 10*time.Millisecond)
	before := runtime.NumGoroutine()
	ctx := context.Background()
	kills := 0
	every, until := 50*time.Millisecond, 3*time.Second
	if *full {
		every, until = time.Second, time.Minute
	}
	for start := time.Now(); time.Since(start) < until; time.Sleep(every) {
		if admin.Do(ctx, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err() == nil {
			kills++
		}
		_ = admin.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub").Err() // there may be none at the moment
	}
	seen := len(rec.snapshot())
	require.Eventually(t, func() bool { return len(rec.snapshot()) > seen+1 }, 20*time.Second, 10*time.Millisecond, "it goes on")
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+5 }, 20*time.Second, 50*time.Millisecond,
		"there were %d goroutines, and there are %d", before, runtime.NumGoroutine())
	t.Logf("every connection killed %d times: %d goroutines before, %d after", kills, before, runtime.NumGoroutine())
	for id, attempts := range rec.snapshot() {
		assert.Len(t, attempts, 1, id)
	}
	stop()
}

// A hundred thousand jobs are due in the same second; without -faults some thousands are.
func TestFault42AHundredThousandAtOnce(t *testing.T) {
	n, patience := 5000, 60*time.Second
	if *full {
		n, patience = 100_000, 5*time.Minute
	}
	url := redistest.Real(t, "--slowlog-log-slower-than", "50000", "--slowlog-max-len", "1000")
	admin := rootClient(t, url)
	ctx := context.Background()
	due := time.Now().UTC().Truncate(time.Second).Add(4 * time.Second)
	at := fmt.Sprintf("%d %d %d * * *", due.Second(), due.Minute(), due.Hour())
	if *full { // to read such a file takes a while
		due = time.Now().UTC().Truncate(time.Minute).Add(2 * time.Minute)
		at = fmt.Sprintf("%d %d * * *", due.Minute(), due.Hour())
	}
	var text strings.Builder // a file may have 4 MiB, so this is terse
	text.WriteString("jobs: {")
	for i := range n {
		fmt.Fprintf(&text, "%s: {schedule: %s, func: f},", strconv.FormatInt(int64(i)+10*36*36*36, 36), at)
	}
	text.WriteString("}\n")
	var mu sync.Mutex
	starts := map[string]int{}
	var last atomic.Int64
	handler := func(_ context.Context, run carillon.Run) error {
		mu.Lock()
		defer mu.Unlock()
		starts[run.ID]++
		last.Store(time.Now().UnixNano())
		return nil
	}
	sched := schedule(t, text.String())
	var nodes []*carillon.Node
	for _, name := range []string{"a", "b"} {
		node, _ := up(t, carillon.Options{Redis: url, Node: name, Schedule: sched, Slots: 64, Funcs: map[string]carillon.Func{"f": handler}})
		nodes = append(nodes, node)
	}
	require.Eventually(t, func() bool { return admin.HLen(ctx, "{carillon}:cursors").Val() == int64(n) }, 30*time.Second, 10*time.Millisecond)
	require.True(t, time.Now().Before(due), "this machine is too busy for the test: all was read only after the tick")
	leader, _, err := nodes[0].Leader(ctx)
	require.NoError(t, err)
	require.NoError(t, admin.ConfigResetStat(ctx).Err())
	require.NoError(t, admin.Do(ctx, "SLOWLOG", "RESET").Err())

	// While it lasts, every node is heard of and somebody may look.
	silent, slowest := time.Duration(0), time.Duration(0)
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(starts) }
	for deadline := time.Now().Add(patience); count() < n; time.Sleep(20 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "%d of %d", count(), n)
		asked := time.Now()
		now, err := admin.Time(ctx).Result()
		require.NoError(t, err)
		slowest = max(slowest, time.Since(asked))
		for _, z := range admin.ZRangeWithScores(ctx, "{carillon}:nodes", 0, -1).Val() {
			silent = max(silent, now.Sub(time.UnixMilli(int64(z.Score))))
		}
	}
	took := time.Unix(0, last.Load()).Sub(due)
	require.Eventually(t, func() bool {
		return admin.ZCard(ctx, "{carillon}:leases").Val() == 0
	}, 30*time.Second, 20*time.Millisecond)
	now, held, err := nodes[0].Leader(ctx)
	require.NoError(t, err)
	require.True(t, held)
	assert.Equal(t, leader.Epoch, now.Epoch, "the leader kept its seat")
	for id, times := range starts {
		require.Equal(t, 1, times, id)
	}
	assert.Less(t, silent, 6*time.Second, "live is who was heard within 6 s")
	slow, err := admin.SlowLogGet(ctx, 100).Result()
	require.NoError(t, err)
	stats := admin.Info(ctx, "commandstats").Val()
	evals := ""
	for line := range strings.Lines(stats) {
		if strings.HasPrefix(line, "cmdstat_evalsha:") {
			evals = strings.TrimSpace(line)
		}
	}
	t.Logf("%d runs in %v; a PING at most %v; silence at most %v; over 50 ms: %d; %s", n, took.Round(time.Millisecond), slowest.Round(time.Millisecond), silent.Round(time.Millisecond), len(slow), evals)
	// A busy machine takes the processor away from Redis in the middle of a script: of many
	// calls a few are slow then, and all together they are not.
	var calls, micros int
	_, err = fmt.Sscanf(strings.NewReplacer(",", " ", "=", " ").Replace(evals), "cmdstat_evalsha:calls %d usec %d", &calls, &micros)
	require.NoError(t, err, evals)
	assert.LessOrEqual(t, len(slow), 3+calls/100, "scripts over 50 ms")
	assert.Less(t, micros/calls, 10_000, "µs a script")
}

// One important run comes behind tens of thousands of others.
func TestFault43HighPriorityBehindAFlood(t *testing.T) {
	floods, each := 1, 2000
	if *full {
		floods, each = 5, 10_000
	}
	n := floods * each
	url := redistest.Real(t)
	admin := rootClient(t, url)
	ctx := context.Background()
	const slots = 4
	var mu sync.Mutex
	var order []string
	text := "version: 1\njobs:\n  high: {priority: 9, func: work}\n"
	for i := range floods {
		text += fmt.Sprintf("  low%d: {schedule: \"* * * * * *\", priority: 0, overlap: allow, catch_up: {policy: all, max: 10000, window: 48h}, func: work}\n", i)
	}
	sched := schedule(t, text)
	opts := carillon.Options{Redis: url, Schedule: sched, Slots: slots, Funcs: map[string]carillon.Func{"work": func(_ context.Context, run carillon.Run) error {
		mu.Lock()
		order = append(order, run.ID)
		mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		return nil
	}}}
	opts.Node = "before"
	_, stop := up(t, opts)
	require.Eventually(t, func() bool { return admin.HLen(ctx, "{carillon}:cursors").Val() == int64(floods) }, 10*time.Second, 10*time.Millisecond)
	stop()
	back := time.Now().Add(-time.Duration(each) * time.Second).UnixMilli()
	for job, cursor := range admin.HGetAll(ctx, "{carillon}:cursors").Val() {
		_, timing, _ := strings.Cut(cursor, " ")
		require.NoError(t, admin.HSet(ctx, "{carillon}:cursors", job, fmt.Sprintf("%d %s", back, timing)).Err())
	}

	opts.Node = "after"
	node, _ := up(t, opts)
	require.Eventually(t, func() bool { return admin.LLen(ctx, "{carillon}:queue:any:0").Val() > int64(n)*3/4 }, time.Minute, time.Millisecond, "the flood is there")
	started := func() int { mu.Lock(); defer mu.Unlock(); return len(order) }
	id, err := node.Trigger(ctx, "high", nil)
	require.NoError(t, err)
	before := started()
	at := -1
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		for i, run := range order {
			if run == id {
				at = i
			}
		}
		return at >= 0
	}, 20*time.Second, time.Millisecond)
	t.Logf("behind %d waiting runs, %d others began before it", n, at-before)
	assert.LessOrEqual(t, at-before, 3*slots, "what had been claimed, and the slots that were free")
}
