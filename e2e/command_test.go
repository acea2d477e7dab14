package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUnknownRunsJobsAndParams(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  dump: {run: 'echo "$CARILLON_PARAM_DAY"', params: {day: {pattern: "^\\d{4}$", default: "2026"}}}
  free: {run: 'echo "$CARILLON_PARAM_TEXT"', params: {text: {}}}
`)
	f.up("n1")
	for _, c := range []struct {
		code  int
		words string
		args  []string
	}{
		{4, `there is no run "dump@2026-01-01T00:00:00Z"`, []string{"run", "dump@2026-01-01T00:00:00Z"}},
		{4, "a run id is JOB@TIME", []string{"run", "dump"}},
		{4, "there is no run", []string{"logs", "dump@x"}},
		{4, "there is no run", []string{"logs", "-f", "dump@x"}},
		{4, `has no job "dumb"; did you mean dump?`, []string{"trigger", "dumb"}},
		{2, "week", []string{"trigger", "dump", "--param", "week=1"}},
		{2, "expected NAME=VALUE", []string{"trigger", "dump", "--param", "day"}},
		{2, "given twice", []string{"trigger", "dump", "--param", "day=2026", "--param", "day=2027"}},
		{2, "day", []string{"trigger", "dump", "--param", "day=yesterday"}},
		{2, "unknown flag --prams", []string{"trigger", "dump", "--prams", "day=1"}},
		{2, "unknown command", []string{"triger", "dump"}},
	} {
		r := f.call(c.args...)
		assert.Equal(t, c.code, r.code, "%v: %s", c.args, r.err)
		assert.Contains(t, r.err, c.words, "%v", c.args)
		assert.Empty(t, r.out, "%v", c.args)
	}
	var list []run
	f.query(&list, "runs")
	assert.Empty(t, list, "nothing was started by a mistake")
	r := f.call("--trigger", "dump", "--param", "day=2027")
	assert.Zero(t, r.code, r.err)
	assert.Equal(t, "2027\n", r.out)

	const evil = "$(touch pwned); `touch pwned`\n'; touch pwned #\x1b[31m"
	r = f.call("trigger", "free", "--param", "text="+evil)
	assert.Zero(t, r.code, r.err)
	assert.Equal(t, evil+"\n", r.out, "a value is a value")
	assert.NotContains(t, r.err, "\x1b")
	assert.NoFileExists(t, f.dir+"/pwned")
}

// The file on the operator's desk is newer than that of the nodes.
func TestTriggerOfADefinitionThatNoNodeHas(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  hello: {run: echo old}
`)
	f.up("n1")
	desk := fleetOn(t, f.url, f.ns, `
jobs:
  hello: {run: echo new}
`)
	waiting := desk.start("trigger", "trigger", "hello")
	waiting.says(patience, "has no definition")
	assert.Empty(t, waiting.stdout())
	desk.up("n2")
	assert.Zero(t, waiting.exit(patience), waiting.stderr())
	assert.Equal(t, "new\n", waiting.stdout())
	t.Log(waiting.stderr())
}

func TestInterruptedWaitLeavesTheRunAlone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  slow: {run: 'echo begun; MARK; sleep 3; echo done'}
`)
	f.up("n1")
	waiting := f.start("trigger", "trigger", "slow")
	eventually(t, patience, func() bool { return waiting.stdout() == "begun\n" }, "the output is streamed while the job runs")
	waiting.signal(syscall.SIGINT)
	assert.Equal(t, 130, waiting.exit(5*time.Second))
	require.Len(t, f.marks(), 1)
	id := f.marks()[0].run
	assert.Contains(t, waiting.stderr(), "detached; the run goes on: "+id)
	assert.Equal(t, "running", f.run(id).Status)

	again := f.call("trigger", "slow")
	assert.Equal(t, 8, again.code, "it is in the way: %s", again.err)
	assert.Contains(t, again.err, "in the way is "+id)
	late := f.call("trigger", "slow", "--request-id", "x", "--timeout", "1ms")
	assert.Equal(t, 8, late.code, late.err)

	f.awaitRun(patience, id, "succeeded", 1)
	assert.Equal(t, "begun\ndone\n", f.call("logs", id).out)

	timed := f.call("trigger", "slow", "--timeout", "500ms")
	assert.Equal(t, 7, timed.code, timed.err)
	assert.Contains(t, timed.err, "it goes on")
}

func TestTriggerWaitsForANode(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  hello: {run: echo hello}
`)
	waiting := f.start("trigger", "trigger", "hello")
	waiting.says(patience, "no node is live; start one with `carillon up`")
	f.up("late", "--no-lead") // a trigger needs no leader
	assert.Zero(t, waiting.exit(patience), waiting.stderr())
	assert.Equal(t, "hello\n", waiting.stdout())
}

func TestOneRequestIDStartsOneRun(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  deploy: {run: MARK, overlap: allow}
`)
	f.up("n1")
	type outcome struct {
		code int
		out  string
	}
	answers := make(chan outcome)
	const callers = 6
	for range callers {
		go func() {
			r := command(t, f.dir, nil, append([]string{"trigger", "deploy", "--detach", "--request-id", "r1"}, f.flags()...)...)
			answers <- outcome{r.code, r.out}
		}()
	}
	first := <-answers
	require.Zero(t, first.code)
	for range callers - 1 {
		assert.Equal(t, first, <-answers)
	}
	eventually(t, patience, func() bool { return len(f.marks()) > 0 }, "it runs")
	pass(500 * time.Millisecond)
	assert.Len(t, f.marks(), 1)
}

func TestWatchAndNodesTellOfTheFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
jobs:
  hello: {run: echo hello}
`)
	f.up("n1")
	watching := f.start("watch", "watch", "-o", "jsonl")
	eventually(t, patience, func() bool {
		return f.rdb.PubSubNumSub(t.Context(), f.key("events")).Val()[f.key("events")] == 2
	}, "the watcher listens")
	f.up("n2", "--no-lead")
	id := f.trigger("hello")
	f.awaitRun(patience, id, "succeeded", 1)
	for _, words := range []string{`"node_up"`, `"queued"`, `"running"`, `"succeeded"`, id} {
		eventually(t, patience, func() bool { return strings.Contains(watching.stdout(), words) }, "watch shows %s", words)
	}
	watching.signal(syscall.SIGINT)
	assert.Equal(t, 130, watching.exit(5*time.Second))
	var nodes []struct {
		Node   string
		Leader bool
		Epoch  int64
	}
	f.query(&nodes, "nodes")
	require.Len(t, nodes, 2)
	assert.True(t, nodes[0].Leader && nodes[0].Node == "n1" && nodes[0].Epoch > 0, "%+v", nodes)
	assert.False(t, nodes[1].Leader)
}
