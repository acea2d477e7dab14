package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"carillon/internal/redisstore"
	"carillon/jobs"
)

// fakeStore is a store whose answers a test writes down.
type fakeStore struct {
	mu       sync.Mutex
	runs     map[string]jobs.Run
	log      []jobs.LogChunk
	nodes    []jobs.Node
	marks    map[string]jobs.Marks
	ledger   []jobs.LedgerEntry
	reply    jobs.TriggerReply
	asked    jobs.TriggerRequest
	paused   map[string]jobs.Pause
	canceled []string // what was asked of Cancel
	answer   jobs.CancelAnswer
	resumed  bool // what ResumeRollback answers
	filled   jobs.BackfillReply
	ticks    []time.Time // what was asked of Backfill
	down     error       // every call fails with it
	hopeless bool
	facts    redisstore.Facts
	page     int // chunks a page; 0: all
	reads    int // of the log
	batches  []fakeBatch
}

type fakeBatch struct {
	events []jobs.Event
	resync bool
}

var errDown = errors.New("connection refused")

// set changes the fake under its lock, as another process would.
func (f *fakeStore) set(change func(f *fakeStore)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeStore) Ping(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down
}

func (f *fakeStore) Run(_ context.Context, id string) (jobs.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return jobs.Run{}, f.down
	}
	r, ok := f.runs[id]
	if !ok {
		return jobs.Run{}, errNoRun
	}
	return r, nil
}

func (f *fakeStore) Runs(_ context.Context, filter runFilter) ([]jobs.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []jobs.Run
	for _, r := range f.runs {
		if (filter.Job == "" || filter.Job == r.Job) && (filter.Status == "" || filter.Status == r.Status) {
			out = append(out, r)
		}
	}
	return out, f.down
}

func (f *fakeStore) Ledger(context.Context, string, int) ([]jobs.LedgerEntry, error) {
	return f.ledger, f.down
}

func (f *fakeStore) Nodes(context.Context) ([]jobs.Node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes, f.down
}

func (f *fakeStore) Marks(context.Context, []string) (map[string]jobs.Marks, error) {
	return f.marks, f.down
}

func (f *fakeStore) Facts(context.Context) (redisstore.Facts, error) {
	return f.facts, f.down
}

func (f *fakeStore) ReadLog(_ context.Context, _, after string) ([]jobs.LogChunk, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return nil, f.down
	}
	f.reads++
	rest := f.log
	for i, c := range f.log {
		if c.ID == after {
			rest = f.log[i+1:]
		}
	}
	if f.page > 0 && len(rest) > f.page {
		rest = rest[:f.page]
	}
	return rest, nil
}

func (f *fakeStore) Watch(ctx context.Context, fn func([]jobs.Event, bool) error) error {
	for _, b := range f.batches {
		if err := fn(b.events, b.resync); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

func (f *fakeStore) Trigger(_ context.Context, req jobs.TriggerRequest) (jobs.TriggerReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = req
	return f.reply, f.down
}

func (f *fakeStore) Backfill(_ context.Context, _ *jobs.Job, ticks []time.Time, _ string, _ bool) (jobs.BackfillReply, error) {
	f.ticks = ticks
	return f.filled, f.down
}

func (f *fakeStore) Cancel(_ context.Context, id, by, reason string) (jobs.CancelAnswer, jobs.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.canceled = []string{id, by, reason}
	return f.answer, f.runs[id].Status, f.down
}

func (f *fakeStore) ResumeRollback(_ context.Context, id, _ string) (bool, jobs.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.runs[id]
	if f.resumed && ok {
		r.Status = jobs.RollingBack
		f.runs[id] = r
	}
	return f.resumed, r.Status, f.down
}

func (f *fakeStore) Pause(_ context.Context, job, by, note string) (jobs.Pause, bool, error) {
	if p, ok := f.paused[job]; ok {
		return p, false, f.down
	}
	p := jobs.Pause{Job: job, Since: pausedAt, By: by, Note: note}
	f.paused = map[string]jobs.Pause{job: p}
	return p, true, f.down
}

func (f *fakeStore) Resume(_ context.Context, job, _ string) (jobs.Pause, bool, error) {
	p, ok := f.paused[job]
	delete(f.paused, job)
	return p, ok, f.down
}

func (f *fakeStore) Paused(context.Context) (map[string]jobs.Pause, error) { return f.paused, f.down }

var pausedAt = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

func (f *fakeStore) Hopeless(error) bool { return f.hopeless }
func (f *fakeStore) Close() error        { return nil }

// screen is an app with a fake behind it and buffers before it.
type screen struct {
	*app
	out, err *bytes.Buffer
}

func newScreen(st store) screen {
	s := screen{out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	s.app = &app{
		stdout: s.out, stderr: s.err,
		getenv:   func(string) string { return "" },
		hostname: func() (string, error) { return "host", nil },
		now:      time.Now,
		open:     func(address, string) (store, error) { return st, nil },
		speakFor: func(*slog.Logger) {},
	}
	s.opts.output, s.opts.color, s.opts.embedded = formatTable, colorNever, defaultEmbedded
	return s
}

func chunk(id string, attempt int, offset int64, data string) jobs.LogChunk {
	return jobs.LogChunk{ID: id, Attempt: attempt, Offset: offset, Data: []byte(data)}
}
