package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestActionsThatCannotWork(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  absent: {command: [no-such-command-anywhere, now]}
  absent-path: {command: [DIR/no-such-file]}
  absent-in-script: {run: no-such-command-anywhere now}
  not-executable: {command: [DIR/plain]}
  no-interpreter: {command: [DIR/orphan]}
  folder: {command: [DIR]}
  no-dir: {run: echo, dir: DIR/nowhere}
  dir-is-file: {run: echo, dir: DIR/plain}
  no-host: {http: {url: "http://nowhere.invalid/"}}
  no-listener: {http: {url: "http://127.0.0.1:1/"}}
  exit-code: {run: "echo some words; exit 7"}
  by-signal: {run: "kill -9 $$"}
  too-long: {run: sleep 60, timeout: 300ms}
`)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "plain"), []byte("#!/bin/sh\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "orphan"), []byte("#!/no/such/shell\n"), 0o700))
	f.up("n1")
	for _, c := range []struct {
		job, words string
		exit       int // -1 for none
	}{
		{"absent", `command "no-such-command-anywhere" was not found in PATH`, 127},
		{"absent-path", "no-such-file does not exist on this node", 127},
		{"absent-in-script", "exit status 127", 127},
		{"not-executable", "is not executable: run chmod +x", 126},
		{"no-interpreter", "the program that its first line (#!) names does not exist on this node", 127},
		{"folder", "", 126},
		{"no-dir", "nowhere does not exist on this node: create it, or mend the job's dir", -1},
		{"dir-is-file", "is a file, not a directory", -1},
		{"no-host", `host "nowhere.invalid" `, -1},
		{"no-listener", "refused the connection: is the service running", -1},
		{"exit-code", "exit status 7", 7},
		{"by-signal", "killed by signal SIGKILL", -1},
		{"too-long", "timed out after 300ms", -1},
	} {
		r := f.call("trigger", c.job)
		assert.Equal(t, 6, r.code, "%s: %s", c.job, r.err)
		assert.Contains(t, r.err, "failed", c.job)
		assert.Contains(t, r.err, c.words, c.job)
		assert.Less(t, r.took, 15*time.Second, c.job)
		var list []run
		f.query(&list, "runs", "--job", c.job)
		require.Len(t, list, 1, c.job)
		assert.Equal(t, "failed", list[0].Status, c.job)
		assert.Contains(t, list[0].Error, c.words, c.job)
		assert.NotContains(t, list[0].Error, "fork/exec", c.job)
		if c.exit >= 0 && assert.NotNil(t, list[0].ExitCode, "%s: %s", c.job, list[0].Error) {
			assert.Equal(t, c.exit, *list[0].ExitCode, c.job)
		}
		t.Logf("%-17s %s", c.job, list[0].Error)
	}
}

// outputBytes is how much a command writes in TestOutputWithoutANewline.
const outputBytes = 200 << 20

func TestOutputWithoutANewline(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, fmt.Sprintf(`
jobs:
  flood: {run: "printf begin; head -c %d /dev/zero | tr '\\0' x; printf end"}
`, outputBytes))
	p := f.up("n1")
	idle := resident(p)
	most, stop := 0, make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				most = max(most, resident(p))
			}
		}
	}()
	start := time.Now()
	id := f.trigger("flood")
	r := f.awaitRun(60*time.Second, id, "succeeded", 1)
	took := time.Since(start)
	close(stop)
	<-watched
	t.Logf("%d MiB of output in %v; resident: idle %d MiB, at most %d MiB", outputBytes>>20, took.Round(time.Millisecond), idle>>10, most>>10)
	assert.Less(t, most-idle, 64<<10, "KiB more than idle")
	assert.Empty(t, r.Error)

	const limit = 300 << 10
	out := f.call("logs", id)
	assert.Less(t, len(out.out), limit)
	assert.True(t, strings.HasPrefix(out.out, "beginxxx"))
	assert.True(t, strings.HasSuffix(strings.TrimSpace(out.out), "xxxend"))
	assert.Contains(t, out.out+out.err, "bytes dropped")
	held, err := f.rdb.MemoryUsage(t.Context(), f.key("log:"+id), 0).Result()
	require.NoError(t, err)
	t.Logf("the log takes %d KiB of Redis", held>>10)
	assert.Less(t, int(held), 2*limit)
}

// resident is a process' resident memory in KiB, 0 where that cannot be seen.
func resident(p *process) int {
	for line := range strings.Lines(read("/proc/" + itoa(p.pid()) + "/status")) {
		if w := strings.Fields(line); len(w) > 1 && w[0] == "VmRSS:" {
			n, _ := strconv.Atoi(w[1])
			return n
		}
	}
	return 0
}

func TestCommandThatIgnoresTermIsKilledWithItsGroup(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  stubborn:
    timeout: 500ms
    run: |
      trap '' TERM
      echo $$ >> DIR/pids
      sh -c 'trap "" TERM; echo $$ >> DIR/pids; while :; do sleep 0.2; done' &
      while :; do sleep 0.2; done
`)
	f.up("n1")
	start := time.Now()
	id := f.trigger("stubborn")
	r := f.awaitRun(40*time.Second, id, "failed", 1)
	t.Logf("a timeout of 500ms, and the grace of 10s: ended after %v", time.Since(start).Round(time.Millisecond))
	assert.Contains(t, r.Error, "timed out")
	require.Len(t, f.pids(), 2)
	eventually(t, 2*time.Second, noneLives(f.pids()), "nothing of the group lives")
}

func TestCommandIsToldWhatItRuns(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  tick: {schedule: "* * * * * *", env: {MINE: yes}, run: env > DIR/of-a-tick.new && mv DIR/of-a-tick.new DIR/of-a-tick}
  hand: {params: {day: {default: "2026"}}, run: env > DIR/of-a-trigger}
`)
	f.up("n1")
	f.awaitLeader(patience)
	epoch, _ := f.term()
	id := f.trigger("hand", "--param", "day=2027")
	f.awaitRun(patience, id, "succeeded", 1)
	eventually(t, patience, func() bool { return read(f.dir+"/of-a-tick") != "" }, "a tick has run")

	env := variables(read(f.dir + "/of-a-tick"))
	at, err := time.Parse(time.RFC3339, env["CARILLON_SCHEDULED_AT"])
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		"CARILLON_JOB": "tick", "CARILLON_RUN_ID": "tick@" + at.UTC().Format("2006-01-02T15:04:05Z"), "CARILLON_SCHEDULED_AT": env["CARILLON_SCHEDULED_AT"],
		"CARILLON_TRIGGER": "schedule", "CARILLON_ATTEMPT": "1", "CARILLON_EPOCH": itoa(epoch), "CARILLON_NODE": "n1",
		"CARILLON_STEP": "job", // its only one
	}, env)
	assert.Contains(t, read(f.dir+"/of-a-tick"), "\nMINE=yes\n")

	env = variables(read(f.dir + "/of-a-trigger"))
	assert.Equal(t, "manual", env["CARILLON_TRIGGER"])
	assert.Equal(t, id, env["CARILLON_RUN_ID"])
	assert.Equal(t, "2027", env["CARILLON_PARAM_DAY"])
	assert.Empty(t, env["CARILLON_SCHEDULED_AT"])
}

// variables are those of ours in the output of env, without the node's mark.
func variables(text string) map[string]string {
	env := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if strings.HasPrefix(name, "CARILLON_") && !strings.HasPrefix(name, "CARILLON_BOOT") {
			env[name] = value
		}
	}
	return env
}
