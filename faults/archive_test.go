package faults

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon/internal/redisstore"
	"carillon/jobs"
)

// archive is what Redis said about ticks and runs while it knew: ledgers are capped,
// runs are dropped, and the storm may throw away all of it.
type archive struct {
	store *redisstore.Store
	rdb   redis.UniversalClient
	ns    string
	jobs  []job

	mu      sync.Mutex
	entries map[string]map[string]jobs.LedgerEntry // job -> key of an entry -> its longest form
	ended   map[string]ended                       // run -> how it ended
	open    map[string]bool                        // runs that had not ended when they were looked at
}

// ended is how a run ended.
type ended struct {
	status   jobs.State
	attempt  int
	reason   string
	finished time.Time
}

func newArchive(store *redisstore.Store, rdb redis.UniversalClient, ns string, list []job) *archive {
	a := &archive{store: store, rdb: rdb, ns: ns, jobs: list,
		entries: map[string]map[string]jobs.LedgerEntry{}, ended: map[string]ended{}, open: map[string]bool{}}
	for _, j := range list {
		a.entries[j.name] = map[string]jobs.LedgerEntry{}
	}
	return a
}

func (a *archive) key(k string) string { return "{" + a.ns + "}:" + k }

// harvest copies the newest entries of each ledger, and how runs have ended since. It
// may fail at any time in a storm; what it got is kept.
func (a *archive) harvest(ctx context.Context, limit int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, j := range a.jobs {
		list, err := a.store.Ledger(ctx, j.name, limit)
		if err != nil {
			return err
		}
		for _, e := range list {
			a.enter(j, e)
		}
	}
	return a.endings(ctx)
}

func (a *archive) enter(j job, e jobs.LedgerEntry) {
	if e.Until.IsZero() {
		e.Until = e.Tick
	}
	// An entry grows at its end while its neighbours meet the same fate.
	key := fmt.Sprint(e.Tick.UnixMilli(), e.Outcome, e.RunID)
	if old, ok := a.entries[j.name][key]; ok {
		if e.Until.After(old.Until) {
			a.entries[j.name][key] = e
		}
		return
	}
	a.entries[j.name][key] = e
	if e.Outcome == jobs.OutcomeRan || e.Outcome == jobs.OutcomeLate {
		id := runID(j.name, e.Tick)
		a.open[id] = true
		if j.follower != "" {
			a.open[followerID(j, id)] = true
		}
	}
}

// endings asks for those runs that had not ended yet.
func (a *archive) endings(ctx context.Context) error {
	ids := make([]string, 0, len(a.open))
	for id := range a.open {
		ids = append(ids, id)
	}
	for len(ids) > 0 {
		now := ids[:min(len(ids), 500)]
		ids = ids[len(now):]
		pipe := a.rdb.Pipeline()
		answers := make([]*redis.SliceCmd, len(now))
		for i, id := range now {
			answers[i] = pipe.HMGet(ctx, a.key("run:"+id), "status", "attempt", "error", "finished_at", "reason")
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		for i, answer := range answers {
			v := answer.Val()
			text := func(k int) string { s, _ := v[k].(string); return s }
			status := jobs.State(text(0))
			if !status.Final() {
				continue
			}
			attempt, _ := strconv.Atoi(text(1))
			ms, _ := strconv.ParseInt(text(3), 10, 64)
			a.ended[now[i]] = ended{status: status, attempt: attempt, reason: text(2) + text(4), finished: time.UnixMilli(ms)}
			delete(a.open, now[i])
		}
	}
	return nil
}

// fates are the entries of a job's ledger, by the millisecond of each tick.
func (a *archive) fates(j job, ticks []time.Time) map[int64][]jobs.LedgerEntry {
	a.mu.Lock()
	defer a.mu.Unlock()
	of := map[int64][]jobs.LedgerEntry{}
	for _, e := range a.entries[j.name] {
		i, _ := slices.BinarySearchFunc(ticks, e.Tick, time.Time.Compare)
		for ; i < len(ticks) && !ticks[i].After(e.Until); i++ {
			of[ticks[i].UnixMilli()] = append(of[ticks[i].UnixMilli()], e)
		}
	}
	return of
}

func runID(job string, tick time.Time) string {
	return job + "@" + tick.UTC().Format("2006-01-02T15:04:05Z")
}

func followerID(j job, id string) string { return j.follower + "@after-" + id }
