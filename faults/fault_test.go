package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Fault is one kind of misfortune. A storm deals all that it has, in an order of its
// own, again and again.
type Fault struct {
	Name  string // in the table
	Does  string // what is done, in a sentence; docs/storm.md says the same
	Costs cost   // what may come of it

	// Needs says why the fault can't be injected here; "" if it can. nil: it always can.
	Needs func(s *storm) string
	// Strike injects the fault and takes it away again. It notes what it chose.
	Strike func(s *storm) error
}

// cost is what a fault may cost at worst, beside lateness and further attempts of what
// was cut short. The zero cost is: each tick has one fate, and it is true.
type cost struct {
	forgets    bool // acknowledged writes are lost
	remembered bool // and yet nothing begins again that a living node has executed
}

func (c cost) String() string {
	switch {
	case c.remembered:
		return "runs that waited are gone; runs that only a dead node knows of may begin again under their id"
	case c.forgets:
		return "runs of that time may begin again under their id, be gone, or be in no ledger"
	}
	return "nothing"
}

// catalogue are the faults of a storm on one Redis, in the order of its table.
var catalogue = []Fault{
	{Name: "kill -9 of the leader", Does: "SIGKILL to the node that leads; another process takes its name", Strike: killLeader},
	{Name: "kill -9 of a worker", Does: "SIGKILL to a node that does not lead; another process takes its name", Strike: killWorker},
	{Name: "stop, shorter than the lease", Does: "SIGSTOP to a node, SIGCONT before its leases are over", Strike: stopFor(0.2, 0.7)},
	{Name: "stop, longer than the lease", Does: "SIGSTOP to a node, SIGCONT after its leases are over", Strike: stopFor(1.2, 1.6)},
	{Name: "stop of the leader", Does: "SIGSTOP to the node that leads, SIGCONT when another one does", Strike: stopLeader},
	{Name: "TERM", Does: "SIGTERM to a node, which drains and ends; another process takes its name", Strike: endNode},
	{Name: "delay with jitter", Does: "every packet between the nodes and Redis takes 20 to 180 ms each way", Strike: linked(everyNode, rule{delay: 100 * time.Millisecond, jitter: 80 * time.Millisecond})},
	{Name: "throttle", Does: "16 KB a second between a node and Redis", Strike: linked(oneNode, rule{bytesPerSecond: 16 << 10})},
	{Name: "cut on reply", Does: "every third reply on its way to a node is a cut connection instead: the request was carried out", Strike: linked(everyNode, rule{cutReply: 0.33})},
	{Name: "replies swallowed", Does: "requests of a node are carried out, the replies vanish", Strike: linked(oneNode, rule{swallowReplies: true})},
	{Name: "requests swallowed", Does: "requests of a node vanish", Strike: linked(oneNode, rule{swallowRequests: true})},
	{Name: "requests held back", Does: "requests of a node arrive when it has long given up on them", Strike: linked(oneNode, rule{holdRequests: true})},
	{Name: "half-open connections", Does: "Redis sees all connections of a node closed, the node sees nothing; new ones lead nowhere", Strike: linked(oneNode, rule{halfOpen: true, acceptAndNothing: true})},
	{Name: "reset and refused", Does: "connections of a node are reset, new ones refused", Strike: linked(oneNode, rule{refuse: true})},
	{Name: "all reset and refused", Does: "the same for all nodes at once", Strike: linked(everyNode, rule{refuse: true})},
	{Name: "partition", Does: "a node in a network namespace of its own loses its cable: packets vanish, those that are sent again arrive late", Needs: anIsland, Strike: partition},
	{Name: "SCRIPT FLUSH", Does: "SCRIPT FLUSH twenty times a second", Strike: flushScripts},
	{Name: "CLIENT KILL", Does: "all connections of all nodes are killed, three times a second", Strike: killClients},
	{Name: "CLIENT PAUSE WRITE", Does: "CLIENT PAUSE of what writes", Strike: pauseClients("WRITE")},
	{Name: "CLIENT PAUSE ALL", Does: "CLIENT PAUSE of everything", Strike: pauseClients("ALL")},
	{Name: "Redis stopped", Does: "SIGSTOP to redis-server, SIGCONT after up to one and a half leases", Strike: stopRedis},
	{Name: "DEBUG SLEEP", Does: "Redis sleeps within one command", Strike: debugSleep},
	{Name: "maxmemory", Does: "CONFIG SET maxmemory 1: Redis refuses what needs memory", Strike: fillMemory},
	{Name: "disk full", Does: "the disk of the append-only file is full: Redis refuses to write", Needs: aDiskToFill, Strike: fillDisk},
	{Name: "Redis killed", Does: "SIGKILL to redis-server; it comes back with its append-only file", Strike: killRedis},
	{Name: "Redis comes back empty", Does: "SIGKILL to redis-server; it comes back without any data", Costs: cost{forgets: true, remembered: true}, Strike: emptyRedis},
	{Name: "old data restored", Does: "SIGKILL to redis-server; it comes back with its data of some seconds ago", Costs: cost{forgets: true, remembered: true}, Strike: restoreRedis},
	{Name: "two at once", Does: "one that hits a node, and at the same time one that hits the way to Redis or Redis", Strike: twoAtOnce},
}

// ---- nodes ------------------------------------------------------------------

func killLeader(s *storm) error {
	n := s.leader()
	s.note("%s", n.name)
	return s.kill(n)
}

func killWorker(s *storm) error {
	n := s.follower()
	s.note("%s", n.name)
	return s.kill(n)
}

// stopFor stops a node for so many leases.
func stopFor(least, most float64) func(s *storm) error {
	return func(s *storm) error {
		return s.stop(s.anyNode(), s.between(least*s.lease.Seconds(), most*s.lease.Seconds()))
	}
}

func stopLeader(s *storm) error {
	return s.stop(s.leader(), s.ttl+s.between(0.5, 1.5))
}

func (s *storm) stop(n *node, while time.Duration) error {
	s.note("%s for %v", n.name, while)
	if err := n.process.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	s.pass(while)
	return n.process.Cmd.Process.Signal(syscall.SIGCONT)
}

func endNode(s *storm) error {
	n := s.anyNode()
	s.note("%s", n.name)
	if err := n.process.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-n.process.Done:
	case <-time.After(patience):
		return fmt.Errorf("%s did not end within %v of SIGTERM", n.name, patience)
	}
	if code := n.process.Cmd.ProcessState.ExitCode(); code != 0 {
		s.complain("%s ended with exit code %d after SIGTERM", n.name, code)
	}
	return s.begin(n)
}

// ---- the way to Redis ---------------------------------------------------------

func oneNode(s *storm) []*node   { return []*node{s.anyNode()} }
func everyNode(s *storm) []*node { return s.nodes }

// linked applies a rule to the proxies of some nodes, for as long as it takes to be
// noticed.
func linked(whose func(s *storm) []*node, r rule) func(s *storm) error {
	return func(s *storm) error {
		nodes, while := whose(s), s.between(0.3*s.lease.Seconds(), 1.2*s.lease.Seconds())
		for _, n := range nodes {
			s.note("%s", n.name)
			if err := n.proxy.set(r); err != nil {
				return err
			}
		}
		s.note("for %v", while)
		s.pass(while)
		for _, n := range nodes {
			if err := n.proxy.set(rule{}); err != nil {
				return err
			}
		}
		return nil
	}
}

// ---- Redis ------------------------------------------------------------------

// often does something again and again for a while.
func (s *storm) often(every, while time.Duration, do func(ctx context.Context)) {
	s.note("for %v", while)
	for stop := time.Now().Add(while); time.Now().Before(stop); s.pass(every) {
		do(s.ctx)
	}
}

func flushScripts(s *storm) error {
	s.often(50*time.Millisecond, s.between(1, 2), func(ctx context.Context) { s.rdb.ScriptFlush(ctx) })
	return nil
}

func killClients(s *storm) error {
	s.often(330*time.Millisecond, s.between(1, 3), func(ctx context.Context) {
		s.rdb.Do(ctx, "CLIENT", "KILL", "TYPE", "normal")
		s.rdb.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
	})
	return nil
}

func pauseClients(what string) func(s *storm) error {
	return func(s *storm) error {
		while := s.between(0.2*s.lease.Seconds(), 1.1*s.lease.Seconds())
		s.note("for %v", while)
		if err := s.rdb.Do(s.ctx, "CLIENT", "PAUSE", while.Milliseconds(), what).Err(); err != nil {
			return err
		}
		s.pass(while)
		return nil
	}
}

func stopRedis(s *storm) error {
	while := s.between(0.2*s.lease.Seconds(), 1.5*s.lease.Seconds())
	s.note("for %v", while)
	s.server.Stop()
	s.pass(while)
	s.server.Cont()
	return nil
}

// debugSleep has Redis do nothing else, within a script's time limit or beyond it.
func debugSleep(s *storm) error {
	while := s.between(0.2*s.lease.Seconds(), 1.1*s.lease.Seconds())
	s.note("for %v", while)
	return s.rdb.Do(s.ctx, "DEBUG", "SLEEP", fmt.Sprintf("%.3f", while.Seconds())).Err()
}

func fillMemory(s *storm) error {
	while := s.between(0.2*s.lease.Seconds(), 1.1*s.lease.Seconds())
	s.note("for %v", while)
	if err := s.rdb.ConfigSet(s.ctx, "maxmemory", "1").Err(); err != nil {
		return err
	}
	s.pass(while)
	return s.rdb.ConfigSet(s.ctx, "maxmemory", "0").Err()
}

func aDiskToFill(s *storm) string {
	if s.small == nil {
		return ""
	}
	return "Redis has no disk of its own that may be full: " + s.small.Error()
}

// fillDisk fills the disk of Redis, which is a small one in memory.
func fillDisk(s *storm) error {
	while := s.between(0.5*s.lease.Seconds(), 1.3*s.lease.Seconds())
	s.note("for %v", while)
	filler := filepath.Join(s.data, "filler")
	stop := time.Now().Add(while)
	for full := false; time.Now().Before(stop); s.pass(50 * time.Millisecond) { // what Redis lets go of is taken too
		err := appendAll(filler)
		if !errors.Is(err, syscall.ENOSPC) {
			return errors.Join(fmt.Errorf("the disk is not full: %w", err), os.Remove(filler))
		}
		if info := s.rdb.Info(s.ctx, "persistence").Val(); !full && strings.Contains(info, "aof_last_write_status:err") {
			s.note("noticed %v before the end", time.Until(stop).Round(time.Millisecond))
			full = true
		}
	}
	if err := os.Remove(filler); err != nil {
		return err
	}
	return s.rewrite()
}

// rewrite has Redis write its file anew. One that was cut off by a full disk can be torn
// in the middle, where Redis 7.0 does not notice until it reads the file, and then does
// not start.
func (s *storm) rewrite() error {
	var err error
	if !eventually(patience, func() bool {
		err = s.rdb.BgRewriteAOF(s.ctx).Err()
		return err == nil
	}) {
		return fmt.Errorf("BGREWRITEAOF: %w", err)
	}
	if !eventually(patience, func() bool {
		info := s.rdb.Info(s.ctx, "persistence").Val()
		return strings.Contains(info, "aof_rewrite_in_progress:0") && strings.Contains(info, "aof_rewrite_scheduled:0")
	}) {
		return errors.New("the append-only file is rewritten for ever")
	}
	return nil
}

// appendAll appends to a file until it can't, and returns why.
func appendAll(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for piece := make([]byte, 1<<20); ; {
		if _, err := f.Write(piece); err != nil {
			if len(piece) == 1 {
				return err
			}
			piece = piece[:len(piece)/2]
		}
	}
}

// without takes Redis away, does something, and brings it back. As long as it is away
// the nodes are refused, as they would be without proxies.
func (s *storm) without(while time.Duration, do func() error) error {
	for _, n := range s.nodes {
		if err := n.proxy.set(rule{refuse: true}); err != nil {
			return err
		}
	}
	s.server.Kill()
	s.pass(while)
	err := do()
	s.server.Restart()
	for _, n := range s.nodes {
		err = errors.Join(err, n.proxy.set(rule{}))
	}
	return err
}

func killRedis(s *storm) error {
	while := s.between(0, 3)
	s.note("for %v", while)
	return s.without(while, func() error { return nil })
}

func emptyRedis(s *storm) error {
	while := s.between(0, 2)
	s.note("for %v", while)
	s.forgetsSince(time.Now())
	return s.without(while, func() error { return removeAll(s.data) })
}

// restoreRedis copies the data of Redis under its hands: without a rewrite in between
// the append-only file only grows, and one that was cut off is loaded up to there.
func restoreRedis(s *storm) error {
	if err := s.rdb.ConfigSet(s.ctx, "auto-aof-rewrite-percentage", "0").Err(); err != nil {
		return err
	}
	if !eventually(patience, func() bool {
		return strings.Contains(s.rdb.Info(s.ctx, "persistence").Val(), "aof_rewrite_in_progress:0")
	}) {
		return errors.New("the append-only file is rewritten for ever")
	}
	old := filepath.Join(s.dir, fmt.Sprintf("old-%d", len(s.windows)))
	s.forgetsSince(time.Now())
	if err := os.CopyFS(old, os.DirFS(s.data)); err != nil {
		return err
	}
	after := s.between(1, 2*s.lease.Seconds())
	s.note("that of %v ago", after)
	s.pass(after)
	return s.without(s.between(0, 2), func() error {
		if err := removeAll(s.data); err != nil {
			return err
		}
		return errors.Join(os.CopyFS(s.data, os.DirFS(old)), os.RemoveAll(old))
	})
}

// removeAll empties a folder.
func removeAll(dir string) error {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// twoAtOnce lets two faults strike together: one that hits a process, and one that hits
// what lies between the processes. None of them costs anything by itself.
func twoAtOnce(s *storm) error {
	nodes := []func(s *storm) error{killLeader, killWorker, stopFor(0.2, 0.7), stopFor(1.2, 1.6), stopLeader, endNode}
	between := []func(s *storm) error{
		linked(everyNode, rule{delay: 100 * time.Millisecond, jitter: 80 * time.Millisecond}),
		linked(everyNode, rule{cutReply: 0.33}),
		linked(oneNode, rule{swallowReplies: true}),
		linked(oneNode, rule{holdRequests: true}),
		linked(oneNode, rule{refuse: true}),
		flushScripts, killClients, pauseClients("WRITE"), stopRedis, killRedis,
	}
	one, other := nodes[s.pick(len(nodes))], between[s.pick(len(between))]
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = other(s) })
	s.pass(s.between(0, 1))
	err2 := one(s)
	wg.Wait()
	return errors.Join(err, err2)
}
