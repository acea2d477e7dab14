package executor

import (
	"context"
	"io"
	"log/slog"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"carillon/jobs"
)

// BenchmarkCommands starts 200 shells at once, as an attempt and bare: the
// difference is what groups, the watcher and the output cost.
func BenchmarkCommands(b *testing.B) {
	const many = 200
	b.Run("attempt", func(b *testing.B) {
		a := &Actions{Logger: slog.New(slog.DiscardHandler)}
		defer a.Close()
		log := &memoryLog{}
		for b.Loop() {
			var all sync.WaitGroup
			for i := range many {
				all.Go(func() {
					at := script("true")
					at.Boot, at.Claim.Token = "bench", strconv.Itoa(i)
					out := NewOutput(log, "run", 1)
					if report := a.Run(context.Background(), &at, out); report.Err != nil {
						b.Error(report.Err)
					}
					out.Close(context.Background())
				})
			}
			all.Wait()
		}
	})
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			var all sync.WaitGroup
			for range many {
				all.Go(func() {
					cmd := exec.Command("/bin/sh", "-c", "true")
					cmd.Stdout = io.Discard
					cmd.Stderr = cmd.Stdout
					if err := cmd.Run(); err != nil {
						b.Error(err)
					}
				})
			}
			all.Wait()
		}
	})
}

// BenchmarkFunc is the cost of an attempt that does nothing and says nothing.
func BenchmarkFunc(b *testing.B) {
	a := &Actions{Funcs: map[string]Handler{"noop": func(context.Context, Attempt, io.Writer) error { return nil }}}
	at := attemptOf(jobs.Action{Kind: jobs.ActionFunc, Func: "noop"})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		out := NewOutput(nil, "run", 1)
		if report := a.Run(ctx, &at, out); report.Err != nil {
			b.Fatal(report.Err)
		}
		out.Close(ctx)
	}
}
