package carillon

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"carillon/jobs"
)

// Who leads while a new schedule file is rolled out: a node with an older
// revision leaves the seat to one with a newer revision. And who leads after a
// leader was deposed: not that one again. Nobody waits for ever: an older schedule is
// better than none, and so is a node that may have recovered.

// deposedFor is for how long a node that was deposed leaves a vacant seat to others,
// and none of them waits for it. depose.lua has the same number (RESPITE_MS).
const deposedFor = 10 * time.Minute

// rival is one life of a node with one revision.
type rival struct {
	node, boot string
	revision   int64
}

// precedence decides, and remembers which newer nodes were waited for in vain. It
// is asked by one goroutine at a time: an elector follows or leads.
type precedence struct {
	boot     string              // of this node: what its last heartbeat said is no other node
	patience time.Duration       // how long a vacant seat is left to a newer node
	respite  time.Duration       // for how long nobody waits again for a node that did not take it
	inVain   map[rival]time.Time // when the wait for it ended
}

// newPrecedence waits for two and a half TTLs. With the time between two looks at
// the seat that is three at most.
func newPrecedence(boot string, ttl time.Duration) *precedence {
	return &precedence{boot: boot, patience: ttl * 5 / 2, respite: 60 * ttl, inVain: map[rival]time.Time{}}
}

// decide says whether this node should leave the seat to another, and why; ""
// for no. Only who was deposed not long ago says so in live. vacant is since when it has seen the seat vacant, zero when it leads.
func (p *precedence) decide(own int64, live []jobs.Node, vacant, now time.Time) (why string) {
	if why := p.deposed(live, vacant, now); why != "" {
		return why
	}
	maps.DeleteFunc(p.inVain, func(_ rival, at time.Time) bool { return now.Sub(at) >= p.respite })
	newer := p.newer(own, live)
	if len(newer) == 0 {
		return ""
	}
	if !vacant.IsZero() && now.Sub(vacant) >= p.patience {
		for _, r := range newer {
			p.inVain[r] = now
		}
		return ""
	}
	return fmt.Sprintf("node %s has revision %d of the schedule, this one has %d", newer[0].node, newer[0].revision, own)
}

// deposed says whether this node should leave a vacant seat to another because it was
// deposed not long ago.
func (p *precedence) deposed(live []jobs.Node, vacant, now time.Time) (why string) {
	if vacant.IsZero() || now.Sub(vacant) >= p.patience {
		return ""
	}
	other := slices.ContainsFunc(live, func(n jobs.Node) bool { return n.Boot != p.boot && !n.NoLead && n.Deposed.IsZero() })
	self := slices.ContainsFunc(live, func(n jobs.Node) bool { return n.Boot == p.boot && !n.Deposed.IsZero() })
	if !self || !other {
		return ""
	}
	return "this node was deposed not long ago, and others can lead"
}

// newer returns the live nodes that should lead rather than this one, the newest
// first. Those that may not lead are none of them, nor those that were waited for
// in vain or deposed.
func (p *precedence) newer(own int64, live []jobs.Node) []rival {
	var list []rival
	for _, n := range live {
		r := rival{n.Name, n.Boot, n.Revision}
		if _, excused := p.inVain[r]; !excused && !n.NoLead && n.Deposed.IsZero() && n.Boot != p.boot && r.revision > own {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b rival) int {
		return cmp.Or(cmp.Compare(b.revision, a.revision), cmp.Compare(a.node, b.node))
	})
	return list
}

// otherLocks names the live nodes that may lead and have another list of lock
// Redises than own.
func otherLocks(own string, live []jobs.Node) string {
	var others []string
	for _, n := range live {
		if !n.NoLead && n.Locks != own {
			others = append(others, n.Name+": "+lockWords(n.Locks))
		}
	}
	slices.Sort(others)
	return strings.Join(others, ", ")
}

func lockWords(list string) string { return cmp.Or(list, "none") }

// yield answers the elector's question whether another node should lead; see
// leader.Config.
func (n *Node) yield() func(ctx context.Context, vacant time.Time) (why string) {
	p := newPrecedence(n.boot, n.opts.LeaderTTL)
	var warned time.Time
	return func(ctx context.Context, vacant time.Time) string {
		live, err := n.store.Candidates(ctx)
		if err != nil {
			n.log.Debug("who has a newer revision is not known", "error", err)
			return ""
		}
		for i := range live {
			if n.store.Now().Sub(live[i].Deposed) >= deposedFor {
				live[i].Deposed = time.Time{} // it has been forgotten
			}
		}
		if others := otherLocks(n.store.LockList(), live); others != "" && time.Since(warned) > time.Minute {
			warned = time.Now()
			n.log.Warn("nodes hold elections of their own: they have another --lock-redis, or none; nothing runs twice, but the lock protects nothing: give all nodes the same list",
				"here", lockWords(n.store.LockList()), "there", others)
		}
		live, others := n.strangers.others(ctx, live)
		if vacant.IsZero() {
			n.strangers.warn(others, time.Now())
		} else if why, err := n.strangers.hold(ctx, others); err != nil || why != "" {
			return why
		}
		return p.decide(n.Schedule().Revision, live, vacant, time.Now())
	}
}
