package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"carillon"
	"carillon/internal/redisstore"
	"carillon/jobs"
)

type upOptions struct {
	node      string
	slots     int
	leaderTTL time.Duration
	grace     time.Duration // of a silent leader; 0: the default
	lease     time.Duration
	drain     time.Duration
	noLead    bool
	pool      string
	labels    []string
	lockRedis []string
	replicas  int
	listen    string
	dev       bool
	log       logKind
}

func (a *app) upCommand() *cobra.Command {
	o := upOptions{log: logText}
	cmd := a.command(spec{
		use:   "up",
		short: "Be a node until SIGTERM: take part in the election, execute runs",
		long: `Be a node until SIGTERM or Ctrl-C. Every node is the same: start it with the same
file wherever jobs may run, and one of them leads.
The first signal drains: no new runs, running ones get --drain, the rest goes back
to the queue. A second one ends the process at once. SIGHUP reads the file again;
so does a change of it.`,
		example: `  carillon up                                      # the embedded server: development only
  carillon up                                      # in a second terminal: a second node
  carillon up --redis redis://10.0.0.5:6379/0 --slots 16 --log json
  carillon up --no-lead --node batch-7             # executes, never leads
  carillon up --pool gpu --label zone=eu --label disk=ssd
  carillon up --redis 10.0.0.5 --lock-redis 10.0.1.1 --lock-redis 10.0.1.2 --lock-redis 10.0.1.3`,
		args: noArgs,
		run: func(cmd *cobra.Command, _ []string) error {
			// Zero stands for the default in what follows. Who writes it means something else.
			for _, name := range []string{"slots", "leader-grace"} {
				if given := cmd.Flags().Lookup(name); given.Changed && (given.Value.String() == "0" || given.Value.String() == "0s") {
					return fail(exitUsage, "--%s 0: expected more than 0, or leave the flag out for the default", name).at(cmd)
				}
			}
			return a.up(cmd.Context(), o)
		},
	})
	f := cmd.Flags()
	f.StringVar(&o.node, "node", "", "`NAME` of this node, unique in the fleet (default: host name and process id)")
	f.IntVar(&o.slots, "slots", 0, "execute `N` runs at a time (default: 2 for each CPU)")
	f.StringArrayVar(&o.labels, "label", nil, "what this node has, `KEY=VALUE`, for jobs with nodes:; may be repeated")
	f.StringVar(&o.pool, "pool", "", "`NAME` of the pool this node is in, for jobs with pool:")
	f.DurationVar(&o.leaderTTL, "leader-ttl", carillon.DefaultLeaderTTL, "a dead leader is replaced after this `DURATION`")
	f.DurationVar(&o.grace, "leader-grace", 0, "a leader that decides nothing is deposed after this `DURATION` (default: 15s, or 3 leader TTLs)")
	f.DurationVar(&o.lease, "lease", carillon.DefaultLease, "a dead node's runs start elsewhere after this `DURATION`")
	f.DurationVar(&o.drain, "drain", carillon.DefaultDrain, "running jobs get this `DURATION` when the node stops")
	f.StringArrayVar(&o.lockRedis, "lock-redis", nil, "`URL` of a Redis for the leader's lock, one of 3, 5, 7 or 9 that know nothing of each other\n(default: $CARILLON_LOCK_REDIS with commas between, or redis.lock of the file, or none: the lock is on --redis)")
	f.IntVar(&o.replicas, "wait-replicas", 0, "queue a tick, and begin a command, only when `N` replicas of Redis know of it, or do not answer in time")
	f.StringVar(&o.listen, "listen", "", "answer GET /healthz, /readyz and /metrics at `HOST:PORT`, such as 127.0.0.1:8080 (default: nowhere)")
	f.BoolVar(&o.noLead, "no-lead", false, "execute runs, never lead")
	f.BoolVar(&o.dev, "dev", false, "allow the embedded server under systemd or Kubernetes")
	f.Var(&o.log, "log", "how the node's log is written")
	a.completeFlag(cmd, "log", completeWords([]string{string(logText), string(logJSON)}))
	for _, name := range []string{"node", "slots", "label", "pool", "leader-ttl", "leader-grace", "lease", "drain", "lock-redis", "wait-replicas", "listen"} {
		a.completeFlag(cmd, name, cobra.NoFileCompletions)
	}
	return cmd
}

// up runs one node until a signal ends it.
func (a *app) up(ctx context.Context, o upOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	log := a.logger(o.log)
	a.speakFor(log) // net/http logs what a server says unasked; a file of JSON stays one
	node, err := a.newNode(o, log)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	stopped := context.AfterFunc(ctx, func() {
		log.Info("stopping: running jobs get the drain time; a second signal ends the process at once", "drain", o.drain.String())
	})
	defer stopped()

	// What watches the node ends with it, not with the signal: the drain is worth
	// reading.
	side, end := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	loops.Go(func() { reloadOn(side, hup, node) })
	loops.Go(func() { a.narrate(side, node, o, log) })
	loops.Go(func() {
		if err := newSystemd(a.getenv, os.Getpid()).accompany(side, ctx, node); err != nil {
			log.Warn("the service manager does not hear this node any more", "error", err)
		}
	})
	err = node.Run(ctx)
	end()
	loops.Wait()
	return upFailed(err)
}

// check refuses flags that cannot be meant. Zero slots is the default.
func (o *upOptions) check() error {
	bad := func(format string, args ...any) error {
		return fail(exitUsage, format, args...).withHint("see `carillon up --help`")
	}
	switch {
	case o.node != "" && !carillon.NodeNamePattern.MatchString(o.node):
		return bad("--node %q: expected letters, digits, _ . -, at most 64, beginning with a letter or digit", o.node)
	case o.slots < 0 || o.slots > maxSlots:
		return bad("--slots %d: expected 1 to %d", o.slots, maxSlots)
	case o.leaderTTL < minLeaderTTL:
		return bad("--leader-ttl %s: expected at least %s", o.leaderTTL, minLeaderTTL)
	case o.grace != 0 && o.grace < minGrace:
		return bad("--leader-grace %s: expected at least %s", o.grace, minGrace)
	case o.grace != 0 && o.grace < o.leaderTTL:
		return bad("--leader-grace %s is shorter than --leader-ttl, which is %s: expected at least as much, or a shorter --leader-ttl", o.grace, o.leaderTTL)
	case o.lease < minLease:
		return bad("--lease %s: expected at least %s", o.lease, minLease)
	case o.replicas < 0 || o.replicas > 100:
		return bad("--wait-replicas %d: expected 0 to 100", o.replicas)
	case o.drain < 0:
		return bad("--drain %s: expected 0 or more", o.drain)
	}
	if o.listen != "" {
		_, port, err := net.SplitHostPort(o.listen)
		if err != nil || port == "" {
			return bad("--listen %q: expected HOST:PORT, such as 127.0.0.1:8080", o.listen)
		}
		if _, err := net.LookupPort("tcp", port); err != nil {
			return bad("--listen %q: there is no port %s: expected 0 to 65535", o.listen, port)
		}
	}
	if o.pool != "" {
		if err := jobs.CheckPool(o.pool); err != nil {
			return bad("--pool: %w", err)
		}
	}
	if _, err := parseLabels(o.labels); err != nil {
		return bad("%w", err)
	}
	if o.slots == 0 {
		o.slots = 2 * runtime.GOMAXPROCS(0)
	}
	return nil
}

// parseLabels reads KEY=VALUE words.
func parseLabels(words []string) (map[string]string, error) {
	labels := make(map[string]string, len(words))
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--label %q: expected KEY=VALUE, such as zone=eu", w)
		}
		if err := jobs.CheckLabel(key, value); err != nil {
			return nil, fmt.Errorf("--label %q: %w", w, err)
		}
		if _, twice := labels[key]; twice {
			return nil, fmt.Errorf("--label %s is given twice", key)
		}
		labels[key] = value
	}
	return labels, nil
}

// The bounds of carillon.Options, said as flags.
const (
	maxSlots     = 10_000
	minLeaderTTL = 300 * time.Millisecond
	minGrace     = time.Second
	minLease     = time.Second
)

func (a *app) newNode(o upOptions, log *slog.Logger) (*carillon.Node, error) {
	path, _ := a.path()
	given, named := a.givenAddress()
	fallback, err := a.embeddedAddress()
	if err != nil {
		return nil, err
	}
	if named {
		st, err := a.open(given, a.namespace()) // connects to nothing yet
		if err != nil {
			return nil, fail(exitUsage, "%s", given.scrub(err.Error()))
		}
		_ = st.Close()
	}
	drain := o.drain
	if drain == 0 {
		drain = time.Nanosecond // the library takes 0 for "the default"
	}
	labels, err := parseLabels(o.labels)
	if err != nil {
		return nil, fail(exitUsage, "%w", err)
	}
	locks, origin := a.givenLocks(o.lockRedis), "--lock-redis"
	if len(o.lockRedis) == 0 {
		origin = "$CARILLON_LOCK_REDIS"
	}
	if err := redisstore.CheckLockRedis(locks); err != nil {
		return nil, fail(exitUsage, "%s: %w", origin, err)
	}
	zones, err := a.zoneSource()
	if err != nil {
		return nil, err
	}
	if _, err := a.zones(); err != nil {
		return nil, err
	}
	node, err := carillon.New(carillon.Options{
		File: path, Zoneinfo: string(zones), Redis: given.url, LockRedis: locks, WaitReplicas: o.replicas, Namespace: a.namespace(), Embedded: a.opts.embedded,
		Node: o.node, Slots: o.slots, LeaderTTL: o.leaderTTL, LeaderGrace: o.grace, Lease: o.lease, Drain: drain,
		NoLead: o.noLead, Listen: o.listen, Pool: o.pool, Labels: labels, Logger: log,
	})
	if err != nil {
		return nil, a.scheduleFailed(err) // the flags are checked: what is left is the file
	}
	if given.url == "" && node.Schedule().Redis == "" && !o.dev {
		if where := supervisor(a.getenv, a.stderrTTY || a.stdoutTTY, os.Getpid()); where != "" {
			return nil, fail(exitRefused, "this runs under %s and no Redis is named: an embedded server on %s would be this host's alone, and every host would run every job", where, fallback).
				withHint("give --redis / $CARILLON_REDIS / redis.url, or --dev if that is what you want")
		}
	}
	return node, nil
}

// supervisor names what started this process to serve for good, or "". A
// terminal may inherit systemd's variables from the desktop; a service has none.
func supervisor(getenv func(string) string, terminal bool, pid int) string {
	switch {
	case getenv("KUBERNETES_SERVICE_HOST") != "":
		return "Kubernetes"
	case getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(pid),
		getenv("INVOCATION_ID") != "" && !terminal:
		return "systemd"
	default:
		return ""
	}
}

// upFailed gives the end of a node its exit code.
func upFailed(err error) error {
	switch {
	case err == nil:
		return nil
	case redisstore.ClassOf(err) != redisstore.Unclassified:
		return &exitError{code: exitNoRedis, err: err}
	default:
		// With a code of its own: after a signal a bare error would pass for an
		// interruption, and nobody would read it.
		return fail(exitOther, "the node stopped: %w", err)
	}
}

func reloadOn(ctx context.Context, hup <-chan os.Signal, node *carillon.Node) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			node.Reload()
		}
	}
}

// leaderPatience is how long the first words of a node wait for the outcome of
// the election.
const leaderPatience = time.Second

// narrate says what the node is once it is up, and then what happens. It
// listens before it speaks, so that the first runs are not missed; what it
// hears waits until the first words are said.
func (a *app) narrate(ctx context.Context, node *carillon.Node, o upOptions, log *slog.Logger) {
	select {
	case <-ctx.Done():
		return
	case <-node.Ready():
	}
	introduced := make(chan struct{})
	go func() {
		defer close(introduced)
		a.introduce(ctx, node, o, log)
	}()
	events := &eventLog{log: log, node: node.Name(), leader: func() string {
		lead, _, err := node.Leader(ctx)
		if err != nil {
			return ""
		}
		return lead.Node
	}}
	err := node.Watch(ctx, func(batch []jobs.Event, resync bool) error {
		<-introduced
		return events.batch(batch, resync)
	})
	<-introduced
	if err != nil && ctx.Err() == nil {
		log.Warn("events are not shown any more", "error", err)
	}
}

// introduce says what the node is.
func (a *app) introduce(ctx context.Context, node *carillon.Node, o upOptions, log *slog.Logger) {
	status := node.Status()
	s := standing{
		version: carillon.Version(), node: status.Node, redis: status.Redis, embedded: status.Embedded, serving: status.Serving,
		namespace: a.namespace(), leader: awaitLeader(ctx, node), noLead: o.noLead,
		slots: o.slots, labels: o.labelWords(), schedule: node.Schedule(), foreign: node.Health().Foreign, now: a.now(),
	}
	if o.log == logJSON {
		log.Info("up", bannerAttrs(s)...)
	} else {
		for _, line := range banner(s) {
			a.say("%s", line)
		}
	}
	if n := len(s.schedule.Lint(s.now)); n > 0 {
		log.Info("the schedule has " + count(n, "warning") + ": carillon validate")
	}
}

// labelWords are the node's pool and labels, which were checked.
func (o *upOptions) labelWords() string {
	labels, _ := parseLabels(o.labels)
	return labelWords(o.pool, labels)
}

// awaitLeader waits a moment for the seat to be taken: on the first node that
// takes one round trip more than being up.
func awaitLeader(ctx context.Context, node *carillon.Node) string {
	ctx, cancel := context.WithTimeout(ctx, leaderPatience)
	defer cancel()
	for {
		lead, held, err := node.Leader(ctx)
		if err == nil && held && lead.Node != "" { // a lock without a term is not led yet
			return lead.Node
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return ""
		}
	}
}
