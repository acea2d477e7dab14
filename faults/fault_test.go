package faults

import (
	"context"
	"fmt"
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
	forgets bool // acknowledged writes are lost: runs may repeat under their id, ticks be in no ledger
}

func (c cost) String() string {
	if c.forgets {
		return "runs of that time may repeat under their id, or be in no ledger"
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
	{Name: "SCRIPT FLUSH", Does: "SCRIPT FLUSH twenty times a second", Strike: flushScripts},
	{Name: "CLIENT KILL", Does: "all connections of all nodes are killed, three times a second", Strike: killClients},
	{Name: "CLIENT PAUSE WRITE", Does: "CLIENT PAUSE of what writes", Strike: pauseClients("WRITE")},
	{Name: "CLIENT PAUSE ALL", Does: "CLIENT PAUSE of everything", Strike: pauseClients("ALL")},
	{Name: "Redis stopped", Does: "SIGSTOP to redis-server, SIGCONT after up to one and a half leases", Strike: stopRedis},
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
		nodes, while := whose(s), s.between(0.4*s.lease.Seconds(), 1.3*s.lease.Seconds())
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
		while := s.between(0.3*s.lease.Seconds(), 1.3*s.lease.Seconds())
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
