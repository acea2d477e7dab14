// Package lab lets a simulation put a world of its own around a node: package sim
// runs whole clusters in one process, on a clock that it moves itself. A node that
// was given no lab, which is every node outside of that test, has the real world.
package lab

import (
	"context"
	"net"
	"time"

	"carillon/jobs"
)

// Lab is the world around one node. Every field is optional.
type Lab struct {
	// Dialer replaces the network.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
	// Skew is how far the node's own clock is ahead of the true one. It may change at
	// any time: a machine that sleeps falls behind.
	Skew func() time.Duration
	// Schedules are what the node reloads, instead of a file.
	Schedules <-chan *jobs.Schedule
}

type key struct{}

// With returns a context for carillon.Node.Run in that lab.
func With(ctx context.Context, l Lab) context.Context { return context.WithValue(ctx, key{}, l) }

// From returns the lab of a context; the zero value when there is none.
func From(ctx context.Context) Lab {
	l, _ := ctx.Value(key{}).(Lab)
	return l
}
