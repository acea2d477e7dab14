package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"carillon/jobs"
)

// BenchmarkScripts is what each script costs Redis for a run: many ticks of one
// job, and one tick of many jobs, which is what an instant at which many jobs are due
// looks like. The commit is one call; times its number of runs it is how long
// Redis does nothing else.
func BenchmarkScripts(b *testing.B) {
	for _, c := range []struct{ jobs, ticks int }{{1, 1}, {1, 64}, {64, 1}, {200, 1}} {
		b.Run(fmt.Sprintf("%d-jobs-%d-ticks", c.jobs, c.ticks), func(b *testing.B) {
			ctx := context.Background()
			f := newFleet(b, c.jobs, b.N+c.ticks)
			names := []string{"commit", "claim", "finish"}
			spent, commands := make([]time.Duration, len(names)), make([]int64, len(names))
			measure := func(i int, do func() error) {
				before := f.admin.counts(b)
				check(b, do())
				after := f.admin.counts(b)
				spent[i] += after.cpu - before.cpu
				commands[i] += after.commands - before.commands - 1 // INFO counts itself
			}
			runs := 0
			for call := 0; runs < b.N; call++ {
				var ds []jobs.Decision
				for _, job := range f.jobs {
					ds = append(ds, f.decisions(job, call*c.ticks, c.ticks)...)
				}
				measure(0, func() error {
					_, err := f.store.Commit(ctx, f.token, ds)
					return err
				})
				for left, part := len(ds), 0; left > 0; part++ {
					var reply jobs.ExchangeReply
					measure(1, func() (err error) {
						reply, err = f.store.Exchange(ctx, jobs.ExchangeRequest{ClaimID: fmt.Sprintf("0-%d-%d", call, part), Want: min(left, jobs.MaxBatch)})
						return err
					})
					if len(reply.Claims) == 0 {
						b.Fatalf("%d runs are not there to be claimed", left)
					}
					measure(2, func() error {
						_, err := f.store.Exchange(ctx, jobs.ExchangeRequest{Results: ended(reply.Claims)})
						return err
					})
					left -= len(reply.Claims)
				}
				runs += len(ds)
			}
			b.ReportMetric(0, "ns/op") // mostly our own questions
			for i, name := range names {
				b.ReportMetric(float64(spent[i])/float64(time.Microsecond)/float64(runs), name+"-µs/run")
				b.ReportMetric(float64(commands[i])/float64(runs), name+"-commands/run")
			}
		})
	}
}
