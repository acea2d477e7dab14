package executor

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// untilEnd is a handler that works until its context ends.
func untilEnd(ctx context.Context, _ Attempt, _ io.Writer) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestACancelEndsTheAttempt(t *testing.T) {
	for name, word := range map[string]func(*harness){
		"told":                          func(h *harness) { h.exec.Cancel("j@manual-1") },
		"heard":                         func(h *harness) { h.store.cancels <- "j@manual-1" },
		"missed, and said by a renewal": func(h *harness) { h.store.mu.Lock(); h.store.called["j@manual-1"] = true; h.store.mu.Unlock() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newFakeStore(claimOf(1), claimOf(2))
				h := start(store, 2, untilEnd)
				time.Sleep(2 * time.Second)
				word(h)
				time.Sleep(11 * time.Second)
				synctest.Wait()
				results, released := store.snapshot()
				require.Empty(t, released)
				require.Len(t, results, 1, "and of no other run")
				assert.Equal(t, "t1", results[0].Token)
				assert.Equal(t, jobs.Canceled, results[0].Status)
				assert.Equal(t, `func "f": canceled`, results[0].Error)
				h.end(t)
			})
		})
	}
}

func TestACancelIsHeededWhileTheNodeDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		h := start(store, 1, untilEnd)
		time.Sleep(time.Second)
		h.stop()
		time.Sleep(time.Second)
		store.cancels <- "j@manual-1"
		require.NoError(t, <-h.done)
		results, released := store.snapshot()
		require.Empty(t, released)
		require.Len(t, results, 1)
		require.Equal(t, jobs.Canceled, results[0].Status)
	})
}

func TestACanceledHandlerMaySayWhatItLikes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		h := start(store, 1, func(ctx context.Context, _ Attempt, _ io.Writer) error {
			<-ctx.Done()
			return errors.New("half way")
		})
		time.Sleep(time.Second)
		h.exec.Cancel("j@manual-1")
		h.end(t)
		results, _ := store.snapshot()
		require.Len(t, results, 1)
		assert.Equal(t, jobs.Canceled, results[0].Status, "it is not tried again")
		assert.Equal(t, "canceled: half way", results[0].Error)
	})
}

func TestACancelAfterTheLastStepComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		d := &diary{acts: acts("restart", func(ctx context.Context) error {
			store.cancels <- "j@manual-1"
			<-ctx.Done()
			return nil
		})}
		h := startJob(store, 1, release(), d.handle)
		time.Sleep(time.Minute)
		h.end(t)
		results, _ := store.snapshot()
		require.Equal(t, jobs.Succeeded, results[0].Status)
	})
}

func TestACancelBetweenTwoStepsStopsBeforeTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		d := &diary{acts: acts("drain", func(ctx context.Context) error {
			store.cancels <- "j@manual-1"
			<-ctx.Done()
			return nil // it succeeded
		})}
		h := startJob(store, 1, release(), d.handle)
		time.Sleep(time.Minute)
		h.end(t)
		results, _ := store.snapshot()
		assert.Equal(t, jobs.Canceled, results[0].Status)
		assert.Equal(t, "migrate", results[0].FailedStep)
		assert.Equal(t, `step "migrate": canceled`, results[0].Error)
		assert.Equal(t, []string{"0 drain true"}, recordsOf(store), "nothing is recorded that will not start")
	})
}

func TestACancelCutsABackOffShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := release()
		job.Steps[0].Retry = jobs.Retry{Attempts: 2, Backoff: time.Hour, Factor: 1}
		store := newFakeStore(claimOf(1))
		h := startJob(store, 1, job, (&diary{acts: acts("drain", fails("locked"))}).handle)
		time.Sleep(time.Minute)
		h.exec.Cancel("j@manual-1")
		synctest.Wait()
		h.end(t)
		results, _ := store.snapshot()
		assert.Equal(t, jobs.Canceled, results[0].Status)
		assert.Equal(t, `step "drain": canceled (it waited for try 2 after: locked)`, results[0].Error)
	})
}

func TestARollbackIsNotCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(undoing("migrate", "drain"))
		store.called["j@manual-1"] = true
		h := startJob(store, 1, release(), (&diary{acts: acts("undo migrate", takes(time.Hour))}).handle)
		time.Sleep(time.Minute)
		store.cancels <- "j@manual-1"
		time.Sleep(2 * time.Hour)
		h.end(t)
		results, _ := store.snapshot()
		require.Len(t, results, 1)
		require.Equal(t, jobs.RolledBack, results[0].Status)
	})
}

func TestAClosedChannelOfCancelsHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		close(store.cancels)
		h := start(store, 1, func(context.Context, Attempt, io.Writer) error { return nil })
		time.Sleep(time.Second)
		h.end(t)
		results, _ := store.snapshot()
		require.Len(t, results, 1)
	})
}

func keepJob() *jobs.Job {
	job := soleJob()
	job.OnLost = jobs.OnLostKeep
	return job
}

// on_lost: keep lets the attempt finish, although the node hears nothing for much
// longer than the lease.
func TestAnAttemptToKeepOutlivesItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		h := startJob(store, 1, keepJob(), func(ctx context.Context, at Attempt, _ io.Writer) error {
			assert.True(t, at.Deadline.IsZero(), "the watcher kills it with its node only")
			return takes(10 * time.Minute)(ctx)
		})
		store.set(func(op string) (error, bool) {
			if op == "renew" {
				return errors.New("i/o timeout"), false
			}
			return nil, false
		})
		time.Sleep(11 * time.Minute)
		h.end(t)
		results, released := store.snapshot()
		require.Empty(t, released)
		require.Len(t, results, 1, "the store says whether it counts")
		require.Equal(t, jobs.Succeeded, results[0].Status)
	})
}

func TestAnAttemptToKeepGoesOnWhenItsRunIsAnothers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		store.lost["t1"] = true
		h := startJob(store, 1, keepJob(), func(ctx context.Context, _ Attempt, _ io.Writer) error { return takes(10 * time.Minute)(ctx) })
		time.Sleep(11 * time.Minute)
		h.end(t)
		results, _ := store.snapshot()
		require.Len(t, results, 1)
		require.Equal(t, jobs.Succeeded, results[0].Status)
		require.Equal(t, 1, store.renewals, "an answer is an answer")
	})
}

func TestAStepToKeepIsNotTriedAgainWhenItsRunIsAnothers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := release()
		job.OnLost = jobs.OnLostKeep
		job.Steps[0].Retry = jobs.Retry{Attempts: 3}
		store := newFakeStore(claimOf(1))
		d := &diary{acts: acts("drain", func(ctx context.Context) error {
			store.mu.Lock()
			store.lost["t1"] = true
			store.mu.Unlock()
			_ = takes(time.Minute)(ctx)
			return errors.New("locked")
		})}
		h := startJob(store, 1, job, d.handle)
		time.Sleep(2 * time.Minute)
		h.end(t)
		require.Equal(t, []string{"drain"}, d.did())
	})
}

// The watcher does not end a command to keep either: its deadline would pass here
// several times.
func TestACommandToKeepHasNoDeadline(t *testing.T) {
	store := newFakeStore(claimOf(1))
	store.fail = func(op string) (error, bool) {
		if op == "renew" {
			return errors.New("i/o timeout"), false
		}
		return nil, false
	}
	job := keepJob()
	job.Action = jobs.Action{Kind: jobs.ActionRun, Script: "sleep 0.9; echo done"}
	e := New(store, Config{Node: "n", Boot: "boot-of-a-kept-command", Slots: 1, Lease: 200 * time.Millisecond, Drain: 10 * time.Second, Actions: &Actions{},
		Definition: func(string, string) *jobs.Job { return job }})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	require.Eventually(t, func() bool { r, _ := store.snapshot(); return len(r) == 1 }, 10*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	results, _ := store.snapshot()
	require.Equal(t, jobs.Succeeded, results[0].Status, results[0].Error)
	require.Equal(t, "done\n", store.logged())
}
