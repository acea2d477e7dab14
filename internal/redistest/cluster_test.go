package redistest_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

func TestClusterMovesItsSlotsAndItsMasters(t *testing.T) {
	c := redistest.StartCluster(t)
	slot := c.Slot("carillon")
	first := c.Owner(slot)
	for i := range 250 {
		_, err := first.Call("SET", "{carillon}:"+strconv.Itoa(i), "x")
		require.NoError(t, err)
	}

	second := c.Other(slot)
	from := c.Begin(slot, second)
	require.Same(t, first, from)
	require.Equal(t, 10, c.MoveKeys(slot, from, second, 10))
	_, err := first.Call("SET", "{carillon}:new", "x")
	require.ErrorContains(t, err, "ASK ")
	for c.MoveKeys(slot, from, second, 100) > 0 {
	}
	c.End(slot, from, second)
	require.Same(t, second, c.Owner(slot))
	_, err = first.Call("SET", "{carillon}:new", "x")
	require.ErrorContains(t, err, "MOVED ")

	third := c.Failover(slot)
	require.NotSame(t, second, third)
	n, err := third.Call("CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(slot))
	require.NoError(t, err)
	require.EqualValues(t, 250, n)

	c.AwaitHealth()
	third.Kill()
	require.Same(t, second, c.AwaitOwner(slot, third))
	third.Restart()
	c.Await("the old master follows the new one", func() bool { return c.Replica(slot) == third })
	c.AwaitHealth()
}
