package redisstore

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
	"carillon/jobs"
	"carillon/leader"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// fleet is a namespace of its own on one engine, with any number of nodes.
type fleet struct {
	t         *testing.T
	url       string
	namespace string
	real      bool
	lease     time.Duration
}

var namespaces atomic.Int64

// engines runs a test on the in-memory server and on a real one: the same Lua
// has to mean the same on both.
func engines(t *testing.T, test func(t *testing.T, f *fleet)) {
	t.Run("miniredis", func(t *testing.T) {
		url, _ := redistest.Mini(t)
		test(t, &fleet{t: t, url: url, namespace: "test", lease: 30 * time.Second})
	})
	t.Run("real", func(t *testing.T) {
		url, namespace := redistest.Shared(t)
		test(t, &fleet{t: t, url: url, namespace: namespace, real: true, lease: 30 * time.Second})
	})
}

func (f *fleet) node(name string) *Store {
	f.t.Helper()
	s, err := Open(Options{URL: f.url, Namespace: f.namespace, Node: name, Boot: fmt.Sprintf("boot%d", namespaces.Add(1)), Lease: f.lease})
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = s.Close() })
	require.NoError(f.t, s.SyncClock(context.Background()))
	return s
}

// lead makes the store the leader with a new token.
func lead(t *testing.T, s *Store) string {
	t.Helper()
	token := fmt.Sprintf("%s:%s:%d", s.opts.Node, s.opts.Boot, namespaces.Add(1))
	require.NoError(t, s.cmd.Set(context.Background(), s.keys.leader(), token, time.Minute).Err())
	_, _, err := s.Install(context.Background(), token, s.opts.Node)
	require.NoError(t, err)
	return token
}

func job(name string) *jobs.Job {
	return &jobs.Job{Name: name, Enabled: true, Overlap: jobs.OverlapAllow, Priority: 5, Digest: "d-" + name, Timing: "t-" + name}
}

func ran(j *jobs.Job, tick time.Time) jobs.Decision {
	return jobs.Decision{Job: j, Tick: tick, Until: tick, Count: 1, Outcome: jobs.OutcomeRan}
}

// setCursor puts the cursor of a job somewhere, as if ticks up to there had been decided.
func setCursor(t *testing.T, s *Store, j *jobs.Job, at time.Time) {
	t.Helper()
	require.NoError(t, s.cmd.HSet(context.Background(), s.keys.cursors(), j.Name, fmt.Sprintf("%d %s", at.UnixMilli(), j.Timing)).Err())
}

func kinds(vs []jobs.Verdict) []jobs.VerdictKind {
	var out []jobs.VerdictKind
	for _, v := range vs {
		out = append(out, v.Kind)
	}
	return out
}

var claimCount atomic.Int64

func claim(t *testing.T, s *Store, want int) []jobs.Claim {
	t.Helper()
	reply, err := s.Exchange(context.Background(), jobs.ExchangeRequest{ClaimID: fmt.Sprintf("c%d", claimCount.Add(1)), Want: want})
	require.NoError(t, err)
	return reply.Claims
}

func finish(t *testing.T, s *Store, results ...jobs.Result) []jobs.FinishAnswer {
	t.Helper()
	reply, err := s.Exchange(context.Background(), jobs.ExchangeRequest{Results: results})
	require.NoError(t, err)
	return reply.Answers
}

// Whether two schedules have a job in common is found out without reading all of one that has.
func TestSharesOfSchedules(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		many := &jobs.Schedule{Digest: "many"}
		names, strange := []string{}, []string{}
		for i := range 1200 {
			names, strange = append(names, fmt.Sprintf("j%04d", i)), append(strange, fmt.Sprintf("k%04d", i))
			many.Jobs = append(many.Jobs, job(names[i]))
		}
		many.Jobs[1199].RenamedFrom = "before"
		_, err := s.Heartbeat(ctx, jobs.Node{Slots: 1}, []*jobs.Schedule{many})
		require.NoError(t, err)
		for name, c := range map[string]struct {
			digest        string
			names         []string
			shares, known bool
		}{
			"the first":    {"many", names, true, true},
			"the last":     {"many", append(strange, names[1199]), true, true},
			"an old name":  {"many", append(strange, "before"), true, true},
			"none":         {"many", strange, false, true},
			"unknown":      {"another", names, false, false},
			"nothing here": {"many", nil, false, false},
		} {
			shares, known, err := s.Shares(ctx, c.digest, c.names)
			require.NoError(t, err, name)
			require.Equal(t, [2]bool{c.shares, c.known}, [2]bool{shares, known}, name)
		}
	})
}

func TestARunsWholeLife(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("backup")
		_, err := s.Heartbeat(ctx, jobs.Node{Slots: 4}, []*jobs.Schedule{{Digest: "s1", Jobs: []*jobs.Job{j}}})
		require.NoError(t, err)

		adopted, err := s.Adopt(ctx, token, []*jobs.Job{j})
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), adopted.Cursors["backup"], 2*time.Second)

		tick := s.Now().Truncate(time.Second).Add(-time.Second)
		setCursor(t, s, j, tick.Add(-10*time.Second))
		verdicts, err := s.Commit(ctx, token, []jobs.Decision{ran(j, tick)})
		require.NoError(t, err)
		id := jobs.TickRunID("backup", tick)
		require.Equal(t, []jobs.Verdict{{Kind: jobs.VerdictRan, RunID: id}}, verdicts)

		run, err := s.Run(ctx, id)
		require.NoError(t, err)
		require.Equal(t, jobs.Queued, run.Status)
		require.Equal(t, tick.UnixMilli(), run.ScheduledAt.UnixMilli())

		rung, err := s.WaitBell(ctx)
		require.NoError(t, err)
		require.True(t, rung, "the push rang")

		claims := claim(t, s, 8)
		require.Len(t, claims, 1)
		c := claims[0]
		require.Equal(t, 1, c.Attempt)
		require.Equal(t, "d-backup", c.Digest)
		run, err = s.Run(ctx, id)
		require.NoError(t, err)
		require.Equal(t, jobs.Running, run.Status)
		require.Equal(t, "n1", run.Node)

		answers, err := s.Renew(ctx, []jobs.LeaseRef{{RunID: id, Token: c.Token}, {RunID: id, Token: "stale"}})
		require.NoError(t, err)
		require.Equal(t, []jobs.RenewAnswer{jobs.RenewOK, jobs.RenewLost}, answers)

		code := 0
		done := jobs.Result{RunID: id, Token: c.Token, Status: jobs.Succeeded, ExitCode: &code, OutputBytes: 12, LogBytes: 12}
		require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK}, finish(t, s, done))
		require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK}, finish(t, s, done), "a repeat answers as the first call")
		stale := done
		stale.Token = "other"
		stale.Status = jobs.Failed
		require.Equal(t, []jobs.FinishAnswer{jobs.FinishSuperseded}, finish(t, s, stale))

		run, err = s.Run(ctx, id)
		require.NoError(t, err)
		require.Equal(t, jobs.Succeeded, run.Status)
		require.Equal(t, 0, *run.ExitCode)
		require.False(t, run.FinishedAt.IsZero())

		runs, err := s.Runs(ctx, RunFilter{})
		require.NoError(t, err)
		require.Len(t, runs, 1)
		runs, err = s.Runs(ctx, RunFilter{Job: "backup", Status: jobs.Succeeded})
		require.NoError(t, err)
		require.Len(t, runs, 1)
		ledger, err := s.Ledger(ctx, "backup", 10)
		require.NoError(t, err)
		require.Equal(t, []jobs.LedgerEntry{{Tick: tick, Until: tick, Outcome: jobs.OutcomeRan, RunID: id, Count: 1}}, ledger)
		require.Zero(t, s.cmd.SCard(ctx, s.keys.active("backup")).Val())
		require.Zero(t, s.cmd.ZCard(ctx, s.keys.leases()).Val())
	})
}

func TestCommitIsFencedOrderedAndRepeatable(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		old := lead(t, s)
		j := job("j")
		now := s.Now().Truncate(time.Second)
		setCursor(t, s, j, now.Add(-time.Minute))
		ds := []jobs.Decision{ran(j, now.Add(-2*time.Second)), ran(j, now.Add(-time.Second)), ran(j, now.Add(time.Hour))}

		token := lead(t, f.node("n2"))
		_, err := s.Commit(ctx, old, ds)
		require.ErrorIs(t, err, leader.ErrFenced, "a stale leader changes nothing")
		_, err = s.Sweep(ctx, old, true, nil)
		require.ErrorIs(t, err, leader.ErrFenced)
		_, err = s.Adopt(ctx, old, []*jobs.Job{j})
		require.ErrorIs(t, err, leader.ErrFenced)
		_, _, err = s.Install(ctx, old, "n1")
		require.ErrorIs(t, err, leader.ErrFenced)
		require.Empty(t, claim(t, s, 8))

		vs, err := s.Commit(ctx, token, ds)
		require.NoError(t, err)
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictRan, jobs.VerdictRan, jobs.VerdictEarly}, kinds(vs))
		require.InDelta(t, time.Hour, vs[2].Wait, float64(3*time.Second))

		vs, err = s.Commit(ctx, token, ds)
		require.NoError(t, err)
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictDuplicate, jobs.VerdictDuplicate, jobs.VerdictEarly}, kinds(vs))
		require.Equal(t, now.Add(-time.Second), vs[0].Cursor)
		claims := claim(t, s, 8)
		require.Len(t, claims, 2, "each tick once")
		require.Equal(t, jobs.TickRunID("j", now.Add(-2*time.Second)), claims[0].RunID, "the oldest first")
	})
}

func TestOverlapSkipNamesTheRunInTheWay(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		j.Overlap = jobs.OverlapSkip
		now := s.Now().Truncate(time.Second)
		setCursor(t, s, j, now.Add(-time.Minute))
		at := func(n int) time.Time { return now.Add(time.Duration(n-10) * time.Second) }

		vs, err := s.Commit(ctx, token, []jobs.Decision{ran(j, at(1)), ran(j, at(2)), ran(j, at(3))})
		require.NoError(t, err)
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictRan, jobs.VerdictSkipped, jobs.VerdictSkipped}, kinds(vs))
		first := jobs.TickRunID("j", at(1))
		require.Equal(t, first, vs[1].RunID)

		waiting := ran(j, at(4))
		waiting.Wait = true
		vs, err = s.Commit(ctx, token, []jobs.Decision{waiting, ran(j, at(5))})
		require.NoError(t, err)
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictBusy, jobs.VerdictBusy}, kinds(vs), "what follows a tick that waits waits too")

		reply, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "x"})
		require.NoError(t, err)
		require.Equal(t, first, reply.InTheWay)

		c := claim(t, s, 1)
		finish(t, s, jobs.Result{RunID: c[0].RunID, Token: c[0].Token, Status: jobs.Succeeded})
		vs, err = s.Commit(ctx, token, []jobs.Decision{waiting, ran(j, at(5))})
		require.NoError(t, err)
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictRan, jobs.VerdictSkipped}, kinds(vs))

		ledger, err := s.Ledger(ctx, "j", 10)
		require.NoError(t, err)
		require.Len(t, ledger, 4)
		require.Equal(t, jobs.LedgerEntry{Tick: at(2), Until: at(3), Outcome: jobs.OutcomeSkipped, RunID: first, Count: 2,
			Reason: "overlap: an earlier run is unfinished"}, ledger[2], "equal neighbours are one entry")
	})
}

func TestMissedRangesAreOneEntry(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		now := s.Now().Truncate(time.Second)
		setCursor(t, s, j, now.Add(-time.Hour))
		missed := func(from, to, count int, reason string) jobs.Decision {
			return jobs.Decision{Job: j, Tick: now.Add(time.Duration(from) * time.Second), Until: now.Add(time.Duration(to) * time.Second),
				Count: count, Outcome: jobs.OutcomeMissed, Reason: reason}
		}
		vs, err := s.Commit(ctx, token, []jobs.Decision{missed(-900, -800, 0, "window: older"), missed(-700, -500, 3, "policy: x"), missed(-400, -300, 2, "policy: x")})
		require.NoError(t, err)
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictRecorded, jobs.VerdictRecorded, jobs.VerdictRecorded}, kinds(vs))
		_, err = s.Commit(ctx, token, []jobs.Decision{missed(-200, -200, 1, "policy: x")})
		require.NoError(t, err)
		ledger, err := s.Ledger(ctx, "j", 10)
		require.NoError(t, err)
		require.Len(t, ledger, 2)
		require.Equal(t, 6, ledger[0].Count)
		require.Equal(t, now.Add(-700*time.Second), ledger[0].Tick)
		require.Equal(t, now.Add(-200*time.Second), ledger[0].Until)
		require.Equal(t, 0, ledger[1].Count)
		require.Equal(t, "window: older", ledger[1].Reason)
	})
}

func TestAdoptMovesWhatChanged(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		stays, changes, leaves := job("stays"), job("changes"), job("leaves")
		_, err := s.Adopt(ctx, token, []*jobs.Job{stays, changes, leaves})
		require.NoError(t, err)
		past := s.Now().Add(-time.Hour).Truncate(time.Second)
		for _, j := range []*jobs.Job{stays, changes, leaves} {
			setCursor(t, s, j, past)
		}
		changed := *changes
		changed.Timing = "other"
		adopted, err := s.Adopt(ctx, token, []*jobs.Job{stays, &changed})
		require.NoError(t, err)
		require.Equal(t, past, adopted.Cursors["stays"], "an unchanged job loses no tick")
		require.WithinDuration(t, s.Now(), adopted.Cursors["changes"], 2*time.Second)
		ledger, err := s.Ledger(ctx, "changes", 10)
		require.NoError(t, err)
		require.Equal(t, "schedule changed", ledger[0].Reason)
		require.Equal(t, past.Add(time.Millisecond), ledger[0].Tick, "what the cursor stood at was decided")

		all, err := s.Cursors(ctx)
		require.NoError(t, err)
		require.Contains(t, all, "leaves", "its cursor is kept for a week")
		adopted, err = s.Adopt(ctx, token, []*jobs.Job{stays, &changed, leaves})
		require.NoError(t, err)
		require.WithinDuration(t, s.Now(), adopted.Cursors["leaves"], 2*time.Second, "no phantom ticks on return")
		ledger, err = s.Ledger(ctx, "leaves", 10)
		require.NoError(t, err)
		require.Equal(t, "not in schedule", ledger[0].Reason)

		require.NoError(t, s.cmd.HSet(ctx, s.keys.cursors(), "old", fmt.Sprintf("%d t %d", past.UnixMilli(), s.Now().Add(-8*24*time.Hour).UnixMilli())).Err())
		_, err = s.Adopt(ctx, token, []*jobs.Job{stays})
		require.NoError(t, err)
		all, err = s.Cursors(ctx)
		require.NoError(t, err)
		require.NotContains(t, all, "old")
	})
}

// The clock of Redis was set back: the cursor is ahead of it. Found by the simulation.
func TestAdoptTakesNoCursorBack(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		ahead := s.Now().Add(time.Minute).Truncate(time.Second)
		setCursor(t, s, j, ahead)
		changed := *j
		changed.Timing = "other"
		adopted, err := s.Adopt(ctx, token, []*jobs.Job{&changed})
		require.NoError(t, err)
		require.Equal(t, ahead, adopted.Cursors["j"], "up to there every tick is decided")
		again, err := s.Adopt(ctx, token, []*jobs.Job{&changed})
		require.NoError(t, err)
		require.Equal(t, adopted.Cursors, again.Cursors)
	})
}

func TestRetryIsExpiry(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "a", Params: map[string]string{"day": "mon"}, Reason: "why \"so\"", By: "me@host"})
		require.NoError(t, err)
		c := claim(t, s, 5)[0]
		require.Equal(t, map[string]string{"day": "mon"}, c.Params)
		require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK},
			finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Retrying, RetryIn: time.Hour, Error: "exit \x01 \"1\""}))
		run, err := s.Run(ctx, c.RunID)
		require.NoError(t, err)
		require.Equal(t, jobs.Retrying, run.Status)
		require.Equal(t, 1, run.Failures)
		require.WithinDuration(t, s.Now().Add(time.Hour), run.RetryAt, 2*time.Second)

		_, err = s.Sweep(ctx, token, false, nil)
		require.NoError(t, err)
		require.Empty(t, claim(t, s, 5), "not before its time")
		require.NoError(t, s.cmd.ZAdd(ctx, s.keys.leases(), redis.Z{Score: 1, Member: c.RunID}).Err())
		_, err = s.Sweep(ctx, token, false, nil)
		require.NoError(t, err)
		again := claim(t, s, 5)
		require.Len(t, again, 1)
		require.Equal(t, 2, again[0].Attempt)
		require.Equal(t, 1, again[0].Failures)
		require.NotEqual(t, c.Token, again[0].Token)
		require.Equal(t, []jobs.FinishAnswer{jobs.FinishSuperseded}, finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded}))
	})
}

func TestALostNodesRunsStartAgainAndAreQuarantined(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "a"})
		require.NoError(t, err)
		expire := func(id string) {
			require.NoError(t, s.cmd.ZAdd(ctx, s.keys.leases(), redis.Z{Score: 1, Member: id}).Err())
		}
		id := "j@manual-a"
		// A lease that was never renewed is not a crash of the job.
		c := claim(t, s, 1)[0]
		expire(id)
		_, err = s.Sweep(ctx, token, false, nil)
		require.NoError(t, err)
		require.Empty(t, claim(t, s, 1), "a leader that does not trust its record takes nothing")
		for i := range 3 {
			_, err = s.Sweep(ctx, token, true, nil)
			require.NoError(t, err)
			c = claim(t, s, 1)[0]
			require.Equal(t, i+2, c.Attempt)
			_, err = s.Renew(ctx, []jobs.LeaseRef{{RunID: id, Token: c.Token}})
			require.NoError(t, err)
			expire(id)
		}
		_, err = s.Sweep(ctx, token, true, nil)
		require.NoError(t, err)
		run, err := s.Run(ctx, id)
		require.NoError(t, err)
		require.Equal(t, jobs.Failed, run.Status)
		require.Contains(t, run.Error, "killed 4 nodes", "one of them at once")
		require.Empty(t, claim(t, s, 1))
		require.Zero(t, s.cmd.ZCard(ctx, s.keys.leases()).Val())
	})
}

// A command that kills its node before its lease is renewed once must not go on
// until there is no node left.
func TestARunThatIsNeverRenewedIsQuarantinedToo(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: job("j"), Unique: "a"})
		require.NoError(t, err)
		for i := range 5 {
			require.Equal(t, i+1, claim(t, s, 1)[0].Attempt)
			require.NoError(t, s.cmd.ZAdd(ctx, s.keys.leases(), redis.Z{Score: 1, Member: "j@manual-a"}).Err())
			_, err = s.Sweep(ctx, token, true, nil)
			require.NoError(t, err)
		}
		run, err := s.Run(ctx, "j@manual-a")
		require.NoError(t, err)
		require.Equal(t, jobs.Failed, run.Status)
		require.Contains(t, run.Error, "killed 5 nodes")
		require.Zero(t, run.Crashes)
		require.Empty(t, claim(t, s, 1))
	})
}

// Leases that must stay where they are do not hide the back-offs behind them.
func TestTheSweepLooksBeyondWhatItMayNotTake(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		j := job("j")
		const n = sweepChunk + 50
		for i := range n {
			_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: fmt.Sprintf("%03d", i)})
			require.NoError(t, err)
		}
		var held []jobs.Claim
		for len(held) < n {
			held = append(held, claim(t, s, jobs.MaxBatch)...)
		}
		for i, c := range held {
			require.NoError(t, s.cmd.ZAdd(ctx, s.keys.leases(), redis.Z{Score: float64(i + 1), Member: c.RunID}).Err())
		}
		last := held[n-1]
		finish(t, s, jobs.Result{RunID: last.RunID, Token: last.Token, Status: jobs.Retrying, RetryIn: 0})
		require.Eventually(t, func() bool {
			_, err := s.Sweep(ctx, token, false, nil)
			require.NoError(t, err)
			return mustRun(t, s, last.RunID).Status == jobs.Queued
		}, 5*time.Second, 5*time.Millisecond)
		require.Equal(t, jobs.Running, mustRun(t, s, held[0].RunID).Status)
	})
}

func TestReleaseKeepsTheAttemptNumberOfWhatHadNotStarted(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		j := job("j")
		for _, u := range []string{"a", "b"} {
			_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: u})
			require.NoError(t, err)
		}
		c := claim(t, s, 1)[0]
		require.Equal(t, "j@manual-a", c.RunID)
		require.NoError(t, s.Release(ctx, []jobs.Release{{RunID: c.RunID, Token: c.Token, Kind: jobs.ReleaseUnstarted, Reason: "draining"}}))
		c = claim(t, s, 1)[0]
		require.Equal(t, "j@manual-a", c.RunID, "it goes to the head of its queue")
		require.Equal(t, 1, c.Attempt)
		require.NoError(t, s.Release(ctx, []jobs.Release{{RunID: c.RunID, Token: c.Token, Kind: jobs.ReleaseStarted}}))
		c = claim(t, s, 1)[0]
		require.Equal(t, 2, c.Attempt)
		require.NoError(t, s.Release(ctx, []jobs.Release{{RunID: c.RunID, Token: "stale", Kind: jobs.ReleaseStarted}}))
		require.Equal(t, jobs.Running, mustRun(t, s, c.RunID).Status, "a stale attempt gives nothing back")
	})
}

func mustRun(t *testing.T, s *Store, id string) jobs.Run {
	t.Helper()
	r, err := s.Run(context.Background(), id)
	require.NoError(t, err)
	return r
}

func TestAParkedRunFindsTheNodeThatHasItsDefinition(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		a, b := f.node("a"), f.node("b")
		token := lead(t, a)
		oldJob := job("j")
		newJob := *oldJob
		newJob.Digest = "new"
		_, err := a.Heartbeat(ctx, jobs.Node{Slots: 1}, []*jobs.Schedule{{Digest: "sa", Jobs: []*jobs.Job{oldJob}}})
		require.NoError(t, err)
		_, err = a.Trigger(ctx, jobs.TriggerRequest{Job: &newJob, Unique: "x", Params: map[string]string{"p": "v"}})
		require.NoError(t, err)
		due := func() {
			require.NoError(t, a.cmd.ZAdd(ctx, a.keys.leases(), redis.Z{Score: 1, Member: "j@manual-x"}).Err())
		}
		c := claim(t, a, 1)[0]
		require.NoError(t, a.Release(ctx, []jobs.Release{{RunID: c.RunID, Token: c.Token, Kind: jobs.ReleasePark, Reason: "no definition"}}))
		due()
		_, err = a.Sweep(ctx, token, true, nil)
		require.NoError(t, err)
		require.Empty(t, claim(t, a, 1), "nobody has it yet")
		require.Equal(t, "no definition", mustRun(t, a, c.RunID).Reason)

		_, err = b.Heartbeat(ctx, jobs.Node{Slots: 1}, []*jobs.Schedule{{Digest: "sb", Jobs: []*jobs.Job{&newJob}}, {Digest: "sa", Jobs: []*jobs.Job{oldJob}}})
		require.NoError(t, err)
		due()
		_, err = a.Sweep(ctx, token, true, nil)
		require.NoError(t, err)
		require.Empty(t, claim(t, a, 1), "it waits for b alone")
		due() // b did not take it in time: it is routed again, and still taken once
		_, err = a.Sweep(ctx, token, true, nil)
		require.NoError(t, err)
		got := claim(t, b, 5)
		require.Len(t, got, 1)
		c = got[0]
		require.Equal(t, "j@manual-x", c.RunID)
		require.Equal(t, 1, c.Attempt)

		// With nobody for ten minutes, it says so and ends.
		require.NoError(t, b.Release(ctx, []jobs.Release{{RunID: c.RunID, Token: c.Token, Kind: jobs.ReleasePark, Reason: "no definition"}}))
		require.NoError(t, b.Leave(ctx))
		require.NoError(t, a.cmd.HSet(ctx, a.keys.run(c.RunID), "parked_at", 1).Err())
		due()
		_, err = a.Sweep(ctx, token, true, nil)
		require.NoError(t, err)
		run := mustRun(t, a, c.RunID)
		require.Equal(t, jobs.Failed, run.Status)
		require.Contains(t, run.Error, "no live node")
	})
}

func TestPriorityAndRepeatedClaims(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		for i, p := range []int{1, 9, 5, 9} {
			j := job(fmt.Sprintf("p%d-%d", p, i))
			j.Priority = p
			_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "x"})
			require.NoError(t, err)
		}
		req := jobs.ExchangeRequest{Lane: 1, ClaimID: "one", Want: 3}
		first, err := s.Exchange(ctx, req)
		require.NoError(t, err)
		var got []string
		for _, c := range first.Claims {
			got = append(got, c.Job)
		}
		require.Equal(t, []string{"p9-1", "p9-3", "p5-2"}, got)
		require.True(t, first.More)
		again, err := s.Exchange(ctx, req)
		require.NoError(t, err)
		require.Equal(t, first.Claims, again.Claims, "a repeated claim gets the same runs")
		other, err := s.Exchange(ctx, jobs.ExchangeRequest{Lane: 0, ClaimID: "two", Want: 3})
		require.NoError(t, err)
		require.Len(t, other.Claims, 1)
		require.False(t, other.More)
		require.Zero(t, s.cmd.Exists(ctx, s.keys.priorities(jobs.AnyRoute)).Val())
	})
}

func TestTriggerRequestIDs(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		j := job("j")
		first, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "a", RequestID: "r"})
		require.NoError(t, err)
		second, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "b", RequestID: "r"})
		require.NoError(t, err)
		require.True(t, second.Repeated)
		require.Equal(t, first.RunID, second.RunID)
		require.Len(t, claim(t, s, 5), 1)
		ttl := s.cmd.PTTL(ctx, s.keys.request("j", "r")).Val()
		require.InDelta(t, 24*time.Hour, ttl, float64(time.Minute))
	})
}

func TestHistoryForgetsTheOldAndKeepsFailures(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		j := job("j")
		end := func(u string, status jobs.State) {
			_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: u})
			require.NoError(t, err)
			c := claim(t, s, 1)[0]
			_, err = s.AppendLog(ctx, c.RunID, []jobs.LogChunk{{Attempt: 1, Data: []byte("hello")}}, nil)
			require.NoError(t, err)
			require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK}, finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: status, LogBytes: 5}))
		}
		end("bad", jobs.Failed)
		end("good", jobs.Succeeded)
		for i := range 100 {
			end(fmt.Sprintf("n%d", i), jobs.Succeeded)
		}
		_, err := s.Run(ctx, "j@manual-good")
		require.ErrorIs(t, err, ErrNotFound)
		chunks, err := s.ReadLog(ctx, "j@manual-good", "")
		require.NoError(t, err)
		require.Empty(t, chunks)
		require.Equal(t, jobs.Failed, mustRun(t, s, "j@manual-bad").Status, "what failed is kept longer")
		for i := range 50 {
			end(fmt.Sprintf("f%d", i), jobs.Failed)
		}
		_, err = s.Run(ctx, "j@manual-bad")
		require.ErrorIs(t, err, ErrNotFound)
		runs, err := s.Runs(ctx, RunFilter{Job: "j", Limit: 1000})
		require.NoError(t, err)
		require.Len(t, runs, 100)
	})
}

func TestLogsHaveABudgetForEachJob(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		j := job("j")
		for i := range 5 {
			_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: fmt.Sprint(i)})
			require.NoError(t, err)
			c := claim(t, s, 1)[0]
			_, err = s.AppendLog(ctx, c.RunID, []jobs.LogChunk{{Attempt: 1, Data: []byte("hello")}}, nil)
			require.NoError(t, err)
			finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded, LogBytes: 1 << 20})
		}
		first, err := s.ReadLog(ctx, "j@manual-0", "")
		require.NoError(t, err)
		require.Empty(t, first, "4 MiB a job: the oldest log made room")
		second, err := s.ReadLog(ctx, "j@manual-1", "")
		require.NoError(t, err)
		require.Len(t, second, 1)
		require.Equal(t, "hello", string(second[0].Data))
		more, err := s.ReadLog(ctx, "j@manual-1", second[0].ID)
		require.NoError(t, err)
		require.Empty(t, more)
	})
}

func TestNodesAndNamesakes(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		a, twin := f.node("a"), f.node("a")
		sched := []*jobs.Schedule{{Digest: "s1", Jobs: []*jobs.Job{job("j")}}}
		namesake, err := a.Heartbeat(ctx, jobs.Node{Slots: 3, Running: 1, Version: "v", Zoneinfo: "host 2025b"}, sched)
		require.NoError(t, err)
		require.Empty(t, namesake)
		token := lead(t, a)
		nodes, err := a.Nodes(ctx)
		require.NoError(t, err)
		require.Len(t, nodes, 1)
		require.True(t, nodes[0].Leader)
		require.Equal(t, 3, nodes[0].Slots)
		require.Equal(t, "v", nodes[0].Version)
		require.Equal(t, "host 2025b", nodes[0].Zoneinfo)
		require.Equal(t, "s1", nodes[0].Digest)
		l, ok, err := a.Leader(ctx)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, "a", l.Node)
		require.Equal(t, token, l.Token)

		namesake, err = twin.Heartbeat(ctx, jobs.Node{}, sched)
		require.NoError(t, err)
		require.Equal(t, a.opts.Boot, namesake)
		require.NoError(t, a.Leave(ctx), "a record that is another's is left alone")
		nodes, err = a.Nodes(ctx)
		require.NoError(t, err)
		require.Len(t, nodes, 1)
		require.False(t, nodes[0].Leader, "the namesake does not lead")
		require.NoError(t, twin.Leave(ctx))
		nodes, err = a.Nodes(ctx)
		require.NoError(t, err)
		require.Empty(t, nodes)
	})
}

func TestCandidatesAreTheLiveNodesAndTheirRevisions(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		a, b, old := f.node("a"), f.node("b"), f.node("old")
		none, err := a.Candidates(ctx)
		require.NoError(t, err)
		require.Empty(t, none)
		for s, n := range map[*Store]jobs.Node{a: {Revision: 7}, b: {Revision: 1<<53 - 1, NoLead: true}, old: {}} {
			_, err := s.Heartbeat(ctx, n, nil)
			require.NoError(t, err)
		}
		// A node of an earlier version says nothing of a revision.
		require.NoError(t, old.cmd.HDel(ctx, old.keys.node("old"), "revision", "no_lead").Err())
		want := []jobs.Node{{Name: "a", Boot: a.opts.Boot, Revision: 7}, {Name: "b", Boot: b.opts.Boot, Revision: 1<<53 - 1, NoLead: true},
			{Name: "old", Boot: old.opts.Boot}}
		got, err := a.Candidates(ctx)
		require.NoError(t, err)
		require.ElementsMatch(t, want, got)
		nodes, err := a.Nodes(ctx)
		require.NoError(t, err)
		for i, n := range nodes {
			require.Equal(t, want[i].Revision, n.Revision)
			require.Equal(t, want[i].NoLead, n.NoLead)
		}

		long := a.Now().Add(-nodeLive - time.Second).UnixMilli()
		require.NoError(t, a.cmd.ZAdd(ctx, a.keys.nodes(), redis.Z{Score: float64(long), Member: "b"}).Err())
		require.NoError(t, a.Leave(ctx))
		got, err = a.Candidates(ctx)
		require.NoError(t, err)
		require.Equal(t, want[2:], got)
	})
}

func TestEpochNeverGoesBack(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		first, since, err := s.Install(ctx, token, "n1")
		require.NoError(t, err)
		require.WithinDuration(t, s.Now(), since, 2*time.Second)
		again, _, err := s.Install(ctx, token, "n1")
		require.NoError(t, err)
		require.Equal(t, first, again)
		require.NoError(t, s.cmd.HSet(ctx, s.keys.term(), "epoch", "9999999999999").Err())
		next, _, err := s.Install(ctx, lead(t, s), "n1")
		require.NoError(t, err)
		require.Equal(t, int64(10000000000000), next)
		require.NoError(t, s.cmd.Del(ctx, s.keys.term()).Err())
		lost, _, err := s.Install(ctx, lead(t, s), "n1")
		require.NoError(t, err)
		require.GreaterOrEqual(t, lost, first, "the clock is in it")
	})
}

func TestEventsComeInBatchesWithASequence(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		s := f.node("n1")
		type call struct {
			batch  []jobs.Event
			resync bool
		}
		calls := make(chan call, 100)
		done := make(chan error, 1)
		go func() {
			done <- s.Watch(ctx, func(batch []jobs.Event, resync bool) error {
				calls <- call{batch, resync}
				return nil
			})
		}()
		require.True(t, (<-calls).resync, "a new subscription starts from nothing")
		j := job("j")
		_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "a"})
		require.NoError(t, err)
		c := claim(t, s, 1)[0]
		finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Failed, Error: "bad \"quote\"\x1b"})
		var types []jobs.EventType
		var last jobs.Event
		for len(types) < 3 {
			got := <-calls
			require.False(t, got.resync)
			for _, e := range got.batch {
				types = append(types, e.Type)
				require.Equal(t, "j", e.Job)
				require.Equal(t, c.RunID, e.Run)
				last = e
			}
		}
		require.Equal(t, []jobs.EventType{jobs.EventQueued, jobs.EventRunning, jobs.EventFailed}, types)
		require.Equal(t, "bad \"quote\"\x1b", last.Error)
		// A gap in the sequence is a resync.
		require.NoError(t, s.cmd.IncrBy(ctx, s.keys.sequence(), 5).Err())
		_, err = s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "b"})
		require.NoError(t, err)
		require.True(t, (<-calls).resync)
		cancel()
		require.NoError(t, <-done)
	})
}

func TestScriptsSurviveAFlush(t *testing.T) {
	ctx := context.Background()
	f := &fleet{t: t, url: redistest.Real(t), namespace: "test", lease: time.Minute}
	s := f.node("n1")
	j := job("j")
	for i := range 3 {
		_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: fmt.Sprint(i)})
		require.NoError(t, err)
	}
	c := claim(t, s, 1)[0]
	require.NoError(t, s.cmd.ScriptFlush(ctx).Err())
	reply, err := s.Exchange(ctx, jobs.ExchangeRequest{ClaimID: "x", Want: 5, Results: []jobs.Result{{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded}}})
	require.NoError(t, err)
	require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK}, reply.Answers)
	require.Len(t, reply.Claims, 2)
}

// The header of each script says what it takes and returns; this holds the
// headers to the table of moves and to each other.
func TestScriptHeaders(t *testing.T) {
	for _, sc := range allScripts() {
		body := readLua(sc.name + ".lua")
		require.True(t, strings.HasPrefix(body, "-- "+sc.name+": "), sc.name)
		for _, part := range []string{"\n-- KEYS: probe", "\n-- ARGV: prefix", "\n-- Returns: ", "\n-- Uses: common"} {
			require.Contains(t, body, part, sc.name)
		}
	}
}
