package leader

import (
	"errors"
	"testing"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTrustIsCountedOnTheStricterClock(t *testing.T) {
	from := reading{mono: time.Hour, wall: time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)}
	const ttl = 5 * time.Second
	span := trustSpan(ttl)
	require.Equal(t, 4945*time.Millisecond, span)

	cases := []struct {
		name       string
		mono, wall time.Duration // since from
		left       time.Duration
		why        error
	}{
		{"at once", 0, 0, span, nil},
		{"both moved", 2 * time.Second, 2 * time.Second, span - 2*time.Second, nil},
		{"just before the end", span - 1, span - 1, 1, nil},
		{"at the end", span, span, 0, ErrTrustExpired},
		{"long after", time.Hour, time.Hour, 0, ErrTrustExpired},
		{"stopped process: both clocks moved on", 15 * time.Second, 15 * time.Second, 0, ErrTrustExpired},
		{"wall a little ahead", time.Second, 3 * time.Second, span - 3*time.Second, nil},
		{"short suspend, still inside the TTL", 100 * time.Millisecond, 2200 * time.Millisecond, 0, ErrClockJumped},
		{"long suspend", 100 * time.Millisecond, 30 * time.Minute, 0, ErrClockJumped},
		{"wall set back an hour", 2 * time.Second, -time.Hour, span - 2*time.Second, nil},
		{"wall set back, monotonic out of time", span, -time.Hour, 0, ErrTrustExpired},
		{"wall ran out first", 3500 * time.Millisecond, span, 0, ErrTrustExpired},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			now := reading{mono: from.mono + c.mono, wall: from.wall.Add(c.wall)}
			left, why := trust{from: from, span: span}.left(now)
			require.Equal(t, c.left, left)
			require.ErrorIs(t, why, c.why)
		})
	}
}

func TestTrustEndsBeforeTheLockExpires(t *testing.T) {
	for _, ttl := range []time.Duration{300 * time.Millisecond, 1500 * time.Millisecond, DefaultTTL, time.Minute} {
		require.Less(t, trustSpan(ttl), ttl)
		require.Greater(t, trustSpan(ttl), ttl*9/10)
	}
}

func TestFollowersLookWhenTheLockMayBeFree(t *testing.T) {
	const r = 0.5 // in the middle of the spread
	for ttl, want := range map[time.Duration]time.Duration{
		0:                       26 * time.Millisecond,
		100 * time.Millisecond:  126 * time.Millisecond,
		990 * time.Millisecond:  time.Second,
		time.Second:             975 * time.Millisecond,
		5 * time.Second:         975 * time.Millisecond,
		1000 * time.Hour:        975 * time.Millisecond,
		500 * time.Microsecond:  26500 * time.Microsecond,
		1500 * time.Millisecond: 975 * time.Millisecond,
	} {
		require.Equal(t, want, lookAgain(ttl, r), "%v left", ttl)
	}
	require.Less(t, lookAgain(0, 0), lookAgain(0, 0.99), "nodes are kept apart")
}

func TestTroubleBacksOffAndSpeaksSeldom(t *testing.T) {
	var tr trouble
	for _, want := range []time.Duration{50, 100, 200, 400, 800, 1000, 1000} {
		d := tr.backoff(0.999999)
		require.InDelta(t, want, d.Milliseconds(), 1)
	}
	now := time.Now()
	require.True(t, tr.worthSaying(now))
	require.False(t, tr.worthSaying(now.Add(complainEvery-1)))
	require.True(t, tr.worthSaying(now.Add(complainEvery)))
	tr.over()
	require.InDelta(t, 25, tr.backoff(0).Milliseconds(), 1)
	require.True(t, tr.worthSaying(now.Add(complainEvery+1)))
}

// The one Redis that there is has no number; those of a quorum do.
func TestErrorsOfOneRedisHaveNoNumber(t *testing.T) {
	refused := errors.New("connection refused")
	numbered := errors.Join(&redsync.RedisError{Node: 0, Err: refused})
	assert.Equal(t, refused, unnumbered(numbered))
	assert.Equal(t, refused, unnumbered(refused))
	assert.NoError(t, unnumbered(nil))
	_, err := extended(false, numbered)
	require.ErrorContains(t, err, "renew: node #0: connection refused")
}
