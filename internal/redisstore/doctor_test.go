package redisstore

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
	"carillon/jobs"
)

// The doctor judges rights by the documented line, and lifetimes by the table.
func TestTheDoctorKnowsWhatIsDocumented(t *testing.T) {
	line := regexp.MustCompile(`(?m)^ACL SETUSER carillon .*-@all (.*)$`).FindStringSubmatch(readDoc(t))
	require.NotNil(t, line)
	want := strings.Fields(strings.NewReplacer("+", "", "script|load", "script").Replace(line[1]))
	var got []string
	for _, c := range commands {
		got = append(got, strings.Fields(c)[0])
	}
	slices.Sort(want)
	slices.Sort(got)
	assert.Equal(t, want, got)

	var expires []string
	for name, f := range documented(t) {
		if _, _, ok := durationIn(f.lifetime); (ok || name == "claim") && regexp.MustCompile(`^\d`).MatchString(f.lifetime) {
			expires = append(expires, name)
		}
	}
	slices.Sort(expires)
	assert.Equal(t, expires, expiring)
}

func zOf(member string, at time.Time) redis.Z {
	return redis.Z{Member: member, Score: float64(at.UnixMilli())}
}

// On a Redis that answers everything, the doctor's looking is complete, writes
// nothing, and finds what was left there.
func TestFacts(t *testing.T) {
	ctx := t.Context()
	url := redistest.Real(t)
	s, err := Open(Options{URL: url, Node: "a", Boot: "boot-a"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	now := time.Now()
	require.NoError(t, s.cmd.HSet(ctx, s.keys.run("done"), "status", "succeeded").Err())
	require.NoError(t, s.cmd.HSet(ctx, s.keys.run("open"), "status", "running", "node", "a").Err())
	require.NoError(t, s.cmd.HSet(ctx, s.keys.log("x"), "kept", "forever").Err())
	require.NoError(t, s.cmd.ZAdd(ctx, s.keys.leases(), zOf("open", now.Add(-2*time.Minute)), zOf("fresh", now)).Err())
	require.NoError(t, s.cmd.ZAdd(ctx, s.keys.routes(), zOf("zone=eu", now.Add(-time.Minute))).Err())
	require.NoError(t, s.cmd.LPush(ctx, s.keys.queue("zone=eu", "5"), "q1", "q2").Err())
	dirty := parseInfo(s.cmd.Info(ctx).Val())["rdb_changes_since_last_save"]

	f, err := s.Facts(ctx)
	require.NoError(t, err)
	info := parseInfo(s.cmd.Info(ctx).Val())
	assert.Equal(t, dirty, info["rdb_changes_since_last_save"], "it reads only")

	assert.Equal(t, "noeviction", f.Info["maxmemory_policy"])
	assert.NotNil(t, f.Save)
	assert.Empty(t, f.Denied)
	if !slices.ContainsFunc(f.Refused, func(r Refusal) bool { return r.Command == "ACL DRYRUN" }) { // 6.2 has none
		assert.Empty(t, f.Refused)
	}
	assert.Positive(t, f.PingMedian)
	assert.LessOrEqual(t, f.PingMedian, f.PingMax)
	assert.WithinDuration(t, time.Now(), f.At, time.Minute)
	families := map[string]Family{}
	for _, k := range f.Families {
		families[k.Name] = k
		assert.Positive(t, k.Bytes, k.Name)
	}
	assert.Equal(t, 2, families["run"].Keys)
	assert.Equal(t, 1, families["run"].Eternal, "a run that has not ended has no lifetime")
	assert.Equal(t, s.keys.run("done"), families["run"].Example)
	assert.Equal(t, 1, families["log"].Eternal)
	assert.Zero(t, families["leases"].Eternal)
	require.Len(t, f.Overdue, 1)
	assert.Equal(t, Overdue{Run: "open", Node: "a", Status: jobs.Running, Due: f.Overdue[0].Due}, f.Overdue[0])
	require.Len(t, f.Routes, 1)
	assert.Equal(t, "zone=eu", f.Routes[0].Name)
	assert.Equal(t, 2, f.Routes[0].Waiting)
	assert.False(t, f.Led)
	assert.False(t, f.Partial)
}

// Two processes of one name take turns in one record.
func TestFactsSeesNamesakes(t *testing.T) {
	ctx := t.Context()
	url := redistest.Real(t)
	started := time.Now().Add(-time.Hour)
	beats := func(node, boot string) *Store {
		s, err := Open(Options{URL: url, Node: node, Boot: boot})
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		require.NoError(t, s.SyncClock(ctx))
		return s
	}
	a, twin, alone := beats("a", "one"), beats("a", "two"), beats("b", "three")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			_, _ = []*Store{a, twin}[i%2].Heartbeat(ctx, jobs.Node{StartedAt: started}, nil)
			_, _ = alone.Heartbeat(ctx, jobs.Node{StartedAt: started}, nil)
			select {
			case <-stop:
				return
			case <-time.After(700 * time.Millisecond):
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	require.Eventually(t, func() bool { nodes, err := a.Nodes(ctx); return err == nil && len(nodes) == 2 }, 20*time.Second, 10*time.Millisecond)
	// A busy machine may keep the twins silent for a whole look.
	for end := time.Now().Add(time.Minute); ; {
		f, err := a.Facts(ctx)
		require.NoError(t, err)
		assert.NotContains(t, f.Namesakes, "b")
		if slices.Contains(f.Namesakes, "a") {
			return
		}
		require.True(t, time.Now().Before(end), "the twins were not seen")
	}
}
