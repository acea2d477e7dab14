package scheduler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
	"carillon/leader"
)

var errDown = errors.New("the store does not answer")

// done is one line of the fake store's books.
type done struct {
	job         string
	tick, until time.Time
	count       int
	outcome     jobs.Outcome
	reason      string
	at          time.Time // on the store's clock
	node        string    // the token that committed it
}

// fakeStore keeps the promises of Store in memory, on the bubble's clock. Two
// schedulers may share one; each sees it through a view of its own.
type fakeStore struct {
	mu       sync.Mutex
	shift    time.Duration // the store's clock before the bubble's
	seat     string        // the token that may write
	moved    time.Time     // when the term last got on
	given    time.Time     // when it began
	decided  bool          // it has decided a tick
	cursors  map[string]time.Time
	timing   map[string]string
	books    []done
	runTakes map[string]time.Duration // how long a run of the job is unfinished
	busy     map[string]time.Time     // until when one is
	adopts   int
	commits  int
}

func newFakeStore() *fakeStore {
	return &fakeStore{
		seat: "a", cursors: map[string]time.Time{}, timing: map[string]string{},
		runTakes: map[string]time.Duration{}, busy: map[string]time.Time{},
	}
}

func (f *fakeStore) clock() time.Time { return time.Now().Add(f.shift) }

func (f *fakeStore) setShift(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shift = d
}

func (f *fakeStore) give(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seat, f.moved, f.given, f.decided = token, f.clock(), f.clock(), false
}

// view is one node's connection to the store.
type view struct {
	*fakeStore
	estimate time.Duration // how far the node believes the store's clock to be ahead of what it is

	mu     sync.Mutex
	before func(op string) error // a fault on the way there: nothing was done
	after  func(op string) error // a fault on the way back: it was done
	sweeps []bool                // takeRunning of each
	more   int                   // how many sweeps answer that some are left
	stuck  time.Duration         // how long a sweep takes
	steady time.Duration
	looks  int
}

// fault asks one of the hooks, which may be changed while a term runs.
func (v *view) fault(hook *func(string) error, op string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if *hook == nil {
		return nil
	}
	return (*hook)(op)
}

func (v *view) Now() time.Time {
	v.fakeStore.mu.Lock()
	defer v.fakeStore.mu.Unlock()
	v.looks++
	return v.clock().Add(v.estimate)
}

func (v *view) SteadyFor() time.Duration { return v.steady }

func (v *view) Rename(_ context.Context, token string, _ *jobs.Schedule) error {
	v.fakeStore.mu.Lock()
	defer v.fakeStore.mu.Unlock()
	if v.seat != token {
		return fmt.Errorf("rename: %w", leader.ErrFenced)
	}
	return nil
}

func (v *view) Adopt(ctx context.Context, token string, sched []*jobs.Job) (jobs.Adopted, error) {
	if err := v.fault(&v.before, "adopt"); err != nil {
		return jobs.Adopted{}, err
	}
	cursors, err := v.adopt(token, sched)
	if err == nil {
		err = v.fault(&v.after, "adopt")
	}
	return jobs.Adopted{Cursors: cursors}, err
}

func (f *fakeStore) adopt(token string, sched []*jobs.Job) (map[string]time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seat != token {
		return nil, fmt.Errorf("adopt: %w", leader.ErrFenced)
	}
	f.adopts++
	if f.clock().Sub(f.given) < 2*time.Minute && !f.decided {
		f.moved = f.clock()
	}
	out := map[string]time.Time{}
	for _, job := range sched {
		at, known := f.cursors[job.Name]
		if known && f.timing[job.Name] != job.Timing {
			now := f.clock()
			f.books = append(f.books, done{job: job.Name, tick: at, until: now, outcome: jobs.OutcomeSkipped, reason: "schedule changed", at: now, node: token})
			known = false
		}
		if !known {
			f.cursors[job.Name], f.timing[job.Name] = f.clock(), job.Timing
		}
		out[job.Name] = f.cursors[job.Name]
	}
	for name := range f.cursors {
		if _, ok := out[name]; !ok {
			f.timing[name] = "gone"
		}
	}
	return out, nil
}

func (v *view) Commit(ctx context.Context, token string, ds []jobs.Decision) ([]jobs.Verdict, error) {
	if err := v.fault(&v.before, "commit"); err != nil {
		return nil, err
	}
	vs, err := v.commit(token, ds)
	if err == nil {
		err = v.fault(&v.after, "commit")
	}
	return vs, err
}

func (f *fakeStore) commit(token string, ds []jobs.Decision) ([]jobs.Verdict, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seat != token {
		return nil, fmt.Errorf("commit: %w", leader.ErrFenced)
	}
	f.commits++
	var vs []jobs.Verdict
	for _, d := range ds {
		vs = append(vs, f.decide(token, d))
	}
	return vs, nil
}

func (f *fakeStore) decide(token string, d jobs.Decision) jobs.Verdict {
	name, now := d.Job.Name, f.clock()
	runs := d.Outcome == jobs.OutcomeRan || d.Outcome == jobs.OutcomeLate
	inTheWay := runs && d.Job.Overlap == jobs.OverlapSkip && f.busy[name].After(now)
	v := jobs.Verdict{Kind: jobs.VerdictRecorded}
	switch {
	case !d.Tick.After(f.cursors[name]):
		return jobs.Verdict{Kind: jobs.VerdictDuplicate, Cursor: f.cursors[name]}
	case d.Until.After(now):
		return jobs.Verdict{Kind: jobs.VerdictEarly, Wait: d.Until.Sub(now)}
	case inTheWay && d.Wait:
		return jobs.Verdict{Kind: jobs.VerdictBusy}
	case inTheWay:
		v.Kind, d.Outcome, d.Reason = jobs.VerdictSkipped, jobs.OutcomeSkipped, "overlap"
	case runs:
		v.Kind, v.RunID = jobs.VerdictRan, jobs.TickRunID(name, d.Tick)
		f.busy[name] = now.Add(f.runTakes[name])
	}
	f.cursors[name], f.moved, f.decided = d.Until, now, true
	f.books = append(f.books, done{job: name, tick: d.Tick, until: d.Until, count: d.Count, outcome: d.Outcome, reason: d.Reason, at: now, node: token})
	return v
}

func (v *view) Sweep(ctx context.Context, token string, takeRunning bool, _ func(string) *jobs.Job) (bool, error) {
	if err := v.fault(&v.before, "sweep"); err != nil {
		return false, err
	}
	if v.stuck > 0 {
		pause(ctx, v.stuck)
	}
	v.fakeStore.mu.Lock()
	defer v.fakeStore.mu.Unlock()
	if v.seat != token {
		return false, fmt.Errorf("sweep: %w", leader.ErrFenced)
	}
	v.sweeps = append(v.sweeps, takeRunning)
	v.more--
	return v.more >= 0, nil
}

// page is what the books say about one job.
func (f *fakeStore) page(job string) []done {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []done
	for _, d := range f.books {
		if d.job == job {
			out = append(out, d)
		}
	}
	return out
}

// tally counts the ticks of a job by outcome.
func (f *fakeStore) tally(job string) map[jobs.Outcome]int {
	out := map[jobs.Outcome]int{}
	for _, d := range f.page(job) {
		out[d.outcome] += d.count
	}
	return out
}

// accounted checks that every tick of the job in (from, to] is in the books
// exactly once.
func (f *fakeStore) accounted(t testing.TB, job *jobs.Job, from, to time.Time) {
	t.Helper()
	ticks := ticksBetween(job, from, to)
	i := 0
	for _, d := range f.page(job.Name) {
		covered := 0
		for ; i < len(ticks) && !ticks[i].After(d.until); i++ {
			require.False(t, ticks[i].Before(d.tick), "%s: tick %s was passed over", job.Name, ticks[i])
			covered++
		}
		require.Positive(t, covered, "%s: %s to %s is in the books twice", job.Name, d.tick, d.until)
		if d.count > 0 {
			require.Equal(t, d.count, covered, "%s: ticks of one line", job.Name)
		}
	}
	require.Equal(t, len(ticks), i, "%s: ticks that are not in the books", job.Name)
}

// Feed has nothing: backfills are the store's own test.
func (v *view) Feed(context.Context, string, func(string) *jobs.Job) (bool, error) { return false, nil }
