package carillon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"carillon/executor"
	"carillon/internal/console"
	"carillon/internal/lab"
	"carillon/internal/redisstore"
	"carillon/jobs"
	"carillon/leader"
	"carillon/scheduler"
)

// Node is one carillon node: it takes part in the election, leads when it wins,
// and executes runs. Any number may live in one process.
type Node struct {
	opts        Options
	zones       *jobs.Zones // of the schedule file
	boot        string
	log         *slog.Logger
	definitions *definitions
	source      [sha256.Size]byte // of the file before it was read
	started     time.Time

	ready  chan struct{} // closed when the node is up
	reload chan struct{} // rings the reload loop
	status Status        // valid when ready is closed
	store  *redisstore.Store
	health atomic.Pointer[Health]

	elector   *leader.Elector // nil with NoLead
	strangers *strangers

	// For whoever looks over HTTP.
	meter    *console.Meter // nil without Listen
	draining atomic.Bool
	pulse    func() scheduler.Pulse
	silence  func() scheduler.Silence
	look     sync.Mutex // guards what follows
	lookedAt time.Time
	fleet    *console.Fleet
	epoch    int64
}

// Health is how a node is doing, for whoever supervises it.
type Health struct {
	Looked  time.Time // when the node last tried to reach Redis; old: its loops hang
	Reached time.Time // when it last did; old: Redis is away
	Running int       // attempts under way
	// With Options.WaitReplicas: how many replicas had what the node waited for last;
	// -1 before that.
	Replicas int
	// Hangs is since when the scheduler of this node has not ended though its term
	// has; zero when it has. Such a node executes runs and leads no more: it wants a
	// restart.
	Hangs time.Time
	// Foreign: the leader has a schedule without a job of this node's, so two fleets
	// share the namespace by mistake, and nothing of this node's schedule happens.
	Foreign bool
}

// Health says how the node is doing. The zero value before it is ready.
func (n *Node) Health() Health {
	if h := n.health.Load(); h != nil {
		return *h
	}
	return Health{}
}

// Status is what a node is, once it is ready.
type Status struct {
	Node     string
	Redis    string // without credentials
	Embedded bool   // an in-memory server, for development only
	Serving  bool   // and it lives in this process
}

// New checks the options and reads the schedule. It starts nothing and does not
// connect. A bad schedule file is a *jobs.FileError.
func New(opts Options) (*Node, error) {
	if err := opts.fill(); err != nil {
		return nil, fmt.Errorf("carillon: %w", err)
	}
	zones, err := jobs.OpenZones(opts.Zoneinfo)
	if err != nil {
		return nil, fmt.Errorf("carillon: %w", err)
	}
	sched := opts.Schedule
	var source [sha256.Size]byte
	if sched == nil {
		source = sourceSum(opts.File)
		if sched, err = jobs.Load(opts.File, jobs.WithZones(zones)); err != nil {
			return nil, err
		}
	}
	if err := checkFuncs(sched, opts.Funcs); err != nil {
		return nil, err
	}
	giveBack(sched)
	if opts.Redis == "" {
		opts.Redis = sched.Redis
	}
	if opts.Redis == "" && opts.Embedded == "" {
		return nil, errors.New("carillon: no Redis: set Redis, redis.url in the schedule file, or Embedded for development")
	}
	if len(opts.LockRedis) == 0 {
		opts.LockRedis = sched.LockRedis
	}
	if err := redisstore.CheckLockRedis(opts.LockRedis); err != nil {
		return nil, fmt.Errorf("carillon: %w", err)
	}
	return &Node{
		opts:        opts,
		zones:       zones,
		boot:        newBoot(),
		log:         opts.Logger,
		definitions: newDefinitions(sched),
		source:      source,
		ready:       make(chan struct{}),
		reload:      make(chan struct{}, 1),
	}, nil
}

// Name is the node's name.
func (n *Node) Name() string { return n.opts.Node }

// Schedule is the schedule in force.
func (n *Node) Schedule() *jobs.Schedule { return n.definitions.current() }

// Ready is closed when the node has reached Redis and takes part.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Status says what the node is. Call it after Ready.
func (n *Node) Status() Status { return n.status }

// Reload reads the schedule file again. A bad file changes nothing and is
// logged; the old schedule stays in force.
func (n *Node) Reload() {
	select {
	case n.reload <- struct{}{}:
	default:
	}
}

// Leader says who leads. Call it after Ready.
func (n *Node) Leader(ctx context.Context) (jobs.Leadership, bool, error) { return n.store.Leader(ctx) }

// Watch calls fn with every batch of events of the fleet until ctx ends; see
// docs/redis.md. resync means that events before this batch may have been
// missed. Call it after Ready.
func (n *Node) Watch(ctx context.Context, fn func(batch []jobs.Event, resync bool) error) error {
	return n.store.Watch(ctx, fn)
}

// Trigger starts a run of a job by hand, whoever leads. Call it after Ready.
func (n *Node) Trigger(ctx context.Context, job string, params map[string]string) (runID string, err error) {
	j := n.Schedule().Job(job)
	if j == nil {
		return "", fmt.Errorf("trigger %q: no such job in the schedule", job)
	}
	bound, err := j.BindParams(params)
	if err != nil {
		return "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("trigger %q: %w", job, err)
	}
	reply, err := n.store.Trigger(ctx, jobs.TriggerRequest{Job: j, Params: bound, Unique: id.String(), By: n.opts.Node})
	if err != nil {
		return "", err
	}
	switch {
	case reply.InTheWay != "":
		return "", fmt.Errorf("trigger %q: refused: run %s is unfinished (%s)", job, reply.InTheWay, reply.Why)
	case reply.Paused != nil:
		return "", fmt.Errorf("trigger %q: refused: the job was paused by %s: resume it first", job, reply.Paused.By)
	case reply.Nobody:
		return "", fmt.Errorf("trigger %q: refused: no live node serves the job", job)
	}
	return reply.RunID, nil
}

// Run is the node's life: it blocks until ctx ends and everything is handed over,
// or until the node cannot go on. When ctx ends the node resigns at once, lets
// running jobs finish within the drain time, gives the rest back and says goodbye.
// It must be called once.
func (n *Node) Run(ctx context.Context) error {
	n.started = time.Now()
	face, err := n.listen()
	if err != nil {
		return err
	}
	if face != nil {
		defer func() { _ = face.Close() }() // it has ended, or was never run
	}
	server, url, err := n.serveEmbedded()
	if err != nil {
		return err
	}
	store, err := redisstore.Open(redisstore.Options{URL: url, LockRedis: n.opts.LockRedis, WaitReplicas: n.opts.WaitReplicas, Namespace: n.opts.Namespace, Node: n.opts.Node, Boot: n.boot,
		Lease: n.opts.Lease, Logger: n.log, Dialer: lab.From(ctx).Dialer, Skew: lab.From(ctx).Skew})
	if err != nil {
		if server != nil {
			_ = server.Close()
		}
		return err
	}
	n.store, n.strangers = store, newStrangers(n, store)

	// What the rest stands on ends last: the embedded server, then the connections.
	ground := newGroup(context.WithoutCancel(ctx))
	if server != nil {
		ground.run("embedded server", server.Run)
	}
	if face != nil {
		ground.run("listen", face.Run)
	}
	err = n.live(ctx, server != nil)
	if cerr := store.Close(); cerr != nil && err == nil {
		err = fmt.Errorf("close the connections to Redis: %w", cerr)
	}
	return errors.Join(err, ground.stop(nil))
}

// live connects, runs every loop of the node and winds them up.
func (n *Node) live(ctx context.Context, serving bool) error {
	if err := n.connect(ctx, serving); err != nil {
		if ctx.Err() != nil {
			return nil // stopped while waiting for Redis
		}
		return err
	}
	if n.opts.WaitReplicas > 0 && n.opts.Lease < redisstore.LeastLease {
		n.log.Warn("the lease is too short to wait for replicas in: while one of them hangs, what is claimed is given back instead of started, since that happens in the first half of a lease only",
			"lease", jobs.DurationText(n.opts.Lease), "wait", jobs.DurationText(redisstore.ReplicaPatience), "mend", "--lease "+jobs.DurationText(redisstore.LeastLease)+" or more")
	}

	actions := &executor.Actions{Funcs: handlers(n.opts.Funcs), Grace: n.opts.Grace, Logger: n.log}
	decides, executes := scheduler.Store(n.store), executor.Store(n.store)
	if n.meter != nil {
		m := &measured{n.store, n.meter, n.jobOf}
		decides, executes = m, m
	}
	exec := executor.New(executes, executor.Config{Node: n.opts.Node, Boot: n.boot, Slots: n.opts.Slots, Lease: n.opts.Lease,
		Drain: n.opts.Drain, Definition: n.definitions.find, Actions: actions, Logger: n.log})
	sched := scheduler.New(decides, scheduler.Config{Schedule: n.definitions.current(), Lease: n.opts.Lease, Logger: n.log})
	beat := &heartbeat{node: n, exec: exec, now: make(chan struct{}, 1)}
	n.store.OnAmnesia(func(ctx context.Context, life jobs.StoreLife, tell func(context.Context, []jobs.Held) ([]jobs.HeldAnswer, error)) error {
		defer func() { sched.Reload(n.definitions.current()) }() // a leader who still rules starts the cursors anew
		defer beat.soon()                                        // Redis has forgotten that this node lives
		return exec.Relive(ctx, life, tell)
	})
	n.serve(n.definitions.current())
	if !n.opts.NoLead {
		n.elector = leader.New(n.store, leader.Config{Node: n.opts.Node, Boot: n.boot, TTL: n.opts.LeaderTTL, Logger: n.log,
			Quorum: n.store.Quorum(), Yield: n.yield()})
	}
	if err := n.patiently(ctx, func() error { return beat.once(ctx) }); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}

	// The services live until the work below is wound up: a draining node keeps its
	// heartbeat and its clock.
	services := newGroup(context.WithoutCancel(ctx))
	services.run("clock", n.store.KeepTime)
	services.run("control channel", n.store.ReceiveControl)
	beats := newGroup(context.WithoutCancel(ctx)) // ends before the goodbye: one on its way would say that the node is there again
	beats.run("heartbeat", beat.Run)

	work := newGroup(ctx)
	work.run("executor", exec.Run)
	watchdog := scheduler.NewWatchdog(sched, n.store, scheduler.WatchConfig{Grace: n.opts.LeaderGrace, Logger: n.log})
	work.run("watchdog", watchdog.Run)
	if n.elector != nil {
		pinger := newDeadman(func() jobs.Heartbeat { return n.Schedule().Heartbeat }, sched.Pulse, n.log)
		work.run("election", func(ctx context.Context) error {
			return n.elector.Run(ctx, func(ctx context.Context, term leader.Term) error {
				return pinger.beside(ctx, func(ctx context.Context) error { return sched.Run(ctx, term.Token) })
			})
		})
	}
	adopt := func(s *jobs.Schedule) {
		n.definitions.replace(s)
		n.serve(s)
		beat.soon()
		sched.Reload(s)
		if err := n.store.Announce(ctx, jobs.Event{Type: jobs.EventReloaded, Node: n.opts.Node, Reason: "schedule " + s.Digest}); err != nil {
			n.log.Warn("the reload could not be announced", "error", err)
		}
	}
	if n.opts.File != "" {
		r := &reloader{node: n, adopt: adopt}
		work.run("reload", r.Run)
	}
	if schedules := lab.From(ctx).Schedules; schedules != nil {
		work.run("reload", func(ctx context.Context) error { return takeOver(ctx, schedules, adopt) })
	}
	n.pulse, n.silence = sched.Pulse, watchdog.Silence
	close(n.ready)

	select {
	case <-ctx.Done():
	case <-work.failed:
	case <-services.failed:
	case <-beats.failed:
	}
	n.draining.Store(true)
	beat.leave()
	err := errors.Join(work.stop(nil), beats.stop(nil))
	goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if lerr := n.store.Leave(goodbye); lerr != nil {
		n.log.Warn("could not say goodbye: the others notice in a few seconds", "error", lerr)
	}
	return errors.Join(err, services.stop(nil))
}

// serve tells the store which runs this node takes.
func (n *Node) serve(s *jobs.Schedule) { n.store.Serve(n.routes(s), s.MaxWait) }

// routes are those that jobs of the schedule ask for and this node has; none where
// another fleet leads, beside the node's own: that is the store's.
func (n *Node) routes(s *jobs.Schedule) []string {
	if n.strangers.foreign.Load() {
		return nil
	}
	return s.Routes(n.opts.Pool, n.opts.Labels)
}

// connect waits until Redis serves this node.
func (n *Node) connect(ctx context.Context, serving bool) error {
	err := n.patiently(ctx, func() error {
		if err := n.store.Ping(ctx); err != nil {
			return err
		}
		if err := n.store.CheckWritable(ctx); err != nil {
			return err
		}
		if err := n.store.CheckReplicas(ctx); err != nil {
			return err
		}
		return n.store.SyncClock(ctx)
	})
	if err != nil {
		return err
	}
	n.status = Status{Node: n.opts.Node, Redis: n.store.Addr(), Embedded: n.opts.Redis == "", Serving: serving}
	if n.status.Embedded {
		if err := n.joinEmbedded(ctx); err != nil {
			return err
		}
	}
	for range 2 { // the best of three measurements to begin with; one will do
		_ = n.store.SyncClock(ctx)
	}
	return n.checkLocks(ctx)
}

// patiently repeats what the beginning of a node's life takes until Redis answers. A
// wrong address, password or database is an error at once; a Redis that is not there
// yet, or takes no writes yet, is waited for.
func (n *Node) patiently(ctx context.Context, f func() error) error {
	for tries := 0; ; tries++ {
		err := f()
		if err == nil || redisstore.ClassOf(err) == redisstore.Fatal {
			return err
		}
		if tries%5 == 0 && ctx.Err() == nil {
			n.log.Warn("waiting for Redis", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// checkLocks looks at the lock Redises before the first election. One that is away
// is no reason not to start: the others may do, or it comes back. One that will never
// serve this node is.
func (n *Node) checkLocks(ctx context.Context) error {
	if n.opts.NoLead {
		return nil
	}
	for _, err := range n.store.PingLocks(ctx) {
		switch {
		case err == nil:
		case redisstore.ClassOf(err) == redisstore.Fatal:
			return err
		default:
			n.log.Warn("a lock Redis does not answer; most of them must, for anybody to lead", "error", err)
		}
	}
	return nil
}
