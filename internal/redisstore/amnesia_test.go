package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
	"carillon/leader"
)

// lose deletes everything of the namespace, as FLUSHALL would.
func lose(t *testing.T, s *Store) {
	t.Helper()
	ctx := context.Background()
	keys, err := s.cmd.Keys(ctx, s.keys.prefix+"*").Result()
	require.NoError(t, err)
	if len(keys) > 0 {
		require.NoError(t, s.cmd.Del(ctx, keys...).Err())
	}
}

// snapshot is a copy of the namespace, to go back to.
func snapshot(t *testing.T, s *Store) (restore func()) {
	t.Helper()
	ctx := context.Background()
	keys, err := s.cmd.Keys(ctx, s.keys.prefix+"*").Result()
	require.NoError(t, err)
	var puts []func(redis.Pipeliner)
	for _, key := range keys {
		switch kind := s.cmd.Type(ctx, key).Val(); kind {
		case "string":
			v := s.cmd.Get(ctx, key).Val()
			puts = append(puts, func(p redis.Pipeliner) { p.Set(ctx, key, v, 0) })
		case "hash":
			v := s.cmd.HGetAll(ctx, key).Val()
			puts = append(puts, func(p redis.Pipeliner) { p.HSet(ctx, key, v) })
		case "list":
			v := s.cmd.LRange(ctx, key, 0, -1).Val()
			puts = append(puts, func(p redis.Pipeliner) { p.RPush(ctx, key, v) })
		case "set":
			v := s.cmd.SMembers(ctx, key).Val()
			puts = append(puts, func(p redis.Pipeliner) { p.SAdd(ctx, key, v) })
		case "zset":
			v := s.cmd.ZRangeWithScores(ctx, key, 0, -1).Val()
			puts = append(puts, func(p redis.Pipeliner) { p.ZAdd(ctx, key, v...) })
		default:
			require.Fail(t, "unknown type", "%s %s", key, kind)
		}
		ttl := s.cmd.PTTL(ctx, key).Val()
		if ttl > 0 {
			puts = append(puts, func(p redis.Pipeliner) { p.PExpire(ctx, key, ttl) })
		}
	}
	return func() {
		t.Helper()
		lose(t, s)
		pipe := s.cmd.Pipeline()
		for _, put := range puts {
			put(pipe)
		}
		_, err := pipe.Exec(ctx)
		require.NoError(t, err)
	}
}

func beats(t *testing.T, s *Store, list ...*jobs.Job) {
	t.Helper()
	_, err := s.Heartbeat(context.Background(), jobs.Node{Slots: 4}, []*jobs.Schedule{{Digest: "s1", Jobs: list}})
	require.NoError(t, err)
}

func lifeOf(t *testing.T, s *Store) jobs.StoreLife {
	t.Helper()
	life, ok, err := s.Life(context.Background())
	require.NoError(t, err)
	require.True(t, ok)
	return life
}

// settled lets the time be over in which nothing is claimed.
func settled(t *testing.T, s *Store) {
	t.Helper()
	ctx := context.Background()
	value := s.cmd.Get(ctx, s.keys.cluster()).Val()
	life, err := decodeLife(value)
	require.NoError(t, err)
	require.NoError(t, s.cmd.Set(ctx, s.keys.cluster(), fmt.Sprintf("%s %d %d done %s %d %d %d %s", life.ID, life.Number,
		life.Since.Add(-4*time.Second).UnixMilli(), life.Kind, life.Heard.UnixMilli(), life.Before, life.After, life.Node), 0).Err())
}

// amnesias counts the events of that type.
func amnesias(t *testing.T, s *Store) func() []jobs.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var list []jobs.Event
	subscribed, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var once sync.Once
		_ = s.Watch(ctx, func(batch []jobs.Event, _ bool) error {
			once.Do(func() { close(subscribed) })
			mu.Lock()
			defer mu.Unlock()
			for _, e := range batch {
				if e.Type == jobs.EventAmnesia {
					list = append(list, e)
				}
			}
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	<-subscribed
	return func() []jobs.Event {
		mu.Lock()
		defer mu.Unlock()
		return append([]jobs.Event(nil), list...)
	}
}

// Old heartbeats in an old snapshot are no proof that nodes are gone: whoever lives gets
// the time to say so. Who does not is reported then.
func TestNoNodeIsGoneRightAfterALoss(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s, lives, dead := f.node("s"), f.node("lives"), f.node("dead")
		heard := hear(t, s)
		token := lead(t, s)
		for _, n := range []*Store{s, lives, dead} {
			beats(t, n)
		}
		long := float64(s.Now().Add(-time.Minute).UnixMilli())
		for _, n := range []*Store{s, lives, dead} {
			require.NoError(t, s.cmd.ZAdd(ctx, s.keys.nodes(), redis.Z{Score: long, Member: n.opts.Node}).Err())
		}
		restore := snapshot(t, s)
		require.NoError(t, s.Announce(ctx, jobs.Event{Type: jobs.EventReloaded, Node: "s"})) // what is lost
		beats(t, s)
		restore()

		sweep(t, s, token)
		require.EqualValues(t, 2, lifeOf(t, s).Number, "the loss was noticed")
		require.NotContains(t, heard(), string(jobs.EventNodeDown))
		require.ElementsMatch(t, []string{"dead", "lives", "s"}, s.cmd.ZRange(ctx, s.keys.nodes(), 0, -1).Val(), "nobody is gone yet")
		beats(t, s)
		beats(t, lives)
		since := func(ago time.Duration) { // when the loss was, as the store has it
			life := lifeOf(t, s)
			require.NoError(t, s.cmd.Set(ctx, s.keys.cluster(), fmt.Sprintf("%s %d %d done %s %d %d %d %s", life.ID, life.Number,
				s.Now().Add(-ago).UnixMilli(), life.Kind, life.Heard.UnixMilli(), life.Before, life.After, life.Node), 0).Err())
		}
		since(nodeLive - 2*time.Second)
		sweep(t, s, token)
		require.Len(t, s.cmd.ZRange(ctx, s.keys.nodes(), 0, -1).Val(), 3)
		since(nodeLive + time.Second)
		sweep(t, s, token)
		require.Len(t, s.cmd.ZRange(ctx, s.keys.nodes(), 0, -1).Val(), 3, "the leader has only begun to see Redis answer")
		steady(t, s, nodeLive)
		sweep(t, s, token)
		require.ElementsMatch(t, []string{"s", "lives"}, s.cmd.ZRange(ctx, s.keys.nodes(), 0, -1).Val())
		require.Eventually(t, func() bool { return slices.Contains(heard(), string(jobs.EventNodeDown)) }, 10*time.Second, 10*time.Millisecond)
	})
}

// However many nodes notice a loss, it is reported once; and who comes afterwards has
// nothing to report.
func TestALossIsReportedOnce(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		var nodes []*Store
		relived := make([]int, 5)
		for i := range 5 {
			s := f.node(fmt.Sprintf("n%d", i))
			s.OnAmnesia(func(context.Context, jobs.StoreLife, func(context.Context, []jobs.Held) ([]jobs.HeldAnswer, error)) error {
				relived[i]++
				return nil
			})
			beats(t, s)
			nodes = append(nodes, s)
		}
		first := lifeOf(t, nodes[0])
		require.EqualValues(t, 1, first.Number)
		require.Equal(t, jobs.LossNone, first.Kind)
		seen := amnesias(t, nodes[0])
		for round := range 3 {
			lose(t, nodes[0])
			if round == 1 { // somebody who knows of nothing is there before the others
				beats(t, f.node("fresh"))
			}
			var all sync.WaitGroup
			for i, s := range nodes {
				all.Go(func() {
					if i%2 == 0 {
						_, err := s.Heartbeat(ctx, jobs.Node{}, nil)
						require.NoError(t, err)
						return
					}
					require.Eventually(t, func() bool {
						_, err := s.Exchange(ctx, jobs.ExchangeRequest{ClaimID: fmt.Sprintf("r%d", round), Want: 1})
						return err == nil
					}, 5*time.Second, time.Millisecond)
				})
			}
			all.Wait()
			life := lifeOf(t, nodes[0])
			require.EqualValues(t, round+2, life.Number)
			require.Equal(t, jobs.LossEmpty, life.Kind)
			for i, s := range nodes {
				require.Equal(t, life.ID, s.memory.now.Load().life.ID)
				require.Equal(t, round+1, relived[i])
			}
			require.Eventually(t, func() bool { return len(seen()) == round+1 }, 5*time.Second, 5*time.Millisecond)
			require.Contains(t, seen()[round].Reason, "Redis lost its data")
			require.Equal(t, life.Node, seen()[round].Node)
		}
		beats(t, f.node("late"))
		beats(t, nodes[1])
		require.Len(t, seen(), 3)
	})
}

// One message less than a node has seen is enough, and going back by two lives too.
func TestAStoreThatWentBackIsNoticed(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s, other := f.node("n1"), f.node("n2")
		beats(t, s)
		beats(t, other)
		beats(t, s)   // has seen that
		settled(t, s) // it began some seconds ago
		old := snapshot(t, s)
		j := job("a")
		_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "x", By: "me"})
		require.NoError(t, err)
		require.Len(t, claim(t, s, 1), 1)
		old()
		answers, err := s.Renew(ctx, []jobs.LeaseRef{{RunID: "a@manual-x", Token: "t"}})
		require.NoError(t, err)
		require.Equal(t, []jobs.RenewAnswer{jobs.RenewLost}, answers)
		life := lifeOf(t, s)
		require.EqualValues(t, 2, life.Number)
		require.Equal(t, jobs.LossBack, life.Kind)
		require.EqualValues(t, 2, life.Before-life.After, "two messages were lost: queued, running")

		beats(t, other)
		require.Equal(t, life.ID, other.memory.now.Load().life.ID)
		old() // once more: the id is one that was left behind
		beats(t, other)
		require.EqualValues(t, 3, lifeOf(t, s).Number)
		require.Equal(t, jobs.LossBack, lifeOf(t, s).Kind)
		beats(t, s)
		require.EqualValues(t, 3, lifeOf(t, s).Number)
	})
}

// An epoch does not go back even when the clock of the new Redis is behind.
func TestAnEpochSurvivesALossAndAClockThatIsBehind(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		lead(t, s)
		require.NoError(t, s.cmd.HSet(ctx, s.keys.term(), "epoch", "9999999999999").Err())
		beats(t, s)
		lose(t, s)
		beats(t, s)
		epoch, _, err := s.Install(ctx, lead(t, s), "n1")
		require.NoError(t, err)
		require.Greater(t, epoch, int64(9999999999999))
	})
}

// Cursors of before say nothing: nothing is caught up, whether they are gone or old, and
// whoever leads. The ledger says why.
func TestCursorsStartAnewAfterALoss(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		for _, kind := range []jobs.LossKind{jobs.LossEmpty, jobs.LossBack} {
			t.Run(string(kind), func(t *testing.T) {
				s := f.node("n1")
				lose(t, s)
				j, k := job("a"), job("b")
				list := []*jobs.Job{j, k}
				beats(t, s, list...)
				token := lead(t, s)
				_, err := s.Adopt(ctx, token, list)
				require.NoError(t, err)
				hourAgo := s.Now().Add(-time.Hour).Truncate(time.Second)
				setCursor(t, s, j, hourAgo)
				setCursor(t, s, k, hourAgo)
				old := snapshot(t, s)
				setCursor(t, s, j, s.Now())
				require.NoError(t, s.Announce(ctx, jobs.Event{Type: jobs.EventReloaded})) // and many more
				beats(t, s, list...)
				require.NoError(t, s.cmd.RPush(ctx, s.keys.backfill("b"), 1000, 2000).Err())
				if kind == jobs.LossEmpty {
					lose(t, s)
				} else {
					old()
					require.NoError(t, s.cmd.RPush(ctx, s.keys.backfill("b"), 1000, 2000).Err())
					require.NoError(t, s.cmd.HSet(ctx, s.keys.backfills(), "b", "me").Err())
				}
				_, err = s.Commit(ctx, token, []jobs.Decision{ran(j, hourAgo.Add(time.Second))})
				if kind == jobs.LossEmpty {
					require.ErrorIs(t, err, leader.ErrFenced, "the lock went with the rest")
					beats(t, s, list...)
				} else {
					require.ErrorContains(t, err, "REOPENED", "a leader whose lock came back with the rest commits nothing either")
				}
				life := lifeOf(t, s)
				require.Equal(t, kind, life.Kind)
				token = lead(t, s)
				adopted, err := s.Adopt(ctx, token, list)
				require.NoError(t, err)
				for _, job := range list {
					require.Equal(t, life.Since, adopted.Cursors[job.Name])
					entries, err := s.Ledger(ctx, job.Name, 10)
					require.NoError(t, err)
					e := entries[len(entries)-1]
					require.Equal(t, jobs.OutcomeMissed, e.Outcome)
					require.Contains(t, e.Reason, "amnesia: Redis ")
					require.Equal(t, life.Since, e.Until)
					if kind == jobs.LossBack {
						require.Equal(t, hourAgo.Add(time.Millisecond).UTC(), e.Tick)
					} else {
						require.WithinDuration(t, life.Since, e.Tick, 10*time.Second)
					}
					if job == k && kind == jobs.LossBack {
						require.Len(t, entries, 2)
						require.Contains(t, entries[0].Reason, "their backfill ends here")
						require.Equal(t, 2, entries[0].Count)
					} else {
						require.Len(t, entries, 1)
					}
				}
				require.Zero(t, s.cmd.Exists(ctx, s.keys.backfill("b"), s.keys.backfills()).Val())

				// Once: the next term finds nothing to start anew, and a job that is new is that.
				again, err := s.Adopt(ctx, lead(t, s), append(list, job("c")))
				require.NoError(t, err)
				require.Equal(t, life.Since, again.Cursors["a"])
				require.False(t, again.Cursors["c"].Before(life.Since))
				entries, err := s.Ledger(ctx, "c", 10)
				require.NoError(t, err)
				require.Empty(t, entries)
				require.Eventually(t, func() bool { // it may be early by a millisecond
					vs, err := s.Commit(ctx, s.cmd.Get(ctx, s.keys.leader()).Val(), []jobs.Decision{ran(j, life.Since.Add(time.Millisecond))})
					require.NoError(t, err)
					return vs[0].Kind == jobs.VerdictRan
				}, 5*time.Second, time.Millisecond)
			})
		}
	})
}

// The clock of the Redis that is left may be behind: what lies ahead of it may have been decided,
// and is not decided again. Whoever knows of more than the first who noticed is heard, too.
func TestNoTickTwiceAfterALossByAClockThatIsBehind(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		for _, kind := range []jobs.LossKind{jobs.LossEmpty, jobs.LossBack} {
			t.Run(string(kind), func(t *testing.T) {
				s, other, third := f.node("n1"), f.node("n2"), f.node("n3")
				lose(t, s)
				j, k := job("a"), job("b")
				list := []*jobs.Job{j, k}
				beats(t, other)
				beats(t, third)
				beats(t, s, list...)
				_, err := s.Adopt(ctx, lead(t, s), list)
				require.NoError(t, err)
				now := s.Now().Truncate(time.Second)
				old := snapshot(t, s)
				require.NoError(t, s.Announce(ctx, jobs.Event{Type: jobs.EventReloaded}))
				for _, n := range []*Store{s, other, third} { // that Redis was an hour ahead
					beats(t, n)
					n.memory.now.Load().read(now.Add(time.Hour).UnixMilli())
				}
				other.memory.now.Load().knows(now.Add(2 * time.Hour).UnixMilli())
				if kind == jobs.LossEmpty {
					lose(t, s)
				} else {
					old()
				}
				beats(t, s)
				life := lifeOf(t, s)
				require.Equal(t, kind, life.Kind)

				token := lead(t, s)
				starts := func(list ...*jobs.Job) map[string]time.Time {
					adopted, err := s.Adopt(ctx, token, list)
					require.NoError(t, err)
					return adopted.Cursors
				}
				cursors := starts(list...)
				for _, job := range list {
					require.WithinRange(t, cursors[job.Name], now.Add(time.Hour), now.Add(time.Hour+time.Minute))
					entries, err := s.Ledger(ctx, job.Name, 10)
					require.NoError(t, err)
					require.Contains(t, entries[0].Reason, "amnesia: Redis ")
					require.Equal(t, cursors[job.Name], entries[0].Until, "all of them are accounted for")
				}
				require.Equal(t, cursors, starts(list...))
				commit := func(j *jobs.Job) jobs.VerdictKind {
					vs, err := s.Commit(ctx, token, []jobs.Decision{ran(j, s.Now().Add(-time.Second))})
					require.NoError(t, err)
					return vs[0].Kind
				}
				require.Equal(t, jobs.VerdictDuplicate, commit(j))

				beats(t, third)
				require.Equal(t, jobs.VerdictDuplicate, commit(j), "it knows of nothing more")
				beats(t, other)
				_, err = s.Commit(ctx, token, []jobs.Decision{ran(j, s.Now().Add(-time.Second))})
				require.ErrorContains(t, err, "REOPENED")
				fresh := job("c")
				for name, cursor := range starts(j, k) {
					require.Equal(t, now.Add(2*time.Hour).UTC(), cursor, name)
				}
				require.Equal(t, life.ID, lifeOf(t, other).ID, "it is one loss")
				beats(t, other)
				require.Equal(t, jobs.VerdictDuplicate, commit(j))

				// A job that is new has decided nothing.
				require.WithinDuration(t, s.Now(), starts(j, k, fresh)["c"], time.Minute)
				setCursor(t, s, fresh, now.Add(-time.Hour))
				require.Equal(t, jobs.VerdictRan, commit(fresh))
			})
		}
	})
}

// What nodes know to be decided is the ticks they committed and those whose runs they took.
func TestNodesKnowWhatWasDecided(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s, other := f.node("n1"), f.node("n2")
		beats(t, s)
		beats(t, other)
		j := job("a")
		token := lead(t, s)
		tick := s.Now().Truncate(time.Second)
		setCursor(t, s, j, tick.Add(-time.Minute))
		early := ran(j, tick.Add(time.Hour))
		_, err := s.Commit(ctx, token, []jobs.Decision{ran(j, tick), early})
		require.NoError(t, err)
		require.Len(t, claim(t, other, 1), 1)
		for _, n := range []*Store{s, other} {
			require.Equal(t, tick.UnixMilli(), n.memory.now.Load().decided.Load())
		}
	})
}

// A job whose timing changed over a loss is no exception: what became of its ticks is not known
// either, nor what of its backfill has run.
func TestAChangedScheduleAfterALoss(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		changed, gone, back := job("changed"), job("gone"), job("back")
		all := []*jobs.Job{changed, gone, back}
		beats(t, s, all...)
		token := lead(t, s)
		_, err := s.Adopt(ctx, token, all)
		require.NoError(t, err)
		hourAgo := s.Now().Add(-time.Hour).Truncate(time.Second)
		for _, j := range all {
			setCursor(t, s, j, hourAgo)
			require.NoError(t, s.cmd.RPush(ctx, s.keys.backfill(j.Name), 1000, 2000).Err())
			require.NoError(t, s.cmd.HSet(ctx, s.keys.backfills(), j.Name, "me").Err())
		}
		require.NoError(t, s.cmd.HSet(ctx, s.keys.cursors(), back.Name, fmt.Sprintf("%d %s %d", hourAgo.UnixMilli(), back.Timing, hourAgo.UnixMilli()+1)).Err())
		old := snapshot(t, s)
		require.NoError(t, s.Announce(ctx, jobs.Event{Type: jobs.EventReloaded}))
		beats(t, s)
		old()
		beats(t, s)
		life := lifeOf(t, s)
		require.Equal(t, jobs.LossBack, life.Kind)

		changed.Timing = "another"
		token = lead(t, s)
		adopted, err := s.Adopt(ctx, token, []*jobs.Job{changed, back})
		require.NoError(t, err)
		for _, j := range all {
			entries, err := s.Ledger(ctx, j.Name, 10)
			require.NoError(t, err)
			require.Contains(t, entries[0].Reason, "their backfill ends here", j.Name)
			if j == gone {
				require.Len(t, entries, 1)
				continue
			}
			require.Equal(t, life.Since, adopted.Cursors[j.Name])
			require.Len(t, entries, 2)
			require.Equal(t, jobs.OutcomeMissed, entries[1].Outcome)
			require.Contains(t, entries[1].Reason, "amnesia: Redis went back")
			require.Equal(t, hourAgo.Add(time.Millisecond).UTC(), entries[1].Tick)
			require.Zero(t, s.cmd.Exists(ctx, s.keys.backfill(j.Name)).Val())
		}
		require.Zero(t, s.cmd.Exists(ctx, s.keys.backfill("gone"), s.keys.backfills()).Val())
		require.Equal(t, fmt.Sprintf("%d another", life.Since.UnixMilli()), s.cmd.HGet(ctx, s.keys.cursors(), "changed").Val())

		// From here on it is as ever.
		changed.Timing = "a third one"
		_, err = s.Adopt(ctx, token, []*jobs.Job{changed, back})
		require.NoError(t, err)
		entries, err := s.Ledger(ctx, "changed", 10)
		require.NoError(t, err)
		require.Equal(t, "schedule changed", entries[0].Reason)
	})
}

// After a loss nothing is handed out before the nodes had time to say what they did; and what
// may have been started and must not be twice, ends.
func TestWhatWaitsSinceBeforeALoss(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s, other := f.node("n1"), f.node("n2")
		beats(t, s)
		beats(t, other)
		often, once := job("often"), job("once")
		once.Delivery = jobs.DeliverAtMostOnce
		for _, j := range []*jobs.Job{often, once} {
			_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "x", By: "me"})
			require.NoError(t, err)
			require.NoError(t, s.cmd.HSet(ctx, s.keys.run(j.Name+"@manual-x"), "queued_at", s.Now().Add(-time.Minute).UnixMilli()).Err())
		}
		beats(t, s)
		old := snapshot(t, s)
		require.Len(t, claim(t, s, 2), 2)
		old()
		beats(t, s)
		require.Empty(t, claim(t, s, 2))
		settled(t, s)
		beats(t, other)
		claims := claim(t, other, 2)
		require.Len(t, claims, 1)
		require.Equal(t, "often@manual-x", claims[0].RunID)
		run, err := s.Run(ctx, "once@manual-x")
		require.NoError(t, err)
		require.Equal(t, jobs.Failed, run.Status)
		require.Contains(t, run.Error, "outcome unknown: Redis lost")

		// What is made from then on is as ever.
		_, err = s.Trigger(ctx, jobs.TriggerRequest{Job: once, Unique: "y", By: "me"})
		require.NoError(t, err)
		require.Len(t, claim(t, s, 2), 1)
	})
}

// recallAll is what a node does that knows these attempts.
func recallAll(s *Store, held ...jobs.Held) *[]jobs.HeldAnswer {
	var got []jobs.HeldAnswer
	s.OnAmnesia(func(ctx context.Context, _ jobs.StoreLife, tell func(context.Context, []jobs.Held) ([]jobs.HeldAnswer, error)) (err error) {
		got, err = tell(ctx, held)
		return err
	})
	return &got
}

func heldBy(c jobs.Claim, j *jobs.Job) jobs.Held {
	return jobs.Held{RunID: c.RunID, Token: c.Token, Attempt: c.Attempt, Undoing: c.Undoing, Failures: c.Failures, Claim: &c, Job: j, Age: time.Second}
}

// What runs on a node when everything is lost is there again, whole, and ends as if nothing
// had been.
func TestRunningRunsAreMadeAnew(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		j := job("up")
		next := job("next")
		next.After = &jobs.After{Job: "up", When: jobs.WhenDone}
		j.Followers = []*jobs.Job{next}
		j.Group, j.GroupLimit = "g", 1
		j.Steps = []jobs.Step{{Name: "one", Undo: &jobs.Undo{}}, {Name: "two"}, {Name: "three", Undo: &jobs.Undo{}}}
		beats(t, s, j)
		_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "x", By: "me", Params: map[string]string{"p": "v"}})
		require.NoError(t, err)
		c := claim(t, s, 1)[0]
		for i, step := range j.Steps {
			held, err := s.Step(ctx, jobs.StepRecord{RunID: c.RunID, Token: c.Token, Index: i, Name: step.Name, Undo: step.Undo != nil})
			require.NoError(t, err)
			require.True(t, held)
		}
		h := heldBy(c, j)
		h.Steps, h.Rollback = []string{"one", "two", "three"}, []string{"three", "one"}
		got := recallAll(s, h)
		lose(t, s)
		beats(t, s, j)
		require.Equal(t, []jobs.HeldAnswer{jobs.HeldOK}, *got)
		run, err := s.Run(ctx, c.RunID)
		require.NoError(t, err)
		require.Equal(t, jobs.Running, run.Status)
		require.Equal(t, "n1", run.Node)
		require.Equal(t, map[string]string{"p": "v"}, run.Params)
		require.Equal(t, []string{"three", "one"}, s.cmd.LRange(ctx, s.keys.rollback(c.RunID), 0, -1).Val())
		require.Equal(t, []string{c.RunID}, s.cmd.SMembers(ctx, s.keys.active("up")).Val())
		require.Equal(t, []string{c.RunID}, s.cmd.SMembers(ctx, s.keys.prefix+"group:g").Val())
		require.Positive(t, s.cmd.ZScore(ctx, s.keys.leases(), c.RunID).Val())
		answers, err := s.Renew(ctx, []jobs.LeaseRef{{RunID: c.RunID, Token: c.Token}})
		require.NoError(t, err)
		require.Equal(t, []jobs.RenewAnswer{jobs.RenewOK}, answers)
		held, err := s.Step(ctx, jobs.StepRecord{RunID: c.RunID, Token: c.Token, Index: 2, Name: "three", Undo: true})
		require.NoError(t, err)
		require.True(t, held, "a repeat, whose first answer was lost with the data")
		require.Equal(t, []string{"three", "one"}, s.cmd.LRange(ctx, s.keys.rollback(c.RunID), 0, -1).Val())

		// It fails, and is undone, and the data is lost once more amid that.
		finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Failed, Error: "no", FailedStep: "three"})
		settled(t, s)
		u := claim(t, s, 1)[0]
		require.True(t, u.Undoing)
		require.Equal(t, []string{"three", "one"}, u.Rollback)
		require.Equal(t, "three", u.FailedAt)
		h = heldBy(u, j)
		h.Rollback, h.Failure, h.FailedAt = []string{"one"}, u.Failure, u.FailedAt
		got = recallAll(s, h)
		lose(t, s)
		beats(t, s, j)
		require.Equal(t, []jobs.HeldAnswer{jobs.HeldOK}, *got)
		held, err = s.Undone(ctx, u.RunID, u.Token, "one")
		require.NoError(t, err)
		require.True(t, held)
		require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK}, finish(t, s, jobs.Result{RunID: u.RunID, Token: u.Token, Status: jobs.RolledBack}))
		run, err = s.Run(ctx, c.RunID)
		require.NoError(t, err)
		require.Equal(t, jobs.RolledBack, run.Status)
		require.Equal(t, "no", run.Error)
		after, err := s.Run(ctx, "next@after-"+c.RunID)
		require.NoError(t, err)
		require.Equal(t, jobs.Queued, after.Status, "what follows it follows")
		require.Zero(t, s.cmd.Exists(ctx, s.keys.active("up"), s.keys.prefix+"group:g", s.keys.leases()).Val())
	})
}

// A run that follows one which succeeded has no error to remember of that, and is handed
// out again all the same.
func TestAFollowOnRunIsMadeAnew(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		up, next := job("up"), job("next")
		next.After = &jobs.After{Job: "up", When: jobs.WhenSuccess}
		up.Followers = []*jobs.Job{next}
		beats(t, s, up, next)
		id := trigger(t, s, up, "x")
		c := claim(t, s, 1)[0]
		finish(t, s, jobs.Result{RunID: id, Token: c.Token, Status: jobs.Succeeded})
		c = claim(t, s, 1)[0]
		want := &jobs.Upstream{Job: "up", RunID: id, Status: jobs.Succeeded}
		require.Equal(t, want, c.Upstream)
		got := recallAll(s, heldBy(c, next))
		lose(t, s)
		beats(t, s, up, next)
		require.Equal(t, []jobs.HeldAnswer{jobs.HeldOK}, *got)
		require.NoError(t, s.Release(ctx, []jobs.Release{{RunID: c.RunID, Token: c.Token, Kind: jobs.ReleaseStarted, Reason: "for another one"}}))
		settled(t, s)
		require.Equal(t, want, claim(t, s, 1)[0].Upstream)
	})
}

// A run whose record somebody has spoiled is in no other's way, nor in that of results.
func TestARunThatCannotBeReadIsLeftOut(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		s := f.node("n1")
		spoiled, well := trigger(t, s, job("j"), "a"), trigger(t, s, job("j"), "b")
		require.NoError(t, s.cmd.HSet(t.Context(), s.keys.run(spoiled), "params", "{", "more", 1).Err())
		list := claim(t, s, 5)
		require.Len(t, list, 1)
		require.Equal(t, well, list[0].RunID)
	})
}

// An attempt that was given back before it began has lent its number to the next one. Where the store
// still has the first, the end of the second counts.
func TestAnEndOutranksAnAttemptThatWasGivenBack(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		a, b := f.node("n1"), f.node("n2")
		j := job("j")
		beats(t, a, j)
		beats(t, b, j)
		id := trigger(t, a, j, "x")
		first := claimOne(t, a)
		beats(t, b, j)
		old := snapshot(t, a)
		err := a.Release(ctx, []jobs.Release{{RunID: id, Token: first.Token, Kind: jobs.ReleaseUnstarted, Reason: "late"}})
		require.NoError(t, err)
		second := claimOne(t, b)
		require.Equal(t, first.Attempt, second.Attempt)
		result := jobs.Result{RunID: id, Token: second.Token, Status: jobs.Succeeded}
		require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK}, finish(t, b, result))
		old()
		got := recallAll(b, jobs.Held{RunID: id, Token: second.Token, Attempt: second.Attempt, Result: &result})
		beats(t, b, j)
		require.Equal(t, []jobs.HeldAnswer{jobs.HeldOK}, *got)
		run, err := a.Run(ctx, id)
		require.NoError(t, err)
		require.Equal(t, jobs.Succeeded, run.Status)
	})
}

// A run of a job that has another name by now is made anew under that.
func TestARunOfARenamedJobIsMadeAnew(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		j := job("old")
		beats(t, s, j)
		trigger(t, s, j, "before")
		now := job("new")
		now.RenamedFrom = "old"
		require.NoError(t, s.Rename(ctx, lead(t, s), &jobs.Schedule{Jobs: []*jobs.Job{now}}))
		beats(t, s, j)
		require.Len(t, claim(t, s, 1), 1)
		snap := snapshot(t, s)
		trigger(t, s, j, "x")
		c := claimOne(t, s)
		got := recallAll(s, heldBy(c, j))
		snap()
		beats(t, s, j)
		require.Equal(t, []jobs.HeldAnswer{jobs.HeldOK}, *got)
		require.Zero(t, s.cmd.Exists(ctx, s.keys.active("old")).Val())
		require.True(t, s.cmd.SIsMember(ctx, s.keys.active("new"), c.RunID).Val())
		require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK}, finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded}))
		require.False(t, s.cmd.SIsMember(ctx, s.keys.active("new"), c.RunID).Val())
	})
}

// What the store knows more of than the node is left alone; what it knows less of is not.
func TestWhoKnowsMoreOfARun(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		states := []struct {
			name            string
			status          jobs.State
			attempt         int
			token           string // ME: of this node's process, another claim
			forward, undoes jobs.HeldAnswer
		}{
			{"waits for its first attempt", jobs.Queued, 0, "", jobs.HeldOK, jobs.HeldOK},
			{"waits after the attempt before", jobs.Retrying, 1, "x:1", jobs.HeldOK, jobs.HeldOK},
			{"the attempt before runs", jobs.Running, 1, "x:1", jobs.HeldOK, jobs.HeldOK},
			{"an older claim of this node's runs", jobs.Running, 2, "ME:old:1", jobs.HeldOK, jobs.HeldOK},
			{"this attempt runs", jobs.Running, 2, "TOKEN", jobs.HeldOK, jobs.HeldOK},
			{"this attempt was taken away", jobs.Queued, 2, "", jobs.HeldOther, jobs.HeldOK},
			{"somebody else has the attempt", jobs.Running, 2, "x:1", jobs.HeldOther, jobs.HeldOK},
			{"a later attempt runs", jobs.Running, 3, "x:1", jobs.HeldOther, jobs.HeldOther},
			{"a later attempt waits", jobs.Retrying, 3, "x:1", jobs.HeldOther, jobs.HeldOther},
			{"waits to be undone", jobs.RollingBack, 2, "", jobs.HeldOther, jobs.HeldOK},
			{"somebody undoes it", jobs.RollingBack, 2, "x:1", jobs.HeldOther, jobs.HeldOther},
			{"succeeded", jobs.Succeeded, 2, "x:1", jobs.HeldOther, jobs.HeldOther},
			{"failed", jobs.Failed, 1, "x:1", jobs.HeldOther, jobs.HeldOther},
			{"rolled back", jobs.RolledBack, 2, "TOKEN", jobs.HeldOther, jobs.HeldOther},
		}
		s := f.node("n1")
		beats(t, s)
		for _, undoing := range []bool{false, true} {
			var held []jobs.Held
			var want []jobs.HeldAnswer
			for i, st := range states {
				c := jobs.Claim{RunID: fmt.Sprintf("j%d@manual-%v", i, undoing), Token: s.opts.Boot + ":0-1:1", Attempt: 2, Undoing: undoing}
				h := heldBy(c, job(fmt.Sprintf("j%d", i)))
				if undoing {
					h.Rollback = []string{"s"}
					want = append(want, st.undoes)
				} else {
					want = append(want, st.forward)
				}
				held = append(held, h)
			}
			none := heldBy(jobs.Claim{RunID: "j@manual-none", Token: s.opts.Boot + ":0-1:2", Attempt: 1}, nil)
			none.Claim = nil
			held, want = append(held, none), append(want, jobs.HeldGone)
			w := s.memory.now.Load()
			put := func() {
				for i, st := range states {
					token := st.token
					switch token {
					case "ME:old:1":
						token = s.opts.Boot + ":old:1"
					case "TOKEN":
						token = held[i].Token
					}
					require.NoError(t, s.cmd.HSet(ctx, s.keys.run(held[i].RunID), "status", string(st.status), "job", fmt.Sprintf("j%d", i),
						"attempt", st.attempt, "token", token, "priority", 5, "trigger", "manual", "queued_at", 1).Err())
				}
			}
			// In one life a node remembers nothing better than the store.
			if w.life.Number == 1 {
				put()
				answers, err := s.recall(ctx, w, held)
				require.NoError(t, err)
				require.NotContains(t, answers, jobs.HeldOK)
			}
			got := recallAll(s)
			lose(t, s)
			beats(t, s)
			put()
			answers, err := s.recall(ctx, s.memory.now.Load(), held)
			require.NoError(t, err)
			require.Empty(t, *got)
			for i := range answers {
				require.Equal(t, want[i], answers[i], "undoing %v: %+v", undoing, held[i])
			}
			for i, h := range held[:len(states)] {
				run, err := s.Run(ctx, h.RunID)
				require.NoError(t, err)
				switch {
				case want[i] != jobs.HeldOK:
					require.Equal(t, states[i].status, run.Status, states[i].name)
				case undoing:
					require.Equal(t, jobs.RollingBack, run.Status, states[i].name)
				default:
					require.Equal(t, jobs.Running, run.Status, states[i].name)
				}
			}
			again, err := s.recall(ctx, s.memory.now.Load(), held)
			require.NoError(t, err)
			require.Equal(t, answers, again)

			// Long after the loss an unknown run may have come and gone.
			value := s.cmd.Get(ctx, s.keys.cluster()).Val()
			life, err := decodeLife(value)
			require.NoError(t, err)
			require.NoError(t, s.cmd.Set(ctx, s.keys.cluster(), fmt.Sprintf("%s %d 1000 done empty 1 1 1 n", life.ID, life.Number), 0).Err())
			late, err := s.recall(ctx, s.memory.now.Load(), []jobs.Held{heldBy(jobs.Claim{RunID: "j@manual-late", Token: "t", Attempt: 1}, job("j"))})
			require.NoError(t, err)
			require.Equal(t, []jobs.HeldAnswer{jobs.HeldGone}, late)
		}
	})
}

// The end of a run that Redis forgot is made good by the node that saw it, also when
// it forgot that anybody had taken it.
func TestForgottenEndsAreWrittenAgain(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		for _, claimed := range []bool{true, false} {
			t.Run(fmt.Sprintf("claimed %v", claimed), func(t *testing.T) {
				s, other := f.node("n1"), f.node("n2")
				lose(t, s)
				beats(t, s)
				j := job("a")
				_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "x", By: "me"})
				require.NoError(t, err)
				beats(t, s)
				old := snapshot(t, s)
				c := claim(t, s, 1)[0]
				if claimed {
					old = snapshot(t, s)
				}
				result := jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Failed, Error: "exit status 3"}
				require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK}, finish(t, s, result))
				got := recallAll(s, jobs.Held{RunID: c.RunID, Token: c.Token, Attempt: 1, Result: &result})
				old()
				beats(t, s)
				require.Equal(t, []jobs.HeldAnswer{jobs.HeldOK}, *got)
				run, err := s.Run(ctx, c.RunID)
				require.NoError(t, err)
				require.Equal(t, jobs.Failed, run.Status)
				require.Equal(t, "exit status 3", run.Error)
				settled(t, s)
				beats(t, other)
				require.Empty(t, claim(t, other, 1))
			})
		}
	})
}

// A node that cannot make good what was forgotten does nothing else.
func TestNothingIsDoneBeforeWhatWasForgottenIsMadeGood(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		beats(t, s)
		broken := errors.New("not now")
		s.OnAmnesia(func(context.Context, jobs.StoreLife, func(context.Context, []jobs.Held) ([]jobs.HeldAnswer, error)) error {
			return broken
		})
		lose(t, s)
		_, err := s.Exchange(ctx, jobs.ExchangeRequest{ClaimID: "a", Want: 1})
		require.ErrorIs(t, err, broken)
		require.Equal(t, Transient, ClassOf(err))
		first := lifeOf(t, s)
		_, err = s.Exchange(ctx, jobs.ExchangeRequest{ClaimID: "b", Want: 1})
		require.ErrorIs(t, err, broken)
		require.Equal(t, first, lifeOf(t, s), "it is reported once all the same")
		broken = nil
		_, err = s.Exchange(ctx, jobs.ExchangeRequest{ClaimID: "c", Want: 1})
		require.NoError(t, err)
	})
}

// A lease of before looks expired: the sweep waits until its node could speak, and a node that
// comes later than that still ends what it has seen the end of.
func TestTheSweepWaitsForWhoKnows(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s, other := f.node("n1"), f.node("n2")
		j := job("a")
		beats(t, s, j)
		beats(t, other, j)
		_, err := s.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: "x", By: "me"})
		require.NoError(t, err)
		c := claim(t, s, 1)[0]
		beats(t, other, j)
		require.NoError(t, s.cmd.ZAdd(ctx, s.keys.leases(), redis.Z{Score: 1, Member: c.RunID}).Err())
		old := snapshot(t, s)
		result := jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded}
		finish(t, s, result)
		beats(t, other, j)
		old()
		beats(t, other, j)
		token := lead(t, other)
		_, err = other.Adopt(ctx, token, nil)
		require.NoError(t, err)
		status := func() string { return s.cmd.HGet(ctx, s.keys.run(c.RunID), "status").Val() }
		_, err = other.Sweep(ctx, token, true, nil)
		require.NoError(t, err)
		require.Equal(t, "running", status())
		settled(t, s)
		_, err = other.Sweep(ctx, token, true, nil)
		require.NoError(t, err)
		require.Equal(t, "queued", status())
		got := recallAll(s, jobs.Held{RunID: c.RunID, Token: c.Token, Attempt: 1, Result: &result})
		beats(t, s, j)
		require.Equal(t, []jobs.HeldAnswer{jobs.HeldOK}, *got)
		require.Equal(t, "succeeded", status())
	})
}

// A step that runs in what is left of the data has ended when the node has begun the next one.
func TestARecalledStepHasEndedWhenTheNextBegan(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		s := f.node("n1")
		beats(t, s)
		lose(t, s)
		beats(t, s)
		h := heldBy(jobs.Claim{RunID: "j@manual-x", Token: s.opts.Boot + ":0-1:1", Attempt: 1}, job("j"))
		h.Steps = []string{"a", "b", "c"}
		key := s.keys.run(h.RunID)
		require.NoError(t, s.cmd.HSet(ctx, key, "status", "running", "job", "j", "attempt", 1, "token", h.Token, "priority", 5,
			"trigger", "manual", "queued_at", 1, "step:a", "0 running 5").Err())
		for range 2 {
			answers, err := s.recall(ctx, s.memory.now.Load(), []jobs.Held{h})
			require.NoError(t, err)
			require.Equal(t, []jobs.HeldAnswer{jobs.HeldOK}, answers)
			require.Equal(t, "0 succeeded 5", s.cmd.HGet(ctx, key, "step:a").Val())
			require.Regexp(t, `^1 succeeded \d+$`, s.cmd.HGet(ctx, key, "step:b").Val())
			require.Regexp(t, `^2 running \d+$`, s.cmd.HGet(ctx, key, "step:c").Val())
		}
	})
}
