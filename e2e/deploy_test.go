package e2e

import (
	"context"
	"os"

	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What each run of the jobs below leaves in DIR/truth: "RUN VERSION PART", a line
// for each command and each undo that began, written by itself.
const deployHead = "defaults: {catch_up: all, overlap: allow}\njobs:\n"

const deployOld = deployHead + `
  kept: {schedule: "* * * * * *", run: MARK}
  gone: {schedule: "* * * * * *", unroutable_after: 12s, run: MARK}
  before: {schedule: "* * * * * *", run: MARK}
  command: {schedule: "* * * * * *", run: 'MARK; echo "$CARILLON_RUN_ID old run" >> DIR/truth'}
  plan:
    schedule: "* * * * * *"
    unroutable_after: 20s
    steps:
      - {name: one, run: 'MARK; echo "$CARILLON_RUN_ID old one" >> DIR/truth', undo: {run: 'echo "$CARILLON_RUN_ID old undo-one" >> DIR/truth'}}
      - {name: two, run: 'echo "$CARILLON_RUN_ID old two" >> DIR/truth; sleep 0.5', undo: {run: 'echo "$CARILLON_RUN_ID old undo-two" >> DIR/truth; sleep 0.3'}}
      - {name: three, run: 'echo "$CARILLON_RUN_ID old three" >> DIR/truth; case $CARILLON_SCHEDULED_AT in *[369]Z) exit 1;; esac'}
`

const deployNew = deployHead + `
  kept: {schedule: "* * * * * *", run: MARK}
  added: {schedule: "* * * * * *", run: MARK}
  after: {renamed_from: before, schedule: "* * * * * *", run: MARK}
  command: {schedule: "* * * * * *", run: 'MARK; echo "$CARILLON_RUN_ID new run" >> DIR/truth'}
  plan:
    schedule: "* * * * * *"
    unroutable_after: 20s
    steps:
      - {name: one, run: 'MARK; echo "$CARILLON_RUN_ID new one" >> DIR/truth', undo: {run: 'echo "$CARILLON_RUN_ID new undo-one" >> DIR/truth'}}
      - {name: four, run: 'echo "$CARILLON_RUN_ID new four" >> DIR/truth', undo: {run: 'echo "$CARILLON_RUN_ID new undo-four" >> DIR/truth'}}
      - {name: two, run: 'echo "$CARILLON_RUN_ID new two" >> DIR/truth; sleep 0.5; case $CARILLON_SCHEDULED_AT in *[369]Z) exit 1;; esac', undo: {run: 'echo "$CARILLON_RUN_ID new undo-two" >> DIR/truth; sleep 0.3'}}
`

// plans are what a run of plan leaves, from its first command to its last, by
// version and end.
var plans = map[string]string{
	"old succeeded":   "one two three",
	"old rolled_back": "one two three undo-two undo-one",
	"new succeeded":   "one four two",
	"new rolled_back": "one four two undo-two undo-four undo-one",
	// It failed while the last node of its plan stopped: nobody else may undo it.
	"old rollback_failed": "one two three",
}

// A changed file comes to one node after the other, while jobs run: by a restart
// or by a reload, with and without a revision.
func TestRollingDeployOfAChangedFile(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"restart", "reload"} {
		for _, revision := range []bool{true, false} {
			name := how + " without revision"
			if revision {
				name = how + " with revision"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				deploy(t, how, revision)
			})
		}
	}
}

func deploy(t *testing.T, how string, revision bool) {
	old, next := deployOld, deployNew
	if revision {
		old, next = "revision: 1\n"+old, "revision: 2\n"+next
	}
	f := newFleet(t, old)
	hosts := map[string]*fleet{"n1": f, "n2": f.otherCopy(old), "n3": f.otherCopy(old)}
	names := []string{"n1", "n2", "n3"}
	nodes := map[string]*process{}
	flags := []string{"--slots", "8", "--lease", "10s"}
	for _, name := range names {
		nodes[name] = hosts[name].up(name, flags...)
	}
	f.awaitLeader(patience)
	begin := f.adopted(5)
	saw := func(what string, job string) {
		eventually(t, 2*patience, func() bool { return len(f.startsOf(job)) >= 3 }, "%s", what)
	}
	saw("the old file runs", "plan")

	toWitness := strings.NewReplacer("MARK", ". "+f.dir+"/mark", "DIR", f.dir)
	for _, name := range names {
		switch how {
		case "restart":
			nodes[name].signal(syscall.SIGTERM)
			assert.Zero(t, nodes[name].exit(2*patience))
			hosts[name] = fleetOn(t, f.url, f.ns, toWitness.Replace(next))
			nodes[name] = hosts[name].up(name, flags...)
		case "reload":
			hosts[name].write(toWitness.Replace(next))
			if name == "n2" {
				nodes[name].signal(syscall.SIGHUP)
			}
			nodes[name].says(patience, "reloaded the schedule")
		}
		pass(1500 * time.Millisecond)
	}
	saw("the new file runs", "added")
	f.file = hosts["n1"].file
	t.Cleanup(func() {
		for _, job := range []string{"kept", "command", "plan", "after", "added", "gone"} {
			for _, id := range f.rdb.SMembers(context.Background(), f.key("active:"+job)).Val() {
				if t.Failed() {
					t.Logf("unfinished: %s %v", id, f.rdb.HGetAll(context.Background(), f.key("run:"+id)).Val())
				}
			}
		}
	})
	end := f.settle(6*patience, "kept", "command", "plan", "after", "added")
	ticks := everySecond(begin, end)

	t.Run("a job in both files", func(t *testing.T) { f.eachTickRan(t, "kept", ticks) })
	t.Run("a job was added", func(t *testing.T) {
		var ledger []entry
		f.query(&ledger, "ledger", "added", "--limit", "100000")
		require.NotEmpty(t, ledger)
		first := ledger[len(ledger)-1]
		// What a leader with the old file passed over is said; see Changed files.
		f.audit("added", everySecond(first.Tick.Add(-time.Second), end)).balanced(t)
	})
	t.Run("a job was removed", func(t *testing.T) {
		eventually(t, 6*patience, func() bool {
			return f.rdb.SCard(context.Background(), f.key("active:gone")).Val() == 0
		}, "what was queued has an end")
		starts := f.startsOf("gone")
		var runs []run
		f.query(&runs, "runs", "--job", "gone", "--limit", "1000")
		require.NotEmpty(t, runs)
		for _, r := range runs {
			switch r.Status {
			case "succeeded":
				assert.Equal(t, 1, starts[r.ID], "%s began once", r.ID)
			default: // the last node that had the job stopped before it took this one
				assert.Equal(t, "failed", r.Status)
				assert.Contains(t, r.Error, "no live node had the definition this run was made with")
				assert.Zero(t, starts[r.ID])
				t.Logf("%s: %s", r.ID, r.Error)
			}
		}
	})
	t.Run("a job was renamed", func(t *testing.T) {
		var ledger []entry
		f.query(&ledger, "ledger", "after", "--limit", "100000")
		fates := map[int64]int{}
		for _, e := range ledger {
			assert.Contains(t, []string{"ran", "late"}, e.Outcome, "%+v", e)
			fates[e.Tick.Unix()]++
		}
		starts, under := f.startsOf("before", "after"), map[string]int{}
		for _, at := range ticks {
			stamp := "@" + at.Format("2006-01-02T15:04:05Z")
			assert.Equal(t, 1, starts["before"+stamp]+starts["after"+stamp], "%s ran once, under one name", stamp)
			assert.Equal(t, 1, fates[at.Unix()], "%s is in the ledger once", stamp)
			under["before"] += starts["before"+stamp]
			under["after"] += starts["after"+stamp]
		}
		assert.Positive(t, under["before"])
		assert.Positive(t, under["after"])
		t.Logf("ticks: %d as before, %d as after", under["before"], under["after"])
		var runs []struct{ ID, Job string }
		f.query(&runs, "runs", "--job", "after", "--limit", "1000")
		seen := map[string]bool{}
		for _, r := range runs {
			name, _, _ := strings.Cut(r.ID, "@")
			seen[name] = true
		}
		assert.Equal(t, map[string]bool{"before": true, "after": true}, seen, "its history goes back to before")
	})
	t.Run("a command was changed", func(t *testing.T) {
		f.eachTickRan(t, "command", ticks)
		for run, parts := range f.truth("command") {
			assert.Len(t, parts, 1, "%s: %v", run, parts)
		}
	})
	t.Run("steps were changed", func(t *testing.T) {
		f.eachTickRan(t, "plan", ticks)
		seen := map[string]int{}
		for run, parts := range f.truth("plan") {
			if stamp, err := time.Parse(time.RFC3339, strings.TrimPrefix(run, "plan@")); err != nil || stamp.After(end) {
				continue
			}
			r := f.run(run)
			version, _, _ := strings.Cut(parts[0], " ")
			var names []string
			for _, part := range parts {
				assert.True(t, strings.HasPrefix(part, version+" "), "%s has parts of two plans: %v", run, parts)
				names = append(names, strings.TrimPrefix(part, version+" "))
			}
			assert.Equal(t, plans[version+" "+r.Status], strings.Join(names, " "), "%s: %s %s, attempt %d", run, version, r.Status, r.Attempt)
			if r.Status == "rollback_failed" {
				assert.Equal(t, "restart", how, "whoever reloads keeps the old plan")
				assert.Contains(t, r.Error, "no live node had the definition this run was made with")
				assert.Equal(t, []string{"two", "one"}, r.Rollback, "what is left to undo is kept")
			}
			seen[version+" "+r.Status]++
		}
		t.Logf("plans: %v", seen)
		assert.Positive(t, seen["old succeeded"])
		assert.Positive(t, seen["new succeeded"])
	})
}

// A file that is written in place, slowly: what is there so far is no schedule, or none that
// is taken over, until it is whole.
func TestHalfWrittenScheduleIsNotTakenOver(t *testing.T) {
	t.Parallel()
	f := newFleet(t, deployHead+"  kept: {schedule: \"* * * * * *\", run: MARK}\n")
	p := f.up("n1")
	begin := f.adopted(1)
	digest := func() string {
		var nodes []struct{ Digest string }
		f.query(&nodes, "nodes")
		require.Len(t, nodes, 1)
		return nodes[0].Digest
	}
	was := digest()

	text := strings.ReplaceAll(deployNew, "MARK", ". "+f.dir+"/mark")
	text = strings.ReplaceAll(text, "DIR", f.dir)
	cut := strings.Index(text, "- {name: four, run") + 12 // inside of a step
	out, err := os.OpenFile(f.file, os.O_WRONLY|os.O_TRUNC, 0)
	require.NoError(t, err)
	defer out.Close()
	p.says(patience, "the schedule file is bad; the old schedule stays in force") // it is empty
	_, err = out.WriteString(text[:cut])
	require.NoError(t, err)
	eventually(t, patience, func() bool { return strings.Count(p.stderr(), "the schedule file is bad") == 2 }, "half of it is bad")
	p.signal(syscall.SIGHUP)
	eventually(t, patience, func() bool { return strings.Count(p.stderr(), "the schedule file is bad") == 3 }, "SIGHUP is answered")
	assert.Equal(t, was, digest(), "nothing of it is in force")
	assert.Equal(t, 3, f.call("validate").code)
	assert.NotContains(t, p.stderr(), "reloaded the schedule")

	_, err = out.WriteString(text[cut:])
	require.NoError(t, err)
	p.says(patience, "reloaded the schedule")
	eventually(t, patience, func() bool { return digest() != was }, "the heartbeat says so")
	assert.Zero(t, f.call("validate").code)
	f.eachTickRan(t, "kept", everySecond(begin, f.settle(3*patience, "kept")))
}

// eachTickRan holds the ticks of a job against its ledger and its commands: each
// began once.
func (f *fleet) eachTickRan(t *testing.T, job string, ticks []time.Time) {
	t.Helper()
	a := f.audit(job, ticks)
	t.Log(accountHead() + "\n" + a.row(job))
	a.balanced(t)
	assert.Equal(t, a.ticks, a.ran+a.late, "%s: each tick ran", job)
	assert.Zero(t, a.again, "%s: no tick ran twice", job)
}

// startsOf counts how often each run of these jobs began.
func (f *fleet) startsOf(jobs ...string) map[string]int {
	starts := map[string]int{}
	for _, m := range f.marks() {
		if contains(jobs, m.job()) {
			starts[m.run]++
		}
	}
	return starts
}

// truth is what the commands of a job wrote, by run, in their order.
func (f *fleet) truth(job string) map[string][]string {
	parts := map[string][]string{}
	for line := range strings.Lines(read(filepath.Join(f.dir, "truth"))) {
		run, part, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(run, job+"@") {
			parts[run] = append(parts[run], part)
		}
	}
	return parts
}

// A roll-out is stopped in the middle and turned round, then done after all: the job that
// was renamed loses nothing, however often the lead goes from one file to the other.
func TestRenamedJobWhileTheRollOutIsTurnedRound(t *testing.T) {
	t.Parallel()
	const old = deployHead + `  before: {schedule: "* * * * * *", run: MARK}` + "\n"
	const next = deployHead + `  after: {renamed_from: before, schedule: "* * * * * *", run: MARK}` + "\n"
	f := newFleet(t, old)
	g := f.otherCopy(next)
	first := f.up("old-0")
	f.ledBy("old-0")
	begin := f.adopted(1)
	was := first
	for i, turn := range []struct {
		host *fleet
		name string
		kill bool
	}{{g, "new-1", false}, {f, "old-2", true}, {g, "new-3", true}, {f, "old-4", false}, {g, "new-5", false}} {
		node := turn.host.up(turn.name, "--leader-ttl", "1500ms", "--lease", "3s")
		if turn.kill {
			was.kill()
		} else {
			was.signal(syscall.SIGTERM)
			assert.Zero(t, was.exit(patience))
		}
		f.ledBy(turn.name)
		pass(1500 * time.Millisecond)
		was = node
		t.Logf("turn %d: %s leads", i, turn.name)
	}
	f.file = g.file
	end := f.settle(3*patience, "after")
	starts := f.startsOf("before", "after")
	var ledger []entry
	f.query(&ledger, "ledger", "after", "--limit", "100000")
	fates := map[int64]int{}
	for _, e := range ledger {
		fates[e.Tick.Unix()]++
		assert.Contains(t, []string{"ran", "late"}, e.Outcome, "%+v", e)
	}
	for _, at := range everySecond(begin, end) {
		stamp := "@" + at.Format("2006-01-02T15:04:05Z")
		assert.Equal(t, 1, fates[at.Unix()], "%s is in the ledger once", stamp)
		both := starts["before"+stamp] > 0 && starts["after"+stamp] > 0
		assert.False(t, both, "%s ran under both names", stamp)
		assert.Positive(t, starts["before"+stamp]+starts["after"+stamp], "%s ran", stamp)
	}
	for _, name := range []string{"history", "ledger", "failures", "active"} {
		assert.Zero(t, f.rdb.Exists(context.Background(), f.key(name+":before")).Val(), name)
	}
}
