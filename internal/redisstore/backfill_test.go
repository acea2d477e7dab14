package redisstore

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
	"carillon/leader"
)

func TestBackfillRunsWhatDidNotRun(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		j.Overlap = jobs.OverlapSkip
		// Ticks over a leap day and a turn of the century, to hold Lua's calendar to Go's.
		at := func(n int) time.Time {
			return time.Date(2024, 2, 28, 23, 59, 57, 0, time.UTC).Add(time.Duration(n) * time.Second)
		}
		setCursor(t, s, j, at(-1))
		missed := jobs.Decision{Job: j, Tick: at(0), Until: at(8), Count: 9, Outcome: jobs.OutcomeMissed, Reason: "policy: x"}
		vs, err := s.Commit(ctx, token, []jobs.Decision{missed, ran(j, at(9))})
		require.NoError(t, err)
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictRecorded, jobs.VerdictRan}, kinds(vs))

		fill := func(force bool, ticks ...time.Time) jobs.BackfillReply {
			t.Helper()
			r, err := s.Backfill(ctx, j, ticks, "me@host", force)
			require.NoError(t, err)
			return r
		}
		require.Equal(t, at(9), fill(false, at(1), at(10)).Undecided)
		r := fill(false, at(-5))
		require.True(t, r.TooOld)
		require.Equal(t, at(0), r.Oldest)
		require.Equal(t, jobs.BackfillReply{Queued: 3, Ran: 1}, fill(false, at(2), at(3), at(4), at(9)))
		require.Equal(t, jobs.BackfillReply{Ran: 3}, fill(false, at(2), at(3), at(4)), "nothing twice")
		require.Equal(t, jobs.BackfillReply{Queued: 1}, fill(true, at(-5)))

		find := func(name string) *jobs.Job {
			if name == "j" {
				return j
			}
			return nil
		}
		_, err = s.Feed(ctx, "stale", find)
		require.ErrorIs(t, err, leader.ErrFenced)
		left, err := s.Feed(ctx, token, find)
		require.NoError(t, err)
		require.True(t, left)
		c := claimOne(t, s)
		require.Equal(t, jobs.TickRunID("j", at(9)), c.RunID, "the run in the way goes first")
		finishOne(t, s, c, jobs.Succeeded, "", "")
		for i, tick := range []time.Time{at(2), at(3), at(4), at(-5)} {
			left, err = s.Feed(ctx, token, find)
			require.NoError(t, err)
			require.Equal(t, i < 3, left)
			cs := claim(t, s, 5)
			require.Len(t, cs, 1, "one at a time")
			require.Equal(t, jobs.TickRunID("j", tick), cs[0].RunID)
			require.Equal(t, jobs.TriggerBackfill, cs[0].Trigger)
			require.Equal(t, tick, cs[0].ScheduledAt)
			finishOne(t, s, cs[0], jobs.Succeeded, "", "")
		}
		left, err = s.Feed(ctx, token, find)
		require.NoError(t, err)
		require.False(t, left)
		require.Equal(t, jobs.BackfillReply{Ran: 2}, fill(false, at(2), at(3)), "what was backfilled has run")
		require.Zero(t, s.cmd.Exists(ctx, s.keys.backfills(), s.keys.backfill("j")).Val())
		nothingLeft(t, s, "j")

		j.Overlap = jobs.OverlapAllow
		require.Equal(t, 3, fill(false, at(5), at(6), at(7)).Queued)
		left, err = s.Feed(ctx, token, find)
		require.NoError(t, err)
		require.False(t, left, "beside each other")
		require.Len(t, claim(t, s, 5), 3)
	})
}
