package redistest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Cluster is a Redis Cluster of six processes: Servers 0 to 2 began as masters of a
// third of the slots each, 3 to 5 as their replicas. Its methods end the test when
// something takes longer than a minute.
type Cluster struct {
	t       testing.TB
	Servers []*Server
}

const (
	clusterMasters  = 3
	clusterSlots    = 16384
	clusterPatience = time.Minute
)

// StartCluster starts one, without persistence, and waits until every replica is in
// sync. A master counts as dead after 2 seconds; args come after the flags that say
// that.
func StartCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	bin := binary(t)
	c := &Cluster{t: t, Servers: make([]*Server, 2*clusterMasters)}
	errs := make([]error, len(c.Servers))
	var wg sync.WaitGroup
	for i := range c.Servers {
		dir := t.TempDir()
		wg.Go(func() { c.Servers[i], errs[i] = startClusterNode(bin, dir, args) })
	}
	wg.Wait()
	for _, s := range c.Servers {
		if s != nil {
			t.Cleanup(s.Kill)
		}
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("redistest: %v", err)
	}
	for i, s := range c.Servers {
		c.must(s, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)) // or they settle it by a collision each
		if i < clusterMasters {
			slots := []string{"CLUSTER", "ADDSLOTS"}
			for slot := i * clusterSlots / clusterMasters; slot < (i+1)*clusterSlots/clusterMasters; slot++ {
				slots = append(slots, strconv.Itoa(slot))
			}
			c.must(s, slots...)
		}
	}
	c.meet()
	met := time.Now()
	for _, s := range c.Servers {
		c.Await("all nodes know each other", func() bool {
			if time.Since(met) > 3*time.Second { // a handshake gives up after two
				c.meet()
				met = time.Now()
			}
			return strings.Contains(c.text(s, "CLUSTER", "INFO"), fmt.Sprintf("cluster_known_nodes:%d\r", len(c.Servers))) &&
				!strings.Contains(c.text(s, "CLUSTER", "NODES"), "handshake")
		})
	}
	for i, s := range c.Servers[clusterMasters:] {
		c.must(s, "CLUSTER", "REPLICATE", c.id(c.Servers[i]))
	}
	c.AwaitHealth()
	return c
}

// meet introduces every node to the first one.
func (c *Cluster) meet() {
	c.t.Helper()
	for _, s := range c.Servers[1:] {
		host, port, _ := net.SplitHostPort(s.addr)
		c.must(c.Servers[0], "CLUSTER", "MEET", host, port)
	}
}

// startClusterNode starts a node on a port p of which p+10000, the bus, is free too.
func startClusterNode(bin, dir string, args []string) (*Server, error) {
	var err error
	for range 20 {
		port := 15000 + rand.IntN(7000) // below the ports that the kernel hands out, its bus too
		if !free(port) || !free(port+10000) {
			continue
		}
		s := &Server{bin: bin, dir: dir, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), args: append([]string{
			"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000",
			"--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0",
			"--repl-diskless-sync-delay", "0"}, args...)}
		if err = s.launch(); err == nil {
			return s, nil
		}
		if !errors.Is(err, errExited) {
			break
		}
	}
	return nil, fmt.Errorf("start a node of a cluster: %w", err)
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// URL is redis+cluster:// with all nodes.
func (c *Cluster) URL() string {
	addrs := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		addrs[i] = s.addr
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// Slot is the slot of a namespace's keys.
func (c *Cluster) Slot(namespace string) int {
	c.t.Helper()
	n, _ := c.must(c.Servers[0], "CLUSTER", "KEYSLOT", "{"+namespace+"}").(int64)
	return int(n)
}

// Owner is the master of a slot, by the word of most nodes; nil when none knows.
func (c *Cluster) Owner(slot int) *Server {
	votes := map[string]int{}
	for _, addrs := range c.views(slot) {
		votes[addrs[0]]++
	}
	var best string
	for addr, n := range votes {
		if n > votes[best] {
			best = addr
		}
	}
	return c.server(best)
}

// Replica is a replica of a slot's master, by the master's word.
func (c *Cluster) Replica(slot int) *Server {
	owner := c.Owner(slot)
	if owner == nil {
		return nil
	}
	if addrs := c.view(owner, slot); len(addrs) > 1 {
		return c.server(addrs[1])
	}
	return nil
}

// Other is a master that does not have the slot.
func (c *Cluster) Other(slot int) *Server {
	c.t.Helper()
	owner := c.Owner(slot)
	for _, s := range c.Servers {
		if s != owner && strings.Contains(c.text(s, "INFO", "replication"), "role:master") {
			return s
		}
	}
	c.t.Fatal("redistest: no other master")
	return nil
}

// Begin begins to migrate a slot: its owner is MIGRATING, to is IMPORTING.
func (c *Cluster) Begin(slot int, to *Server) (from *Server) {
	c.t.Helper()
	from = c.Owner(slot)
	n := strconv.Itoa(slot)
	c.must(to, "CLUSTER", "SETSLOT", n, "IMPORTING", c.id(from))
	c.must(from, "CLUSTER", "SETSLOT", n, "MIGRATING", c.id(to))
	return from
}

// MoveKeys moves at most count keys of a slot that migrates, and returns how many
// it moved.
func (c *Cluster) MoveKeys(slot int, from, to *Server, count int) int {
	c.t.Helper()
	list, _ := c.must(from, "CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), strconv.Itoa(count)).([]any)
	if len(list) == 0 {
		return 0
	}
	host, port, _ := net.SplitHostPort(to.addr)
	args := []string{"MIGRATE", host, port, "", "0", "4000", "KEYS"}
	for _, key := range list {
		args = append(args, key.(string))
	}
	c.must(from, args...)
	return len(list)
}

// End gives the slot to its new owner, and waits until all agree.
func (c *Cluster) End(slot int, from, to *Server) {
	c.t.Helper()
	for _, s := range []*Server{to, from} {
		c.must(s, "CLUSTER", "SETSLOT", strconv.Itoa(slot), "NODE", c.id(to))
	}
	c.Await("the slot is migrated", func() bool { return c.agree(slot, to) })
}

// Migrate moves a slot with all its keys.
func (c *Cluster) Migrate(slot int, to *Server) {
	c.t.Helper()
	from := c.Begin(slot, to)
	for c.MoveKeys(slot, from, to, 100) > 0 {
	}
	c.End(slot, from, to)
}

// Failover makes the replica of the slot's master the master, in step: the master
// holds its clients until the replica has all.
func (c *Cluster) Failover(slot int) (promoted *Server) {
	c.t.Helper()
	c.Await("the slot has a replica", func() bool { promoted = c.Replica(slot); return promoted != nil })
	// It is refused while the link between the two is down.
	c.Await("the fail-over began", func() bool { _, err := promoted.Call("CLUSTER", "FAILOVER"); return err == nil })
	c.Await("the replica is master", func() bool { return c.agree(slot, promoted) })
	return promoted
}

// AwaitOwner waits until most nodes say that the slot has another master than gone.
func (c *Cluster) AwaitOwner(slot int, gone *Server) (owner *Server) {
	c.t.Helper()
	c.Await("the slot has a new master", func() bool {
		owner = c.Owner(slot)
		return owner != nil && owner != gone
	})
	return owner
}

// AwaitHealth waits until each node says that the cluster is well, and until every
// replica is in sync.
func (c *Cluster) AwaitHealth() {
	c.t.Helper()
	for _, s := range c.Servers {
		c.Await("the cluster is well", func() bool {
			role := c.text(s, "INFO", "replication")
			return strings.Contains(c.text(s, "CLUSTER", "INFO"), "cluster_state:ok") &&
				(strings.Contains(role, "role:master") || strings.Contains(role, "master_link_status:up"))
		})
	}
}

// Await waits for a condition of the cluster.
func (c *Cluster) Await(what string, done func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(clusterPatience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("redistest: not within %v: %s", clusterPatience, what)
		}
	}
}

func (c *Cluster) agree(slot int, owner *Server) bool {
	views := c.views(slot)
	return len(views) > 0 && !slices.ContainsFunc(views, func(addrs []string) bool { return addrs[0] != owner.addr })
}

// views is who has the slot, by the word of each node that answers.
func (c *Cluster) views(slot int) (views [][]string) {
	for _, s := range c.Servers {
		if addrs := c.view(s, slot); len(addrs) > 0 {
			views = append(views, addrs)
		}
	}
	return views
}

func (c *Cluster) view(s *Server, slot int) (addrs []string) {
	if !s.running() {
		return nil
	}
	reply, _ := s.Call("CLUSTER", "SLOTS")
	ranges, _ := reply.([]any)
	for _, r := range ranges {
		r := r.([]any)
		if from, to := r[0].(int64), r[1].(int64); int64(slot) < from || int64(slot) > to {
			continue
		}
		for _, node := range r[2:] {
			node := node.([]any)
			addrs = append(addrs, net.JoinHostPort(node[0].(string), fmt.Sprint(node[1])))
		}
	}
	return addrs
}

func (c *Cluster) server(addr string) *Server {
	if i := slices.IndexFunc(c.Servers, func(s *Server) bool { return s.addr == addr }); i >= 0 {
		return c.Servers[i]
	}
	return nil
}

func (c *Cluster) id(s *Server) string {
	c.t.Helper()
	id, _ := c.must(s, "CLUSTER", "MYID").(string)
	return id
}

// text is the reply as a string, "" when there is none.
func (c *Cluster) text(s *Server, args ...string) string {
	reply, _ := s.Call(args...)
	text, _ := reply.(string)
	return text
}

func (c *Cluster) must(s *Server, args ...string) any {
	c.t.Helper()
	reply, err := s.Call(args...)
	if err != nil {
		c.t.Fatalf("redistest: %s: %s: %v", s.addr, strings.Join(args[:min(len(args), 4)], " "), err)
	}
	return reply
}
