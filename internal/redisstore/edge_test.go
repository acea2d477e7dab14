package redisstore

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// serve makes a node live, with the routes beside its own.
func serve(t *testing.T, s *Store, routes ...string) {
	t.Helper()
	_, err := s.Heartbeat(context.Background(), jobs.Node{Slots: 1, Routes: routes}, nil)
	require.NoError(t, err)
	s.Serve(routes, time.Minute)
}

// A run at work for an hour whose pool goes away for a moment must not be found to
// have waited for an hour.
func TestPatienceBeginsWhenARouteIsServedNoMore(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s, gpu := f.node("s"), f.node("gpu")
		token := lead(t, s)
		serve(t, s, "any")
		serve(t, gpu, "any", "pool=gpu")
		j := job("j")
		j.Pool = "gpu"
		id := trigger(t, s, j, "a")
		require.NoError(t, s.cmd.HSet(ctx, s.keys.run(id), "queued_at", s.Now().Add(-time.Hour).UnixMilli()).Err())
		listed, err := s.Runs(ctx, RunFilter{})
		require.NoError(t, err)
		require.Len(t, listed, 1, "what waits on a route of its own is listed too")
		c := claimOne(t, gpu)
		require.NoError(t, gpu.Release(ctx, []jobs.Release{{RunID: id, Token: c.Token, Kind: jobs.ReleaseStarted, Reason: "draining"}}))
		require.NoError(t, gpu.Leave(ctx))
		sweep(t, s, token)
		sweep(t, s, token)
		require.Equal(t, jobs.Queued, mustRun(t, s, id).Status)
		require.Equal(t, "draining", mustRun(t, s, id).Reason, "not even reported yet")
		serve(t, gpu, "any", "pool=gpu")
		sweep(t, s, token)
		require.Zero(t, s.cmd.ZScore(ctx, s.keys.routes(), "pool=gpu").Val(), "and it begins anew the next time")
		finishOne(t, gpu, claimOne(t, gpu), jobs.Succeeded, "", "")
		sweep(t, s, token)
		require.Zero(t, s.cmd.Exists(ctx, s.keys.routes()).Val())
		nothingLeft(t, s, "j")
	})
}

// A run with something to undo that nobody can take stays findable: it ends as
// rollback_failed, with its list.
func TestWhatNobodyCanUndoEndsAsRollbackFailed(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s, gpu := f.node("s"), f.node("gpu")
		token := lead(t, s)
		serve(t, s, "any")
		serve(t, gpu, "any", "pool=gpu")
		ages := func(id, field string) {
			t.Helper()
			require.NoError(t, s.cmd.HSet(ctx, s.keys.run(id), field, s.Now().Add(-time.Hour).UnixMilli()).Err())
		}

		// Its pool is gone.
		j := job("j")
		j.Pool = "gpu"
		id := trigger(t, s, j, "a")
		c := claimOne(t, gpu)
		step(t, gpu, c, 0, "one", true)
		require.NoError(t, gpu.Release(ctx, []jobs.Release{{RunID: id, Token: c.Token, Kind: jobs.ReleaseStarted}}))
		require.NoError(t, gpu.Leave(ctx))
		ages(id, "queued_at")
		require.NoError(t, s.cmd.ZAdd(ctx, s.keys.routes(), redis.Z{Score: 1, Member: "pool=gpu"}).Err())
		sweep(t, s, token)
		sweep(t, s, token)
		run := mustRun(t, s, id)
		require.Equal(t, jobs.RollbackFailed, run.Status)
		require.Equal(t, []string{"one"}, run.Rollback)
		sweep(t, s, token)
		require.Zero(t, s.cmd.Exists(ctx, s.keys.routes(), s.keys.priorities("pool=gpu"), s.keys.queue("pool=gpu", "5")).Val())

		// Its definition is gone.
		k := job("k")
		id = trigger(t, s, k, "a")
		c = claimOne(t, s)
		step(t, s, c, 0, "one", true)
		park := func(c jobs.Claim) {
			t.Helper()
			require.NoError(t, s.Release(ctx, []jobs.Release{{RunID: id, Token: c.Token, Kind: jobs.ReleasePark}}))
			ages(id, "parked_at")
			expire(t, s, id)
			sweep(t, s, token)
		}
		park(c)
		require.Equal(t, jobs.RollingBack, mustRun(t, s, id).Status)
		c = claimOne(t, s)
		require.True(t, c.Undoing)
		park(c)
		require.Equal(t, jobs.RollbackFailed, mustRun(t, s, id).Status)
		nothingLeft(t, s, "j", "k")
	})
}

// What a node ended itself, because it stops or was cut off, has an unknown
// outcome as well.
func TestAtMostOnceHoldsForARunThatIsGivenBack(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		j := job("j")
		j.Delivery = jobs.DeliverAtMostOnce
		id := trigger(t, s, j, "a")
		c := claimOne(t, s)
		require.NoError(t, s.Release(ctx, []jobs.Release{{RunID: id, Token: c.Token, Kind: jobs.ReleaseUnstarted}}))
		require.Equal(t, jobs.Queued, mustRun(t, s, id).Status, "it had not started")
		c = claimOne(t, s)
		require.NoError(t, s.Release(ctx, []jobs.Release{{RunID: id, Token: c.Token, Kind: jobs.ReleaseStarted, Reason: "the node is shutting down"}}))
		run := mustRun(t, s, id)
		require.Equal(t, jobs.Failed, run.Status)
		require.Contains(t, run.Error, "outcome unknown")
		require.Empty(t, claim(t, s, 5))
		nothingLeft(t, s, "j")
	})
}

// After an outage all heartbeats are old: no node is gone for that.
func TestNoNodeIsGoneBeforeTheRecordIsUnbroken(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s, b := f.node("s"), f.node("b")
		token := lead(t, s)
		serve(t, b, "any")
		j := job("j")
		j.EveryNode = true
		trigger(t, s, j, "a")
		id := jobs.NodeRunID(jobs.ManualRunID("j", "a"), "b")
		require.NoError(t, s.cmd.ZAdd(ctx, s.keys.nodes(), redis.Z{Score: 1, Member: "b"}).Err())
		expire(t, s, id)
		_, err := s.Sweep(ctx, token, false, nil)
		require.NoError(t, err)
		require.Equal(t, jobs.Queued, mustRun(t, s, id).Status)
		expire(t, s, id)
		sweep(t, s, token)
		require.Equal(t, jobs.Failed, mustRun(t, s, id).Status)
		nothingLeft(t, s, "j")
	})
}

// The keys of a node's own route go with it, whoever wrote them last.
func TestTheRouteOfAGoneNodeDoesNotStay(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		serve(t, s, "any")
		j := job("j")
		j.EveryNode = true
		trigger(t, s, j, "a")
		route := nodeRoute(s.opts.Boot)
		rung, err := s.WaitBell(ctx)
		require.NoError(t, err)
		require.True(t, rung)
		require.NoError(t, s.ReturnBell(ctx))
		c := claimOne(t, s)
		require.NoError(t, s.Release(ctx, []jobs.Release{{RunID: c.RunID, Token: c.Token, Kind: jobs.ReleaseStarted}}))
		for _, key := range []string{s.keys.queue(route, "5"), s.keys.priorities(route), s.keys.bell(route)} {
			ttl := s.cmd.PTTL(ctx, key).Val()
			require.Positive(t, ttl, key)
			require.LessOrEqual(t, ttl, routeKeep, key)
		}
		require.EqualValues(t, routeKeep.Milliseconds(), constants(t)["ROUTE_KEEP_MS"])
	})
}

// A waiting run that is called off does not leave its job behind among those that
// wait for the group.
func TestNobodyWaitsForAGroupWithoutARun(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		x, y := job("x"), job("y")
		for _, g := range []*jobs.Job{x, y} {
			g.Overlap, g.Group, g.GroupLimit = jobs.OverlapQueue, "db", 1
		}
		trigger(t, s, x, "1")
		waits := trigger(t, s, y, "1")
		_, _, err := s.Cancel(ctx, waits, "me", "")
		require.NoError(t, err)
		require.Zero(t, s.cmd.Exists(ctx, s.keys.prefix+"groupwait:db").Val())
		finishOne(t, s, claimOne(t, s), jobs.Succeeded, "", "")
		require.Zero(t, s.cmd.Exists(ctx, s.keys.prefix+"group:db").Val())
		nothingLeft(t, s, "x", "y")
	})
}

// The answer to a result is lost and the result is told again, after the store
// made something else of it.
func TestARepeatedEndIsAnsweredAsTheFirst(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		s := f.node("n1")
		id := trigger(t, s, job("j"), "a")
		c := claimOne(t, s)
		step(t, s, c, 0, "one", true)
		failed := jobs.Result{RunID: id, Token: c.Token, Status: jobs.Failed, FailedStep: "one", Error: "no"}
		for range 2 {
			require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK}, finish(t, s, failed))
			require.Equal(t, jobs.RollingBack, mustRun(t, s, id).Status)
		}
		u := claimOne(t, s)
		require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK}, finish(t, s, failed))
		finishOne(t, s, u, jobs.RolledBack, "", "")

		id = trigger(t, s, job("j"), "b")
		c = claimOne(t, s)
		_, _, err := s.Cancel(context.Background(), id, "me", "")
		require.NoError(t, err)
		for range 2 {
			finishOne(t, s, c, jobs.Retrying, "", "no")
			require.Equal(t, jobs.Canceled, mustRun(t, s, id).Status)
		}
		require.Equal(t, []jobs.FinishAnswer{jobs.FinishSuperseded},
			finish(t, s, jobs.Result{RunID: id, Token: "stale", Status: jobs.Succeeded}))
		nothingLeft(t, s, "j")
	})
}
