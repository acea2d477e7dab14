package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var full = State{Version: "v1", Zoneinfo: "2026f", Node: "n1", Digest: "d1", Revision: 7, Jobs: 3, Leading: true, Epoch: 1795346650000,
	Passed: time.Now(), Slots: 4, Running: 1, ClockOffset: -1500 * time.Millisecond, Reached: time.Now(), Silences: 3,
	Fleet: &Fleet{Led: true, Silent: true, Differs: true, Nodes: map[Schedule]int{{"d1", 7}: 2, {"d2", 8}: 1}, Waiting: map[string]int{"any": 5, "pool=gpu": 1}}}

// server is one on a free port that answers until the test ends.
func server(t testing.TB, listen string, change func(*Config)) (*Server, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	var mu sync.Mutex
	cfg := Config{Listen: listen, Meter: NewMeter(), State: func(context.Context) State { return full }, Health: func() error { return nil },
		Ready: func() error { return nil }, Logger: slog.New(slog.NewTextHandler(locked{&mu, &log}, nil))}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
		http.DefaultClient.CloseIdleConnections()
	})
	return s, &log
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func get(t testing.TB, s *Server, path string) (int, string, http.Header) {
	t.Helper()
	r, err := http.Get("http://" + s.Addr() + path)
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(body), r.Header
}

func families(t testing.TB, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	return all
}

func TestMetricsAreWhatPrometheusReads(t *testing.T) {
	var meter *Meter
	s, _ := server(t, "127.0.0.1:0", func(c *Config) { meter = c.Meter })
	meter.Ticks("ran", 3)
	meter.Known("backup")
	meter.Ended("backup", "failed")
	meter.Started(20 * time.Millisecond)
	meter.Started(-time.Second)
	meter.Failed("commit")
	status, body, header := get(t, s, "/metrics")
	require.Equal(t, 200, status)
	assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	assert.True(t, strings.HasPrefix(header.Get("Content-Type"), "text/plain; version="))
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	require.NoError(t, err)
	assert.Empty(t, problems)
	families(t, body)
	for _, line := range []string{
		`carillon_leader 1`, `carillon_term_epoch 1.79534665e+12`, `carillon_schedule_info{digest="d1",revision="7"} 1`, `carillon_schedule_differs 1`,
		`carillon_nodes{digest="d1",revision="7"} 2`, `carillon_nodes{digest="d2",revision="8"} 1`, `carillon_clock_offset_seconds -1.5`,
		`carillon_running 1`, `carillon_slots 4`, `carillon_queued{route="pool=gpu"} 1`, `carillon_redis_up 1`, `carillon_leader_silent 1`, `carillon_silent_leaders_total 3`,
		`carillon_ticks_total{outcome="ran"} 3`, `carillon_ticks_total{outcome="missed"} 0`,
		`carillon_attempts_total{job="backup",status="failed"} 1`, `carillon_attempts_total{job="backup",status="succeeded"} 0`,
		`carillon_tick_lag_seconds_count 2`, `carillon_redis_errors_total{call="commit"} 1`,
	} {
		assert.Contains(t, body, line+"\n")
	}
}

func TestWithoutRedisOnlyTheNodeIsShown(t *testing.T) {
	alone := full
	alone.Fleet, alone.Leading = nil, false
	s, _ := server(t, "127.0.0.1:0", func(c *Config) { c.State = func(context.Context) State { return alone } })
	_, body, _ := get(t, s, "/metrics")
	assert.Contains(t, body, "carillon_redis_up 0\n")
	assert.Contains(t, body, "carillon_leader 0\n")
	for _, name := range []string{"carillon_nodes", "carillon_queued", "carillon_leader_pass_age_seconds", "carillon_leader_silent", "carillon_schedule_differs"} {
		assert.NotContains(t, body, name)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	s, _ := server(t, "127.0.0.1:0", func(c *Config) { c.Ready = func() error { return errors.New("the node stops") } })
	status, body, _ := get(t, s, "/healthz")
	assert.Equal(t, []any{200, "ok\n"}, []any{status, body})
	status, body, _ = get(t, s, "/readyz")
	assert.Equal(t, []any{503, "the node stops\n"}, []any{status, body})
	status, _, _ = get(t, s, "/")
	assert.Equal(t, 200, status)
	status, _, _ = get(t, s, "/healthz/x")
	assert.Equal(t, 404, status)
}

func TestWhoIsAnswered(t *testing.T) {
	for _, c := range []struct {
		loopback           bool
		method, host, path string
		want               int
	}{
		{true, "GET", "localhost:8080", "/metrics", 200},
		{true, "HEAD", "127.0.0.1", "/healthz", 200},
		{true, "GET", "[::1]:8080", "/healthz", 200},
		{true, "GET", "LocalHost", "/healthz", 200},
		{true, "GET", "evil.example:8080", "/metrics", 421},
		{true, "GET", "127.0.0.1.evil.example", "/metrics", 421},
		{true, "GET", "10.0.0.7", "/metrics", 421},
		{true, "GET", "", "/metrics", 421},
		{false, "GET", "node-1.internal:8080", "/metrics", 200},
		{true, "POST", "localhost", "/metrics", 405},
		{false, "DELETE", "x", "/healthz", 405},
		{false, "OPTIONS", "x", "/", 405},
	} {
		s := &Server{cfg: Config{Meter: NewMeter(), State: func(context.Context) State { return full }, Health: func() error { return nil }, Ready: func() error { return nil }}, loopback: c.loopback}
		r := httptest.NewRequest(c.method, "http://x"+c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, r)
		assert.Equal(t, c.want, w.Code, "%+v", c)
		assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), "%+v", c)
	}
}

func TestAnAddressThatCannotBeHad(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	cfg := Config{Listen: taken.Addr().String(), Logger: slog.New(slog.DiscardHandler)}
	_, err = New(cfg)
	require.ErrorContains(t, err, "--listen "+taken.Addr().String()+": something listens there already: give each node of a host a port of its own")
	for _, listen := range []string{"8080", "127.0.0.1", "127.0.0.1:", "::1:80"} {
		cfg.Listen = listen
		_, err = New(cfg)
		require.ErrorContains(t, err, "expected HOST:PORT", listen)
	}
}

func TestANetworkAddressIsWarnedOf(t *testing.T) {
	s, log := server(t, "0.0.0.0:0", nil)
	assert.False(t, s.loopback)
	assert.Contains(t, log.String(), "there is no password")
	_, log = server(t, "127.0.0.1:0", nil)
	assert.Empty(t, log.String())
}

// A client that says nothing does not keep the node from ending.
func TestASilentClientDoesNotHoldTheEnd(t *testing.T) {
	s, _ := server(t, "127.0.0.1:0", nil)
	c, err := net.Dial("tcp", s.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	_, err = c.Write([]byte("GET /metr"))
	require.NoError(t, err)
}

// The rules of the page name metrics that exist.
func TestAlertRulesNameMetrics(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	var meter *Meter
	s, _ := server(t, "127.0.0.1:0", func(c *Config) { meter = c.Meter })
	meter.Known("x")
	meter.Started(0)
	_, body, _ := get(t, s, "/metrics")
	all := families(t, body)
	known := map[string]bool{"carillon_foreign_fleet": true}
	for name, f := range all {
		known[name] = true
		if f.GetType() == dto.MetricType_HISTOGRAM {
			known[name+"_bucket"], known[name+"_sum"], known[name+"_count"] = true, true, true
		}
	}
	named := regexp.MustCompile(`\bcarillon_[a-z_]+`).FindAllString(string(page), -1)
	used := map[string]bool{}
	for _, name := range named {
		assert.True(t, known[name], "docs/operations.md names %s, which is no metric", name)
		used[name] = true
	}
	for name := range all {
		assert.True(t, used[name] || used[name+"_bucket"], "docs/operations.md does not name %s", name)
	}
}

func FuzzRequests(f *testing.F) {
	f.Add("GET", "/metrics", "localhost", "Accept", "text/plain")
	f.Add("GET", "/healthz", "[::1]:80", "Accept-Encoding", "gzip;q=x")
	f.Add("POST", "//readyz/..", "evil", "Sec-Fetch-Site", "cross-site")
	f.Add("GET", "/metrics?collect[]=x", "127.0.0.1:99999", "Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	f.Add("HEAD", "/%2e%2e/metrics", "\x00", "X-Prometheus-Scrape-Timeout-Seconds", "-1")
	s := &Server{cfg: Config{Meter: NewMeter(), State: func(context.Context) State { return full }, Health: func() error { return errors.New("\xff") }, Ready: func() error { return nil }}, loopback: true}
	handler := s.handler()
	f.Fuzz(func(t *testing.T, method, path, host, key, value string) {
		r := httptest.NewRequest("GET", "http://x/", nil)
		r.Method, r.Host = method, host
		if u, err := r.URL.Parse(path); err == nil {
			r.URL = u
		}
		r.Header.Set(key, value)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		switch {
		case method != "GET" && method != "HEAD":
			require.Equal(t, 405, w.Code)
		case !localHost(host):
			require.Equal(t, 421, w.Code)
			require.NotContains(t, w.Body.String(), "carillon_", "a stranger learns nothing")
		default:
			require.Contains(t, []int{200, 301, 307, 404, 503}, w.Code)
		}
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
	})
}
