package main

import (
	"context"
	"fmt"
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
	if r.Status == jobs.Queued {
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
		why = r.Reason
	}
	if why == "" {
		nodes, err := t.st.Nodes(ctx)
		if err != nil {
			return // the follower reports a Redis that does not answer
		}
		why = waitsFor(nodes)
	}
	if why != "" && why != t.waits {
		t.waits = why
		t.say("waiting: %s", why)
	}
}

// waitsFor says why nobody takes a run, as far as the nodes tell.
func waitsFor(nodes []jobs.Node) string {
	if len(nodes) == 0 {
		return "no node is live; start one with `carillon up`"
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
	return lines
}

func endings(old, r jobs.Run, now time.Time) []string {
	switch {
	case r.Status == jobs.Retrying && (old.Status != jobs.Retrying || r.Failures > old.Failures):
		return []string{fmt.Sprintf("attempt %d failed: %s; retry in %s", r.Attempt, oneLine(r.Error), untilRetry(r, now))}
	case r.Status == jobs.Queued && old.Status == jobs.Running && r.Crashes == old.Crashes:
		return []string{orSome(old.Node) + " gave the run back; queued again"}
	default:
		return nil
	}
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
