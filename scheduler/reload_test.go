package scheduler

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func TestReloadAddsRemovesAndChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		kept, gone, changed := newJob(t, "kept", "* * * * * *"), newJob(t, "gone", "* * * * * *"), newJob(t, "changed", "* * * * * *")
		f, begin := newFakeStore(), time.Now()
		p := newPlayer(f, kept, gone, changed)
		p.start(t, "a")
		time.Sleep(10 * time.Second)
		added, changed2 := newJob(t, "added", "* * * * * *"), newJob(t, "changed", "*/2 * * * * *")
		p.Reload(sheet(kept, added, changed2))
		reloaded := time.Now()
		time.Sleep(10 * time.Second)
		p.stop(t)

		f.accounted(t, kept, begin, time.Now())
		f.accounted(t, gone, begin, reloaded)
		f.accounted(t, added, reloaded, time.Now())
		assert.Equal(t, map[jobs.Outcome]int{jobs.OutcomeRan: 15, jobs.OutcomeSkipped: 0}, f.tally("changed"))
		for _, d := range f.page("kept") {
			require.Equal(t, d.tick, d.at.UTC())
		}
		assert.Equal(t, 2, f.adopts)
	})
}

func TestReloadInTheInstantOfATick(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var old, changed []*jobs.Job
		for i := range batch + 10 {
			old = append(old, newJob(t, fmt.Sprint(i), "@every 10s"))
			changed = append(changed, newJob(t, fmt.Sprint(i), "@every 15s"))
		}
		f := newFakeStore()
		p := newPlayer(f, old...)
		tm := &term{Scheduler: p.Scheduler, token: "a", stale: true, adopted: make(chan struct{})}
		require.NoError(t, tm.pass(t.Context()))
		time.Sleep(10 * time.Second)
		p.Reload(sheet(changed...))
		tm.reload = true
		require.NoError(t, tm.pass(t.Context()))
		for _, job := range old {
			page := f.page(job.Name)
			require.Len(t, page, 2)
			require.Equal(t, jobs.OutcomeRan, page[0].outcome)
			require.Equal(t, "schedule changed", page[1].reason)
		}
		require.False(t, tm.reload || tm.stale)
	})
}

func TestManyReloads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		kept := newJob(t, "kept", "* * * * * *")
		f, begin := newFakeStore(), time.Now()
		p := newPlayer(f, kept)
		p.start(t, "a")
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for k := range 200 {
					time.Sleep(time.Duration(i*13+k) * time.Millisecond)
					p.Reload(sheet(kept, newJob(t, fmt.Sprint("extra-", i, "-", k), "@every 3s")))
				}
			})
		}
		wg.Wait()
		p.stop(t)
		f.accounted(t, kept, begin, time.Now())
	})
}

func TestReloadBetweenTermsAndInAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeStore()
		p := newPlayer(f, newJob(t, "old", "* * * * * *"))
		p.Reload(sheet(newJob(t, "new", "* * * * * *"))) // nobody leads
		p.start(t, "a")
		time.Sleep(5 * time.Second)
		p.v.mu.Lock()
		p.v.before = func(string) error { return errDown }
		p.v.mu.Unlock()
		time.Sleep(2 * time.Second)
		p.Reload(sheet(newJob(t, "newest", "* * * * * *")))
		time.Sleep(3 * time.Second)
		p.v.mu.Lock()
		p.v.before = nil
		p.v.mu.Unlock()
		time.Sleep(5 * time.Second)
		p.stop(t)
		assert.Empty(t, f.page("old"))
		assert.Equal(t, 5, f.tally("new")[jobs.OutcomeRan])
		assert.InDelta(t, 5, f.tally("newest")[jobs.OutcomeRan], 1)
	})
}

func TestReloadWhileTicksWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		job := newJob(t, "fed", "@every 10s")
		job.CatchUp.Policy = jobs.CatchUpAll
		f, begin := newFakeStore(), time.Now()
		f.runTakes["fed"] = 9 * time.Second
		f.cursors["fed"], f.timing["fed"] = begin.Add(-30*time.Second), job.Timing
		p := newPlayer(f, job)
		p.start(t, "a")
		for range 3000 { // at every moment, so also when only a tick in time waits
			time.Sleep(50 * time.Millisecond)
			p.Reload(sheet(job))
		}
		p.stop(t)
		f.accounted(t, job, begin.Add(-30*time.Second), f.cursors["fed"])
		assert.Less(t, time.Since(f.cursors["fed"]), 20*time.Second)
		assert.Zero(t, f.tally("fed")[jobs.OutcomeSkipped])
	})
}
