package carillon

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"carillon/jobs"
)

// strangers notices that two fleets share a namespace by mistake: nodes whose
// schedules have no job in common. The fleet that was here first goes on as if it
// were alone. Nodes of the other one neither lead while one of the first lives that
// may, nor take runs that are meant for any node; see docs/operations.md.
type strangers struct {
	node *Node

	foreign atomic.Bool // the leader is of another fleet

	mu    sync.Mutex
	known map[[2]string]bool // whether two schedules have no job in common, by their digests
	said  time.Time          // when this leader warned of the others
}

func newStrangers(n *Node) *strangers { return &strangers{node: n, known: map[[2]string]bool{}} }

const strangersSaid = time.Minute // between two warnings of a leader

// to reports whether the schedule of that digest has no job in common with this
// node's. What is not known is no stranger.
func (s *strangers) to(ctx context.Context, digest string) bool {
	own := s.node.Schedule()
	if digest == "" || digest == own.Digest {
		return false
	}
	pair := [2]string{own.Digest, digest}
	s.mu.Lock()
	strange, known := s.known[pair]
	s.mu.Unlock()
	if known {
		return strange
	}
	marks, err := s.node.store.Marks(ctx, []string{digest})
	if err != nil || len(marks[digest]) == 0 {
		return false
	}
	strange = jobs.MarksOf(own).Strangers(marks[digest])
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) > 100 {
		clear(s.known)
	}
	s.known[pair] = strange
	return strange
}

// look compares this node with the leader. It reports whether the answer is
// another one than before.
func (s *strangers) look(ctx context.Context) (changed bool) {
	n := s.node
	lead, led, err := n.store.Leader(ctx)
	if err != nil || !led {
		return false // as it was: the seat is vacant for a moment
	}
	name, boot := holderOf(lead.Token)
	foreign := false
	if boot != n.boot {
		digest, err := n.store.DigestOf(ctx, name, boot)
		if err != nil || digest == "" {
			return false
		}
		foreign = s.to(ctx, digest)
	}
	if s.foreign.Swap(foreign) == foreign {
		return false
	}
	if foreign {
		n.log.Error("the leader has a schedule without a job of this one: two fleets share this namespace; this node takes no runs from its queues and leaves the lead to it",
			"leader", name, "namespace", n.opts.Namespace, "mend", "give one of the two fleets its own --namespace")
	} else {
		n.log.Info("the leader has jobs of this schedule again; this node takes part", "leader", name)
	}
	return true
}

// holderOf takes a term's token apart: node:boot:counter.
func holderOf(token string) (name, boot string) {
	rest := token[:max(strings.LastIndexByte(token, ':'), 0)]
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return "", ""
	}
	return rest[:i], rest[i+1:]
}

// others takes those nodes out of live that have no job in common with this one.
func (s *strangers) others(ctx context.Context, live []jobs.Node) (kin, others []jobs.Node) {
	for _, n := range live {
		if n.Boot != s.node.boot && s.to(ctx, n.Digest) {
			others = append(others, n)
		} else {
			kin = append(kin, n)
		}
	}
	return kin, others
}

// warn says to whoever reads the log of a leader that there are others.
func (s *strangers) warn(others []jobs.Node, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(others) == 0 || now.Sub(s.said) < strangersSaid {
		return
	}
	s.said = now
	s.node.log.Error("a live node has a schedule without a job of this one: two fleets share this namespace; its jobs do not run while this fleet lives",
		"node", others[0].Name, "nodes", len(others), "namespace", s.node.opts.Namespace, "mend", "give one of the two fleets its own --namespace")
}

// hold says whether a follower should leave the vacant seat to a node of another
// fleet, and why; "" for no: when a job of its own was scheduled here last, or none
// of theirs.
func (s *strangers) hold(ctx context.Context, others []jobs.Node) (why string, err error) {
	var rival *jobs.Node
	for i := range others {
		if !others[i].NoLead {
			rival = &others[i]
			break
		}
	}
	if rival == nil {
		return "", nil
	}
	mine, err := s.node.store.Scheduled(ctx, jobs.MarksOf(s.node.Schedule()))
	if err != nil || mine {
		return "", err
	}
	marks, err := s.node.store.Marks(ctx, []string{rival.Digest})
	if err != nil {
		return "", err
	}
	theirs, err := s.node.store.Scheduled(ctx, marks[rival.Digest])
	if err != nil || !theirs {
		return "", err
	}
	return fmt.Sprintf("node %s has jobs that are scheduled here, and none of this node's: two fleets share this namespace", rival.Name), nil
}
