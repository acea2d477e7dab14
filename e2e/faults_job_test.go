package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/failpoint"
)

// The leader dies in the middle of a thousand missed ticks, of which the jobs' rule says how
// many run. Its successor goes on there, and the sum is that of the rule.
func TestFault3LeaderDiesAmidAThousandTicks(t *testing.T) {
	t.Parallel()
	const jobs, missed, most = 25, 40, 10
	schedule, names := "jobs:\n", []string{}
	for i := range jobs {
		names = append(names, "tick-"+itoa(i))
		schedule += "  " + names[i] + `: {schedule: "* * * * *", catch_up: {policy: all, max: 10, window: 48h}, overlap: allow, run: MARK}` + "\n"
	}
	f := newFleet(t, schedule)
	f.adoptedByAnother(jobs)
	away := f.now().Truncate(time.Minute).Add(-missed * time.Minute)
	for _, job := range names {
		f.putBack(job, away)
	}
	f.beginDoomed("doomed", failpoint.Committed, 1, hasty...).struck(2 * patience)
	decided := 0
	for _, job := range names {
		if f.rdb.LLen(t.Context(), f.key("ledger:"+job)).Val() > 0 {
			decided++
		}
	}
	assert.Positive(t, decided)
	require.Less(t, decided, jobs, "it died amid them")
	f.up("heir", append(hasty, "--slots", "8")...)
	end := f.now().Truncate(time.Minute)
	f.settled(3*patience, end, names...)
	var ticks []time.Time
	for at := away.Add(time.Minute); !at.After(end); at = at.Add(time.Minute) {
		ticks = append(ticks, at.UTC())
	}
	var sum account
	for _, job := range names {
		a := f.audit(job, ticks)
		sum.add(a)
		young := a.ran + a.late - most // at most a minute late: these do not count for max
		assert.GreaterOrEqual(t, young, 0, job)
		assert.LessOrEqual(t, young, 2, job)
		assert.Equal(t, len(ticks)-most-young, a.missed, job)
	}
	t.Logf("the ticks of %d of %d jobs were decided when the leader died\n%s\n%s", decided, jobs, accountHead(), sum.row("a thousand"))
	sum.balanced(t)
	assert.Zero(t, sum.skipped)
}

// A node dies when its command has succeeded and only it knows.
func TestFault7NodeDiesBeforeItSaysHowItEnded(t *testing.T) {
	t.Parallel()
	for delivery, want := range map[string]struct {
		status string
		starts int
		words  string
	}{
		"at-least-once": {"succeeded", 2, ""},
		"at-most-once":  {"failed", 1, "outcome unknown"},
	} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, "jobs:\n  pay: {delivery: "+delivery+", run: MARK}\n")
			id := f.trigger("pay")
			f.beginDoomed("doomed", failpoint.BeforeResult, 1, hasty...).struck(patience)
			f.up("heir", hasty...)
			r := f.awaitRun(patience, id, want.status, want.starts)
			assert.Contains(t, r.Error, want.words)
			lines := f.marksOf(id) // by the key that the command gets
			require.Len(t, lines, want.starts)
			for i, m := range lines {
				assert.Equal(t, i+1, m.attempt)
			}
			f.nothingLeft()
		})
	}
}

// Somebody triggers a job that runs.
func TestFault48TriggerWhileItRuns(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  skip: {run: 'MARK; sleep 60'}
  queue: {overlap: queue, run: 'MARK; sleep 60'}
  allow: {overlap: allow, run: 'MARK; sleep 60'}
  replace: {overlap: replace, run: 'MARK; exec sleep 60'}
`)
	f.up("n1", "--slots", "8", "--drain", "100ms")
	first := map[string]string{}
	for _, job := range []string{"skip", "queue", "allow", "replace"} {
		first[job] = f.trigger(job)
		eventually(t, patience, func() bool { return len(f.marksOf(first[job])) == 1 }, "%s runs", job)
	}
	r := f.call("trigger", "skip", "--detach")
	assert.Equal(t, 8, r.code, r.err)
	assert.Contains(t, r.err, first["skip"], "it names the run in the way")
	assert.Empty(t, r.out)
	waits := f.trigger("queue")
	assert.Equal(t, "queued", f.run(waits).Status)
	assert.Equal(t, 8, f.call("trigger", "queue", "--detach").code, "one waits")
	beside := f.trigger("allow")
	eventually(t, patience, func() bool { return len(f.marksOf(beside)) == 1 }, "it runs beside the first")
	next := f.trigger("replace")
	f.awaitRun(patience, first["replace"], "canceled", 1)
	eventually(t, patience, func() bool { return len(f.marksOf(next)) == 1 }, "it runs in place of the first")
}

// Somebody looks at the events and does not read on; the server is the embedded one, which
// all nodes live on.
func TestFault44WatchThatNeverReads(t *testing.T) {
	t.Parallel()
	f, addr := embeddedFleet(t, `
jobs:
  tick: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: MARK}
`)
	p := f.join("n1", addr, nil)
	p.says(patience, `"msg":"up"`)
	begin := f.adopted(1)
	reads, writes, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { reads.Close() })
	watch := exec.Command(binary, "watch", "--file", f.file, "--embedded", addr)
	watch.Dir, watch.Stdout = f.dir, writes
	require.NoError(t, watch.Start())
	writes.Close()
	t.Cleanup(func() {
		_ = watch.Process.Kill() // it may have ended
		_ = watch.Wait()
	})
	ctx := context.Background()
	eventually(t, patience, func() bool { return f.rdb.PubSubNumSub(ctx, f.key("events")).Val()[f.key("events")] == 2 }, "it subscribes, as the node does")

	event := `{"type":"queued","job":"tick","run":"tick@` + strings.Repeat("x", 1000) + `"}`
	batch := strings.TrimSuffix(strings.Repeat(event+",", 100), ",")
	idle, slowest := resident(p), time.Duration(0)
	for i := range atLength(300, 3000) { // 100 KB each
		start := time.Now()
		require.NoError(t, f.rdb.Publish(ctx, f.key("events"), fmt.Sprintf(`{"seq":%d,"at":0,"events":[%s]}`, 1000+i, batch)).Err())
		slowest = max(slowest, time.Since(start))
	}
	grown := resident(p) - idle
	t.Logf("slowest answer of the server: %v; it grew by %d KiB", slowest, grown)
	assert.Less(t, slowest, 5*time.Second)
	assert.Less(t, grown, 200<<10, "KiB")
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("stuck watch"))
	a.balanced(t)
	assert.Equal(t, a.ticks, a.ran+a.late)
}

// service is an HTTP target that behaves badly, and what it has seen.
type service struct {
	*httptest.Server
	mu   sync.Mutex
	keys map[string][]string    // path -> Idempotency-Key of each request
	at   map[string][]time.Time // and when it came
}

func (s *service) seen(path string) (keys []string, at []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(keys, s.keys[path]...), append(at, s.at[path]...)
}

func newService(t *testing.T) *service {
	s := &service{keys: map[string][]string{}, at: map[string][]time.Time{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.keys[r.URL.Path] = append(s.keys[r.URL.Path], r.Header.Get("Idempotency-Key"))
		s.at[r.URL.Path] = append(s.at[r.URL.Path], time.Now())
		n := len(s.keys[r.URL.Path])
		s.mu.Unlock()
		switch r.URL.Path {
		case "/failing":
			if n < 3 {
				w.WriteHeader(500)
			}
		case "/busy":
			if n < 2 {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(429)
			}
		case "/moved":
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
			w.WriteHeader(302)
		case "/endless":
			block := []byte(strings.Repeat("x", 32<<10))
			for r.Context().Err() == nil {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		case "/silent":
			<-r.Context().Done()
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// drip is a server that sends its headers a byte at a time, and never the last one.
func drip(t *testing.T) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				// An answer to a request that was not sent yet is another mistake.
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				text := "HTTP/1.1 200 OK\r\n"
				for {
					if _, err := c.Write([]byte(text)); err != nil {
						return
					}
					text = "X"
					<-time.After(50 * time.Millisecond)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestFault45HTTPTargetBehavesBadly(t *testing.T) {
	t.Parallel()
	s := newService(t)
	f := newFleet(t, strings.NewReplacer("URL", s.URL, "DRIP", drip(t)).Replace(`
jobs:
  failing: {retry: {attempts: 3, backoff: 100ms, factor: 1}, http: {method: POST, url: "URL/failing"}}
  busy: {retry: {attempts: 2, backoff: 100ms, max_backoff: 1s}, http: {url: "URL/busy"}}
  moved: {http: {url: "URL/moved"}}
  metadata: {http: {url: "http://169.254.169.254/latest/meta-data/"}}
  endless: {http: {url: "URL/endless"}}
  silent: {timeout: 1s, http: {url: "URL/silent"}}
  dripping: {timeout: 1s, http: {url: "DRIP"}}
`))
	f.up("n1", "--slots", "8")
	ids := map[string]string{}
	for _, job := range []string{"failing", "busy", "moved", "metadata", "endless", "silent", "dripping"} {
		ids[job] = f.trigger(job)
	}
	ends := func(job, status string, attempt int, words string) run {
		t.Helper()
		r := f.awaitRun(patience, ids[job], status, attempt)
		assert.Equal(t, attempt, r.Attempt, job)
		assert.Contains(t, r.Error, words, job)
		return r
	}
	ends("failing", "succeeded", 3, "")
	keys, _ := s.seen("/failing")
	assert.Equal(t, []string{ids["failing"], ids["failing"], ids["failing"]}, keys, "one Idempotency-Key for all tries: the run's id")

	ends("busy", "succeeded", 2, "")
	_, at := s.seen("/busy")
	require.Len(t, at, 2)
	pause := at[1].Sub(at[0])
	t.Logf("Retry-After: 3600, max_backoff: 1s: the next try came after %v", pause)
	assert.GreaterOrEqual(t, pause, 990*time.Millisecond)
	assert.Less(t, pause, 10*time.Second)

	ends("moved", "failed", 1, "redirects are not followed")
	ends("metadata", "failed", 1, "169.254.169.254 is a link-local address")
	ends("endless", "succeeded", 1, "")
	out := f.call("logs", ids["endless"]).out
	assert.Contains(t, out, "the first 64 KiB are kept")
	assert.Less(t, len(out), 70<<10)
	for _, job := range []string{"silent", "dripping"} {
		r := ends(job, "failed", 1, "timed out after 1s")
		took := r.FinishedAt.Sub(r.StartedAt)
		t.Logf("%s: ended after %v", job, took)
		assert.GreaterOrEqual(t, took, 950*time.Millisecond, job)
		assert.Less(t, took, 4*time.Second, "promised: 100 ms more on a machine that is not busy")
	}
}
