package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"carillon/internal/redistest"
	"carillon/jobs"
)

// BenchmarkLivesLimit is what our own scripts allow: commit, claim and finish for
// the same number of runs, called from two loops on two connections, 64 runs a
// call, finish and claim in one round trip. There is no executor: no slots, no
// goroutine for a run, no bell to wait for. What BenchmarkLives lacks to this is the price
// of executing; what this lacks to Redis itself is the price of the promises.
func BenchmarkLivesLimit(b *testing.B) {
	const loops, batch = 2, 64
	ctx := context.Background()
	f := newFleet(b, loops, b.N)
	var loop sync.WaitGroup
	cost := f.admin.begin(b)
	b.ResetTimer()
	for lane := range loops {
		job, n := f.jobs[lane], b.N/loops
		if lane == 0 {
			n = b.N - n*(loops-1)
		}
		loop.Go(func() {
			var held []jobs.Result
			for from, call := 0, 0; from < n || len(held) > 0; call++ {
				if from < n {
					size := min(batch, n-from)
					if _, err := f.store.Commit(ctx, f.token, f.decisions(job, from, size)); err != nil {
						b.Error(err)
						return
					}
					from += size
				}
				reply, err := f.store.Exchange(ctx, jobs.ExchangeRequest{Lane: lane, ClaimID: fmt.Sprintf("%d-%d", lane, call), Results: held, Want: batch})
				if err != nil {
					b.Error(err)
					return
				}
				held = ended(reply.Claims)
			}
		})
	}
	loop.Wait()
	b.StopTimer()
	cost.report(b, b.Elapsed())
}

// BenchmarkLivesAsynq is the same work for asynq: enqueue and process a no-op
// task, 64 at a time, in one process. Eight goroutines enqueue, because each call carries
// one task; the check interval is short, so that an empty queue costs it little.
// Without retention a finished task leaves no trace; with it, its status is kept.
func BenchmarkLivesAsynq(b *testing.B) {
	b.Run("no-status", func(b *testing.B) { asynqLives(b) })
	b.Run("status-kept", func(b *testing.B) { asynqLives(b, asynq.Retention(24*time.Hour)) })
}

func asynqLives(b *testing.B, opts ...asynq.Option) {
	const producers = 8
	url := redistest.Real(b)
	conn, err := asynq.ParseRedisURI(url)
	check(b, err)
	client := asynq.NewClient(conn)
	b.Cleanup(func() { _ = client.Close() })
	server := asynq.NewServer(conn, asynq.Config{Concurrency: 64, LogLevel: asynq.FatalLevel, TaskCheckInterval: 5 * time.Millisecond})
	admin := newAdmin(b, url)

	done, all := atomic.Int64{}, make(chan struct{})
	cost := admin.begin(b)
	b.ResetTimer()
	check(b, server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		if done.Add(1) == int64(b.N) {
			close(all)
		}
		return nil
	})))
	var next atomic.Int64
	for range producers {
		go func() {
			for next.Add(1) <= int64(b.N) {
				if _, err := client.Enqueue(asynq.NewTask("noop", nil), opts...); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	<-all
	b.StopTimer()
	elapsed := b.Elapsed()
	server.Shutdown() // the last results are written before it returns
	cost.report(b, elapsed)
}
