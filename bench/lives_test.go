package bench

import (
	"context"
	"io"
	"testing"
	"time"

	"carillon/executor"
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
	f := newFleet(b, 1, b.N)
	job := f.jobs[0]

	finished := make(chan struct{}, 1<<16)
	actions := &executor.Actions{Funcs: map[string]executor.Handler{"noop": func(context.Context, executor.Attempt, io.Writer) error {
		finished <- struct{}{}
		return nil
	}}}
	exec := executor.New(f.store, executor.Config{Node: "bench", Boot: "boot", Slots: 64, Lease: 30 * time.Second, Drain: time.Second,
		Definition: func(string, string) *jobs.Job { return job }, Actions: actions})

	done := make(chan error, 1)
	cost := f.admin.begin(b)
	b.ResetTimer()
	go func() { done <- exec.Run(ctx) }()
	go func() {
		const batch = 128
		for from := 0; from < b.N; from += batch {
			if _, err := f.store.Commit(ctx, f.token, f.decisions(job, from, min(batch, b.N-from))); err != nil {
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
	cost.report(b, elapsed)
}
