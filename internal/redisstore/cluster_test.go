package redisstore

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
	"carillon/jobs"
)

func TestTheSlotOfANamespace(t *testing.T) {
	require.Equal(t, 0x31c3, slotOf("123456789"), "the example of the cluster specification")
	require.Equal(t, 12182, slotOf("foo"))
}

func TestWhoHasASlot(t *testing.T) {
	node := func(host any, port int64) any { return []any{host, port, "id", []any{}} }
	ranges := []any{
		[]any{int64(0), int64(99), node("10.0.0.1", 1)},
		[]any{int64(100), int64(200), node("", 2), node(nil, 3), node("?", 4), node("h", 5)},
		[]any{int64(300), int64(300)},
		[]any{int64(301), int64(301), node("10.0.0.1", 1), node("", 2), node("k", 6)},
	}
	found, err := findSlot(ranges, 100, "asked")
	require.NoError(t, err)
	require.Equal(t, slotNodes{master: "asked:2", others: []string{"asked:3", "asked:4", "h:5", "10.0.0.1:1", "k:6"}}, found)
	found, err = findSlot(ranges, 99, "asked")
	require.NoError(t, err)
	require.Equal(t, slotNodes{master: "10.0.0.1:1", others: []string{"asked:2", "asked:3", "asked:4", "h:5", "k:6"}}, found)
	for _, slot := range []int{250, 300} {
		_, err = findSlot(ranges, slot, "asked")
		require.ErrorContains(t, err, fmt.Sprintf("no node has slot %d", slot))
		require.Equal(t, Transient, ClassOf(err))
	}
}

func TestAddressesOfClusters(t *testing.T) {
	target, err := parseURL("redis+cluster://u:hunter2@a:1,b:7001?client_name=c")
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:7001"}, target.nodes)
	require.Nil(t, target.TLSConfig)
	require.Equal(t, "u", target.Username)
	require.Equal(t, "hunter2", target.Password)
	require.Equal(t, "c", target.ClientName)
	require.Equal(t, "the cluster of a:1,b:7001", target.name())

	target, err = parseURL("rediss+cluster://a:1/0?skip_verify=true")
	require.NoError(t, err)
	require.True(t, target.TLSConfig.InsecureSkipVerify)
	require.Empty(t, target.TLSConfig.ServerName, "each node has its own")
	target, err = parseURL("rediss+cluster://a:1?server_name=x")
	require.NoError(t, err)
	require.Equal(t, "x", target.TLSConfig.ServerName)
}

// small is a cluster of one process, which has all slots.
func small(t *testing.T, args ...string) *redistest.Server {
	s := redistest.StartReal(t, append([]string{"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
		"--cluster-require-full-coverage", "no"}, args...)...)
	slots := []string{"CLUSTER", "ADDSLOTS"}
	for slot := range 16384 {
		slots = append(slots, strconv.Itoa(slot))
	}
	_, err := s.Call(slots...)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, _ := s.Call("CLUSTER", "INFO")
		return strings.Contains(toString(info), "cluster_state:ok")
	}, time.Minute, 5*time.Millisecond)
	return s
}

func TestAClusterOverTLS(t *testing.T) {
	t.Parallel()
	ca := redistest.NewCA(t)
	cert, key := ca.Issue(t, "node")
	// Its plain port is open too: it has no client that knows a certificate.
	addr, s := redistest.StartTLS(t, ca, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--tls-cluster", "yes")
	_, err := s.Call("CLUSTER", "ADDSLOTS", strconv.Itoa(slotOf("carillon")))
	require.NoError(t, err)
	_, err = s.Call("CONFIG", "SET", "cluster-require-full-coverage", "no")
	require.NoError(t, err)
	_, err = s.Call("CONFIG", "SET", "requirepass", "hunter2")
	require.NoError(t, err)
	open := func(pairs ...string) *Store {
		q := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			q.Set(pairs[i], pairs[i+1])
		}
		st, err := Open(Options{URL: "rediss+cluster://:hunter2@" + addr + "?" + q.Encode()})
		require.NoError(t, err)
		t.Cleanup(func() { _ = st.Close() })
		return st
	}
	good := open("ca", ca.File, "cert", cert, "key", key, "server_name", "redis.test")
	require.Eventually(t, func() bool {
		err := good.CheckWritable(t.Context())
		if err != nil {
			t.Log(err)
		}
		return err == nil
	}, 20*time.Second, 50*time.Millisecond)

	bad := open("ca", ca.File, "cert", cert, "key", key)
	err = bad.Ping(t.Context())
	require.Equal(t, Fatal, ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "the certificate of this Redis is not what ca= and server_name=")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestAWrongClusterIsNamed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	plain := redistest.StartReal(t)
	one := small(t)
	secured := redistest.StartReal(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--requirepass", "secret")
	empty := redistest.StartReal(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")
	gone := redistest.StartReal(t)
	gone.Kill()
	for _, c := range []struct {
		name, url string
		class     Class
		says      string
	}{
		{"no cluster", "redis+cluster://" + plain.Addr(), Fatal, "not part of a cluster: redis://HOST:PORT/DB"},
		{"no password", "redis+cluster://" + secured.Addr(), Fatal, "wants a password"},
		{"another password", "redis+cluster://:hunter2@" + secured.Addr(), Fatal, "password or user"},
		{"nobody has the slot", "redis+cluster://" + empty.Addr(), Transient, "no node has slot"},
		{"nobody there", "redis+cluster://" + gone.Addr(), Transient, "connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(Options{URL: c.url})
			require.NoError(t, err)
			defer s.Close()
			err = s.Ping(ctx)
			require.ErrorContains(t, err, c.says)
			require.Equal(t, c.class, ClassOf(err), "%v", err)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
	some, err := Open(Options{URL: "redis+cluster://" + gone.Addr() + "," + plain.Addr() + "," + one.Addr()})
	require.NoError(t, err)
	defer some.Close()
	require.NoError(t, some.CheckWritable(ctx), "one of them will do")
}

// The keys that a script builds itself are all in the slot of its first one.
func TestTheStoreIsTheModelInACluster(t *testing.T) {
	t.Parallel()
	s := small(t)
	sameAsModel(t, "redis+cluster://"+s.Addr(), "test")
}

func TestTheMasterOfTheSlotIsFound(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := redistest.StartCluster(t)
	slot := c.Slot("carillon")
	require.Equal(t, slot, slotOf("carillon"))
	of := func(seed *redistest.Server) *Store {
		s, err := Open(Options{URL: "redis+cluster://" + seed.Addr(), Node: "n", Boot: "b"})
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	port := func(s *Store, want string) {
		t.Helper()
		var facts Facts
		var err error
		require.Eventually(t, func() bool {
			if err = s.CheckWritable(ctx); err == nil {
				err = s.lookServer(ctx, &facts)
			}
			return err == nil && facts.Info["tcp_port"] == want
		}, time.Minute, 20*time.Millisecond, "expected port %s", want)
	}
	portOf := func(s *redistest.Server) string {
		_, port, _ := net.SplitHostPort(s.Addr())
		return port
	}
	stores := make([]*Store, len(c.Servers))
	owner := c.Owner(slot)
	for i, seed := range c.Servers {
		stores[i] = of(seed)
		port(stores[i], portOf(owner)) // replicas and other masters know it too
	}
	facts, err := stores[0].Facts(ctx)
	require.NoError(t, err)
	require.Empty(t, facts.Denied)
	if redistest.Major(t) >= 7 { // ACL DRYRUN
		require.Empty(t, facts.Refused)
	}

	// Somebody else's address, as after a migration that we have not heard of: TIME is
	// not taken from there, and the right one is found.
	s := stores[0]
	s.owner.take(slotNodes{master: c.Other(slot).Addr()})
	err = s.SyncClock(ctx)
	require.ErrorContains(t, err, "MOVED")
	require.Equal(t, Transient, ClassOf(err))
	port(s, portOf(owner))

	plain, err := Open(Options{URL: "redis://" + c.Other(slot).Addr()})
	require.NoError(t, err)
	defer plain.Close()
	err = plain.CheckWritable(ctx)
	require.Equal(t, Fatal, ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "redis+cluster://HOST:PORT,HOST:PORT finds it")

	// A subscription goes where the slot goes.
	heard := make(chan struct{}, 100)
	listening, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- s.Watch(listening, func(batch []jobs.Event, _ bool) error {
			if len(batch) > 0 {
				heard <- struct{}{}
			}
			return nil
		})
	}()
	defer func() { cancel(); require.NoError(t, <-done) }()

	for _, change := range []struct {
		name string
		do   func() *redistest.Server
	}{
		{"the slot is migrated", func() *redistest.Server { to := c.Other(slot); c.Migrate(slot, to); return to }},
		{"a fail-over", func() *redistest.Server { return c.Failover(slot) }},
		{"the master is killed", func() *redistest.Server {
			c.AwaitHealth()
			gone := c.Owner(slot)
			gone.Kill()
			return c.AwaitOwner(slot, gone)
		}},
		{"the master hangs, and its seed is dead", func() *redistest.Server {
			for _, dead := range c.Servers {
				dead.Restart()
			}
			c.AwaitHealth()
			gone := c.Owner(slot)
			gone.Stop()
			return c.AwaitOwner(slot, gone)
		}},
	} {
		now := change.do()
		for i, s := range stores {
			t.Logf("%s: seed %d", change.name, i)
			port(s, portOf(now))
			require.NoError(t, s.SyncClock(ctx))
		}
		require.Eventually(t, func() bool {
			if s.Announce(ctx, jobs.Event{Type: jobs.EventReloaded, Node: "n"}) != nil {
				return false
			}
			select {
			case <-heard:
				return true
			case <-time.After(50 * time.Millisecond):
				return false
			}
		}, time.Minute, time.Millisecond, change.name)
	}
}

// While a slot is on its way each key is on one of two nodes, and no script may see
// half of them: none does anything, on either side.
func TestScriptsDoNothingWhileTheirSlotMigrates(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := redistest.StartCluster(t)
	slot := c.Slot("carillon")
	f := &fleet{t: t, url: c.URL(), namespace: "carillon", real: true, lease: 30 * time.Second}
	s := f.node("n1")
	token := lead(t, s)
	j := job("backup")
	_, err := s.Heartbeat(ctx, jobs.Node{Slots: 4}, []*jobs.Schedule{{Digest: "s1", Jobs: []*jobs.Job{j}}})
	require.NoError(t, err)
	_, err = s.Adopt(ctx, token, []*jobs.Job{j})
	require.NoError(t, err)
	first := s.Now().Truncate(time.Second).Add(-time.Minute)
	setCursor(t, s, j, first.Add(-time.Second))
	var ticks []jobs.Decision
	for i := range 40 {
		ticks = append(ticks, ran(j, first.Add(time.Duration(i)*time.Second)))
	}
	_, err = s.Commit(ctx, token, ticks[:30])
	require.NoError(t, err)
	claims := claim(t, s, 10)
	require.Len(t, claims, 10)
	for _, sc := range allScripts() {
		require.NoError(t, sc.load(ctx, s.cmd))
	}
	dump := func() map[string]string {
		t.Helper()
		values := map[string]string{}
		keys, err := s.cmd.Keys(ctx, "{carillon}:*").Result()
		require.NoError(t, err)
		for _, key := range keys {
			if members, err := s.cmd.SMembers(ctx, key).Result(); err == nil { // a set has no order
				slices.Sort(members)
				values[key] = strings.Join(members, " ")
			} else if !strings.Contains(key, ":bell:") { // nodes take and put back its tokens
				values[key] = s.cmd.Dump(ctx, key).Val()
			}
		}
		return values
	}
	before := dump()

	to := c.Other(slot)
	importing := redis.NewClient(&redis.Options{Addr: to.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	defer importing.Close()
	for _, sc := range allScripts() {
		require.NoError(t, sc.load(ctx, importing))
	}
	refused := func(what string) {
		t.Helper()
		for _, sc := range allScripts() {
			keys := []string{s.keys.probe(), s.keys.leases()} // all have these two or more, and the probe first
			_, err := s.evalOnce(ctx, s.cmd, sc, keys, []any{"x"})
			require.Error(t, err, "%s, %s", sc.name, what)
			require.Regexp(t, "ASK|TRYAGAIN", err.Error(), "%s, %s", sc.name, what)
			require.Equal(t, Transient, ClassOf(err), "%s: %v", sc.name, err)

			pipe := importing.Pipeline() // what a client that follows ASK would send
			pipe.Do(ctx, "ASKING")
			reply := pipe.EvalSha(ctx, sc.sha, keys, s.keys.prefix, "x")
			_, _ = pipe.Exec(ctx)
			require.ErrorContains(t, reply.Err(), "TRYAGAIN", "%s, %s", sc.name, what)
		}
		// A script that names no key gets as far as its first read of one.
		for _, first := range []string{"redis.call('EXISTS', ARGV[1]) ", ""} {
			err := s.cmd.Eval(ctx, first+"return redis.call('LLEN', ARGV[2])", nil, s.keys.probe(), s.keys.queue(jobs.AnyRoute, "5")).Err()
			if first != "" {
				require.ErrorContains(t, err, "non local key", what)
			}
		}
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		_, err := s.Commit(short, token, ticks[30:])
		require.Equal(t, Transient, ClassOf(err), "%v", err)
		_, err = s.Exchange(ctx, jobs.ExchangeRequest{ClaimID: "again", Want: 5})
		require.Equal(t, Transient, ClassOf(err), "%v", err)
		require.Error(t, s.SyncClock(ctx), "the clock of a slot that nobody serves")
		_, err = s.WaitBell(ctx)
		if err != nil {
			require.Equal(t, Transient, ClassOf(err), "%v", err)
		}
	}
	from := c.Begin(slot, to)
	refused("before a key was moved")
	require.Positive(t, c.MoveKeys(slot, from, to, len(before)/2))
	refused("when half of the keys were moved")
	for c.MoveKeys(slot, from, to, 1000) > 0 {
	}
	refused("when all keys were moved")
	c.End(slot, from, to)

	require.Eventually(t, func() bool { return s.CheckWritable(ctx) == nil }, time.Minute, 10*time.Millisecond)
	after := dump()
	require.Len(t, after, len(before))
	for key, value := range before {
		require.True(t, after[key] == value, "%s was %q and is %q", key, value, after[key])
	}
	verdicts, err := s.Commit(ctx, token, ticks[30:])
	require.NoError(t, err)
	require.Len(t, verdicts, 10)
	require.Len(t, claim(t, s, 100), 30, "what was not claimed before, once each")
}
