package redisstore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// measure feeds the clock a measurement whose exchange took rtt and whose answer
// came back late by skew within it.
func measure(c *clock, offset, rtt, skew time.Duration) {
	start := time.Now()
	time.Sleep(rtt)
	end := time.Now()
	c.add(start, end, start.Add(rtt/2+skew).Add(offset))
}

func TestTheClockFollowsRedisNotTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(5*time.Second, nil)
		require.Equal(t, time.Duration(0), c.steadyFor())
		measure(c, time.Hour, 20*time.Millisecond, 9*time.Millisecond)
		measure(c, time.Hour, time.Millisecond, 0)
		measure(c, time.Hour, 50*time.Millisecond, -20*time.Millisecond)
		time.Sleep(10 * time.Second)
		require.WithinDuration(t, time.Now().Add(time.Hour), c.now(), time.Millisecond, "the best measurement counts")
		require.InDelta(t, -time.Hour, c.localOffset(), float64(30*time.Millisecond))
	})
}

func TestAnUnbrokenRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(5*time.Second, nil)
		for range 10 {
			measure(c, 0, time.Millisecond, 0)
			time.Sleep(4 * time.Second)
		}
		require.InDelta(t, 40*time.Second, c.steadyFor(), float64(time.Second))
		time.Sleep(2 * time.Second)
		require.Zero(t, c.steadyFor(), "the last answer is too old")
		measure(c, 0, time.Millisecond, 0)
		require.Less(t, c.steadyFor(), time.Second, "a gap starts the record anew")
		for range 5 {
			time.Sleep(4 * time.Second)
			measure(c, 0, time.Millisecond, 0)
		}
		require.Greater(t, c.steadyFor(), 19*time.Second)
		time.Sleep(time.Second)
		measure(c, time.Hour, time.Millisecond, 0)
		require.Less(t, c.steadyFor(), time.Second, "a step of one of the clocks does too")
		require.WithinDuration(t, time.Now().Add(time.Hour), c.now(), 2*time.Millisecond)
	})
}

func TestAClockThatFallsBehindIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var skew time.Duration
		c := newClock(5*time.Second, func() time.Duration { return skew })
		measure := func() { c.add(c.local(), c.local(), time.Now()) }
		measure()
		time.Sleep(3 * time.Second)
		measure()
		require.Equal(t, 3*time.Second, c.steadyFor())
		require.WithinDuration(t, time.Now(), c.now(), 0)
		skew = -time.Hour // the machine slept
		measure()
		require.Zero(t, c.steadyFor())
		require.WithinDuration(t, time.Now(), c.now(), 0)
	})
}
