package carillon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carillon/internal/console"
	"carillon/internal/redisstore"
	"carillon/jobs"
)

// measured is the store of a node that shows metrics: it counts what goes through.
type measured struct {
	*redisstore.Store
	meter *console.Meter
	job   func(run string) string // the job of a run as metrics name it
}

func (s *measured) Adopt(ctx context.Context, token string, sched []*jobs.Job) (jobs.Adopted, error) {
	adopted, err := s.Store.Adopt(ctx, token, sched)
	s.failed("adopt", err)
	return adopted, err
}

func (s *measured) Commit(ctx context.Context, token string, ds []jobs.Decision) ([]jobs.Verdict, error) {
	verdicts, err := s.Store.Commit(ctx, token, ds)
	s.failed("commit", err)
	for i, v := range verdicts {
		switch v.Kind {
		case jobs.VerdictRan, jobs.VerdictQueued, jobs.VerdictRecorded:
			s.meter.Ticks(string(ds[i].Outcome), max(ds[i].Count, 1)) // a range that nobody enumerated counts as one
		case jobs.VerdictSkipped:
			s.meter.Ticks(string(jobs.OutcomeSkipped), 1)
		}
	}
	return verdicts, err
}

func (s *measured) Exchange(ctx context.Context, req jobs.ExchangeRequest) (jobs.ExchangeReply, error) {
	reply, err := s.Store.Exchange(ctx, req)
	s.failed("exchange", err)
	if err != nil {
		return reply, err
	}
	for i, answer := range reply.Answers {
		if i < len(req.Results) && answer == jobs.FinishOK {
			s.meter.Ended(s.job(req.Results[i].RunID), string(req.Results[i].Status))
		}
	}
	for _, c := range reply.Claims {
		s.meter.Known(s.job(c.RunID))
		if c.Trigger == jobs.TriggerSchedule && c.Attempt == 1 && !c.Undoing {
			s.meter.Started(s.Now().Sub(c.ScheduledAt))
		}
	}
	return reply, nil
}

func (s *measured) Renew(ctx context.Context, refs []jobs.LeaseRef) ([]jobs.RenewAnswer, error) {
	answers, err := s.Store.Renew(ctx, refs)
	s.failed("renew", err)
	return answers, err
}

func (s *measured) failed(call string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.meter.Failed(call)
	}
}

// otherJobs stands for the jobs of runs that this node's schedule does not have.
const otherJobs = "other"

// jobOf names the job of a run for a metric: as the schedule calls it now. Whoever can
// write to Redis can make up names; those are one.
func (n *Node) jobOf(run string) string {
	name, _ := jobs.JobOf(run)
	s := n.Schedule()
	if s.Job(name) != nil {
		return name
	}
	if now := s.Formerly(name); now != nil {
		return now.Name
	}
	return otherJobs
}

// liveFor is how old the last heartbeat of a live node may be.
const liveFor = 6 * time.Second

// listen binds what Listen names; nil when it names nothing.
func (n *Node) listen() (*console.Server, error) {
	if n.opts.Listen == "" {
		return nil, nil
	}
	n.meter = console.NewMeter()
	server, err := console.New(console.Config{Listen: n.opts.Listen, Meter: n.meter, State: n.state, Health: n.unwell, Ready: n.unready, Logger: n.log})
	if err == nil {
		n.log.Info("health and metrics are answered over HTTP", "listen", server.Addr())
	}
	return server, err
}

// unwell says what is wrong with the node, as `carillon healthcheck` would; nil for
// nothing.
func (n *Node) unwell() error {
	h := n.Health()
	switch ago := time.Since(h.Reached); {
	case h.Reached.IsZero():
		return errors.New("no answer from Redis yet")
	case ago > liveFor:
		return fmt.Errorf("no answer from Redis for %s", jobs.DurationText(ago.Round(time.Second)))
	case !h.Hangs.IsZero():
		return errors.New("the scheduler of this node has not ended since its term did: it leads no more until it is restarted")
	}
	return nil
}

// unready says why the node takes no part; nil when it does.
func (n *Node) unready() error {
	select {
	case <-n.ready:
	default:
		return errors.New("the node has not begun")
	}
	if n.draining.Load() {
		return errors.New("the node stops: it takes no more runs")
	}
	return n.unwell()
}

// fleetFor is how long what Redis said is shown again: many who look at once, or
// often, ask it once.
const fleetFor = 2 * time.Second

// state is what the metrics show.
func (n *Node) state(ctx context.Context) console.State {
	s, health := n.Schedule(), n.Health()
	state := console.State{Version: Version(), Zoneinfo: s.Zoneinfo, Node: n.opts.Node, Digest: s.Digest, Revision: s.Revision, Jobs: len(s.Jobs),
		Slots: n.opts.Slots, Running: health.Running, Reached: health.Reached}
	select {
	case <-n.ready:
	default:
		return state // the store is not there yet
	}
	state.ClockOffset = n.store.ClockOffset()
	if pulse := n.pulse(); pulse.Leading {
		state.Leading, state.Passed = true, pulse.Passed
	}
	silence := n.silence()
	state.Silences = silence.Noticed
	n.look.Lock()
	defer n.look.Unlock()
	if time.Since(n.lookedAt) > fleetFor {
		n.lookedAt, n.fleet = time.Now(), n.lookAtFleet(ctx)
	}
	if n.fleet != nil {
		fleet := *n.fleet
		fleet.Silent = silence.Lasts
		state.Fleet = &fleet
	}
	if state.Leading && n.fleet != nil {
		state.Epoch = n.epoch
	}
	return state
}

// lookAtFleet asks Redis, or answers nil.
func (n *Node) lookAtFleet(ctx context.Context) *console.Fleet {
	lead, led, err := n.store.Leader(ctx)
	if err != nil {
		return nil
	}
	live, err := n.store.Candidates(ctx)
	if err != nil {
		return nil
	}
	waiting, err := n.store.Waiting(ctx)
	if err != nil {
		return nil
	}
	n.epoch = lead.Epoch
	fleet := &console.Fleet{Led: led, Nodes: map[console.Schedule]int{}, Waiting: waiting, Foreign: n.strangers.foreign.Load()}
	_, boot := holderOf(lead.Token)
	for _, node := range live {
		fleet.Nodes[console.Schedule{Digest: node.Digest, Revision: node.Revision}]++
		if led && node.Boot == boot {
			fleet.Differs = node.Digest != n.Schedule().Digest
		}
	}
	return fleet
}
