package carillon

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"carillon/executor"
	"carillon/jobs"
	"carillon/scheduler"
)

// Options say what one node is. File or Schedule, and Redis (here or in the
// file) or Embedded are required; everything else has a default.
type Options struct {
	// File is the schedule file. It is read again when it changes and on Reload.
	File string
	// Schedule is used instead of File, and never changes.
	Schedule *jobs.Schedule
	// Zoneinfo is where the time zones of File come from: "embedded" or "host", see
	// jobs.OpenZones. All nodes should have the same. Default "embedded".
	Zoneinfo string
	// Funcs are the handlers of the jobs with "func:", by name.
	Funcs map[string]Func

	// Redis is the address: redis://HOST:PORT/DB, rediss:// with its parameters (see
	// docs/redis.md) or unix:///PATH?db=DB. It wins over the file's.
	Redis string
	// LockRedis are the addresses of an odd number of Redises, at least three, that
	// know nothing of each other: the leader's lock is then on most of them instead
	// of on Redis. All nodes must have the same. They win over the file's.
	LockRedis []string
	// WaitReplicas is on how many replicas of Redis a tick's run must be before the leader
	// goes on, and a claim before the command begins. Where they do not answer in time
	// the node goes on and says so. Default 0: it does not wait.
	WaitReplicas int
	// Namespace separates fleets on one Redis. Default "carillon".
	Namespace string
	// Embedded is the loopback address of an in-memory server for development. It
	// is used when neither Redis nor the file names an address: the first node
	// there serves it, later ones with the same schedule join. Empty: no such thing.
	Embedded string

	// Node is this node's name: letters, digits, "_", "." and "-", at most 64.
	// Default: host name and process id.
	Node string
	// Slots is how many jobs run here at a time. Default 2 for each CPU.
	Slots int
	// LeaderTTL is how long the leader's lock lives without a renewal. Default 5 s.
	LeaderTTL time.Duration
	// LeaderGrace is how long a leader that renews its lock may decide nothing while
	// ticks are due, before the other nodes depose it. Default 15 s, or 3 times
	// LeaderTTL if that is more.
	LeaderGrace time.Duration
	// Lease is how long a run stays with a node that shows no sign of life. Default 30 s.
	Lease time.Duration
	// Drain is what running jobs get when the node stops. Default 30 s.
	Drain time.Duration
	// Grace is what a job gets between TERM and KILL. Default 10 s.
	Grace time.Duration
	// NoLead: this node executes and never leads.
	NoLead bool
	// Pool and Labels are what jobs with "pool:" and "nodes:" ask for: letters,
	// digits, "_", "." and "-", at most 63. Jobs that ask for nothing run here too.
	Pool   string
	Labels map[string]string

	// Listen is where the node answers GET /healthz, /readyz and /metrics over HTTP,
	// "127.0.0.1:8080" say: without a password, so beyond a loopback address to whoever
	// can reach it. Empty: nowhere.
	Listen string

	// Logger gets what an operator should know. Default: nothing.
	Logger *slog.Logger
}

// Func is the Go handler of a job. It should return when ctx ends; an error or a
// panic is a failure of the attempt.
type Func func(ctx context.Context, run Run) error

// Run is what a handler is told about the attempt it is.
type Run struct {
	ID          string // idempotency key: the same for every attempt
	Job         string
	Trigger     jobs.Trigger
	ScheduledAt time.Time // the tick; zero for a run started by hand
	Attempt     int
	Epoch       int64
	Params      map[string]string
	Output      io.Writer // becomes the run's log

	Step       string         // of a job with steps
	Undo       bool           // the step's undo is asked for, not the step
	Failure    string         // with Undo: why the run is undone
	FailedStep string         // with Undo: where it failed
	Upstream   *jobs.Upstream // of a follow-on run
}

// Defaults of Options.
const (
	DefaultEmbedded  = "127.0.0.1:7379"
	DefaultLeaderTTL = 5 * time.Second

	DefaultLeaderGrace = scheduler.DefaultGrace
	DefaultLease       = 30 * time.Second
	DefaultDrain       = 30 * time.Second
)

// NodeNamePattern is what a node may be called: the name is part of keys, tokens
// and events.
var NodeNamePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// checkLabels finds names that no job could ask for.
func (o *Options) checkLabels(bad func(format string, args ...any)) {
	if o.Pool != "" {
		if err := jobs.CheckPool(o.Pool); err != nil {
			bad("%w", err)
		}
	}
	for k, v := range o.Labels {
		if err := jobs.CheckLabel(k, v); err != nil {
			bad("%w", err)
		}
	}
}

// fill checks the options and puts the defaults in.
func (o *Options) fill() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	switch {
	case o.File == "" && o.Schedule == nil:
		bad("no schedule: set File or Schedule")
	case o.File != "" && o.Schedule != nil:
		bad("File and Schedule are both set: one of them is the schedule")
	case o.File == "" && o.Zoneinfo != "":
		bad("Zoneinfo is set, and Schedule has its zones already: give them to jobs.Parse")
	}
	if o.Node == "" {
		o.Node = DefaultNodeName()
	}
	if !NodeNamePattern.MatchString(o.Node) {
		bad("node name %q: expected letters, digits, _ . -, at most 64, beginning with a letter or digit", o.Node)
	}
	if o.Slots == 0 {
		o.Slots = 2 * runtime.GOMAXPROCS(0)
	}
	if o.WaitReplicas < 0 || o.WaitReplicas > 100 {
		bad("wait for %d replicas: expected 0 to 100", o.WaitReplicas)
	}
	if o.Slots < 1 || o.Slots > 10000 {
		bad("slots %d: expected 1 to 10000", o.Slots)
	}
	o.checkLabels(bad)
	if o.LeaderTTL == 0 {
		o.LeaderTTL = DefaultLeaderTTL
	}
	durations := []struct {
		name  string
		value *time.Duration
		def   time.Duration
		least time.Duration
	}{
		{"leader TTL", &o.LeaderTTL, DefaultLeaderTTL, 300 * time.Millisecond},
		{"leader grace", &o.LeaderGrace, max(DefaultLeaderGrace, 3*o.LeaderTTL), o.LeaderTTL},
		{"lease", &o.Lease, DefaultLease, time.Second},
		{"drain", &o.Drain, DefaultDrain, 0},
		{"grace", &o.Grace, executor.DefaultGrace, 0},
	}
	for _, d := range durations {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < d.least {
			bad("%s %s: expected at least %s", d.name, *d.value, d.least)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return errors.Join(problems...)
}

// DefaultNodeName is the host's name and the process id, in the characters that a
// node name may have. Two nodes on one host get two names.
func DefaultNodeName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "node"
	}
	clean := strings.Map(func(r rune) rune {
		if r < 128 && (r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return r
		}
		return '-'
	}, host)
	clean = strings.TrimLeft(clean[:min(len(clean), 50)], "-.")
	if clean == "" {
		clean = "node"
	}
	return fmt.Sprintf("%s-%d", clean, os.Getpid())
}

// newBoot names this node's life: no two have the same, whatever they are called.
func newBoot() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Version is the version of the program that carillon is part of.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Path == "carillon" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	for _, d := range info.Deps {
		if d.Path == "carillon" {
			return d.Version
		}
	}
	return "devel"
}

// handlers turns the handlers into the executor's.
func handlers(funcs map[string]Func) map[string]executor.Handler {
	out := make(map[string]executor.Handler, len(funcs))
	for name, f := range funcs {
		out[name] = func(ctx context.Context, at executor.Attempt, w io.Writer) error {
			c := at.Claim
			return f(ctx, Run{ID: c.RunID, Job: c.Job, Trigger: c.Trigger, ScheduledAt: c.ScheduledAt, Attempt: c.Attempt,
				Epoch: at.Epoch, Params: c.Params, Output: w, Step: at.Part.Step, Undo: at.Part.Undo,
				Failure: c.Failure, FailedStep: c.FailedAt, Upstream: c.Upstream})
		}
	}
	return out
}

// checkFuncs finds the jobs whose handler is missing.
func checkFuncs(s *jobs.Schedule, funcs map[string]Func) error {
	known := make([]string, 0, len(funcs))
	for name := range funcs {
		known = append(known, name)
	}
	slices.Sort(known)
	var problems []error
	have := "this program has none (a func job needs a Go program that embeds carillon)"
	if len(known) > 0 {
		have = "this program has " + strings.Join(known, ", ")
	}
	for _, j := range s.Jobs {
		for _, a := range j.Actions() {
			if a.Kind == jobs.ActionFunc && funcs[a.Func] == nil {
				problems = append(problems, fmt.Errorf("job %q: func %q has no handler: %s", j.Name, a.Func, have))
			}
		}
	}
	return errors.Join(problems...)
}
