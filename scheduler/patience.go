package scheduler

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 50 * time.Millisecond
	backoffMost  = time.Second

	// speakEvery is the least time between two lines about one thing that
	// goes on failing.
	speakEvery = 5 * time.Second
)

// backoff is how long to wait after that many failures in a row: anything up to
// 50 ms, doubling to a second, so that nodes do not come back in step.
func backoff(failures int) time.Duration {
	most := backoffMost
	if n := max(failures-1, 0); n < 5 {
		most = min(backoffFirst<<n, backoffMost)
	}
	return time.Duration(rand.Int64N(int64(most))) + 1
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// throttle lets one line through every speakEvery.
type throttle struct{ last time.Time }

func (t *throttle) allow(now time.Time) bool {
	if !t.last.IsZero() && now.Sub(t.last) < speakEvery {
		return false
	}
	t.last = now
	return true
}
