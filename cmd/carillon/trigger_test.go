package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

const runID = "hello@manual-1"

// waiting runs await against a fake while the test plays the node.
func waiting(t *testing.T, format format, timeout time.Duration, play func(f *fakeStore, interrupt func())) (s screen, code exitCode, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{runs: map[string]jobs.Run{runID: {ID: runID, Job: "hello", Status: jobs.Queued, QueuedAt: time.Now()}}}
		s = newScreen(f)
		s.opts.output = format
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		done := make(chan struct{})
		go func() {
			defer close(done)
			play(f, func() { cancel(errInterrupted) })
		}()
		err = s.await(ctx, f, jobs.TriggerRequest{}, jobs.TriggerReply{RunID: runID}, waitOptions{timeout: timeout})
		code = codeOf(err)
		<-done
	})
	return s, code, err
}

// becomes sets the run as a node would.
func becomes(f *fakeStore, r jobs.Run) {
	f.set(func(f *fakeStore) {
		r.ID, r.Job = runID, "hello"
		f.runs[runID] = r
	})
}

func writes(f *fakeStore, c jobs.LogChunk) {
	f.set(func(f *fakeStore) { f.log = append(f.log, c) })
}

func TestTriggerStreamsTheOutputAndEndsLikeTheRun(t *testing.T) {
	s, code, err := waiting(t, formatTable, 0, func(f *fakeStore, _ func()) {
		start := time.Now()
		becomes(f, jobs.Run{Status: jobs.Running, Attempt: 1, Node: "n1", StartedAt: start})
		writes(f, chunk("1", 1, 0, "hello\n"))
		time.Sleep(time.Second)
		writes(f, chunk("2", 1, 6, "world\n"))
		becomes(f, jobs.Run{Status: jobs.Succeeded, Attempt: 1, Node: "n1", StartedAt: start, FinishedAt: start.Add(1200 * time.Millisecond)})
	})
	require.NoError(t, err)
	assert.Equal(t, exitOK, code)
	assert.Equal(t, "hello\nworld\n", s.out.String())
	assert.Equal(t, "queued hello@manual-1\nstarted on n1, attempt 1\nsucceeded in 1.2s\n", s.err.String())
}

func TestTriggerTellsOfRetriesAndFails(t *testing.T) {
	s, code, _ := waiting(t, formatTable, 0, func(f *fakeStore, _ func()) {
		start := time.Now()
		becomes(f, jobs.Run{Status: jobs.Running, Attempt: 1, Node: "n1", StartedAt: start})
		writes(f, chunk("1", 1, 0, "one"))
		time.Sleep(time.Second)
		becomes(f, jobs.Run{Status: jobs.Retrying, Attempt: 1, Failures: 1, Node: "n1", Error: "exit status 1", RetryAt: time.Now().Add(8 * time.Second)})
		time.Sleep(8 * time.Second)
		start = time.Now()
		writes(f, chunk("2", 2, 0, "two\n"))
		becomes(f, jobs.Run{
			Status: jobs.Failed, Attempt: 2, Failures: 2, Node: "n2", Error: "exit status 2",
			StartedAt: start, FinishedAt: start.Add(40 * time.Millisecond),
		})
	})
	assert.Equal(t, exitRunFailed, code)
	assert.Equal(t, "one\ntwo\n", s.out.String())
	assert.Regexp(t, `^queued hello@manual-1
started on n1, attempt 1
attempt 1 failed: exit status 1; retry in (8\.0|7\.\d)s
started on n2, attempt 2
--- attempt 2 ---
failed in 40ms \(attempt 2\): exit status 2
$`, s.err.String())
}

func TestTriggerWithJSONKeepsStdoutForTheState(t *testing.T) {
	s, code, _ := waiting(t, formatJSONL, 0, func(f *fakeStore, _ func()) {
		writes(f, chunk("1", 1, 0, "words\n"))
		becomes(f, jobs.Run{Status: jobs.Failed, Attempt: 1, Error: "exit status 1"})
	})
	assert.Equal(t, exitRunFailed, code)
	assert.JSONEq(t, `{"id":"hello@manual-1","job":"hello","trigger":"","scheduled_at":null,"status":"failed","attempt":1,"node":"",
		"priority":0,"queued_at":null,"started_at":null,"finished_at":null,"exit_code":null,"error":"exit status 1","steps":[],"rollback":[]}`, s.out.String())
	assert.Contains(t, s.err.String(), "words\n")
}

func TestTriggerSaysWhatItWaitsFor(t *testing.T) {
	s, code, _ := waiting(t, formatTable, 0, func(f *fakeStore, _ func()) {
		time.Sleep(5 * time.Second)
		f.set(func(f *fakeStore) { f.nodes = []jobs.Node{{Name: "n1", Slots: 2, Running: 2}} })
		time.Sleep(5 * time.Second)
		becomes(f, jobs.Run{Status: jobs.Succeeded, Attempt: 1, Node: "n1"})
	})
	assert.Equal(t, exitOK, code)
	assert.Equal(t, `queued hello@manual-1
waiting: no node is live; start one with `+"`carillon up`"+`
waiting: all 2 slots of 1 node are busy
started on n1, attempt 1
succeeded
`, s.err.String())
}

func TestTriggerTimeoutLeavesTheRunAlone(t *testing.T) {
	_, code, err := waiting(t, formatTable, 3*time.Second, func(f *fakeStore, _ func()) {
		becomes(f, jobs.Run{Status: jobs.Running, Attempt: 1, Node: "n1"})
	})
	assert.Equal(t, exitTimeout, code)
	assert.EqualError(t, err, "hello@manual-1 has not ended after 3s (it is running); it goes on")
}

func TestCtrlCDetachesAndSaysHowToGoOn(t *testing.T) {
	s, code, _ := waiting(t, formatTable, 0, func(_ *fakeStore, interrupt func()) {
		time.Sleep(700 * time.Millisecond)
		interrupt()
	})
	assert.Equal(t, exitInterrupted, code)
	assert.Equal(t, "queued hello@manual-1\n\ndetached; the run goes on: hello@manual-1\n"+
		"  carillon logs -f hello@manual-1\n  carillon run hello@manual-1\n  carillon cancel hello@manual-1\n", s.err.String())
}

func TestTriggerOutlivesARedisThatRestarts(t *testing.T) {
	s, code, _ := waiting(t, formatTable, 0, func(f *fakeStore, _ func()) {
		time.Sleep(500 * time.Millisecond)
		f.set(func(f *fakeStore) { f.down = errDown })
		time.Sleep(25 * time.Second)
		f.set(func(f *fakeStore) { f.down = nil })
		time.Sleep(time.Second)
		becomes(f, jobs.Run{Status: jobs.Succeeded, Attempt: 1, Node: "n1"})
	})
	assert.Equal(t, exitOK, code)
	assert.Equal(t, `queued hello@manual-1
Redis does not answer; still waiting: connection refused
Redis does not answer; still waiting: connection refused
Redis does not answer; still waiting: connection refused
Redis answers again
waiting: no node is live; start one with `+"`carillon up`"+`
started on n1, attempt 1
succeeded
`, s.err.String())
}

func TestTriggerGivesUpOnARedisThatStaysAway(t *testing.T) {
	_, code, err := waiting(t, formatTable, 0, func(f *fakeStore, _ func()) {
		f.set(func(f *fakeStore) { f.down = errDown })
	})
	assert.Equal(t, exitNoRedis, code)
	assert.ErrorContains(t, err, "connection refused")
}

func TestTriggerEndsAtOnceWhenRedisRefuses(t *testing.T) {
	_, code, _ := waiting(t, formatTable, 0, func(f *fakeStore, _ func()) {
		f.set(func(f *fakeStore) { f.down, f.hopeless = errors.New("WRONGPASS"), true })
	})
	assert.Equal(t, exitNoRedis, code)
}

func TestARunThatIsGoneIsNotWaitedFor(t *testing.T) {
	_, code, err := waiting(t, formatTable, 0, func(f *fakeStore, _ func()) {
		f.set(func(f *fakeStore) { delete(f.runs, runID) })
	})
	assert.Equal(t, exitNotFound, code)
	assert.ErrorContains(t, err, "no longer in Redis")
}

func TestChangesBetweenTwoLooks(t *testing.T) {
	now := time.Now()
	running := jobs.Run{Status: jobs.Running, Attempt: 1, Node: "n1"}
	for _, c := range []struct {
		name     string
		old, new jobs.Run
		want     []string
	}{
		{"nothing", running, running, nil},
		{"handed back", running, jobs.Run{Status: jobs.Queued, Attempt: 1}, []string{"n1 gave the run back; queued again"}},
		{"node lost", running, jobs.Run{Status: jobs.Queued, Attempt: 1, Crashes: 1}, []string{"n1 was lost; the run is queued again"}},
		{"node lost and started elsewhere", running, jobs.Run{Status: jobs.Running, Attempt: 2, Crashes: 1, Node: "n2"},
			[]string{"n1 was lost; the run is queued again", "started on n2, attempt 2"}},
		{"failed, retried and failed again", jobs.Run{Status: jobs.Retrying, Attempt: 1, Failures: 1},
			jobs.Run{Status: jobs.Retrying, Attempt: 2, Failures: 2, Node: "n1", Error: "x\ny"},
			[]string{"started on n1, attempt 2", `attempt 2 failed: x\ny; retry in a moment`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, append(beginnings(c.old, c.new), endings(c.old, c.new, now)...))
		})
	}
}

func TestParamsAreNameValuePairs(t *testing.T) {
	got, err := parseParams([]string{"a=1", "b=x=y", "c="})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "1", "b": "x=y", "c": ""}, got)
	for _, bad := range [][]string{{"a"}, {"=x"}, {"a=1", "a=2"}} {
		_, err := parseParams(bad)
		assert.Equal(t, exitUsage, codeOf(err), "%v", bad)
	}
}
