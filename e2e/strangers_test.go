package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two fleets have one namespace by mistake, and the second has the greater revision. The
// first goes on as if it were alone, whoever of it lives; when it is gone the second begins.
func TestTwoFleetsInOneNamespace(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "revision: 3\n"+deployHead+"  ours: {schedule: \"* * * * * *\", run: MARK}\n")
	g := f.otherCopy("revision: 9\n" + deployHead + "  theirs: {schedule: \"* * * * * *\", run: MARK}\n")
	flags := []string{"--leader-ttl", "1500ms", "--lease", "3s"}
	nodes := map[string]*process{"a-1": f.up("a-1", flags...), "a-2": f.up("a-2", flags...)}
	leader := f.awaitLeader(patience)
	begin := f.adopted(1)
	theirs := g.up("b-1", flags...)
	theirs.says(patience, "two fleets share this namespace; this node takes no runs from its queues")
	theirs.says(patience, `"foreign_fleet":true,"next":""`) // what will not happen is not announced
	nodes[leader].says(patience, "its jobs do not run while this fleet lives")
	pass(2 * time.Second)
	assert.Equal(t, leader, f.leader(), "a greater revision of something else is not newer")

	nodes[leader].kill()
	second := f.awaitLeader(patience, leader)
	assert.Contains(t, []string{"a-1", "a-2"}, second, "one of the first fleet leads")
	pass(2 * time.Second)
	assert.Equal(t, second, f.leader())

	// The second fleet is told by whoever asks, and can be triggered by hand.
	r := f.call("nodes")
	assert.Contains(t, r.err, "has no job in common: two fleets share this namespace")
	var listed []struct {
		Node    string
		Differs *struct {
			From           string
			Added, Removed []string
		}
	}
	f.query(&listed, "nodes")
	require.NotEmpty(t, listed)
	for _, n := range listed {
		if n.Node == "b-1" {
			require.NotNil(t, n.Differs)
			assert.Equal(t, []string{second, "theirs", "ours"}, []string{n.Differs.From, n.Differs.Added[0], n.Differs.Removed[0]})
		} else {
			assert.Nil(t, n.Differs)
		}
	}
	r = f.call("doctor", "-o", "json")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.out, `"foreign_fleet"`)
	id := g.trigger("theirs")
	assert.Equal(t, "b-1", f.awaitRun(patience, id, "succeeded", 1).Node)

	end := f.settle(3*patience, "ours")
	a := f.audit("ours", everySecond(begin, end))
	t.Log(accountHead() + "\n" + a.row("the first fleet"))
	a.balanced(t)
	assert.Equal(t, a.ticks, a.ran+a.late, "each tick ran")
	for _, m := range f.marks() {
		if m.job() == "ours" {
			assert.NotEqual(t, "b-1", m.node)
		} else {
			assert.Equal(t, id, m.run, "none of their ticks ran")
		}
	}
	assert.NotContains(t, theirs.stderr(), `"run":"ours@`+begin.UTC().Format("2006")+`","node":"b-1"`)
	for line := range strings.Lines(theirs.stderr()) {
		assert.False(t, strings.Contains(line, `"msg":"parked"`) && strings.Contains(line, "ours@") && strings.Contains(line, `"node":"b-1"`),
			"it takes nothing that it cannot execute: %s", line)
	}

	nodes[second].signal(syscall.SIGTERM)
	assert.Zero(t, nodes[second].exit(patience))
	f.ledBy("b-1")
	theirs.says(patience, "this node takes part")
	eventually(t, patience, func() bool { return len(f.startsOf("theirs")) >= 3 }, "the second fleet has it for itself now")
}
