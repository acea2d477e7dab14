package executor

import (
	"context"
	"io"
	"testing"
	"time"

	"carillon/jobs"
)

// BenchmarkAttempt is what an attempt that does nothing costs this node, from its
// claim to the result on the board.
func BenchmarkAttempt(b *testing.B) {
	job := &jobs.Job{Name: "j", Digest: "d", Action: jobs.Action{Kind: jobs.ActionFunc, Func: "noop"}, Retry: jobs.Retry{Attempts: 1}}
	e := New(newFakeStore(), Config{Node: "n", Boot: "b", Slots: 1, Lease: 30 * time.Second,
		Actions:    &Actions{Funcs: map[string]Handler{"noop": func(context.Context, Attempt, io.Writer) error { return nil }}},
		Definition: func(string, string) *jobs.Job { return job }})
	e.work = b.Context()
	claim, sent := claimOf(1), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		e.board.take(0, 1)
		if !e.start(claim, sent) {
			b.Fatal("the run was given back")
		}
		e.attempts.Wait()
		if time.Since(sent) > time.Second {
			sent = time.Now()
		}
	}
	if results, _, _ := e.board.take(0, 1); len(results) == 0 || results[0].Status != jobs.Succeeded {
		b.Fatal("no success", results)
	}
}
