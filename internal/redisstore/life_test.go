package redisstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func trigger(t *testing.T, s *Store, j *jobs.Job, unique string) string {
	t.Helper()
	reply, err := s.Trigger(context.Background(), jobs.TriggerRequest{Job: j, Unique: unique, By: "me@host"})
	require.NoError(t, err)
	require.Empty(t, reply.InTheWay)
	require.NotEmpty(t, reply.RunID)
	return reply.RunID
}

func step(t *testing.T, s *Store, c jobs.Claim, index int, name string, undo bool) {
	t.Helper()
	held, err := s.Step(context.Background(), jobs.StepRecord{RunID: c.RunID, Token: c.Token, Index: index, Name: name, Undo: undo})
	require.NoError(t, err)
	require.True(t, held)
}

func finishOne(t *testing.T, s *Store, c jobs.Claim, status jobs.State, failedStep, failure string) {
	t.Helper()
	require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK}, finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: status,
		FailedStep: failedStep, Error: failure}))
}

func claimOne(t *testing.T, s *Store) jobs.Claim {
	t.Helper()
	cs := claim(t, s, 1)
	require.Len(t, cs, 1)
	return cs[0]
}

func expire(t *testing.T, s *Store, id string) {
	t.Helper()
	require.NoError(t, s.cmd.ZAdd(context.Background(), s.keys.leases(), redis.Z{Score: 1, Member: id}).Err())
}

func sweep(t *testing.T, s *Store, token string) {
	t.Helper()
	_, err := s.Sweep(context.Background(), token, true, nil)
	require.NoError(t, err)
}

// nothingLeft: a fleet at rest holds no run anywhere.
func nothingLeft(t *testing.T, s *Store, names ...string) {
	t.Helper()
	ctx := context.Background()
	require.Zero(t, s.cmd.ZCard(ctx, s.keys.leases()).Val(), "leases")
	for _, name := range names {
		require.Empty(t, s.cmd.SMembers(ctx, s.keys.active(name)).Val(), "active "+name)
		require.Empty(t, s.cmd.LRange(ctx, s.keys.waiting(name), 0, -1).Val(), "waiting "+name)
	}
}

func TestAFailedRunIsUndoneFromItsList(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		id := trigger(t, s, job("j"), "a")
		c := claimOne(t, s)
		step(t, s, c, 0, "drain", true)
		step(t, s, c, 0, "drain", true) // a repeat records nothing twice
		step(t, s, c, 1, "check", false)
		step(t, s, c, 2, "migrate", true)
		require.Equal(t, []string{"migrate", "drain"}, mustRun(t, s, id).Rollback)

		finishOne(t, s, c, jobs.Failed, "migrate", "exit status 1")
		run := mustRun(t, s, id)
		require.Equal(t, jobs.RollingBack, run.Status)
		require.Equal(t, "exit status 1", run.Error)
		require.Equal(t, []jobs.State{jobs.Succeeded, jobs.Succeeded, jobs.Failed}, []jobs.State{run.Steps[0].Status, run.Steps[1].Status, run.Steps[2].Status})

		u := claimOne(t, s)
		require.True(t, u.Undoing)
		require.Equal(t, 1, u.Attempt, "undoing is not another attempt")
		require.Equal(t, []string{"migrate", "drain"}, u.Rollback)
		require.Equal(t, "migrate", u.FailedAt)
		require.Equal(t, "exit status 1", u.Failure)
		held, err := s.Undone(ctx, id, "stale", "migrate")
		require.NoError(t, err)
		require.False(t, held, "a stale attempt takes nothing off")
		held, err = s.Undone(ctx, id, u.Token, "migrate")
		require.NoError(t, err)
		require.True(t, held)
		held, err = s.Undone(ctx, id, u.Token, "migrate")
		require.NoError(t, err)
		require.True(t, held, "a repeat takes no other entry off")
		require.Equal(t, []string{"drain"}, mustRun(t, s, id).Rollback)

		// Its node dies: another goes on at the same entry.
		expire(t, s, id)
		sweep(t, s, token)
		require.Equal(t, jobs.RollingBack, mustRun(t, s, id).Status)
		again := claimOne(t, s)
		require.Equal(t, []string{"drain"}, again.Rollback)
		held, err = s.Undone(ctx, id, u.Token, "drain")
		require.NoError(t, err)
		require.False(t, held)
		held, err = s.Undone(ctx, id, again.Token, "drain")
		require.NoError(t, err)
		require.True(t, held)
		finishOne(t, s, again, jobs.RolledBack, "", "")
		run = mustRun(t, s, id)
		require.Equal(t, jobs.RolledBack, run.Status)
		require.Equal(t, "exit status 1", run.Error, "why it was undone stays to be read")
		require.Equal(t, jobs.RolledBack, run.Steps[0].Status)
		require.Empty(t, run.Rollback)
		require.Empty(t, claim(t, s, 5))
		nothingLeft(t, s, "j")
	})
}

func TestSuccessDeletesTheList(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		s := f.node("n1")
		id := trigger(t, s, job("j"), "a")
		c := claimOne(t, s)
		step(t, s, c, 0, "only", true)
		finishOne(t, s, c, jobs.Succeeded, "", "")
		run := mustRun(t, s, id)
		require.Equal(t, jobs.Succeeded, run.Status)
		require.Empty(t, run.Rollback)
		require.Equal(t, jobs.Succeeded, run.Steps[0].Status)
		nothingLeft(t, s, "j")
	})
}

func TestARetryResumesAtTheFailedStep(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		s := f.node("n1")
		token := lead(t, s)
		id := trigger(t, s, job("j"), "a")
		c := claimOne(t, s)
		step(t, s, c, 0, "one", true)
		step(t, s, c, 1, "two", true)
		finishOne(t, s, c, jobs.Retrying, "two", "no")
		expire(t, s, id)
		sweep(t, s, token)
		c = claimOne(t, s)
		require.False(t, c.Undoing)
		require.Equal(t, 1, c.Step)
		require.Equal(t, 2, c.Attempt)
		step(t, s, c, 1, "two", true)
		require.Equal(t, []string{"two", "one"}, mustRun(t, s, id).Rollback, "its undo is on the list once")
		finishOne(t, s, c, jobs.Succeeded, "", "")
		nothingLeft(t, s, "j")
	})
}

// The simulation found that a call which arrives after its repeat, and after the next
// step began, made the next attempt do again what had been done.
func TestALateStepDoesNotTakeTheRunBack(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		s := f.node("n1")
		token := lead(t, s)
		id := trigger(t, s, job("j"), "a")
		c := claimOne(t, s)
		step(t, s, c, 0, "one", true)
		step(t, s, c, 1, "two", true)
		step(t, s, c, 0, "one", true)
		require.Equal(t, []string{"two", "one"}, mustRun(t, s, id).Rollback)
		expire(t, s, id)
		sweep(t, s, token)
		require.Equal(t, 1, claimOne(t, s).Step)
	})
}

func TestAFailedRollbackKeepsItsListAndIsResumedByHand(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		id := trigger(t, s, job("j"), "a")
		c := claimOne(t, s)
		step(t, s, c, 0, "one", true)
		finishOne(t, s, c, jobs.Failed, "one", "boom")
		ok, state, err := s.ResumeRollback(ctx, id, "me")
		require.NoError(t, err)
		require.True(t, ok, "it is under way anyway")
		require.Equal(t, jobs.RollingBack, state)
		u := claimOne(t, s)
		finishOne(t, s, u, jobs.RollbackFailed, "one", "undo of one: exit status 2")
		run := mustRun(t, s, id)
		require.Equal(t, jobs.RollbackFailed, run.Status)
		require.Equal(t, []string{"one"}, run.Rollback)
		require.Contains(t, run.Error, "boom")
		require.Contains(t, run.Error, "undo of one")
		nothingLeft(t, s, "j")

		ok, _, err = s.ResumeRollback(ctx, id, "me")
		require.NoError(t, err)
		require.True(t, ok)
		u = claimOne(t, s)
		require.True(t, u.Undoing)
		require.Equal(t, []string{"one"}, u.Rollback)
		_, err = s.Undone(ctx, id, u.Token, "one")
		require.NoError(t, err)
		finishOne(t, s, u, jobs.RolledBack, "", "")
		ok, state, err = s.ResumeRollback(ctx, id, "me")
		require.NoError(t, err)
		require.False(t, ok)
		require.Equal(t, jobs.RolledBack, state)
		_, _, err = s.ResumeRollback(ctx, "j@manual-none", "me")
		require.ErrorIs(t, err, ErrNotFound)
		runs, err := s.Runs(ctx, RunFilter{Job: "j"})
		require.NoError(t, err)
		require.Len(t, runs, 1, "it is in the history once")
	})
}

func TestThreeCrashesWhileUndoingEndThere(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		id := trigger(t, s, job("j"), "a")
		c := claimOne(t, s)
		step(t, s, c, 0, "one", true)
		finishOne(t, s, c, jobs.Failed, "one", "boom")
		for range 3 {
			require.Equal(t, jobs.RollingBack, mustRun(t, s, id).Status)
			u := claimOne(t, s)
			answers, err := s.Renew(ctx, []jobs.LeaseRef{{RunID: id, Token: u.Token}})
			require.NoError(t, err)
			require.Equal(t, jobs.RenewOK, answers[0])
			expire(t, s, id)
			sweep(t, s, token)
		}
		run := mustRun(t, s, id)
		require.Equal(t, jobs.RollbackFailed, run.Status)
		require.Equal(t, []string{"one"}, run.Rollback)
		nothingLeft(t, s, "j")
	})
}

func TestCancel(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		cancel := func(id string) (jobs.CancelAnswer, jobs.State) {
			t.Helper()
			answer, state, err := s.Cancel(ctx, id, "me@host", "mistake")
			require.NoError(t, err)
			return answer, state
		}
		answer, _ := cancel("j@manual-none")
		require.Equal(t, jobs.CancelUnknown, answer)

		// Queued: over at once, and its element in the queue is void.
		id := trigger(t, s, j, "queued")
		answer, state := cancel(id)
		require.Equal(t, jobs.CancelDone, answer)
		require.Equal(t, jobs.Canceled, state)
		require.Empty(t, claim(t, s, 5))
		run := mustRun(t, s, id)
		require.Equal(t, "canceled by me@host: mistake", run.Error)
		require.Equal(t, "me@host", run.CanceledBy)
		answer, state = cancel(id)
		require.Equal(t, jobs.CancelFinal, answer)
		require.Equal(t, jobs.Canceled, state)
		nothingLeft(t, s, "j")

		// Running: its node is told, and the renewal says it too.
		id = trigger(t, s, j, "running")
		c := claimOne(t, s)
		answer, state = cancel(id)
		require.Equal(t, jobs.CancelAsked, answer)
		require.Equal(t, jobs.Running, state)
		answers, err := s.Renew(ctx, []jobs.LeaseRef{{RunID: id, Token: c.Token}})
		require.NoError(t, err)
		require.Equal(t, jobs.RenewCanceled, answers[0])
		held, err := s.Step(ctx, jobs.StepRecord{RunID: id, Token: c.Token, Name: "one"})
		require.NoError(t, err)
		require.False(t, held, "no further step is started")
		finishOne(t, s, c, jobs.Canceled, "", "canceled")
		require.Equal(t, "canceled by me@host: mistake", mustRun(t, s, id).Error)
		nothingLeft(t, s, "j")

		// Its last step succeeded meanwhile: it stays succeeded.
		id = trigger(t, s, j, "late")
		c = claimOne(t, s)
		cancel(id)
		finishOne(t, s, c, jobs.Succeeded, "", "")
		require.Equal(t, jobs.Succeeded, mustRun(t, s, id).Status)

		// It failed meanwhile: no further attempt.
		id = trigger(t, s, j, "failing")
		c = claimOne(t, s)
		cancel(id)
		finishOne(t, s, c, jobs.Retrying, "", "exit status 1")
		require.Equal(t, jobs.Canceled, mustRun(t, s, id).Status)

		// Its node died: the sweep honours the cancel instead of starting it again.
		id = trigger(t, s, j, "dead")
		claimOne(t, s)
		cancel(id)
		expire(t, s, id)
		sweep(t, s, token)
		require.Equal(t, jobs.Canceled, mustRun(t, s, id).Status)

		// In its back-off.
		id = trigger(t, s, j, "backoff")
		c = claimOne(t, s)
		finishOne(t, s, c, jobs.Retrying, "", "exit status 1")
		answer, _ = cancel(id)
		require.Equal(t, jobs.CancelDone, answer)
		nothingLeft(t, s, "j")

		// With something to undo.
		id = trigger(t, s, j, "undo")
		c = claimOne(t, s)
		step(t, s, c, 0, "one", true)
		require.NoError(t, s.Release(ctx, []jobs.Release{{RunID: id, Token: c.Token, Kind: jobs.ReleaseStarted}}))
		answer, state = cancel(id)
		require.Equal(t, jobs.CancelRollback, answer)
		require.Equal(t, jobs.RollingBack, state)
		answer, _ = cancel(id)
		require.Equal(t, jobs.CancelUndoing, answer)
		u := claim(t, s, 5)
		require.Len(t, u, 1, "it is queued once")
		require.True(t, u[0].Undoing)
		_, err = s.Undone(ctx, id, u[0].Token, "one")
		require.NoError(t, err)
		finishOne(t, s, u[0], jobs.RolledBack, "", "")

		// A running one with something to undo, given back by a drain.
		id = trigger(t, s, j, "undo2")
		c = claimOne(t, s)
		step(t, s, c, 0, "one", true)
		cancel(id)
		require.NoError(t, s.Release(ctx, []jobs.Release{{RunID: id, Token: c.Token, Kind: jobs.ReleaseStarted}}))
		require.Equal(t, jobs.RollingBack, mustRun(t, s, id).Status)
		require.True(t, claimOne(t, s).Undoing)
	})
}

func TestPauseSkipsTicksAndSaysSo(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		now := s.Now().Truncate(time.Second)
		setCursor(t, s, j, now.Add(-time.Minute))
		_, fresh, err := s.Pause(ctx, "j", "me@host", "broken \"disk\"")
		require.NoError(t, err)
		require.True(t, fresh)
		was, fresh, err := s.Pause(ctx, "j", "you@host", "")
		require.NoError(t, err)
		require.False(t, fresh)
		require.Equal(t, "me@host", was.By)
		paused, err := s.Paused(ctx)
		require.NoError(t, err)
		require.Equal(t, "broken \"disk\"", paused["j"].Note)

		vs, err := s.Commit(ctx, token, []jobs.Decision{ran(j, now.Add(-3*time.Second)), ran(j, now.Add(-2*time.Second))})
		require.NoError(t, err)
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictSkipped, jobs.VerdictSkipped}, kinds(vs))
		ledger, err := s.Ledger(ctx, "j", 5)
		require.NoError(t, err)
		require.Len(t, ledger, 1)
		require.Equal(t, "paused", ledger[0].Reason)
		require.Equal(t, 2, ledger[0].Count)
		reply, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "x"})
		require.NoError(t, err)
		require.Equal(t, "me@host", reply.Paused.By)

		adopted, err := s.Adopt(ctx, token, []*jobs.Job{j})
		require.NoError(t, err)
		require.Len(t, adopted.Pauses["j"], 1)
		require.WithinDuration(t, s.Now(), adopted.Pauses["j"][0].To, time.Second,
			"up to now: whether it lasts is asked at each tick, so that its end is heard")
		was, ok, err := s.Resume(ctx, "j", "me@host")
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, "me@host", was.By)
		_, ok, err = s.Resume(ctx, "j", "me@host")
		require.NoError(t, err)
		require.False(t, ok)
		// Nobody led meanwhile, for all the next leader knows: the pause is remembered.
		adopted, err = s.Adopt(ctx, token, []*jobs.Job{j})
		require.NoError(t, err)
		require.Len(t, adopted.Pauses["j"], 1)
		require.False(t, adopted.Pauses["j"][0].To.IsZero())
		setCursor(t, s, j, s.Now().Add(time.Second))
		adopted, err = s.Adopt(ctx, token, []*jobs.Job{j})
		require.NoError(t, err)
		require.Empty(t, adopted.Pauses)
		require.Zero(t, s.cmd.Exists(ctx, s.keys.pauses()).Val(), "and forgotten when it is decided")
	})
}

func TestOverlapQueueHoldsOneBack(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		j.Overlap = jobs.OverlapQueue
		now := s.Now().Truncate(time.Second)
		setCursor(t, s, j, now.Add(-time.Minute))
		vs, err := s.Commit(ctx, token, []jobs.Decision{ran(j, now.Add(-3*time.Second)), ran(j, now.Add(-2*time.Second)), ran(j, now.Add(-1*time.Second))})
		require.NoError(t, err)
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictRan, jobs.VerdictQueued, jobs.VerdictSkipped}, kinds(vs))
		first := claim(t, s, 5)
		require.Len(t, first, 1)
		second := vs[1].RunID
		require.Equal(t, jobs.Queued, mustRun(t, s, second).Status)
		require.Contains(t, mustRun(t, s, second).Reason, "waits for "+first[0].RunID)
		finishOne(t, s, first[0], jobs.Failed, "", "no")
		c := claimOne(t, s)
		require.Equal(t, second, c.RunID)
		finishOne(t, s, c, jobs.Succeeded, "", "")
		nothingLeft(t, s, "j")

		// A dead run's lease frees the one that waits; so does a cancel, of either.
		a, b := trigger(t, s, j, "a"), trigger(t, s, j, "b")
		claimOne(t, s)
		for range 5 {
			expire(t, s, a)
			sweep(t, s, token)
			if got := claim(t, s, 1); len(got) == 1 && got[0].RunID == b {
				finishOne(t, s, got[0], jobs.Succeeded, "", "")
				break
			}
		}
		require.Equal(t, jobs.Failed, mustRun(t, s, a).Status)
		require.Equal(t, jobs.Succeeded, mustRun(t, s, b).Status)
		a, b = trigger(t, s, j, "c"), trigger(t, s, j, "d")
		answer, _, err := s.Cancel(ctx, b, "me", "")
		require.NoError(t, err)
		require.Equal(t, jobs.CancelDone, answer)
		b = trigger(t, s, j, "e")
		_, _, err = s.Cancel(ctx, a, "me", "")
		require.NoError(t, err)
		c = claimOne(t, s)
		require.Equal(t, b, c.RunID)
		finishOne(t, s, c, jobs.Succeeded, "", "")
		nothingLeft(t, s, "j")
	})
}

func TestOverlapReplaceCancelsTheOlder(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		s := f.node("n1")
		j := job("j")
		j.Overlap = jobs.OverlapReplace
		a := trigger(t, s, j, "a")
		c := claimOne(t, s)
		b := trigger(t, s, j, "b")
		require.Equal(t, "carillon", mustRun(t, s, a).CanceledBy)
		d := trigger(t, s, j, "d")
		require.Equal(t, jobs.Canceled, mustRun(t, s, b).Status, "a newer one takes the waiting one's place")
		require.Empty(t, claim(t, s, 5), "it waits until the older one is gone")
		finishOne(t, s, c, jobs.Canceled, "", "canceled")
		require.Contains(t, mustRun(t, s, a).Error, "replaced by "+b)
		c = claimOne(t, s)
		require.Equal(t, d, c.RunID)
		finishOne(t, s, c, jobs.Succeeded, "", "")
		// One that had not started is gone at once, and the new one takes its turn.
		a = trigger(t, s, j, "e")
		b = trigger(t, s, j, "f")
		require.Equal(t, jobs.Canceled, mustRun(t, s, a).Status)
		c = claimOne(t, s)
		require.Equal(t, b, c.RunID)
		finishOne(t, s, c, jobs.Succeeded, "", "")
		nothingLeft(t, s, "j")
	})
}

func TestMaxRunningAndGroups(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		j := job("j")
		j.MaxRunning = 2
		trigger(t, s, j, "a")
		trigger(t, s, j, "b")
		reply, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "c"})
		require.NoError(t, err)
		require.NotEmpty(t, reply.InTheWay)
		require.Contains(t, reply.Why, "max_running is 2")
		for _, c := range claim(t, s, 5) {
			finishOne(t, s, c, jobs.Succeeded, "", "")
		}

		x, y := job("x"), job("y")
		for _, g := range []*jobs.Job{x, y} {
			g.Overlap, g.Group, g.GroupLimit = jobs.OverlapQueue, "db", 1
		}
		first := trigger(t, s, x, "1")
		second := trigger(t, s, y, "1")
		c := claim(t, s, 5)
		require.Len(t, c, 1)
		require.Equal(t, first, c[0].RunID)
		finishOne(t, s, c[0], jobs.Succeeded, "", "")
		c = claim(t, s, 5)
		require.Len(t, c, 1, "the other job of the group has its turn")
		require.Equal(t, second, c[0].RunID)
		finishOne(t, s, c[0], jobs.Succeeded, "", "")
		nothingLeft(t, s, "j", "x", "y")
		require.Zero(t, s.cmd.Exists(ctx, s.keys.prefix+"group:db", s.keys.prefix+"groupwait:db").Val())
	})
}

func TestFollowOnRuns(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		up, good, bad, last := job("up"), job("good"), job("bad"), job("last")
		good.After = &jobs.After{Job: "up", When: jobs.WhenSuccess}
		bad.After = &jobs.After{Job: "up", When: jobs.WhenFailure}
		last.After = &jobs.After{Job: "good", When: jobs.WhenDone}
		up.Followers, good.Followers = []*jobs.Job{good, bad}, []*jobs.Job{last}

		id := trigger(t, s, up, "a")
		c := claimOne(t, s)
		finishOne(t, s, c, jobs.Succeeded, "", "")
		finishOne(t, s, c, jobs.Succeeded, "", "") // a repeat starts nothing twice
		next := claim(t, s, 5)
		require.Len(t, next, 1)
		require.Equal(t, "good@after-"+id, next[0].RunID)
		require.Equal(t, jobs.TriggerAfter, next[0].Trigger)
		require.Equal(t, &jobs.Upstream{Job: "up", RunID: id, Status: jobs.Succeeded}, next[0].Upstream)
		finishOne(t, s, next[0], jobs.Canceled, "", "x")
		end := claimOne(t, s)
		require.Equal(t, "last@after-good@after-"+id, end.RunID)
		require.Equal(t, "last", end.Job)
		finishOne(t, s, end, jobs.Succeeded, "", "")

		id = trigger(t, s, up, "b")
		c = claimOne(t, s)
		finishOne(t, s, c, jobs.Failed, "", "boom")
		next = claim(t, s, 5)
		require.Len(t, next, 1)
		require.Equal(t, "bad@after-"+id, next[0].RunID)
		require.Equal(t, "boom", next[0].Upstream.Error)
		finishOne(t, s, next[0], jobs.Succeeded, "", "")

		_, _, err := s.Pause(ctx, "good", "me", "")
		require.NoError(t, err)
		trigger(t, s, up, "c")
		finishOne(t, s, claimOne(t, s), jobs.Succeeded, "", "")
		require.Empty(t, claim(t, s, 5))
		ledger, err := s.Ledger(ctx, "good", 5)
		require.NoError(t, err)
		require.Contains(t, ledger[0].Reason, "paused")
		nothingLeft(t, s, "up", "good", "bad", "last")
	})
}

func TestEveryNodeRunsOnEachAndNowhereElse(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		a, b, other := f.node("a"), f.node("b"), f.node("other")
		token := lead(t, a)
		j := job("j")
		j.EveryNode, j.Nodes, j.Overlap = true, map[string]string{"zone": "eu"}, jobs.OverlapSkip
		route := j.Route()
		beat := func(s *Store, routes ...string) {
			t.Helper()
			_, err := s.Heartbeat(ctx, jobs.Node{Slots: 1, Routes: routes}, []*jobs.Schedule{{Digest: "s", Jobs: []*jobs.Job{j}}})
			require.NoError(t, err)
			s.Serve(routes, time.Minute)
		}
		reply, err := a.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "none"})
		require.NoError(t, err)
		require.True(t, reply.Nobody)
		beat(a, "any", route)
		beat(b, "any", route)
		beat(other, "any")
		now := a.Now().Truncate(time.Second)
		setCursor(t, a, j, now.Add(-time.Minute))
		vs, err := a.Commit(ctx, token, []jobs.Decision{ran(j, now.Add(-2*time.Second)), ran(j, now.Add(-time.Second))})
		require.NoError(t, err)
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictRan, jobs.VerdictSkipped}, kinds(vs), "overlap counts for each node")
		require.Empty(t, claim(t, other, 5))
		id := jobs.TickRunID("j", now.Add(-2*time.Second))
		ca, cb := claimOne(t, a), claimOne(t, b)
		require.Equal(t, jobs.NodeRunID(id, "a"), ca.RunID)
		require.Equal(t, jobs.NodeRunID(id, "b"), cb.RunID)
		require.Equal(t, "j", ca.Job)
		finishOne(t, a, ca, jobs.Succeeded, "", "")
		ledger, err := a.Ledger(ctx, "j", 5)
		require.NoError(t, err)
		require.Equal(t, "on 2 nodes", ledger[1].Reason)

		// b is gone for good: its run is not another node's.
		require.NoError(t, b.Leave(ctx))
		expire(t, a, cb.RunID)
		sweep(t, a, token)
		run := mustRun(t, a, cb.RunID)
		require.Equal(t, jobs.Failed, run.Status)
		require.Contains(t, run.Error, "node gone: b")
		require.Empty(t, claim(t, a, 5))
		require.Zero(t, a.cmd.Exists(ctx, a.keys.active("j")+":a", a.keys.active("j")+":b").Val())
		nothingLeft(t, a, "j")
	})
}

func TestARouteThatNobodyServesIsReportedAndFails(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		j.Pool, j.UnroutableAfter = "gpu", time.Minute
		_, err := s.Heartbeat(ctx, jobs.Node{Slots: 1, Routes: []string{"any"}}, nil)
		require.NoError(t, err)
		id := trigger(t, s, j, "a")
		sweep(t, s, token)
		require.Empty(t, mustRun(t, s, id).Reason)
		age := func(d time.Duration) {
			require.NoError(t, s.cmd.HSet(ctx, s.keys.run(id), "queued_at", s.Now().Add(-d).UnixMilli()).Err())
			require.NoError(t, s.cmd.ZAdd(ctx, s.keys.routes(), redis.Z{Score: float64(s.Now().Add(-d).UnixMilli()), Member: "pool=gpu"}).Err())
			sweep(t, s, token)
		}
		age(11 * time.Second)
		require.Contains(t, mustRun(t, s, id).Reason, "no live node serves pool=gpu")
		require.Equal(t, jobs.Queued, mustRun(t, s, id).Status)
		age(61 * time.Second)
		run := mustRun(t, s, id)
		require.Equal(t, jobs.Failed, run.Status)
		require.Contains(t, run.Error, "pool=gpu")
		nothingLeft(t, s, "j")
		sweep(t, s, token)
		require.Zero(t, s.cmd.Exists(ctx, s.keys.routes()).Val())
	})
}

func TestAtMostOnceAndCrashRetries(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		j.Delivery = jobs.DeliverAtMostOnce
		id := trigger(t, s, j, "a")
		claimOne(t, s)
		expire(t, s, id)
		sweep(t, s, token)
		run := mustRun(t, s, id)
		require.Equal(t, jobs.Failed, run.Status)
		require.Contains(t, run.Error, "outcome unknown")
		k := job("k")
		k.CrashRetries = 1
		id = trigger(t, s, k, "a")
		c := claimOne(t, s)
		_, err := s.Renew(context.Background(), []jobs.LeaseRef{{RunID: id, Token: c.Token}})
		require.NoError(t, err)
		expire(t, s, id)
		sweep(t, s, token)
		require.Equal(t, jobs.Failed, mustRun(t, s, id).Status)
		nothingLeft(t, s, "j", "k")
	})
}

func TestWhatWaitedTooLongGoesFirst(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		s.Serve([]string{jobs.AnyRoute}, time.Minute)
		low, high := job("low"), job("high")
		low.Priority, high.Priority = 0, 9
		trigger(t, s, low, "a")
		for i := range 5 {
			trigger(t, s, high, fmt.Sprint(i))
		}
		require.Equal(t, "high", claimOne(t, s).Job)
		require.NoError(t, s.cmd.ZAdd(ctx, s.keys.priorities(jobs.AnyRoute), redis.Z{Score: float64(s.Now().Add(-2 * time.Minute).UnixMilli()), Member: "0"}).Err())
		require.Equal(t, "low", claimOne(t, s).Job)
		require.Equal(t, "high", claimOne(t, s).Job)
	})
}
