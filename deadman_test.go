package carillon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
	"carillon/scheduler"
)

func TestAlive(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	passed := func(ago time.Duration) scheduler.Pulse {
		return scheduler.Pulse{Leading: true, Passed: now.Add(-ago)}
	}
	for _, c := range []struct {
		pulse scheduler.Pulse
		every time.Duration
		why   string
	}{
		{passed(0), time.Minute, ""},
		{passed(65 * time.Second), time.Minute, ""},
		{passed(66 * time.Second), time.Minute, "ticks were last up to date 1m6s ago, more than 1m5s"},
		{passed(15 * time.Second), 10 * time.Second, ""},
		{passed(16 * time.Second), 10 * time.Second, "ticks were last up to date 16s ago, more than 15s"},
		{passed(66 * time.Second), 24 * time.Hour, "ticks were last up to date 1m6s ago, more than 1m5s"},
		{scheduler.Pulse{Leading: true}, time.Minute, "nothing was decided since this node leads"},
		{scheduler.Pulse{}, time.Minute, "this node does not lead"},
	} {
		ok, why := alive(c.pulse, c.every, now)
		assert.Equal(t, c.why == "", ok, "%+v", c)
		assert.Equal(t, c.why, why)
	}
}

// notes is a log that can be read while it is written.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

// rig is a deadman in a bubble.
type rig struct {
	*deadman
	mu    sync.Mutex
	h     jobs.Heartbeat
	p     scheduler.Pulse
	pings []time.Time
	fail  error
	log   notes
}

func newRig(every time.Duration) *rig {
	r := &rig{h: jobs.Heartbeat{URL: "https://me:hunter2@monitor.example/secret?key=hunter3", Every: every}}
	r.deadman = newDeadman(
		func() jobs.Heartbeat { defer r.lock()(); return r.h },
		func() scheduler.Pulse { defer r.lock()(); return r.p },
		slog.New(slog.NewTextHandler(&r.log, nil)))
	r.get = func(context.Context, string) error {
		defer r.lock()()
		r.pings = append(r.pings, time.Now())
		return r.fail
	}
	return r
}

func (r *rig) lock() (unlock func()) { r.mu.Lock(); return r.mu.Unlock }

// set changes what the deadman is told.
func (r *rig) set(change func()) { defer r.lock()(); change() }

// lead leads until stop is called.
func (r *rig) lead(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- r.beside(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	}()
	time.Sleep(250 * time.Millisecond) // it looks at whole seconds, the test never does
	return func() { cancel(); require.ErrorIs(t, <-done, context.Canceled) }
}

// sleep lets d pass with a pulse, or without one.
func (r *rig) sleep(d time.Duration, pulse bool) (pings int) {
	count := func() int { defer r.lock()(); return len(r.pings) }
	before := count()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if pulse {
			r.set(func() { r.p = scheduler.Pulse{Leading: true, Passed: time.Now()} })
		}
		synctest.Wait()
	}
	return count() - before
}

func TestPingsStopWhenTicksStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		stop := r.lead(t)
		assert.Zero(t, r.sleep(10*time.Minute, false), "nothing was decided yet")
		assert.Equal(t, 10, strings.Count(r.log.String(), "\n"), "one line a minute:\n%s", r.log.String())
		assert.Equal(t, 10, r.sleep(10*time.Minute, true))
		assert.LessOrEqual(t, r.sleep(10*time.Minute, false), 2, "the process lives, the ticks do not")
		assert.GreaterOrEqual(t, r.sleep(10*time.Second, true), 1, "it is due since long")
		stop()
		assert.Zero(t, r.sleep(10*time.Minute, true), "the seat is lost")
		assert.Contains(t, r.log.String(), "monitor.example")
		for _, secret := range []string{"hunter", "secret", "me:"} {
			assert.NotContains(t, r.log.String(), secret)
		}
	})
}

func TestPingsFollowTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Hour)
		url := r.h.URL
		r.h.URL = ""
		stop := r.lead(t)
		assert.Zero(t, r.sleep(10*time.Minute, true), "the file names no URL")
		r.set(func() { r.h.URL = url })
		assert.Equal(t, 1, r.sleep(10*time.Minute, true))
		r.set(func() { r.h.Every = time.Minute })
		assert.Equal(t, 10, r.sleep(10*time.Minute, true))
		r.set(func() { r.h.Every = time.Hour })
		assert.Equal(t, 2, r.sleep(90*time.Minute, true))
		stop()
		stop = r.lead(t)
		assert.Zero(t, r.sleep(25*time.Minute, true), "a new term of the same node does not ping anew")
		stop()
		assert.Empty(t, r.log.String())
	})
}

func TestFailedPingsAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(24 * time.Hour)
		r.fail = errors.New("no route to host")
		stop := r.lead(t)
		assert.InDelta(t, 10, r.sleep(10*time.Minute, true), 1)
		assert.InDelta(t, 10, strings.Count(r.log.String(), "\n"), 1)
		r.set(func() { r.fail = nil })
		assert.Equal(t, 1, r.sleep(10*time.Minute, true))
		stop()
	})
}

// The end of a term waits for no ping, and a ping lasts ten seconds at most.
func TestAHungPingHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.get = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		stop := r.lead(t)
		r.sleep(5*time.Second, true)
		before := time.Now()
		stop()
		assert.Equal(t, before, time.Now())
		assert.Empty(t, r.log.String())
	})
	assert.Equal(t, 10*time.Second, newPingClient().Timeout)
}

func TestPing(t *testing.T) {
	var followed bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ok", func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user+password+r.FormValue("k") == "mehunter2hunter3" {
			w.WriteHeader(http.StatusNoContent)
		} else {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	mux.Handle("/elsewhere", http.RedirectHandler("/followed", http.StatusFound))
	mux.HandleFunc("/followed", func(http.ResponseWriter, *http.Request) { followed = true })
	server := httptest.NewServer(mux)
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	secret := "http://me:hunter2@" + host
	get := ping(newPingClient())

	require.NoError(t, get(t.Context(), secret+"/ok?k=hunter3"))
	require.ErrorContains(t, get(t.Context(), secret+"/ok"), "it answered 403; expected 200 to 299")
	require.NoError(t, get(t.Context(), secret+"/endless"), "the body is not of interest")
	require.ErrorContains(t, get(t.Context(), secret+"/elsewhere"), "302")
	require.False(t, followed)
	server.Close()
	for _, bad := range []string{secret + "/ok?k=hunter3", "http://me:hunter2@" + host + "x/ok?k=hunter3"} {
		err := get(t.Context(), bad)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter")
	}
}
