package redisstore

import (
	"context"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
	"carillon/leader"
)

func (d *driver) commit() {
	var decisions []jobs.Decision
	var ticks [][2]int
	for _, j := range d.scheduled() {
		if !d.often("ticks of "+j.Name, 50) {
			continue
		}
		next := d.w.cursors[j.Name] + 1
		for range d.between("ticks", 1, 3) {
			one := jobs.Decision{Job: j, Count: 1, Outcome: jobs.OutcomeRan}
			tick, until := next, next
			switch kind := d.between("decision", 0, 9); {
			case kind == 0:
				one.Outcome = jobs.OutcomeLate
			case kind == 1:
				until += d.between("range", 0, 2)
				one.Outcome, one.Count, one.Reason = jobs.OutcomeMissed, until-tick+1, "policy: catch_up is latest"
			case kind == 2 && next > 1:
				tick, until = next-1, next-1
			case kind == 3:
				tick, until = 9000, 9000
			}
			one.Wait = (j.Overlap == jobs.OverlapSkip || j.Overlap == jobs.OverlapAllow) && !j.EveryNode && d.often("wait", 25)
			one.Tick, one.Until = d.at(tick), d.at(until)
			d.t.Logf("tick %d to %d of %s: %s, wait %v", tick, until, j.Name, one.Outcome, one.Wait)
			decisions, ticks = append(decisions, one), append(ticks, [2]int{tick, until})
			if until < 9000 {
				next = max(next, until+1)
			} else {
				break
			}
		}
	}
	if len(d.terms) > 0 && d.often("stale term", 20) {
		_, err := d.base.Commit(context.Background(), one(d, "term", d.terms), decisions)
		if len(decisions) > 0 {
			require.ErrorIs(d.t, err, leader.ErrFenced)
		}
		return
	}
	d.twice(func(bool) {
		verdicts, err := d.base.Commit(context.Background(), d.term, decisions)
		require.NoError(d.t, err)
		busy := map[string][]string{}
		for i, one := range decisions {
			kind, ways := d.w.decide(one, ticks[i][0], ticks[i][1], ticks[i][0] == 9000, busy)
			require.Equal(d.t, kind, verdicts[i].Kind, "verdict of tick %d of %s", ticks[i][0], one.Job.Name)
			if len(ways) > 0 {
				require.Contains(d.t, ways, verdicts[i].RunID)
			} else {
				require.Empty(d.t, verdicts[i].RunID)
			}
			if kind == jobs.VerdictDuplicate {
				require.Equal(d.t, d.at(d.w.cursors[one.Job.Name]), verdicts[i].Cursor)
			}
		}
	})
}

func (d *driver) backfill() {
	j := d.anyJob()
	var ticks []int
	for range d.between("ticks", 1, 4) {
		if tick := d.between("tick", 1, d.w.cursors[j.Name]+1); !slices.Contains(ticks, tick) && (tick <= d.w.cursors[j.Name] || d.often("too early", 30)) {
			ticks = append(ticks, tick)
		}
	}
	var times []time.Time
	for _, tick := range ticks {
		times = append(times, d.at(tick))
	}
	d.t.Logf("%s: ticks %v", j.Name, ticks)
	d.twice(func(bool) {
		got, err := d.base.Backfill(context.Background(), j, times, "me", false)
		require.NoError(d.t, err)
		queued, before, ok := d.w.backfill(j.Name, ticks)
		require.Equal(d.t, ok, got.Undecided.IsZero())
		require.Equal(d.t, []int{queued, before}, []int{got.Queued, got.Ran})
	})
}

func (d *driver) feed() {
	d.twice(func(bool) {
		ctx := context.Background()
		names, err := d.base.cmd.HKeys(ctx, d.base.keys.backfills()).Result()
		require.NoError(d.t, err)
		left, err := d.base.Feed(ctx, d.term, func(name string) *jobs.Job { return d.w.jobs[name] })
		require.NoError(d.t, err)
		d.w.feed(names, d.at)
		require.Equal(d.t, slices.ContainsFunc(names, func(name string) bool { return len(d.w.backlog[name]) > 0 }), left)
	})
}

func (d *driver) trigger() {
	j := d.anyJob()
	as := *j
	if other := otherName(j.Name); d.w.names[other] == j.Name && d.often("by the old name", 50) {
		as.Name = other // somebody has the old file still
	}
	req := jobs.TriggerRequest{Job: &as, Unique: d.fresh("u"), By: "me@host"}
	if d.often("request id", 30) {
		req.RequestID = one(d, "request", []string{"r1", "r2"})
	}
	d.t.Logf("%s %s", as.Name, req.Unique)
	d.twice(func(bool) {
		got, err := d.base.Trigger(context.Background(), req)
		require.NoError(d.t, err)
		id := jobs.ManualRunID(as.Name, req.Unique)
		name := as.Name + " " + req.RequestID
		switch {
		case req.RequestID != "" && d.w.requests[name] != "":
			require.Equal(d.t, jobs.TriggerReply{RunID: d.w.requests[name], Repeated: true}, got)
			return
		case d.w.runs[id] != nil:
			require.Equal(d.t, jobs.TriggerReply{RunID: id, Repeated: true}, got)
			return
		case d.w.paused[j.Name]:
			require.NotNil(d.t, got.Paused)
			return
		}
		var a admission
		if j.EveryNode {
			queued, _, repeated, ways, why := d.w.everywhere(id, j, jobs.TriggerManual, 0, nil)
			switch {
			case queued > 0:
				a.verdict = "queued"
			case repeated > 0:
				require.Equal(d.t, jobs.TriggerReply{RunID: id, Repeated: true}, got)
				return
			case len(ways) > 0:
				a = admission{"skipped", ways, why}
			default:
				require.Equal(d.t, jobs.TriggerReply{Nobody: true}, got)
				return
			}
		} else {
			a = d.w.admit(d.w.newRun(id, j, jobs.TriggerManual, 0, nil))
		}
		switch a.verdict {
		case "skipped":
			require.Empty(d.t, got.RunID)
			require.Contains(d.t, a.ways, got.InTheWay)
			require.Equal(d.t, a.why, got.Why)
			return
		case "waiting":
			require.Contains(d.t, a.ways, got.WaitsFor)
		}
		require.Equal(d.t, id, got.RunID)
		require.False(d.t, got.Repeated)
		if req.RequestID != "" {
			d.w.requests[name] = id
		}
	})
}

func (d *driver) pause() {
	name := d.anyJob().Name
	d.twice(func(bool) {
		_, fresh, err := d.base.Pause(context.Background(), name, "me", "note")
		require.NoError(d.t, err)
		require.Equal(d.t, !d.w.paused[name], fresh)
		d.w.paused[name] = true
	})
}

func (d *driver) resume() {
	for _, j := range d.scheduled() {
		if !d.often("resume "+j.Name, 70) {
			continue
		}
		d.twice(func(bool) {
			_, was, err := d.base.Resume(context.Background(), j.Name, "me")
			require.NoError(d.t, err)
			require.Equal(d.t, d.w.paused[j.Name], was)
			delete(d.w.paused, j.Name)
		})
	}
}

func (d *driver) newTerm() {
	if d.often("another leader", 70) {
		d.lead()
	}
	ctx := context.Background()
	if len(d.terms) > 0 {
		_, err := d.base.Adopt(ctx, d.terms[0], d.scheduled())
		require.ErrorIs(d.t, err, leader.ErrFenced)
	}
	d.twice(func(bool) {
		adopted, err := d.base.Adopt(ctx, d.term, d.scheduled())
		require.NoError(d.t, err)
		for name, at := range adopted.Cursors {
			require.Equal(d.t, d.at(d.w.cursors[name]), at, "an unchanged job loses no tick")
		}
	})
}

func (d *driver) node() {
	name := one(d, "node", nodeNames)
	m := d.nodes[name]
	switch one(d, "what", []string{"beat", "beat", "leave", "silence", "boot"}) {
	case "beat":
		d.beat(name, d.often("pool", 50), d.often("all", 50))
	case "leave":
		require.NoError(d.t, d.stores[m.boot].Leave(context.Background()))
		m.live = false
	case "silence":
		d.heardAt(name, time.UnixMilli(1))
		m.live = false
	case "boot":
		d.boot(name)
		d.beat(name, d.often("pool", 50), d.often("all", 50))
	}
}

// edit changes what the file says of a job; runs go on as they were made.
func (d *driver) edit() {
	list := d.scheduled()
	i := d.between("job", 0, len(list)-1)
	next := *list[i]
	d.drawOverlap(&next)
	d.w.edited[next.Name] = true
	list[i] = &next
	d.t.Logf("%s: overlap %s, max_running %d, priority %d", next.Name, next.Overlap, next.MaxRunning, next.Priority)
	d.link(list)
}

// rename takes a file in which the job has its other name: one that says what it was called,
// or the one from before.
func (d *driver) rename(i int, before bool) {
	ctx, from := context.Background(), d.names[i]
	for _, r := range d.w.all(func(r *life) bool { return r.pin != nil && r.def.Name == from && r.place != over }) {
		if !d.nodes[r.pin.name].live {
			return // its set is found when the sweep has ended it
		}
	}
	list := d.scheduled()
	next := *list[i]
	next.Name, next.RenamedFrom = otherName(from), from
	if before && d.w.names[next.Name] == from {
		next.RenamedFrom = ""
	}
	list[i] = &next
	for k, j := range list {
		if j.After != nil && j.After.Job == from {
			follows := *j
			follows.After = &jobs.After{Job: next.Name, When: j.After.When}
			list[k] = &follows
		}
	}
	d.t.Logf("%s is %s, renamed_from %q", from, next.Name, next.RenamedFrom)
	d.names[i] = next.Name
	d.files++
	d.link(list)
	if len(d.terms) > 0 {
		require.ErrorIs(d.t, d.base.Rename(ctx, d.terms[0], &jobs.Schedule{Jobs: list}), leader.ErrFenced)
	}
	d.w.rename(from, next.Name)
	if d.often("its leader dies", 30) {
		d.halfway = true
		_, err := d.base.eval(ctx, renameScript, d.base.renameKeys(), d.term, d.between("hashes", 0, 2), from, next.Name)
		require.NoError(d.t, err)
		return
	}
	d.twice(func(bool) { require.NoError(d.t, d.base.Rename(ctx, d.term, &jobs.Schedule{Jobs: d.scheduled()})) })
	adopted, err := d.base.Adopt(ctx, d.term, d.scheduled())
	require.NoError(d.t, err)
	for name, at := range adopted.Cursors {
		require.Equal(d.t, d.at(d.w.cursors[name]), at, "a renamed job loses no tick")
	}
}
