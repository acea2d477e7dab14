package redisstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// compare holds the store against the model, key by key, and then what must always be
// true against the store alone.
func (d *driver) compare() {
	d.t.Helper()
	d.listen()
	ctx, s, w := context.Background(), d.base, d.w
	pipe := s.cmd.Pipeline()
	leases := pipe.ZRange(ctx, s.keys.leases(), 0, -1)
	hashes, rollbacks := map[string]*redis.SliceCmd{}, map[string]*redis.StringSliceCmd{}
	for id := range w.runs {
		hashes[id] = pipe.HMGet(ctx, s.keys.run(id), "status", "attempt", "failures", "crashes", "token", "job", "route", "trigger")
		rollbacks[id] = pipe.LRange(ctx, s.keys.rollback(id), 0, -1)
	}
	queues := map[slot]*redis.StringSliceCmd{}
	for _, q := range d.everySlot() {
		queues[q] = pipe.LRange(ctx, s.keys.queue(q.route, strconv.Itoa(q.priority)), 0, -1)
	}
	active, pinned, waiting := map[string]*redis.StringSliceCmd{}, map[string]*redis.StringSliceCmd{}, map[string]*redis.StringSliceCmd{}
	backlog, history, ledger := map[string]*redis.StringSliceCmd{}, map[string]*redis.StringSliceCmd{}, map[string]*redis.StringSliceCmd{}
	for name := range w.jobs {
		active[name] = pipe.SMembers(ctx, s.keys.active(name))
		waiting[name] = pipe.LRange(ctx, s.keys.waiting(name), 0, -1)
		history[name] = pipe.LRange(ctx, s.keys.history(name), 0, -1)
		backlog[name] = pipe.LRange(ctx, s.keys.backfill(name), 0, -1)
		ledger[name] = pipe.LRange(ctx, s.keys.ledger(name), 0, -1)
		for _, node := range nodeNames {
			pinned[name+":"+node] = pipe.SMembers(ctx, s.keys.active(name)+":"+node)
		}
	}
	group := pipe.SMembers(ctx, s.keys.prefix+"group:db")
	line := pipe.ZRange(ctx, s.keys.prefix+"groupwait:db", 0, -1)
	cursors, paused := pipe.HGetAll(ctx, s.keys.cursors()), pipe.HKeys(ctx, s.keys.paused())
	_, err := pipe.Exec(ctx)
	require.NoError(d.t, err)

	for _, r := range w.sorted() {
		h := hashes[r.id].Val()
		require.Equal(d.t, string(r.status), h[0], "status of %s", r.id)
		require.Equal(d.t, strconv.Itoa(r.attempt), h[1], "attempt of %s", r.id)
		require.Equal(d.t, r.failures, number(h[2]), "failures of %s", r.id)
		require.Equal(d.t, r.crashes, number(h[3]), "crashes of %s", r.id)
		if r.place == held {
			require.Equal(d.t, r.token, h[4], "token of %s", r.id)
		}
		switch job := toString(h[5]); {
		case d.halfway: // the hash may say an older name
			require.Equal(d.t, r.def.Name, w.nameNow(job), "job of %s", r.id)
		case r.place != over:
			require.Equal(d.t, r.def.Name, job, "job of %s", r.id)
		default: // nothing is written to it any more
			require.Equal(d.t, r.def.Name, w.nameNow(job), "job of %s", r.id)
		}
		require.Equal(d.t, string(r.trigger), h[7])
		require.Equal(d.t, r.route, orAny(h[6]), "route of %s", r.id)
		require.Equal(d.t, emptied(r.rollback), emptied(rollbacks[r.id].Val()), "rollback list of %s", r.id)
		require.Equal(d.t, r.status, d.said[r.id], "what the events say of %s", r.id)
	}
	want := w.all(func(r *life) bool {
		return r.place == held || r.place == backOff || r.place == parked || r.place != over && r.pin != nil
	})
	require.ElementsMatch(d.t, ids(want), leases.Val(), "leases")
	for q, list := range queues {
		require.Equal(d.t, w.worth(w.queues[q]), w.worth(list.Val()), "queue %v", q)
	}
	for name := range w.jobs {
		require.ElementsMatch(d.t, ids(w.active(name, "")), active[name].Val(), "active %s", name)
		for _, node := range nodeNames {
			require.ElementsMatch(d.t, ids(w.active(name, node)), pinned[name+":"+node].Val(), "active %s on %s", name, node)
		}
		var held []string
		if r := w.waiting[name]; r != nil {
			held = []string{r.id}
		}
		require.Equal(d.t, emptied(held), emptied(waiting[name].Val()), "waiting %s", name)
		finals := w.all(func(r *life) bool { return r.def.Name == name && r.place == over })
		require.ElementsMatch(d.t, ids(finals), history[name].Val(), "history of %s: each final run once", name)
		var due []string
		for _, tick := range w.backlog[name] {
			due = append(due, strconv.FormatInt(d.at(tick).UnixMilli(), 10))
		}
		require.Equal(d.t, emptied(due), emptied(backlog[name].Val()), "backfill of %s", name)
		d.compareLedger(name, ledger[name].Val())
		if cursors.Val()[name] != "" {
			ms, _, _ := strings.Cut(cursors.Val()[name], " ")
			require.Equal(d.t, strconv.FormatInt(d.at(w.cursors[name]).UnixMilli(), 10), ms, "cursor of %s", name)
		}
		require.Equal(d.t, w.paused[name], slices.Contains(paused.Val(), name), "pause of %s", name)
	}
	require.ElementsMatch(d.t, ids(w.inGroup("db")), group.Val(), "group")
	var inLine []string
	for name, r := range w.waiting {
		if r.def.Group == "db" {
			inLine = append(inLine, name)
		}
	}
	require.ElementsMatch(d.t, inLine, line.Val(), "jobs that wait for their group")
	d.invariants(queues, leases.Val())
}

// invariants are checked on what Redis holds, whatever the model thinks.
func (d *driver) invariants(queues map[slot]*redis.StringSliceCmd, leases []string) {
	d.t.Helper()
	w := d.w
	elements := func(id string, shared bool) (n int) {
		for q, list := range queues {
			if shared == !strings.HasPrefix(q.route, "node=") {
				for _, e := range list.Val() {
					if e == id {
						n++
					}
				}
			}
		}
		return n
	}
	for _, r := range w.sorted() {
		// Conservation: in exactly one place. What an element on a node's own route
		// offers counts only while the run is parked or pinned to it.
		shared, own := elements(r.id, true), elements(r.id, false)
		leased := slices.Contains(leases, r.id)
		switch r.place {
		case inQueue:
			if r.pin == nil && r.offered {
				require.GreaterOrEqual(d.t, shared, 1, "%s is in its queue", r.id)
			} else if r.pin == nil {
				require.Equal(d.t, 1, shared, "%s is in its queue once", r.id)
			} else {
				require.GreaterOrEqual(d.t, own, 1, "%s is on its node's route", r.id)
			}
			require.Equal(d.t, r.pin != nil, leased, "somebody looks after %s when its node goes", r.id)
		case held, backOff, parked:
			if !r.offered { // else it may have been taken from the route of a node that came back
				require.Zero(d.t, shared, "%s is in no queue", r.id)
			}
			require.True(d.t, leased, "somebody looks after %s", r.id)
		case waits:
			require.Zero(d.t, shared+own, "%s is in no queue", r.id)
			require.False(d.t, leased)
			require.False(d.t, w.mayGo(r), "%s waits although its turn has come", r.id)
		case over:
			require.False(d.t, leased, "%s is final", r.id)
			require.True(d.t, r.status.Final())
		}
		// Starts are accounted for.
		require.LessOrEqual(d.t, r.attempt, r.failures+r.starts+1, "starts of %s", r.id)
		if r.def.Delivery == jobs.DeliverAtMostOnce {
			require.Zero(d.t, r.starts, "%s may not start again", r.id)
		}
		if r.place == over && r.status != jobs.RollbackFailed {
			require.Empty(d.t, r.rollback, "%s is final and has nothing left to undo", r.id)
		}
	}
	for name, j := range w.jobs {
		if w.resumed[name] || w.edited[name] || j.EveryNode {
			continue
		}
		n := len(w.active(name, ""))
		if w.waiting[name] != nil {
			n--
		}
		if j.Overlap != jobs.OverlapAllow {
			require.LessOrEqual(d.t, n, 1, "unfinished runs of %s", name)
		} else if j.MaxRunning > 0 {
			require.LessOrEqual(d.t, n, j.MaxRunning, "unfinished runs of %s", name)
		}
		if j.Group != "" && len(w.resumed) == 0 {
			require.LessOrEqual(d.t, len(w.inGroup(j.Group)), j.GroupLimit)
		}
	}
}

// compareLedger: every decided tick is in exactly one entry, and says what became of it.
func (d *driver) compareLedger(job string, entries []string) {
	d.t.Helper()
	left := slices.Clone(d.w.fates[job])
	for _, text := range entries {
		e, err := decodeLedger(job, text)
		require.NoError(d.t, err)
		count := 0
		left = slices.DeleteFunc(left, func(f fate) bool {
			follows := strings.Contains(f.reason, "(after ")
			within := !e.Tick.After(d.at(f.tick)) && !e.Until.Before(d.at(f.until))
			same := f.outcome == e.Outcome && f.reason == e.Reason && (len(f.ways) == 0 && e.RunID == "" || slices.Contains(f.ways, e.RunID))
			if same && (within || follows) {
				count += f.count
				return true
			}
			return false
		})
		require.Equal(d.t, e.Count, count, "ledger of %s: %s; not accounted for: %+v", job, text, left)
	}
	require.Empty(d.t, left, "not in the ledger of %s", job)
}

// listen reads what was published since the last call and moves each run as it says:
// every move must be one of the table, and made known.
func (d *driver) listen() {
	d.t.Helper()
	ctx := context.Background()
	last, err := d.base.cmd.Get(ctx, d.base.keys.sequence()).Int64()
	if err == redis.Nil {
		return
	}
	require.NoError(d.t, err)
	for d.heard < last {
		m, err := d.sub.ReceiveTimeout(ctx, 5*time.Second)
		require.NoError(d.t, err)
		message, ok := m.(*redis.Message)
		if !ok || message.Channel != d.base.keys.events() {
			continue
		}
		require.True(d.t, json.Valid([]byte(message.Payload)), message.Payload)
		seq, events, err := decodeMessage(message.Payload)
		require.NoError(d.t, err)
		require.Equal(d.t, d.heard+1, seq)
		d.heard = seq
		for _, e := range events {
			d.moved(e)
		}
	}
}

func (d *driver) moved(e jobs.Event) {
	d.t.Helper()
	from, known := d.said[e.Run]
	to := jobs.State(e.Type)
	switch e.Type {
	case jobs.EventCrashed, jobs.EventReleased, jobs.EventParked:
		if to = jobs.Queued; from == jobs.RollingBack {
			return // it stays that
		}
	case jobs.EventSuperseded:
		require.True(d.t, d.expectSuperseded, "nothing was stale: %+v", e)
		return
	}
	if !to.Known() {
		return
	}
	if !known {
		require.Equal(d.t, jobs.Queued, to, "a run begins queued: %+v", e)
		d.said[e.Run] = to
		return
	}
	require.True(d.t, from.CanMove(to), "%s: %s -> %s is no legal move", e.Run, from, to)
	d.moves[move{from, to}]++
	d.said[e.Run] = to
}

func number(v any) int {
	n, _ := strconv.Atoi(fmt.Sprint(v))
	return n
}

func orAny(v any) string {
	if route := toString(v); route != "" {
		return route
	}
	return jobs.AnyRoute
}

func emptied(list []string) []string {
	if len(list) == 0 {
		return []string{}
	}
	return list
}
