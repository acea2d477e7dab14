package redisstore

import (
	"bufio"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon/jobs"
)

// Facts are what `carillon doctor` judges by. They are gathered with reads only.
// What this Redis or its ACL did not answer is in Refused, and its field is empty.
type Facts struct {
	At      time.Time         // the clock of Redis
	Info    map[string]string // INFO
	Save    *string           // CONFIG GET save; nil when it was refused
	Refused []Refusal

	PingMedian, PingMax time.Duration
	HostOffset          time.Duration // the clock of this host minus that of Redis

	Families []Family      // by name
	Partial  bool          // there are more keys than were looked at
	Watched  time.Duration // between the two counts of them; 0: there was no second
	Denied   []string      // commands carillon uses and this user may not

	Nodes      []jobs.Node
	Marks      map[string]jobs.Marks // of the schedules of the nodes, by digest; nil when all have one
	Namesakes  []string              // names that two live processes use
	Led        bool
	LockTTL    time.Duration // how long the leader's lock would live on; negative: for ever; 0: nobody leads
	Cursors    int           // jobs that were ever scheduled here
	Overdue    []Overdue
	Queued     []jobs.Run // some of them
	Unrolled   []jobs.Run // rollback_failed
	Routes     []Route    // those that have runs waiting
	Paused     map[string]jobs.Pause
	RunsUnread string         // why runs could not be read
	Life       jobs.StoreLife // zero: no node was ever here
}

// Refusal is a command that a check needs and was not answered.
type Refusal struct{ Command, Why string }

// Family is what the keys of one family weigh.
type Family struct {
	Name    string
	Keys    int
	Bytes   int64  // estimated from a sample; 0 when MEMORY USAGE was refused
	Grew    int    // keys more, or less, at the second count
	Eternal int    // keys of the sample that should expire and do not
	Example string // one of those
	Fading  string // a key of the sample that should stay, and expires
	FadesIn time.Duration
}

// Overdue is a run that the sweep should have looked at long ago.
type Overdue struct {
	Run, Node string
	Status    jobs.State
	Due       time.Time
}

// Route is a route that has runs waiting.
type Route struct {
	Name     string
	Waiting  int
	Grew     int       // runs more, or less, than a few seconds before
	Unserved time.Time // since when the sweep knows no node for it; zero: it does
}

const (
	scanKeys   = 10_000           // of ours that are looked at
	scanRounds = 200              // calls of SCAN, for a Redis that is full of others' keys
	scanSample = 25               // keys a family that are weighed
	overdueBy  = 90 * time.Second // where no node says which lease it has
	leases     = 3                // after so many a run should have been looked at
	factRuns   = 200
)

// Facts looks at this Redis and at the fleet. It writes nothing.
func (s *Store) Facts(ctx context.Context) (Facts, error) {
	var f Facts
	for range 5 {
		if err := s.SyncClock(ctx); err != nil {
			return f, err
		}
	}
	f.At, f.HostOffset = s.Now(), s.ClockOffset()
	var before map[string]int // the runs that wait
	var counted time.Time
	for _, look := range []func(context.Context, *Facts) error{
		s.lookServer, s.lookLatency,
		func(ctx context.Context, f *Facts) (err error) {
			if before, err = s.waiting(ctx); err != nil {
				return err
			}
			counted = time.Now()
			return s.lookKeys(ctx, f)
		},
		s.lookRights, s.lookFleet, s.lookRuns,
		func(ctx context.Context, f *Facts) error { return s.lookGrowth(ctx, f, before, counted) },
	} {
		if err := look(ctx, &f); err != nil {
			return f, err
		}
	}
	return f, nil
}

// lookGrowth counts the keys and the runs that wait a second time.
func (s *Store) lookGrowth(ctx context.Context, f *Facts, before map[string]int, counted time.Time) error {
	for i := range f.Routes {
		f.Routes[i].Grew = f.Routes[i].Waiting - before[f.Routes[i].Name]
	}
	if f.Partial || len(f.Families) == 0 {
		return nil // a part that was counted twice is not the same part
	}
	keysOf, partial, err := s.scan(ctx)
	if err != nil {
		return f.refuse("SCAN", err)
	}
	if passed := time.Since(counted); !partial && passed >= time.Second { // else there is no rate
		f.Watched = passed
	}
	for i := range f.Families {
		family := &f.Families[i]
		family.Grew = len(keysOf[family.Name]) - family.Keys
	}
	return nil
}

// refuse notes that a command was not answered; an error that is not about the
// command is returned.
func (f *Facts) refuse(command string, err error) error {
	switch ClassOf(err) {
	case Transient, Loading:
		return wrap(command, err)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	f.Refused = append(f.Refused, Refusal{Command: command, Why: err.Error()})
	return nil
}

func (s *Store) lookServer(ctx context.Context, f *Facts) error {
	life, _, err := s.Life(ctx)
	if err != nil {
		return err
	}
	f.Life = life
	text, err := s.cmd.Info(ctx).Result()
	if err != nil {
		if err := f.refuse("INFO", err); err != nil {
			return err
		}
	} else {
		f.Info = parseInfo(text)
	}
	save, err := s.cmd.ConfigGet(ctx, "save").Result()
	if err != nil {
		return f.refuse("CONFIG GET", err)
	}
	value, known := save["save"]
	if known {
		f.Save = &value
	}
	return nil
}

func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if k, v, ok := strings.Cut(strings.TrimSpace(lines.Text()), ":"); ok && !strings.HasPrefix(k, "#") {
			info[k] = v
		}
	}
	return info
}

func (s *Store) lookLatency(ctx context.Context, f *Facts) error {
	took := make([]time.Duration, 20)
	for i := range took {
		start := time.Now()
		if err := s.cmd.Ping(ctx).Err(); err != nil {
			return wrap("ping Redis", err)
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	f.PingMedian, f.PingMax = took[len(took)/2], took[len(took)-1]
	return nil
}

// expiring are the families whose every key has a lifetime; a finished run has
// one too. docs/redis.md says how long, and a test compares.
var expiring = []string{"claim", "failures", "history", "ledger", "log", "logs", "logsize", "node", "recent", "request", "schedule"}

// staying are the families whose keys never have a lifetime. docs/redis.md says so,
// and a test compares. Those of unfinished runs have none either.
var staying = []string{"active", "backfill", "backfills", "cluster", "cursors", "group", "groupwait", "leases", "nodes", "paused", "pauses", "renamed", "routes",
	"sequence", "term", "waiting"}

// scan returns the keys of each family, or, of very many, some; then partial is true.
func (s *Store) scan(ctx context.Context) (keysOf map[string][]string, partial bool, err error) {
	keysOf = map[string][]string{}
	seen, cursor := map[string]bool{}, uint64(0)
	for round := 0; ; round++ {
		keys, next, err := s.cmd.Scan(ctx, cursor, s.keys.prefix+"*", 1000).Result()
		if err != nil {
			return nil, false, err
		}
		for _, key := range keys {
			if !seen[key] { // SCAN may repeat one
				seen[key] = true
				keysOf[s.keys.familyOf(key)] = append(keysOf[s.keys.familyOf(key)], key)
			}
		}
		if cursor = next; cursor == 0 {
			return keysOf, false, nil
		}
		if len(seen) >= scanKeys || round >= scanRounds {
			return keysOf, true, nil
		}
	}
}

func (s *Store) lookKeys(ctx context.Context, f *Facts) error {
	keysOf, partial, err := s.scan(ctx)
	if err != nil {
		return f.refuse("SCAN", err)
	}
	f.Partial = partial
	weigh := true
	suspects := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(keysOf)) {
		family := Family{Name: name, Keys: len(keysOf[name])}
		sample := keysOf[name][:min(scanSample, len(keysOf[name]))]
		for _, key := range sample {
			eternal, err := s.eternal(ctx, name, key)
			if err != nil {
				return err
			}
			if eternal {
				suspects[name] = append(suspects[name], key)
			}
			if in, err := s.fading(ctx, name, key); err != nil {
				return err
			} else if in > 0 {
				family.Fading, family.FadesIn = key, in
			}
			if !weigh {
				continue
			}
			switch n, err := s.cmd.MemoryUsage(ctx, key).Result(); {
			case err == nil:
				family.Bytes += n
			case errors.Is(err, redis.Nil): // gone meanwhile
			default:
				if err := f.refuse("MEMORY USAGE", err); err != nil {
					return err
				}
				weigh = false
			}
		}
		family.Bytes = family.Bytes * int64(family.Keys) / int64(len(sample))
		f.Families = append(f.Families, family)
	}
	if len(suspects) == 0 {
		return nil
	}
	// Some keys get their lifetime in the call after the one that makes them.
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(500 * time.Millisecond):
	}
	for i := range f.Families {
		family := &f.Families[i]
		for _, key := range suspects[family.Name] {
			eternal, err := s.eternal(ctx, family.Name, key)
			if err != nil {
				return err
			}
			if eternal {
				family.Eternal++
				family.Example = key
			}
		}
	}
	return nil
}

// eternal reports whether a key that should expire never will.
func (s *Store) eternal(ctx context.Context, family, key string) (bool, error) {
	if family != "run" && !slices.Contains(expiring, family) {
		return false, nil
	}
	ttl, err := s.cmd.PTTL(ctx, key).Result()
	if err != nil || ttl != -1 {
		return false, wrap("read a lifetime", err)
	}
	if family != "run" {
		return true, nil
	}
	status, err := s.cmd.HGet(ctx, key, "status").Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return jobs.State(status).Final(), wrap("read a run's status", err)
}

// fading returns when a key that should stay expires; 0 for one that does not.
func (s *Store) fading(ctx context.Context, family, key string) (time.Duration, error) {
	if family != "run" && !slices.Contains(staying, family) {
		return 0, nil
	}
	ttl, err := s.cmd.PTTL(ctx, key).Result()
	if err != nil || ttl <= 0 {
		return 0, wrap("read a lifetime", err)
	}
	if family != "run" {
		return ttl, nil
	}
	status, err := s.cmd.HGet(ctx, key, "status").Result()
	if errors.Is(err, redis.Nil) || err == nil && jobs.State(status).Final() {
		return 0, nil
	}
	return ttl, wrap("read a run's status", err)
}

// commands are those that carillon sends or its scripts call, each as a call
// that ACL DRYRUN accepts: K stands for a key of ours, C for a channel. The
// list is the one of docs/redis.md; a test compares the two.
var commands = []string{
	"ping", "time", "eval x 0", "evalsha x 0", "script load x", "exists K", "del K", "get K", "set K x", "pttl K", "pexpire K 1", "persist K",
	"incr K", "incrby K 1", "decrby K 1", "hget K x", "hset K x x", "hsetnx K x x", "hmget K x", "hgetall K", "hkeys K", "hdel K x",
	"hexists K x", "hincrby K x 1", "lpush K x", "rpush K x", "lpop K", "rpop K", "blpop K 1", "llen K", "lindex K 0", "lset K 0 x",
	"ltrim K 0 1", "mget K", "lpos K x", "lrange K 0 1", "lrem K 1 x", "scard K", "sadd K x", "srem K x", "sismember K x", "smembers K", "srandmember K",
	"zadd K 1 x", "zrem K x", "zrange K 0 1", "zrevrange K 0 1", "zrangebyscore K 0 1", "zcount K 0 1", "zscore K x",
	"xadd K * x x", "xdel K 1-1", "xrange K - +", "publish C x", "subscribe C",
}

func (s *Store) lookRights(ctx context.Context, f *Facts) error {
	user, err := s.cmd.Do(ctx, "ACL", "WHOAMI").Text()
	if err != nil {
		return f.refuse("ACL WHOAMI", err)
	}
	lines := commands
	if s.owner != nil {
		lines = append(slices.Clone(lines), "cluster slots")
	}
	for _, line := range lines {
		args := []any{"ACL", "DRYRUN", user}
		for _, word := range strings.Fields(line) {
			switch word {
			case "K":
				word = s.keys.probe()
			case "C":
				word = s.keys.events()
			}
			args = append(args, word)
		}
		answer, err := s.cmd.Do(ctx, args...).Text()
		if err != nil {
			return f.refuse("ACL DRYRUN", err)
		}
		if answer != "OK" {
			f.Denied = append(f.Denied, strings.Fields(line)[0])
		}
	}
	return nil
}

func (s *Store) lookFleet(ctx context.Context, f *Facts) error {
	_, led, err := s.Leader(ctx)
	if err != nil {
		return err
	}
	if f.Nodes, err = s.Nodes(ctx); err != nil {
		return err
	}
	if len(f.Nodes) > 0 {
		if f.Namesakes, err = s.namesakes(ctx, f.Nodes); err != nil {
			return err
		}
		// A second look: a seat that is vacant for a moment is a fail-over.
		if f.Nodes, err = s.Nodes(ctx); err != nil {
			return err
		}
	}
	var digests []string
	for _, n := range f.Nodes {
		if n.Digest != "" && !slices.Contains(digests, n.Digest) {
			digests = append(digests, n.Digest)
		}
	}
	if len(digests) > 1 {
		if f.Marks, err = s.Marks(ctx, digests); err != nil {
			return err
		}
	}
	_, still, err := s.Leader(ctx)
	if err != nil {
		return err
	}
	f.Led = led || still
	if f.LockTTL, err = s.cmd.PTTL(ctx, s.keys.leader()).Result(); err != nil {
		return wrap("read the lifetime of the leader's lock", err)
	}
	if f.LockTTL == -2 {
		f.LockTTL = 0
	}
	cursors, err := s.Cursors(ctx)
	if err != nil {
		return err
	}
	f.Cursors = len(cursors)
	f.Paused, err = s.Paused(ctx)
	return err
}

const (
	heartbeatEvery = 2 * time.Second
	namesakeWatch  = heartbeatEvery + 500*time.Millisecond
)

// namesakes watches the records of the nodes for a little longer than the time
// between two heartbeats. Two processes of one name take turns writing one
// record; one that was started anew also changes it, but started only now.
func (s *Store) namesakes(ctx context.Context, nodes []jobs.Node) ([]string, error) {
	nodes = nodes[:min(len(nodes), 500)]
	boots, found := map[string]string{}, map[string]bool{}
	before := s.Now().Add(-3 * time.Second)
	for end := time.Now().Add(namesakeWatch); ; {
		pipe := s.cmd.Pipeline()
		records := make([]*redis.SliceCmd, len(nodes))
		for i, n := range nodes {
			records[i] = pipe.HMGet(ctx, s.keys.node(n.Name), "boot", "started_at", "clock_offset_ms")
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, wrap("read the nodes", err)
		}
		for i, n := range nodes {
			v := records[i].Val()
			boot := toString(v[0])
			started := fromMillis(toInt(v[1]) - toInt(v[2]))
			if was := boots[n.Name]; was != "" && boot != "" && boot != was && started.Before(before) {
				found[n.Name] = true
			}
			boots[n.Name] = boot
		}
		if time.Now().After(end) {
			return slices.Sorted(maps.Keys(found)), nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *Store) lookRuns(ctx context.Context, f *Facts) error {
	var err error
	if f.Queued, err = s.Runs(ctx, RunFilter{Status: jobs.Queued, Limit: factRuns}); err == nil {
		f.Unrolled, err = s.Runs(ctx, RunFilter{Status: jobs.RollbackFailed, Limit: factRuns})
	}
	if err != nil {
		if ClassOf(err) != Unclassified {
			return err
		}
		f.RunsUnread = err.Error()
	}
	late, err := s.cmd.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: s.keys.leases(), ByScore: true,
		Start: "-inf", Stop: strconv.FormatInt(s.Now().Add(-f.overdue()).UnixMilli(), 10), Count: factRuns}).Result()
	if err != nil {
		return wrap("read the leases", err)
	}
	for _, z := range late {
		id := toString(z.Member)
		v, err := s.cmd.HMGet(ctx, s.keys.run(id), "status", "node").Result()
		if err != nil {
			return wrap("read run "+id, err)
		}
		f.Overdue = append(f.Overdue, Overdue{Run: id, Status: jobs.State(toString(v[0])), Node: toString(v[1]), Due: fromMillis(int64(z.Score))})
	}
	waiting, err := s.waiting(ctx)
	if err != nil {
		return err
	}
	for name, n := range waiting {
		if n == 0 {
			continue
		}
		unserved, err := s.cmd.ZScore(ctx, s.keys.routes(), name).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return wrap("read the routes", err)
		}
		f.Routes = append(f.Routes, Route{Name: name, Waiting: n, Unserved: fromMillis(int64(unserved))})
	}
	slices.SortFunc(f.Routes, func(a, b Route) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// waiting counts the runs that wait on each route.
func (s *Store) waiting(ctx context.Context) (map[string]int, error) {
	routes, err := s.cmd.ZRange(ctx, s.keys.routes(), 0, factRuns-1).Result()
	if err != nil {
		return nil, wrap("read the routes", err)
	}
	counts := map[string]int{}
	for _, name := range append([]string{jobs.AnyRoute}, routes...) {
		pipe := s.cmd.Pipeline()
		lengths := make([]*redis.IntCmd, 10)
		for priority := range lengths {
			lengths[priority] = pipe.LLen(ctx, s.keys.queue(name, strconv.Itoa(priority)))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, wrap("read the queues", err)
		}
		for _, n := range lengths {
			counts[name] += int(n.Val())
		}
	}
	return counts, nil
}

// overdue is for how long a run may lie that should be looked at: three leases of the
// node with the longest.
func (f *Facts) overdue() time.Duration {
	longest := time.Duration(0)
	for _, n := range f.Nodes {
		if n.Lease <= 0 {
			return overdueBy // a version that does not say
		}
		longest = max(longest, n.Lease)
	}
	if longest == 0 {
		return overdueBy
	}
	return max(leases*longest, 10*time.Second)
}
