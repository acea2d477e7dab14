package redisstore

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
	"carillon/jobs"
)

// logLines is a log that a test reads.
type logLines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

// withReplicas is a master and two replicas that are in sync with it.
func withReplicas(t *testing.T) (master *redistest.Server, replicas []*redistest.Server) {
	t.Helper()
	master = redistest.StartReal(t, "--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(master.Addr())
	require.NoError(t, err)
	for range 2 {
		replicas = append(replicas, redistest.StartReal(t, "--replicaof", host, port))
	}
	return master, replicas
}

// However many calls there are, one after the other or beside each other: they wait for
// 3 seconds together, from the beginning of the first that nobody acknowledged.
func TestReplicasAreWaitedForOnce(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	for _, c := range []struct {
		name  string
		calls func(r *replicas) (last time.Duration)
		want  time.Duration
	}{
		{"the first", func(r *replicas) time.Duration { return r.begin(claimPatience, at(0)) }, claimPatience},
		{"one after it", func(r *replicas) time.Duration {
			r.begin(claimPatience, at(0))
			r.answered(1, at(0), at(3000))
			r.end(at(0))
			return r.begin(claimPatience, at(3001))
		}, missedPatience},
		{"one after a commit", func(r *replicas) time.Duration {
			r.begin(commitPatience, at(0))
			r.answered(1, at(0), at(500))
			r.end(at(0))
			return r.begin(claimPatience, at(600))
		}, claimPatience - 600*time.Millisecond},
		{"one beside it", func(r *replicas) time.Duration {
			r.begin(claimPatience, at(0))
			return r.begin(claimPatience, at(2900))
		}, 100 * time.Millisecond},
		{"one that began earlier and ends later", func(r *replicas) time.Duration {
			r.begin(claimPatience, at(0))
			r.begin(commitPatience, at(2000))
			r.answered(1, at(2000), at(2500))
			r.end(at(2000))
			r.answered(1, at(0), at(3000))
			r.end(at(0))
			return r.begin(claimPatience, at(3100))
		}, missedPatience},
		{"when they are back", func(r *replicas) time.Duration {
			r.begin(claimPatience, at(0))
			r.answered(1, at(0), at(3000))
			r.end(at(0))
			r.begin(claimPatience, at(4000))
			r.answered(2, at(4000), at(4010))
			r.end(at(4000))
			return r.begin(claimPatience, at(5000))
		}, claimPatience},
		{"after one whose connection broke", func(r *replicas) time.Duration {
			r.begin(claimPatience, at(0))
			r.end(at(0))
			return r.begin(claimPatience, at(2000))
		}, claimPatience},
	} {
		assert.Equal(t, c.want, c.calls(&replicas{want: 2}), c.name)
	}
}

// A replica that hangs costs 3 seconds, not 3 for the claim that finds out and 3 for
// the next.
func TestAReplicaThatHangsCostsThreeSeconds(t *testing.T) {
	ctx := t.Context()
	master, replicas := withReplicas(t)
	s, err := Open(Options{URL: master.URL(), WaitReplicas: 2, Namespace: "test", Node: "n1", Boot: "b1"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	require.NoError(t, s.SyncClock(ctx))
	require.Eventually(t, func() bool { return s.cmd.Wait(ctx, 2, time.Second).Val() == 2 }, time.Minute, 20*time.Millisecond)
	token, j := lead(t, s), job("j")
	tick := s.Now().Truncate(time.Second).Add(-time.Hour)
	setCursor(t, s, j, tick.Add(-time.Second))
	for range 5 {
		tick = tick.Add(time.Second)
		_, err := s.Commit(ctx, token, []jobs.Decision{ran(j, tick)})
		require.NoError(t, err)
	}
	replicas[0].Stop()
	var took []time.Duration
	for range 5 {
		start := time.Now()
		require.Len(t, claim(t, s, 1), 1)
		took = append(took, time.Since(start))
	}
	t.Logf("claims while a replica hangs: %v", took)
	require.GreaterOrEqual(t, took[0], claimPatience)
	for _, d := range took[1:] {
		require.Less(t, d, claimPatience, "the pause is over: %v", took)
	}
}

func TestACommitWaitsForTheReplicas(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	master, replicas := withReplicas(t)
	var log logLines
	s, err := Open(Options{URL: master.URL(), WaitReplicas: 2, Namespace: "test", Node: "n1", Boot: "b1", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	require.NoError(t, s.CheckReplicas(ctx))
	require.NoError(t, s.SyncClock(ctx))
	require.Eventually(t, func() bool { return s.cmd.Wait(ctx, 2, time.Second).Val() == 2 }, time.Minute, 20*time.Millisecond, "the replicas are in sync")
	heard := hear(t, s)
	token, j := lead(t, s), job("j")
	tick := s.Now().Truncate(time.Second).Add(-time.Hour)
	setCursor(t, s, j, tick.Add(-time.Second))
	commit := func() (id string, took time.Duration) {
		t.Helper()
		tick = tick.Add(time.Second)
		start := time.Now()
		v, err := s.Commit(ctx, token, []jobs.Decision{ran(j, tick)})
		require.NoError(t, err)
		require.Equal(t, jobs.VerdictRan, v[0].Kind)
		return v[0].RunID, time.Since(start)
	}
	_, got := s.Replicas()
	require.Equal(t, -1, got, "it has not waited yet")

	// All there: what was committed is on both when the call is over, and what was
	// claimed as well.
	var views []*Store
	for _, r := range replicas {
		v, err := Open(Options{URL: r.URL(), Namespace: "test"})
		require.NoError(t, err)
		t.Cleanup(func() { _ = v.Close() })
		views = append(views, v)
	}
	seen := 0
	both := func(id string, state jobs.State) {
		t.Helper()
		if _, got := s.Replicas(); got < 2 {
			return // a busy machine: nobody promised anything
		}
		seen++
		for _, v := range views {
			run, err := v.Run(ctx, id)
			require.NoError(t, err)
			assert.Equal(t, state, run.Status)
		}
	}
	require.Eventually(t, func() bool {
		id, _ := commit()
		both(id, jobs.Queued)
		require.Len(t, claim(t, s, 1), 1)
		both(id, jobs.Running)
		return seen >= 40
	}, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { commit(); _, got := s.Replicas(); return got == 2 }, time.Minute, time.Millisecond)
	waiting, warned, back := len(claim(t, s, 100)), log.count("too few replicas"), log.count("the replicas have what was written")
	require.Positive(t, waiting)

	// One hangs: it is waited for once, said once, and everything goes on.
	replicas[0].Stop()
	_, took := commit()
	assert.GreaterOrEqual(t, took, commitPatience)
	var later time.Duration
	for range 20 {
		_, took := commit()
		later += took
	}
	t.Logf("a commit while a replica is missing: the first %v, then %v", took, later/20)
	assert.Less(t, later/20, commitPatience)
	require.Len(t, claim(t, s, 30), 21)
	_, got = s.Replicas()
	require.Equal(t, 1, got)
	require.Equal(t, warned+1, log.count("too few replicas"), "%s", log.b.String())

	// It is back.
	replicas[0].Cont()
	require.Eventually(t, func() bool { commit(); _, got := s.Replicas(); return got == 2 }, time.Minute, 10*time.Millisecond)
	require.Greater(t, log.count("the replicas have what was written"), back)
	require.Eventually(t, func() bool {
		types := strings.Join(heard(), " ")
		return strings.Contains(types, string(jobs.EventReplicasMissing)) && strings.Contains(types, string(jobs.EventReplicasBack))
	}, 10*time.Second, 10*time.Millisecond)
}

// A master that is gone before it answered is asked again, and no command begins for
// a claim whose fate is unknown.
func TestAClaimThatNobodyAcknowledgedIsNotBegun(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	master, replicas := withReplicas(t)
	s, err := Open(Options{URL: master.URL(), WaitReplicas: 2, Namespace: "test", Node: "n1", Boot: "b1"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	require.NoError(t, s.SyncClock(ctx))
	require.Eventually(t, func() bool { return s.cmd.Wait(ctx, 2, time.Second).Val() == 2 }, time.Minute, 20*time.Millisecond)
	token, j := lead(t, s), job("j")
	tick := s.Now().Truncate(time.Second).Add(-time.Hour)
	setCursor(t, s, j, tick.Add(-time.Second))
	_, err = s.Commit(ctx, token, []jobs.Decision{ran(j, tick)})
	require.NoError(t, err)

	replicas[0].Stop()
	time.AfterFunc(claimPatience/4, master.Kill)
	timed, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	reply, err := s.Exchange(timed, jobs.ExchangeRequest{ClaimID: "c", Want: 1})
	require.Error(t, err)
	require.Empty(t, reply.Claims)
}
