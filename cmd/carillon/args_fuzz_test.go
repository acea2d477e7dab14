package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	"weak"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// commandLines are what people type, with what they typed into it: A and B.
var commandLines = [][]string{
	{"trigger", "hello", "--detach", "--param=A", "--param=B"},
	{"trigger", "hello", "--detach", "--reason=A", "--request-id=B"},
	{"trigger", "--detach", "--", "A"},
	{"--trigger=A", "--detach", "--param=B"},
	{"run", "--", "A"},
	{"run", "-o", "A", "--", "hello@manual-1"},
	{"logs", "--", "A"},
	{"ledger", "--limit=B", "--", "A"},
	{"cancel", "--", "A"},
	{"retry", "--", "A"},
	{"rollback", "--", "A"},
	{"pause", "--note=B", "--", "A"},
	{"backfill", "hello", "--dry-run", "--from=A", "--to=B"},
	{"backfill", "--dry-run", "--from=A", "--to=2026-11-23T00:00:00Z", "--", "B"},
	{"next", "--from=A", "--until=B", "--count=3"},
	{"next", "--spec=A", "--timezone=B", "--count=3"},
	{"next", "--late=A", "hello"},
	{"jobs", "--output=A", "--color=B"},
	{"nodes", "--redis=A", "--namespace=B"},
	{"runs", "--job=A", "--status=B"},
	{"runs", "--limit=A", "--since=B"},
	{"A", "B"},
}

// notTyped are the commands that FuzzCommandLine does not start from a word that it
// made up: they go on until they are ended, read other files, or are the shell's.
var notTyped = []string{"up", "watch", "import", "completion", "healthcheck", "doctor", "load", "plan", "explain", "validate", "schema"}

// FuzzCommandLine types anything where a param, a time, an id, a format or an address is
// expected. The program ends with a code that is documented, says why in one printable
// sentence, and is done soon.
func FuzzCommandLine(f *testing.F) {
	file := filepath.Join(f.TempDir(), "schedule.yaml")
	require.NoError(f, os.WriteFile(file, []byte(`
version: 1
jobs:
  hello: {schedule: "*/5 * * * *", run: echo, params: {day: {pattern: "^\\d{4}$", default: "2026"}, text: {default: ""}}}
`), 0o600))
	for i := range commandLines {
		for _, seed := range [][2]string{
			{"day=2027", "text=x"}, {"day", "=x"}, {"day=\x1b[2J", "day=1"}, {"2026-11-22T02:00:00Z", "2026-11-22T03:00:00+14:00"},
			{"0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}, {"hello@manual-1", "hello@2026-11-22T02:00:00Z"}, {"hello@", "@"},
			{"* * * * *", "Europe/Berlin"}, {"24h", "-1s"}, {"json", "always"}, {"redis://:secret@h:1/0", "ns"}, {"\xff\xfe", "\r\n"}, {"99999999999999999999", "-1"},
			{"hello", "failed"}, {"--help", "-"}, {"", ""},
		} {
			f.Add(uint8(i), seed[0], seed[1])
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, a, b string) {
		line := commandLines[int(which)%len(commandLines)]
		if strings.ContainsRune(a+b, 0) {
			return // no process can be given that
		}
		if line[0] == "A" && (slices.Contains(notTyped, a) || strings.HasPrefix(a, "-") || strings.HasPrefix(a, "_")) {
			return
		}
		args := []string{"--file", file}
		for _, word := range line {
			// One pass: what was typed is not replaced again.
			args = append(args, strings.NewReplacer("A", a, "B", b).Replace(word))
		}
		store := &fakeStore{
			runs: map[string]jobs.Run{
				"hello@manual-1": {ID: "hello@manual-1", Job: "hello", Status: jobs.Succeeded, Attempt: 1},
				"hello@manual-2": {ID: "hello@manual-2", Job: "hello", Status: jobs.Succeeded, Attempt: 1}, // who waits for it does not wait
			},
			reply: jobs.TriggerReply{RunID: "hello@manual-2"},
		}
		s := newScreen(store)
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		s.now = func() time.Time { return now }
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		began := time.Now()
		code := s.main(ctx, args)
		if took := time.Since(began); took > 15*time.Second {
			t.Fatalf("%q took %v", args, took)
		}
		if _, documented := exitNames[code]; !documented {
			t.Fatalf("%q: exit code %d", args, code)
		}
		if code != exitOK && s.err.Len() == 0 {
			t.Fatalf("%q: exit code %d without a word", args, code)
		}
		for name, text := range map[string]string{"stdout": s.out.String(), "stderr": s.err.String()} {
			if !utf8.ValidString(text) {
				t.Fatalf("%q: %s is not UTF-8: %q", args, name, text)
			}
			if at := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || 0x80 <= r && r < 0xa0 }); at >= 0 {
				t.Fatalf("%q: %s gives a terminal orders: %q", args, name, text)
			}
		}
	})
}

// A command line that has ended leaves nothing behind in the process. What each one left
// in a table of cobra's made FuzzCommandLine grow by a gigabyte in ten thousand lines.
func TestACommandLineThatHasEndedIsForgotten(t *testing.T) {
	for _, line := range [][]string{
		{"version"}, {"run", "--", "hello@manual-1"}, {"next", "--spec=@daily"}, {"load", "--days=x"}, {"nonsense"}, {"--trigger=hello", "--detach"},
	} {
		ended := func() weak.Pointer[app] {
			s := newScreen(&fakeStore{})
			s.main(t.Context(), append([]string{"--file", filepath.Join(t.TempDir(), "none.yaml")}, line...))
			return weak.Make(s.app)
		}()
		require.Eventually(t, func() bool {
			runtime.GC()
			return ended.Value() == nil
		}, 10*time.Second, time.Millisecond, "%q", line)
	}
}

// FuzzParams: what was typed is what the job gets, whole, or an error.
func FuzzParams(f *testing.F) {
	f.Add("day=2027", "text=a=b")
	f.Add("day", "=")
	f.Add("a=", "a=")
	f.Fuzz(func(t *testing.T, a, b string) {
		params, err := parseParams([]string{a, b})
		if err != nil {
			require.Equal(t, exitUsage, codeOf(err))
			return
		}
		require.Len(t, params, 2)
		for _, word := range []string{a, b} {
			name, value, _ := strings.Cut(word, "=")
			require.NotEmpty(t, name)
			got, ok := params[name]
			require.True(t, ok)
			require.Equal(t, value, got)
		}
	})
}

// FuzzLabels: a label that is taken is one that a job can ask for, and a route can name.
func FuzzLabels(f *testing.F) {
	f.Add("zone=eu", "disk=ssd", "gpu")
	f.Add("zone=", "=", "a,b")
	f.Add("pool=x", "zone=eu,disk=ssd", "")
	f.Fuzz(func(t *testing.T, a, b, pool string) {
		labels, err := parseLabels([]string{a, b})
		if err != nil {
			return
		}
		require.Len(t, labels, 2)
		job := &jobs.Job{Name: "j", Enabled: true, Nodes: labels}
		if jobs.CheckLabel("pool", pool) == nil {
			job.Pool = pool
		}
		require.True(t, job.Serves(job.Pool, labels), "a node with all that is asked for serves the job")
		for key := range labels {
			fewer := map[string]string{}
			for k, v := range labels {
				if k != key {
					fewer[k] = v
				}
			}
			require.False(t, job.Serves(job.Pool, fewer))
		}
		route := job.Route()
		require.NotEqual(t, jobs.AnyRoute, route)
		require.NotContains(t, route, " ")
		for key, value := range labels {
			require.Contains(t, ","+route+",", ","+key+"="+value+",")
		}
		require.NotContains(t, labelWords(job.Pool, labels), "\n")
	})
}

// FuzzTimes: a time that is taken is the one that was typed.
func FuzzTimes(f *testing.F) {
	for _, seed := range []string{"2026-11-22T02:00:00Z", "2026-11-22T02:00:00.5+14:00", "0000-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "now", "2026-11-22"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseTime("--from", text)
		if err != nil {
			require.Equal(t, exitUsage, codeOf(err))
			require.NotContains(t, err.Error(), "\x1b")
			return
		}
		again, err := parseTime("--from", at.Format(time.RFC3339Nano))
		require.NoError(t, err)
		require.True(t, at.Equal(again), "%s: %s and %s", text, at, again)
	})
}

// FuzzFormats: -o takes four words, and what the machine's three write is well formed
// whatever is in it.
func FuzzFormats(f *testing.F) {
	f.Add("json", "text")
	f.Add("yaml", "- a: b\n\x1b[2J")
	f.Add("jsonl", "\xff")
	f.Add("xml", "")
	f.Fuzz(func(t *testing.T, name, text string) {
		var o format
		if o.Set(name) != nil {
			return
		}
		require.Contains(t, formats, name)
		s := newScreen(&fakeStore{})
		s.opts.output = o
		if o == formatTable {
			return
		}
		require.NoError(t, s.one(map[string]string{"text": text}, nil))
		if o == formatYAML {
			return // TestYAMLIsTheSameDocument
		}
		var back map[string]string
		require.NoError(t, json.Unmarshal(s.out.Bytes(), &back), s.out.String())
		require.Equal(t, string([]rune(text)), back["text"], "but for what is no character")
	})
}
