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
	jobs := []string{"a", "b", "c", "d"}
	var old strings.Builder
	old.WriteString("jobs:\n")
	for _, job := range jobs {
		old.WriteString("  " + job + `: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: 'MARK; echo old >> DIR/what'}` + "\n")
	}
	next := strings.ReplaceAll(old.String(), "echo old", "echo new")
	f := newFleet(t, old.String())
	g := fleetOn(t, f.url, f.ns, "jobs: {}") // the second node's copy of the file
	toWitness := func(schedule string) string {
		return strings.NewReplacer("MARK", ". "+f.dir+"/mark", "DIR", f.dir).Replace(schedule)
	}
	g.write(toWitness(old.String()))
	f.up("n1")
	begin := f.adopted(len(jobs))
	n2 := g.up("n2")
	eventually(t, patience, func() bool { return read(f.dir+"/what") != "" }, "the old schedule runs")

	f.write(next)
	n2.says(patience, `"msg":"parked"`) // it has taken a run that only the other can execute
	g.write(toWitness(next))
	n2.says(patience, "reloaded the schedule")
	pass(1500 * time.Millisecond)

	var sum account
	end := f.settle(patience, jobs...)
	for _, job := range jobs {
		sum.add(f.audit(job, everySecond(begin, end)))
	}
	t.Log(accountHead() + "\n" + sum.row("roll-out"))
	sum.balanced(t)
	what := strings.Fields(read(f.dir + "/what"))
	assert.Contains(t, what, "old")
	assert.Equal(t, "new", what[len(what)-1])
}

// The cursors are put back, as if the fleet had been away for ten minutes: what
// is younger than a minute runs late, what is older falls to the rules.
func TestFleetThatWasAwayForTenMinutes(t *testing.T) {
	t.Parallel()
	policies := map[string]string{"all": "{policy: all, max: 30}", "latest": "latest", "skip": "skip", "window": "{policy: all, window: 5m, max: 1000}"}
	var schedule strings.Builder
	schedule.WriteString("jobs:\n")
	for job, policy := range policies {
		schedule.WriteString("  " + job + `: {schedule: "*/10 * * * * *", catch_up: ` + policy + ", overlap: allow, run: MARK}\n")
	}
	f := newFleet(t, schedule.String())
	f.adoptedByAnother(len(policies))
	away := f.now().Truncate(10 * time.Second).Add(-10 * time.Minute)
	for job := range policies {
		f.putBack(job, away)
	}

	f.up("n2", "--slots", "8")
	end := f.now().Truncate(10 * time.Second)
	f.settled(patience, end, "all", "latest", "skip", "window")
	var ticks []time.Time
	for at := away.Add(10 * time.Second); !at.After(end); at = at.Add(10 * time.Second) {
		ticks = append(ticks, at.UTC())
	}
	t.Log(accountHead())
	got := map[string]account{}
	for job := range policies {
		a := f.audit(job, ticks)
		got[job] = a
		t.Log(a.row(job))
		a.balanced(t)
		assert.GreaterOrEqual(t, a.ran+a.late, 5, "%s: what is younger than a minute runs", job)
	}
	young := got["skip"].late + got["skip"].ran
	assert.InDelta(t, 6, young, 1)
	assert.InDelta(t, young+30, got["all"].late+got["all"].ran, 1)
	assert.InDelta(t, 30, got["window"].late+got["window"].ran, 1)
	assert.InDelta(t, young, got["latest"].late+got["latest"].ran, 1)
}

// A job that takes longer than the time between two ticks of it: one run at a
// time, and each tick that met it is in the ledger.
func TestJobSlowerThanItsInterval(t *testing.T) {
	t.Parallel()
	const script = "MARK; mkdir DIR/JOB || echo JOB >> DIR/together; sleep 2.3; rmdir DIR/JOB"
	f := newFleet(t, "jobs:\n"+
		`  default: {schedule: "* * * * * *", run: '`+strings.ReplaceAll(script, "JOB", "default")+"'}\n"+
		`  all: {schedule: "* * * * * *", catch_up: all, run: '`+strings.ReplaceAll(script, "JOB", "all")+"'}\n")
	f.up("n1")
	begin := f.adopted(2)
	f.up("n2")
	pass(7 * time.Second)
	end := f.now().Truncate(time.Second)
	f.settled(patience, end, "default")
	a := f.audit("default", everySecond(begin, end))
	t.Log(accountHead() + "\n" + a.row("overlap: skip"))
	a.balanced(t)
	assert.Positive(t, a.skipped)
	var ledger []entry
	f.query(&ledger, "ledger", "default", "--limit", "1000")
	for _, e := range ledger {
		if e.Outcome == "skipped" {
			assert.True(t, strings.HasPrefix(e.Reason, "overlap"), "%+v", e)
			assert.True(t, strings.HasPrefix(e.Run, "default@"), "it names the run in the way: %+v", e)
		}
	}
	// With "all" the ticks wait for their turn; those that had it are accounted for.
	var done []entry
	f.query(&done, "ledger", "all", "--limit", "1000")
	require.NotEmpty(t, done)
	if last := done[0].Tick; !last.Before(begin) {
		f.settled(patience, last, "all")
		a := f.audit("all", everySecond(begin, last))
		t.Log(a.row("and catch_up: all"))
		a.balanced(t)
	}
	assert.Empty(t, read(f.dir+"/together"), "never two at a time")
}
