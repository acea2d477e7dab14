package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/forecast"
	"carillon/internal/redisstore"
	"carillon/internal/redistest"
	"carillon/jobs"
	"carillon/scheduler"
)

// TestTheStoreDoesWhatLateSays holds forecast.Late against the scripts: what a
// leader decides about late ticks is committed, job after job, and each tick has to
// fare as it was foretold.
func TestTheStoreDoesWhatLateSays(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"", ", group: g"} {
		for _, policy := range []string{"{policy: all, max: 20}", "{policy: all, max: 3}", "{policy: all, window: 20m, max: 20}", "latest", "skip"} {
			for _, overlap := range []string{"skip", "queue", "replace", "allow", "allow, max_running: 2", "skip, every_node: true", "allow, max_running: 2, every_node: true"} {
				if group != "" && strings.Contains(overlap, "every_node") {
					continue // each node would have the group for itself
				}
				t.Run(overlap+" "+policy+group, func(t *testing.T) {
					rules, groups := fmt.Sprintf("overlap: %s, catch_up: %s%s, run: echo", overlap, policy, group), ""
					if group != "" {
						groups = "groups: {g: {limit: 2}}\n"
					}
					s, err := jobs.Parse("schedule.yaml", []byte("version: 1\n"+groups+"jobs:\n"+
						"  seldom: {schedule: '@every 35m', "+rules+"}\n"+
						"  first: {schedule: '@every 20m', "+rules+"}\n"+
						"  often: {schedule: '@every 20s', "+rules+"}\n"+
						"  last: {schedule: '@every 50m', "+rules+"}\n"))
					require.NoError(t, err)
					foretold(t, s)
				})
			}
		}
	}
}

// foretold commits what a leader decides two hours late, and compares.
func foretold(t *testing.T, s *jobs.Schedule) {
	ctx := context.Background()
	st, token := seated(t, s)
	now := st.Now()
	since := now.Add(-2 * time.Hour)

	want := map[string]string{} // tick by tick
	for _, f := range forecast.Late(s.Jobs, since, now) {
		reason := ""
		if f.Outcome == forecast.Skipped || f.Outcome == forecast.Missed {
			reason = f.Reason
		}
		if f.Count == 0 {
			want[f.Job.Name+" "+f.Tick.Format(time.RFC3339)] = fmt.Sprintf("%s %s until %s", f.Outcome, reason, f.Until.Format(time.RFC3339))
			continue
		}
		tick, ok := f.Tick, true
		for ; ok && !tick.After(f.Until); tick, ok = f.Job.Next(tick) {
			want[f.Job.Name+" "+tick.Format(time.RFC3339)] = strings.TrimSpace(string(f.Outcome) + " " + reason)
		}
	}

	var all [][]jobs.Decision
	for _, job := range s.Jobs {
		if ds := scheduler.Due(job, since, now); len(ds) > 0 {
			all = append(all, ds)
		}
	}
	slices.SortStableFunc(all, func(a, b []jobs.Decision) int { return a[0].Tick.Compare(b[0].Tick) })
	ds := slices.Concat(all...)
	vs, err := st.Commit(ctx, token, ds)
	require.NoError(t, err)

	got := map[string]string{}
	for i, d := range ds {
		place := d.Job.Name + " " + d.Tick.Format(time.RFC3339)
		switch vs[i].Kind {
		case jobs.VerdictRecorded:
			if d.Count == 0 {
				got[place] = fmt.Sprintf("missed %s until %s", d.Reason, d.Until.Format(time.RFC3339))
				continue
			}
			tick, ok := d.Tick, true
			for ; ok && !tick.After(d.Until); tick, ok = d.Job.Next(tick) {
				got[d.Job.Name+" "+tick.Format(time.RFC3339)] = "missed " + d.Reason
			}
		case jobs.VerdictBusy:
			got[place] = "wait"
		case jobs.VerdictSkipped:
			got[place] = "skipped " + entryOf(t, st, d).Reason
		default:
			got[place] = fateOf(t, st, d, vs[i].RunID)
		}
	}
	wrong := 0
	for place, fate := range want {
		if got[place] != fate && wrong < 5 {
			wrong++
			t.Errorf("%s: foretold %q, and it was %q", place, fate, got[place])
		}
	}
	assert.Equal(t, len(want), len(got))
}

// fateOf is what has become of the run of a tick when everything is committed.
func fateOf(t *testing.T, st *redisstore.Store, d jobs.Decision, id string) string {
	if d.Job.EveryNode {
		id = jobs.NodeRunID(id, "n1")
	}
	run, err := st.Run(context.Background(), id)
	require.NoError(t, err)
	switch {
	case run.Status == jobs.Canceled:
		return "replaced"
	case run.Reason != "":
		return "wait"
	default:
		return "run"
	}
}

// entryOf is the ledger entry of a tick.
func entryOf(t *testing.T, st *redisstore.Store, d jobs.Decision) jobs.LedgerEntry {
	entries, err := st.Ledger(context.Background(), d.Job.Name, 1000)
	require.NoError(t, err)
	for _, e := range entries {
		if !d.Tick.Before(e.Tick) && !d.Tick.After(e.Until) {
			e.Reason = strings.ReplaceAll(e.Reason, "an earlier run on n1 is", "an earlier run is")
			return e
		}
	}
	t.Fatalf("no entry of %s at %s", d.Job.Name, d.Tick)
	return jobs.LedgerEntry{}
}

// seated is the store of a live node that leads, on an empty server.
func seated(t *testing.T, s *jobs.Schedule) (*redisstore.Store, string) {
	ctx := context.Background()
	url, _ := redistest.Mini(t)
	st, err := redisstore.Open(redisstore.Options{URL: url, Namespace: "late", Node: "n1", Boot: "b1", Lease: 30 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { _ = st.Close() })
	require.NoError(t, st.SyncClock(ctx))
	const token = "n1:b1:1"
	opt, err := redis.ParseURL(url)
	require.NoError(t, err)
	client := redis.NewClient(opt)
	t.Cleanup(func() { _ = client.Close() })
	require.NoError(t, client.Set(ctx, st.LockKey(), token, time.Minute).Err())
	_, _, err = st.Install(ctx, token, "n1")
	require.NoError(t, err)
	_, err = st.Heartbeat(ctx, jobs.Node{Slots: 4, Routes: s.Routes("", nil)}, []*jobs.Schedule{s})
	require.NoError(t, err)
	return st, token
}
