package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon/jobs"
)

// Options say which Redis, and as whom. Only URL is required to read.
type Options struct {
	URL       string   // redis://[user:password@]host:port/db, rediss://…, unix:///path; see parseURL
	LockRedis []string // addresses of the lock Redises; empty: the lock is on the Redis of the data
	// WaitReplicas is on how many replicas a commit or a claim must be before the caller
	// goes on, as far as they answer in time; 0: it goes on at once.
	WaitReplicas int
	Namespace    string // default "carillon"
	Node         string // this node's name; empty for a reader
	Boot         string // this process' id; empty for a reader
	Lease        time.Duration
	Logger       *slog.Logger // default: discards
	// Dialer replaces the network, for tests.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
	// Skew is how far this node's clock is ahead of the true one, for tests.
	Skew func() time.Duration
}

// Store is the only thing that speaks to Redis. It is safe for concurrent use.
type Store struct {
	opts  Options
	keys  keys
	log   *slog.Logger
	clock *clock
	addr  string
	// Several Redises could have our data: behind sentinels, or in a cluster.
	several bool

	cmd      *redis.Client // scripts and reads
	lead     *redis.Client // the lock alone, so that nothing queues before a renewal
	block    *redis.Client // the bell alone: it sits in BLPOP
	sub      *redis.Client // pub/sub
	owner    *owner        // in a cluster: who has our slot, for all four
	voters   voters
	replicas replicas

	vacant  chan struct{}
	cancels chan string
	served  atomic.Pointer[serves]
	memory  memory
	rung    string // the bell that WaitBell took a token from
}

// namespacePattern keeps the hash tag and the glob patterns of ACLs intact.
var namespacePattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Open checks the options and builds the clients. It does not connect.
func Open(opts Options) (*Store, error) {
	if opts.Namespace == "" {
		opts.Namespace = "carillon"
	}
	if !namespacePattern.MatchString(opts.Namespace) {
		return nil, fmt.Errorf("namespace %q: expected 1 to 64 of A-Z a-z 0-9 _ . -", opts.Namespace)
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Lease <= 0 {
		opts.Lease = 30 * time.Second
	}
	base, err := parseURL(opts.URL)
	if err != nil {
		return nil, err
	}
	if opts.Dialer != nil {
		base.Dialer = opts.Dialer
	}
	s := &Store{
		opts:    opts,
		keys:    newKeys(opts.Namespace),
		log:     opts.Logger,
		addr:    base.name(),
		several: base.several(),
		clock:   newClock(opts.Lease/6, opts.Skew),
		vacant:  make(chan struct{}, 1),
		cancels: make(chan string, 256),
		memory:  memory{turn: make(chan struct{}, 1)},
	}
	s.Serve([]string{jobs.AnyRoute}, defaultMaxWait)
	if base.nodes != nil {
		o := *base.Options
		base.owner = newOwner(base, slotOf(opts.Namespace), honest(&o, 2*time.Second, 1), func(to string) {
			s.log.Info("another node of the cluster has our slot now", "node", to)
		})
		s.owner = base.owner
	}
	s.replicas.want = opts.WaitReplicas
	s.cmd = client(base, 2*time.Second, 16)
	// After as many failed dials as the pool is large, the client refuses every call
	// and looks again only once a second: too seldom for a short leader TTL.
	s.lead = client(base, 2*time.Second, 8)
	s.block = client(base, 2*bellPoll+2*time.Second, 2)
	s.sub = client(base, 2*time.Second, 2)
	for _, c := range []*redis.Client{s.cmd, s.lead, s.block} {
		c.AddHook(record{s.clock})
	}
	if err := s.openVoters(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// SilenceClientLog stops the client library from writing every failed dial to
// stderr. Its log is global to the process, so only a program of ours calls this;
// the failures come back as errors in any case.
func SilenceClientLog() { redis.SetLogger(quiet{}) }

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// Addr is the Redis address without credentials, for people.
func (s *Store) Addr() string { return s.addr }

// What the schedule file says when it says nothing; the same as in jobs.
const (
	defaultMaxWait      = 10 * time.Minute
	defaultUnroutable   = 10 * time.Minute
	defaultCrashRetries = 3
)

// Close closes every connection. Calls under way fail.
func (s *Store) Close() error {
	err := errors.Join(s.cmd.Close(), s.lead.Close(), ignoreClosed(s.block.Close()), s.sub.Close(), s.voters.close())
	if s.owner != nil {
		s.owner.close()
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, redis.ErrClosed) {
		return nil
	}
	return err
}

// Ping connects and checks that the server serves us: address, password and
// database. It does not write, so a replica passes; see CheckWritable.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return wrap("connect to Redis at "+s.Addr(), s.cmd.Ping(ctx).Err())
}

// CheckWritable finds out whether scripts may write here, and whether this server
// knows what they call: RPOP with a count came with Redis 6.2. (INFO, which says the
// version, is not for every user.)
func (s *Store) CheckWritable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := s.cmd.RPopCount(ctx, s.keys.probe(), 1).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return wrap("write to Redis at "+s.Addr(), err)
}

// opBudget bounds one operation with all its retries. Callers that must not give
// up repeat the whole call.
const opBudget = 3 * time.Second

// eval runs a script and repeats it after errors that a repeat can heal. Every
// script is written to answer a repeat as it answered the first call.
func (s *Store) eval(ctx context.Context, sc *script, keys []string, args ...any) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, opBudget)
	defer cancel()
	var reply any
	err := s.retry(ctx, sc.name, func(ctx context.Context) error {
		var err error
		reply, err = s.evalOnce(ctx, s.cmd, sc, keys, args)
		return err
	})
	return reply, err
}

func (s *Store) evalOnce(ctx context.Context, c redis.Cmdable, sc *script, keys []string, args []any) (any, error) {
	w := s.memory.now.Load()
	reply, err := s.evalSeeing(ctx, c, w, sc, keys, args)
	if isForgot(err) {
		if err = s.remember(ctx, w, err); err == nil {
			reply, err = s.evalSeeing(ctx, c, s.memory.now.Load(), sc, keys, args)
		}
	}
	return reply, err
}

// evalSeeing calls a script for a node that has seen w of this Redis; nil asks it as it is.
func (s *Store) evalSeeing(ctx context.Context, c redis.Cmdable, w *witness, sc *script, keys []string, args []any) (any, error) {
	args = append([]any{w.before(s.keys.prefix)}, args...)
	reply, err := c.EvalSha(ctx, sc.sha, keys, args...).Result()
	if isNoScript(err) {
		if err = sc.load(ctx, c); err == nil {
			reply, err = c.EvalSha(ctx, sc.sha, keys, args...).Result()
		}
	}
	return reply, err
}

func isNoScript(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") }

// retry repeats f while its error is transient and ctx lasts.
func (s *Store) retry(ctx context.Context, op string, f func(ctx context.Context) error) error {
	pause := 25 * time.Millisecond
	for {
		err := f(ctx)
		if err == nil || errors.Is(err, redis.Nil) {
			return err
		}
		err = wrap(op, err)
		if class := ClassOf(err); (class != Transient && class != Loading) || ctx.Err() != nil {
			return err
		}
		pause = min(2*pause, time.Second)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(rand.Int64N(int64(pause)) + 1)):
		}
	}
}
