package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// otherCopy is the schedule file of another host: its nodes are of the same fleet,
// and their commands write to the same witness.
func (f *fleet) otherCopy(schedule string) *fleet {
	f.t.Helper()
	return fleetOn(f.t, f.url, f.ns, strings.NewReplacer("MARK", ". "+f.dir+"/mark", "DIR", f.dir).Replace(schedule))
}

// ledBy waits until that node leads.
func (f *fleet) ledBy(name string) (took time.Duration) {
	f.t.Helper()
	start := time.Now()
	eventually(f.t, patience, func() bool {
		_, token := f.term()
		return f.leader() == name && strings.HasPrefix(token, name+":")
	}, "%s leads", name)
	return time.Since(start)
}

func TestNewerRevisionLeads(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "revision: 7"+everySecondAll)
	g := f.otherCopy("revision: 8" + everySecondAll)
	flags := []string{"--lease", "3s"} // with the default leader TTL of 5 s
	old := f.up("old", flags...)
	f.ledBy("old")
	begin := f.adopted(1)
	epoch, _ := f.term()

	g.up("mute", append(flags, "--no-lead")...)
	var nodes []struct {
		Node     string
		Revision int64
	}
	f.query(&nodes, "nodes")
	assert.Len(t, nodes, 2)
	for _, n := range nodes {
		assert.Equal(t, map[string]int64{"old": 7, "mute": 8}[n.Node], n.Revision)
	}
	assert.Contains(t, f.call("nodes").err, "the nodes run 2 revisions of one schedule: revision 8, ")
	pass(5 * time.Second) // the leader asks every two
	assert.Equal(t, "old", f.leader(), "the newer one does not lead")
	same, _ := f.term()
	assert.Equal(t, epoch, same, "and nobody resigned for it")

	newer := g.up("newer", flags...)
	took := f.ledBy("newer")
	t.Logf("a node with a newer revision leads after %v", took)
	assert.Less(t, took, 10*time.Second, "promised: within 3 seconds on a machine that is not busy")
	assert.Contains(t, old.stderr(), "node newer has revision 8 of the schedule, this one has 7")

	newer.kill()
	took = f.ledBy("old")
	t.Logf("it is killed, and the older leads after %v", took)
	assert.Less(t, took, 18*time.Second, "promised: within 3 TTLs")

	// It comes back, leads again, and goes as it is told to: nobody waits for it.
	newer = g.up("newer", flags...)
	f.ledBy("newer")
	start := time.Now()
	newer.signal(syscall.SIGTERM)
	f.ledBy("old")
	t.Logf("it resigns, and the older leads after %v", time.Since(start))
	assert.Less(t, time.Since(start), 5*time.Second, "nobody waits for a node that shuts down")
	assert.Zero(t, newer.exit(patience))

	// The older one gets the file: it is as new as any.
	f.write("revision: 9" + everySecondAll)
	old.says(patience, "reloaded the schedule")
	epoch, _ = f.term()
	g.up("newer", flags...)
	pass(5 * time.Second)
	same, _ = f.term()
	assert.Equal(t, epoch, same, "revision 8 is the older one now")

	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("newer revision"))
	a.balanced(t)
	assert.Equal(t, a.ticks, a.ran+a.late, "catch_up: all")
}

// Nodes are restarted one after the other with a file in which a job came, a job
// went and a job has another command. What is in both files misses nothing.
func TestRollingRestartWithAChangedFile(t *testing.T) {
	t.Parallel()
	const head = "defaults: {catch_up: all, overlap: allow}\njobs:\n"
	const kept = `  kept: {schedule: "* * * * * *", run: MARK}` + "\n"
	const changed = `  changed: {schedule: "* * * * * *", run: 'MARK; echo old >> DIR/what'}` + "\n"
	old := "revision: 1\n" + head + kept + changed + `  gone: {schedule: "* * * * * *", run: MARK}`
	next := "revision: 2\n" + head + `  added: {schedule: "* * * * * *", run: MARK}` + "\n" +
		strings.Replace(changed, "old", "new", 1) + kept
	f := newFleet(t, old)
	hosts := map[string]*fleet{"n1": f, "n2": f.otherCopy(old), "n3": f.otherCopy(old)}
	names := []string{"n1", "n2", "n3"}
	nodes := map[string]*process{}
	for _, name := range names {
		nodes[name] = hosts[name].up(name)
	}
	f.ledBy(f.awaitLeader(patience))
	begin := f.adopted(3)
	eventually(t, patience, func() bool { return read(f.dir+"/what") != "" }, "the old schedule runs")

	toWitness := strings.NewReplacer("MARK", ". "+f.dir+"/mark", "DIR", f.dir)
	epoch := 0
	for i, name := range names {
		nodes[name].signal(syscall.SIGTERM)
		assert.Zero(t, nodes[name].exit(patience))
		hosts[name] = fleetOn(t, f.url, f.ns, toWitness.Replace(next))
		nodes[name] = hosts[name].up(name)
		if i == 0 {
			f.ledBy(name)
			epoch, _ = f.term()
		}
		pass(2 * time.Second)
	}
	same, _ := f.term()
	assert.Equal(t, epoch, same, "the first node with the new file led until all had it")
	eventually(t, patience, func() bool {
		for _, m := range f.marks() {
			if m.job() == "added" {
				return true
			}
		}
		return false
	}, "the added job runs")
	f.file = hosts["n1"].file
	end := f.settle(patience, "kept", "changed", "added")
	t.Log(accountHead())
	for _, job := range []string{"kept", "changed"} {
		a := f.audit(job, everySecond(begin, end))
		t.Log(a.row(job))
		a.balanced(t)
		assert.Equal(t, a.ticks, a.ran+a.late, "%s: each tick ran", job)
	}
	f.undeposed()
	what := strings.Fields(read(f.dir + "/what"))
	assert.Contains(t, what, "old")
	assert.Equal(t, "new", what[len(what)-1])
}
