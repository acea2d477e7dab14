package faults

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"carillon/internal/checker"
	"carillon/jobs"
)

// window is the time from one strike to the next one, to whose account its ticks go.
type window struct {
	fault    string
	from, to time.Time
	healed   time.Time // when the fault was taken away
	costs    cost
}

// tally is one row of the table.
type tally struct {
	injected  int
	ticks     int
	again     int           // attempts that followed one that was cut short: at least once means that
	twice     int           // ticks with two fates, or an attempt that began twice, or a run that began after its end
	lost      int           // ticks of which nobody says what became of them, or of which it isn't true
	accounted int           // ticks with one fate, which is true
	gap       time.Duration // the longest time in which nothing began at all
}

// silence is a time in which nothing began.
type silence struct {
	length time.Duration
	from   time.Time
	fault  string
}

// judge is the verdict on a storm.
type judge struct {
	jobs    []job
	truth   *truth
	archive *archive
	windows []window // the first one begins before all ticks
	settled time.Time

	rows       map[string]*tally
	complaints []string       // what was promised and is not so
	pardoned   map[string]int // complaints that the costs of a fault explain, and how many
	silences   []silence
	beyond     map[string]bool // runs that no target asks for, because Redis forgot
	targets    []checker.Target
	runs       []checker.Run
}

func (jg *judge) complain(format string, args ...any) {
	jg.complaints = append(jg.complaints, fmt.Sprintf(format, args...))
}

func (jg *judge) row(fault string) *tally {
	if jg.rows[fault] == nil {
		jg.rows[fault] = &tally{}
	}
	return jg.rows[fault]
}

// at is the window of an instant.
func (jg *judge) at(t time.Time) window {
	i, found := slices.BinarySearchFunc(jg.windows, t, func(w window, t time.Time) int { return w.from.Compare(t) })
	if !found {
		i--
	}
	return jg.windows[max(i, 0)]
}

// excuse is the window of a fault that made Redis forget, if it can have concerned the
// run of a tick: one that had not ended when Redis last knew of it.
func (jg *judge) excuse(tick time.Time, id string) (window, bool) {
	end, known := jg.archive.ended[id]
	if first := jg.truth.firstEnd(id); !first.IsZero() { // the last one that can have taken back that
		for _, w := range slices.Backward(jg.windows) {
			if w.costs.forgets && tick.Before(w.to) && !first.Add(time.Second).Before(w.from) {
				return w, true
			}
		}
	}
	for _, w := range jg.windows {
		if w.costs.forgets && tick.Before(w.to) && (!tick.Before(w.from) || !known || !end.finished.Before(w.from)) {
			return w, true
		}
	}
	return window{}, false
}

// livedOn says whether the process that executed a run first was there when Redis had
// come back: it knows what it executed, and so the run does not begin again.
func (jg *judge) livedOn(id string, w window) bool {
	first := jg.truth.first(id)
	last, ok := jg.truth.lastOf[first.boot]
	return ok && first.boot != "-" && first.at.Before(w.healed) && last.After(w.healed)
}

// decide looks at every tick after begin, up to and including end.
func (jg *judge) decide(begin, end time.Time) {
	jg.rows, jg.beyond, jg.pardoned = map[string]*tally{}, map[string]bool{}, map[string]int{}
	for _, w := range jg.windows {
		r := jg.row(w.fault)
		if w.fault != calm {
			r.injected++
		}
		if w.to.After(w.from) {
			gap, from := jg.truth.silence(w.from, w.to)
			r.gap = max(r.gap, gap)
			jg.silences = append(jg.silences, silence{gap, from, w.fault})
		}
	}
	for _, j := range jg.jobs {
		ticks := j.ticks(begin, end)
		fates := jg.archive.fates(j, ticks)
		for _, t := range ticks {
			jg.tick(j, t, fates[t.UnixMilli()])
		}
		for _, l := range jg.truth.begins {
			if name, at, ok := strings.Cut(l.run, "@"); ok && name == j.name && !l.undo {
				if t, err := time.Parse(time.RFC3339, at); err == nil && t.After(begin) && !t.After(end) {
					jg.began(l)
				}
			}
		}
	}
	jg.match()
}

// began adds the first begin of a run to what the checker is told.
func (jg *judge) began(l line) {
	if jg.truth.first(l.run) == l && !jg.beyond[l.run] {
		job, _, _ := strings.Cut(l.run, "@")
		jg.runs = append(jg.runs, checker.Run{ID: l.run, Job: job, Start: l.at})
	}
}

// first is the first begin of a run.
func (tr *truth) first(run string) line {
	for _, l := range tr.of[run] {
		if !l.end && !l.undo {
			return l
		}
	}
	return line{}
}

// firstEnd is when a run ended for the first time, by the word of a witness.
func (tr *truth) firstEnd(run string) time.Time {
	for _, l := range tr.of[run] {
		if l.end && !l.undo {
			return l.at
		}
	}
	return time.Time{}
}

// ticks are the ticks of a job after begin, up to and including end: what the schedule
// says, whatever Redis does.
func (j job) ticks(begin, end time.Time) (list []time.Time) {
	for t := begin.Truncate(time.Second).Add(time.Second); !t.After(end); t = t.Add(time.Second) {
		if t.Second()%j.second == j.offset {
			list = append(list, t.UTC())
		}
	}
	return list
}

// tick judges one tick by its entries in the ledger, by the end of its run, and by what
// the witnesses wrote.
func (jg *judge) tick(j job, t time.Time, entries []jobs.LedgerEntry) {
	id := runID(j.name, t)
	f := weigh(j, entries, jg.truth.of[id], jg.archive.ended[id])
	if j.follower != "" && f.begun {
		if next := followerID(j, id); len(jg.truth.of[next]) == 0 && jg.archive.ended[next].status == "" {
			f.wrong("nothing followed it")
		}
	}
	excused := jg.count(t, id, f, func() string { return describe(entries, jg.truth.of[id], jg.archive.ended[id]) })
	switch {
	case f.target && (f.begun || !excused):
		jg.targets = append(jg.targets, checker.Target{Job: j.name, From: t, To: jg.settled})
	case excused:
		jg.beyond[id] = true
	}
}

// number is what differs between complaints of one kind.
var number = regexp.MustCompile(`[0-9.]+(ms|s)?`)

// count puts one tick to the account of a fault: the last one that struck, or the one
// that excuses what is wrong with it.
func (jg *judge) count(t time.Time, id string, f weighed, describe func() string) (excused bool) {
	w := jg.at(t)
	if len(f.complaints) > 0 {
		var excuse window
		if excuse, excused = jg.excuse(t, id); excused {
			w = excuse
			excused = !w.costs.remembered || !f.repeated || !jg.livedOn(id, w)
		}
		for _, c := range f.complaints {
			if excused {
				jg.pardoned[number.ReplaceAllString(c, "N")]++
			} else {
				jg.complain("%s (%s): %s; %s", id, w.fault, c, describe())
			}
		}
	}
	r := jg.row(w.fault)
	r.ticks++
	r.again += f.again
	r.twice += f.twice
	r.lost += f.lost
	if len(f.complaints) == 0 {
		r.accounted++
	}
	return excused
}

// match asks Jepsen's question, which knows nothing of ids: is there a run for every
// target, and none without one? What Redis was made to forget is not asked for: which
// target of a job is left without a run is as good as any other.
func (jg *judge) match() {
	result := checker.Match(jg.targets, jg.runs)
	for _, u := range result.Unmet {
		jg.complain("checker: no run of %s began for its tick of %s, or for an earlier one", u.Job, clock(u.From))
	}
	for _, x := range result.Extra {
		jg.complain("checker: %s began at %s, and no tick of that time wanted it", x.ID, clock(x.Start))
	}
}

// weighed is what becomes of one tick in the eyes of the judge.
type weighed struct {
	again, twice, lost int
	begun              bool // something of the run began
	target             bool // it should have begun
	repeated           bool // something of it began that had begun or ended before
	complaints         []string
}

func (f *weighed) wrong(format string, args ...any) {
	f.complaints = append(f.complaints, fmt.Sprintf(format, args...))
}

// weigh holds the entries of the ledger, the lines of the witnesses and the end of the
// run against each other, for one tick.
func weigh(j job, entries []jobs.LedgerEntry, lines []line, end ended) (f weighed) {
	f.lines(j, lines, end)
	if unknown, rest := forgotten(entries); unknown && len(rest) > 0 {
		entries = rest // that Redis forgot it does not make it untrue
	} else if unknown {
		f.target = f.begun
		return f
	}
	unstarted := !f.begun && (end.status == jobs.Failed || end.status == jobs.Canceled) && end.reason != ""
	f.target = j.everyone && !unstarted
	switch len(entries) {
	case 0:
		if f.begun {
			f.wrong("it began, and the ledger does not know of it")
		} else {
			f.lost++
			f.wrong("nobody says what became of it")
		}
		return f
	case 1:
	default:
		f.twice++
		f.wrong("it has %d fates", len(entries))
	}
	e := entries[0]
	switch e.Outcome {
	case jobs.OutcomeRan, jobs.OutcomeLate:
		f.target = !unstarted
		if !f.begun && !unstarted {
			f.lost++
			f.wrong("it is said to have run, and nothing began")
		}
		f.ending(j, lines, end)
	default:
		if f.begun {
			f.twice++
			f.wrong("it is said not to have run, and it began")
		}
		if e.Reason == "" {
			f.wrong("it did not run, for no reason")
		}
		if j.everyone {
			f.wrong("nothing was in its way, and it did not run")
		}
	}
	return f
}

// forgotten takes the entries away that say of a tick that Redis has lost what became of
// it, and says whether there were any.
func forgotten(entries []jobs.LedgerEntry) (unknown bool, rest []jobs.LedgerEntry) {
	for _, e := range entries {
		if e.Outcome == jobs.OutcomeMissed && strings.HasPrefix(e.Reason, "amnesia") {
			unknown = true
		} else {
			rest = append(rest, e)
		}
	}
	return unknown, rest
}

// lines looks at the lines of a run alone.
func (f *weighed) lines(j job, lines []line, end ended) {
	type start struct {
		attempt int
		step    string
	}
	starts := map[start]int{}
	attempts := map[int]bool{}
	failures := 0
	for _, l := range lines {
		switch {
		case l.end:
			if l.last == "failed" && !l.undo {
				failures++
			}
		case l.last == "run":
			f.wrong("two attempts of it at one time")
		case l.last == "job":
			f.wrong("another run of the job beside it")
		}
		if l.end || l.undo {
			continue
		}
		f.begun = true
		starts[start{l.attempt, l.step}]++
		attempts[l.attempt] = true
		if !end.finished.IsZero() && l.at.After(end.finished.Add(time.Millisecond)) {
			f.twice++
			f.repeated = true
			f.wrong("it began again %v after it had ended", l.at.Sub(end.finished).Round(time.Millisecond))
		}
	}
	for s, n := range starts {
		if n > 1 {
			f.twice++
			f.repeated = true
			f.wrong("attempt %d began %d times (step %s)", s.attempt, n, s.step)
		}
	}
	f.again = max(0, len(attempts)-1-failures)
	if j.once && len(attempts) > 1 {
		f.wrong("it is to run at most once, and it began %d times", len(attempts))
	}
}

// ending looks at how a run ended.
func (f *weighed) ending(j job, lines []line, end ended) {
	done := map[string]bool{}
	for _, l := range lines {
		if l.end && !l.undo && l.last == "ok" {
			done[l.step] = true
		}
	}
	steps := j.steps
	if len(steps) == 0 {
		steps = []string{jobs.SoleStep}
	}
	switch end.status {
	case "":
		f.wrong("nobody says how it ended")
		return
	case jobs.Succeeded:
		for _, s := range steps {
			if !done[s] {
				f.wrong("it is said to have succeeded, and %s did not", s)
			}
		}
		if j.fails || j.undone {
			f.wrong("it cannot have succeeded")
		}
	case jobs.Canceled:
		if !j.replaced {
			f.wrong("nobody canceled it: %s", end.reason)
		}
	case jobs.Failed:
		if !j.fails && !lostItsNodes(end.reason) && !(j.once && strings.Contains(end.reason, "unknown")) {
			f.wrong("it cannot have failed: %s", end.reason)
		}
	case jobs.RolledBack, jobs.RollbackFailed:
		if !j.undone && !lostItsNodes(end.reason) {
			f.wrong("nothing was there to undo: %s", end.reason)
		}
	}
	if j.steps != nil {
		f.undoing(lines, end)
	}
}

// lostItsNodes recognises a run that was given up because node after node died with it.
func lostItsNodes(reason string) bool { return strings.Contains(reason, "quarantined") }

// undoing checks that what began was undone, the last step first, and only then.
func (f *weighed) undoing(lines []line, end ended) {
	var begun, undone []string
	for _, l := range lines {
		switch {
		case !l.undo && !l.end:
			if len(undone) > 0 || slices.ContainsFunc(lines, func(o line) bool { return o.undo && !o.end && o.at.Before(l.at) }) {
				f.wrong("step %s began when undoing had begun", l.step)
			}
			if !slices.Contains(begun, l.step) {
				begun = append(begun, l.step)
			}
		case l.undo && l.end && l.last == "ok" && !slices.Contains(undone, l.step):
			undone = append(undone, l.step)
		}
	}
	slices.Reverse(begun)
	switch {
	case end.status == jobs.Succeeded && len(undone) > 0:
		f.wrong("it succeeded, and %v were undone", undone)
	case end.status == jobs.RolledBack && !subsequence(begun, undone):
		f.wrong("it began %v, the last one first, and undid %v", begun, undone)
	}
}

// subsequence says whether all of want are in got, in that order. An undo is on its
// list before its step begins, so that there may be one of a step that never did.
func subsequence(want, got []string) bool {
	for _, g := range got {
		if len(want) > 0 && want[0] == g {
			want = want[1:]
		}
	}
	return len(want) == 0
}

func describe(entries []jobs.LedgerEntry, lines []line, end ended) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "[%s %s..%s %s] ", e.Outcome, clock(e.Tick), clock(e.Until), e.Reason)
	}
	if end.status != "" {
		fmt.Fprintf(&b, "[%s with attempt %d at %s %s] ", end.status, end.attempt, clock(end.finished), end.reason)
	}
	for _, l := range lines {
		what := "begin"
		if l.end {
			what = "end"
		}
		if l.undo {
			what += " undo"
		}
		fmt.Fprintf(&b, "\n      %s %s %s attempt %d on %s %s %s pid %d", clock(l.at), what, l.step, l.attempt, l.node, l.boot, l.last, l.pid)
	}
	return b.String()
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// longest names the longest silences, for those who want to know why.
func (jg *judge) longest(n int) string {
	slices.SortStableFunc(jg.silences, func(a, b silence) int { return cmp.Compare(b.length, a.length) })
	var words []string
	for _, x := range jg.silences[:min(n, len(jg.silences))] {
		words = append(words, fmt.Sprintf("%.1f s from %s (%s)", x.length.Seconds(), clock(x.from), x.fault))
	}
	return strings.Join(words, ", ")
}

// table is what a storm prints, a row a fault in the order of the names given.
func (jg *judge) table(names []string) string {
	var b strings.Builder
	b.WriteString("| fault | injected | ticks | again | twice | lost | accounted | longest gap |\n|---|---|---|---|---|---|---|---|\n")
	var sum tally
	line := func(name string, r *tally) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %.1f s |\n", name, r.injected, r.ticks, r.again, r.twice, r.lost, r.accounted, r.gap.Seconds())
	}
	for _, name := range names {
		r := jg.rows[name]
		if r == nil {
			continue
		}
		line(name, r)
		sum.injected += r.injected
		sum.ticks += r.ticks
		sum.again += r.again
		sum.twice += r.twice
		sum.lost += r.lost
		sum.accounted += r.accounted
		sum.gap = max(sum.gap, r.gap)
	}
	line("all", &sum)
	return b.String()
}
