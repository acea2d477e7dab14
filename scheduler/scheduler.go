package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"carillon/jobs"
)

// Store is what a term needs of the shared memory. Every write carries the
// term's token; an answer that satisfies errors.Is(err, leader.ErrFenced) says
// that the token no longer holds the seat, and that nothing was written.
type Store interface {
	// Now is the store's clock, estimated from a measured offset. It is cheap.
	Now() time.Time
	// Rename hands what jobs had under an old name over to the name they have in
	// the schedule. It comes before Adopt; doing it twice changes nothing.
	Rename(ctx context.Context, token string, sched *jobs.Schedule) error
	// Adopt tells the store the scheduled jobs of this term and returns the
	// cursor of each: the last tick that was decided. A new job's cursor is now;
	// a job whose timing changed, or that was away, has its cursor moved to now
	// with an entry in the ledger. Adopting the same jobs twice changes nothing.
	Adopt(ctx context.Context, token string, sched []*jobs.Job) (jobs.Adopted, error)
	// Commit makes the decisions come true, in order, and answers each. It never
	// decides a tick twice, nor one that is not due on its own clock. After an
	// error the caller knows nothing about what was committed. It does not keep ds.
	Commit(ctx context.Context, token string, ds []jobs.Decision) ([]jobs.Verdict, error)
	// Sweep moves on some of the runs whose lease or back-off is over, and those
	// parked for want of a node; runs that are being executed only with
	// takeRunning. What never began may become a run of what job says. more says that some are left.
	Sweep(ctx context.Context, token string, takeRunning bool, job func(name string) *jobs.Job) (more bool, err error)
	// Feed turns ticks of backfills into runs; left says that more may run later.
	Feed(ctx context.Context, token string, job func(name string) *jobs.Job) (left bool, err error)
	// SteadyFor is for how long this node has seen the store answer without a
	// break and with a clock that kept step.
	SteadyFor() time.Duration
}

// Config of a Scheduler. The zero value schedules nothing until Reload.
type Config struct {
	Schedule *jobs.Schedule // what to play until Reload says otherwise; may be nil
	Lease    time.Duration  // of a running attempt; default 30 s
	Logger   *slog.Logger   // default slog.Default()
}

// Scheduler turns due ticks into runs while its node leads. It outlives the
// terms: each term is one call of Run, and Reload counts for all that follow.
type Scheduler struct {
	store Store
	lease time.Duration
	log   *slog.Logger
	nap   func(time.Duration)

	pulse atomic.Pointer[Pulse] // written by the goroutine of Run alone

	mu       sync.Mutex
	schedule *jobs.Schedule
	reloaded chan struct{} // buffered 1: the schedule changed since a term last took it
}

// New returns a Scheduler. It starts nothing.
func New(store Store, cfg Config) *Scheduler {
	s := &Scheduler{
		store: store, lease: cfg.Lease, log: cfg.Logger, nap: nap,
		schedule: cfg.Schedule, reloaded: make(chan struct{}, 1),
	}
	if s.lease <= 0 {
		s.lease = 30 * time.Second
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s
}

// Reload replaces the schedule. It returns at once and may be called from any
// goroutine at any time. A running term first decides what was due under the
// old schedule, then adopts the new one; jobs that did not change lose no tick.
func (s *Scheduler) Reload(sched *jobs.Schedule) {
	s.mu.Lock()
	s.schedule = sched
	s.mu.Unlock()
	select {
	case s.reloaded <- struct{}{}:
	default: // the term will take the newest anyway
	}
}

// current is the newest schedule, or nil.
func (s *Scheduler) current() *jobs.Schedule {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.schedule
}

// find returns the definition of a job in the newest schedule, or nil.
func (s *Scheduler) find(name string) *jobs.Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.schedule == nil {
		return nil
	}
	return s.schedule.Job(name)
}

// scheduled takes the newest schedule and its jobs that have ticks, and with them the notice of a
// reload. A disabled job is among them: its cursor follows it, so that it starts
// from now when it is enabled again.
func (s *Scheduler) scheduled() (*jobs.Schedule, []*jobs.Job) {
	select {
	case <-s.reloaded:
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.schedule == nil {
		return nil, nil
	}
	list := make([]*jobs.Job, 0, len(s.schedule.Jobs))
	for _, job := range s.schedule.Jobs {
		if job.Ticks() {
			list = append(list, job)
		}
	}
	return s.schedule, list
}

// Run leads for one term under the given token. It returns when ctx ends, with
// its cause, or when the store says that the token no longer holds the seat,
// with that error (errors.Is(err, leader.ErrFenced)). All other errors of the
// store are waited out: no tick is lost by waiting. Everything it started has
// ended when it returns. Terms of one Scheduler must not overlap in time.
func (s *Scheduler) Run(ctx context.Context, token string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.pulse.Store(&Pulse{Leading: true})
	defer s.pulse.Store(nil)
	t := &term{Scheduler: s, token: token, adopted: make(chan struct{})}

	var sweeping sync.WaitGroup
	sweeping.Go(func() {
		if err := t.sweep(ctx); err != nil {
			cancel(err)
		}
	})
	err := t.play(ctx)
	cancel(err)
	sweeping.Wait()
	return err
}
