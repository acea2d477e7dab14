package carillon_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon"
	"carillon/internal/redisstore"
	"carillon/internal/redistest"
	"carillon/jobs"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// recorder counts what a handler was called with.
type recorder struct {
	mu   sync.Mutex
	runs map[string][]string // run id -> "node attempt"
}

func (r *recorder) handler(node string) carillon.Func {
	return func(_ context.Context, run carillon.Run) error {
		fmt.Fprintf(run.Output, "hello from %s\n", node)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.runs == nil {
			r.runs = map[string][]string{}
		}
		r.runs[run.ID] = append(r.runs[run.ID], fmt.Sprintf("%s %d", node, run.Attempt))
		return nil
	}
}

func (r *recorder) snapshot() map[string][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string][]string, len(r.runs))
	for k, v := range r.runs {
		out[k] = append([]string(nil), v...)
	}
	return out
}

func schedule(t *testing.T, text string) *jobs.Schedule {
	t.Helper()
	s, err := jobs.Parse("test.yaml", []byte(text))
	require.NoError(t, err)
	return s
}

// up runs a node until the test ends, or until the returned function is called.
func up(t *testing.T, opts carillon.Options) (*carillon.Node, func()) {
	t.Helper()
	n, err := carillon.New(opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			require.NoError(t, <-done)
		})
	}
	t.Cleanup(stop)
	select {
	case <-n.Ready():
	case err := <-done:
		t.Fatalf("the node ended: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("the node is not ready")
	}
	return n, stop
}

// A heartbeat that is on its way when a node stops does not make it a live node again.
func TestAStoppedNodeStaysGone(t *testing.T) {
	url, namespace := redistest.Shared(t)
	look, err := redisstore.Open(redisstore.Options{URL: url, Namespace: namespace})
	require.NoError(t, err)
	defer func() { _ = look.Close() }()
	for i := range 30 {
		name := fmt.Sprintf("n%d", i)
		_, stop := up(t, carillon.Options{Redis: url, Namespace: namespace, Node: name, NoLead: i%2 == 0,
			Schedule: schedule(t, "version: 1\njobs: {a: {run: 'true'}}\n")})
		stop()
		nodes, err := look.Nodes(t.Context())
		require.NoError(t, err)
		require.Empty(t, nodes, "after its goodbye")
	}
}

const everySecond = `
version: 1
jobs:
  beat:
    schedule: "* * * * * *"
    catch_up: all
    func: beat
`

func engines(t *testing.T, test func(t *testing.T, opts carillon.Options)) {
	t.Run("miniredis", func(t *testing.T) {
		url, _ := redistest.Mini(t)
		test(t, carillon.Options{Redis: url})
	})
	t.Run("real", func(t *testing.T) {
		url, namespace := redistest.Shared(t)
		test(t, carillon.Options{Redis: url, Namespace: namespace})
	})
}

// Two nodes in one process share a fleet; the leader goes, and every tick is run
// once all the same.
func TestTwoNodesInOneProcessRunEachTickOnce(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, opts carillon.Options) {
		var rec recorder
		nodes := map[string]func(){}
		for _, name := range []string{"a", "b"} {
			o := opts
			o.Node, o.Schedule = name, schedule(t, everySecond)
			o.Funcs = map[string]carillon.Func{"beat": rec.handler(name)}
			n, stop := up(t, o)
			nodes[name] = stop
			if name == "a" {
				require.Eventually(t, func() bool {
					l, ok, err := n.Leader(context.Background())
					return err == nil && ok && l.Node == "a"
				}, 5*time.Second, 10*time.Millisecond)
			}
		}
		require.Eventually(t, func() bool { return len(rec.snapshot()) >= 3 }, 10*time.Second, 10*time.Millisecond)
		nodes["a"]()
		before := len(rec.snapshot())
		require.Eventually(t, func() bool { return len(rec.snapshot()) >= before+3 }, 10*time.Second, 10*time.Millisecond)
		var first, last time.Time
		got := rec.snapshot()
		for id, attempts := range got {
			require.Len(t, attempts, 1, id)
			at, err := time.Parse(jobs.TickLayout, strings.TrimPrefix(id, "beat@"))
			require.NoError(t, err)
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(last) {
				last = at
			}
		}
		require.Len(t, got, int(last.Sub(first)/time.Second)+1, "no tick between the first and the last is missing")
	})
}

// Jitter moves when a run begins and not which tick it is: each tick is run once,
// in order, under its own time, and not before its start.
func TestJitterMovesTheStartAndNotTheTick(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, opts carillon.Options) {
		type begun struct{ tick, at time.Time }
		runs := make(chan begun, 100)
		opts.Schedule = schedule(t, strings.Replace(everySecond, "catch_up", "jitter: 900ms\n    catch_up", 1))
		opts.Funcs = map[string]carillon.Func{"beat": func(_ context.Context, run carillon.Run) error {
			runs <- begun{run.ScheduledAt, time.Now()}
			return nil
		}}
		up(t, opts)
		job, moved := opts.Schedule.Job("beat"), false
		var last time.Time
		for range 4 {
			var run begun
			select {
			case run = <-runs:
			case <-time.After(10 * time.Second):
				t.Fatal("no run")
			}
			require.Zero(t, run.tick.Nanosecond())
			start := job.Starts(run.tick)
			// The clock of the store is an estimate.
			require.False(t, run.at.Before(start.Add(-20*time.Millisecond)), "%s began at %s", run.tick, run.at)
			if !last.IsZero() {
				require.Equal(t, time.Second, run.tick.Sub(last), "each tick once, in order")
			}
			last, moved = run.tick, moved || start.After(run.tick)
		}
		require.True(t, moved, "four ticks without jitter")
	})
}

func TestTriggerFromTheLibrary(t *testing.T) {
	engines(t, func(t *testing.T, opts carillon.Options) {
		got := make(chan carillon.Run, 1)
		opts.Node = "a"
		opts.Schedule = schedule(t, "version: 1\njobs:\n  greet:\n    func: greet\n    params: {name: {pattern: \"^[a-z]+$\"}}\n")
		opts.Funcs = map[string]carillon.Func{"greet": func(_ context.Context, run carillon.Run) error {
			got <- run
			return nil
		}}
		n, _ := up(t, opts)
		id, err := n.Trigger(context.Background(), "greet", map[string]string{"name": "bob"})
		require.NoError(t, err)
		run := <-got
		require.Equal(t, id, run.ID)
		require.Equal(t, "bob", run.Params["name"])
		require.Equal(t, jobs.TriggerManual, run.Trigger)
		_, err = n.Trigger(context.Background(), "greet", map[string]string{"name": "BOB"})
		require.ErrorContains(t, err, "name")
		_, err = n.Trigger(context.Background(), "nope", nil)
		require.ErrorContains(t, err, "no such job")
	})
}

// lines collects what a logger says.
type lines struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), s)
}

func TestReloadTakesAGoodFileAndKeepsTheOldOtherwise(t *testing.T) {
	t.Parallel()
	url, _ := redistest.Mini(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "schedule.yaml")
	write := func(text string) {
		t.Helper()
		tmp := filepath.Join(dir, ".tmp")
		require.NoError(t, os.WriteFile(tmp, []byte(text), 0o600))
		require.NoError(t, os.Rename(tmp, file))
	}
	write(everySecond)
	var log lines
	var rec recorder
	opts := carillon.Options{Redis: url, Node: "a", File: file, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Funcs: map[string]carillon.Func{"beat": rec.handler("a"), "other": func(_ context.Context, r carillon.Run) error {
			_, err := io.WriteString(r.Output, "other")
			return err
		}}}
	n, _ := up(t, opts)
	old := n.Schedule().Digest
	wait := func(s string) {
		t.Helper()
		require.Eventually(t, func() bool { return log.has(s) }, 10*time.Second, 20*time.Millisecond, s)
	}
	write("version: 1\njobs: {beat: {schedule: \"* * * * *\", funk: beat}}\n")
	wait("the schedule file is bad")
	require.Equal(t, old, n.Schedule().Digest)
	write("version: 1\njobs: {beat: {schedule: \"* * * * *\", func: missing}}\n")
	wait("has no handler")
	require.Equal(t, old, n.Schedule().Digest)
	require.NoError(t, os.Remove(file))
	wait("vanished")
	write(everySecond)
	wait("is back")
	write(everySecond + "  new:\n    schedule: \"* * * * * *\"\n    func: other\n")
	wait("reloaded the schedule")
	require.NotEqual(t, old, n.Schedule().Digest)
	require.NotNil(t, n.Schedule().Job("new"))
	n.Reload()
	wait("nothing changed")

	// The unchanged job lost no tick over all this.
	require.Eventually(t, func() bool { return len(rec.snapshot()) >= 3 }, 10*time.Second, 20*time.Millisecond)
	var first, last time.Time
	for id := range rec.snapshot() {
		at, err := time.Parse(jobs.TickLayout, strings.TrimPrefix(id, "beat@"))
		require.NoError(t, err)
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	require.GreaterOrEqual(t, len(rec.snapshot()), int(last.Sub(first)/time.Second)+1)
}

func TestOptionsAreChecked(t *testing.T) {
	s := schedule(t, everySecond)
	beat := map[string]carillon.Func{"beat": func(context.Context, carillon.Run) error { return nil }}
	for says, o := range map[string]carillon.Options{
		"no schedule":                       {Redis: "redis://h"},
		"both set":                          {Redis: "redis://h", Schedule: s, File: "x"},
		"Zoneinfo is set, and Schedule has": {Redis: "redis://h", Schedule: s, Zoneinfo: "host"},
		"zoneinfo \"hots\": expected embedded or host; did you mean \"host\"?": {Redis: "redis://h", File: "x", Zoneinfo: "hots"},
		"no Redis":                              {Schedule: s, Funcs: beat},
		"node name \"a b\"":                     {Redis: "redis://h", Schedule: s, Funcs: beat, Node: "a b"},
		"slots -1":                              {Redis: "redis://h", Schedule: s, Funcs: beat, Slots: -1},
		"leader grace 4s: expected at least 5s": {Redis: "redis://h", Schedule: s, Funcs: beat, LeaderGrace: 4 * time.Second},
		"leader TTL 1ms: expected at least":     {Redis: "redis://h", Schedule: s, Funcs: beat, LeaderTTL: time.Millisecond},
		"func \"beat\" has no handler":          {Redis: "redis://h", Schedule: s},
	} {
		_, err := carillon.New(o)
		require.ErrorContains(t, err, says)
	}
	_, err := carillon.New(carillon.Options{File: filepath.Join(t.TempDir(), "none.yaml"), Redis: "redis://h"})
	require.ErrorContains(t, err, "none.yaml")
}

func TestAFatalRedisEndsTheNodeWithASentence(t *testing.T) {
	secured := redistest.StartReal(t, "--requirepass", "secret")
	n, err := carillon.New(carillon.Options{Redis: "redis://:wrong@" + secured.Addr(), Schedule: schedule(t, "version: 1\njobs: {a: {run: \"true\"}}\n")})
	require.NoError(t, err)
	err = n.Run(context.Background())
	require.ErrorContains(t, err, "password")
}

// monitor counts the pings that it gets.
func monitor(t *testing.T, hang bool) (url string, pings func() int) {
	t.Helper()
	var count atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		count.Add(1)
		if hang {
			<-r.Context().Done()
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, func() int { return int(count.Load()) }
}

// pinged is everySecond with a heartbeat, faster than a file may ask for.
func pinged(t *testing.T, url string) *jobs.Schedule {
	s := schedule(t, everySecond)
	s.Heartbeat = jobs.Heartbeat{URL: url, Every: 50 * time.Millisecond}
	return s
}

func TestPingsComeFromTheLeaderAndStopWithRedis(t *testing.T) {
	t.Parallel()
	redis, server := redistest.Mini(t)
	url, pings := monitor(t, false)
	followed, followers := monitor(t, false)
	var rec recorder
	opts := carillon.Options{Redis: redis, Node: "a", Schedule: pinged(t, url), LeaderTTL: time.Second,
		Funcs: map[string]carillon.Func{"beat": rec.handler("a")}}
	_, stop := up(t, opts)
	require.Eventually(t, func() bool { return pings() >= 5 }, 20*time.Second, 10*time.Millisecond)
	opts.Node, opts.Schedule, opts.NoLead = "b", pinged(t, followed), true
	_, stopFollower := up(t, opts)
	require.Eventually(t, func() bool { return pings() >= 10 }, 20*time.Second, 10*time.Millisecond)
	require.Zero(t, followers(), "only the leader pings")

	// Redis goes: the seat is lost within its TTL, the process stays.
	server.SetError("LOADING Redis is loading the dataset in memory")
	quiet := func() bool {
		before := pings()
		time.Sleep(500 * time.Millisecond) // ten pings
		return pings() == before
	}
	require.Eventually(t, quiet, 30*time.Second, 10*time.Millisecond)
	before := pings()
	server.SetError("")
	require.Eventually(t, func() bool { return pings() > before }, 30*time.Second, 10*time.Millisecond)

	// The node goes.
	stopFollower()
	stop()
	require.True(t, quiet())
}

func TestAHungPingDoesNotHurtTheTicks(t *testing.T) {
	t.Parallel()
	redis, _ := redistest.Mini(t)
	url, pings := monitor(t, true)
	var rec recorder
	_, stop := up(t, carillon.Options{Redis: redis, Node: "a", Schedule: pinged(t, url),
		Funcs: map[string]carillon.Func{"beat": rec.handler("a")}})
	require.Eventually(t, func() bool { return pings() == 1 }, 20*time.Second, 10*time.Millisecond)
	before := len(rec.snapshot())
	require.Eventually(t, func() bool { return len(rec.snapshot()) >= before+3 }, 30*time.Second, 10*time.Millisecond)
	stop()
}

func TestReloadTakesANewHeartbeat(t *testing.T) {
	t.Parallel()
	redis, _ := redistest.Mini(t)
	url, pings := monitor(t, false)
	file := filepath.Join(t.TempDir(), "schedule.yaml")
	text := strings.Replace(everySecond, "func: beat", "run: echo", 1)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	n, _ := up(t, carillon.Options{Redis: redis, Node: "a", File: file})
	digest := n.Schedule().Digest
	require.NoError(t, os.WriteFile(file, []byte("heartbeat: {url: "+url+"}\n"+text), 0o600))
	require.Eventually(t, func() bool { return pings() == 1 }, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, digest, n.Schedule().Digest, "it is in no digest")
}

// A node answers monitors from before it takes part until it has ended, and lets go of
// the address.
func TestANodeAnswersMonitors(t *testing.T) {
	t.Parallel()
	url, _ := redistest.Mini(t)
	log := &lines{}
	opts := carillon.Options{Redis: url, Node: "n1", Listen: "127.0.0.1:0", Logger: slog.New(slog.NewJSONHandler(log, nil)),
		Schedule: schedule(t, `{jobs: {hello: {schedule: "* * * * * *", func: hello}}}`), Funcs: map[string]carillon.Func{"hello": new(recorder).handler("n1")}}
	_, stop := up(t, opts)
	log.mu.Lock()
	_, rest, found := strings.Cut(log.buf.String(), `"listen":"`)
	log.mu.Unlock()
	require.True(t, found)
	at, _, _ := strings.Cut(rest, `"`)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, string) {
		r, err := client.Get("http://" + at + path)
		if err != nil {
			return 0, err.Error()
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r.StatusCode, string(body)
	}
	require.Eventually(t, func() bool {
		_, body := get("/metrics")
		return strings.Contains(body, `carillon_attempts_total{job="hello",status="succeeded"}`) && strings.Contains(body, "carillon_leader 1") &&
			!strings.Contains(body, "carillon_tick_lag_seconds_count 0")
	}, 20*time.Second, 20*time.Millisecond)
	status, _ := get("/readyz")
	require.Equal(t, 200, status)
	stop()
	status, _ = get("/healthz")
	require.Zero(t, status)

	opts.Listen = at // it can be had again
	_, stop = up(t, opts)
	stop()
	other, err := carillon.New(carillon.Options{Redis: url, Node: "n2", Listen: "nowhere", Schedule: opts.Schedule, Funcs: opts.Funcs})
	require.NoError(t, err)
	require.ErrorContains(t, other.Run(context.Background()), "expected HOST:PORT")
}
