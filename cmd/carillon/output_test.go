package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func TestTableIsAsWideAsItsCells(t *testing.T) {
	tab := &table{head: []string{"ID", "STATUS", "ERROR"}}
	tab.add("backup@2026-11-22T02:00:00Z", "failed", "exit status 1\nand more")
	tab.paint(1, red)
	tab.add("grüße@x", "queued", "")
	var got strings.Builder
	require.NoError(t, tab.write(&got, style{headers: true}))
	assert.Equal(t, strings.Join([]string{
		`ID                            STATUS   ERROR`,
		`backup@2026-11-22T02:00:00Z   failed   exit status 1\nand more`,
		`grüße@x                       queued`,
		``,
	}, "\n"), got.String())

	got.Reset()
	require.NoError(t, tab.write(&got, style{colours: true, width: 54}))
	assert.Equal(t, strings.Join([]string{
		"backup@2026-11-22T02:00:00Z   \x1b[31mfailed\x1b[0m   exit status 1\\…",
		"grüße@x                       queued",
		"",
	}, "\n"), got.String(), "cut to the terminal; colours take no room")
}

func TestColoursObeyTheFlagThenTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		mode colorMode
		env  map[string]string
		tty  bool
		want bool
	}{
		{colorAuto, nil, true, true},
		{colorAuto, nil, false, false},
		{colorAuto, map[string]string{"NO_COLOR": "1"}, true, false},
		{colorAuto, map[string]string{"TERM": "dumb"}, true, false},
		{colorAlways, map[string]string{"NO_COLOR": "1"}, false, true},
		{colorNever, nil, true, false},
	} {
		a := &app{getenv: func(k string) string { return c.env[k] }, opts: options{color: c.mode}}
		assert.Equal(t, c.want, a.colours(c.tty), "%v", c)
	}
}

func TestRunViewIsTheDocumentedShape(t *testing.T) {
	code := 3
	at := time.Date(2026, 11, 22, 3, 0, 0, 1_500_000, time.FixedZone("", 3600))
	run := jobs.Run{
		ID: "b@2026-11-22T02:00:00Z", Job: "b", Trigger: jobs.TriggerSchedule, ScheduledAt: at, Status: jobs.Failed,
		Attempt: 2, Node: "n1", Priority: 5, QueuedAt: at, ExitCode: &code, Error: "exit status 3 <x>",
	}
	assert.Equal(t, `{"id":"b@2026-11-22T02:00:00Z","job":"b","trigger":"schedule",`+
		`"scheduled_at":"2026-11-22T02:00:00.001Z","status":"failed","attempt":2,"node":"n1","priority":5,`+
		`"queued_at":"2026-11-22T02:00:00.001Z","started_at":null,"finished_at":null,"exit_code":3,"error":"exit status 3 <x>","steps":[],"rollback":[]}`,
		string(compactJSON(viewRun(run))))

	run = jobs.Run{ID: "b@manual-1", Job: "b", Trigger: jobs.TriggerManual, Status: jobs.Queued, Params: map[string]string{"day": "x"}, Reason: "why", By: "me@here"}
	assert.Equal(t, `{"id":"b@manual-1","job":"b","trigger":"manual","scheduled_at":null,"status":"queued","attempt":0,"node":"",`+
		`"priority":0,"queued_at":null,"started_at":null,"finished_at":null,"exit_code":null,"error":"",`+
		`"steps":[],"rollback":[],"params":{"day":"x"},"reason":"why","by":"me@here"}`, string(compactJSON(viewRun(run))))

	run = jobs.Run{
		ID: "b@manual-2", Job: "b", Status: jobs.RollbackFailed, Rollback: []string{"drain"}, CanceledBy: "ann@here",
		Steps: []jobs.StepStatus{{Name: "drain", Status: jobs.Succeeded, StartedAt: at}},
	}
	assert.Contains(t, string(compactJSON(viewRun(run))),
		`"steps":[{"name":"drain","status":"succeeded","started_at":"2026-11-22T02:00:00.001Z"}],"rollback":["drain"],"canceled_by":"ann@here"}`)
}

func TestJSONCarriesNoRawControls(t *testing.T) {
	doc := compactJSON(map[string]string{"error": "\x1b[2J \u009b31m \u202e \x7f"})
	assert.False(t, bytes.ContainsFunc(doc, dangerous), "%q", doc)
	var back map[string]string
	require.NoError(t, json.Unmarshal(doc, &back))
	assert.Equal(t, "\x1b[2J \u009b31m \u202e \x7f", back["error"])
}

func TestYAMLIsTheSameDocument(t *testing.T) {
	doc := `[{"a":"plain words","b":"yes","c":"2026-11-22T02:00:00.000Z","d":null,"e":[],"f":{},"g":[1,[2,3],{"h":true}],` +
		`"i":"- x: y","j":"","k":"line\nbreak","l":"12","m":"1e3","n":"a: b","o":"#c","p":"job@manual-1"},{"q":-1.5}]`
	got, err := yamlFromJSON([]byte(doc))
	require.NoError(t, err)
	assert.Equal(t, `- a: plain words
  b: "yes"
  c: "2026-11-22T02:00:00.000Z"
  d: null
  e: []
  f: {}
  g:
    - 1
    - - 2
      - 3
    - h: true
  i: "- x: y"
  j: ""
  k: "line\nbreak"
  l: "12"
  m: "1e3"
  "n": "a: b"
  o: "#c"
  p: job@manual-1
- q: -1.5
`, string(got))
}

func TestStampIsMillisecondsInItsZone(t *testing.T) {
	ny, err := jobs.LoadZone("America/New_York")
	require.NoError(t, err)
	at := time.Date(2026, 7, 1, 2, 0, 0, 0, ny)
	assert.Equal(t, `"2026-07-01T06:00:00.000Z"`, string(compactJSON(utc(at))))
	assert.Equal(t, `"2026-07-01T02:00:00.000-04:00"`, string(compactJSON(stamp(at))))
	assert.Equal(t, `null`, string(compactJSON(stamp{})))
}

func TestDurationsAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ms", 12 * time.Millisecond: "12ms", 1234 * time.Millisecond: "1.2s", 90 * time.Second: "90s",
		10 * time.Minute: "10m", 26 * time.Hour: "26h", 72 * time.Hour: "3d", -2 * time.Second: "-2.0s",
	} {
		assert.Equal(t, want, short(d))
	}
}
