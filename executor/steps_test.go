package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func handled() jobs.Action { return jobs.Action{Kind: jobs.ActionFunc, Func: "f"} }

// release is a job of three steps, of which the last has no undo.
func release() *jobs.Job {
	once := jobs.Retry{Attempts: 1}
	return &jobs.Job{Name: "j", Digest: "d", Retry: jobs.Retry{Attempts: 1}, Steps: []jobs.Step{
		{Name: "drain", Action: handled(), Undo: &jobs.Undo{Action: handled(), Retry: once}, Retry: once},
		{Name: "migrate", Action: handled(), Undo: &jobs.Undo{Action: handled(), Retry: once}, Retry: once},
		{Name: "restart", Action: handled(), Retry: once},
	}}
}

// diary is a handler that remembers what it did, and does what acts says: by
// the name of the part, the next act each time.
type diary struct {
	mu    sync.Mutex
	lines []string
	acts  map[string][]func(ctx context.Context) error
}

func partOf(at Attempt) string {
	if at.Part.Undo {
		return "undo " + at.Part.Step
	}
	return at.Part.Step
}

func (d *diary) handle(ctx context.Context, at Attempt, out io.Writer) error {
	name := partOf(at)
	fmt.Fprintf(out, "this is %s", name) // without an end of line
	d.mu.Lock()
	d.lines = append(d.lines, name)
	var act func(context.Context) error
	if acts := d.acts[name]; len(acts) > 0 {
		act, d.acts[name] = acts[0], acts[1:]
	}
	d.mu.Unlock()
	if act == nil {
		return nil
	}
	return act(ctx)
}

func (d *diary) did() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string{}, d.lines...)
}

func fails(text string) func(context.Context) error {
	return func(context.Context) error { return errors.New(text) }
}

func takes(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
}

func acts(name string, list ...func(context.Context) error) map[string][]func(context.Context) error {
	return map[string][]func(context.Context) error{name: list}
}

func recordsOf(store *fakeStore) (names []string) {
	store.mu.Lock()
	defer store.mu.Unlock()
	for _, r := range store.steps {
		names = append(names, fmt.Sprintf("%d %s %t", r.Index, r.Name, r.Undo))
	}
	return names
}

func (s *fakeStore) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.log)
}

// settled runs a job's claim for a while and returns what was written.
func settled(t *testing.T, job *jobs.Job, claim jobs.Claim, d *diary) (jobs.Result, *fakeStore) {
	t.Helper()
	store := newFakeStore(claim)
	h := startJob(store, 1, job, d.handle)
	time.Sleep(time.Hour)
	synctest.Wait()
	h.end(t)
	results, released := store.snapshot()
	require.Empty(t, released)
	require.Len(t, results, 1)
	return results[0], store
}

func undoing(names ...string) jobs.Claim {
	c := claimOf(1)
	c.Undoing, c.Rollback, c.Failure, c.FailedAt = true, names, "step \"migrate\": no luck", "migrate"
	return c
}

func TestStepsAreRecordedBeforeTheyStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		store := newFakeStore(claimOf(1))
		d.acts = map[string][]func(context.Context) error{}
		for i, name := range []string{"drain", "migrate", "restart"} {
			d.acts[name] = append(d.acts[name], func(context.Context) error {
				assert.Len(t, recordsOf(store), i+1, "of the steps before, and of this one")
				return nil
			})
		}
		h := startJob(store, 1, release(), d.handle)
		time.Sleep(time.Minute)
		synctest.Wait()
		h.end(t)
		results, _ := store.snapshot()
		require.Len(t, results, 1)
		assert.Equal(t, jobs.Result{RunID: "j@manual-1", Token: "t1", Status: jobs.Succeeded, OutputBytes: results[0].OutputBytes, LogBytes: results[0].OutputBytes}, results[0])
		assert.Equal(t, []string{"drain", "migrate", "restart"}, d.did())
		assert.Equal(t, []string{"0 drain true", "1 migrate true", "2 restart false"}, recordsOf(store))
		assert.Equal(t, "--- step drain ---\nthis is drain\n--- step migrate ---\nthis is migrate\n--- step restart ---\nthis is restart", store.logged())
	})
}

func TestAJobOfOneActionRecordsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		r, store := settled(t, soleJob(), claimOf(1), d)
		assert.Equal(t, jobs.Succeeded, r.Status)
		assert.Empty(t, recordsOf(store))
		assert.Equal(t, "this is job", store.logged())
	})
}

func TestAJobOfOneActionWithAnUndoRecordsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := soleJob()
		job.Retry.Attempts = 1
		job.Undo = &jobs.Undo{Action: handled(), Retry: jobs.Retry{Attempts: 1}}
		d := &diary{acts: acts("job", fails("no luck"))}
		r, store := settled(t, job, claimOf(1), d)
		assert.Equal(t, jobs.Failed, r.Status)
		assert.Equal(t, "no luck", r.Error)
		assert.Equal(t, jobs.SoleStep, r.FailedStep)
		assert.Equal(t, []string{"0 job true"}, recordsOf(store))
		assert.Equal(t, "this is job", store.logged())

		r, store = settled(t, job, undoing(jobs.SoleStep), d)
		assert.Equal(t, jobs.RolledBack, r.Status)
		assert.Equal(t, []string{"job"}, store.undos)
		assert.Equal(t, "--- undo ---\nthis is undo job", store.logged())
	})
}

func TestAFailedStepEndsTheAttemptAndIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := release()
		d := &diary{acts: acts("migrate", fails("no luck"), fails("no luck"))}
		r, _ := settled(t, job, claimOf(1), d)
		assert.Equal(t, jobs.Failed, r.Status)
		assert.Equal(t, "migrate", r.FailedStep)
		assert.Equal(t, `step "migrate": no luck`, r.Error)
		assert.Equal(t, []string{"drain", "migrate"}, d.did())

		job.Retry = jobs.Retry{Attempts: 2, Backoff: time.Minute, Factor: 1}
		claim := claimOf(1)
		claim.Step = 1
		r, store := settled(t, job, claim, d)
		assert.Equal(t, jobs.Retrying, r.Status)
		assert.Equal(t, "migrate", r.FailedStep)
		assert.GreaterOrEqual(t, r.RetryIn, time.Minute)
		assert.Equal(t, []string{"1 migrate true"}, recordsOf(store), "it resumed at the failed step")

		r, _ = settled(t, job, claim, d)
		assert.Equal(t, jobs.Succeeded, r.Status)
		assert.Equal(t, []string{"drain", "migrate", "migrate", "migrate", "restart"}, d.did())
	})
}

func TestAStepIsTriedAgainWhileTheLeaseIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := release()
		job.Steps[1].Retry = jobs.Retry{Attempts: 3, Backoff: time.Minute, Factor: 2}
		d := &diary{acts: acts("migrate", fails("locked"), fails("still locked"))}
		r, store := settled(t, job, claimOf(1), d)
		assert.Equal(t, jobs.Succeeded, r.Status)
		assert.Equal(t, []string{"drain", "migrate", "migrate", "migrate", "restart"}, d.did())
		assert.Len(t, recordsOf(store), 3, "a step is recorded once")
		assert.Greater(t, store.renewals, 15, "three minutes of back-off are covered by renewals")
		assert.Contains(t, store.logged(), "--- step migrate, try 1 of 3 ---\nthis is migrate\n--- step \"migrate\": locked: trying again in 1m")
		assert.Contains(t, store.logged(), "--- step migrate, try 3 of 3 ---\n")

		d.acts = acts("migrate", fails("1"), fails("2"), fails("3"))
		r, _ = settled(t, job, claimOf(1), d)
		assert.Equal(t, jobs.Failed, r.Status)
		assert.Equal(t, `step "migrate": 3`, r.Error)
	})
}

func TestTimeoutsOfStepsAndOfTheirJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := release()
		job.Timeout = 10 * time.Minute
		job.Steps[0].Timeout = time.Minute
		job.Steps[0].Retry = jobs.Retry{Attempts: 2, Backoff: time.Second, Factor: 1}
		d := &diary{acts: map[string][]func(context.Context) error{
			"drain":   {takes(time.Hour), takes(time.Second)},
			"migrate": {takes(time.Hour)},
		}}
		began := time.Now()
		store := newFakeStore(claimOf(1))
		h := startJob(store, 1, job, d.handle)
		time.Sleep(10*time.Minute + time.Second)
		h.end(t)
		results, _ := store.snapshot()
		require.Len(t, results, 1, "%s", time.Since(began))
		assert.Equal(t, []string{"drain", "drain", "migrate"}, d.did())
		assert.Contains(t, store.logged(), `--- step "drain": func "f": timed out after 1m0s: raise the timeout of step "drain", or find out what it waits for: trying again in 1`)
		assert.Equal(t, `step "migrate": func "f": timed out after 10m0s: raise the timeout of the job, or find out what it waits for`, results[0].Error)
		assert.Equal(t, jobs.Failed, results[0].Status)
	})
}

func TestTheJobsTimeoutCutsABackOffShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := release()
		job.Timeout = time.Minute
		job.Retry = jobs.Retry{Attempts: 2}
		job.Steps[0].Retry = jobs.Retry{Attempts: 2, Backoff: time.Hour, Factor: 1}
		r, _ := settled(t, job, claimOf(1), &diary{acts: acts("drain", fails("locked"))})
		assert.Equal(t, jobs.Retrying, r.Status, "a timeout is a failure like others")
		assert.Contains(t, r.Error, `step "drain": timed out after 1m0s`)
		assert.Contains(t, r.Error, "it waited for try 2 after: locked")
	})
}

func TestAStepDoesNotStartWithoutItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		store := newFakeStore(claimOf(1))
		store.fail = func(op string) (error, bool) {
			if op == "step" {
				return errors.New("i/o timeout"), false
			}
			return nil, false
		}
		h := startJob(store, 1, release(), d.handle)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		require.Empty(t, d.did())
		store.set(func(op string) (error, bool) { // carried out now, and the reply is lost
			if op == "step" && len(store.steps) < 2 {
				return errors.New("i/o timeout"), true
			}
			return nil, false
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"drain", "migrate", "restart"}, d.did())
		h.end(t)
		results, _ := store.snapshot()
		require.Equal(t, jobs.Succeeded, results[0].Status)
	})
}

func TestAStepOfARunThatIsAnothersDoesNotStart(t *testing.T) {
	for _, policy := range []jobs.OnLost{jobs.OnLostKill, jobs.OnLostKeep} {
		synctest.Test(t, func(t *testing.T) {
			job := release()
			job.OnLost = policy
			store := newFakeStore(claimOf(1))
			d := &diary{acts: acts("drain", func(context.Context) error {
				store.mu.Lock()
				defer store.mu.Unlock()
				store.lost["t1"] = true
				return nil
			})}
			h := startJob(store, 1, job, d.handle)
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			h.end(t)
			results, released := store.snapshot()
			require.Empty(t, results)
			require.Len(t, released, 1, "which the store refuses")
			require.Equal(t, []string{"drain"}, d.did())
		})
	}
}

func TestTheUndosAreRunInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{acts: map[string][]func(context.Context) error{}}
		var seen []Attempt
		d.acts["undo migrate"] = []func(context.Context) error{func(context.Context) error { return nil }}
		store := newFakeStore(undoing("migrate", "drain"))
		h := startJob(store, 1, release(), func(ctx context.Context, at Attempt, out io.Writer) error {
			seen = append(seen, at)
			if at.Part.Step == "drain" {
				assert.Equal(t, []string{"migrate"}, store.undos, "said before the next one begins")
			}
			return d.handle(ctx, at, out)
		})
		time.Sleep(time.Minute)
		h.end(t)
		results, _ := store.snapshot()
		require.Len(t, results, 1)
		assert.Equal(t, jobs.RolledBack, results[0].Status)
		assert.Empty(t, results[0].Error)
		assert.Equal(t, []string{"undo migrate", "undo drain"}, d.did())
		assert.Equal(t, []string{"migrate", "drain"}, store.undos)
		assert.Empty(t, store.steps)
		assert.Equal(t, "--- undo migrate ---\nthis is undo migrate\n--- undo drain ---\nthis is undo drain", store.logged())
		env := identity(seen[0])
		assert.Equal(t, "migrate", env["CARILLON_STEP"])
		assert.Equal(t, "migrate", env["CARILLON_FAILED_STEP"])
		assert.Equal(t, `step "migrate": no luck`, env["CARILLON_ERROR"])
	})
}

func TestAnUndoHasItsOwnRetryAndTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := release()
		job.Timeout = time.Second // is not the undo's
		job.Steps[1].Undo.Timeout = time.Minute
		job.Steps[1].Undo.Retry = jobs.Retry{Attempts: 3, Backoff: time.Second, Factor: 1}
		d := &diary{acts: acts("undo migrate", takes(time.Hour), fails("locked"), takes(30*time.Second))}
		r, store := settled(t, job, undoing("migrate"), d)
		assert.Equal(t, jobs.RolledBack, r.Status)
		assert.Contains(t, store.logged(), `the undo of step "migrate": func "f": timed out after 1m0s: raise the timeout of the undo of step "migrate"`)
	})
}

func TestASpentUndoSaysWhatIsLeftToDoByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := release()
		job.Retry = jobs.Retry{Attempts: 5} // is not the undo's
		d := &diary{acts: acts("undo migrate", fails("no table"))}
		r, store := settled(t, job, undoing("migrate", "drain"), d)
		assert.Equal(t, jobs.RollbackFailed, r.Status)
		assert.Equal(t, "migrate", r.FailedStep)
		assert.Equal(t, `the undo of step "migrate": no table; left to undo by hand, in this order: migrate, drain (carillon rollback tries them again)`, r.Error)
		assert.Empty(t, store.undos)
		assert.Equal(t, []string{"undo migrate"}, d.did(), "it stops there")

		r, _ = settled(t, job, undoing("restart", "drain"), d)
		assert.Equal(t, jobs.RollbackFailed, r.Status)
		assert.Contains(t, r.Error, `step "restart" has no undo in the schedule of this node; left to undo by hand, in this order: restart, drain`)
	})
}

func TestADrainGivesARollbackBackAndKeepsWhatWasUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{acts: map[string][]func(context.Context) error{
			"undo migrate": {func(ctx context.Context) error { <-ctx.Done(); return nil }}, // it succeeds all the same
		}}
		store := newFakeStore(undoing("migrate", "drain"))
		h := startJob(store, 1, release(), d.handle)
		time.Sleep(time.Second)
		h.end(t)
		results, released := store.snapshot()
		require.Empty(t, results)
		require.Len(t, released, 1)
		require.Equal(t, jobs.ReleaseStarted, released[0].Kind)
		require.Equal(t, []string{"migrate"}, store.undos, "it is not undone twice")
		require.Equal(t, []string{"undo migrate"}, d.did())
	})
}

func TestARollbackThatIsAnothersStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(undoing("migrate", "drain"))
		d := &diary{acts: acts("undo migrate", func(context.Context) error {
			store.mu.Lock()
			defer store.mu.Unlock()
			store.lost["t1"] = true
			return nil
		})}
		h := startJob(store, 1, release(), d.handle)
		time.Sleep(100 * time.Millisecond)
		h.end(t)
		results, released := store.snapshot()
		require.Empty(t, results)
		require.Len(t, released, 1)
		require.Equal(t, []string{"undo migrate"}, d.did())
	})
}

// Redis is away when an undo has succeeded: the next one waits, nothing is lost.
func TestAnUndoIsSaidUntilItIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(undoing("migrate", "drain"))
		d := &diary{}
		store.fail = func(op string) (error, bool) {
			if op == "undone" && time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) < 5*time.Minute {
				return errRefused, false
			}
			return nil, false
		}
		h := startJob(store, 1, release(), d.handle)
		time.Sleep(4 * time.Minute)
		require.Equal(t, []string{"undo migrate"}, d.did())
		time.Sleep(2 * time.Minute)
		h.end(t)
		results, _ := store.snapshot()
		require.Equal(t, jobs.RolledBack, results[0].Status)
		require.Equal(t, []string{"undo migrate", "undo drain"}, d.did())
	})
}

func TestParamsThatDoNotFitStopARollbackToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		claim := undoing("migrate")
		claim.Params = map[string]string{"evil": "x"}
		r, _ := settled(t, release(), claim, &diary{})
		assert.Equal(t, jobs.RollbackFailed, r.Status)
		assert.Equal(t, "migrate", r.FailedStep)
		assert.Contains(t, r.Error, "evil")
		assert.Contains(t, r.Error, "left to undo by hand: migrate (carillon rollback tries it again)")
	})
}

// Something of the last try may still work: the next one would run beside it.
func TestWhatStillRunsIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		defer close(free)
		job := release()
		job.Steps[0].Timeout = time.Second
		job.Steps[0].Retry = jobs.Retry{Attempts: 3}
		d := &diary{acts: acts("drain", func(context.Context) error { <-free; return nil })}
		r, _ := settled(t, job, claimOf(1), d)
		assert.Equal(t, jobs.Failed, r.Status)
		assert.Equal(t, []string{"drain"}, d.did())
	})
}
