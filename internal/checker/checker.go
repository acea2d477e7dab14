// Package checker decides, from what jobs themselves wrote down, whether a schedule
// was kept.
//
// It is the checker that Jepsen used on Chronos, the one published test of that kind
// of a distributed cron (https://aphyr.com/posts/326-jepsen-chronos): a tick is a
// target, an interval in which one run of the job has to begin; targets are matched to
// distinct runs; a target without a run is unmet, a run without a target is extra.
//
// It knows nothing of ids, ledgers or Redis, on purpose: a scheduler that lies to
// itself consistently does not convince it. What it can't see is which run was meant
// for which target; where runs carry ids, compare these as well.
package checker

import (
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Target is an interval in which one run of the job has to begin; both ends belong
// to it.
type Target struct {
	Job      string
	From, To time.Time
}

// Run is a run that began, as the job itself has written it down.
type Run struct {
	ID    string // for messages only
	Job   string
	Start time.Time
}

// Pair is a target and the run that met it.
type Pair struct {
	Target Target
	Run    Run
}

// Result is a matching with as many pairs as there can be.
type Result struct {
	Pairs []Pair
	Unmet []Target
	Extra []Run
}

// Valid says whether every target was met. Extra runs do not change that: what they
// mean is for the caller to say.
func (r Result) Valid() bool { return len(r.Unmet) == 0 }

// String is for the eyes: the counts, and the first few of what is wrong.
func (r Result) String() string {
	const most = 10
	var b strings.Builder
	fmt.Fprintf(&b, "%d targets met, %d not, %d extra runs", len(r.Pairs), len(r.Unmet), len(r.Extra))
	for i, t := range r.Unmet {
		if i == most {
			fmt.Fprintf(&b, "\n  ... and %d more unmet", len(r.Unmet)-most)
			break
		}
		fmt.Fprintf(&b, "\n  unmet: %s within %s .. %s", t.Job, clock(t.From), clock(t.To))
	}
	for i, x := range r.Extra {
		if i == most {
			fmt.Fprintf(&b, "\n  ... and %d more extra", len(r.Extra)-most)
			break
		}
		fmt.Fprintf(&b, "\n  extra: %s at %s", x.ID, clock(x.Start))
	}
	return b.String()
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Match pairs targets with distinct runs of the same job, as many as can be. Jobs come
// in the order of their names, and what belongs to one in the order of time.
func Match(targets []Target, runs []Run) Result {
	type both struct {
		targets []Target
		runs    []Run
	}
	byJob := map[string]*both{}
	of := func(job string) *both {
		if byJob[job] == nil {
			byJob[job] = &both{}
		}
		return byJob[job]
	}
	for _, t := range targets {
		of(t.Job).targets = append(of(t.Job).targets, t)
	}
	for _, r := range runs {
		of(r.Job).runs = append(of(r.Job).runs, r)
	}
	var all Result
	for _, job := range slices.Sorted(maps.Keys(byJob)) {
		one := matchJob(byJob[job].targets, byJob[job].runs)
		all.Pairs = append(all.Pairs, one.Pairs...)
		all.Unmet = append(all.Unmet, one.Unmet...)
		all.Extra = append(all.Extra, one.Extra...)
	}
	return all
}

// matchJob gives each run, in the order in which they began, to the target that is
// open then and closes first. With intervals no other choice pairs more: whatever
// could have taken a target that closes later can take this run's place, and not the
// other way round (Glover, "Maximum matching in a convex bipartite graph", 1967).
func matchJob(targets []Target, runs []Run) Result {
	slices.SortStableFunc(targets, func(a, b Target) int {
		return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To))
	})
	slices.SortStableFunc(runs, func(a, b Run) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID))
	})
	var r Result
	var open closing
	for _, run := range runs {
		for len(targets) > 0 && !targets[0].From.After(run.Start) {
			heap.Push(&open, targets[0])
			targets = targets[1:]
		}
		for len(open) > 0 && open[0].To.Before(run.Start) {
			r.Unmet = append(r.Unmet, heap.Pop(&open).(Target))
		}
		if len(open) == 0 {
			r.Extra = append(r.Extra, run)
			continue
		}
		r.Pairs = append(r.Pairs, Pair{Target: heap.Pop(&open).(Target), Run: run})
	}
	r.Unmet = append(append(r.Unmet, open...), targets...)
	slices.SortStableFunc(r.Unmet, func(a, b Target) int { return a.From.Compare(b.From) })
	return r
}

// closing is a heap of open targets, the one that closes first on top.
type closing []Target

func (c closing) Len() int           { return len(c) }
func (c closing) Less(i, j int) bool { return c[i].To.Before(c[j].To) }
func (c closing) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *closing) Push(x any)        { *c = append(*c, x.(Target)) }
func (c *closing) Pop() any {
	old := *c
	last := old[len(old)-1]
	*c = old[:len(old)-1]
	return last
}
