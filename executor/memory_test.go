package executor

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// teller is a store that lost its data, and answers what it is told of runs.
type teller struct {
	told   [][]jobs.Held
	answer func(jobs.Held) jobs.HeldAnswer
}

func (l *teller) tell(_ context.Context, held []jobs.Held) ([]jobs.HeldAnswer, error) {
	l.told = append(l.told, held)
	answers := make([]jobs.HeldAnswer, len(held))
	for i, h := range held {
		answers[i] = jobs.HeldOK
		if l.answer != nil {
			answers[i] = l.answer(h)
		}
	}
	return answers, nil
}

// What the store has forgotten is not done again: the claim of a run that ended here ends as it
// did. A later attempt than that runs, as does everything while the store has
// forgotten nothing, and what ended more than an hour ago.
func TestAForgottenRunEndsAsItDid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(claimOf(1))
		var calls atomic.Int32
		h := start(store, 2, func(context.Context, Attempt, io.Writer) error {
			return fmt.Errorf("call %d", calls.Add(1))
		})
		at := func(attempt int, token string) jobs.Claim {
			c := claimOf(1)
			c.Attempt, c.Token, c.Failures = attempt, token, attempt-1
			return c
		}
		ended := func(n int) jobs.Result {
			t.Helper()
			time.Sleep(5 * time.Second)
			results, _ := store.snapshot()
			require.Len(t, results, n)
			return results[n-1]
		}
		first := ended(1)
		require.Equal(t, jobs.Retrying, first.Status)
		store.push(at(1, "again"))
		require.Equal(t, "call 2", ended(2).Error, "nothing was forgotten: the store knows what it does")
		store.push(at(2, "second"))
		last := ended(3)
		require.Equal(t, jobs.Failed, last.Status)

		var l teller
		require.NoError(t, h.exec.Relive(context.Background(), jobs.StoreLife{}, l.tell))
		require.Len(t, l.told, 2)
		require.Empty(t, l.told[0], "nothing is under way")
		require.Len(t, l.told[1], 1, "of a run the last attempt counts")
		require.Equal(t, 2, l.told[1][0].Attempt)
		require.Equal(t, "call 3", l.told[1][0].Result.Error)
		require.Nil(t, l.told[1][0].Claim, "a run that nobody knows is not made anew when it is over")

		for i, attempt := range []int{1, 2} {
			store.push(at(attempt, fmt.Sprintf("forgotten-%d", attempt)))
			r := ended(4 + i)
			require.Equal(t, fmt.Sprintf("forgotten-%d", attempt), r.Token)
			require.Equal(t, jobs.Failed, r.Status)
			require.Equal(t, "call 3", r.Error)
		}
		require.EqualValues(t, 3, calls.Load())
		undo := at(2, "undo")
		undo.Undoing = true
		store.push(undo)
		require.Equal(t, jobs.RolledBack, ended(6).Status, "of its undoing this node knows nothing")
		store.push(at(3, "third"))
		require.Equal(t, "call 4", ended(7).Error, "a later attempt than this node knows of")

		time.Sleep(memoryFor)
		store.push(at(1, "long ago"))
		require.Equal(t, "call 5", ended(8).Error)
		h.end(t)
	})
}

// A rollback that somebody mended and resumed goes on, though this node has seen it fail: it
// has the number of the attempt that is undone.
func TestAResumedRollbackGoesOnAfterALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		undo := func(token string) jobs.Claim {
			c := claimOf(1)
			c.Undoing, c.Token, c.Rollback = true, token, []string{"gone"}
			return c
		}
		store := newFakeStore(undo("first"))
		h := start(store, 1, func(context.Context, Attempt, io.Writer) error { return nil })
		time.Sleep(time.Second)
		results, _ := store.snapshot()
		require.Len(t, results, 1)
		require.Equal(t, jobs.RollbackFailed, results[0].Status, "the definition has no such step")
		var l teller
		require.NoError(t, h.exec.Relive(context.Background(), jobs.StoreLife{}, l.tell))
		resumed := undo("resumed")
		resumed.Rollback = nil
		store.push(resumed)
		time.Sleep(5 * time.Second)
		results, _ = store.snapshot()
		require.Len(t, results, 2)
		require.Equal(t, jobs.RolledBack, results[1].Status)
		h.end(t)
	})
}

// What is under way when the data is lost: attempts that run, one whose result nobody has
// taken, one that is being given back. Who lost its run to another ends.
func TestWhatIsUnderWayIsRecalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := fmt.Errorf("FORGOT")
		store := newFakeStore(claimOf(1), claimOf(2), claimOf(3))
		stop := make(chan struct{})
		h := start(store, 4, func(ctx context.Context, a Attempt, _ io.Writer) error {
			if a.Claim.RunID == "j@manual-3" {
				<-stop
				return nil
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
		time.Sleep(2 * time.Second)
		store.set(func(string) (error, bool) { return down, false })
		close(stop)
		time.Sleep(2 * time.Second)
		l := teller{answer: func(h jobs.Held) jobs.HeldAnswer {
			if h.RunID == "j@manual-2" {
				return jobs.HeldOther
			}
			return jobs.HeldOK
		}}
		require.NoError(t, h.exec.Relive(context.Background(), jobs.StoreLife{}, l.tell))
		told := map[string]jobs.Held{}
		for _, held := range l.told[0] {
			told[held.RunID] = held
			require.NotNil(t, held.Claim)
			require.NotNil(t, held.Job)
			require.Nil(t, held.Result, "who wrote it first writes it")
			require.GreaterOrEqual(t, held.Age, 3*time.Second)
		}
		require.Len(t, told, 3)
		require.Empty(t, l.told[1])
		store.set(nil)
		time.Sleep(15 * time.Second)
		results, released := store.snapshot()
		require.Len(t, results, 1)
		require.Equal(t, "j@manual-3", results[0].RunID)
		require.Len(t, released, 1)
		require.Equal(t, "j@manual-2", released[0].RunID, "it is another's")
		require.Equal(t, 1, h.exec.Running())
		h.end(t)
	})
}

// What a node says of steps is what is on the rollback list, or more: an undo bears that its
// step never began.
func TestWhatIsRecalledOfSteps(t *testing.T) {
	job := &jobs.Job{Steps: []jobs.Step{{Name: "a", Undo: &jobs.Undo{}}, {Name: "b"}, {Name: "c", Undo: &jobs.Undo{}}}}
	check := func(claim jobs.Claim, begun, undone int, steps, rollback string) {
		t.Helper()
		a := &attempt{claim: claim, job: job}
		if begun >= 0 {
			a.came.begin(begun)
		}
		a.came.undid(undone)
		h := a.held()
		require.Equal(t, steps, strings.Join(h.Steps, " "))
		require.Equal(t, rollback, strings.Join(h.Rollback, " "))
	}
	check(jobs.Claim{Attempt: 1}, -1, 0, "", "")
	check(jobs.Claim{Attempt: 1}, 0, 0, "a", "a")
	check(jobs.Claim{Attempt: 1}, 1, 0, "a b", "a")
	check(jobs.Claim{Attempt: 1}, 2, 0, "a b c", "c a")
	check(jobs.Claim{Attempt: 2, Step: 0}, -1, 0, "a", "a")
	check(jobs.Claim{Attempt: 2, Step: 1}, -1, 0, "a b", "a")
	check(jobs.Claim{Attempt: 2, Step: 1}, 2, 0, "a b c", "c a")
	undoing := jobs.Claim{Attempt: 2, Undoing: true, Rollback: []string{"c", "a"}}
	check(undoing, -1, 0, "", "c a")
	check(undoing, -1, 1, "", "a")
	check(undoing, -1, 2, "", "")
	job = &jobs.Job{}
	check(jobs.Claim{Attempt: 3}, -1, 0, "", "")
}

// The memory has a bound in number, in time and in what it keeps of an error.
func TestTheMemoryOfEndsIsBounded(t *testing.T) {
	var m memory
	start := time.Now()
	for i := range 3 * memorySize {
		c := claimOf(i)
		m.add(&attempt{claim: c, job: soleJob()}, &jobs.Result{RunID: c.RunID, Status: jobs.Failed, Error: strings.Repeat("x", 5000)}, start.Add(time.Duration(i)*time.Millisecond))
	}
	require.Len(t, m.ring, memorySize)
	list := m.since(start)
	require.Len(t, list, memorySize)
	for _, r := range list {
		require.LessOrEqual(t, len(r.result.Error), memoryText+len("…"))
	}
	newest := claimOf(3*memorySize - 1).RunID
	list = m.since(start.Add((3*memorySize - 1) * time.Millisecond))
	require.Len(t, list, 1)
	require.Equal(t, newest, list[0].result.RunID)
}

func BenchmarkRemember(b *testing.B) {
	var m memory
	a, r, now := &attempt{claim: claimOf(1), job: soleJob()}, &jobs.Result{RunID: "j@manual-1", Status: jobs.Succeeded}, time.Now()
	b.ReportAllocs()
	for b.Loop() {
		m.add(a, r, now)
	}
}
