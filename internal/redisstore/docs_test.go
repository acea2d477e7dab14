package redisstore

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
	"carillon/jobs"
	"carillon/leader"
)

// family is one row of the table of keys in docs/redis.md.
type family struct {
	name, kind, cap, lifetime string
}

func readDoc(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/redis.md")
	require.NoError(t, err)
	return string(b)
}

// rows returns the cells of the table that begins with the given header.
func rows(t *testing.T, doc, header string) [][]string {
	t.Helper()
	_, rest, found := strings.Cut(doc, "\n"+header+"\n")
	require.True(t, found, "docs/redis.md has no table %q", header)
	var table [][]string
	for _, line := range strings.Split(rest, "\n")[1:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		table = append(table, cells)
	}
	require.NotEmpty(t, table)
	return table
}

func documented(t *testing.T) map[string]family {
	t.Helper()
	families := map[string]family{}
	for _, r := range rows(t, readDoc(t), "| key | type | what is in it | cap | lifetime | written by |") {
		require.Len(t, r, 6, "row %v", r)
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.Trim(r[0], "`"), ":"), ":")
		families[name] = family{name: name, kind: r[1], cap: r[3], lifetime: r[4]}
	}
	return families
}

// constants are the caps and lifetimes of the code, by the names that the table uses.
func constants(t *testing.T) map[string]int64 {
	t.Helper()
	all := map[string]int64{
		"DefaultTTL": leader.DefaultTTL.Milliseconds(), "nodeKeep": nodeKeep.Milliseconds(),
		"logOpenKeep": logOpenKeep.Milliseconds(), "requestKeep": requestKeep.Milliseconds(),
		"renamedKeep": renamedKeep.Milliseconds(),
	}
	assignment := regexp.MustCompile(`(?m)^local (\w+) = (\d+)\b`)
	files, err := fs.Glob(luaFiles, "lua/*.lua")
	require.NoError(t, err)
	for _, file := range files {
		text := readLua(strings.TrimPrefix(file, "lua/"))
		for _, m := range assignment.FindAllStringSubmatch(text, -1) {
			value, err := strconv.ParseInt(m[2], 10, 64)
			require.NoError(t, err)
			if old, twice := all[m[1]]; twice {
				require.Equal(t, old, value, "%s has two values", m[1])
			}
			all[m[1]] = value
		}
	}
	ttl := regexp.MustCompile(`'PEXPIRE', KEYS\[3\], (\d+)`).FindStringSubmatch(readLua("claim.lua"))
	require.NotNil(t, ttl)
	all["claim.lua"], _ = strconv.ParseInt(ttl[1], 10, 64)
	return all
}

var (
	namedNumber   = regexp.MustCompile(`([\d,]+) ?\w* \(` + "`([\\w.]+)`" + `\)`)
	namedDuration = regexp.MustCompile(`(\d+) (second|minute|hour|day)s? \(` + "`([\\w.]+)`" + `\)`)
	units         = map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
)

// durationIn is the duration that a cell names, and the constant beside it.
func durationIn(cell string) (d time.Duration, constant string, ok bool) {
	m := namedDuration.FindStringSubmatch(cell)
	if m == nil {
		return 0, "", false
	}
	n, _ := strconv.Atoi(m[1])
	return time.Duration(n) * units[m[2]], m[3], true
}

// numberIn is the cap that a cell begins with.
func numberIn(cell string) (n int64, ok bool) {
	m := regexp.MustCompile(`^[\d,]+`).FindString(cell)
	if m == "" {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(m, ",", ""), 10, 64)
	return n, err == nil
}

func TestDocumentedKeysAreTheKeys(t *testing.T) {
	families := documented(t)

	// Every family that Go or Lua can name has a row, and every row a name in the code.
	named := map[string]bool{}
	source, err := os.ReadFile("keys.go")
	require.NoError(t, err)
	channels := []string{"events", "control"}
	for _, m := range regexp.MustCompile(`k\.prefix \+ "(\w+)`).FindAllStringSubmatch(string(source), -1) {
		if !slices.Contains(channels, m[1]) {
			named[m[1]] = true
		}
	}
	files, err := fs.Glob(luaFiles, "lua/*.lua")
	require.NoError(t, err)
	for _, file := range files {
		for _, m := range regexp.MustCompile(`\bP \.\. '(\w+)`).FindAllStringSubmatch(readLua(strings.TrimPrefix(file, "lua/")), -1) {
			if !slices.Contains(channels, m[1]) {
				named[m[1]] = true
			}
		}
	}
	for name := range named {
		assert.Contains(t, families, name, "docs/redis.md has no row for :%s", name)
	}
	for name := range families {
		assert.True(t, named[name], "docs/redis.md has a row for :%s, which no code names", name)
	}

	// Every number beside the name of a constant is that constant.
	all, checked := constants(t), 0
	for name, f := range families {
		for _, cell := range []string{f.cap, f.lifetime} {
			if d, constant, ok := durationIn(cell); ok {
				assert.Equal(t, all[constant], d.Milliseconds(), ":%s: %s", name, cell)
				checked++
			} else if m := namedNumber.FindStringSubmatch(cell); m != nil {
				n, _ := numberIn(m[1])
				assert.Equal(t, all[m[2]], n, ":%s: %s", name, cell)
				checked++
			}
		}
	}
	assert.GreaterOrEqual(t, checked, 15, "the table says how long and how much")
	assert.Contains(t, readDoc(t), fmt.Sprintf("within %d seconds (`LIVE_MS`)", all["LIVE_MS"]/1000))
	assert.Equal(t, nodeLive.Milliseconds(), all["LIVE_MS"], "Go and Lua agree who is live")
}

// size is how many elements a key has, in the unit of its row.
func size(ctx context.Context, s *Store, key, kind string) int64 {
	switch kind {
	case "hash":
		return s.cmd.HLen(ctx, key).Val()
	case "list":
		return s.cmd.LLen(ctx, key).Val()
	case "zset":
		return s.cmd.ZCard(ctx, key).Val()
	case "set":
		return s.cmd.SCard(ctx, key).Val()
	default:
		return 1
	}
}

// mayStay are the families whose keys may lack a TTL at times, and when they may.
var mayStay = map[string]func(ctx context.Context, s *Store, key string) bool{
	"queue":      onSharedRoute,
	"priorities": onSharedRoute,
	"bell":       func(_ context.Context, s *Store, key string) bool { return key == s.keys.bell(jobs.AnyRoute) },
	"run":        unfinished,
	"rollback": func(ctx context.Context, s *Store, key string) bool {
		return unfinished(ctx, s, s.keys.run(strings.TrimPrefix(key, s.keys.rollback(""))))
	},
}

func unfinished(ctx context.Context, s *Store, run string) bool {
	return !jobs.State(s.cmd.HGet(ctx, run, "status").Val()).Final()
}

func onSharedRoute(_ context.Context, _ *Store, key string) bool {
	return !strings.Contains(key, "node=")
}

// runFields are the names that the page gives as fields of a run.
func runFields(t *testing.T) map[string]bool {
	t.Helper()
	_, part, found := strings.Cut(readDoc(t), "\n### The fields of a run\n")
	require.True(t, found)
	part, _, _ = strings.Cut(part, "\n### ")
	fields := map[string]bool{}
	for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(part, -1) {
		fields[m[1]] = true
	}
	return fields
}

// inspect compares every key of the namespace with its row.
func inspect(t *testing.T, s *Store, families map[string]family, seen map[string]bool) {
	t.Helper()
	ctx := context.Background()
	fields := runFields(t)
	iter := s.cmd.Scan(ctx, 0, s.keys.prefix+"*", 1000).Iterator()
	for iter.Next(ctx) {
		key := iter.Val()
		f, ok := families[s.keys.familyOf(key)]
		if !assert.True(t, ok, "%s is of no documented family", key) {
			continue
		}
		seen[f.name] = true
		assert.Equal(t, f.kind, s.cmd.Type(ctx, key).Val(), key)
		if limit, ok := numberIn(f.cap); ok {
			if f.name == "logs" || f.name == "logsize" {
				limit = 1 << 20 // their caps are in bytes, see TestLogsHaveABudgetForEachJob
			}
			assert.LessOrEqual(t, size(ctx, s, key, f.kind), limit, key)
		}
		if f.name == "run" {
			for _, field := range s.cmd.HKeys(ctx, key).Val() {
				assert.True(t, fields[field] || strings.HasPrefix(field, "step:"), "docs/redis.md names no field %s of a run", field)
			}
		}
		limit, _, bounded := durationIn(f.lifetime)
		if f.lifetime == "as its queues" {
			limit, _, bounded = durationIn(families["queue"].lifetime)
		}
		if f.name == "leader" {
			limit = time.Minute // this test holds the lock by hand
		}
		ttl := s.cmd.PTTL(ctx, key).Val()
		stays := mayStay[f.name]
		switch {
		case ttl == -2: // gone since the scan
		case !bounded, stays != nil && stays(ctx, s, key):
			assert.Equal(t, time.Duration(-1), ttl, "%s has a TTL", key)
		default:
			assert.Positive(t, ttl, "%s has no TTL", key)
			assert.LessOrEqual(t, ttl, limit, key)
		}
	}
	require.NoError(t, iter.Err())
}

// TestLivesLeaveTheDocumentedKeys drives runs through everything that can happen
// to them on a real server, and compares what lies there with docs/redis.md at
// each turn.
func TestLivesLeaveTheDocumentedKeys(t *testing.T) {
	url, namespace := redistest.Shared(t)
	f := &fleet{t: t, url: url, namespace: namespace, real: true, lease: time.Second}
	ctx := context.Background()
	families, seen := documented(t), map[string]bool{}
	a, b := f.node("a"), f.node("b")
	look := func() { t.Helper(); inspect(t, a, families, seen) }
	heard := hear(t, a)

	j, other := job("doc"), job("other")
	sched := &jobs.Schedule{Digest: "s1", Jobs: []*jobs.Job{j, other}}
	beat := func(s *Store) {
		t.Helper()
		_, err := s.Heartbeat(ctx, jobs.Node{Slots: 4, StartedAt: time.Now(), Version: "test"}, []*jobs.Schedule{sched})
		require.NoError(t, err)
	}
	beat(a)
	beat(b)
	owner, err := a.EmbeddedOwner(ctx, "/etc/schedule.yaml")
	require.NoError(t, err)
	require.Equal(t, "/etc/schedule.yaml", owner)
	token := lead(t, a)
	_, err = a.Adopt(ctx, token, []*jobs.Job{j, other})
	require.NoError(t, err)
	look()

	// Ticks: more than the ledger keeps, each with a fate of its own.
	first := a.Now().Truncate(time.Second).Add(-3 * time.Hour)
	setCursor(t, a, j, first.Add(-time.Second))
	var missed []jobs.Decision
	for i := range 2300 {
		tick := first.Add(time.Duration(i) * time.Second)
		missed = append(missed, jobs.Decision{Job: j, Tick: tick, Until: tick, Count: 1, Outcome: jobs.OutcomeMissed, Reason: fmt.Sprintf("policy: test %d", i%2)})
	}
	_, err = a.Commit(ctx, token, missed)
	require.NoError(t, err)
	look()
	require.EqualValues(t, constants(t)["LEDGER_CAP"], a.cmd.LLen(ctx, a.keys.ledger("doc")).Val())

	// Runs: more than any list keeps, a third of them failures.
	var ticks []jobs.Decision
	for i := range 1100 {
		ticks = append(ticks, ran(j, first.Add(time.Duration(2300+i)*time.Second)))
	}
	_, err = a.Commit(ctx, token, ticks)
	require.NoError(t, err)
	look()
	for {
		claims := claim(t, a, jobs.MaxBatch)
		if len(claims) == 0 {
			break
		}
		look1 := len(seen)
		var results []jobs.Result
		for i, c := range claims {
			r := jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded, OutputBytes: 9, LogBytes: 9}
			if i%3 == 0 {
				r.Status, r.Error = jobs.Failed, "exit status 1"
			}
			results = append(results, r)
		}
		_, err = a.AppendLog(ctx, claims[0].RunID, []jobs.LogChunk{{Attempt: 1, Data: []byte("output")}}, nil)
		require.NoError(t, err)
		if look1 < len(families) {
			look()
		}
		finish(t, a, results...)
	}
	look()
	require.EqualValues(t, constants(t)["RECENT_CAP"], a.cmd.LLen(ctx, a.keys.recent()).Val())
	require.EqualValues(t, constants(t)["HISTORY_CAP"], a.cmd.LLen(ctx, a.keys.history("doc")).Val())
	require.EqualValues(t, constants(t)["FAILURES_CAP"], a.cmd.LLen(ctx, a.keys.failures("doc")).Val())

	// A run that is tried again, one whose result comes too late, one in the way.
	trigger := func(unique string) jobs.Claim {
		t.Helper()
		_, err := a.Trigger(ctx, jobs.TriggerRequest{Job: j, Unique: unique, RequestID: "r-" + unique, Reason: "test", By: "me", Params: map[string]string{"p": "v"}})
		require.NoError(t, err)
		claims := claim(t, a, 1)
		require.Len(t, claims, 1)
		return claims[0]
	}
	c := trigger("retry")
	code := 1
	finish(t, a, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Retrying, RetryIn: 20 * time.Millisecond, ExitCode: &code, Error: "no"})
	look()
	eventuallySwept(t, a, token, func() bool { return a.cmd.HGet(ctx, a.keys.run(c.RunID), "status").Val() == string(jobs.Queued) })
	finish(t, a, jobs.Result{RunID: c.RunID, Token: "stale", Status: jobs.Succeeded})
	require.Len(t, claim(t, a, 1), 1)
	skip := *j
	skip.Overlap = jobs.OverlapSkip
	verdicts, err := a.Commit(ctx, token, []jobs.Decision{ran(&skip, a.Now().Truncate(time.Second).Add(-time.Second))})
	require.NoError(t, err)
	require.Equal(t, jobs.VerdictSkipped, verdicts[0].Kind)

	// A node that dies: the lease runs out. It renews once, so that it counts.
	c = trigger("crash")
	_, err = a.Renew(ctx, []jobs.LeaseRef{{RunID: c.RunID, Token: c.Token}})
	require.NoError(t, err)
	look()
	eventuallySwept(t, a, token, func() bool { return a.cmd.HGet(ctx, a.keys.run(c.RunID), "crashes").Val() == "1" })
	look()

	// Runs that are given back, and one that only the other node can execute.
	c = claim(t, a, 1)[0]
	require.NoError(t, a.Release(ctx, []jobs.Release{{RunID: c.RunID, Token: c.Token, Kind: jobs.ReleaseStarted, Reason: "drain"}}))
	c = claim(t, a, 1)[0]
	require.NoError(t, a.Leave(ctx))
	require.NoError(t, a.Release(ctx, []jobs.Release{{RunID: c.RunID, Token: c.Token, Kind: jobs.ReleasePark, Reason: "no definition"}}))
	look()
	route := a.keys.queue(nodeRoute(b.opts.Boot), "5")
	eventuallySwept(t, a, token, func() bool {
		beat(b)
		return a.cmd.Exists(ctx, route).Val() == 1
	})
	look()
	lifeAfterTheFirst(t, b, token, look)
	for _, got := range []int{0, 1} { // no replica is there to be missed
		a.replicas.want = 1
		a.announceReplicas(ctx, got)
		a.replicas.want = 0
	}
	require.NoError(t, a.Announce(ctx, jobs.Event{Type: jobs.EventReloaded, Node: "a", Reason: "schedule s1"}))
	require.NoError(t, a.Resigned(ctx, token, "a"))
	beat(a)
	beat(b)
	deposed, err := b.Accuse(ctx, jobs.Accusation{Token: token, Since: b.Now(), Why: "test"})
	require.NoError(t, err)
	require.Equal(t, jobs.AccusedDeposed, deposed.Answer)
	look()
	electByQuorum(t, f, look)

	lose(t, a)
	beat(a)
	look()

	for name := range families {
		if name != "probe" {
			assert.True(t, seen[name], "the life of these runs never met :%s", name)
		}
	}

	// What was heard is what the page lists, all of it.
	var types []string
	for _, r := range rows(t, readDoc(t), "| type | when | fields |") {
		types = append(types, strings.Trim(r[0], "`"))
	}
	require.Eventually(t, func() bool { return len(heard()) >= len(types) }, 5*time.Second, 10*time.Millisecond,
		"documented: %v", types)
	require.ElementsMatch(t, types, heard())
}

// electByQuorum leads for a moment by a lock quorum: databases of the same server,
// the data's among them.
func electByQuorum(t *testing.T, f *fleet, look func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server := strings.TrimSuffix(f.url, "/0")
	s, err := Open(Options{URL: f.url, LockRedis: []string{f.url, server + "/1", server + "/2"}, Namespace: f.namespace, Node: "q", Boot: "bq"})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.cmd.Del(ctx, s.keys.leader()).Err())
	e := leader.New(s, leader.Config{Node: "q", Boot: "bq", Quorum: s.Quorum()})
	require.NoError(t, e.Run(ctx, func(context.Context, leader.Term) error {
		look()
		cancel()
		return nil
	}))
}

// eventuallySwept sweeps until the condition holds.
func eventuallySwept(t *testing.T, s *Store, token string, done func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := s.Sweep(context.Background(), token, true, nil)
		return err == nil && done()
	}, 15*time.Second, 20*time.Millisecond)
}

// hear subscribes to the events and returns a function that lists the types that
// came so far.
func hear(t *testing.T, s *Store) func() []string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	types := map[string]bool{}
	subscribed, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var once sync.Once
		_ = s.Watch(ctx, func(batch []jobs.Event, resync bool) error {
			once.Do(func() { close(subscribed) })
			mu.Lock()
			defer mu.Unlock()
			for _, e := range batch {
				types[string(e.Type)] = true
			}
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	<-subscribed
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		var list []string
		for name := range types {
			list = append(list, name)
		}
		return list
	}
}

// A Redis that is full takes nothing new, and the ends of attempts all the same.
func TestAFullRedisStillTakesTheEndsOfAttempts(t *testing.T) {
	ctx := context.Background()
	f := &fleet{t: t, url: redistest.Real(t), namespace: "test", real: true, lease: time.Minute}
	s := f.node("n1")
	token := lead(t, s)
	j := job("full")
	tick := s.Now().Truncate(time.Second).Add(-time.Second)
	setCursor(t, s, j, tick.Add(-2*time.Second))
	_, err := s.Commit(ctx, token, []jobs.Decision{ran(j, tick.Add(-time.Second))})
	require.NoError(t, err)
	c := claim(t, s, 1)[0]

	require.NoError(t, s.cmd.ConfigSet(ctx, "maxmemory", "100kb").Err())
	_, err = s.Commit(ctx, token, []jobs.Decision{ran(j, tick)})
	require.Error(t, err)
	require.Equal(t, Degraded, ClassOf(err))
	require.ErrorContains(t, err, "maxmemory")
	require.Equal(t, []jobs.FinishAnswer{jobs.FinishOK},
		finish(t, s, jobs.Result{RunID: c.RunID, Token: c.Token, Status: jobs.Succeeded}))
	run, err := s.Run(ctx, c.RunID)
	require.NoError(t, err)
	require.Equal(t, jobs.Succeeded, run.Status)
}
