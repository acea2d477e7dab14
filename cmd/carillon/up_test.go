package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func TestBannerSaysWhatTheNodeIs(t *testing.T) {
	sched, err := jobs.Parse("schedule.yaml", []byte(`
version: 1
timezone: Europe/Berlin
jobs:
  backup: {schedule: "0 2 * * *", run: "true"}
  hello: {schedule: "*/5 * * * *", run: "true"}
  off: {enabled: false, schedule: "* * * * *", run: "true"}
`))
	require.NoError(t, err)
	sched.Path = "schedule.yaml"
	s := standing{
		version: "v1.2.3", node: "web-1", redis: "127.0.0.1:7379", embedded: true, serving: true, namespace: "carillon",
		leader: "web-1", slots: 4, schedule: sched, now: time.Date(2026, 11, 22, 0, 52, 30, 0, time.UTC),
	}
	assert.Equal(t, `carillon v1.2.3: node web-1 is up
  redis     127.0.0.1:7379  (embedded: development only, in memory, gone when this process ends)
  leader    this node
  schedule  schedule.yaml: 3 jobs, digest `+sched.Digest+`
  slots     4
  next      2026-11-22 01:55:00 +01:00  hello  in 2m
            2026-11-22 02:00:00 +01:00  backup  in 7m
            2026-11-22 02:00:00 +01:00  hello  in 7m`, strings.Join(banner(s), "\n"))
	assert.Contains(t, bannerAttrs(s), "hello@2026-11-22T00:55:00Z backup@2026-11-22T01:00:00Z hello@2026-11-22T01:00:00Z")

	s.serving, s.leader = false, "web-2"
	assert.Contains(t, banner(s)[1], "embedded in another node: development only")
	assert.Contains(t, banner(s)[2], "web-2")
	s.embedded, s.namespace, s.leader, s.noLead = false, "staging", "", true
	assert.Contains(t, banner(s)[1], "namespace staging")
	assert.Contains(t, banner(s)[2], "never leads")
	sched.Zoneinfo = "host 2025b"
	assert.Contains(t, banner(s)[4], "zones     host 2025b")
	s.foreign = true
	assert.Equal(t, "  next      nothing of this schedule: the leader's has no job in common with it; give one of the two fleets its own --namespace", banner(s)[6])
	assert.Len(t, banner(s), 7, "no ticks that will not happen")
	assert.NotContains(t, strings.Join(strings.Fields(fmt.Sprint(bannerAttrs(s)...)), " "), "hello@")
	s.foreign = false
	s.schedule = &jobs.Schedule{}
	assert.Contains(t, banner(s)[5], "nothing is scheduled")
}

func TestListenNamesAPortThatExists(t *testing.T) {
	for _, listen := range []string{"8080", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:nothing"} {
		o := upOptions{leaderTTL: time.Second, lease: time.Second, listen: listen}
		err := o.check()
		require.ErrorContains(t, err, "--listen \""+listen+"\": ")
		assert.Equal(t, exitUsage, codeOf(err))
	}
	o := upOptions{leaderTTL: time.Second, lease: time.Second, listen: "127.0.0.1:0"}
	require.NoError(t, o.check())
}

func TestANodeRefusesAnAddressThatIsNone(t *testing.T) {
	s := newScreen(nil)
	s.open = openRedis
	assert.Equal(t, exitUsage, s.main(t.Context(), []string{"up", "--redis", "redis://u:hunter2@h:1/x"}))
	assert.Contains(t, s.err.String(), "redis address redis://u:xxxxx@h:1/x: expected")
	assert.NotContains(t, s.err.String(), "the node stopped")
}

// net/http writes about servers that speak unasked into the log of the process.
func TestLibrariesWriteIntoTheNodesLog(t *testing.T) {
	was, flags := log.Writer(), log.Flags()
	defer func() { log.SetOutput(was); log.SetFlags(flags) }()
	s := newScreen(nil)
	s.open, s.speakFor = openRedis, slog.SetDefault
	assert.Equal(t, exitUsage, s.main(t.Context(), []string{"up", "--log", "json", "--redis", "redis://h:1/x"}))
	s.err.Reset()
	log.Print("http: said without being asked")
	var line struct{ Level, Msg string }
	require.NoError(t, json.Unmarshal(s.err.Bytes(), &line), "%s", s.err)
	assert.Equal(t, "http: said without being asked", line.Msg)
}

func TestANodeWritesWhatConcernsIt(t *testing.T) {
	for _, c := range []struct {
		name    string
		e       jobs.Event
		leading bool
		want    bool
	}{
		{"its own run", jobs.Event{Type: jobs.EventRunning, Node: "me"}, false, true},
		{"another node's run", jobs.Event{Type: jobs.EventRunning, Node: "other"}, true, false},
		{"a missed tick, leading", jobs.Event{Type: jobs.EventMissed}, true, true},
		{"a missed tick, following", jobs.Event{Type: jobs.EventMissed}, false, false},
		{"a node that went", jobs.Event{Type: jobs.EventNodeDown, Node: "other"}, false, true},
		{"another leader", jobs.Event{Type: jobs.EventLeader, Node: "other"}, false, true},
		{"its own term", jobs.Event{Type: jobs.EventLeader, Node: "me"}, true, false},
		{"its own reload, which it has said", jobs.Event{Type: jobs.EventReloaded, Node: "me"}, true, false},
		{"a loss of data, which each node says", jobs.Event{Type: jobs.EventAmnesia, Node: "me"}, true, false},
		{"its replicas, of which it has spoken", jobs.Event{Type: jobs.EventReplicasMissing, Node: "me"}, false, false},
	} {
		assert.Equal(t, c.want, concerns(c.e, "me", c.leading), c.name)
	}
}

func TestEventLogFollowsTheSeat(t *testing.T) {
	var out bytes.Buffer
	leader := "me"
	l := &eventLog{node: "me", leader: func() string { return leader }, log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))}
	queued := func(run string) []jobs.Event { return []jobs.Event{{Type: jobs.EventQueued, Run: run, Job: "j"}} }
	require.NoError(t, l.batch(nil, true))
	require.NoError(t, l.batch(queued("j@1"), false))
	require.NoError(t, l.batch([]jobs.Event{{Type: jobs.EventResigned, Node: "me"}, {Type: jobs.EventLeader, Node: "you", Epoch: 8}}, false))
	require.NoError(t, l.batch(queued("j@2"), false))
	require.NoError(t, l.batch(queued("j@3"), true)) // a gap, in which "me" took the seat again
	require.NoError(t, l.batch([]jobs.Event{
		{Type: jobs.EventSkipped, Job: "j", Run: "j@3", Reason: "overlap"},
		{Type: jobs.EventStep, Job: "j", Run: "j@3", Step: "drain"},
		{Type: jobs.EventRollbackFailed, Job: "j", Run: "j@3", Error: "exit status 1"},
		{Type: jobs.EventResumed, Job: "j", By: "ann@here"},
		{Type: jobs.EventNodeDown, Node: "you", Reason: "no heartbeat"},
		{Type: jobs.EventNodeDown, Node: "they", Reason: "stopped"},
	}, false))
	assert.Equal(t, `level=INFO msg=queued run=j@1
level=INFO msg="leads now" node=you epoch=8
level=WARN msg="events may be missing in this log: the connection was lost, or they came too fast"
level=INFO msg=queued run=j@3
level=WARN msg=skipped job=j reason=overlap in_the_way=j@3
level=INFO msg="step started" run=j@3 step=drain
level=ERROR msg="rollback failed" run=j@3 error="exit status 1"
level=INFO msg=resumed job=j by=ann@here
level=WARN msg="node is gone" node=you reason="no heartbeat"
level=INFO msg="node was stopped" node=they
`, out.String())
}

func TestTheEmbeddedServerIsNotForSupervisors(t *testing.T) {
	for _, c := range []struct {
		env      map[string]string
		pid      int
		terminal bool
		want     string
	}{
		{nil, 10, false, ""},
		{map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, 10, true, "Kubernetes"},
		{map[string]string{"SYSTEMD_EXEC_PID": "10", "INVOCATION_ID": "x"}, 10, false, "systemd"},
		{map[string]string{"INVOCATION_ID": "x"}, 10, false, "systemd"},                  // a script of a service
		{map[string]string{"SYSTEMD_EXEC_PID": "9", "INVOCATION_ID": "x"}, 10, true, ""}, // a terminal on a desktop
	} {
		assert.Equal(t, c.want, supervisor(func(k string) string { return c.env[k] }, c.terminal, c.pid), "%v", c)
	}
}
