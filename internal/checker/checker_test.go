package checker

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)

func at(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }

func target(from, to int) Target { return Target{Job: "j", From: at(from), To: at(to)} }

func run(s int) Run { return Run{ID: fmt.Sprintf("j@%d", s), Job: "j", Start: at(s)} }

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name    string
		targets []Target
		runs    []Run
		pairs   int
		unmet   []Target
		extra   []Run
	}{
		{name: "nothing was due, nothing ran"},
		{name: "each tick has its run", targets: []Target{target(0, 5), target(10, 15)}, runs: []Run{run(1), run(12)}, pairs: 2},
		{name: "the ends of a target belong to it", targets: []Target{target(0, 5), target(10, 15)}, runs: []Run{run(0), run(15)}, pairs: 2},
		{name: "too early and too late", targets: []Target{target(10, 15)}, runs: []Run{run(9), run(16)},
			unmet: []Target{target(10, 15)}, extra: []Run{run(9), run(16)}},
		{name: "a tick ran twice", targets: []Target{target(0, 5)}, runs: []Run{run(1), run(2)}, pairs: 1, extra: []Run{run(2)}},
		{name: "one run does not stand for two ticks", targets: []Target{target(0, 10), target(1, 10)}, runs: []Run{run(5)},
			pairs: 1, unmet: []Target{target(1, 10)}},
		{name: "the run in the overlap goes to the target that has no other", targets: []Target{target(0, 10), target(4, 6)},
			runs: []Run{run(5), run(8)}, pairs: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Match(c.targets, c.runs)
			assert.Len(t, r.Pairs, c.pairs)
			assert.Equal(t, c.unmet, r.Unmet)
			assert.Equal(t, c.extra, r.Extra)
			assert.Equal(t, len(c.unmet) == 0, r.Valid())
		})
	}
}

func TestJobsAreNotMixed(t *testing.T) {
	other := Run{ID: "k@1", Job: "k", Start: at(1)}
	r := Match([]Target{target(0, 5)}, []Run{other})
	assert.Equal(t, []Target{target(0, 5)}, r.Unmet)
	assert.Equal(t, []Run{other}, r.Extra)
}

func TestStringNamesWhatIsWrong(t *testing.T) {
	r := Match([]Target{target(0, 5)}, []Run{run(9)})
	assert.Equal(t, "0 targets met, 1 not, 1 extra runs\n"+
		"  unmet: j within 2026-11-22T02:00:00.000Z .. 2026-11-22T02:00:05.000Z\n"+
		"  extra: j@9 at 2026-11-22T02:00:09.000Z", r.String())
	var many []Target
	for i := range 12 {
		many = append(many, target(i, i))
	}
	assert.Contains(t, Match(many, nil).String(), "... and 2 more unmet")
}

// most tries every assignment there is: the size of a maximum matching.
func most(targets []Target, runs []Run) int {
	if len(targets) == 0 {
		return 0
	}
	best := most(targets[1:], runs)
	for i, r := range runs {
		if r.Start.Before(targets[0].From) || r.Start.After(targets[0].To) {
			continue
		}
		rest := append(append([]Run{}, runs[:i]...), runs[i+1:]...)
		best = max(best, 1+most(targets[1:], rest))
	}
	return best
}

func TestNoMatchingHasMorePairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var targets []Target
		for range rapid.IntRange(0, 6).Draw(t, "targets") {
			from := rapid.IntRange(0, 20).Draw(t, "from")
			targets = append(targets, target(from, from+rapid.IntRange(0, 8).Draw(t, "width")))
		}
		var runs []Run
		for range rapid.IntRange(0, 6).Draw(t, "runs") {
			runs = append(runs, run(rapid.IntRange(0, 28).Draw(t, "start")))
		}
		want := most(targets, runs)
		r := Match(append([]Target{}, targets...), append([]Run{}, runs...))
		require.Len(t, r.Pairs, want)
		// Each target and each run is in the answer once.
		assert.ElementsMatch(t, targets, append(r.Unmet, mapped(r.Pairs, func(p Pair) Target { return p.Target })...))
		assert.ElementsMatch(t, runs, append(r.Extra, mapped(r.Pairs, func(p Pair) Run { return p.Run })...))
		for _, p := range r.Pairs {
			assert.False(t, p.Run.Start.Before(p.Target.From) || p.Run.Start.After(p.Target.To), "%v", p)
		}
	})
}

func mapped[A, B any](list []A, f func(A) B) (out []B) {
	for _, a := range list {
		out = append(out, f(a))
	}
	return out
}
