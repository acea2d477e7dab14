package carillon

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// group runs loops that end together: the first that fails is reported, stop
// ends the others and waits for them.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	loops  sync.WaitGroup
	failed chan struct{} // closed with the first failure
	once   sync.Once
	mu     sync.Mutex
	errs   []error
}

func newGroup(parent context.Context) *group {
	g := &group{failed: make(chan struct{})}
	g.ctx, g.cancel = context.WithCancelCause(parent)
	return g
}

// run starts a loop. A loop that ends before the group's context did has failed,
// whatever it returns.
func (g *group) run(name string, loop func(context.Context) error) {
	g.loops.Go(func() {
		err := loop(g.ctx)
		if err == nil && g.ctx.Err() == nil {
			err = errors.New("ended unexpectedly")
		}
		if err == nil || errors.Is(err, context.Canceled) {
			return
		}
		g.mu.Lock()
		g.errs = append(g.errs, fmt.Errorf("%s: %w", name, err))
		g.mu.Unlock()
		g.once.Do(func() { close(g.failed) })
	})
}

// stop ends the loops and returns what went wrong in them.
func (g *group) stop(cause error) error {
	g.cancel(cause)
	g.loops.Wait()
	return errors.Join(g.errs...)
}
