package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listens is where a node that was started with --listen 127.0.0.1:0 answers.
func (p *process) listens() string {
	p.t.Helper()
	p.says(patience, "health and metrics are answered over HTTP")
	for line := range strings.Lines(p.stderr()) {
		var entry struct{ Msg, Listen string }
		if json.Unmarshal([]byte(line), &entry) == nil && strings.HasPrefix(entry.Msg, "health and metrics") {
			return entry.Listen
		}
	}
	return ""
}

// ask is one request of a monitor.
func ask(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + url)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(text)
}

// scrape returns the samples of one scrape, as they are written.
func scrape(t *testing.T, at string) (lines map[string]bool) {
	t.Helper()
	status, body := ask(t, at+"/metrics")
	require.Equal(t, 200, status, body)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	_, err := parser.TextToMetricFamilies(strings.NewReader(body))
	require.NoError(t, err)
	lines = map[string]bool{}
	for line := range strings.Lines(body) {
		lines[strings.TrimSpace(line)] = true
	}
	return lines
}

func begins(lines map[string]bool, prefix string) bool {
	for line := range lines {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

func TestMetricsAndHealthOfNodes(t *testing.T) {
	t.Parallel()
	const schedule = "revision: 4\n" + deployHead + `
  good: {schedule: "* * * * * *", run: MARK}
  bad: {schedule: "* * * * * *", run: 'exit 1'}
  slow: {pool: p, run: 'MARK; sleep 5'}
`
	f, server := ownFleet(t, schedule, "--appendonly", "yes")
	n1 := f.up("n1", "--listen", "127.0.0.1:0")
	at := n1.listens()
	f.ledBy("n1")
	// A second node of the host takes the port for its own.
	taken := f.begin("n0", "--listen", at)
	assert.Equal(t, 1, taken.exit(patience))
	assert.Contains(t, taken.stderr(), "--listen "+at+": something listens there already")
	r := f.call("up", "--listen", "8080")
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.err, `--listen "8080": expected HOST:PORT`)

	n2 := f.up("n2", "--no-lead", "--pool", "p", "--listen", "127.0.0.1:0")
	other := n2.listens()
	both := func(prefix string) bool { return begins(scrape(t, at), prefix) || begins(scrape(t, other), prefix) }
	eventually(t, patience, func() bool {
		return both(`carillon_attempts_total{job="good",status="succeeded"} `) && both(`carillon_attempts_total{job="bad",status="failed"} `) &&
			!scrape(t, at)[`carillon_ticks_total{outcome="ran"} 0`]
	}, "ticks and attempts are counted")
	var digest string
	var nodes []struct{ Digest string }
	f.query(&nodes, "nodes")
	require.NotEmpty(t, nodes)
	digest = nodes[0].Digest
	eventually(t, patience, func() bool {
		return scrape(t, other)[`carillon_nodes{digest="`+digest+`",revision="4"} 2`]
	}, "two nodes have it")
	lines, follower := scrape(t, at), scrape(t, other)
	assert.True(t, lines["carillon_leader 1"] && follower["carillon_leader 0"])
	assert.True(t, lines["carillon_fleet_led 1"] && follower["carillon_fleet_led 1"])
	assert.True(t, lines[`carillon_schedule_info{digest="`+digest+`",revision="4"} 1`])
	assert.True(t, begins(lines, "carillon_leader_pass_age_seconds 0.") || begins(lines, "carillon_leader_pass_age_seconds "), "it decides")
	assert.False(t, begins(follower, "carillon_leader_pass_age_seconds"))
	for _, a := range []string{at, other} {
		for _, path := range []string{"/healthz", "/readyz"} {
			status, body := ask(t, a+path)
			assert.Equal(t, []any{200, "ok\n"}, []any{status, body}, path)
		}
	}

	// Drift is in the metrics of who drifts.
	assert.True(t, follower["carillon_schedule_differs 0"])
	g := f.otherCopy(strings.Replace(schedule, "exit 1", "exit 2", 1))
	n3 := g.up("n3", "--no-lead", "--listen", "127.0.0.1:0")
	third := n3.listens()
	eventually(t, patience, func() bool { return scrape(t, third)["carillon_schedule_differs 1"] }, "its file differs")
	assert.True(t, scrape(t, at)["carillon_schedule_differs 0"])
	n3.kill()

	// A node that is told to stop is not ready, and not ill.
	f.trigger("slow")
	eventually(t, patience, func() bool { return len(f.startsOf("slow")) == 1 }, "it has something to finish")
	n2.signal(syscall.SIGTERM)
	n2.says(patience, "draining: waiting for running jobs")
	status, body := ask(t, other+"/readyz")
	assert.Equal(t, []any{503, "the node stops: it takes no more runs\n"}, []any{status, body})
	status, _ = ask(t, other+"/healthz")
	assert.Equal(t, 200, status)
	n2.exit(patience)
	status, _ = ask(t, other+"/healthz")
	assert.Zero(t, status, "it has ended, and its port is free")

	server.Kill()
	eventually(t, patience, func() bool {
		status, body := ask(t, at+"/healthz")
		return status == 503 && strings.Contains(body, "no answer from Redis for")
	}, "Redis is away")
	lines = scrape(t, at)
	assert.True(t, lines["carillon_redis_up 0"])
	assert.False(t, begins(lines, "carillon_nodes"))
}
