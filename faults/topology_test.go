package faults

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/require"

	"carillon/internal/redisstore"
	"carillon/internal/redistest"
)

// Storms on a Redis that has replicas. Nodes connect without proxies, since a proxy
// cannot stand in for an address that a sentinel or a cluster announces. They are parts
// of `make storm`, and CI has none of them: three sentinels or six servers beside the
// other tests are too much for two cores. What CI has is in the top folder:
// sentinel_test.go and cluster_test.go.

// nodeFaults are those of the catalogue that strike nodes alone.
var nodeFaults = slices.DeleteFunc(slices.Clone(catalogue), func(f Fault) bool {
	return f.Name != "kill -9 of the leader" && f.Name != "kill -9 of a worker" && f.Name != "stop, longer than the lease"
})

// sentinelCatalogue are the faults of a storm on a master, a replica and three
// sentinels. The master writes with its replica or not at all (min-replicas-to-write).
var sentinelCatalogue = append(slices.Clone(nodeFaults),
	Fault{Name: "fail-over in step", Does: "CLIENT PAUSE WRITE, a wait until the replica has all, SENTINEL FAILOVER", Strike: sentinelFailover(true)},
	Fault{Name: "fail-over", Does: "SENTINEL FAILOVER", Costs: cost{forgets: true}, Strike: sentinelFailover(false)},
	Fault{Name: "master killed", Does: "SIGKILL to the master; it comes back empty when another one is master", Costs: cost{forgets: true}, Strike: killMaster(0)},
	Fault{Name: "master killed, replica behind", Does: "the replica is stopped and cut off, and the master may write alone; 2 s later it is killed, and the replica goes on", Costs: cost{forgets: true}, Strike: killMaster(2 * time.Second)},
)

// clusterCatalogue are the faults of a storm on a Redis Cluster of three masters and
// three replicas.
var clusterCatalogue = append(slices.Clone(nodeFaults),
	Fault{Name: "slot migrated", Does: "the fleet's slot moves to another master, with all its keys", Strike: migrateSlot(false)},
	Fault{Name: "slot migrated slowly", Does: "the same, with a pause of up to half a lease when half of the keys are there", Strike: migrateSlot(true)},
	Fault{Name: "CLUSTER FAILOVER", Does: "CLUSTER FAILOVER to the replica of the slot's master", Strike: clusterFailover},
	Fault{Name: "master of the slot killed", Does: "SIGKILL to it; it comes back empty when its replica is master", Costs: cost{forgets: true}, Strike: killSlotMaster(0)},
	Fault{Name: "master of the slot killed, replica behind", Does: "the replica is stopped and cut off; 1 s later its master is killed, and the replica goes on", Costs: cost{forgets: true}, Strike: killSlotMaster(time.Second)},
)

func TestSentinelStorm(t *testing.T) {
	if *long == 0 {
		t.Skip("a part of `make storm`")
	}
	s := newStorm(t, sentinelCatalogue)
	s.sentry = startSentry(t)
	url := s.sentry.url()
	s.connectThrough(url, redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "main", SentinelAddrs: s.sentry.addrs(), Protocol: 2, DisableIdentity: true, MaxRetries: 5}))
	s.inhabit(url, 3)
	s.rage()
	s.heal()
	s.judge()
}

func TestClusterStorm(t *testing.T) {
	if *long == 0 {
		t.Skip("a part of `make storm`")
	}
	s := newStorm(t, clusterCatalogue)
	s.cluster = redistest.StartCluster(t)
	s.slot = s.cluster.Slot(s.ns)
	url := s.cluster.URL()
	s.connectThrough(url, redis.NewClusterClient(&redis.ClusterOptions{Addrs: strings.Split(strings.TrimPrefix(url, "redis+cluster://"), ","),
		Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}}))
	s.inhabit(url, 3)
	s.rage()
	s.heal()
	s.judge()
}

// connectThrough opens our own view of a Redis that has more than one address.
func (s *storm) connectThrough(url string, rdb redis.UniversalClient) {
	s.rdb = rdb
	var err error
	s.store, err = redisstore.Open(redisstore.Options{URL: url, Namespace: s.ns})
	require.NoError(s.t, err)
	s.t.Cleanup(func() {
		s.rdb.Close()
		s.store.Close()
	})
	s.archive = newArchive(s.store, s.rdb, s.ns, s.jobs)
	s.user = &user{s: s}
}

// inhabit starts so many nodes that connect by an address of their own.
func (s *storm) inhabit(url string, n int) {
	for i := range n {
		one := &node{name: fmt.Sprintf("n%d", i+1), url: url}
		require.NoError(s.t, s.begin(one))
		s.nodes = append(s.nodes, one)
	}
	s.settled()
}

// ---- sentinels ----------------------------------------------------------------

// sentry is two servers, of which one is master, and three sentinels.
type sentry struct {
	servers   []*redistest.Server
	sentinels []*redistest.Server
}

func startSentry(t testing.TB) *sentry {
	t.Helper()
	y := &sentry{}
	args := []string{"--repl-diskless-sync-delay", "0", "--min-replicas-to-write", "1"}
	y.servers = append(y.servers, redistest.StartReal(t, args...))
	host, port, err := net.SplitHostPort(y.servers[0].Addr())
	require.NoError(t, err)
	y.servers = append(y.servers, redistest.StartReal(t, append(args, "--replicaof", host, port)...))
	require.NoError(t, y.whole())
	for i := range 3 {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("sentinel%d.conf", i))
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "sentinel monitor main %s %s 2\nsentinel down-after-milliseconds main 1500\n"+
			"sentinel failover-timeout main 6000\n", host, port), 0o600))
		y.sentinels = append(y.sentinels, redistest.StartSentinel(t, file))
	}
	for _, s := range y.sentinels {
		require.True(t, eventually(patience, func() bool {
			return y.field(s, "num-slaves") == "1" && y.field(s, "num-other-sentinels") == "2"
		}), "the sentinels find each other")
	}
	return y
}

func (y *sentry) addrs() (list []string) {
	for _, s := range y.sentinels {
		list = append(list, s.Addr())
	}
	return list
}

func (y *sentry) url() string { return "redis+sentinel://" + strings.Join(y.addrs(), ",") + "/main" }

// field is what a sentinel says of the master.
func (y *sentry) field(s *redistest.Server, name string) string {
	reply, _ := s.Call("SENTINEL", "MASTER", "main")
	list, _ := reply.([]any)
	for i := 0; i+1 < len(list); i += 2 {
		if list[i] == name {
			text, _ := list[i+1].(string)
			return text
		}
	}
	return ""
}

// master and replica are what most sentinels say they are.
func (y *sentry) master() (master, replica *redistest.Server) {
	votes := map[string]int{}
	for _, s := range y.sentinels {
		votes[net.JoinHostPort(y.field(s, "ip"), y.field(s, "port"))]++
	}
	for i, s := range y.servers {
		if votes[s.Addr()] >= 2 {
			return s, y.servers[1-i]
		}
	}
	return nil, nil
}

// whole waits until one server is master and the other is in step with it.
func (y *sentry) whole() error {
	if eventually(patience, func() bool {
		var masters, replicas int
		for _, s := range y.servers {
			info := says(s, "INFO", "replication")
			switch {
			case strings.Contains(info, "role:master") && strings.Contains(info, "state=online"):
				masters++
			case strings.Contains(info, "master_link_status:up"):
				replicas++
			}
		}
		return masters == 1 && replicas == 1
	}) {
		return nil
	}
	return errors.New("the replica does not come into step")
}

// elected waits until most sentinels name another master than gone.
func (y *sentry) elected(gone *redistest.Server) error {
	if eventually(patience, func() bool { now, _ := y.master(); return now != nil && now != gone }) {
		return nil
	}
	return errors.New("no other master")
}

func says(s *redistest.Server, args ...string) string {
	reply, _ := s.Call(args...)
	text, _ := reply.(string)
	return text
}

// offset is how far the replication stream of a server goes.
func offset(s *redistest.Server, field string) string {
	for line := range strings.Lines(says(s, "INFO", "replication")) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return v
		}
	}
	return ""
}

func sentinelFailover(inStep bool) func(s *storm) error {
	return func(s *storm) error {
		y := s.sentry
		if err := y.whole(); err != nil {
			return err
		}
		master, replica := y.master()
		if master == nil {
			return errors.New("the sentinels do not agree")
		}
		if inStep {
			if _, err := master.Call("CLIENT", "PAUSE", "10000", "WRITE"); err != nil {
				return err
			}
			if !eventually(5*time.Second, func() bool {
				at := offset(master, "master_repl_offset")
				return at != "" && at == offset(replica, "slave_repl_offset")
			}) {
				return errors.New("the replica does not get all")
			}
		}
		var err error
		if !eventually(patience, func() bool { _, err = y.sentinels[0].Call("SENTINEL", "FAILOVER", "main"); return err == nil }) {
			return err
		}
		if err := y.elected(master); err != nil {
			return err
		}
		if inStep {
			_, _ = master.Call("CLIENT", "UNPAUSE") // it may be reconfigured just now
		}
		return y.whole()
	}
}

func killMaster(behind time.Duration) func(s *storm) error {
	return func(s *storm) error {
		y := s.sentry
		if err := y.whole(); err != nil {
			return err
		}
		master, replica := y.master()
		if master == nil {
			return errors.New("the sentinels do not agree")
		}
		if behind > 0 {
			if _, err := master.Call("CONFIG", "SET", "min-replicas-to-write", "0"); err != nil {
				return err
			}
			if err := s.leaveBehind(master, replica, behind); err != nil {
				return err
			}
		}
		master.Kill()
		if behind > 0 {
			replica.Cont()
		}
		if err := y.elected(master); err != nil {
			return err
		}
		master.Restart()
		return y.whole()
	}
}

// leaveBehind stops a replica, and has its master acknowledge for a while what that will
// never get. (Without the cut it would read all of it from its socket afterwards.)
func (s *storm) leaveBehind(master, replica *redistest.Server, while time.Duration) error {
	replica.Stop()
	_, err := master.Call("CLIENT", "KILL", "TYPE", "replica")
	s.pass(while)
	return err
}

// ---- a cluster ------------------------------------------------------------------

func migrateSlot(slowly bool) func(s *storm) error {
	return func(s *storm) error {
		to := s.cluster.Other(s.slot)
		from := s.cluster.Begin(s.slot, to)
		if slowly {
			keys, err := from.Call("CLUSTER", "COUNTKEYSINSLOT", fmt.Sprint(s.slot))
			if err != nil {
				return err
			}
			n, _ := keys.(int64)
			s.cluster.MoveKeys(s.slot, from, to, int(n/2)+1)
			while := s.between(0.1*s.lease.Seconds(), 0.5*s.lease.Seconds())
			s.note("for %v", while)
			s.pass(while)
		}
		for s.cluster.MoveKeys(s.slot, from, to, 500) > 0 {
		}
		s.cluster.End(s.slot, from, to)
		return nil
	}
}

// keysLike lists the keys of a pattern, in a cluster those of the fleet's slot: a
// client of a cluster would ask any node.
func (s *storm) keysLike(pattern string) (keys []string, err error) {
	if s.cluster == nil {
		return s.rdb.Keys(s.ctx, pattern).Result()
	}
	owner := s.cluster.Owner(s.slot)
	if owner == nil {
		return nil, errors.New("nobody has the slot")
	}
	reply, err := owner.Call("KEYS", pattern)
	list, _ := reply.([]any)
	for _, key := range list {
		text, _ := key.(string)
		keys = append(keys, text)
	}
	return keys, err
}

func clusterFailover(s *storm) error {
	s.cluster.AwaitHealth()
	s.cluster.Failover(s.slot)
	return nil
}

func killSlotMaster(behind time.Duration) func(s *storm) error {
	return func(s *storm) error {
		s.cluster.AwaitHealth()
		s.cluster.Await("the slot has a replica", func() bool { return s.cluster.Replica(s.slot) != nil })
		gone, replica := s.cluster.Owner(s.slot), s.cluster.Replica(s.slot)
		if behind > 0 {
			if err := s.leaveBehind(gone, replica, behind); err != nil {
				return err
			}
		}
		gone.Kill()
		if behind > 0 {
			replica.Cont()
		}
		s.cluster.AwaitOwner(s.slot, gone)
		gone.Restart()
		s.cluster.AwaitHealth()
		return nil
	}
}

func TestDocumentedFaultsOfTopologiesAreTheFaults(t *testing.T) {
	for section, list := range map[string][]Fault{"With sentinels": sentinelCatalogue, "In a cluster": clusterCatalogue} {
		var want [][]string
		for _, f := range list[len(nodeFaults):] {
			want = append(want, []string{f.Name, f.Does, f.Costs.String()})
		}
		documented, counted := tables(t, section)
		require.Equal(t, want, documented, section)
		var had []string
		for _, r := range counted {
			had = append(had, r[0])
		}
		names := []string{calm}
		for _, f := range list {
			names = append(names, f.Name)
		}
		require.Equal(t, append(names, "all"), had, section)
	}
}

// tables are the rows of the two tables of a section.
func tables(t *testing.T, section string) (first, second [][]string) {
	t.Helper()
	list := rows(t, section)
	for i, r := range list {
		if len(r) == 8 { // the head of the second one
			return list[:i], list[i+2:]
		}
	}
	t.Fatalf("docs/storm.md, section %q: two tables", section)
	return nil, nil
}
