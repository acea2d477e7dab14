package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/proctest"
	"carillon/internal/redisstore"
	"carillon/internal/redistest"
)

const (
	// patience is the limit for what takes moments on an idle machine.
	patience = time.Minute
	// grace is how long a process of a dead node may live. It is promised a second.
	grace = 10 * time.Second
)

// node is one place for carillon processes, one after the other, under one name.
type node struct {
	name    string
	within  []string // the beginning of its command line, if it lives elsewhere
	proxy   *proxy   // its way to Redis
	url     string   // where there is no proxy
	process *proctest.Process
}

// redis is the address by which a node connects.
func (n *node) redis() string {
	if n.proxy == nil {
		return n.url
	}
	return "redis://" + n.proxy.addr + "/0"
}

// storm is a fleet, its Redis, and what happens to them.
type storm struct {
	t        testing.TB
	ctx      context.Context
	rng      *rand.Rand
	dir      string // where witnesses write
	file     string // the schedule
	ns       string
	server   *redistest.Server
	data     string                // where the server keeps its data
	small    error                 // why that is no disk of its own; nil if it is
	rdb      redis.UniversalClient // our own view, past the proxies
	store    *redisstore.Store     // the same
	nodes    []*node
	island   *island // a network of its own for one node
	noIsland error   // why there is none
	islander *node
	jobs     []job
	faults   []Fault
	dealt    []Fault // those of them that this machine can have

	ttl, lease time.Duration
	began      time.Time // every tick after it counts
	windows    []window
	user       *user
	archive    *archive
	checks     sync.WaitGroup

	// Where Redis is more than one server (topology_test.go).
	sentry  *sentry
	cluster *redistest.Cluster
	slot    int

	mu         sync.Mutex // for what two faults may want at once: rng too
	words      []string   // what the present strike notes
	complaints []string
}

func (s *storm) complain(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complaints = append(s.complaints, fmt.Sprintf(format, args...))
}

// note says what a strike chose, for the log.
func (s *storm) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = append(s.words, fmt.Sprintf(format, args...))
}

// between is a random time, in seconds, to the millisecond.
func (s *storm) between(least, most float64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration((least + s.rng.Float64()*(most-least)) * float64(time.Second)).Truncate(time.Millisecond)
}

// pick is a random number below n.
func (s *storm) pick(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

// pass lets time go by.
func (s *storm) pass(d time.Duration) { <-time.After(d) }

// TestStorm is the storm on one Redis. By default it lasts about a minute; `make storm` for
// as long as it is told.
func TestStorm(t *testing.T) {
	t.Parallel()
	s := newStorm(t, catalogue)
	s.data = filepath.Join(s.dir, "redis")
	require.NoError(t, os.Mkdir(s.data, 0o700))
	s.small = errors.New("that takes a long storm")
	s.noIsland = s.small
	if *long > 0 {
		s.small = mountSmall(t, s.data)
		s.island, s.noIsland = newIsland(t)
	}
	args := []string{"--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-min-size", "16mb", "--dir", s.data}
	s.server = redistest.StartReal(t, append(args, debugFlags()...)...)
	s.connect(s.server.URL())
	s.populate(s.server.Addr(), 3)
	s.rage()
	s.heal()
	s.judge()
}

// debugFlags let DEBUG be used, which servers before 7.0 allow anyway.
func debugFlags() []string {
	server := os.Getenv("CARILLON_REDIS_SERVER")
	if server == "" {
		server = "redis-server"
	}
	out, _ := exec.Command(server, "--version").Output() // without one the test is skipped
	if strings.Contains(string(out), "v=6.") {
		return nil
	}
	return []string{"--enable-debug-command", "local"}
}

// mountSmall puts a small disk in memory under a folder. Its error is why it could not.
func mountSmall(t testing.TB, dir string) error {
	if os.Getuid() != 0 {
		return errors.New("to mount one takes root")
	}
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=256m", "carillon-storm", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mount: %s", strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() {
		out, err := exec.Command("umount", "-l", dir).CombinedOutput()
		assert.NoError(t, err, "%s", out)
	})
	return nil
}

// newStorm prepares what all storms have.
func newStorm(t testing.TB, faults []Fault) *storm {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("to repeat its choices: -seed %d", n)
	s := &storm{t: t, ctx: t.Context(), dir: t.ArtifactDir(), ns: "storm", faults: faults,
		rng: rand.New(rand.NewPCG(n, n)), ttl: time.Second, lease: 4 * time.Second}
	if *long > 0 {
		s.ttl, s.lease = 1500*time.Millisecond, 5*time.Second
	}
	count := *jobCount
	switch {
	case count > 0:
	case *long > 0:
		count = 100
	default:
		count = 24
	}
	var text string
	text, s.jobs = compose(count, witness, s.dir, listen(t, s.dir))
	s.file = filepath.Join(s.dir, "schedule.yaml")
	require.NoError(t, os.WriteFile(s.file, []byte(text), 0o600))
	out, err := validate(s.file)
	require.NoError(t, err, "the schedule of the storm: %s", out)
	return s
}

// connect opens our own view of Redis.
func (s *storm) connect(url string) {
	opt, err := redis.ParseURL(url)
	require.NoError(s.t, err)
	opt.Protocol, opt.DisableIdentity = 2, true
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	opt.ReadTimeout, opt.MaxRetries = 30*time.Second, 5 // it is paused, stopped and cut off with the rest
	s.rdb = redis.NewClient(opt)
	s.store, err = redisstore.Open(redisstore.Options{URL: url, Namespace: s.ns})
	require.NoError(s.t, err)
	s.t.Cleanup(func() {
		s.rdb.Close()
		s.store.Close()
	})
	s.archive = newArchive(s.store, s.rdb, s.ns, s.jobs)
	s.user = &user{s: s}
}

// populate starts so many nodes, each behind a proxy of its own.
func (s *storm) populate(target string, n int) {
	for range n {
		s.settle(target, "127.0.0.1")
	}
	if s.island != nil {
		s.islander = s.settle(target, s.island.address, s.island.within()...)
	}
	s.settled()
}

// settled waits until every job has a cursor: from then on ticks count.
func (s *storm) settled() {
	s.t.Cleanup(func() {
		for _, n := range s.nodes {
			n.process.Kill()
		}
	})
	require.True(s.t, eventually(patience, func() bool {
		return s.rdb.HLen(s.ctx, s.key("cursors")).Val() >= int64(len(s.jobs))
	}), "every job has a cursor")
	now, err := s.rdb.Time(s.ctx).Result()
	require.NoError(s.t, err)
	s.began = now
	s.windows = []window{{fault: calm, from: now}}
}

// settle starts a node whose proxy listens on host.
func (s *storm) settle(target, host string, within ...string) *node {
	p, err := newProxy(target, host, s.rng.Uint64())
	require.NoError(s.t, err)
	s.t.Cleanup(p.close)
	n := &node{name: fmt.Sprintf("n%d", len(s.nodes)+1), within: within, proxy: p}
	require.NoError(s.t, s.begin(n))
	s.nodes = append(s.nodes, n)
	return n
}

// recollection is how long nodes have, after Redis has forgotten, to tell it what they
// know. A fault that struck within would take that from them.
const recollection = 4 * time.Second

// calm is the row of the ticks before the first strike.
const calm = "none yet"

// begin starts the process of a node.
func (s *storm) begin(n *node) (err error) {
	network := "own"
	if len(n.within) == 0 {
		network = "ours" // where the server of the http jobs is
	}
	command := append(slices.Clone(n.within), carillon, "up", "--file", s.file, "--redis", n.redis(), "--namespace", s.ns,
		"--node", n.name, "--label", "network="+network, "--log", "json", "--slots", "16",
		"--leader-ttl", s.ttl.String(), "--lease", s.lease.String(), "--drain", "300ms")
	n.process, err = proctest.Start(s.dir, n.name, nil, command[0], command[1:]...)
	if err != nil {
		return err
	}
	p := n.process
	s.t.Cleanup(func() {
		p.Kill()
		if words := proctest.Unsound(p.Stderr()); words != "" {
			assert.Fail(s.t, n.name+" is not sound", "%s", words)
		}
	})
	return nil
}

// kill kills the process of a node, sees to it that its commands die too, and starts
// another one.
func (s *storm) kill(n *node) error {
	boots := map[string]bool{}
	processesOf(witness, func(node, boot string) bool {
		if node == n.name {
			boots[boot] = true
		}
		return false
	})
	n.process.Kill()
	name := n.name
	s.checks.Go(func() {
		var left []int
		if !eventually(grace, func() bool {
			left = processesOf(witness, func(node, boot string) bool { return node == name && boots[boot] })
			return len(left) == 0
		}) {
			s.complain("%s was killed %v ago, and its commands live: %v", name, grace, left)
		}
	})
	return s.begin(n)
}

func (s *storm) key(k string) string { return "{" + s.ns + "}:" + k }

// leader is the node that leads, when there is one, else any.
func (s *storm) leader() *node {
	token, _ := s.rdb.Get(s.ctx, s.key("leader")).Result()
	name, _, _ := strings.Cut(token, ":")
	for _, n := range s.nodes {
		if n.name == name {
			return n
		}
	}
	return s.anyNode()
}

// follower is a node that does not lead.
func (s *storm) follower() *node {
	leader := s.leader()
	for {
		if n := s.anyNode(); n != leader {
			return n
		}
	}
}

func (s *storm) anyNode() *node { return s.nodes[s.pick(len(s.nodes))] }

// rage deals the faults, all of them before any comes again, until the time is over and
// each has struck.
func (s *storm) rage() {
	able := s.able()
	require.NotEmpty(s.t, able)
	length, least, most := *long, 0.5, 4.0
	if length == 0 {
		length, most = time.Minute, 1.0
	}
	defer s.watch()()
	defer s.user.begin()()
	struck := map[string]int{}
	var deck []Fault
	for end := time.Now().Add(length); time.Now().Before(end) || len(struck) < len(able); {
		s.pass(s.between(least, most))
		if len(deck) == 0 {
			deck = append(deck, able...)
			s.rng.Shuffle(len(deck), func(i, k int) { deck[i], deck[k] = deck[k], deck[i] })
		}
		f := deck[0]
		deck = deck[1:]
		if !s.strike(f) {
			return
		}
		struck[f.Name]++
		if s.t.Failed() {
			return
		}
	}
}

// able are the faults that this machine can have. It says which it can't, and why.
func (s *storm) able() []Fault {
	if s.dealt != nil {
		return s.dealt
	}
	for _, f := range s.faults {
		if !regexp.MustCompile(*only).MatchString(f.Name) {
			continue
		}
		if f.Needs != nil {
			if why := f.Needs(s); why != "" {
				s.t.Logf("not injected: %s: %s", f.Name, why)
				continue
			}
		}
		s.dealt = append(s.dealt, f)
	}
	return s.dealt
}

// strike injects one fault.
func (s *storm) strike(f Fault) bool {
	from := time.Now()
	s.windows[len(s.windows)-1].to = from
	s.windows = append(s.windows, window{fault: f.Name, from: from, costs: f.Costs})
	s.words = nil
	err := f.Strike(s)
	s.windows[len(s.windows)-1].healed = time.Now()
	if f.Costs.forgets {
		s.pass(recollection)
	}
	s.t.Logf("%s %s %s (%v)", clock(from), f.Name, strings.Join(s.words, " "), time.Since(from).Round(time.Millisecond))
	return assert.NoError(s.t, err, "%s could not be injected", f.Name)
}

// forgetsSince says that what Redis acknowledged after that time is lost: the window of
// the present strike begins there. What Redis says now is copied, as it won't say it
// again.
func (s *storm) forgetsSince(t time.Time) {
	_ = s.archive.harvest(s.ctx, 200) // what is not copied counts against nobody
	before, now := &s.windows[len(s.windows)-2], &s.windows[len(s.windows)-1]
	now.from = t.Add(-2 * time.Second) // what ended just before may not have been copied
	if now.from.Before(before.from) {
		now.from = before.from
	}
	before.to = now.from
}

// watch copies ledgers and endings, as often as Redis lets it.
func (s *storm) watch() (stop func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = s.archive.harvest(ctx, 200) // Redis is being hurt; the next one makes up for it
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

// heal takes every fault away, waits until all that the storm left behind has ended, and
// ends the fleet.
func (s *storm) heal() {
	for _, n := range s.nodes {
		if n.proxy != nil {
			require.NoError(s.t, n.proxy.set(rule{}))
		}
		_ = n.process.Cmd.Process.Signal(syscall.SIGCONT) // it may be dead
		if !n.process.Alive() {
			s.complain("%s had ended by itself: %s", n.name, lastLines(n.process.Stderr()))
			require.NoError(s.t, s.begin(n))
		}
	}
	healed := time.Now()
	end := healed.Truncate(time.Second).Add(time.Second)
	stop := s.watch()
	defer stop()
	require.True(s.t, eventually(3*patience, func() bool { return s.decided(end) }), "every tick up to %v is decided", end)
	for _, j := range s.jobs {
		_, _, err := s.store.Pause(s.ctx, j.name, "the storm", "it is over")
		require.NoError(s.t, err)
	}
	var left []string
	if !eventually(3*patience, func() bool { left = s.unfinished(); return len(left) == 0 }) {
		s.complain("%v after the storm these are left: %v", time.Since(healed).Round(time.Second), left)
	}
	s.t.Logf("quiet %v after the storm (lease %v)", time.Since(healed).Round(time.Millisecond), s.lease)
	require.NoError(s.t, s.archive.harvest(s.ctx, 100_000))
	s.windows[len(s.windows)-1].to = end.Add(time.Millisecond) // its last tick belongs to it
	s.ends()
	s.checks.Wait()
}

// ends asks every node to end, which has nothing to do any more.
func (s *storm) ends() {
	for _, n := range s.nodes {
		_ = n.process.Cmd.Process.Signal(syscall.SIGTERM) // it may be dead
	}
	for _, n := range s.nodes {
		select {
		case <-n.process.Done:
			if code := n.process.Cmd.ProcessState.ExitCode(); code != 0 {
				s.complain("%s ended with exit code %d: %s", n.name, code, lastLines(n.process.Stderr()))
			}
		case <-time.After(patience):
			s.complain("%s did not end: %s", n.name, lastLines(n.process.Stderr()))
		}
	}
	if left := processesOf(witness, func(string, string) bool { return true }); len(left) > 0 {
		s.complain("every node has ended, and commands live: %v", left)
	}
}

// decided says whether every job's cursor has come to a time.
func (s *storm) decided(end time.Time) bool {
	cursors, err := s.store.Cursors(s.ctx)
	if err != nil {
		return false
	}
	for _, j := range s.jobs {
		ticks := j.ticks(end.Add(-time.Minute), end)
		if cursors[j.name].Before(ticks[len(ticks)-1]) {
			return false
		}
	}
	return true
}

// unfinished are the keys that only unfinished runs have.
func (s *storm) unfinished() (keys []string) {
	for _, family := range []string{"leases", "active:*", "waiting:*", "rollback:*", "queue:*", "priorities:*", "group:*", "groupwait:*", "backfill:*"} {
		found, err := s.keysLike(s.key(family))
		if err != nil {
			return []string{err.Error()}
		}
		keys = append(keys, found...)
	}
	return keys
}

// judge prints the table and fails the test when a promise was broken.
func (s *storm) judge() {
	truth, err := readTruth(s.dir)
	require.NoError(s.t, err)
	jg := &judge{jobs: s.jobs, truth: truth, archive: s.archive, windows: s.windows, settled: time.Now()}
	jg.decide(s.began, s.windows[len(s.windows)-1].to)
	jg.wishes(s.user.wishes)
	tries := 0
	for _, w := range s.user.wishes {
		tries += w.tries
	}
	s.t.Logf("%d runs triggered by hand, in %d tries", len(s.user.wishes), tries)
	s.t.Logf("longest silences: %s", jg.longest(8))
	names := []string{calm}
	for _, f := range s.faults {
		names = append(names, f.Name)
	}
	s.t.Logf("%d jobs, %d nodes, %d begins of witnesses; pardoned: %v\n%s", len(s.jobs), len(s.nodes), len(truth.begins), jg.pardoned, jg.table(names))
	for _, f := range s.able() {
		assert.NotNil(s.t, jg.rows[f.Name], "%s has not been injected", f.Name)
	}
	complaints := append(s.complaints, jg.complaints...)
	const most = 40
	if len(complaints) > most {
		s.t.Logf("%d complaints, of which these are the first", len(complaints))
		complaints = complaints[:most]
	}
	for _, c := range complaints {
		assert.Fail(s.t, "not as promised", "%s", c)
	}
}

func lastLines(text string) string { return text[max(0, len(text)-1500):] }

// validate asks carillon whether it likes a schedule.
func validate(file string) (string, error) {
	p, err := proctest.Start(filepath.Dir(file), "validate", nil, carillon, "validate", "--file", file)
	if err != nil {
		return "", err
	}
	<-p.Done
	if code := p.Cmd.ProcessState.ExitCode(); code != 0 {
		return p.Stdout() + p.Stderr(), fmt.Errorf("exit code %d", code)
	}
	return "", nil
}
