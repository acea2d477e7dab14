package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
	"carillon/leader"
)

// file parses a schedule, so that digests and names are what nodes have.
func file(t *testing.T, text string) *jobs.Schedule {
	t.Helper()
	s, err := jobs.Parse("schedule.yaml", []byte(text))
	require.NoError(t, err)
	return s
}

// take adopts a file as a leader does, and returns the cursors.
func take(t *testing.T, s *Store, token string, sched *jobs.Schedule) map[string]time.Time {
	t.Helper()
	ctx := context.Background()
	for range 2 { // a repeat changes nothing
		require.NoError(t, s.Rename(ctx, token, sched))
	}
	var list []*jobs.Job
	for _, j := range sched.Jobs {
		if j.Ticks() {
			list = append(list, j)
		}
	}
	adopted, err := s.Adopt(ctx, token, list)
	require.NoError(t, err)
	return adopted.Cursors
}

// everything is what a store holds, but for what moves by itself.
func everything(t *testing.T, s *Store) map[string]string {
	t.Helper()
	ctx := context.Background()
	all := map[string]string{}
	keys, err := s.cmd.Keys(ctx, s.keys.prefix+"*").Result()
	require.NoError(t, err)
	for _, key := range keys {
		switch s.cmd.Type(ctx, key).Val() {
		case "hash":
			all[key] = fmt.Sprint(s.cmd.HGetAll(ctx, key).Val())
		case "list":
			all[key] = fmt.Sprint(s.cmd.LRange(ctx, key, 0, -1).Val())
		case "set":
			members := s.cmd.SMembers(ctx, key).Val()
			slices.Sort(members)
			all[key] = fmt.Sprint(members)
		case "zset":
			all[key] = fmt.Sprint(s.cmd.ZRangeWithScores(ctx, key, 0, -1).Val())
		default:
			all[key] = s.cmd.Get(ctx, key).Val()
		}
	}
	delete(all, s.keys.sequence())
	delete(all, s.keys.renamed())
	return all
}

const (
	beforeRename = `
jobs:
  old: {schedule: "* * * * * *", overlap: queue, catch_up: all, run: echo}
  other: {schedule: "* * * * * *", run: echo}
`
	afterRename = `
jobs:
  new: {renamed_from: old, schedule: "* * * * * *", overlap: queue, catch_up: all, run: echo}
  other: {schedule: "* * * * * *", run: echo}
`
)

// What a job has under its old name is the new one's, all of it; a file from before gives
// it back, and a file from after takes it again.
func TestRenamedJobKeepsWhatItHad(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		before, after := file(t, beforeRename), file(t, afterRename)
		j := before.Job("old")
		_, err := s.Heartbeat(ctx, jobs.Node{Slots: 4}, []*jobs.Schedule{before, after})
		require.NoError(t, err)
		take(t, s, token, before)

		// Ended runs, one of them badly; one that runs, one that waits for it; a tick that nobody wanted.
		tick := s.Now().Truncate(time.Second).Add(-20 * time.Second)
		at := func(n int) time.Time { return tick.Add(time.Duration(n) * time.Second) }
		setCursor(t, s, j, at(0))
		commit := func(d ...jobs.Decision) []jobs.VerdictKind {
			vs, err := s.Commit(ctx, token, d)
			require.NoError(t, err)
			return kinds(vs)
		}
		for n, end := range []jobs.State{jobs.Succeeded, jobs.Failed} {
			commit(ran(j, at(n+1)))
			c := claim(t, s, 1)[0]
			finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: end, OutputBytes: 7, LogBytes: 7})
		}
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictRan, jobs.VerdictQueued, jobs.VerdictRecorded}, commit(ran(j, at(3)), ran(j, at(4)),
			jobs.Decision{Job: j, Tick: at(5), Until: at(6), Count: 2, Outcome: jobs.OutcomeMissed, Reason: "policy: test"}))
		running := claim(t, s, 1)[0]
		_, _, err = s.Pause(ctx, "old", "me", "wait")
		require.NoError(t, err)
		backfilled, err := s.Backfill(ctx, j, []time.Time{at(5)}, "me", true)
		require.NoError(t, err)
		require.Equal(t, 1, backfilled.Queued)
		was := everything(t, s)
		records, err := s.Ledger(ctx, "old", 100)
		require.NoError(t, err)

		cursors := take(t, s, token, after)
		assert.Equal(t, at(6), cursors["new"], "no tick is decided twice, none is lost")
		for key, value := range everything(t, s) {
			family := s.keys.familyOf(key)
			name := strings.TrimPrefix(key, s.keys.prefix)
			assert.False(t, strings.HasSuffix(name, ":old"), "%s is left: %s", name, value)
			if family != "run" && strings.HasSuffix(name, ":new") && family != "ledger" {
				assert.Equal(t, was[strings.TrimSuffix(key, "new")+"old"], value, name)
			}
		}
		for _, name := range []string{"old", "new"} { // whoever asks by a file of before is answered too
			now, err := s.Ledger(ctx, name, 100)
			require.NoError(t, err)
			require.Len(t, now, len(records))
			for i := range now {
				assert.Equal(t, records[i].RunID, now[i].RunID, "a run keeps its id")
				assert.Equal(t, []any{records[i].Tick, records[i].Until, records[i].Outcome, records[i].Count, records[i].Reason},
					[]any{now[i].Tick, now[i].Until, now[i].Outcome, now[i].Count, now[i].Reason})
			}
			runs, err := s.Runs(ctx, RunFilter{Job: name})
			require.NoError(t, err)
			assert.Len(t, runs, 4)
		}
		assert.Equal(t, []jobs.VerdictKind{jobs.VerdictDuplicate}, commit(ran(after.Job("new"), at(4))), "it was decided under the old name")
		paused, err := s.Paused(ctx)
		require.NoError(t, err)
		assert.Equal(t, "wait", paused["new"].Note)
		assert.Len(t, paused, 1)
		_, err = s.Backfill(ctx, after.Job("new"), []time.Time{at(1), at(5)}, "me", false)
		require.NoError(t, err)
		assert.Equal(t, []string{fmt.Sprint(at(5).UnixMilli())}, s.cmd.LRange(ctx, s.keys.backfill("new"), 0, -1).Val(), "what ran is known")

		// There and back again.
		once := everything(t, s)
		cursors = take(t, s, token, before)
		assert.Equal(t, at(6), cursors["old"])
		for key := range everything(t, s) {
			assert.False(t, strings.HasSuffix(key, ":new"), key)
		}
		cursors = take(t, s, token, after)
		assert.Equal(t, at(6), cursors["new"])
		assert.Equal(t, once, everything(t, s))

		// The run that waits has its turn when the one before it ends, which is counted under the new name.
		_, _, err = s.Resume(ctx, "old", "me")
		require.NoError(t, err)
		waits := jobs.TickRunID("old", at(4))
		finish(t, s, jobs.Result{RunID: running.RunID, Token: running.Token, Status: jobs.Succeeded, OutputBytes: 7, LogBytes: 7})
		c := claim(t, s, 1)[0]
		require.Equal(t, waits, c.RunID)
		require.Equal(t, []jobs.VerdictKind{jobs.VerdictQueued}, commit(ran(after.Job("new"), at(7))), "the run of the old name is in the way")
		finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Failed, Error: "no"})
		c = claim(t, s, 1)[0]
		require.Equal(t, jobs.TickRunID("new", at(7)), c.RunID)
		finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded})
		assert.EqualValues(t, 5, s.cmd.LLen(ctx, s.keys.history("new")).Val())
		assert.EqualValues(t, 2, s.cmd.LLen(ctx, s.keys.failures("new")).Val())
		assert.Zero(t, s.cmd.Exists(ctx, s.keys.active("new"), s.keys.active("old"), s.keys.waiting("new"), s.keys.history("old"), s.keys.failures("old")).Val())
		assert.EqualValues(t, "21", s.cmd.Get(ctx, s.keys.prefix+"logsize:new").Val())

		err = s.Rename(ctx, "n0:old:1", before)
		require.ErrorIs(t, err, leader.ErrFenced)
		assert.Zero(t, s.cmd.Exists(ctx, s.keys.history("old")).Val(), "a stale leader moves nothing")
	})
}

// Somebody who has the file of before starts the job: it is the same one, under both names.
func TestOldNameOfAJobStartsTheSameJob(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		before, after := file(t, beforeRename), file(t, afterRename)
		take(t, s, token, before)
		take(t, s, token, after)

		first, err := s.Trigger(ctx, jobs.TriggerRequest{Job: before.Job("old"), Unique: "1", By: "me"})
		require.NoError(t, err)
		second, err := s.Trigger(ctx, jobs.TriggerRequest{Job: after.Job("new"), Unique: "2", By: "me"})
		require.NoError(t, err)
		assert.Equal(t, "old@manual-1", first.RunID, "nodes that have the file of before find it")
		assert.Equal(t, "old@manual-1", second.WaitsFor)
		c := claim(t, s, 2)
		require.Len(t, c, 1)
		finish(t, s, jobs.Result{RunID: c[0].RunID, Token: c[0].Token, Status: jobs.Succeeded})
		c = claim(t, s, 2)
		require.Len(t, c, 1, "the end of one is the turn of the other")
		finish(t, s, jobs.Result{RunID: c[0].RunID, Token: c[0].Token, Status: jobs.Succeeded})
		assert.Equal(t, []string{second.RunID, first.RunID}, s.cmd.LRange(ctx, s.keys.history("new"), 0, -1).Val())
		_, _, err = s.Pause(ctx, "old", "me", "")
		require.NoError(t, err)
		reply, err := s.Trigger(ctx, jobs.TriggerRequest{Job: after.Job("new"), Unique: "3", By: "me"})
		require.NoError(t, err)
		assert.NotNil(t, reply.Paused)
	})
}

// The run of a job whose upstream was made before the rename follows it all the same, and
// stands in the way of the next one under the new name.
func TestFollowOnRunOfARenamedJob(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		before := file(t, `{jobs: {up: {run: echo}, old: {after: {job: up}, run: echo}}}`)
		after := file(t, `{jobs: {up: {run: echo}, new: {renamed_from: old, after: {job: up}, run: echo}}}`)
		take(t, s, token, before)
		_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: before.Job("up"), Unique: "1", By: "me"})
		require.NoError(t, err)
		take(t, s, token, after)
		c := claim(t, s, 1)[0]
		finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded})
		assert.Equal(t, []string{"old@after-up@manual-1"}, s.cmd.SMembers(ctx, s.keys.active("new")).Val())
		c = claim(t, s, 1)[0]
		require.Equal(t, "old@after-up@manual-1", c.RunID)
		require.NotNil(t, c.Upstream)
		finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded})
		assert.Equal(t, []string{"old@after-up@manual-1"}, s.cmd.LRange(ctx, s.keys.history("new"), 0, -1).Val())
		assert.Zero(t, s.cmd.Exists(ctx, s.keys.active("new"), s.keys.active("old"), s.keys.history("old")).Val())
	})
}

// A run that a node gives back goes to one that has its job under the new name.
func TestParkedRunGoesToANodeThatKnowsTheNewName(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		a, b := f.node("a"), f.node("b")
		token := lead(t, a)
		before, after := file(t, beforeRename), file(t, afterRename)
		take(t, a, token, before)
		_, err := a.Trigger(ctx, jobs.TriggerRequest{Job: before.Job("old"), Unique: "1", By: "me"})
		require.NoError(t, err)
		take(t, a, token, after)
		_, err = b.Heartbeat(ctx, jobs.Node{Slots: 4}, []*jobs.Schedule{after})
		require.NoError(t, err)
		c := claim(t, a, 1)[0]
		require.NoError(t, a.Release(ctx, []jobs.Release{{RunID: c.RunID, Token: c.Token, Kind: jobs.ReleasePark, Reason: "no definition"}}))
		eventuallySwept(t, a, token, func() bool {
			_, err := b.Heartbeat(ctx, jobs.Node{Slots: 4}, []*jobs.Schedule{after})
			require.NoError(t, err)
			return len(claim(t, b, 1)) == 1
		})
	})
}

// More unfinished runs than one call takes along, in both kinds of sets.
func TestRenameTakesEveryUnfinishedRunAlong(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		before := file(t, `{jobs: {old: {run: echo, overlap: allow}, each: {every_node: true, overlap: allow, run: echo}}}`)
		after := file(t, `{jobs: {new: {renamed_from: old, run: echo, overlap: allow}, all: {renamed_from: each, every_node: true, overlap: allow, run: echo}}}`)
		s.Serve([]string{jobs.AnyRoute}, time.Hour)
		_, err := s.Heartbeat(ctx, jobs.Node{Slots: 4, Routes: []string{jobs.AnyRoute}}, []*jobs.Schedule{before})
		require.NoError(t, err)
		take(t, s, token, before)
		const many = renameRuns + 60
		for i := range many {
			_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: before.Job("old"), Unique: fmt.Sprint(i), By: "me"})
			require.NoError(t, err)
		}
		for i := range 3 {
			_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: before.Job("each"), Unique: fmt.Sprint(i), By: "me"})
			require.NoError(t, err)
		}
		take(t, s, token, after)
		assert.EqualValues(t, many, s.cmd.SCard(ctx, s.keys.active("new")).Val())
		assert.EqualValues(t, 3, s.cmd.SCard(ctx, s.keys.activeOn("all", "n1")).Val())
		assert.Zero(t, s.cmd.Exists(ctx, s.keys.active("old"), s.keys.activeOn("each", "n1")).Val())
		for {
			claims := claim(t, s, jobs.MaxBatch)
			if len(claims) == 0 {
				break
			}
			var results []jobs.Result
			for _, c := range claims {
				results = append(results, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded})
			}
			finish(t, s, results...)
		}
		assert.Zero(t, s.cmd.Exists(ctx, s.keys.active("new"), s.keys.activeOn("all", "n1"), s.keys.history("old"), s.keys.history("each")).Val())
		assert.EqualValues(t, historyCap, s.cmd.LLen(ctx, s.keys.history("new")).Val())
		assert.EqualValues(t, 3, s.cmd.LLen(ctx, s.keys.history("all")).Val())
	})
}

// However many unfinished runs it has, from the first call on they are in the way of the new
// name's. A leader that dies after that call leaves nothing that overlaps, whichever runs end first
// and whether the next one has the new file or the old.
func TestRenameOfVeryManyRunsIsWholeAtOnce(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		for _, next := range []string{"the new file", "the old file", "nobody", "another job of the old name"} {
			t.Run(next, func(t *testing.T) {
				s := f.node("n1")
				lose(t, s)
				token := lead(t, s)
				before := file(t, "{jobs: {old: {overlap: allow, run: echo}}}")
				after := file(t, "{jobs: {new: {renamed_from: old, overlap: skip, run: echo}}}")
				third := file(t, "{jobs: {new: {overlap: skip, run: echo}, old: {overlap: skip, run: echo something else}}}")
				take(t, s, token, before)
				const many, some = 30, 10
				for i := range many {
					trigger(t, s, before.Job("old"), fmt.Sprint(i))
				}
				claims := claim(t, s, many)
				require.Len(t, claims, many)
				rename := func() int64 {
					reply, err := s.eval(ctx, renameScript, s.renameKeys(), token, some, "old", "new")
					require.NoError(t, err)
					return toInt(reply.([]any)[1])
				}
				busy := func(j *jobs.Job) {
					t.Helper()
					reply, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "b", By: "me"})
					require.NoError(t, err)
					require.Equal(t, "overlap: an earlier run is unfinished", reply.Why)
				}
				require.EqualValues(t, 1, rename(), "some are left")
				busy(after.Job("new"))
				job := func(c jobs.Claim) string { return s.cmd.HGet(ctx, s.keys.run(c.RunID), "job").Val() }
				end := func(name string) {
					for _, c := range claims[1:] {
						if job(c) == name {
							finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Failed, Error: "no"})
						}
					}
				}
				end("new")
				busy(after.Job("new"))
				require.EqualValues(t, 1, rename())
				last := after.Job("new")
				switch next {
				case "the new file":
					take(t, s, token, after)
				case "the old file":
					take(t, s, token, before)
					last = file(t, "{jobs: {old: {overlap: skip, run: echo}}}").Job("old")
				case "another job of the old name":
					take(t, s, token, third)
					other := trigger(t, s, third.Job("old"), "its own")
					require.Equal(t, other, claimOne(t, s).RunID)
				}
				busy(last)
				end("old")
				end("new")
				busy(last)
				finish(t, s, jobs.Result{RunID: claims[0].RunID, Token: claims[0].Token, Status: jobs.Succeeded})
				finish(t, s, jobs.Result{RunID: trigger(t, s, last, "c"), Token: claimOne(t, s).Token, Status: jobs.Succeeded})
				require.Zero(t, s.cmd.Exists(ctx, s.keys.active("new")).Val())
				if next != "another job of the old name" {
					require.Zero(t, s.cmd.Exists(ctx, s.keys.active("old")).Val())
				}
				require.EqualValues(t, many+1, s.cmd.LLen(ctx, s.keys.history(last.Name)).Val())
				require.EqualValues(t, 1, s.cmd.Exists(ctx, s.keys.history("old"), s.keys.history("new")).Val())
			})
		}
	})
}

// A rollback that failed before the rename, and is resumed after it.
func TestAResumedRollbackOfARenamedJobIsItsNewNames(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		const text = "{jobs: {%s: {%s steps: [{name: one, run: echo, undo: {run: echo}}]}}}"
		before, after := file(t, fmt.Sprintf(text, "old", "")), file(t, fmt.Sprintf(text, "new", "renamed_from: old,"))
		take(t, s, token, before)
		id := trigger(t, s, before.Job("old"), "a")
		c := claimOne(t, s)
		step(t, s, c, 0, "one", true)
		finishOne(t, s, c, jobs.Failed, "one", "no")
		finishOne(t, s, claimOne(t, s), jobs.RollbackFailed, "", "nor")
		take(t, s, token, after)
		_, _, err := s.ResumeRollback(ctx, id, "me")
		require.NoError(t, err)
		reply, err := s.Trigger(ctx, jobs.TriggerRequest{Job: after.Job("new"), Unique: "b", By: "me"})
		require.NoError(t, err)
		require.Equal(t, id, reply.InTheWay)
		require.Zero(t, s.cmd.LLen(ctx, s.keys.history("new")).Val())
		finishOne(t, s, claimOne(t, s), jobs.RolledBack, "", "")
		require.Equal(t, []string{id}, s.cmd.LRange(ctx, s.keys.history("new"), 0, -1).Val())
		require.Zero(t, s.cmd.Exists(ctx, s.keys.active("old"), s.keys.active("new"), s.keys.history("old")).Val())
	})
}

// Two jobs become one: each had runs of its own, and both had a cursor in one file.
func TestOneOfTwoJobsIsRenamedIntoTheOther(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		both := file(t, `{jobs: {a: {schedule: "* * * * * *", overlap: queue, run: echo}, b: {schedule: "* * * * * *", overlap: queue, run: echo}}}`)
		one := file(t, `{jobs: {b: {renamed_from: a, schedule: "* * * * * *", overlap: queue, run: echo}}}`)
		take(t, s, token, both)
		for _, name := range []string{"a", "b"} {
			for i := range 3 { // one runs, one waits, one is refused
				_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: both.Job(name), Unique: fmt.Sprint(i), By: "me"})
				require.NoError(t, err)
			}
		}
		tick := s.Now().Truncate(time.Second)
		setCursor(t, s, both.Job("a"), tick.Add(-time.Second))
		setCursor(t, s, both.Job("b"), tick.Add(-5*time.Second))
		cursors := take(t, s, token, one)
		assert.Equal(t, tick.Add(-5*time.Second), cursors["b"], "its own ticks are not those of the other")
		var done []string
		for {
			claims := claim(t, s, 1)
			if len(claims) == 0 {
				break
			}
			done = append(done, claims[0].RunID)
			finish(t, s, jobs.Result{RunID: claims[0].RunID, Token: claims[0].Token, Status: jobs.Succeeded})
		}
		assert.Equal(t, []string{"a@manual-0", "b@manual-0", "b@manual-1"}, done)
		run, err := s.Run(ctx, "a@manual-1")
		require.NoError(t, err)
		assert.Equal(t, jobs.Canceled, run.Status)
		assert.Contains(t, run.Error, "replaced by b@manual-1: a is b now")
		assert.Zero(t, s.cmd.Exists(ctx, s.keys.active("a"), s.keys.active("b"), s.keys.waiting("a"), s.keys.waiting("b")).Val())
		assert.EqualValues(t, 4, s.cmd.LLen(ctx, s.keys.history("b")).Val())
	})
}

// The lists of two jobs that become one are as long as those of one.
func TestARenameKeepsListsShort(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		both := file(t, `{jobs: {a: {run: echo}, b: {run: echo}}}`)
		one := file(t, `{jobs: {b: {renamed_from: a, run: echo}}}`)
		take(t, s, token, both)
		caps := constants(t)
		ledger, history, failures, logs := int(caps["LEDGER_CAP"]), int(caps["HISTORY_CAP"]), int(caps["FAILURES_CAP"]), int(caps["LOGS_CAP"])
		size := func(job string) string { return s.keys.prefix + "logsize:" + job }
		_, err := s.cmd.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, job := range []string{"a", "b"} {
				for i := range ledger {
					p.LPush(ctx, s.keys.ledger(job), fmt.Sprint(1000*i, " ran"))
				}
				for i := range history + failures {
					id := fmt.Sprint(job, "@manual-", i)
					p.HSet(ctx, s.keys.run(id), "status", "failed", "job", job)
					p.Set(ctx, s.keys.log(id), "x", 0)
					if i < failures {
						p.LPush(ctx, s.keys.failures(job), id)
					} else {
						p.LPush(ctx, s.keys.history(job), id)
					}
				}
				for i := range logs {
					p.LPush(ctx, s.keys.prefix+"logs:"+job, fmt.Sprint("10 ", job, "@manual-", i))
				}
				p.Set(ctx, size(job), 10*logs, 0)
			}
			return nil
		})
		require.NoError(t, err)
		require.NoError(t, s.Rename(ctx, token, one))

		length := func(key string) int64 { return s.cmd.LLen(ctx, key).Val() }
		assert.EqualValues(t, ledger, length(s.keys.ledger("b")))
		assert.EqualValues(t, history, length(s.keys.history("b")))
		assert.EqualValues(t, failures, length(s.keys.failures("b")))
		assert.EqualValues(t, logs, length(s.keys.prefix+"logs:b"))
		assert.Equal(t, fmt.Sprint(10*logs), s.cmd.Get(ctx, size("b")).Val())
		// What no list names any more is gone, and all else is there.
		listed := append(s.cmd.LRange(ctx, s.keys.history("b"), 0, -1).Val(), s.cmd.LRange(ctx, s.keys.failures("b"), 0, -1).Val()...)
		kept := s.cmd.Keys(ctx, s.keys.run("*")).Val()
		for i := range kept {
			kept[i] = strings.TrimPrefix(kept[i], s.keys.run(""))
		}
		assert.ElementsMatch(t, listed, kept)
	})
}

func TestWhatIsRenamed(t *testing.T) {
	now := time.Now()
	recent, old := now.Add(-time.Hour), now.Add(-renamedKeep-time.Hour)
	before, after := file(t, beforeRename), file(t, afterRename)
	for name, c := range map[string]struct {
		sched *jobs.Schedule
		known []renaming
		want  []renaming
	}{
		"nothing":                  {before, nil, nil},
		"the first time":           {after, nil, []renaming{{old: "old", now: "new"}}},
		"again: there may be more": {after, []renaming{{"old", "new", recent}}, []renaming{{old: "old", now: "new"}}},
		"back":                     {before, []renaming{{"old", "new", recent}}, []renaming{{old: "new", now: "old"}}},
		"and forth":                {after, []renaming{{"new", "old", recent}}, []renaming{{old: "old", now: "new"}}},
		"called otherwise before":  {after, []renaming{{"old", "mid", recent}}, []renaming{{old: "mid", now: "new"}, {old: "old", now: "new"}}},
		"the key was taken out":    {file(t, `{jobs: {new: {run: echo}}}`), []renaming{{"old", "new", recent}}, nil},
		"long ago":                 {file(t, `{jobs: {new: {run: echo}}}`), []renaming{{"old", "new", old}}, []renaming{{old: "old"}}},
		"a new job, an old name":   {file(t, `{jobs: {new: {run: echo}, old: {run: echo}}}`), []renaming{{"old", "new", recent}}, []renaming{{old: "old"}}},
	} {
		assert.Equal(t, c.want, renamings(c.sched, c.known, now), name)
	}
}

// Nobody is left who has the definition of a run: one that never began becomes a run of
// the job as the leader has it; one that began, or has params, is not touched.
func TestARunThatNeverBeganFollowsTheFile(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		a := f.node("a")
		token := lead(t, a)
		const text = `{jobs: {%s: {%s overlap: allow, retry: {attempts: 2}, params: {p: {default: x}}, run: echo %s}, gone%s: {overlap: allow, run: echo}}}`
		before, after := file(t, fmt.Sprintf(text, "old", "", "before", "")), file(t, fmt.Sprintf(text, "new", "renamed_from: old,", "after", "other"))
		beat := func(s *jobs.Schedule) {
			_, err := a.Heartbeat(ctx, jobs.Node{Slots: 4}, []*jobs.Schedule{s})
			require.NoError(t, err)
		}
		beat(before)
		take(t, a, token, before)
		start := func(j *jobs.Job, unique string, params map[string]string) jobs.Claim {
			reply, err := a.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: unique, Params: params, By: "me"})
			require.NoError(t, err)
			c := claim(t, a, 1)
			require.Len(t, c, 1, reply.RunID)
			return c[0]
		}
		old := before.Job("old")
		began := start(old, "began", nil)
		finish(t, a, jobs.Result{RunID: began.RunID, Token: began.Token, Status: jobs.Retrying, Error: "no"})
		eventuallySwept(t, a, token, func() bool { return a.cmd.HGet(ctx, a.keys.run(began.RunID), "status").Val() == "queued" })
		began = claim(t, a, 1)[0]
		all := []jobs.Claim{began, start(old, "fresh", nil), start(old, "params", map[string]string{"p": "y"}), start(before.Job("gone"), "gone", nil)}
		beat(after)
		take(t, a, token, after)
		for _, c := range all {
			require.NoError(t, a.Release(ctx, []jobs.Release{{RunID: c.RunID, Token: c.Token, Kind: jobs.ReleasePark, Reason: "no definition"}}))
		}
		sweepAll := func() {
			for _, c := range all {
				if a.cmd.HExists(ctx, a.keys.run(c.RunID), "parked_at").Val() {
					require.NoError(t, a.cmd.ZAdd(ctx, a.keys.leases(), redis.Z{Score: 1, Member: c.RunID}).Err())
				}
			}
			_, err := a.Sweep(ctx, token, true, after.Job)
			require.NoError(t, err)
		}
		sweepAll()
		require.Empty(t, claim(t, a, 10), "its node may be about to come back")
		for _, c := range all {
			require.NoError(t, a.cmd.HSet(ctx, a.keys.run(c.RunID), "parked_at", a.Now().Add(-11*time.Second).UnixMilli()).Err())
		}
		sweepAll()
		claims := claim(t, a, 10)
		require.Len(t, claims, 1)
		assert.Equal(t, "old@manual-fresh", claims[0].RunID)
		assert.Equal(t, after.Job("new").Digest, claims[0].Digest)
		assert.Equal(t, 1, claims[0].Attempt)

		for _, c := range all {
			require.NoError(t, a.cmd.HSet(ctx, a.keys.run(c.RunID), "parked_at", a.Now().Add(-11*time.Minute).UnixMilli()).Err())
		}
		sweepAll()
		for _, c := range []jobs.Claim{all[0], all[2], all[3]} {
			run, err := a.Run(ctx, c.RunID)
			require.NoError(t, err)
			assert.Equal(t, jobs.Failed, run.Status, c.RunID)
			assert.Contains(t, run.Error, "no live node had the definition", c.RunID)
		}
	})
}

// What begins as the leader's file says does so in every respect, not in what it executes alone.
func TestARunThatNeverBeganTakesTheRulesOfTheFile(t *testing.T) {
	const (
		was = "{overlap: allow, pool: p, priority: 3, group: g, delivery: at-most-once, crash_retries: 7, unroutable_after: 20m, run: echo before}"
		is  = "{overlap: allow, pool: q, priority: 8, group: h, run: echo after}"
	)
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		cases := []struct {
			name, before, after string
			stays               string // why it is not taken over
		}{
			{name: "rules go", before: was, after: "{overlap: allow, run: echo after}"},
			{name: "rules come", before: "{overlap: allow, run: echo before}", after: strings.ReplaceAll(was, "echo before", "echo after")},
			{name: "others", before: was, after: is},
			{name: "the same command", before: was, after: strings.ReplaceAll(is, "echo after", "echo before"), stays: "it would come and go for ever"},
			{name: "a full group", before: was, after: strings.ReplaceAll(is, "group: h", "group: full"), stays: "there is no room"},
			{name: "each node", before: "{run: echo before}", after: "{every_node: true, run: echo after}", stays: "one is not many"},
			{name: "params", before: "{run: echo before}", after: "{params: {p: {required: true}}, run: echo after}", stays: "nobody gave them"},
		}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				s := f.node("n1")
				lose(t, s)
				s.Serve([]string{jobs.AnyRoute, "pool=p", "pool=q"}, 0)
				token := lead(t, s)
				const text = `{groups: {g: {limit: 2}, h: {limit: 2}, full: {limit: 1}}, jobs: {j: %s, end: {after: {job: j, when: %s}, run: echo},
					filler: {overlap: allow, group: full, run: echo}, mate: {overlap: allow, group: g, run: echo}, next: {overlap: queue, group: g, run: echo}}}`
				before, after := file(t, fmt.Sprintf(text, c.before, "success")), file(t, fmt.Sprintf(text, c.after, "failure"))
				beat := func(sched *jobs.Schedule) {
					_, err := s.Heartbeat(ctx, jobs.Node{Slots: 4, Routes: []string{jobs.AnyRoute, "pool=p", "pool=q"}}, []*jobs.Schedule{sched})
					require.NoError(t, err)
				}
				beat(before)
				id := trigger(t, s, before.Job("j"), "x")
				parked := claimOne(t, s)
				beat(after)
				trigger(t, s, after.Job("filler"), "in the group")
				claimOne(t, s)
				waits := ""
				if before.Job("j").Group == "g" { // another one waits for the room that the run takes
					trigger(t, s, before.Job("mate"), "in the group")
					claimOne(t, s)
					waits = trigger(t, s, before.Job("next"), "y")
					require.Empty(t, claim(t, s, 5))
				}
				require.NoError(t, s.Release(ctx, []jobs.Release{{RunID: id, Token: parked.Token, Kind: jobs.ReleasePark, Reason: "no definition"}}))
				require.NoError(t, s.cmd.HSet(ctx, s.keys.run(id), "parked_at", s.Now().Add(-11*time.Second).UnixMilli()).Err())
				for range 2 {
					expire(t, s, id)
					_, err := s.Sweep(ctx, token, true, after.Job)
					require.NoError(t, err)
				}
				hash := func(id string) map[string]string {
					h := s.cmd.HGetAll(ctx, s.keys.run(id)).Val()
					for _, field := range []string{"queued_at", "started_at", "more", "linked", "renewed", "token", "node", "reason"} {
						delete(h, field)
					}
					return h
				}
				if c.stays != "" {
					require.NotEmpty(t, hash(id)["parked_at"], c.stays)
					require.Equal(t, before.Job("j").Digest, hash(id)["digest"], c.stays)
					return
				}
				require.Zero(t, s.cmd.ZScore(ctx, s.keys.leases(), id).Val())
				want := hash(trigger(t, s, after.Job("j"), "z"))
				require.Equal(t, want, hash(id), "as if it were made now")
				if g := after.Job("j").Group; g != "" {
					require.True(t, s.cmd.SIsMember(ctx, s.keys.prefix+"group:"+g, id).Val())
				}
				if waits != "" {
					require.Zero(t, s.cmd.Exists(ctx, s.keys.waiting("next")).Val(), "it is its turn")
				}
				require.Equal(t, id, claim(t, s, 1)[0].RunID)
			})
		}
	})
}

// A rename of many jobs at once takes the unfinished runs of each along together, whatever the
// others have: the run that waits for its turn has not got it while the one before runs on.
func TestRenameOfManyRunsLetsNobodyIn(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		before := file(t, "jobs:\n  a: {overlap: allow, run: echo}\n  b: {overlap: queue, run: echo}\n")
		after := file(t, "jobs:\n  a2: {renamed_from: a, overlap: allow, run: echo}\n  b2: {renamed_from: b, overlap: queue, run: echo}\n")
		take(t, s, token, before)
		pipe := s.cmd.Pipeline()
		for i := range renameRuns {
			id := fmt.Sprintf("a@manual-%d", i)
			pipe.HSet(ctx, s.keys.run(id), "status", "queued", "job", "a")
			pipe.SAdd(ctx, s.keys.active("a"), id)
		}
		_, err := pipe.Exec(ctx)
		require.NoError(t, err)
		runs := trigger(t, s, before.Job("b"), "one")
		c := claimOne(t, s)
		require.Equal(t, runs, c.RunID)
		waits := trigger(t, s, before.Job("b"), "two")

		take(t, s, token, after)
		require.Empty(t, claim(t, s, 5), "the other one of b runs still")
		require.EqualValues(t, renameRuns, s.cmd.SCard(ctx, s.keys.active("a2")).Val())
		require.EqualValues(t, 2, s.cmd.SCard(ctx, s.keys.active("b2")).Val())
		finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded})
		require.Equal(t, waits, claimOne(t, s).RunID)
	})
}

// A run that asks for a label goes to a node that has it, also when another one that has not
// is the only one with its definition.
func TestAParkedRunKeepsItsLabels(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		us, eu := f.node("a-us"), f.node("b-eu")
		token := lead(t, us)
		before := file(t, "jobs:\n  j: {nodes: {zone: eu}, run: old}\n")
		after := file(t, "jobs:\n  j: {nodes: {zone: eu}, run: new}\n")
		beat := func(s *Store, zone string, sched *jobs.Schedule) {
			labels := map[string]string{"zone": zone, "disk": "ssd"}
			routes := sched.Routes("", labels)
			s.Serve(routes, time.Minute)
			_, err := s.Heartbeat(ctx, jobs.Node{Slots: 1, Labels: labels, Routes: routes}, []*jobs.Schedule{sched})
			require.NoError(t, err)
		}
		beat(us, "us", after)
		beat(eu, "eu", before)
		id := trigger(t, us, after.Job("j"), "x")
		parked := func(ago time.Duration) {
			require.NoError(t, us.cmd.HSet(ctx, us.keys.run(id), "parked_at", us.Now().Add(-ago).UnixMilli()).Err())
			expire(t, us, id)
			sweep(t, us, token)
		}
		c := claimOne(t, eu)
		require.NoError(t, eu.Release(ctx, []jobs.Release{{RunID: c.RunID, Token: c.Token, Kind: jobs.ReleasePark, Reason: "no definition"}}))
		parked(0)
		require.Empty(t, claim(t, us, 1), "it has the definition, and not the label")
		parked(time.Minute)
		require.Empty(t, claim(t, eu, 1), "it is the leader's definition already: nothing is gained by another round")

		// A node whose file has no such route any more still has the label.
		beat(eu, "eu", after)
		require.NoError(t, us.cmd.HSet(ctx, us.keys.node("b-eu"), "routes", "any").Err())
		parked(time.Minute)
		require.Equal(t, id, claimOne(t, eu).RunID)
	})
}

// renamed_from stays in the file long after the rename, and a new Redis knows no old name.
func TestNothingIsRenamedInANewRedis(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		token := lead(t, s)
		said := func() string { return s.cmd.Get(ctx, s.keys.sequence()).Val() }
		before := said()
		require.NoError(t, s.Rename(ctx, token, file(t, afterRename)))
		assert.Equal(t, before, said(), "nothing was renamed, so nobody is told")

		old := file(t, beforeRename)
		setCursor(t, s, old.Job("old"), s.Now())
		require.NoError(t, s.Rename(ctx, token, old)) // the old file leads for a while
		before = said()
		require.NoError(t, s.Rename(ctx, token, file(t, afterRename)))
		assert.NotEqual(t, before, said())
	})
}
