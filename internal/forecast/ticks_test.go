package forecast

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func TestMergeTakesTheSoonestFirst(t *testing.T) {
	epoch := time.Unix(0, 0).UTC()
	every := func(d time.Duration, ticks int) Source {
		return func(after time.Time) (time.Time, bool) {
			next := after.Truncate(d).Add(d)
			return next, next.Before(epoch.Add(time.Duration(ticks+1) * d))
		}
	}
	words := func(ticks []Tick) (out []string) {
		for _, k := range ticks {
			out = append(out, []string{"slow", "fast"}[k.Source]+k.Previous.Format(" 05")+k.At.Format(">05"))
		}
		return out
	}
	both := []Source{every(3*time.Second, 9), every(2*time.Second, 3)}
	for _, c := range []struct {
		name  string
		until time.Duration
		n     int
		want  []string
	}{
		{"a source that ends leaves the others", 0, 6,
			[]string{"fast 00>02", "slow 00>03", "fast 02>04", "slow 03>06", "fast 04>06", "slow 06>09"}},
		{"none is asked for", 0, 0, nil},
		{"until is included", 6 * time.Second, 100,
			[]string{"fast 00>02", "slow 00>03", "fast 02>04", "slow 03>06", "fast 04>06"}},
		{"nothing comes until then", time.Second, 100, nil},
		{"the smaller bound counts", 6 * time.Second, 2, []string{"fast 00>02", "slow 00>03"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			until := time.Time{}
			if c.until > 0 {
				until = epoch.Add(c.until)
			}
			assert.Equal(t, c.want, words(Merge(both, epoch, until, c.n)))
		})
	}
	assert.Empty(t, Merge(nil, epoch, time.Time{}, 3))
}

// TestMergeIsSortingAll compares Merge with what it stands for: to enumerate every
// source and to sort.
func TestMergeIsSortingAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		epoch := time.Unix(1_800_000_000, 0).UTC()
		lists := rapid.SliceOfN(rapid.SliceOf(rapid.IntRange(1, 60)), 0, 5).Draw(t, "ticks")
		until := epoch.Add(time.Duration(rapid.IntRange(0, 70).Draw(t, "until")) * time.Second)
		n := rapid.IntRange(0, 80).Draw(t, "n")
		var sources []Source
		want := []Tick{}
		for i, list := range lists {
			slices.Sort(list)
			list = slices.Compact(list)
			previous := epoch
			for _, s := range list {
				at := epoch.Add(time.Duration(s) * time.Second)
				if !at.After(until) {
					want = append(want, Tick{At: at, Source: i, Previous: previous})
				}
				previous = at
			}
			sources = append(sources, func(after time.Time) (time.Time, bool) {
				for _, s := range list {
					if at := epoch.Add(time.Duration(s) * time.Second); at.After(after) {
						return at, true
					}
				}
				return time.Time{}, false
			})
		}
		slices.SortStableFunc(want, func(a, b Tick) int { return a.At.Compare(b.At) })
		got := Merge(sources, epoch, until, n)
		if len(want) > n {
			want = want[:n]
		}
		assert.Equal(t, want, append([]Tick{}, got...))
	})
}
