package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/jobs"
)

// teller turns the states of a run that is waited for into lines. The last
// state is not its business: that is said after the output.
type teller struct {
	say    func(format string, args ...any)
	st     store
	now    func() time.Time
	reason string    // the user's own, which is no news
	since  time.Time // nothing has started since then
	last   jobs.Run
	asked  time.Time // the nodes were looked at
	waits  string    // what was said about the wait
}

// askNodesAfter is how long a run may wait before it is looked into why; a
// live node takes it within milliseconds.
const askNodesAfter = time.Second

// before tells of what began before the output that follows.
func (t *teller) before(_ context.Context, r jobs.Run) { t.tell(beginnings(t.last, r)) }

// after tells of what ended after the output that was just shown.
func (t *teller) after(ctx context.Context, r jobs.Run) {
	t.tell(endings(t.last, r, t.now()))
	if r.Status == jobs.Queued || r.Status == jobs.RollingBack && r.Node == "" {
		t.explain(ctx, r)
	}
	t.last = r
}

func (t *teller) tell(lines []string) {
	for _, line := range lines {
		t.say("%s", line)
		t.since, t.waits = t.now(), ""
	}
}

// explain says once what a queued run waits for, and again when that changes.
func (t *teller) explain(ctx context.Context, r jobs.Run) {
	now := t.now()
	if now.Sub(t.since) < askNodesAfter || now.Sub(t.asked) < askNodesAfter {
		return
	}
	t.asked = now
	ctx, cancel := context.WithTimeout(ctx, pollReply)
	defer cancel()
	why := ""
	if r.Reason != t.reason {
		why = turnWords(r.Reason)
	}
	if why == "" {
		nodes, err := t.st.Nodes(ctx)
		if err != nil {
			return // the follower reports a Redis that does not answer
		}
		why = waitsFor(nodes, r.Route)
	}
	if why != "" && why != t.waits {
		t.waits = why
		t.say("waiting: %s", why)
	}
}

// turnWords makes "for the end of X" of the store's "waits for X".
func turnWords(reason string) string {
	if id, ok := strings.CutPrefix(reason, "waits for "); ok {
		return "for the end of " + id
	}
	return reason
}

// waitsFor says why nobody takes a run of that route, as far as the nodes tell.
func waitsFor(nodes []jobs.Node, route string) string {
	if len(nodes) == 0 {
		return "no node is live; start one with `carillon up`"
	}
	nodes = slices.DeleteFunc(slices.Clone(nodes), func(n jobs.Node) bool { return !serves(n, route) })
	if len(nodes) == 0 {
		return "no live node serves " + routeWords(route)
	}
	slots, running := 0, 0
	for _, n := range nodes {
		slots += n.Slots
		running += n.Running
	}
	if running >= slots {
		return fmt.Sprintf("all %s of %s are busy", count(slots, "slot"), count(len(nodes), "node"))
	}
	return ""
}

// serves reports whether a node takes runs of a route: of everybody's, of what its
// schedule and labels say, or of its own.
func serves(n jobs.Node, route string) bool {
	return route == "" || route == jobs.AnyRoute || route == "node="+n.Boot || slices.Contains(n.Routes, route)
}

// routeWords names a route and the flags of a node that serves it.
func routeWords(route string) string {
	if route == "" || route == jobs.AnyRoute {
		return "any job"
	}
	if strings.HasPrefix(route, "node=") {
		return "it: its one node is gone"
	}
	var flags []string
	for part := range strings.SplitSeq(route, ",") {
		if pool, ok := strings.CutPrefix(part, "pool="); ok {
			flags = append(flags, "--pool "+pool)
		} else {
			flags = append(flags, "--label "+part)
		}
	}
	return route + " (`carillon up " + strings.Join(flags, " ") + "`)"
}

// beginnings and endings are the lines for what happened between two looks at
// a run. What happened and was over between them shows in the run's counts.
func beginnings(old, r jobs.Run) []string {
	var lines []string
	if r.Crashes > old.Crashes {
		lines = append(lines, orSome(old.Node)+" was lost; the run is queued again")
	}
	if r.Attempt > old.Attempt && r.Status != jobs.Queued {
		lines = append(lines, fmt.Sprintf("started on %s, attempt %d", orSome(r.Node), r.Attempt))
	}
	for _, s := range r.Steps {
		if i := slices.IndexFunc(old.Steps, func(o jobs.StepStatus) bool { return o.Name == s.Name }); s.Name != jobs.SoleStep &&
			(i < 0 || s.StartedAt.After(old.Steps[i].StartedAt)) {
			lines = append(lines, "step "+oneLine(s.Name))
		}
	}
	return lines
}

func endings(old, r jobs.Run, now time.Time) []string {
	if lines := undoings(old, r); len(lines) > 0 {
		return lines
	}
	switch {
	case r.Status == jobs.Retrying && (old.Status != jobs.Retrying || r.Failures > old.Failures):
		return []string{fmt.Sprintf("attempt %d failed: %s; retry in %s", r.Attempt, oneLine(r.Error), untilRetry(r, now))}
	case r.Status == jobs.Queued && old.Status == jobs.Running && r.Crashes == old.Crashes:
		return []string{orSome(old.Node) + " gave the run back; queued again"}
	default:
		return nil
	}
}

// undoings are the lines about a rollback: that it began, and what is undone since.
func undoings(old, r jobs.Run) []string {
	var lines []string
	if r.Status == jobs.RollingBack && old.Status != jobs.RollingBack {
		line := "rolling back"
		if r.Error != "" {
			line = oneLine(r.Error) + "; rolling back"
		}
		lines = append(lines, line+" "+oneLine(stepNames(r.Rollback)))
	}
	for _, s := range slices.Backward(r.Steps) {
		if s.Status != jobs.RolledBack || s.Name == jobs.SoleStep {
			continue
		}
		if !slices.ContainsFunc(old.Steps, func(o jobs.StepStatus) bool { return o.Name == s.Name && o.Status == jobs.RolledBack }) {
			lines = append(lines, "undone: "+oneLine(s.Name))
		}
	}
	return lines
}

func untilRetry(r jobs.Run, now time.Time) string {
	if r.RetryAt.IsZero() {
		return "a moment"
	}
	return short(max(0, r.RetryAt.Sub(now)))
}

func orSome(node string) string {
	if node == "" {
		return "a node"
	}
	return node
}
