package bench

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"carillon/executor"
	"carillon/internal/redisstore"
	"carillon/internal/redistest"
	"carillon/jobs"
)

// noop is the job of the benchmarks: it does nothing, so that everything that is
// measured is ours.
func noop(name string) *jobs.Job {
	return &jobs.Job{Name: name, Enabled: true, Overlap: jobs.OverlapAllow, Priority: 5, Retry: jobs.Retry{Attempts: 1},
		Action: jobs.Action{Kind: jobs.ActionFunc, Func: "noop"}, Digest: "0123456789abcdef", Timing: "fedcba9876543210"}
}

// BenchmarkLives is the whole life of a no-op run: committed from its tick,
// claimed, executed, finished, with status, lease, history, ledger and events, in
// one process with 64 slots against a real Redis. It reports runs/s, and what a
// run costs in commands of Redis and in round trips.
func BenchmarkLives(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	url := redistest.Real(b)
	store, err := redisstore.Open(redisstore.Options{URL: url, Node: "bench", Boot: "boot"})
	check(b, err)
	defer store.Close()
	job := noop("noop")
	token := "bench:boot:1"
	admin := newAdmin(b, url)
	admin.set(b, "{carillon}:leader", token)
	_, _, err = store.Install(ctx, token, "bench")
	check(b, err)
	check(b, store.SyncClock(ctx))
	_, err = store.Heartbeat(ctx, jobs.Node{Slots: 64}, []*jobs.Schedule{{Digest: "s", Jobs: []*jobs.Job{job}}})
	check(b, err)

	finished := make(chan struct{}, 1<<16)
	actions := &executor.Actions{Funcs: map[string]executor.Handler{"noop": func(context.Context, executor.Attempt, io.Writer) error {
		finished <- struct{}{}
		return nil
	}}}
	exec := executor.New(store, executor.Config{Node: "bench", Boot: "boot", Slots: 64, Lease: 30 * time.Second, Drain: time.Second,
		Definition: func(string, string) *jobs.Job { return job }, Actions: actions})

	// Ticks of the past, one a second, and the cursor before the first of them.
	first := store.Now().Truncate(time.Second).Add(-time.Duration(b.N+10) * time.Second)
	admin.do(b, "HSET", "{carillon}:cursors", job.Name, fmt.Sprintf("%d %s", first.Add(-time.Second).UnixMilli(), job.Timing))
	done := make(chan error, 1)
	before := admin.counts(b)
	b.ResetTimer()
	go func() { done <- exec.Run(ctx) }()
	go func() {
		for n := 0; n < b.N; {
			batch := make([]jobs.Decision, 0, 128)
			for ; n < b.N && len(batch) < cap(batch); n++ {
				tick := first.Add(time.Duration(n) * time.Second)
				batch = append(batch, jobs.Decision{Job: job, Tick: tick, Until: tick, Count: 1, Outcome: jobs.OutcomeLate})
			}
			if _, err := store.Commit(ctx, token, batch); err != nil {
				b.Error(err)
				return
			}
		}
	}()
	for range b.N {
		<-finished
	}
	b.StopTimer()
	elapsed := b.Elapsed()
	cancel()
	check(b, <-done) // the last results are written before Run returns
	after := admin.counts(b)
	n := float64(b.N)
	b.ReportMetric(n/elapsed.Seconds(), "runs/s")
	b.ReportMetric(float64(after.commands-before.commands)/n, "commands/run")
	b.ReportMetric(float64(after.calls-before.calls)/n, "roundtrips/run")
	b.ReportMetric(float64(after.cpu-before.cpu)/n/float64(time.Microsecond), "redis-µs/run")
}
