package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon/jobs"
)

// This file notices that Redis has lost data. See docs/adr/0016-lives-of-the-store.md.

// memory is what a node knows of the Redis it works with, beyond what it reads there.
type memory struct {
	now   atomic.Pointer[witness] // nil: a reader, or a node before its first heartbeat
	epoch atomic.Int64            // the highest one seen, in any life

	turn   chan struct{} // of remember, which lasts as long as Redis takes; of size 1
	warned string        // id of the life that the log was told of
	relive jobs.Relive
}

// witness is what a node has seen of one life of Redis. A nil one has seen nothing.
type witness struct {
	life    jobs.StoreLife
	seen    atomic.Int64            // number of the last message
	heard   atomic.Pointer[reading] // the last heartbeat
	decided atomic.Int64            // the latest tick that was decided, in ms of the store's clock
}

// reading is what the store's clock said, and when that was by the monotonic clock here.
type reading struct {
	ms int64
	at time.Time
}

func (w *witness) read(ms int64) { w.heard.Store(&reading{ms, time.Now()}) }

// until is up to when ticks may have been decided in this life, by its clock: another
// Redis may have one that is behind. What is measured of the clock of Redis does not
// say it, since that may be the other one's by now.
func (w *witness) until() int64 {
	r := w.heard.Load()
	return max(r.ms+time.Since(r.at).Milliseconds(), w.decided.Load())
}

// knows takes in that the ticks of a job were decided up to there.
func (w *witness) knows(tick int64) {
	if w != nil {
		raise(&w.decided, tick)
	}
}

func raise(highest *atomic.Int64, to int64) {
	for {
		old := highest.Load()
		if to <= old || highest.CompareAndSwap(old, to) {
			return
		}
	}
}

// before is the first argument of a script: see lua/lib_common.lua.
func (w *witness) before(prefix string) string {
	if w == nil {
		return prefix
	}
	return prefix + " " + w.life.ID + " " + strconv.FormatInt(w.seen.Load(), 10)
}

// saw takes in the number of a message. It is for the witness that the call was made
// with: in another life the number means something else.
func (w *witness) saw(seq int64) {
	if w != nil {
		raise(&w.seen, seq)
	}
}

func isForgot(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "FORGOT") }

func newLifeID() string { return strings.ToLower(rand.Text()[:16]) }

// heard takes in what a heartbeat was told at that time of the store's clock, w being what
// it was sent with.
func (s *Store) heard(w *witness, value string, seq, epoch, at int64) error {
	life, err := decodeLife(value)
	if err != nil {
		return err
	}
	if s.memory.epoch.Load() < epoch {
		s.memory.epoch.Store(epoch)
	}
	now := s.memory.now.Load()
	switch {
	case now == nil: // the first heartbeat
		now = &witness{life: life}
		now.read(at)
		if !s.memory.now.CompareAndSwap(nil, now) {
			return nil
		}
	case now != w || now.life.ID != life.ID:
		return nil // the life ended meanwhile
	}
	// With replicas to wait for, a node has seen what they have: the rest it would repeat.
	if s.replicas.want == 0 {
		now.saw(seq)
	}
	now.read(at)
	return nil
}

// OnAmnesia says what a node does when Redis has lost data, before anything else that it
// does reaches Redis again. It is called for each loss, and again when it returned
// an error. Set it before the first heartbeat.
func (s *Store) OnAmnesia(relive jobs.Relive) { s.memory.relive = relive }

// rememberFor bounds one try of making good what Redis forgot. What was not done is
// done at the next call that is refused.
const rememberFor = 10 * time.Second

// remember is what follows when Redis refused a call because it does not know what w
// has seen: the loss is reported, unless another node was faster, and this node
// tells Redis what it knows. The call may be repeated when it returns nil.
func (s *Store) remember(ctx context.Context, w *witness, forgot error) error {
	select {
	case s.memory.turn <- struct{}{}:
		defer func() { <-s.memory.turn }()
	case <-ctx.Done():
		return errors.Join(forgot, context.Cause(ctx))
	}
	if s.memory.now.Load() != w {
		return nil // done meanwhile
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rememberFor)
	defer cancel()
	reply, err := s.evalSeeing(ctx, s.cmd, nil, amnesiaScript,
		[]string{s.keys.probe(), s.keys.cluster(), s.keys.term(), s.keys.events(), s.keys.sequence()},
		[]any{s.opts.Node, w.life.ID, w.life.Number, w.seen.Load(), s.memory.epoch.Load(), w.heard.Load().ms, newLifeID(), millis(w.life.Since), w.until()})
	if err != nil {
		return errors.Join(forgot, wrap("report the loss of data", err))
	}
	v, _ := reply.([]any)
	if len(v) != 3 {
		return errors.Join(forgot, fmt.Errorf("report the loss of data: unexpected reply %v", reply))
	}
	life, err := decodeLife(toString(v[0]))
	if err != nil {
		return errors.Join(forgot, err)
	}
	if life.ID == w.life.ID {
		return nil // it is as it was
	}
	next := &witness{life: life}
	next.saw(toInt(v[1]))
	next.read(toInt(v[2]))
	if s.memory.warned != life.ID {
		s.memory.warned = life.ID
		s.log.Warn("Redis has lost data: cursors start anew from now, running jobs go on; see store_amnesia in docs/guarantees.md",
			"what", life.String(), "noticed_by", life.Node, "at", life.Since.UTC().Format(time.RFC3339))
	}
	if s.memory.relive != nil {
		tell := func(ctx context.Context, held []jobs.Held) ([]jobs.HeldAnswer, error) {
			return s.recall(ctx, next, held)
		}
		if err := s.memory.relive(ctx, life, tell); err != nil {
			return errors.Join(forgot, err)
		}
	}
	s.memory.now.Store(next)
	return nil
}

// recallChunk is how many attempts one call of recall carries.
const recallChunk = 100

// recall tells Redis, in the life of w, what a node knows of runs. Results of those that it
// takes back are written at once.
func (s *Store) recall(ctx context.Context, w *witness, held []jobs.Held) ([]jobs.HeldAnswer, error) {
	answers := make([]jobs.HeldAnswer, 0, len(held))
	for len(held) > 0 {
		n := min(len(held), recallChunk)
		args := make([]any, 0, 4+5*n)
		args = append(args, s.opts.Node, s.opts.Boot, s.opts.Lease.Milliseconds(), n)
		for i := range held[:n] {
			undoing := 0
			if held[i].Undoing {
				undoing = 1
			}
			text, err := s.encodeHeld(&held[i])
			if err != nil {
				return answers, err
			}
			args = append(args, held[i].RunID, held[i].Token, held[i].Attempt, undoing, text)
		}
		reply, err := s.evalSeeing(ctx, s.cmd, w, recallScript,
			[]string{s.keys.probe(), s.keys.leases(), s.keys.events(), s.keys.sequence()}, args)
		if err != nil {
			return answers, wrap("recall runs", err)
		}
		values, _ := reply.([]any)
		if len(values) != n {
			return answers, fmt.Errorf("recall runs: %d answers for %d attempts", len(values), n)
		}
		var results []jobs.Result
		for i, v := range values {
			answer := jobs.HeldAnswer(toString(v))
			if answer == jobs.HeldOK && held[i].Result != nil {
				results = append(results, *held[i].Result)
			}
			answers = append(answers, answer)
		}
		if len(results) > 0 {
			call := s.finishCall(results)
			if _, err := s.evalSeeing(ctx, s.cmd, w, call.script, call.keys, call.args); err != nil {
				return answers, wrap("recall results", err)
			}
		}
		held = held[n:]
	}
	return answers, nil
}

// encodeHeld is what lua/recall.lua reads of one attempt.
func (s *Store) encodeHeld(h *jobs.Held) (string, error) {
	m := struct {
		Started     int64    `json:"started"`
		Failures    int      `json:"failures,omitempty"`
		Steps       []string `json:"steps,omitempty"`
		Rollback    []string `json:"rollback,omitempty"`
		Failure     string   `json:"failure,omitempty"`
		FailedAt    string   `json:"failed_at,omitempty"`
		Over        bool     `json:"over,omitempty"`
		Spec        any      `json:"spec,omitempty"`
		Trigger     string   `json:"trigger,omitempty"`
		ScheduledAt string   `json:"scheduled_at,omitempty"`
		Params      string   `json:"params,omitempty"`
		Pin         bool     `json:"pin,omitempty"`
		UpJob       string   `json:"up_job,omitempty"`
		UpRun       string   `json:"up_run,omitempty"`
		UpStatus    string   `json:"up_status,omitempty"`
		UpError     string   `json:"up_error,omitempty"`
	}{Started: h.Age.Milliseconds(), Failures: h.Failures, Steps: h.Steps, Rollback: h.Rollback, Failure: text(h.Failure), FailedAt: h.FailedAt}
	m.Over = h.Result != nil && h.Result.Status.Final()
	if c := h.Claim; c != nil && h.Job != nil {
		m.Spec, m.Trigger, m.Pin = specOf(h.Job), string(c.Trigger), h.Job.EveryNode
		if !c.ScheduledAt.IsZero() {
			m.ScheduledAt = strconv.FormatInt(millis(c.ScheduledAt), 10)
		}
		if len(c.Params) > 0 {
			b, err := json.Marshal(c.Params)
			if err != nil {
				return "", fmt.Errorf("recall %s: params: %w", h.RunID, err)
			}
			m.Params = string(b)
		}
		if up := c.Upstream; up != nil {
			m.UpJob, m.UpRun, m.UpStatus, m.UpError = up.Job, up.RunID, string(up.Status), text(up.Error)
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("recall %s: %w", h.RunID, err)
	}
	return string(b), nil
}

// decodeLife reads :cluster as lua/amnesia.lua describes it.
func decodeLife(value string) (jobs.StoreLife, error) {
	f := strings.Fields(value)
	if len(f) != 9 {
		return jobs.StoreLife{}, fmt.Errorf("the life of this Redis: cannot read %q", value)
	}
	return jobs.StoreLife{ID: f[0], Number: toInt(f[1]), Since: fromMillis(toInt(f[2])), Kind: jobs.LossKind(f[4]),
		Heard: fromMillis(toInt(f[5])), Before: toInt(f[6]), After: toInt(f[7]), Node: f[8]}, nil
}

// Life returns the life that this Redis is in; false when no node was ever here.
func (s *Store) Life(ctx context.Context) (jobs.StoreLife, bool, error) {
	value, err := s.cmd.Get(ctx, s.keys.cluster()).Result()
	if errors.Is(err, redis.Nil) {
		return jobs.StoreLife{}, false, nil
	}
	if err != nil {
		return jobs.StoreLife{}, false, wrap("read the life of this Redis", err)
	}
	life, err := decodeLife(value)
	return life, err == nil, err
}
