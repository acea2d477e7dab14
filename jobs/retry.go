package jobs

import (
	"hash/fnv"
	"math"
	"slices"
	"time"
)

// Worth reports whether a failure is worth another try, as far as its exit code
// says. Without one (a timeout, a request, a handler) it is.
func (r Retry) Worth(exitCode *int) bool {
	switch {
	case exitCode == nil:
		return true
	case len(r.On) > 0:
		return slices.Contains(r.On, *exitCode)
	}
	return !slices.Contains(r.NotOn, *exitCode)
}

// RetryDelay is how long a run waits before its next attempt, after that many
// failures (1 after the first). It grows by the factor from Backoff to
// MaxBackoff (0: to the longest duration of a schedule file), then adds a
// jitter of 0 to 20 %, so that runs which failed together do not come back
// together. The jitter never makes it shorter. The same arguments give the
// same delay; the run's id is a good seed.
func RetryDelay(r Retry, failures int, seed string) time.Duration {
	base := r.wait(failures)
	return base + time.Duration(float64(base)*0.2*fraction(seed, failures))
}

// wait is RetryDelay without its jitter.
func (r Retry) wait(failures int) time.Duration {
	limit := r.MaxBackoff
	if limit <= 0 || limit > maxDuration {
		limit = maxDuration
	}
	if r.Backoff <= 0 {
		return 0
	}
	// In floating point a delay that grew out of range is +Inf, which the
	// comparison below caps like any other.
	grown := float64(r.Backoff) * math.Pow(max(r.Factor, 1), float64(max(failures, 1)-1))
	if grown < float64(limit) {
		return time.Duration(grown)
	}
	return limit
}

// fraction spreads seeds evenly over [0, 1).
func fraction(seed string, failures int) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(seed)) // a hash never fails
	// FNV alone leaves neighbours (run ids that differ in one digit) close
	// together in its high bits; this finisher spreads every bit.
	x := h.Sum64() + uint64(max(failures, 0))*0x9e3779b97f4a7c15
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}
