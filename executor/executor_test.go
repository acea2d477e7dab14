package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

var (
	errLoading = errors.New("LOADING Redis is loading the dataset in memory")
	errRefused = errors.New("connection refused")
)

// fakeStore is a queue, leases and results in memory. fail, when set, decides
// what goes wrong with a call; carried says whether the call is carried out all
// the same (a lost reply).
type fakeStore struct {
	mu       sync.Mutex
	queue    []jobs.Claim
	claims   map[string][]jobs.Claim // by claim id
	results  []jobs.Result
	released []jobs.Release
	renewals int
	lost     map[string]bool // tokens whose lease is another's
	called   map[string]bool // run ids that somebody called off
	steps    []jobs.StepRecord
	undos    []string // names of the steps that are undone
	cancels  chan string
	log      []byte
	bell     chan struct{}
	returned int
	fail     func(op string) (err error, carried bool)
}

func newFakeStore(runs ...jobs.Claim) *fakeStore {
	return &fakeStore{queue: runs, claims: map[string][]jobs.Claim{}, lost: map[string]bool{}, called: map[string]bool{}, cancels: make(chan string, 10), bell: make(chan struct{}, 100)}
}

func (s *fakeStore) failing(op string) (error, bool) {
	if s.fail == nil {
		return nil, false
	}
	return s.fail(op)
}

func (s *fakeStore) Exchange(ctx context.Context, req jobs.ExchangeRequest) (jobs.ExchangeReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err, carried := s.failing("exchange")
	if err != nil && !carried {
		return jobs.ExchangeReply{}, err
	}
	var reply jobs.ExchangeReply
	for _, r := range req.Results {
		s.results = append(s.results, r)
		reply.Answers = append(reply.Answers, jobs.FinishOK)
	}
	if req.Want > 0 {
		got, again := s.claims[req.ClaimID]
		if !again {
			n := min(req.Want, len(s.queue))
			got = append(got, s.queue[:n]...)
			s.queue = s.queue[n:]
			s.claims[req.ClaimID] = got
		}
		reply.Claims = got
		reply.More = len(s.queue) > 0
	}
	return reply, err
}

func (s *fakeStore) WaitBell(ctx context.Context) (bool, error) {
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-s.bell:
		return true, nil
	case <-time.After(time.Second):
		return false, nil
	}
}

func (s *fakeStore) ReturnBell(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.returned++
	return nil
}

func (s *fakeStore) Renew(ctx context.Context, refs []jobs.LeaseRef) ([]jobs.RenewAnswer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err, _ := s.failing("renew"); err != nil {
		return nil, err
	}
	s.renewals++
	var out []jobs.RenewAnswer
	for _, r := range refs {
		switch {
		case s.lost[r.Token]:
			out = append(out, jobs.RenewLost)
		case s.called[r.RunID]:
			out = append(out, jobs.RenewCanceled)
		default:
			out = append(out, jobs.RenewOK)
		}
	}
	return out, nil
}

func (s *fakeStore) Release(_ context.Context, rs []jobs.Release) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err, _ := s.failing("release"); err != nil {
		return err
	}
	s.released = append(s.released, rs...)
	return nil
}

func (s *fakeStore) Step(ctx context.Context, r jobs.StepRecord) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err, carried := s.failing("step")
	if err == nil || carried {
		if s.lost[r.Token] {
			return false, err
		}
		s.steps = append(s.steps, r)
	}
	return err == nil, err
}

func (s *fakeStore) Undone(ctx context.Context, _, token, step string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err, carried := s.failing("undone")
	if ctx.Err() != nil {
		err, carried = ctx.Err(), false
	}
	if err == nil || carried {
		if s.lost[token] {
			return false, err
		}
		if !slices.Contains(s.undos, step) {
			s.undos = append(s.undos, step)
		}
	}
	return err == nil, err
}

func (s *fakeStore) Cancels() <-chan string { return s.cancels }

func (s *fakeStore) AppendLog(_ context.Context, _ string, add []jobs.LogChunk, _ []string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, len(add))
	for i, c := range add {
		s.log = append(s.log, c.Data...)
		ids[i] = fmt.Sprint(c.Offset)
	}
	return ids, nil
}

func (s *fakeStore) ServesNobody(_ context.Context, err error) bool {
	return errors.Is(err, errLoading)
}

func (s *fakeStore) push(c jobs.Claim) {
	s.mu.Lock()
	s.queue = append(s.queue, c)
	s.mu.Unlock()
	s.bell <- struct{}{}
}

func (s *fakeStore) snapshot() (results []jobs.Result, released []jobs.Release) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(results, s.results...), append(released, s.released...)
}

func (s *fakeStore) set(f func(op string) (error, bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

func claimOf(n int) jobs.Claim {
	return jobs.Claim{RunID: fmt.Sprintf("j@manual-%d", n), Job: "j", Digest: "d", Token: fmt.Sprintf("t%d", n), Attempt: 1}
}

// harness runs an executor in a bubble: handler is the job.
type harness struct {
	store *fakeStore
	exec  *Executor
	stop  context.CancelFunc
	done  chan error
}

func start(store *fakeStore, slots int, handler Handler) *harness {
	return startJob(store, slots, soleJob(), handler)
}

func soleJob() *jobs.Job {
	return &jobs.Job{Name: "j", Digest: "d", Action: jobs.Action{Kind: jobs.ActionFunc, Func: "f"}, Retry: jobs.Retry{Attempts: 2, Backoff: time.Second, Factor: 2}}
}

func startJob(store *fakeStore, slots int, job *jobs.Job, handler Handler) *harness {
	h := &harness{store: store, done: make(chan error, 1)}
	h.exec = New(store, Config{Node: "n", Boot: "b", Slots: slots, Lease: 30 * time.Second, Drain: 10 * time.Second,
		Actions: &Actions{Funcs: map[string]Handler{"f": handler}},
		Definition: func(name, digest string) *jobs.Job {
			if digest == job.Digest {
				return job
			}
			return nil
		}})
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	go func() { h.done <- h.exec.Run(ctx) }()
	return h
}

func (h *harness) end(t *testing.T) {
	t.Helper()
	h.stop()
	require.NoError(t, <-h.done)
}

func TestRunsAreExecutedWithinTheSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		for n := range 100 {
			store.queue = append(store.queue, claimOf(n))
		}
		var mu sync.Mutex
		now, most := 0, 0
		h := start(store, 8, func(context.Context, Attempt, io.Writer) error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(100 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return nil
		})
		began := time.Now()
		for {
			synctest.Wait()
			if r, _ := store.snapshot(); len(r) == 100 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		require.Equal(t, 8, most)
		require.Less(t, time.Since(began), 1500*time.Millisecond, "no slot is left empty while runs wait")
		h.end(t)
	})
}

func TestTheBellStartsARunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		started := make(chan time.Time, 1)
		h := start(store, 2, func(context.Context, Attempt, io.Writer) error {
			started <- time.Now()
			return nil
		})
		time.Sleep(10*time.Second + 300*time.Millisecond)
		pushed := time.Now()
		store.push(claimOf(1))
		require.Equal(t, pushed, <-started)
		h.end(t)
	})
}

func TestALostTokenCostsOnePollAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		started := make(chan time.Time, 1)
		h := start(store, 2, func(context.Context, Attempt, io.Writer) error {
			started <- time.Now()
			return nil
		})
		time.Sleep(5 * time.Second)
		pushed := time.Now()
		store.mu.Lock()
		store.queue = append(store.queue, claimOf(1))
		store.mu.Unlock()
		require.LessOrEqual(t, (<-started).Sub(pushed), time.Second)
		h.end(t)
	})
}

func TestARepeatedExchangeExecutesNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1), claimOf(2))
		failures := 3
		store.fail = func(op string) (error, bool) {
			if op == "exchange" && failures > 0 {
				failures--
				return errors.New("i/o timeout"), true // carried out, and the reply was lost
			}
			return nil, false
		}
		count := make(chan string, 10)
		h := start(store, 4, func(_ context.Context, at Attempt, _ io.Writer) error {
			count <- at.Claim.RunID
			return nil
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Len(t, count, 2)
		h.end(t)
	})
}

func TestResultsOutliveAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		h := start(store, 1, func(context.Context, Attempt, io.Writer) error {
			time.Sleep(5 * time.Second)
			return nil
		})
		time.Sleep(time.Second)
		store.set(func(string) (error, bool) { return errRefused, false })
		time.Sleep(10 * time.Minute)
		r, rel := store.snapshot()
		require.Empty(t, r)
		require.Empty(t, rel)
		store.set(nil)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		r, _ = store.snapshot()
		require.Len(t, r, 1, "the result is delivered when Redis is back")
		require.Equal(t, jobs.Succeeded, r[0].Status)
		h.end(t)
	})
}

// Redis loads its data for ten minutes: nobody else can take the run, so it
// goes on.
func TestARunningJobSurvivesARedisThatLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		h := start(store, 1, func(ctx context.Context, _ Attempt, _ io.Writer) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(10 * time.Minute):
				return nil
			}
		})
		time.Sleep(time.Second)
		store.set(func(op string) (error, bool) { return errLoading, false })
		time.Sleep(9 * time.Minute)
		store.set(nil)
		time.Sleep(2 * time.Minute)
		r, _ := store.snapshot()
		require.Len(t, r, 1)
		require.Equal(t, jobs.Succeeded, r[0].Status)
		h.end(t)
	})
}

// One answer that it loads proves nothing about the time before it, nor that the leader noticed: a
// Redis that restarts is away for less than what breaks the leader's record. Found by the
// simulation.
func TestAShortOutageDoesNotMoveALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		ended := make(chan time.Time, 1)
		h := start(store, 1, func(ctx context.Context, _ Attempt, _ io.Writer) error {
			<-ctx.Done()
			ended <- time.Now()
			return context.Cause(ctx)
		})
		claimed := time.Now()
		store.set(func(op string) (error, bool) {
			age := time.Since(claimed)
			switch {
			case op != "renew":
				return nil, false
			case age > 15*time.Second && age < 17*time.Second:
				return errLoading, false
			}
			return errors.New("i/o timeout"), false
		})
		at := (<-ended).Sub(claimed)
		require.GreaterOrEqual(t, at, 20*time.Second, "two thirds of the lease")
		require.Less(t, at, 22*time.Second)
		h.end(t)
	})
}

// A node that hears nothing, or is refused, cannot know whether another took the run: it
// ends its attempt before the lease is over.
func TestACutOffNodeEndsItsRunsBeforeTheLease(t *testing.T) {
	for name, failure := range map[string]error{"no answer": errors.New("i/o timeout"), "refused": errRefused} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newFakeStore(claimOf(1))
				ended := make(chan time.Time, 1)
				h := start(store, 1, func(ctx context.Context, _ Attempt, w io.Writer) error {
					<-ctx.Done()
					require.ErrorIs(t, context.Cause(ctx), ErrLeaseLost)
					fmt.Fprint(w, "my last words")
					ended <- time.Now()
					return context.Cause(ctx)
				})
				synctest.Wait()
				claimed := time.Now()
				store.set(func(string) (error, bool) { return failure, false })
				at := (<-ended).Sub(claimed)
				require.GreaterOrEqual(t, at, 20*time.Second, "two thirds of the lease")
				require.Less(t, at, 22*time.Second)

				time.Sleep(5 * time.Minute)
				store.set(nil)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				r, rel := store.snapshot()
				require.Empty(t, r, "this is not a failure of the job")
				require.Len(t, rel, 1, "given back as soon as there is an answer")
				require.Equal(t, jobs.ReleaseStarted, rel[0].Kind)
				require.Equal(t, "my last words", string(store.log), "and what it said until then")
				h.end(t)
			})
		})
	}
}

func TestASupersededAttemptIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		ended := make(chan struct{})
		h := start(store, 1, func(ctx context.Context, _ Attempt, _ io.Writer) error {
			<-ctx.Done()
			close(ended)
			return context.Cause(ctx)
		})
		time.Sleep(2 * time.Second)
		store.mu.Lock()
		store.lost["t1"] = true
		store.mu.Unlock()
		<-ended
		h.end(t)
		r, _ := store.snapshot()
		require.Empty(t, r)
	})
}

func TestRenewalsKeepALongRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		h := start(store, 1, func(ctx context.Context, _ Attempt, _ io.Writer) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Hour):
				return nil
			}
		})
		time.Sleep(time.Hour + time.Second)
		synctest.Wait()
		r, _ := store.snapshot()
		require.Len(t, r, 1)
		require.Equal(t, jobs.Succeeded, r[0].Status)
		store.mu.Lock()
		renewals := store.renewals
		store.mu.Unlock()
		require.InDelta(t, 360, renewals, 15, "a third of the lease apart")
		h.end(t)
	})
}

func TestFailuresRetryUntilAttemptsAreSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := claimOf(2)
		second.Failures = 1
		store := newFakeStore(claimOf(1), second)
		h := start(store, 2, func(context.Context, Attempt, io.Writer) error { return errors.New("no luck") })
		time.Sleep(time.Second)
		synctest.Wait()
		results, _ := store.snapshot()
		require.Len(t, results, 2)
		for _, r := range results {
			require.Contains(t, r.Error, "no luck")
			if r.Token == "t1" {
				require.Equal(t, jobs.Retrying, r.Status)
				require.GreaterOrEqual(t, r.RetryIn, time.Second)
				require.LessOrEqual(t, r.RetryIn, 1200*time.Millisecond)
			} else {
				require.Equal(t, jobs.Failed, r.Status)
			}
		}
		h.end(t)
	})
}

func TestADrainWaitsThenGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1), claimOf(2))
		h := start(store, 2, func(ctx context.Context, at Attempt, _ io.Writer) error {
			d := 5 * time.Second
			if at.Claim.Token == "t2" {
				d = time.Hour
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(d):
				return nil
			}
		})
		time.Sleep(time.Second)
		stopped := time.Now()
		h.stop()
		store.push(claimOf(3))
		require.NoError(t, <-h.done)
		require.InDelta(t, 10*time.Second, time.Since(stopped), float64(time.Second))
		r, rel := store.snapshot()
		require.Len(t, r, 1)
		require.Equal(t, "t1", r[0].Token)
		require.Equal(t, jobs.Succeeded, r[0].Status)
		require.Len(t, rel, 1, "handed back at once, not after a lease")
		require.Equal(t, "t2", rel[0].Token)
		require.Len(t, store.queue, 1, "nothing new was claimed")
	})
}

func TestAHandlerThatIgnoresItsContextDoesNotHoldTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		h := start(newFakeStore(claimOf(1)), 1, func(context.Context, Attempt, io.Writer) error {
			<-free
			return nil
		})
		time.Sleep(time.Second)
		stopped := time.Now()
		h.end(t)
		require.Less(t, time.Since(stopped), 10*time.Second+DefaultGrace+10*time.Second)
		_, released := h.store.snapshot()
		require.Len(t, released, 1)
		close(free)
	})
}

func TestAnIdleNodeStopsSoonWithoutRedisToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		h := start(store, 2, nil)
		time.Sleep(time.Second)
		store.set(func(string) (error, bool) { return errRefused, false })
		time.Sleep(time.Minute)
		stopped := time.Now()
		h.end(t)
		require.LessOrEqual(t, time.Since(stopped), time.Second)
	})
}

func TestAnIdleNodeStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(newFakeStore(), 2, nil)
		time.Sleep(time.Minute)
		stopped := time.Now()
		h.end(t)
		require.Less(t, time.Since(stopped), 10*time.Millisecond)
	})
}

func TestAForeignDefinitionIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		foreign := claimOf(1)
		foreign.Digest = "other"
		store := newFakeStore(foreign, claimOf(2))
		h := start(store, 1, func(context.Context, Attempt, io.Writer) error { return nil })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		r, rel := store.snapshot()
		require.Len(t, r, 1)
		require.Len(t, rel, 1)
		require.Equal(t, jobs.ReleasePark, rel[0].Kind)
		require.Contains(t, rel[0].Reason, "no definition other")
		h.end(t)
	})
}

func TestParamsAreBoundWhereTheRunIsExecuted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forged := claimOf(1)
		forged.Params = map[string]string{"evil": "x"}
		store := newFakeStore(forged, claimOf(2))
		h := start(store, 1, func(context.Context, Attempt, io.Writer) error { return nil })
		time.Sleep(time.Second)
		synctest.Wait()
		results, _ := store.snapshot()
		require.Len(t, results, 2)
		require.Equal(t, jobs.Failed, results[0].Status)
		require.Contains(t, results[0].Error, "evil")
		require.Equal(t, jobs.Succeeded, results[1].Status)
		h.end(t)
	})
}

func TestALateClaimIsNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		first := true
		store.fail = func(op string) (error, bool) {
			if op == "exchange" && first {
				first = false
				return errors.New("i/o timeout"), true
			}
			if op == "exchange" && time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) < 20*time.Second {
				return errors.New("i/o timeout"), false
			}
			return nil, false
		}
		h := start(store, 1, func(context.Context, Attempt, io.Writer) error {
			t.Error("started with a lease that is nearly over")
			return nil
		})
		time.Sleep(30 * time.Second)
		h.end(t)
		_, rel := store.snapshot()
		require.Len(t, rel, 1)
		require.Equal(t, jobs.ReleaseUnstarted, rel[0].Kind)
	})
}

// A node that has no file or process left to start a command with gives the run back, as it
// was, and leaves what waits to others for a moment.
func TestANodeThatIsShortOfSomethingGivesItsRunsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1), claimOf(2))
		var calls atomic.Int64
		h := start(store, 4, func(context.Context, Attempt, io.Writer) error {
			if calls.Add(1) <= 2 {
				return fmt.Errorf("start /bin/sh: %w", errShort)
			}
			return nil
		})
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		results, released := store.snapshot()
		require.Empty(t, results, "nothing failed")
		require.Len(t, released, 2)
		for _, r := range released {
			require.Equal(t, jobs.ReleaseUnstarted, r.Kind, "the attempt keeps its number")
			require.Contains(t, r.Reason, "start /bin/sh")
		}
		store.push(claimOf(3))
		time.Sleep(500 * time.Millisecond)
		require.EqualValues(t, 2, calls.Load(), "no claim meanwhile")
		time.Sleep(time.Second)
		synctest.Wait()
		require.EqualValues(t, 3, calls.Load(), "and then it looks again")
		results, _ = store.snapshot()
		require.Len(t, results, 1)
		h.end(t)
	})
}

func TestATokenWithoutASlotIsPutBack(t *testing.T) {
	b := newBoard(1)
	_, want, ok := b.take(0, 1)
	require.True(t, ok)
	require.Equal(t, 1, want)
	require.False(t, b.wake())
	b.claimed(1, false)
	require.True(t, b.wake())
}

func TestWhatEndedAnAttempt(t *testing.T) {
	failed := errors.New("exit status 1")
	require.NoError(t, notTheJobs(nil, failed))
	require.NoError(t, notTheJobs(ErrTimedOut, failed))
	require.NoError(t, notTheJobs(ErrDraining, nil), "it succeeded before it noticed")
	require.Equal(t, ErrDraining, notTheJobs(ErrDraining, failed))
	require.Equal(t, ErrLeaseLost, notTheJobs(nil, fmt.Errorf("killed by the watcher: %w", ErrLeaseLost)))
}

// A bell rings while a claim is under way, and the claim finds nothing: the run of
// that bell is still to be claimed.
func TestABellDuringAClaimIsNotForgotten(t *testing.T) {
	b := newBoard(4)
	_, want, ok := b.take(0, 2)
	require.True(t, ok)
	require.Equal(t, 2, want)
	_, want, ok = b.take(0, 2)
	require.True(t, ok)
	require.Equal(t, 2, want)
	b.claimed(2, false)
	require.True(t, b.wake())
	b.claimed(2, false)
	_, want, ok = b.take(0, 2)
	require.True(t, ok)
	require.Equal(t, 2, want)
	b.claimed(2, false)
	b.finish()
	_, _, ok = b.take(0, 2)
	require.False(t, ok, "and it is claimed for once")
}

func TestLeaseSteps(t *testing.T) {
	lease := 30 * time.Second
	at := time.Unix(1000, 0)
	for _, c := range []struct {
		age         time.Duration
		first, keep bool
		lost        bool
		want        leaseStep
	}{
		{0, true, false, false, leaseRest},
		{999 * time.Millisecond, true, false, false, leaseRest},
		{time.Second, true, false, false, leaseRenew},
		{time.Second, false, false, false, leaseRest},
		{10 * time.Second, false, false, false, leaseRenew},
		{20 * time.Second, false, false, false, leaseTerm},
		{27 * time.Second, false, false, false, leaseKill},
		{time.Hour, true, false, false, leaseKill},
		{time.Hour, true, false, true, leaseKill},
		{time.Second, true, true, false, leaseRenew},
		{10 * time.Second, false, true, false, leaseRenew},
		{time.Hour, false, true, false, leaseRenew},
		{time.Hour, false, true, true, leaseRest},
	} {
		l := leaseState{renewed: at, never: c.first, lost: c.lost}
		require.Equal(t, c.want, nextLeaseStep(at.Add(c.age), l, c.keep, lease), "%+v", c)
	}
}
