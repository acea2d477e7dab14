package redisstore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon/jobs"
)

// How long a call waits for the replicas. In the first seconds in which some are
// missing it is patient: in a fail-over the connection breaks in that time, and
// whoever waited till then repeats at the new master what that may not have heard
// of. Later it looks, and goes on.
const (
	commitPatience = 500 * time.Millisecond
	claimPatience  = 3 * time.Second
	missedPatience = 20 * time.Millisecond
)

// ReplicaPatience is the longest that a call waits for replicas, and all calls of a node
// together when some stop answering.
const ReplicaPatience = claimPatience

// LeastLease is the shortest lease that waiting for replicas leaves room in: nothing is
// started whose claim is older than half its lease, and a claim may wait for
// ReplicaPatience before anybody sees it. Half a second is for the way.
const LeastLease = 2 * (ReplicaPatience + 500*time.Millisecond)

// replicasSay is how often missing replicas are said to be missing.
const replicasSay = time.Minute

// replicas waits until what a connection wrote is on so many replicas (WAIT).
type replicas struct {
	want int // 0: it does not wait

	mu       sync.Mutex
	got      int
	asked    bool
	underway []time.Time // when the waits began that have no answer yet, the oldest first
	missing  time.Time   // since when some are; zero: none are
	said     time.Time
}

// begin notes that a call waits from now on, and returns how long it may that would
// wait for most: the patience of all calls together ends claimPatience after the first
// of them asked in vain, or may have.
func (r *replicas) begin(most time.Duration, now time.Time) (patience time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.underway = append(r.underway, now)
	since := r.underway[0]
	if !r.missing.IsZero() && r.missing.Before(since) {
		since = r.missing
	}
	return min(most, max(missedPatience, claimPatience-now.Sub(since)))
}

// end takes back what begin noted.
func (r *replicas) end(began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.underway, began); i >= 0 {
		r.underway = slices.Delete(r.underway, i, i+1)
	}
}

// answered notes an answer of WAIT to a call that has waited since then. It returns
// whether that is news, and whether it is worth a line in the log.
func (r *replicas) answered(got int, began, now time.Time) (changed, say bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	missing := got < r.want
	changed = missing == r.missing.IsZero()
	r.got, r.asked = got, true
	switch {
	case !missing:
		r.missing = time.Time{}
	case changed || began.Before(r.missing):
		r.missing = began
	}
	say = changed || missing && now.Sub(r.said) >= replicasSay
	if say {
		r.said = now
	}
	return changed, say
}

// Replicas says how many replicas this node waits for, and how many had the last
// thing that it waited for; -1 before it waited for anything.
func (s *Store) Replicas() (want, got int) {
	s.replicas.mu.Lock()
	defer s.replicas.mu.Unlock()
	if !s.replicas.asked {
		return s.replicas.want, -1
	}
	return s.replicas.want, s.replicas.got
}

// CheckReplicas finds out whether this user may wait for replicas.
func (s *Store) CheckReplicas(ctx context.Context) error {
	if s.replicas.want == 0 {
		return nil
	}
	return wrap("wait for replicas", s.cmd.Wait(ctx, 0, time.Millisecond).Err())
}

// acknowledged waits until the replicas have what conn wrote. Fewer than wanted are
// no error: what was written stays. Not to hear the end of it is one: the master may
// be none any more.
func (s *Store) acknowledged(ctx context.Context, conn *redis.Conn, patience time.Duration) error {
	began := time.Now()
	patience = s.replicas.begin(patience, began)
	defer s.replicas.end(began)
	got, err := conn.Wait(ctx, s.replicas.want, patience).Result()
	if err != nil {
		return wrap("wait for replicas", err)
	}
	changed, say := s.replicas.answered(int(got), began, time.Now())
	switch {
	case say && int(got) < s.replicas.want:
		s.log.Warn("too few replicas have what was written last; going on: a fail-over now may repeat or forget it",
			"replicas", got, "wanted", s.replicas.want, "waited", patience)
	case say:
		s.log.Info("the replicas have what was written", "replicas", got)
	}
	if changed {
		s.announceReplicas(ctx, int(got))
	}
	return nil
}

func (s *Store) announceReplicas(ctx context.Context, got int) {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	e := jobs.Event{Type: jobs.EventReplicasMissing, Node: s.opts.Node, Reason: fmt.Sprintf("%d of %d replicas", got, s.replicas.want)}
	if got >= s.replicas.want {
		e.Type = jobs.EventReplicasBack
	}
	if err := s.Announce(ctx, e); err != nil {
		s.log.Debug("missing replicas could not be announced", "error", err)
	}
}

// evalAcknowledged is eval, and waits for the replicas.
func (s *Store) evalAcknowledged(ctx context.Context, sc *script, keys []string, args ...any) (any, error) {
	if s.replicas.want == 0 {
		return s.eval(ctx, sc, keys, args...)
	}
	ctx, cancel := context.WithTimeout(ctx, opBudget)
	defer cancel()
	var reply any
	err := s.retry(ctx, sc.name, func(ctx context.Context) error {
		conn := s.cmd.Conn() // WAIT counts for its own connection
		defer func() { _ = conn.Close() }()
		var err error
		if reply, err = s.evalOnce(ctx, conn, sc, keys, args); err != nil {
			return err
		}
		return s.acknowledged(ctx, conn, commitPatience)
	})
	return reply, err
}
