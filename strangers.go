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
	node  *Node
	store strangersStore

	foreign atomic.Bool // the leader is of another fleet

	mu    sync.Mutex
	known map[[2]string]acquaintance // by the digests of two schedules, this node's first
	names map[string][]string        // of jobs, by the digest of their schedule
	said  time.Time                  // when this leader warned of the others
}

// strangersStore is what strangers ask of Redis.
type strangersStore interface {
	Leader(ctx context.Context) (jobs.Leadership, bool, error)
	DigestOf(ctx context.Context, name, boot string) (string, error)
	Marks(ctx context.Context, digests []string) (map[string]jobs.Marks, error)
	Shares(ctx context.Context, digest string, names []string) (shares, known bool, err error)
	Scheduled(ctx context.Context, names []string) (bool, error)
}

// acquaintance is whether two schedules have no job in common.
type acquaintance struct {
	strange bool
	until   time.Time // zero: for ever
}

func newStrangers(n *Node, store strangersStore) *strangers {
	return &strangers{node: n, store: store, known: map[[2]string]acquaintance{}, names: map[string][]string{}}
}

const (
	strangersSaid = time.Minute // between two warnings of a leader

	// Whoever has a job in common with this node has it for as long as both have their
	// schedules. That there is none is looked at again: a node may be publishing what it
	// has. What could not be found out is not asked at each look of an election: it
	// may have taken all the time there was for that.
	strangeFor = time.Minute
	unknownFor = 5 * time.Second

	pairsKept, namesKept = 100, 4
)

// to reports whether the schedule of that digest has no job in common with this
// node's. What is not known is no stranger.
func (s *strangers) to(ctx context.Context, digest string) bool {
	own := s.node.Schedule()
	if digest == "" || digest == own.Digest {
		return false
	}
	pair := [2]string{own.Digest, digest}
	s.mu.Lock()
	a, known := s.known[pair]
	s.mu.Unlock()
	if known && (a.until.IsZero() || time.Now().Before(a.until)) {
		return a.strange
	}
	shares, published, err := s.store.Shares(ctx, digest, s.own(own))
	switch now := time.Now(); {
	case err != nil || !published:
		a.until = now.Add(unknownFor) // what it was before, it is until then
	case shares:
		a = acquaintance{}
	default:
		a = acquaintance{strange: true, until: now.Add(strangeFor)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= pairsKept {
		clear(s.known)
	}
	s.known[pair] = a
	return a.strange
}

// own are the names that the jobs of this node's schedule have and had.
func (s *strangers) own(sched *jobs.Schedule) []string {
	return s.namesOf(sched.Digest, func() jobs.Marks { return jobs.MarksOf(sched) })
}

// theirs are those of another schedule; none when nobody published it.
func (s *strangers) theirs(ctx context.Context, digest string) (names []string, err error) {
	names = s.namesOf(digest, func() jobs.Marks {
		var marks map[string]jobs.Marks
		marks, err = s.store.Marks(ctx, []string{digest})
		return marks[digest]
	})
	return names, err
}

func (s *strangers) namesOf(digest string, marks func() jobs.Marks) []string {
	s.mu.Lock()
	names, known := s.names[digest]
	s.mu.Unlock()
	if known {
		return names
	}
	if names = marks().Names(); len(names) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.names) >= namesKept {
		clear(s.names)
	}
	s.names[digest] = names
	return names
}

// look compares this node with the leader. It reports whether the answer is
// another one than before.
func (s *strangers) look(ctx context.Context) (changed bool) {
	n := s.node
	lead, led, err := s.store.Leader(ctx)
	if err != nil || !led {
		return false // as it was: the seat is vacant for a moment
	}
	name, boot := holderOf(lead.Token)
	foreign := false
	if boot != n.boot {
		digest, err := s.store.DigestOf(ctx, name, boot)
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
	mine, err := s.store.Scheduled(ctx, s.own(s.node.Schedule()))
	if err != nil || mine {
		return "", err
	}
	names, err := s.theirs(ctx, rival.Digest)
	if err != nil {
		return "", err
	}
	theirs, err := s.store.Scheduled(ctx, names)
	if err != nil || !theirs {
		return "", err
	}
	return fmt.Sprintf("node %s has jobs that are scheduled here, and none of this node's: two fleets share this namespace", rival.Name), nil
}
