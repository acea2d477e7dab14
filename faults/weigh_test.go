package faults

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// A judge that complains of nothing proves nothing: each kind of lie is told here once.
func TestTheJudgeSeesEveryLie(t *testing.T) {
	of := func(name string) job {
		for _, k := range kinds {
			if k.name == name {
				return job{kind: k, name: name}
			}
		}
		t.Fatal(name)
		return job{}
	}
	plain, once, skip, undone := of("plain"), of("once"), of("skip"), of("undone")
	ms := func(n int) time.Time { return time.UnixMilli(int64(n)) }
	begin := func(attempt, at int, step string) line {
		return line{attempt: attempt, at: ms(at), step: step, last: "-"}
	}
	end := func(attempt, at int, step, how string) line {
		return line{end: true, attempt: attempt, at: ms(at), step: step, last: how}
	}
	undo := func(l line) line { l.undo = true; return l }
	whole := []line{begin(1, 1, "job"), end(1, 5, "job", "ok")}
	steps := []line{begin(1, 1, "a"), end(1, 2, "a", "ok"), begin(1, 3, "b"), end(1, 4, "b", "ok"), begin(1, 5, "c"), end(1, 6, "c", "failed")}
	undos := []line{undo(begin(1, 7, "c")), undo(end(1, 8, "c", "ok")), undo(begin(1, 9, "b")), undo(end(1, 10, "b", "ok")), undo(begin(1, 11, "a")), undo(end(1, 12, "a", "ok"))}
	ran := []jobs.LedgerEntry{{Outcome: jobs.OutcomeRan}}
	late := []jobs.LedgerEntry{{Outcome: jobs.OutcomeLate}}
	skipped := []jobs.LedgerEntry{{Outcome: jobs.OutcomeSkipped, Reason: "overlap: it is in the way"}}
	amnesia := []jobs.LedgerEntry{{Outcome: jobs.OutcomeMissed, Reason: "amnesia: Redis lost its data"}}
	ok := ended{status: jobs.Succeeded, attempt: 1, finished: ms(9)}
	rolledBack := ended{status: jobs.RolledBack, finished: ms(20)}
	join := func(parts ...[]line) (all []line) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for name, c := range map[string]struct {
		job     job
		entries []jobs.LedgerEntry
		lines   []line
		end     ended
		want    string // "" when all is well
		lost    int
		twice   int
		again   int
	}{
		"it ran":                     {job: plain, entries: ran, lines: whole, end: ok},
		"it ran late":                {job: plain, entries: late, lines: whole, end: ok},
		"it began again elsewhere":   {job: plain, entries: ran, lines: join([]line{begin(1, 1, "job")}, []line{begin(2, 2, "job"), end(2, 5, "job", "ok")}), end: ok, again: 1},
		"it was in the way":          {job: skip, entries: skipped},
		"its nodes died before":      {job: plain, entries: ran, end: ended{status: jobs.Failed, reason: "killed 5 nodes: quarantined"}},
		"Redis forgot, and says so":  {job: plain, entries: amnesia},
		"it ran, and Redis forgot":   {job: plain, entries: amnesia, lines: whole},
		"that it ran is remembered":  {job: plain, entries: append(amnesia, ran...), lines: whole, end: ok},
		"it waited, and was forgot":  {job: plain, entries: append(amnesia, ran...), want: "nothing began", lost: 1},
		"it was undone":              {job: undone, entries: ran, lines: join(steps, undos), end: rolledBack},
		"in no ledger":               {job: plain, want: "nobody says what became of it", lost: 1},
		"in no ledger, and it ran":   {job: plain, lines: whole, end: ok, want: "the ledger does not know of it"},
		"said to have run":           {job: plain, entries: ran, end: ok, want: "nothing began", lost: 1},
		"two entries":                {job: plain, entries: append(late, ran...), lines: whole, end: ok, want: "it has 2 fates", twice: 1},
		"an attempt twice":           {job: plain, entries: ran, lines: join(whole, whole), end: ok, want: "attempt 1 began 2 times", twice: 1},
		"after its end":              {job: plain, entries: ran, lines: join(whole, []line{begin(2, 30, "job")}), end: ok, want: "after it had ended", twice: 1, again: 1},
		"skipped, and it ran":        {job: skip, entries: skipped, lines: whole, want: "said not to have run, and it began", twice: 1},
		"skipped for no reason":      {job: skip, entries: []jobs.LedgerEntry{{Outcome: jobs.OutcomeMissed}}, want: "for no reason"},
		"skipped with nothing there": {job: plain, entries: skipped, want: "nothing was in its way"},
		"beside itself":              {job: plain, entries: ran, lines: []line{{attempt: 1, at: ms(1), step: "job", last: "run"}, end(1, 5, "job", "ok")}, end: ok, want: "two attempts of it at one time"},
		"beside another run":         {job: skip, entries: ran, lines: []line{{attempt: 1, at: ms(1), step: "job", last: "job"}, end(1, 5, "job", "ok")}, end: ok, want: "another run of the job beside it"},
		"more than once":             {job: once, entries: ran, lines: join([]line{begin(1, 1, "job")}, []line{begin(2, 2, "job"), end(2, 5, "job", "ok")}), end: ok, want: "at most once", again: 1},
		"succeeded without an end":   {job: plain, entries: ran, lines: []line{begin(1, 1, "job")}, end: ok, want: "job did not"},
		"failed for no cause":        {job: plain, entries: ran, lines: whole, end: ended{status: jobs.Failed, reason: "exit code 1", finished: ms(9)}, want: "it cannot have failed"},
		"stuck":                      {job: plain, entries: ran, lines: whole, want: "nobody says how it ended"},
		"a step is left":             {job: undone, entries: ran, lines: join(steps, undos[:4]), end: rolledBack, want: "and undid [c b]"},
		"undone in the wrong order":  {job: undone, entries: ran, lines: join(steps, undos[4:], undos[:4]), end: rolledBack, want: "and undid [a c b]"},
		"forward after back":         {job: undone, entries: ran, lines: join(steps, undos, []line{begin(2, 15, "b")}), end: rolledBack, want: "began when undoing had begun", again: 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := weigh(c.job, c.entries, c.lines, c.end)
			if c.want == "" {
				assert.Empty(t, f.complaints)
			} else {
				assert.Contains(t, strings.Join(f.complaints, "; "), c.want)
			}
			assert.Equal(t, []int{c.lost, c.twice, c.again}, []int{f.lost, f.twice, f.again}, "lost, twice, again: %v", f.complaints)
		})
	}
}

// Runs that the checker can't match are reported whatever the ledger says.
func TestTheCheckerIsAsked(t *testing.T) {
	base := time.Now().Truncate(time.Minute)
	j := job{kind: kinds[0], name: "plain-000"}
	one := func(id string, at time.Time) line { return line{run: id, attempt: 1, at: at, step: "job", last: "-"} }
	tick := func(n int) time.Time { return base.Add(time.Duration(n) * time.Second) }
	first, early := one(runID(j.name, tick(1)), tick(1)), one(runID(j.name, tick(2)), tick(1).Add(time.Millisecond))
	tr := &truth{begins: []line{first, early}, of: map[string][]line{first.run: {first}, early.run: {early}}}
	a := newArchive(nil, nil, "", []job{j})
	a.enter(j, jobs.LedgerEntry{Tick: tick(1), Outcome: jobs.OutcomeRan})
	a.enter(j, jobs.LedgerEntry{Tick: tick(2), Outcome: jobs.OutcomeRan})
	jg := &judge{jobs: []job{j}, truth: tr, archive: a, windows: []window{{fault: calm, from: base, to: tick(3)}}, settled: tick(9)}
	jg.decide(base, tick(3))
	all := strings.Join(jg.complaints, "\n")
	assert.Contains(t, all, "checker: no run of plain-000 began for its tick of "+clock(tick(2))+", or", "it began before its time")
	assert.Contains(t, all, "checker: "+early.run+" began at", "that one")
	assert.Contains(t, all, runID(j.name, tick(3))+" (none yet): nobody says what became of it")
	assert.Equal(t, 1, jg.rows[calm].lost)
	assert.Contains(t, jg.table([]string{calm}), "| all | 0 | 3 | 0 | 0 | 1 | 0 |")

	// A Redis that forgot is an excuse for what it can have forgotten, and no other.
	jg.complaints, jg.windows = nil, append(jg.windows, window{fault: "empty", from: tick(3).Add(-time.Millisecond), to: tick(4), costs: cost{forgets: true}})
	jg.archive.ended[first.run] = ended{status: jobs.Succeeded, attempt: 1, finished: tick(1).Add(500 * time.Millisecond)}
	jg.targets, jg.runs = nil, nil
	jg.decide(base, tick(3))
	all = strings.Join(jg.complaints, "\n")
	assert.NotContains(t, all, runID(j.name, tick(3)))
	assert.Contains(t, all, first.run+" (none yet): it is said to have succeeded", "it had ended before Redis forgot")
	assert.Equal(t, 1, jg.rows["empty"].lost, "to the account of what made Redis forget")

	// And none for what begins again although the process that knows of it lives.
	id := runID(j.name, tick(3))
	began := func(at time.Time, boot string) line {
		return line{run: id, attempt: 1, at: at, step: "job", last: "-", boot: boot}
	}
	jg.windows[1].healed, jg.windows[1].costs.remembered = tick(4), true
	a.enter(j, jobs.LedgerEntry{Tick: tick(3), Outcome: jobs.OutcomeRan})
	tr.of[id] = []line{began(tick(3), "b1"), began(tick(5), "b2")}
	for _, c := range []struct {
		last time.Time // of the first process
		want int
	}{{tick(3), 0}, {tick(6), 1}} {
		tr.lastOf = map[string]time.Time{"b1": c.last, "b2": tick(5)}
		jg.complaints, jg.targets, jg.runs = nil, nil, nil
		jg.decide(base, tick(3))
		assert.Equal(t, c.want, strings.Count(strings.Join(jg.complaints, "\n"), id+" (empty): attempt 1 began 2 times"), "%v", jg.complaints)
	}
}

// Two attempts at one time betray each other, also when one of them is about to be killed.
func TestWitnessesKnowOfEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func(run, attempt string, args ...string) *exec.Cmd {
		cmd := exec.Command(witness, append([]string{dir}, args...)...)
		cmd.Env = append(os.Environ(), "CARILLON_RUN_ID="+run, "CARILLON_JOB=j", "CARILLON_ATTEMPT="+attempt, "CARILLON_NODE=n1", "CARILLON_BOOT=b", "CARILLON_STEP=job")
		require.NoError(t, cmd.Start())
		return cmd
	}
	begun := func(run string, attempt int) (found line) {
		require.True(t, eventually(patience, func() bool {
			tr, err := readTruth(dir)
			require.NoError(t, err)
			for _, l := range tr.of[run] {
				if !l.end && l.attempt == attempt {
					found = l
				}
			}
			return found.run != ""
		}), "%s begins", run)
		return found
	}
	first := start("j@1", "1", "alone", "take=1h")
	assert.Equal(t, "-", begun("j@1", 1).last)
	second := start("j@1", "2", "take=1ms")
	assert.Equal(t, "run", begun("j@1", 2).last)
	third := start("j@2", "1", "alone", "take=1ms", "fail=first")
	assert.Equal(t, "job", begun("j@2", 1).last)
	assert.Contains(t, processesOf(witness, func(node, boot string) bool { return node == "n1" && boot == "b" }), first.Process.Pid)
	require.NoError(t, first.Process.Kill())
	assert.Error(t, first.Wait())
	assert.NoError(t, second.Wait())
	assert.Error(t, third.Wait(), "it was to fail")
	fourth := start("j@1", "3", "alone", "take=1ms")
	require.NoError(t, fourth.Wait())
	assert.Equal(t, "-", begun("j@1", 3).last, "the dead hold nothing")
	tr, err := readTruth(dir)
	require.NoError(t, err)
	assert.Equal(t, "failed", tr.of["j@2"][1].last)
	assert.Equal(t, "ok", tr.of["j@1"][len(tr.of["j@1"])-1].last)
	text, err := os.ReadFile(filepath.Join(dir, "witness-n1"))
	require.NoError(t, err)
	assert.Equal(t, 7, strings.Count(string(text), "\n"), "%s", text)
}
