package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"carillon/internal/failpoint"
	"carillon/jobs"
)

// Config is what an Executor is made of. Every field but Logger is required.
type Config struct {
	Node  string
	Boot  string
	Slots int           // attempts at a time
	Lease time.Duration // of a claim, without renewal
	Drain time.Duration // what running attempts get at shutdown
	// Definition returns the definition of a job with that digest, or nil when
	// this node has none: the run is then left to a node that has it.
	Definition func(job, digest string) *jobs.Job
	Actions    *Actions
	Logger     *slog.Logger
}

// Executor claims runs and executes them. One executor is one node's worth of
// slots.
type Executor struct {
	store    Store
	cfg      Config
	log      *slog.Logger
	complain *complainer
	board    *board
	recalled atomic.Pointer[recollection] // after a loss of data: ends of attempts that the store may have forgotten

	work     context.Context // of I/O and attempts: outlives the context of Run while draining
	attempts sync.WaitGroup
	releases sync.WaitGroup
	keptRuns atomic.Int64 // could not be given back before the end

	// Since when Redis has said at every renewal that it serves nobody; zero: it has not.
	// Leases stand still only after a fifth of a lease of that: less than a sixth may have
	// escaped the leader, who then takes runs when their leases say so. One renewal is
	// under way at a time, and only that touches it.
	idle time.Time
}

// New builds an executor. It starts nothing.
func New(store Store, cfg Config) *Executor {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Executor{store: store, cfg: cfg, log: cfg.Logger, complain: &complainer{log: cfg.Logger}, board: newBoard(cfg.Slots)}
}

// Running is the number of attempts under way.
func (e *Executor) Running() int { return e.board.runningCount() }

// lanes is how many exchanges may be under way at once: while Redis works on
// one, the other is put together.
const lanes = 2

// flushTime is what the last results get to be written at the end.
const flushTime = 10 * time.Second

// Run claims and executes runs until ctx ends, then drains: no more claims, the
// drain time for what runs, the rest is ended and given back, and every result is
// written. It returns an error only if some of that could not be delivered.
func (e *Executor) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	e.work = work

	var loops, carriers sync.WaitGroup
	for lane := range lanes {
		carriers.Go(func() { e.runLane(work, lane) })
	}
	leases, endLeases := context.WithCancel(work)
	loops.Go(func() { e.listen(ctx) })
	loops.Go(func() { _ = e.keepLeases(leases) })
	loops.Go(func() { e.heedCancels(leases) })

	<-ctx.Done()
	e.board.close()
	e.drain()

	// Everything has ended; what is left is to say so.
	e.board.finish()
	flushed := time.AfterFunc(flushTime, stop)
	carriers.Wait()
	e.releases.Wait()
	flushed.Stop()
	endLeases()
	loops.Wait()
	e.cfg.Actions.Close()
	return undelivered(e.board.unwritten(), int(e.keptRuns.Load()))
}

// undelivered is the error of a shutdown that Redis could not be told all about.
func undelivered(results, runs int) error {
	var errs []error
	if results > 0 {
		errs = append(errs, fmt.Errorf("shut down: %d results could not be written: these runs start again when their leases expire", results))
	}
	if runs > 0 {
		errs = append(errs, fmt.Errorf("shut down: runs that could not be given back and start again when their leases expire: %d", runs))
	}
	return errors.Join(errs...)
}

// drain waits for the running attempts, and ends those that take too long.
func (e *Executor) drain() {
	ended := make(chan struct{})
	go func() {
		e.attempts.Wait()
		close(ended)
	}()
	if n := e.board.runningCount(); n > 0 {
		e.log.Info("draining: waiting for running jobs", "running", n, "at_most", e.cfg.Drain)
	}
	timer := time.NewTimer(e.cfg.Drain)
	defer timer.Stop()
	select {
	case <-ended:
		return
	case <-timer.C:
	}
	for _, a := range e.board.attempts() {
		e.log.Warn("the drain time is over: ending this run and giving it back", "run", a.claim.RunID)
		a.cancel(ErrDraining)
	}
	<-ended
}

// listen waits for the bell while there is a free slot, and has the lanes look
// for runs at least about once a second.
func (e *Executor) listen(ctx context.Context) {
	for ctx.Err() == nil && e.board.waitFree() {
		rung, err := e.store.WaitBell(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			e.complain.warn("the bell cannot be heard; looking for runs once a second", "error", err)
			pause(ctx.Done(), time.Second)
		}
		if !e.board.wake() && rung {
			// Somebody else may have a slot.
			if err := e.store.ReturnBell(e.work); err != nil {
				e.complain.warn("a bell token was lost; its run may wait for a second", "error", err)
			}
		}
	}
}

// runLane exchanges results for runs until the board has nothing more.
func (e *Executor) runLane(ctx context.Context, lane int) {
	share := max((e.cfg.Slots+lanes-1)/lanes, 1)
	if e.cfg.Slots < 2*lanes {
		share = e.cfg.Slots
	}
	for n := 1; ; n++ {
		// Let attempts that are about to end do so: their results share the call.
		runtime.Gosched()
		results, want, ok := e.board.take(lane, min(share, jobs.MaxBatch))
		if !ok {
			return
		}
		sent := time.Now()
		reply, err := e.exchange(ctx, jobs.ExchangeRequest{Lane: lane, ClaimID: fmt.Sprintf("%d-%d", lane, n), Results: results, Want: want})
		if errors.Is(err, errNothingLost) {
			e.board.claimed(want, false)
			continue
		}
		if err != nil { // only when the executor is being ended
			e.board.keep(lane, results)
			return
		}
		if len(results) > 0 {
			failpoint.Hit(failpoint.ResultSent)
		}
		for i, answer := range reply.Answers {
			if answer != jobs.FinishOK {
				e.log.Warn("the end of an attempt was not accepted", "run", results[i].RunID, "answer", answer, "status", results[i].Status)
			}
		}
		if len(results) > 0 {
			e.board.told(lane, results, reply.Answers, time.Now())
		}
		unused := want
		for _, c := range reply.Claims {
			if e.start(c, sent) {
				unused--
			}
		}
		if want > 0 {
			e.board.claimed(unused, reply.More || len(reply.Claims) == want)
		}
	}
}

// errNothingLost: a claim was given up unanswered, because no more are wanted. If it
// was carried out, its lease gives the runs back.
var errNothingLost = errors.New("claims are over")

// exchange repeats a request until it is answered.
func (e *Executor) exchange(ctx context.Context, req jobs.ExchangeRequest) (jobs.ExchangeReply, error) {
	wait := 25 * time.Millisecond
	for {
		timed, cancel := context.WithTimeout(ctx, 5*time.Second)
		reply, err := e.store.Exchange(timed, req)
		cancel()
		if err == nil {
			return reply, nil
		}
		if ctx.Err() != nil {
			return reply, ctx.Err()
		}
		if len(req.Results) == 0 && e.board.isClosing() {
			return reply, errNothingLost
		}
		e.complain.warn("no exchange with Redis; results are kept and delivered later", "results", len(req.Results), "error", err)
		wait = min(2*wait, time.Second)
		pause(ctx.Done(), time.Duration(rand.Int64N(int64(wait))+1))
	}
}

// start puts a claimed run into a slot, or gives it back: the answer says whether
// the slot is taken.
func (e *Executor) start(c jobs.Claim, sent time.Time) bool {
	back := jobs.Release{RunID: c.RunID, Token: c.Token, Kind: jobs.ReleaseUnstarted}
	job := e.cfg.Definition(c.Job, c.Digest)
	a := &attempt{claim: c, job: job, began: sent, state: leaseState{renewed: sent, never: true}}
	if job == nil {
		back.Kind = jobs.ReleasePark
		back.Reason = fmt.Sprintf("node %s has no definition %s of this job; waiting for one that has", e.cfg.Node, c.Digest)
		e.giveBack(a, back)
		return false
	}
	if time.Since(sent) > part(e.cfg.Lease, claimMaxAge) {
		back.Reason = "the claim came back too late to be started safely"
		e.giveBack(a, back)
		return false
	}
	if e.known(a) {
		return true // end has freed the slot
	}
	// The node's own file is the word on params: defaults for a run from a tick, and
	// a second look at what came through Redis.
	params, err := job.BindParams(c.Params)
	if err != nil {
		r := jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Failed, FailedStep: stoppedAt(job, c), Error: err.Error()}
		if c.Undoing {
			r.Status, r.Error = jobs.RollbackFailed, byHand(r.Error, c.Rollback)
		}
		e.board.end(a, &r)
		return true // end has freed the slot
	}
	a.claim.Params = params
	a.ctx, a.cancel = context.WithCancelCause(e.work)
	if !e.board.begin(a, &e.attempts) {
		a.cancel(nil)
		back.Reason = "the node is shutting down"
		e.giveBack(a, back)
		return false
	}
	go e.execute(a)
	return true
}

// giveBackFor is how long a release is tried: longer than most Redises are away, since
// one that is delivered lets the run start again a lease sooner than the sweep would.
const giveBackFor = 10 * time.Minute

// giveBack releases a run without holding up its caller. A release that cannot
// be delivered is made good by the lease.
func (e *Executor) giveBack(a *attempt, r jobs.Release) {
	e.board.give(a)
	e.releases.Go(func() {
		defer e.board.gave(r.Token)
		for began := time.Now(); ; {
			failpoint.Hit(failpoint.BeforeRelease)
			err := e.store.Release(e.work, []jobs.Release{r})
			if err == nil {
				failpoint.Hit(failpoint.Released)
				rest, cancel := context.WithTimeout(e.work, logFlushHurried)
				a.log.close(rest)
				cancel()
				return
			}
			if e.work.Err() != nil {
				e.keptRuns.Add(1)
				return
			}
			e.complain.warn("a run could not be given back yet", "run", r.RunID, "error", err)
			if time.Since(began) > giveBackFor {
				return
			}
			pause(e.work.Done(), time.Second)
		}
	})
}

// complainer logs a trouble that repeats at most once in five seconds.
type complainer struct {
	log *slog.Logger

	mu     sync.Mutex
	last   map[string]time.Time
	silent map[string]int
}

func (c *complainer) warn(message string, args ...any) {
	for _, a := range args {
		if err, ok := a.(error); ok && errors.Is(err, context.Canceled) {
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last, c.silent = make(map[string]time.Time), make(map[string]int)
	}
	if time.Since(c.last[message]) < 5*time.Second {
		c.silent[message]++
		return
	}
	if n := c.silent[message]; n > 0 {
		args = append(args, "repeated", n)
	}
	c.last[message], c.silent[message] = time.Now(), 0
	c.log.Warn(message, args...)
}
