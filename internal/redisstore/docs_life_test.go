package redisstore

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// lifeAfterTheFirst drives runs through steps and undos, cancels, pauses, turns,
// groups, routes, follow-on runs and backfills, and looks at what lies in Redis at
// each turn.
func lifeAfterTheFirst(t *testing.T, s *Store, token string, look func()) {
	t.Helper()
	ctx := context.Background()
	for {
		rest := claim(t, s, jobs.MaxBatch) // of the life before
		if len(rest) == 0 {
			break
		}
		for _, c := range rest {
			finishOne(t, s, c, jobs.Succeeded, "", "")
		}
	}

	// Undone at the second try, by hand, and followed by another job.
	j, follower := job("steps"), job("follower")
	follower.After = &jobs.After{Job: "steps", When: jobs.WhenFailure}
	j.Followers = []*jobs.Job{follower}
	id := trigger(t, s, j, "undo")
	c := claimOne(t, s)
	step(t, s, c, 0, "one", true)
	step(t, s, c, 1, "two", true)
	look()
	finishOne(t, s, c, jobs.Failed, "two", "boom")
	look()
	c = claimOne(t, s)
	_, err := s.Undone(ctx, id, c.Token, "two")
	require.NoError(t, err)
	finishOne(t, s, c, jobs.RollbackFailed, "one", "no")
	look()
	next := claimOne(t, s)
	require.Equal(t, "follower", next.Job)
	finishOne(t, s, next, jobs.Succeeded, "", "")
	resumed, _, err := s.ResumeRollback(ctx, id, "me")
	require.NoError(t, err)
	require.True(t, resumed)
	look()
	c = claimOne(t, s)
	_, err = s.Undone(ctx, id, c.Token, "one")
	require.NoError(t, err)
	finishOne(t, s, c, jobs.RolledBack, "", "")
	look()

	// Called off.
	id = trigger(t, s, job("steps"), "cancel")
	c = claimOne(t, s)
	_, _, err = s.Cancel(ctx, id, "me", "mistake")
	require.NoError(t, err)
	look()
	finishOne(t, s, c, jobs.Canceled, "", "canceled")
	look()

	// Paused while nobody led.
	paused := job("paused")
	setCursor(t, s, paused, s.Now().Add(-time.Hour))
	_, _, err = s.Pause(ctx, "paused", "me", "a note")
	require.NoError(t, err)
	look()
	_, _, err = s.Resume(ctx, "paused", "me")
	require.NoError(t, err)
	look()

	// Turns, in a group.
	x, y := job("x"), job("y")
	for _, g := range []*jobs.Job{x, y} {
		g.Overlap, g.Group, g.GroupLimit = jobs.OverlapQueue, "db", 1
	}
	trigger(t, s, x, "1")
	trigger(t, s, y, "1")
	look()
	finishOne(t, s, claimOne(t, s), jobs.Succeeded, "", "")
	look()
	finishOne(t, s, claimOne(t, s), jobs.Succeeded, "", "")

	// On each node; on a route that nobody serves.
	serve(t, s, jobs.AnyRoute)
	each, gpu := job("each"), job("gpu")
	each.EveryNode, gpu.Pool, gpu.UnroutableAfter = true, "gpu", time.Minute
	trigger(t, s, each, "1")
	look()
	finishOne(t, s, claimOne(t, s), jobs.Succeeded, "", "")
	id = trigger(t, s, gpu, "1")
	look()
	for _, age := range []time.Duration{11 * time.Second, time.Hour} {
		sweep(t, s, token)
		since := s.Now().Add(-age)
		require.NoError(t, s.cmd.HSet(ctx, s.keys.run(id), "queued_at", since.UnixMilli()).Err())
		require.NoError(t, s.cmd.ZAdd(ctx, s.keys.routes(), redis.Z{Score: float64(since.UnixMilli()), Member: "pool=gpu"}).Err())
		sweep(t, s, token)
		look()
	}
	require.Equal(t, jobs.Failed, mustRun(t, s, id).Status)

	// Another name.
	require.NoError(t, s.Rename(ctx, token, file(t, `{jobs: {called: {renamed_from: x, run: echo}}}`)))
	look()

	// Past ticks.
	past := s.Now().Truncate(time.Second).Add(-time.Minute)
	setCursor(t, s, j, s.Now())
	_, err = s.Backfill(ctx, j, []time.Time{past}, "me", true)
	require.NoError(t, err)
	look()
	_, err = s.Feed(ctx, token, func(string) *jobs.Job { return j })
	require.NoError(t, err)
	look()
	finishOne(t, s, claimOne(t, s), jobs.Succeeded, "", "")
	look()
}
