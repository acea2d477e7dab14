package forecast

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/jobs"
	"carillon/scheduler"
)

// Outcome is what would become of a tick that nobody was there for.
type Outcome string

// The outcomes of a late tick. The ledger has fewer words: in it the first three
// are "late" (or "ran", for a tick that is not a second old), because each of
// them becomes a run.
const (
	Runs     Outcome = "run"      // at once
	Waits    Outcome = "wait"     // when the run before it is over
	Replaced Outcome = "replaced" // canceled in favour of a later tick, before or after it started
	Skipped  Outcome = "skipped"  // a run is in its way
	Missed   Outcome = "missed"   // the catch-up rules of the job say that it is too late
)

// Fate is what would become of a range of neighbouring ticks of one job that
// fare alike.
type Fate struct {
	Job         *jobs.Job
	Tick, Until time.Time // the first and the last of them
	Count       int       // 0: they are older than the job's window, and nobody counts them
	Outcome     Outcome
	Reason      string
}

// Late is what a node that becomes the leader at now would do about the ticks
// since an outage began: for each enabled job its ticks in the order of time, the
// jobs in the order given. It is what scheduler.Due decides, and then what the
// overlap rules of the jobs, their groups and limits make of several runs at once.
//
// It assumes that at the beginning of the outage every tick that had started was
// decided and every run over, that the schedule was the same then, that no job is
// paused, and that every job with every_node has a node that serves it. And it
// takes a run for unfinished when the next late tick of its job is decided, which
// is milliseconds later.
func Late(list []*jobs.Job, since, now time.Time) []Fate {
	decided := make([][]jobs.Decision, len(list))
	order := make([]int, 0, len(list))
	for i, job := range list {
		if !job.Enabled {
			continue
		}
		decided[i] = scheduler.Due(job, lastStarted(job, since), now)
		if len(decided[i]) > 0 {
			order = append(order, i)
		}
	}
	// A leader takes what is overdue longest first, which matters to jobs of one group.
	overdue := func(i int) time.Time { return list[i].Starts(decided[i][0].Tick) }
	slices.SortStableFunc(order, func(a, b int) int { return overdue(a).Compare(overdue(b)) })
	fates := make([][]Fate, len(list))
	taken := map[string]int{}
	for _, i := range order {
		fates[i] = fare(list[i], decided[i], now, taken)
	}
	return slices.Concat(fates...)
}

// lastStarted is the cursor of a job at an instant: its last tick that had
// started by then, or, when none did lately, the instant itself less what a tick
// may be late by its jitter.
func lastStarted(job *jobs.Job, at time.Time) time.Time {
	cursor := at.Add(-job.Jitter)
	for tick, ok := job.Next(cursor); ok && !job.Starts(tick).After(at); tick, ok = job.Next(tick) {
		cursor = tick
	}
	return cursor
}

// fare follows the decisions about one job through the rules of
// internal/redisstore/lua/commit.lua, from a store in which none of its runs is
// unfinished. taken counts the unfinished runs of each group.
func fare(job *jobs.Job, ds []jobs.Decision, now time.Time, taken map[string]int) []Fate {
	var fates []Fate
	a := admission{job: job, taken: taken}
	for _, d := range ds {
		f := Fate{Job: job, Tick: d.Tick, Until: d.Until, Count: d.Count, Outcome: Missed, Reason: d.Reason}
		if d.Outcome == jobs.OutcomeRan || d.Outcome == jobs.OutcomeLate {
			var replaces bool
			why := whyLate(job, now.Sub(job.Starts(d.Tick)))
			f.Outcome, f.Reason, replaces = a.admit(d.Wait, why)
			if replaces {
				replace(fates)
			}
		}
		fates = append(fates, f)
	}
	return merged(fates)
}

// admission is what the store knows of a job's runs while it commits the
// decisions about it.
type admission struct {
	job     *jobs.Job
	running int  // its unfinished runs that are queued or further
	waiting bool // for its turn: overlap queue or replace
	taken   map[string]int
}

// admit is what becomes of one more run, the reason, and whether it takes the place
// of the runs before it. wait says that it is not skipped for a run in its way, and
// why by which rule it runs at all.
func (a *admission) admit(wait bool, why string) (outcome Outcome, reason string, replaces bool) {
	way := a.inTheWay()
	switch {
	case way == "":
		a.running++
		if a.job.Group != "" {
			a.taken[a.job.Group]++
		}
		return Runs, why, false
	case wait && !a.job.EveryNode:
		return Waits, why + ", one after the other", false
	case a.job.Overlap == jobs.OverlapReplace && a.running > 0:
		return Runs, why, true // in the place that the earlier one leaves
	case a.job.Overlap == jobs.OverlapReplace:
		replaces, a.waiting = a.waiting, true
		return Waits, way, replaces
	case a.job.Overlap == jobs.OverlapQueue && a.waiting:
		return Skipped, "overlap: a run is waiting already", false
	case a.job.Overlap == jobs.OverlapQueue:
		a.waiting = true
		return Waits, way, false
	default:
		return Skipped, way, false
	}
}

// inTheWay says what keeps one more run of the job from starting; "" if nothing does.
func (a *admission) inTheWay() string {
	job := a.job
	switch {
	case job.Overlap == jobs.OverlapAllow && job.MaxRunning > 0 && a.running >= job.MaxRunning:
		return fmt.Sprintf("overlap: max_running is %d", job.MaxRunning)
	case job.Overlap != jobs.OverlapAllow && (a.running > 0 || a.waiting):
		return "overlap: an earlier run is unfinished"
	case job.Group != "" && a.taken[job.Group] >= job.GroupLimit:
		return "overlap: group " + job.Group + " is full"
	default:
		return ""
	}
}

// replace takes the places of the runs there are away.
func replace(fates []Fate) {
	for i := range fates {
		if f := &fates[i]; f.Outcome == Runs || f.Outcome == Waits {
			f.Outcome, f.Reason = Replaced, "overlap: a later tick takes its place"
		}
	}
}

// whyLate is the rule by which a late tick of the job runs.
func whyLate(job *jobs.Job, late time.Duration) string {
	switch {
	case late <= scheduler.SimplyLate:
		return "at most a minute late"
	case job.CatchUp.Policy == jobs.CatchUpAll:
		return "catch_up is all"
	default:
		return "catch_up is latest"
	}
}

// merged makes one fate of neighbours that fare alike.
func merged(fates []Fate) []Fate {
	var out []Fate
	for _, f := range fates {
		if n := len(out); n > 0 && f.Count > 0 && out[n-1].Count > 0 && out[n-1].Outcome == f.Outcome && out[n-1].Reason == f.Reason {
			out[n-1].Until = f.Until
			out[n-1].Count += f.Count
			continue
		}
		out = append(out, f)
	}
	return out
}

// Sum is how many ticks fare which way.
func Sum(fates []Fate) Totals {
	var t Totals
	for _, f := range fates {
		switch f.Outcome {
		case Runs, Waits:
			t.Runs += f.Count
		case Replaced:
			t.Replaced += f.Count
		case Skipped:
			t.Skipped += f.Count
		case Missed:
			t.Missed += f.Count
			t.Uncounted = t.Uncounted || f.Count == 0
		}
	}
	return t
}

// Totals counts late ticks by their fate.
type Totals struct {
	Runs, Replaced, Skipped, Missed int
	Uncounted                       bool // ticks older than a window are missed beside those
}

// String is a sentence such as "12 runs, 340 ticks missed, 3 skipped".
func (t Totals) String() string {
	if t == (Totals{}) {
		return "no tick was due"
	}
	text := fmt.Sprintf("%d runs, %d ticks missed, %d skipped", t.Runs, t.Missed, t.Skipped)
	if t.Runs == 1 {
		text = strings.Replace(text, "runs", "run", 1)
	}
	if t.Replaced > 0 {
		text += fmt.Sprintf(", %d replaced", t.Replaced)
	}
	if t.Uncounted {
		text += "; missed and not counted: what is older than a job's window"
	}
	return text
}
