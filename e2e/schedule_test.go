package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBadScheduleIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text  string
		words []string
	}{
		"odd name":        {"jobs:\n  \"back up/../#1\": {run: echo}\n", []string{"schedule.yaml:2:3", "back up"}},
		"control in name": {"jobs:\n  \"a\\u001b[2J\": {run: echo}\n", []string{"schedule.yaml:2:3"}},
		"unquoted star":   {"jobs:\n  a: {schedule: * * * * *, run: echo}\n", []string{"schedule.yaml:2:", "quote the schedule"}},
		"unknown key":     {"jobs:\n  a: {comand: [echo]}\n", []string{"schedule.yaml:2:", "comand", "command"}},
		"never":           {"jobs:\n  a: {schedule: \"0 0 30 2 *\", run: echo}\n", []string{"schedule.yaml:2:", "never"}},
		"garbage":         {"\x00\x01\xff\xfe{{{", []string{"schedule.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := fleetOn(t, "redis://127.0.0.1:1/0", "none", c.text)
			for _, args := range [][]string{{"validate"}, {"up"}, {"trigger", "a"}, {"next"}, {"jobs"}} {
				r := f.call(args...)
				assert.Equal(t, 3, r.code, "%v: %s", args, r.err)
				for _, w := range c.words {
					assert.Contains(t, r.err, w, "%v", args)
				}
				assert.NotContains(t, r.err, "\x1b", "%v: nobody's terminal is written to", args)
			}
		})
	}
	f := fleetOn(t, "redis://127.0.0.1:1/0", "none", "jobs: {}")
	require.NoError(t, os.Remove(f.file))
	r := f.call("up")
	assert.Equal(t, 3, r.code)
	assert.Contains(t, r.err, "no such file")
}

func TestScheduleThatVanishesOrBreaksWhileRunning(t *testing.T) {
	t.Parallel()
	const one = `
jobs:
  tick: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: MARK}
`
	const two = one + `  second: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: MARK}
`
	f := newFleet(t, one)
	p := f.up("n1")
	begin := f.adopted(1)

	require.NoError(t, os.WriteFile(f.file, []byte("jobs: {{{ \x00"), 0o600))
	p.says(patience, "the schedule file is bad; the old schedule stays in force")
	p.signal(syscall.SIGHUP)
	eventually(t, patience, func() bool { return strings.Count(p.stderr(), "the schedule file is bad") == 2 }, "SIGHUP is answered")

	require.NoError(t, os.Remove(f.file))
	p.says(patience, "the schedule file vanished; the old schedule stays in force")

	f.write(two)
	p.says(patience, "reloaded the schedule")
	p.says(patience, "the schedule file is back")
	eventually(t, patience, func() bool {
		for _, m := range f.marks() {
			if m.job() == "second" {
				return true
			}
		}
		return false
	}, "the new job runs")
	added := f.marks()[len(f.marks())-1].at

	p.signal(syscall.SIGHUP)
	p.says(patience, "reloaded: nothing changed")

	end := f.settle(patience, "tick", "second")
	a := f.audit("tick", everySecond(begin, end))
	t.Log(accountHead() + "\n" + a.row("the unchanged job"))
	a.balanced(t)
	assert.Equal(t, a.ticks, a.ran+a.late)
	f.audit("second", everySecond(added, end)).balanced(t)

	// A job that leaves runs no more; returning, it owes nothing for the time between.
	f.write(one)
	eventually(t, patience, func() bool { return strings.Count(p.stderr(), "reloaded the schedule") == 2 }, "the job has left")
	left := f.now()
	pass(2500 * time.Millisecond)
	for _, m := range f.marks() {
		assert.False(t, m.job() == "second" && m.at.After(left.Add(time.Second)), "%v ran after it had left", m)
	}
	f.write(two)
	eventually(t, patience, func() bool {
		for _, m := range f.marks() {
			if m.job() == "second" && m.at.After(left.Add(2*time.Second)) {
				return true
			}
		}
		return false
	}, "the job is back")
	var ledger []entry
	f.query(&ledger, "ledger", "second", "--limit", "1000")
	found := false
	for _, e := range ledger {
		found = found || e.Outcome == "skipped" && strings.HasPrefix(e.Reason, "not in schedule")
	}
	assert.True(t, found, "the ledger says so: %+v", ledger)
	f.audit("tick", everySecond(begin, f.settle(patience, "tick"))).balanced(t)
}

// Two nodes get the new file one after the other, as a roll-out does. A run goes
// to a node that has the definition it was made with.
func TestRollOutOfANewSchedule(t *testing.T) {
	t.Parallel()
	const old = `
jobs:
  tick: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: 'MARK; echo old >> DIR/what'}
`
	f := newFleet(t, old)
	g := fleetOn(t, f.url, f.ns, strings.NewReplacer("MARK", ". "+f.dir+"/mark", "DIR", f.dir).Replace(old))
	f.up("n1")
	begin := f.adopted(1)
	g.up("n2")
	next := strings.ReplaceAll(old, "echo old", "echo new")
	f.write(next)
	pass(2500 * time.Millisecond)
	g.write(strings.NewReplacer("MARK", ". "+f.dir+"/mark", "DIR", f.dir).Replace(next))
	pass(3500 * time.Millisecond)
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("roll-out"))
	a.balanced(t)
	what := strings.Fields(read(f.dir + "/what"))
	assert.Contains(t, what, "old")
	assert.Equal(t, "new", what[len(what)-1])
}
