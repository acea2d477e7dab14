package carillon

import (
	"context"
	"sync/atomic"
	"time"

	"carillon/executor"
	"carillon/jobs"
)

// heartbeat says every two seconds that the node lives.
type heartbeat struct {
	node *Node
	exec *executor.Executor
	now  chan struct{}

	leaving atomic.Bool // the node shuts down: it executes what it has, and does not lead

	beaten bool      // this node has beaten before
	warned time.Time // about a namesake
}

const heartbeatEvery = 2 * time.Second

// soon asks for a heartbeat now: something the others should know has changed.
func (h *heartbeat) soon() {
	select {
	case h.now <- struct{}{}:
	default:
	}
}

// leave tells the others that they need not wait for this node to lead.
func (h *heartbeat) leave() {
	h.leaving.Store(true)
	h.soon()
}

func (h *heartbeat) once(ctx context.Context) error {
	n := h.node
	if n.strangers.look(ctx) {
		n.serve(n.Schedule())
	}
	var hangs time.Time
	if n.elector != nil {
		hangs = n.elector.Hangs()
	}
	// The others are told the time of the store.
	var said time.Time
	if !hangs.IsZero() {
		said = n.store.Now().Add(-time.Since(hangs))
	}
	wait, replicas := n.store.Replicas()
	namesake, err := n.store.Heartbeat(ctx, jobs.Node{Slots: n.opts.Slots, Running: h.exec.Running(), StartedAt: n.started,
		Version: Version(), Zoneinfo: n.Schedule().Zoneinfo, Revision: n.Schedule().Revision,
		Locks: n.store.LockList(), WaitReplicas: wait, Replicas: replicas,
		NoLead: n.opts.NoLead || h.leaving.Load() || !hangs.IsZero(), Hangs: said, Pool: n.opts.Pool, Labels: n.opts.Labels, Routes: n.routes(n.Schedule())},
		n.definitions.all())
	health := Health{Looked: time.Now(), Reached: n.Health().Reached, Running: h.exec.Running(), Hangs: hangs, Replicas: replicas, Foreign: n.strangers.foreign.Load()}
	if err != nil && n.meter != nil {
		n.meter.Failed("heartbeat")
	}
	if err == nil {
		health.Reached = health.Looked
	}
	n.health.Store(&health)
	if err != nil {
		return err
	}
	// The first time it may be this node's own past: it was killed and started
	// again. Who has written over our record since is alive.
	first := !h.beaten
	h.beaten = true
	if namesake != "" && !first && time.Since(h.warned) > time.Minute {
		h.warned = time.Now()
		n.log.Warn("another live node has this node's name: nothing runs twice, but the lists of nodes mix them up; give each its own --node",
			"node", n.opts.Node, "other_boot", namesake)
	}
	return nil
}

// Run beats until ctx ends.
func (h *heartbeat) Run(ctx context.Context) error {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	var complained time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-h.now:
		}
		if err := h.once(ctx); err != nil && ctx.Err() == nil && time.Since(complained) > 5*time.Second {
			complained = time.Now()
			h.node.log.Warn("no heartbeat could be sent; after 6 s of that the others take this node for gone", "error", err)
		}
	}
}
