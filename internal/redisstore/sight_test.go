package redisstore

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// beatWith makes a node live, with that schedule.
func beatWith(t *testing.T, s *Store, digest string, change func(n *jobs.Node)) {
	t.Helper()
	n := jobs.Node{Slots: 1, Zoneinfo: "2026f"}
	if change != nil {
		change(&n)
	}
	_, err := s.Heartbeat(context.Background(), n, []*jobs.Schedule{{Digest: digest}})
	require.NoError(t, err)
}

func accuse(t *testing.T, s *Store, token string) jobs.AccusationReply {
	t.Helper()
	reply, err := s.Accuse(context.Background(), jobs.Accusation{Token: token, Since: s.Now().Add(-20 * time.Second), Why: `nothing "decided"`})
	require.NoError(t, err)
	return reply
}

func TestSightOfALeaderAtWork(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		a, b := f.node("a"), f.node("b")
		x, y := job("x"), job("y")
		look := func(node string) jobs.Sight {
			t.Helper()
			sight, err := b.Sight(ctx, node, []*jobs.Job{x, y})
			require.NoError(t, err)
			assert.WithinDuration(t, b.Now(), sight.At, time.Second)
			return sight
		}
		vacant := look("")
		assert.Empty(t, vacant.Token)
		assert.Equal(t, make([]jobs.CursorSight, 2), vacant.Cursors)

		beatWith(t, a, "s1", func(n *jobs.Node) { n.Revision = 7 })
		token := lead(t, a)
		begun := look("")
		assert.Equal(t, []string{token, "a", ""}, []string{begun.Token, begun.Node, begun.Digest})
		assert.Equal(t, begun.Since, begun.Moved)
		known := look("a")
		assert.Equal(t, []any{"s1", "2026f", int64(7)}, []any{known.Digest, known.Zoneinfo, known.Revision})

		_, err := a.Adopt(ctx, token, []*jobs.Job{x})
		require.NoError(t, err)
		adopted := look("a")
		assert.False(t, adopted.Moved.Before(begun.Moved))
		assert.Equal(t, "t-x", adopted.Cursors[0].Timing)
		assert.False(t, adopted.Cursors[0].Gone || adopted.Cursors[0].Unfinished)
		assert.Zero(t, adopted.Cursors[1], "nobody has scheduled y")

		tick := a.Now().Truncate(time.Second).Add(-time.Second)
		setCursor(t, a, x, tick.Add(-time.Minute))
		require.NoError(t, a.cmd.HSet(ctx, a.keys.term(), "moved", begun.Since.UnixMilli()).Err())
		_, err = a.Commit(ctx, token, []jobs.Decision{ran(x, tick)})
		require.NoError(t, err)
		decided := look("a")
		assert.WithinDuration(t, decided.At, decided.Moved, time.Second)
		assert.Equal(t, jobs.CursorSight{Decided: tick.UTC(), Timing: "t-x", Unfinished: true}, decided.Cursors[0])
		_, err = a.Commit(ctx, token, []jobs.Decision{ran(x, tick)})
		require.NoError(t, err)
		assert.Equal(t, decided.Moved, look("a").Moved, "to decide nothing new is no progress")

		// Skipped is decided, too.
		_, _, err = a.Pause(ctx, "x", "me", "")
		require.NoError(t, err)
		require.NoError(t, a.cmd.HSet(ctx, a.keys.term(), "moved", begun.Since.UnixMilli()).Err())
		_, err = a.Commit(ctx, token, []jobs.Decision{ran(x, tick.Add(time.Second))})
		require.NoError(t, err)
		assert.Equal(t, tick.Add(time.Second).UTC(), look("a").Cursors[0].Decided)
		assert.WithinDuration(t, decided.At, look("a").Moved, 2*time.Second)

		// A term that has decided something does not get on by asking for its cursors again.
		require.NoError(t, a.cmd.HSet(ctx, a.keys.term(), "moved", begun.Since.UnixMilli()).Err())
		_, err = a.Adopt(ctx, token, []*jobs.Job{y})
		require.NoError(t, err)
		assert.True(t, look("a").Cursors[0].Gone)
		if !begun.Since.Equal(decided.Moved) { // both in one millisecond
			assert.Equal(t, begun.Since, look("a").Moved)
		}

		// A leader of a version that does not write it: what is there is of a term before.
		require.NoError(t, a.cmd.HSet(ctx, a.keys.term(), "since", a.Now().Add(time.Minute).UnixMilli()).Err())
		assert.Zero(t, look("a").Moved)
		require.NoError(t, a.cmd.Set(ctx, a.keys.leader(), "other:boot:1", time.Minute).Err())
		assert.Equal(t, jobs.Sight{At: look("a").At, Token: "other:boot:1"}.Node, look("a").Node, "a lock without a term")
	})
}

func TestTheMajorityDeposes(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		a, b, c, d := f.node("a"), f.node("b"), f.node("c"), f.node("d")
		for _, s := range []*Store{a, b, c, d} {
			beatWith(t, s, "s1", nil)
		}
		e := f.node("e")
		beatWith(t, e, "s2", nil)
		z := f.node("z")
		beatWith(t, z, "s1", func(n *jobs.Node) { n.Zoneinfo = "other" })
		token := lead(t, a)

		assert.Equal(t, jobs.AccusationReply{Answer: jobs.AccusedGone}, accuse(t, b, "a:boot:9"), "another token")
		for range 2 {
			assert.Equal(t, jobs.AccusationReply{Answer: jobs.AccusedNoted, Votes: 1, Voters: 3}, accuse(t, b, token))
		}
		assert.Equal(t, 1, accuse(t, e, token).Votes, "it has another file")
		assert.Equal(t, 1, accuse(t, z, token).Votes, "and this one another zone database")
		nodes, err := a.Nodes(ctx)
		require.NoError(t, err)
		assert.Equal(t, token, nodes[1].Silent)
		assert.WithinDuration(t, a.Now().Add(-20*time.Second), nodes[1].SilentSince, 2*time.Second)
		assert.WithinDuration(t, a.Now(), nodes[1].SilentAt, 2*time.Second)
		assert.Empty(t, nodes[2].Silent)

		got := accuse(t, c, token)
		assert.Equal(t, []any{jobs.AccusedDeposed, 2, 3}, []any{got.Answer, got.Votes, got.Voters})
		assert.Equal(t, got, accuse(t, c, token), "a repeat")
		assert.Equal(t, got, accuse(t, d, token))
		_, held, err := a.Leader(ctx)
		require.NoError(t, err)
		assert.False(t, held)
		_, err = a.Commit(ctx, token, []jobs.Decision{ran(job("x"), a.Now().Add(-time.Second))})
		require.Error(t, err, "its scripts are refused")
		candidates, err := a.Candidates(ctx)
		require.NoError(t, err)
		assert.WithinDuration(t, got.At, candidates[0].Deposed, 0)
		assert.Zero(t, candidates[1].Deposed)
	})
}

func TestWhoseVoteCounts(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		a, b, c := f.node("a"), f.node("b"), f.node("c")
		beatWith(t, a, "s1", nil)
		token := lead(t, a)
		assert.Equal(t, jobs.AccusedUnheard, accuse(t, b, token).Answer, "it has no record")
		beatWith(t, b, "s1", nil)
		other := f.node("b")
		assert.Equal(t, jobs.AccusedUnheard, accuse(t, other, token).Answer, "the record is a namesake's")
		beatWith(t, c, "s1", nil)
		accuse(t, c, token)
		require.NoError(t, c.cmd.HSet(ctx, c.keys.node("c"), "silent", token+" 1 "+itoa(c.Now().Add(-7*time.Second).UnixMilli())).Err())
		assert.Equal(t, jobs.AccusationReply{Answer: jobs.AccusedNoted, Votes: 1, Voters: 2}, accuse(t, b, token), "c said so 7 seconds ago")
		require.NoError(t, c.cmd.ZAdd(ctx, c.keys.nodes(), redis.Z{Score: float64(c.Now().Add(-7 * time.Second).UnixMilli()), Member: "c"}).Err())
		assert.Equal(t, jobs.AccusedDeposed, accuse(t, b, token).Answer, "one is enough where there is one")

		// A file that nobody else has.
		beatWith(t, a, "s2", nil)
		token = lead(t, a)
		assert.Equal(t, jobs.AccusationReply{Answer: jobs.AccusedNoted}, accuse(t, b, token))
		// Nobody knows which one it has.
		require.NoError(t, a.cmd.HSet(ctx, a.keys.node("a"), "boot", "another").Err())
		assert.Equal(t, jobs.AccusationReply{Answer: jobs.AccusedNoted}, accuse(t, b, token))
	})
}

func TestNobodyIsDeposedInVain(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		ctx := context.Background()
		a, b, c := f.node("a"), f.node("b"), f.node("c")
		mute := func(n *jobs.Node) { n.NoLead = true }
		for _, s := range []*Store{a, b} {
			beatWith(t, s, "s1", mute)
		}
		token := lead(t, a)
		assert.Equal(t, jobs.AccusationReply{Answer: jobs.AccusedNobody, Votes: 1, Voters: 1}, accuse(t, b, token), "nobody else would lead")
		beatWith(t, c, "s2", nil)
		assert.Equal(t, jobs.AccusedDeposed, accuse(t, b, token).Answer, "whoever would")

		// The next one has decided nothing either.
		at := func(ago time.Duration) int64 { return a.Now().Add(-ago).UnixMilli() }
		beatWith(t, c, "s1", nil)
		beatWith(t, a, "s1", nil)
		token = lead(t, c)
		assert.Equal(t, jobs.AccusationReply{Answer: jobs.AccusedNoted, Votes: 1, Voters: 2}, accuse(t, b, token))
		assert.Equal(t, jobs.AccusedNobody, accuse(t, a, token).Answer, "a was deposed just now")
		require.NoError(t, a.cmd.HDel(ctx, a.keys.node("a"), "deposed").Err())
		for row, wait := range map[int]time.Duration{1: time.Minute, 2: 2 * time.Minute, 5: 16 * time.Minute, 7: time.Hour, 1000: time.Hour} {
			since := at(wait - 5*time.Second)
			require.NoError(t, a.cmd.HSet(ctx, a.keys.term(), "deposed", itoa(int64(row))+" "+itoa(since)+" 1 1 x:y:1").Err())
			got := accuse(t, b, token)
			assert.Equal(t, jobs.AccusedRespite, got.Answer, "%d in a row", row)
			assert.Equal(t, since+wait.Milliseconds(), got.At.UnixMilli(), "%d in a row", row)
		}
		require.NoError(t, a.cmd.HSet(ctx, a.keys.term(), "deposed", "2 "+itoa(at(121*time.Second))+" 1 1 x:y:1").Err())
		assert.Equal(t, jobs.AccusedDeposed, accuse(t, b, token).Answer)
		assert.Regexp(t, "^3 ", a.cmd.HGet(ctx, a.keys.term(), "deposed").Val())

		// This one has: whatever silenced the others, it is not that.
		require.NoError(t, a.cmd.HDel(ctx, a.keys.node("a"), "deposed").Err())
		require.NoError(t, a.cmd.HDel(ctx, a.keys.node("c"), "deposed").Err())
		token = lead(t, c)
		require.NoError(t, a.cmd.HSet(ctx, a.keys.term(), "decided", at(-time.Second)).Err())
		accuse(t, a, token)
		assert.Equal(t, jobs.AccusedDeposed, accuse(t, b, token).Answer)
		assert.Regexp(t, "^1 ", a.cmd.HGet(ctx, a.keys.term(), "deposed").Val())
	})
}

func TestSilenceIsAnnouncedOnce(t *testing.T) {
	engines(t, func(t *testing.T, f *fleet) {
		a, b, c, d := f.node("a"), f.node("b"), f.node("c"), f.node("d")
		for _, s := range []*Store{a, b, c, d} {
			beatWith(t, s, "s1", nil)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		events, ready := make(chan jobs.Event, 100), make(chan struct{}, 10)
		go func() {
			_ = d.Watch(ctx, func(batch []jobs.Event, _ bool) error {
				for _, e := range batch {
					events <- e
				}
				ready <- struct{}{}
				return nil
			})
		}()
		<-ready
		token := lead(t, a)
		accuse(t, b, token)
		accuse(t, b, token)
		accuse(t, c, token)
		var got []jobs.Event
		for len(got) < 3 {
			select {
			case e := <-events:
				e.Seq, e.At, e.Epoch = 0, time.Time{}, 0
				got = append(got, e)
			case <-time.After(10 * time.Second):
				require.FailNow(t, "no more events", "%+v", got)
			}
		}
		assert.Equal(t, []jobs.Event{
			{Type: jobs.EventLeader, Node: "a"},
			{Type: jobs.EventSilent, Node: "a", By: "b", Reason: `nothing "decided"`},
			{Type: jobs.EventDeposed, Node: "a", By: "c", Reason: "2 of 3 followers with its schedule found it silent"},
		}, got)
	})
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
