package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryNodeRunsItAndAKilledOneIsNotReplaced(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  roll: {every_node: true, run: 'MARK; until test -e DIR/go-roll; do sleep 0.05; done'}
`)
	f.up("ann", hasty...)
	bob := f.up("bob", hasty...)
	eventually(t, patience, func() bool {
		var nodes []struct{ Node string }
		f.query(&nodes, "nodes")
		return len(nodes) == 2
	}, "two nodes are known")
	r := f.call("trigger", "roll", "--detach")
	require.Zero(t, r.code, r.err)
	ids := strings.Fields(r.out)
	require.Len(t, ids, 2, r.out)
	require.True(t, strings.HasSuffix(ids[0], "@ann") && strings.HasSuffix(ids[1], "@bob"), "%v", ids)
	f.begun(ids[0])
	f.begun(ids[1])
	assert.Equal(t, 8, f.call("trigger", "roll", "--detach").code, "it runs on both of them")

	start := time.Now()
	bob.kill()
	lost := f.awaitRun(patience, ids[1], "failed", 1)
	t.Logf("SIGKILL of a node to the end of its own run: %v (3 heartbeats are 6s)", time.Since(start))
	assert.Contains(t, lost.Error, "node gone: bob was lost while it ran this")
	f.open("roll")
	f.awaitRun(patience, ids[0], "succeeded", 1)
	for i, node := range []string{"ann", "bob"} {
		marks := f.marksOf(ids[i])
		require.Len(t, marks, 1, "each started once, %v", marks)
		assert.Equal(t, node, marks[0].node)
	}
	f.nothingLeft()
}

// What one node did is undone there or by nobody: its end is the run's, also when it
// dies in the middle of that.
func TestAKilledNodeLeavesWhatOnlyItCouldUndo(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"in a step": "MARK; exec sleep 60", "in an undo": "MARK; exit 3"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, `
jobs:
  roll:
    every_node: true
    steps:
      - {name: one, run: "true", undo: {run: "true"}}
      - {name: two, run: '`+script+`', undo: {run: 'echo undo >> DIR/trail; exec sleep 60'}}
`)
			bob := f.up("bob", hasty...)
			r := f.call("trigger", "roll", "--detach")
			require.Zero(t, r.code, r.err)
			id := strings.TrimSpace(r.out)
			f.begun(id)
			eventually(t, patience, func() bool { return name == "in a step" || f.trail() == "undo" }, "the undo begins")
			bob.kill()
			f.up("ann", hasty...)
			lost := f.awaitRun(patience, id, "rollback_failed", 1)
			assert.Contains(t, lost.Error, "node gone: bob")
			assert.Equal(t, []string{"two", "one"}, lost.Rollback)
			eventually(t, patience, func() bool { return len(f.leftovers()) == 1 }, "only the list of what is left to undo stays")
		})
	}
}

func TestPoolsAndLabelsFindTheirNode(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  eu: {nodes: {zone: eu}, overlap: allow, run: MARK}
  gpu: {pool: gpu, overlap: allow, run: MARK}
  both: {pool: gpu, nodes: {zone: eu}, overlap: allow, run: MARK}
  any: {overlap: allow, run: MARK}
`)
	f.up("plain")
	f.up("eu", "--label", "zone=eu")
	f.up("gpu", "--pool", "gpu")
	f.up("gpu-eu", "--pool", "gpu", "--label", "zone=eu")
	may := map[string][]string{"eu": {"eu", "gpu-eu"}, "gpu": {"gpu", "gpu-eu"}, "both": {"gpu-eu"}}
	for job, nodes := range may {
		for range 3 {
			r := f.call("trigger", job)
			require.Zero(t, r.code, "%s: %s", job, r.err)
		}
		for _, m := range f.marks() {
			if m.job() == job {
				assert.Contains(t, nodes, m.node, "%s", m.run)
			}
		}
	}
	require.Zero(t, f.call("trigger", "any").code)
	f.nothingLeft()
}

// What no live node may take is said after ten seconds, and is not left to wait for
// ever; a node that comes in time takes it.
func TestARunThatNobodyMayTakeIsReportedAndEnds(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  mars: {nodes: {planet: mars}, unroutable_after: 12s, run: MARK}
  venus: {nodes: {planet: venus}, run: MARK}
`)
	f.up("node", hasty...)
	watch := f.start("watch", "watch", "-o", "jsonl")
	mars, venus := f.trigger("mars"), f.trigger("venus")
	pass(8 * time.Second)
	assert.Empty(t, f.run(venus).Reason, "a restart takes less")
	r := f.awaitRun(patience, mars, "failed", 0)
	assert.Contains(t, r.Error, "no live node serves planet=mars")
	r = f.run(venus)
	assert.Equal(t, "queued", r.Status)
	assert.Contains(t, r.Reason, "no live node serves planet=venus")
	for _, id := range []string{mars, venus} {
		found := false
		for line := range strings.Lines(watch.stdout()) {
			found = found || strings.Contains(line, `"unroutable"`) && strings.Contains(line, id)
		}
		assert.True(t, found, "%s is said to be unroutable:\n%s", id, watch.stdout())
	}
	f.up("shuttle", "--label", "planet=venus")
	r = f.awaitRun(patience, venus, "succeeded", 1)
	assert.Equal(t, "shuttle", r.Node)
	assert.Empty(t, f.marksOf(mars))
	f.nothingLeft()
}

func TestHealthcheckSaysWhatASupervisorWantsToKnow(t *testing.T) {
	t.Parallel()
	f, server := ownFleet(t, everySecondAll)
	p := f.up("web-1")
	healthy := func() int { return f.call("healthcheck", "--node", "web-1").code }
	assert.Zero(t, healthy())
	assert.Equal(t, 1, f.call("healthcheck", "--node", "web-2").code, "no such node")

	server.Kill()
	start := time.Now()
	assert.Equal(t, 1, healthy(), "no Redis")
	assert.Less(t, time.Since(start), 15*time.Second)
	server.Restart()
	eventually(t, patience, func() bool { return healthy() == 0 }, "healthy again")

	p.kill()
	start = time.Now()
	eventually(t, patience, func() bool { return healthy() == 1 }, "a node that was killed is not healthy")
	t.Logf("SIGKILL to unhealthy: %v", time.Since(start))
}

// hidden are secrets of a job that does its best to give them away.
const (
	hiddenEnv  = "correct-horse-battery-staple"
	hiddenFile = "line-one-of-the-key\nline-two-of-the-key"
	plainWords = "these-words-are-no-secret"
)

func TestSecretsAreNeitherInRedisNorInOutput(t *testing.T) {
	t.Parallel()
	// Values as they are: DUMP compresses what is longer than a few bytes.
	f, _ := ownFleet(t, `
jobs:
  leak:
    params: {note: {default: ""}}
    secrets: {TOKEN: {env: SESAME}, KEY: {file: DIR/key}}
    steps:
      - name: show
        run: |
          MARK
          echo "plainWords $TOKEN"; echo "$KEY" >&2; printf '%s' "$TOKEN"; env | grep -e TOKEN -e KEY
          for c in correct- horse- battery- staple; do printf %s "$c"; sleep 0.1; done; echo
          sleep 1
        undo: {run: 'echo "undo with $TOKEN"; exit 4'}
      - {name: fail, http: {url: "http://127.0.0.1:1/"}, timeout: 5s}
`, "--rdbcompression", "no")
	f.write(strings.ReplaceAll(read(f.file), "plainWords", plainWords))
	writeFile(t, filepath.Join(f.dir, "key"), hiddenFile)
	p := f.beginProgram(binary, []string{"SESAME=" + hiddenEnv}, "keeper")
	p.says(patience, `"msg":"up"`)
	id := f.trigger("leak")
	f.begun(id)
	f.secretless(t, "while it runs")
	f.awaitRun(patience, id, "rollback_failed", 1)
	f.secretless(t, "after it ran")

	assert.Contains(t, strings.Join(f.everyValue(), "\n"), plainWords, "the search would find it")
	for what, text := range map[string]string{
		"logs": f.call("logs", id).out, "run": f.call("run", id, "-o", "json").out, "log of the node": p.stderr(),
	} {
		for _, secret := range secretWords() {
			assert.NotContains(t, text, secret, what)
		}
	}
	logs := f.call("logs", id).out
	assert.Contains(t, logs, plainWords)
	assert.Contains(t, logs, "undo with")
}

// secretWords are what must be nowhere: the values, and each line of them.
func secretWords() []string {
	return append(strings.Split(hiddenFile, "\n"), hiddenEnv)
}

func (f *fleet) secretless(t *testing.T, when string) {
	t.Helper()
	for _, v := range f.everyValue() {
		for _, secret := range secretWords() {
			assert.NotContains(t, v, secret, when)
		}
	}
}

// everyValue is every key of the server with its value, serialised.
func (f *fleet) everyValue() (values []string) {
	f.t.Helper()
	ctx := context.Background()
	iter := f.rdb.Scan(ctx, 0, "*", 1000).Iterator()
	for iter.Next(ctx) {
		v, err := f.rdb.Dump(ctx, iter.Val()).Result()
		if err == nil { // it may have ended its life since
			values = append(values, iter.Val()+" "+v)
		}
	}
	require.NoError(f.t, iter.Err())
	require.NotEmpty(f.t, values)
	return values
}
