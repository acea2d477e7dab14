package embedded

import (
	"context"
	"time"

	"github.com/alicebob/miniredis/v2"
)

const (
	minTick = 250 * time.Millisecond
	maxTick = time.Second
)

// moveTime lets keys expire until ctx ends.
func moveTime(ctx context.Context, m *miniredis.Miniredis) {
	last := time.Now()
	timer := time.NewTimer(minTick)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		m.FastForward(wallElapsed(last, now))
		last = now
		timer.Reset(nextTick(time.Since(now)))
	}
}

// wallElapsed is how far the wall clock moved, at least 0: a clock that is set
// back makes keys live longer, never again.
func wallElapsed(last, now time.Time) time.Duration {
	return max(0, now.Round(0).Sub(last.Round(0))) // Round(0) drops the monotonic clock
}

// nextTick keeps the cost of moving time, which the engine pays for each key it
// holds, at half a percent of a core.
func nextTick(spent time.Duration) time.Duration {
	return min(max(200*spent, minTick), maxTick)
}
