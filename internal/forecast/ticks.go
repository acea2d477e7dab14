package forecast

import (
	"container/heap"
	"time"
)

// Source answers the first tick strictly after an instant, as jobs.Job.Next and
// jobs.Spec.Next do; false when there is none.
type Source func(after time.Time) (time.Time, bool)

// Tick is one tick of one of several sources.
type Tick struct {
	At       time.Time
	Source   int       // its index
	Previous time.Time // the tick before it of the same source, or where the search began
}

// Merge is the first n ticks of all sources after from, soonest first; at one
// instant in the order of the sources. A zero until is no bound, otherwise
// nothing after it is taken.
func Merge(sources []Source, from, until time.Time, n int) []Tick {
	beyond := func(t time.Time) bool { return !until.IsZero() && t.After(until) }
	var heads heads
	for i, next := range sources {
		if at, ok := next(from); ok && !beyond(at) {
			heads = append(heads, Tick{At: at, Source: i, Previous: from})
		}
	}
	heap.Init(&heads)
	var ticks []Tick
	for len(ticks) < n && len(heads) > 0 {
		first := &heads[0]
		ticks = append(ticks, *first)
		if at, ok := sources[first.Source](first.At); ok && !beyond(at) {
			first.At, first.Previous = at, first.At
			heap.Fix(&heads, 0)
		} else {
			heap.Pop(&heads)
		}
	}
	return ticks
}

// heads is a container/heap of the sources' next ticks.
type heads []Tick

func (h heads) Len() int      { return len(h) }
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h heads) Less(i, j int) bool {
	if !h[i].At.Equal(h[j].At) {
		return h[i].At.Before(h[j].At)
	}
	return h[i].Source < h[j].Source
}

// Push and Pop belong to container/heap.
func (h *heads) Push(x any) { *h = append(*h, x.(Tick)) }

// Pop takes the last element.
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
