package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"carillon/internal/redisstore"
	"carillon/internal/redistest"
	"carillon/jobs"
)

// fleet is a leader without a node: a store that holds the seat, and jobs.
type fleet struct {
	store *redisstore.Store
	admin *admin
	token string
	jobs  []*jobs.Job
	first time.Time // of the ticks, one a second, all in the past
}

// newFleet makes n jobs, none of which gets more than the given number of ticks.
func newFleet(b *testing.B, n, ticks int) *fleet {
	ctx := context.Background()
	url := redistest.Real(b)
	store, err := redisstore.Open(redisstore.Options{URL: url, Node: "bench", Boot: "boot"})
	check(b, err)
	b.Cleanup(func() { _ = store.Close() })
	f := &fleet{store: store, admin: newAdmin(b, url), token: "bench:boot:1"}
	f.admin.set(b, "{carillon}:leader", f.token)
	_, _, err = store.Install(ctx, f.token, "bench")
	check(b, err)
	check(b, store.SyncClock(ctx))
	f.first = store.Now().Truncate(time.Second).Add(-time.Duration(ticks+10) * time.Second)
	for i := range n {
		job := noop(fmt.Sprintf("noop-%d", i))
		f.jobs = append(f.jobs, job)
		f.admin.do(b, "HSET", "{carillon}:cursors", job.Name, fmt.Sprintf("%d %s", f.first.Add(-time.Second).UnixMilli(), job.Timing))
	}
	_, err = store.Heartbeat(ctx, jobs.Node{Slots: 64}, []*jobs.Schedule{{Digest: "s", Jobs: f.jobs}})
	check(b, err)
	return f
}

// decisions are the ticks from on, n of them.
func (f *fleet) decisions(job *jobs.Job, from, n int) []jobs.Decision {
	ds := make([]jobs.Decision, n)
	for i := range ds {
		tick := f.first.Add(time.Duration(from+i) * time.Second)
		ds[i] = jobs.Decision{Job: job, Tick: tick, Until: tick, Count: 1, Outcome: jobs.OutcomeLate}
	}
	return ds
}

// ended is the result of each claim: it went well.
func ended(claims []jobs.Claim) []jobs.Result {
	results := make([]jobs.Result, len(claims))
	for i, c := range claims {
		results[i] = jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded}
	}
	return results
}
