package redisstore

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
	"carillon/leader"
)

// exchange hands in results and claims, in one call.
func (d *driver) exchange(results []jobs.Result) {
	who := d.w.live()
	if len(who) == 0 || d.often("a node that was given up", 10) {
		who = d.w.members
	}
	m := one(d, "node", who)
	req := jobs.ExchangeRequest{ClaimID: d.fresh("c"), Results: results}
	if len(results) == 0 || d.often("claim too", 50) {
		req.Want = d.between("want", 1, 4)
	}
	d.send(m, req)
}

func (d *driver) send(m *member, req jobs.ExchangeRequest) {
	var first jobs.ExchangeReply
	d.t.Logf("node %#v: results %v", m, req.Results)
	d.twice(func(again bool) {
		got, err := d.stores[m.boot].Exchange(context.Background(), req)
		require.NoError(d.t, err)
		if again {
			require.Equal(d.t, first.Answers, got.Answers, "a repeat is answered as the first call was")
			if len(first.Claims) > 0 {
				require.Equal(d.t, first.Claims, got.Claims, "a repeat gets the same runs")
				return
			}
		} else {
			first = got
			for i, res := range req.Results {
				want := jobs.FinishSuperseded
				if d.w.finish(d.w.runs[res.RunID], res) {
					want = jobs.FinishOK
					d.accepted = append(d.accepted, res)
				}
				require.Equal(d.t, want, got.Answers[i], "result %+v", res)
				d.expectSuperseded = want == jobs.FinishSuperseded
			}
		}
		if req.Want == 0 {
			return
		}
		runs, more := d.w.claim(m, req.Want)
		require.Len(d.t, got.Claims, len(runs), "claims %v", ids(runs))
		if more { // else an element may be left that is worth nothing
			require.True(d.t, got.More, "runs are left behind")
		}
		d.t.Logf("claimed: %#v", runs)
		for i, r := range runs {
			d.claimed(r, got.Claims[i])
		}
	})
	d.listen()
	d.expectSuperseded = false
}

func (d *driver) claimed(r *life, c jobs.Claim) {
	require.Equal(d.t, r.id, c.RunID, "the order of claims")
	require.NotEmpty(d.t, c.Token)
	require.NotContains(d.t, r.stale, c.Token, "a token names one attempt")
	r.token = c.Token
	want := jobs.Claim{RunID: r.id, Token: c.Token, Job: nameIn(r.id), Digest: r.def.Digest, Attempt: r.attempt, Failures: r.failures,
		Trigger: r.trigger, Priority: r.def.Priority, Epoch: c.Epoch, Step: r.step}
	if r.tick > 0 {
		want.ScheduledAt = d.at(r.tick)
	}
	if r.up != nil {
		up := *r.up
		want.Upstream = &up
		if c.Upstream != nil {
			up.Error = c.Upstream.Error
		}
	}
	if r.undoing() {
		want.Undoing, want.Rollback, want.FailedAt, want.Failure = true, slices.Clone(r.rollback), r.failedAt, r.failure
		if len(want.Rollback) == 0 {
			want.Rollback = nil
		}
		if r.failure == "" {
			want.Failure = c.Failure
		}
	}
	require.Equal(d.t, want, c)
}

func (d *driver) step(r *life) {
	index := r.next
	one := r.def.Steps[index]
	d.twice(func(bool) {
		got, err := d.base.Step(context.Background(), jobs.StepRecord{RunID: r.id, Token: r.token, Index: index, Name: one.Name, Undo: one.Undo != nil})
		require.NoError(d.t, err)
		require.Equal(d.t, r.canceling == "", got, "a run that was called off starts no step")
		if got {
			d.w.record(r, index)
		}
	})
}

func (d *driver) undone(r *life) {
	if len(r.rollback) == 0 || d.often("another entry", 10) {
		held, err := d.base.Undone(context.Background(), r.id, r.token, "another")
		require.NoError(d.t, err)
		require.True(d.t, held, "it is not the head: taken off before")
		return
	}
	name := r.rollback[0]
	r.rollback = r.rollback[1:]
	d.twice(func(bool) {
		held, err := d.base.Undone(context.Background(), r.id, r.token, name)
		require.NoError(d.t, err)
		require.True(d.t, held)
	})
}

// result draws how an attempt ends, with what a node never says among it.
func (d *driver) result(r *life) jobs.Result {
	states := []jobs.State{jobs.Succeeded, jobs.Succeeded, jobs.Failed, jobs.Failed, jobs.Failed, jobs.Retrying, jobs.Retrying, jobs.Canceled}
	if r.undoing() {
		states = []jobs.State{jobs.RollbackFailed}
		if len(r.rollback) == 0 {
			states = []jobs.State{jobs.RolledBack}
		}
	}
	res := jobs.Result{RunID: r.id, Token: r.token, RetryIn: time.Hour}
	res.Status = one(d, "status", states)
	if d.often("nonsense", 4) {
		all := slices.DeleteFunc(jobs.States(), func(s jobs.State) bool {
			return slices.Contains(states, s) || s == jobs.RolledBack || s == jobs.RollbackFailed
		})
		res.Status = one(d, "nonsense", all)
	}
	if res.Status != jobs.Succeeded {
		res.Error = d.fresh("error ")
		if !r.undoing() && r.covered > 0 {
			res.FailedStep = r.def.Steps[r.step].Name
		}
	}
	return res
}

func (d *driver) finish(r *life) { d.exchange([]jobs.Result{d.result(r)}) }

func (d *driver) renew() {
	var refs []jobs.LeaseRef
	var want []jobs.RenewAnswer
	for _, r := range d.w.sorted() {
		if r.place == held && d.often("renew", 60) {
			refs = append(refs, jobs.LeaseRef{RunID: r.id, Token: r.token})
			answer := jobs.RenewOK
			if r.canceling != "" && !r.undoing() {
				answer = jobs.RenewCanceled
			}
			want = append(want, answer)
			r.renewed = true
		}
		if len(r.stale) > 0 && d.often("renew a stale one", 10) {
			refs = append(refs, jobs.LeaseRef{RunID: r.id, Token: r.stale[0]})
			want = append(want, jobs.RenewLost)
		}
	}
	if len(refs) == 0 {
		return
	}
	d.twice(func(bool) {
		got, err := d.base.Renew(context.Background(), refs)
		require.NoError(d.t, err)
		require.Equal(d.t, want, got)
	})
}

func (d *driver) release(r *life) {
	rel := jobs.Release{RunID: r.id, Token: r.token, Reason: "why",
		Kind: one(d, "kind", []jobs.ReleaseKind{jobs.ReleaseUnstarted, jobs.ReleaseStarted, jobs.ReleasePark})}
	d.w.release(r, rel)
	d.twice(func(bool) { require.NoError(d.t, d.base.Release(context.Background(), []jobs.Release{rel})) })
}

// expired draws the runs whose time in :leases is over, the first one first.
func (d *driver) expired() []*life {
	list := d.w.all(d.leased)
	var picked []*life
	for range d.between("expired", 1, min(3, len(list))) {
		i := d.between("which", 0, len(list)-1)
		d.t.Logf("expired: %#v", list[i])
		picked = append(picked, list[i])
		list = slices.Delete(list, i, i+1)
	}
	return picked
}

func (d *driver) sweep(take bool, expired []*life) {
	ctx, s := context.Background(), d.base
	var scores []redis.Z
	for _, r := range d.w.all(d.leased) {
		at := float64(s.Now().Add(time.Hour).UnixMilli())
		if i := slices.Index(expired, r); i >= 0 {
			at = float64(i + 1)
		}
		scores = append(scores, redis.Z{Score: at, Member: r.id})
	}
	if len(scores) > 0 {
		require.NoError(d.t, s.cmd.ZAddXX(ctx, s.keys.leases(), scores...).Err())
	}
	order := map[string][]int{}
	for _, q := range d.everySlot() {
		if order[q.route] == nil {
			for _, p := range s.cmd.ZRange(ctx, s.keys.priorities(q.route), 0, -1).Val() {
				order[q.route] = append(order[q.route], number(p))
			}
		}
	}
	// How long a route has not been served is a matter of time, of which the model knows nothing.
	d.w.impatient = map[string]bool{}
	for _, z := range s.cmd.ZRangeWithScores(ctx, s.keys.routes(), 0, -1).Val() {
		if since := int64(z.Score); since > 0 && since < s.Now().Add(-30*time.Minute).UnixMilli() {
			d.w.impatient[toString(z.Member)] = true
		}
	}
	_, err := s.Sweep(ctx, d.term, take, nil)
	require.NoError(d.t, err)
	d.w.sweep(take, expired, func(route string) []int { return order[route] })
}

// impatience: what nobody could take was waiting for too long.
func (d *driver) impatience() {
	ctx, s := context.Background(), d.base
	long := s.Now().Add(-time.Hour).UnixMilli()
	var expired []*life
	for _, r := range d.w.all(func(r *life) bool { return r.place == parked }) {
		require.NoError(d.t, s.cmd.HSet(ctx, s.keys.run(r.id), "parked_at", long).Err())
		r.unclaimed = true
		expired = append(expired, r)
	}
	const route = "pool=gpu"
	if !d.w.served(route) {
		d.sweep(false, nil) // sees it
		for q, list := range d.w.queues {
			for _, id := range list {
				if r := d.w.runs[id]; q.route == route && r.claimable() {
					require.NoError(d.t, s.cmd.HSet(ctx, s.keys.run(id), "queued_at", long).Err())
					r.old = true
				}
			}
		}
		require.NoError(d.t, s.cmd.ZAddXX(ctx, s.keys.routes(), redis.Z{Score: float64(long), Member: route}).Err())
	}
	d.sweep(d.often("take running runs", 85), expired)
	d.sweep(true, expired)
}

// staleSweep: a leader of old sweeps nothing.
func (d *driver) staleSweep() {
	_, err := d.base.Sweep(context.Background(), one(d, "term", d.terms), true, nil)
	require.ErrorIs(d.t, err, leader.ErrFenced)
}

func (d *driver) cancel(r *life) {
	why := d.fresh("reason ")
	d.twice(func(bool) {
		answer, state, err := d.base.Cancel(context.Background(), r.id, "me", why)
		require.NoError(d.t, err)
		want, status := d.w.cancel(r, "canceled by me: "+why)
		require.Equal(d.t, want, answer)
		require.Equal(d.t, status, state)
	})
}

func (d *driver) resumeRollback(r *life) {
	d.twice(func(bool) {
		ok, state, err := d.base.ResumeRollback(context.Background(), r.id, "me")
		require.NoError(d.t, err)
		want, status := d.w.resumeRollback(r)
		require.Equal(d.t, want, ok)
		require.Equal(d.t, status, state)
	})
}

// stale: an attempt that does not hold its run any more changes nothing, whatever it says.
func (d *driver) stale(r *life) {
	ctx, token := context.Background(), one(d, "token", r.stale)
	answers, err := d.base.Renew(ctx, []jobs.LeaseRef{{RunID: r.id, Token: token}})
	require.NoError(d.t, err)
	require.Equal(d.t, jobs.RenewLost, answers[0])
	held, err := d.base.Step(ctx, jobs.StepRecord{RunID: r.id, Token: token, Index: r.covered, Name: "stale", Undo: true})
	require.NoError(d.t, err)
	require.False(d.t, held)
	if len(r.rollback) > 0 {
		held, err = d.base.Undone(ctx, r.id, token, r.rollback[0])
		require.NoError(d.t, err)
		require.False(d.t, held)
	}
	require.NoError(d.t, d.base.Release(ctx, []jobs.Release{{RunID: r.id, Token: token, Kind: jobs.ReleaseStarted}}))
	d.say(jobs.Result{RunID: r.id, Token: token, Status: one(d, "status", jobs.States()), RetryIn: time.Hour})
}

// lateRepeat: a result that was accepted arrives again, much later.
func (d *driver) lateRepeat() { d.say(one(d, "result", d.accepted)) }

// say hands in a result that must change nothing.
func (d *driver) say(res jobs.Result) {
	_, err := d.base.Exchange(context.Background(), jobs.ExchangeRequest{Results: []jobs.Result{res}})
	require.NoError(d.t, err)
	d.expectSuperseded = true
	d.listen()
	d.expectSuperseded = false
}
