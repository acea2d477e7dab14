package jobs

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func TestWhatIsWorthAnotherTry(t *testing.T) {
	code := func(n int) *int { return &n }
	unwritten := newRetry()
	only := Retry{On: []int{1, 75}, NotOn: defaultNotOn()}
	allBut := Retry{NotOn: []int{2}}
	for _, c := range []struct {
		retry Retry
		code  *int
		want  bool
	}{
		{unwritten, nil, true}, // a timeout, a request
		{unwritten, code(1), true},
		{unwritten, code(125), true},
		{unwritten, code(126), false},
		{unwritten, code(127), false},
		{unwritten, code(137), true}, // killed
		{only, nil, true},
		{only, code(1), true},
		{only, code(75), true},
		{only, code(2), false},
		{only, code(127), false},
		{allBut, code(2), false},
		{allBut, code(127), true}, // the list replaces the default
		{Retry{}, code(127), true},
	} {
		assert.Equal(t, c.want, c.retry.Worth(c.code), "%+v %v", c.retry, c.code)
	}
}

func TestRetryDelayGrowsToItsCap(t *testing.T) {
	r := Retry{Attempts: 10, Backoff: 10 * time.Second, Factor: 2, MaxBackoff: time.Minute}
	for failures, base := range []time.Duration{10, 10, 20, 40, 60, 60, 60} {
		base *= time.Second
		d := RetryDelay(r, failures, "job@2026-11-22T02:00:00Z")
		assert.GreaterOrEqual(t, d, base, failures)
		assert.Less(t, d, base+base/5, failures)
	}
}

func TestRetryDelayProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Retry{
			Backoff:    time.Duration(rapid.Int64().Draw(t, "backoff")),
			Factor:     rapid.Float64().Draw(t, "factor"),
			MaxBackoff: time.Duration(rapid.Int64().Draw(t, "max")),
		}
		failures, seed := rapid.Int().Draw(t, "failures"), rapid.String().Draw(t, "seed")
		d := RetryDelay(r, failures, seed)
		if d != RetryDelay(r, failures, seed) {
			t.Fatal("not deterministic")
		}
		limit := r.MaxBackoff
		if limit <= 0 || limit > maxDuration {
			limit = maxDuration
		}
		if d < 0 || d > limit+limit/5 {
			t.Fatalf("%v is not in 0..%v", d, limit+limit/5)
		}
		if d < min(r.Backoff, limit) {
			t.Fatalf("%v is less than the backoff %v", d, r.Backoff)
		}
	})
}

func TestRetryDelayOfHugeNumbers(t *testing.T) {
	d := RetryDelay(Retry{Backoff: time.Hour, Factor: math.Inf(1), MaxBackoff: 2 * time.Hour}, math.MaxInt, "x")
	assert.GreaterOrEqual(t, d, 2*time.Hour)
	assert.Zero(t, RetryDelay(Retry{}, 3, "x"))
	nan := RetryDelay(Retry{Backoff: time.Second, Factor: math.NaN(), MaxBackoff: time.Minute}, 3, "x")
	assert.GreaterOrEqual(t, nan, time.Second)
}

func TestJitterSpreadsNeighbours(t *testing.T) {
	var buckets [10]int
	for i := range 10_000 {
		buckets[int(fraction(fmt.Sprintf("job-%d@2026-11-22T02:00:00Z", i), 1)*10)]++
	}
	for i, n := range buckets {
		assert.InDelta(t, 1000, n, 150, "tenth %d", i)
	}
}
