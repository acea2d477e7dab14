package leader_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/leader"
)

func TestLeaderResignsForAnotherThatShouldLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t)
		var newer atomic.Bool
		old := c.start("old", nodeOptions{yield: func(_ context.Context, _ time.Time) string {
			if newer.Load() {
				return "it is newer"
			}
			return ""
		}})
		first := c.next(time.Second)
		require.Same(t, old, first.by)
		c.start("new", nodeOptions{})
		c.none(10 * time.Second)

		newer.Store(true)
		second := c.next(2500 * time.Millisecond)
		require.Equal(t, "new", second.by.name)
		require.ErrorIs(t, first.why, leader.ErrYielded)
		require.ErrorContains(t, first.why, "it is newer")
		c.none(time.Minute)
	})
}

func TestFollowerHoldsBackAsLongAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t)
		const patience = 12 * time.Second
		start := time.Now()
		c.start("old", nodeOptions{yield: func(_ context.Context, vacant time.Time) string {
			if !vacant.IsZero() && time.Since(vacant) < patience {
				return "somebody is newer"
			}
			return ""
		}})
		r := c.next(patience + time.Second)
		require.GreaterOrEqual(t, r.from.Sub(start), patience)
	})
}

// A node that should lead takes the seat and cannot keep it, again and again.
func TestSeatThatIsNeverKeptCountsAsVacant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t)
		c.start("new", nodeOptions{lead: func(ctx context.Context, _ leader.Term) error {
			time.Sleep(100 * time.Millisecond)
			return errors.New("broken")
		}})
		c.next(time.Second)
		const patience = 12 * time.Second
		start := time.Now()
		c.start("old", nodeOptions{yield: func(_ context.Context, vacant time.Time) string {
			if !vacant.IsZero() && time.Since(vacant) < patience {
				return "somebody is newer"
			}
			return ""
		}})
		for {
			r := c.next(2 * time.Second)
			if r.by.name == "old" {
				break
			}
			require.Less(t, time.Since(start), 3*c.ttl+5*time.Second, "the old one is still waiting")
		}
		require.GreaterOrEqual(t, time.Since(start), patience)
	})
}

func TestElectionThatEndedLongAgoIsNoVacancy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t)
		var since atomic.Value
		c.start("old", nodeOptions{deaf: true, yield: func(_ context.Context, vacant time.Time) string {
			if vacant.IsZero() {
				return ""
			}
			since.Store(vacant)
			return "somebody is newer"
		}})
		time.Sleep(3 * time.Second)
		n := c.start("new", nodeOptions{})
		c.next(time.Second)
		time.Sleep(20 * time.Second)
		vacant := time.Now()
		n.stop(nil)
		time.Sleep(3 * time.Second)
		require.False(t, since.Load().(time.Time).Before(vacant), "counted from the end of the term that was kept")
	})
}
