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
	var stays []string
	for name, f := range documented(t) {
		if regexp.MustCompile(`^none($|[;.] (gone|They|a field|forgotten))`).MatchString(f.lifetime) && !slices.Contains([]string{"embedded", "probe"}, name) {
			stays = append(stays, name)
		}
	}
	assert.Subset(t, stays, staying)
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
	require.NoError(t, s.cmd.HSet(ctx, s.keys.cursors(), "j", "1 t").Err())
	require.NoError(t, s.cmd.Expire(ctx, s.keys.cursors(), time.Hour).Err())
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
	assert.Equal(t, s.keys.cursors(), families["cursors"].Fading)
	assert.InDelta(t, time.Hour, families["cursors"].FadesIn, float64(time.Minute))
	assert.Empty(t, families["leases"].Fading)
	assert.Empty(t, families["run"].Fading)
	assert.Zero(t, f.Watched, "it was over at once: there is no rate")
	assert.Zero(t, f.LockTTL, "nobody leads")
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
	t.Parallel()
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

// What grows while the doctor looks, and the lock and the leases as they are.
func TestFactsSeesGrowthAndLifetimes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := Open(Options{URL: redistest.Real(t), Node: "a", Boot: "boot-a", Lease: 2 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	require.NoError(t, s.SyncClock(ctx))
	_, err = s.Heartbeat(ctx, jobs.Node{}, nil)
	require.NoError(t, err)
	require.NoError(t, s.cmd.LPush(ctx, s.keys.queue("any", "5"), "r0").Err())
	require.NoError(t, s.cmd.LPush(ctx, s.keys.history("j0"), "r0").Err())
	require.NoError(t, s.cmd.Set(ctx, s.keys.leader(), "a:boot-a:1", 0).Err())
	require.NoError(t, s.cmd.ZAdd(ctx, s.keys.leases(), zOf("open", time.Now().Add(-30*time.Second))).Err())
	require.NoError(t, s.cmd.HSet(ctx, s.keys.run("open"), "status", "running").Err())
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			s.cmd.LPush(ctx, s.keys.queue("any", "5"), "r"+time.Now().Format("150405.000000"))
			s.cmd.LPush(ctx, s.keys.history("j"+time.Now().Format("150405.000000")), "r")
			_, _ = s.Heartbeat(ctx, jobs.Node{}, nil)
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	f, err := s.Facts(ctx)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, f.Watched, 2*time.Second)
	i := slices.IndexFunc(f.Families, func(k Family) bool { return k.Name == "history" })
	require.GreaterOrEqual(t, i, 0)
	assert.Positive(t, f.Families[i].Grew)
	require.Len(t, f.Routes, 1)
	assert.Positive(t, f.Routes[0].Grew)
	assert.LessOrEqual(t, f.Routes[0].Grew, f.Routes[0].Waiting)
	assert.Negative(t, f.LockTTL, "it lives for ever")
	assert.Len(t, f.Overdue, 1, "three leases of 2 seconds are over since long")
	assert.Equal(t, 2*time.Second, f.Nodes[0].Lease)
}
