package redisstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
	"carillon/jobs"
)

// evict throws the hash of a run away, as a Redis with a policy other than noeviction
// does.
func evict(t *testing.T, s *Store, id string) {
	t.Helper()
	n, err := s.cmd.Del(context.Background(), s.keys.run(id)).Result()
	require.NoError(t, err)
	require.EqualValues(t, 1, n, id)
}

// A run whose hash is gone never ends. It must not be in the way of others for ever.
func TestARunThatRedisLostIsInNobodysWay(t *testing.T) {
	kinds := map[string]func(j *jobs.Job){
		"skip":        func(j *jobs.Job) { j.Overlap = jobs.OverlapSkip },
		"queue":       func(j *jobs.Job) { j.Overlap = jobs.OverlapQueue },
		"replace":     func(j *jobs.Job) { j.Overlap = jobs.OverlapReplace },
		"max_running": func(j *jobs.Job) { j.MaxRunning = 1 },
		"group":       func(j *jobs.Job) { j.Overlap, j.Group, j.GroupLimit = jobs.OverlapQueue, "db", 1 },
	}
	for name, shape := range kinds {
		t.Run(name, func(t *testing.T) {
			engines(t, func(t *testing.T, f *fleet) {
				ctx := context.Background()
				s := f.node("n1")
				token := lead(t, s)

				// One that waited.
				j := job("j")
				shape(j)
				evict(t, s, trigger(t, s, j, "a"))
				require.Empty(t, claim(t, s, 5), "nobody knows what it was")
				sweep(t, s, token)
				next := trigger(t, s, j, "b")

				// One that ran; another waits for it, where the job lets it.
				c := claim(t, s, 5)
				require.Len(t, c, 1)
				require.Equal(t, next, c[0].RunID)
				held := ""
				if j.Overlap == jobs.OverlapQueue || j.Overlap == jobs.OverlapReplace {
					held = trigger(t, s, j, "c")
				}
				evict(t, s, next)
				answers, err := s.Renew(ctx, []jobs.LeaseRef{{RunID: next, Token: c[0].Token}})
				require.NoError(t, err)
				require.Equal(t, []jobs.RenewAnswer{jobs.RenewLost}, answers, "its node ends it")
				require.Equal(t, []jobs.FinishAnswer{jobs.FinishUnknown}, finish(t, s, jobs.Result{RunID: next, Token: c[0].Token, Status: jobs.Succeeded}))
				expire(t, s, next)
				sweep(t, s, token)
				if j.Group != "" {
					// The group of a run that is gone is known to nobody: the next one finds out.
					_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "d"})
					require.NoError(t, err)
				}
				if held == "" {
					held = trigger(t, s, j, "d")
				}
				c = claim(t, s, 1)
				require.Len(t, c, 1)
				require.Equal(t, held, c[0].RunID, "its turn has come")
				finishOne(t, s, c[0], jobs.Succeeded, "", "")
				for _, c := range claim(t, s, 5) {
					finishOne(t, s, c, jobs.Succeeded, "", "")
				}
				sweep(t, s, token)
				nothingLeft(t, s, "j")
				require.Zero(t, s.cmd.Exists(ctx, s.keys.prefix+"group:db", s.keys.prefix+"groupwait:db").Val())
			})
		})
	}
}

// It does not come back as a shadow either, when another one begins to wait: nothing is written
// to what is gone.
func TestARunThatRedisLostIsNotWaitedFor(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		j := job("j")
		gone := trigger(t, s, j, "gone")
		runs := trigger(t, s, j, "runs")
		evict(t, s, gone)
		c := claim(t, s, 5)
		require.Len(t, c, 1)
		j.Overlap = jobs.OverlapQueue // now it is another one
		_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "waits"})
		require.NoError(t, err)
		require.NoError(t, s.cmd.SAdd(ctx, s.keys.active("j"), gone).Err())
		j.Overlap = jobs.OverlapReplace
		_, err = s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "instead"})
		require.NoError(t, err)
		require.Zero(t, s.cmd.Exists(ctx, s.keys.run(gone)).Val())
		finishOne(t, s, c[0], jobs.Canceled, "", "")
		require.Equal(t, runs, c[0].RunID)
		require.Equal(t, "j@manual-instead", claimOne(t, s).RunID)
	})
}

// Where a limit counts runs, those that are gone do not count.
func TestARunThatRedisLostIsNotCounted(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		s := f.node("n1")
		for i := range 20 {
			j := job(fmt.Sprintf("j%d", i))
			j.MaxRunning = 2
			trigger(t, s, j, "a")
			evict(t, s, trigger(t, s, j, "b"))
			trigger(t, s, j, "c")
			reply, err := s.Trigger(context.Background(), jobs.TriggerRequest{Job: j, Unique: "d"})
			require.NoError(t, err)
			require.Equal(t, "overlap: max_running is 2", reply.Why)
		}
	})
}

// However many they are, no call takes long over them.
func TestManyRunsThatRedisLostLeaveBitByBit(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		skip, group, many := job("j"), job("k"), job("l")
		skip.Overlap = jobs.OverlapSkip
		group.Overlap, group.Group, group.GroupLimit = jobs.OverlapQueue, "g", 2
		many.MaxRunning = 1000
		const lost = 12000
		for j, set := range map[*jobs.Job]string{skip: s.keys.active("j"), group: s.keys.prefix + "group:g", many: s.keys.active("l")} {
			for i := 0; i < lost; i += 1000 {
				ids := make([]any, 1000)
				for n := range ids {
					ids[n] = fmt.Sprintf("%s@manual-%d", j.Name, i+n)
				}
				require.NoError(t, s.cmd.SAdd(ctx, set, ids...).Err())
			}
			for n, begun := 0, false; !begun; n++ {
				require.Less(t, n, 10, j.Name)
				before := s.cmd.SCard(ctx, set).Val()
				_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: fmt.Sprintf("new%d", n)})
				require.NoError(t, err)
				begun = len(claim(t, s, 1)) == 1
				after := s.cmd.SCard(ctx, set).Val()
				require.LessOrEqual(t, before-after, int64(10000), j.Name) // twice, with a group
				require.True(t, begun || after < before, "%s: %d of %d", j.Name, after, before)
			}
		}
	})
}

// A tick that meets a run of which nothing is left but its id.
func TestATickIsNotSkippedForARunThatRedisLost(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		j.Overlap = jobs.OverlapSkip
		evict(t, s, trigger(t, s, j, "a"))
		tick := s.Now().Truncate(time.Second)
		setCursor(t, s, j, tick.Add(-time.Minute))
		vs, err := s.Commit(ctx, token, []jobs.Decision{ran(j, tick)})
		require.NoError(t, err)
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictRan}, kinds(vs))
	})
}

// While the disk of Redis is full, or it loads, nobody can renew a lease, although it tells
// the time.
func TestAFullDiskBreaksTheRecord(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		s := f.node("n1")
		time.Sleep(50 * time.Millisecond)
		require.NoError(t, s.SyncClock(context.Background()))
		require.GreaterOrEqual(t, s.SteadyFor(), 50*time.Millisecond)
		full := errors.New("MISCONF Errors writing to the AOF file: No space left on device")
		hook := record{s.clock}
		hook.look(errors.New("OOM command not allowed"))
		require.GreaterOrEqual(t, s.SteadyFor(), 50*time.Millisecond, "leases are renewed at maxmemory")
		for _, refusal := range []error{full, errors.New("LOADING Redis is loading the dataset in memory")} {
			time.Sleep(50 * time.Millisecond)
			require.NoError(t, s.SyncClock(context.Background()))
			require.GreaterOrEqual(t, s.SteadyFor(), 50*time.Millisecond)
			hook.look(refusal)
			require.Less(t, s.SteadyFor(), 50*time.Millisecond, "%v", refusal)
		}
	})
}

// steady makes it so long that the node has seen Redis answer without a break.
func steady(t *testing.T, s *Store, d time.Duration) {
	t.Helper()
	require.NoError(t, s.SyncClock(t.Context()))
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.steady = s.clock.local().Add(-d)
}

// A step of the clock of Redis makes every lease look expired. The leader's record breaks
// only at its next measurement, and a sweep may come first.
func TestASweepDistrustsAClockThatJumped(t *testing.T) {
	url, m := redistest.Mini(t)
	f := &fleet{t: t, url: url, namespace: "test", lease: 30 * time.Second}
	ctx := context.Background()
	s := f.node("n1")
	token := lead(t, s)
	id := trigger(t, s, job("j"), "a")
	c := claimOne(t, s)
	m.SetTime(time.Now().Add(time.Hour).UTC())
	sweep(t, s, token)
	answers, err := s.Renew(ctx, []jobs.LeaseRef{{RunID: id, Token: c.Token}})
	require.NoError(t, err)
	require.Equal(t, []jobs.RenewAnswer{jobs.RenewOK}, answers, "it is still its node's")

	// When the node of a run is dead, it is taken after all.
	expire(t, s, id)
	require.NoError(t, s.SyncClock(ctx))
	m.SetTime(s.Now().UTC())
	sweep(t, s, token)
	require.NotEqual(t, c.Token, claimOne(t, s).Token)
}

// What was canceled while it waited is forgotten in time, and its element is in the queue still.
// That is no loss, and nobody is told of one.
func TestAForgottenRunIsNotALostOne(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		lead(t, s)
		id := trigger(t, s, job("j"), "a")
		_, _, err := s.Cancel(ctx, id, "me", "")
		require.NoError(t, err)
		evict(t, s, id)
		require.Empty(t, claim(t, s, 5))
		require.Zero(t, s.cmd.ZCard(ctx, s.keys.leases()).Val())
	})
}
