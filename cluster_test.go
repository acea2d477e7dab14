package carillon_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon"
	"carillon/internal/redistest"
	"carillon/jobs"
)

// orchestra is a fleet of three nodes on a cluster, with jobs that fall due each
// second and somebody who triggers more.
type orchestra struct {
	t     *testing.T
	c     *redistest.Cluster
	slot  int
	rec   recorder
	nodes []*carillon.Node
	log   lines
	ended []func()

	mu        sync.Mutex
	triggered []string // what the store acknowledged
	refused   int
}

const orchestraJobs = 10

func play(t *testing.T, replicas int) *orchestra {
	t.Helper()
	o := &orchestra{t: t, c: redistest.StartCluster(t)}
	o.slot = o.c.Slot("carillon")
	text := "version: 1\njobs:\n  extra: {func: extra, overlap: allow}\n"
	for i := range orchestraJobs {
		text += fmt.Sprintf("  beat%d: {schedule: \"* * * * * *\", catch_up: all, overlap: allow, func: beat}\n", i)
	}
	for _, name := range []string{"a", "b", "c"} {
		h := o.rec.handler(name)
		n, stop := up(t, carillon.Options{Redis: o.c.URL(), Node: name, Schedule: schedule(t, text), LeaderTTL: 1500 * time.Millisecond, WaitReplicas: replicas,
			Funcs: map[string]carillon.Func{"beat": h, "extra": h}, Logger: slog.New(slog.NewTextHandler(&o.log, nil))})
		o.nodes, o.ended = append(o.nodes, n), append(o.ended, stop)
	}
	o.advance(1)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			id, err := o.nodes[0].Trigger(ctx, "extra", nil)
			o.mu.Lock()
			if err == nil {
				o.triggered = append(o.triggered, id)
			} else {
				o.refused++
			}
			o.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	o.ended = append([]func(){func() { cancel(); wg.Wait() }}, o.ended...)
	t.Cleanup(func() { cancel(); wg.Wait() })
	return o
}

// ticks are those of a job that ran, in order.
func (o *orchestra) ticks(job string) (at []time.Time) {
	for id := range o.rec.snapshot() {
		if name, tick, _ := strings.Cut(id, "@"); name == job {
			when, err := time.Parse(jobs.TickLayout, tick)
			require.NoError(o.t, err)
			at = append(at, when)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// advance waits until each job ran n more ticks.
func (o *orchestra) advance(n int) {
	o.t.Helper()
	wanted := map[string]int{}
	for i := range orchestraJobs {
		job := fmt.Sprintf("beat%d", i)
		wanted[job] = len(o.ticks(job)) + n
	}
	require.Eventually(o.t, func() bool {
		for job, count := range wanted {
			if len(o.ticks(job)) < count {
				return false
			}
		}
		return true
	}, 2*time.Minute, 50*time.Millisecond)
}

// end stops everything. lost are ticks between the first and the last of their job
// that nobody ran, and acknowledged triggers; again is what began more than once.
func (o *orchestra) end() (lost, again []string) {
	o.t.Helper()
	o.ended[0]() // the triggers
	o.mu.Lock()
	triggered := slices.Clone(o.triggered)
	o.mu.Unlock()
	ran := func() map[string][]string { return o.rec.snapshot() }
	deadline := time.Now().Add(time.Minute)
	for _, id := range triggered {
		for len(ran()[id]) == 0 && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
	}
	for _, stop := range o.ended[1:] {
		stop()
	}
	got := ran()
	for _, id := range triggered {
		if len(got[id]) == 0 {
			lost = append(lost, id)
		}
	}
	for i := range orchestraJobs {
		ticks := o.ticks(fmt.Sprintf("beat%d", i))
		for at := ticks[0]; at.Before(ticks[len(ticks)-1]); at = at.Add(time.Second) {
			if id := fmt.Sprintf("beat%d@%s", i, at.Format(jobs.TickLayout)); len(got[id]) == 0 {
				lost = append(lost, id)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if len(got[id]) > 1 {
			again = append(again, fmt.Sprint(id, got[id]))
		}
	}
	o.t.Logf("%d runs, %d of them triggered and acknowledged, %d triggers refused; lost %d, again %d",
		len(got), len(triggered), o.refused, len(lost), len(again))
	return lost, again
}

// The slot of a fleet goes round the masters while the fleet works, then from a
// master to its replica: nothing is lost, and nothing runs twice.
func TestAFleetInAClusterFollowsItsSlot(t *testing.T) {
	t.Parallel()
	o := play(t, 0)
	require.Contains(t, o.nodes[0].Status().Redis, "the cluster of ")
	for range 2 {
		o.c.Migrate(o.slot, o.c.Other(o.slot))
		o.advance(1)
	}
	o.c.AwaitHealth()
	o.c.Failover(o.slot)
	o.advance(2)
	lost, again := o.end()
	require.Empty(t, lost)
	require.Empty(t, again)
	require.True(t, o.log.has("another node of the cluster has our slot now"))
}

// Half of the keys are moved, then nothing happens for a while: as long as that, the
// fleet waits.
func TestAMigrationThatTakesItsTimeCostsTimeOnly(t *testing.T) {
	t.Parallel()
	o := play(t, 0)
	to := o.c.Other(o.slot)
	from := o.c.Begin(o.slot, to)
	o.c.MoveKeys(o.slot, from, to, 20)
	before := len(o.ticks("beat0"))
	require.Eventually(t, func() bool { return o.log.has("our slot is on its way to another node") }, time.Minute, 10*time.Millisecond)
	<-time.After(2 * time.Second)
	require.LessOrEqual(t, len(o.ticks("beat0")), before+1, "nothing is queued")
	for o.c.MoveKeys(o.slot, from, to, 100) > 0 {
	}
	o.c.End(o.slot, from, to)
	o.advance(3)
	lost, again := o.end()
	require.Empty(t, lost)
	require.Empty(t, again)
}

// The master of the slot dies. Replication is asynchronous: what it acknowledged and
// its replica had not got can be lost or run again, also of a fleet that waits for
// replicas. Everything else goes on.
func TestAFleetInAClusterSurvivesTheMasterOfItsSlot(t *testing.T) {
	t.Parallel()
	o := play(t, 1)
	o.c.AwaitHealth()
	require.False(t, o.log.has("too few replicas"), "WAIT is answered where the slot is")
	gone := o.c.Owner(o.slot)
	gone.Kill()
	o.c.AwaitOwner(o.slot, gone)
	o.advance(3)
	lost, again := o.end()
	// What was under way at that moment: an exchange a node and a commit.
	require.LessOrEqual(t, len(lost), 3*orchestraJobs, "%v", lost)
	require.LessOrEqual(t, len(again), 3*orchestraJobs, "%v", again)
}
