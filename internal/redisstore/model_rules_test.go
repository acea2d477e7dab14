package redisstore

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/jobs"
)

func (w *world) admit(r *life) admission {
	d := r.def
	way, why := w.inTheWay(d)
	if len(way) > 0 && (d.Overlap == jobs.OverlapQueue || d.Overlap == jobs.OverlapReplace) {
		before := w.waiting[d.Name]
		if before != nil && d.Overlap == jobs.OverlapQueue {
			return admission{"skipped", []string{before.id}, "overlap: a run is waiting already"}
		}
		if before == nil {
			w.turn++
			w.turns[d.Name] = w.turn // else the new one has its turn
		}
		older := w.active(d.Name, "")
		w.runs[r.id], w.waiting[d.Name], r.place = r, r, waits
		if before != nil {
			w.cancel(before, "canceled by carillon: replaced by "+r.id)
		}
		if d.Overlap == jobs.OverlapReplace {
			for _, o := range older {
				if o != before {
					w.cancel(o, "canceled by carillon: replaced by "+r.id)
				}
			}
		}
		return admission{"waiting", ids(way), ""}
	}
	if len(way) > 0 {
		return admission{"skipped", ids(way), why}
	}
	w.runs[r.id], r.place = r, inQueue
	w.push(r.slot(), r.id, false)
	return admission{verdict: "queued"}
}

// everywhere makes one run for each live node that serves the job.
func (w *world) everywhere(id string, d *jobs.Job, trigger jobs.Trigger, tick int, up *jobs.Upstream) (queued, refused, repeated int, ways []string, why string) {
	for _, m := range w.live() {
		if !m.serves(d.Route()) {
			continue
		}
		r := w.newRun(jobs.NodeRunID(id, m.name), d, trigger, tick, up)
		if w.runs[r.id] != nil {
			repeated++
			continue
		}
		active := w.active(d.Name, m.name)
		if d.Overlap != jobs.OverlapAllow && len(active) > 0 {
			refused, ways, why = refused+1, ids(active), "overlap: an earlier run on "+m.name+" is unfinished"
			continue
		}
		if d.Overlap == jobs.OverlapAllow && d.MaxRunning > 0 && len(active) >= d.MaxRunning {
			refused, ways, why = refused+1, ids(active), fmt.Sprintf("overlap: max_running is %d", d.MaxRunning)
			continue
		}
		queued++
		r.pin, r.route, r.place = m, nodeRoute(m.boot), inQueue
		w.runs[r.id] = r
		w.push(r.slot(), r.id, false)
	}
	return queued, refused, repeated, ways, why
}

// promote gives the run of the job that waits its turn, when it has come.
func (w *world) promote(job string) {
	if r := w.waiting[job]; r != nil && w.mayGo(r) {
		delete(w.waiting, job)
		delete(w.turns, job)
		r.place = inQueue
		w.push(r.slot(), r.id, false)
	}
}

func (w *world) mayGo(r *life) bool {
	return len(w.active(r.def.Name, "")) == 1 && (r.def.Group == "" || len(w.inGroup(r.def.Group)) < r.def.GroupLimit)
}

// end makes a run final, and does what others waited for.
func (w *world) end(r *life, state jobs.State) {
	r.status, r.place = state, over
	r.drop()
	d := r.def
	if w.waiting[d.Name] == r {
		delete(w.waiting, d.Name)
		delete(w.turns, d.Name)
	} else if d.Group == "" {
		w.promote(d.Name)
	}
	if d.Group != "" {
		var line []string
		for name, other := range w.waiting {
			if other.def.Group == d.Group {
				line = append(line, name)
			}
		}
		slices.SortFunc(line, func(a, b string) int { return cmp.Compare(w.turns[a], w.turns[b]) })
		for _, name := range line {
			w.promote(name)
		}
	}
	if r.followed {
		return
	}
	r.followed = true
	for _, f := range d.Followers {
		if f.After.When.Meets(state) {
			w.follow(r, f)
		}
	}
}

func (w *world) follow(r *life, f *jobs.Job) {
	id := jobs.AfterRunID(f.Name, r.id)
	f = w.today(f)
	up := &jobs.Upstream{Job: r.def.Name, RunID: r.id, Status: r.status}
	skip := func(ways []string, why string) {
		w.fates[f.Name] = append(w.fates[f.Name], fate{count: 1, outcome: jobs.OutcomeSkipped, reason: why + " (after " + r.id + ")", ways: ways})
	}
	switch {
	case w.paused[f.Name]:
		skip(nil, "paused")
	case f.EveryNode:
		queued, _, _, ways, why := w.everywhere(id, f, jobs.TriggerAfter, 0, up)
		if queued == 0 {
			skip(ways, cmp.Or(why, "no live node serves it"))
		}
	default:
		if a := w.admit(w.newRun(id, f, jobs.TriggerAfter, 0, up)); a.verdict == "skipped" {
			skip(a.ways, a.why)
		}
	}
}

// today is the job under the name that it has now.
func (w *world) today(j *jobs.Job) *jobs.Job {
	now := *j
	now.Name = w.nameNow(j.Name)
	return &now
}

func (w *world) nameNow(job string) string { return cmp.Or(w.names[job], job) }

// rename hands all that a job has over to its new name. Runs keep their ids.
func (w *world) rename(from, to string) {
	delete(w.names, to)
	w.names[from] = to
	for old, now := range w.names {
		if now == from {
			w.names[old] = to
		}
	}
	for _, r := range w.runs {
		if r.def.Name == from {
			r.def = w.today(r.def)
		}
	}
	carry(w.waiting, from, to)
	carry(w.turns, from, to)
	carry(w.paused, from, to)
	carry(w.cursors, from, to)
	carry(w.fates, from, to)
	carry(w.backlog, from, to)
	carry(w.resumed, from, to)
	carry(w.edited, from, to)
}

func carry[T any](m map[string]T, from, to string) {
	if v, has := m[from]; has {
		m[to] = v
		delete(m, from)
	}
}

// undo lets a run wait for a node that undoes it: where it waits already, or in its queue.
func (w *world) undo(r *life, why string) {
	r.drop()
	r.status, r.failure = jobs.RollingBack, why
	if r.place != inQueue && r.place != parked {
		r.place, r.unclaimed = inQueue, false
		w.push(r.slot(), r.id, true)
	}
}

// close ends a run that has failed for good or was called off, or has it undone first.
func (w *world) close(r *life, state jobs.State, why string) {
	if len(r.rollback) > 0 {
		w.undo(r, why)
	} else {
		w.end(r, state)
	}
}

// giveUp ends a run that no node is there for. What is to be undone is left to a hand.
func (w *world) giveUp(r *life) {
	switch {
	case !r.undoing():
		w.close(r, jobs.Failed, "")
	case len(r.rollback) > 0:
		w.end(r, jobs.RollbackFailed)
	default:
		w.end(r, jobs.RolledBack)
	}
}

func (w *world) cancel(r *life, why string) (jobs.CancelAnswer, jobs.State) {
	switch r.status {
	case jobs.Queued, jobs.Retrying:
		if w.close(r, jobs.Canceled, why); r.undoing() {
			return jobs.CancelRollback, r.status
		}
		return jobs.CancelDone, r.status
	case jobs.Running:
		if r.canceling == "" {
			r.canceling = why
		}
		return jobs.CancelAsked, r.status
	case jobs.RollingBack:
		return jobs.CancelUndoing, r.status
	}
	return jobs.CancelFinal, r.status
}

// decide is what becomes of one decision of the leader. busy holds the jobs whose later
// ticks have to wait in this call.
func (w *world) decide(d jobs.Decision, tick, until int, early bool, busy map[string][]string) (jobs.VerdictKind, []string) {
	job := d.Job.Name
	note := func(outcome jobs.Outcome, reason string, ways []string) {
		w.fates[job] = append(w.fates[job], fate{tick, until, d.Count, outcome, reason, ways})
		w.cursors[job] = until
	}
	skip := func(ways []string, why string) (jobs.VerdictKind, []string) {
		note(jobs.OutcomeSkipped, why, ways)
		return jobs.VerdictSkipped, ways
	}
	id := jobs.TickRunID(job, d.Tick)
	switch {
	case tick <= w.cursors[job]:
		return jobs.VerdictDuplicate, nil
	case early:
		return jobs.VerdictEarly, nil
	case busy[job] != nil:
		return jobs.VerdictBusy, busy[job]
	case d.Outcome != jobs.OutcomeRan && d.Outcome != jobs.OutcomeLate:
		note(d.Outcome, d.Reason, nil)
		return jobs.VerdictRecorded, nil
	case w.paused[job]:
		return skip(nil, "paused")
	case d.Job.EveryNode:
		queued, refused, _, ways, why := w.everywhere(id, d.Job, jobs.TriggerSchedule, tick, nil)
		if queued == 0 {
			return skip(ways, cmp.Or(why, "no live node serves it"))
		}
		said := fmt.Sprintf("on %d nodes", queued)
		if refused > 0 {
			said += fmt.Sprintf(", not on %d: %s", refused, why)
		}
		note(d.Outcome, said, nil)
		return jobs.VerdictRan, []string{id}
	}
	if d.Wait {
		if way, _ := w.inTheWay(d.Job); len(way) > 0 {
			busy[job] = ids(way)
			return jobs.VerdictBusy, busy[job]
		}
	}
	a := w.admit(w.newRun(id, d.Job, jobs.TriggerSchedule, tick, nil))
	if a.verdict == "skipped" {
		return skip(a.ways, a.why)
	}
	note(d.Outcome, "", []string{id})
	if a.verdict == "waiting" {
		return jobs.VerdictQueued, []string{id}
	}
	return jobs.VerdictRan, []string{id}
}

// backfill asks for past ticks of a job to run after all. It returns how many will, and
// how many ran or wait for that already; ok is false when one is not decided yet.
func (w *world) backfill(job string, ticks []int) (queued, before int, ok bool) {
	for _, tick := range ticks {
		if tick > w.cursors[job] {
			return 0, 0, false
		}
	}
	for _, tick := range ticks {
		ran := slices.ContainsFunc(w.fates[job], func(f fate) bool {
			return f.tick == tick && (f.outcome == jobs.OutcomeRan || f.outcome == jobs.OutcomeLate)
		})
		if ran || slices.Contains(w.backlog[job], tick) {
			before++
			continue
		}
		queued++
		w.backlog[job] = append(w.backlog[job], tick)
	}
	return queued, before, true
}

// feed lets what may run of the jobs' backlogs run. at is the time of a tick.
func (w *world) feed(names []string, at func(int) time.Time) {
	for _, name := range names {
		d := w.jobs[name]
		for len(w.backlog[name]) > 0 && !w.paused[name] {
			tick := w.backlog[name][0]
			id := jobs.TickRunID(name, at(tick))
			if d.EveryNode {
				if queued, _, repeated, _, _ := w.everywhere(id, d, jobs.TriggerBackfill, tick, nil); queued+repeated == 0 {
					break
				}
			} else if way, _ := w.inTheWay(d); len(way) > 0 {
				break
			} else {
				w.admit(w.newRun(id, d, jobs.TriggerBackfill, tick, nil))
			}
			w.fates[name] = append(w.fates[name], fate{tick, tick, 1, jobs.OutcomeLate, "", []string{id}})
			w.backlog[name] = w.backlog[name][1:]
		}
	}
}

// claim is what a node gets, and whether it leaves something behind that is worth a call.
func (w *world) claim(m *member, want int) (got []*life, more bool) {
	var mine []slot
	for s, list := range w.queues {
		if m.serves(s.route) && len(list) > 0 {
			mine = append(mine, s)
		}
	}
	slices.SortFunc(mine, func(a, b slot) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), strings.Compare(a.route, b.route))
	})
	for _, s := range mine {
		for len(got) < want && len(w.queues[s]) > 0 {
			list := w.queues[s]
			r := w.runs[list[len(list)-1]]
			w.queues[s] = list[:len(list)-1]
			if r.claimable() {
				got = append(got, r)
				r.place, r.renewed = held, false
				if !r.undoing() {
					r.status, r.next = jobs.Running, r.step
					r.attempt++
				}
			}
		}
		more = more || len(w.worth(w.queues[s])) > 0
	}
	return got, more
}

func (w *world) record(r *life, index int) {
	s := r.def.Steps[index]
	if index >= r.covered {
		if s.Undo != nil {
			r.rollback = slices.Insert(r.rollback, 0, s.Name)
		}
		r.covered = index + 1
	}
	r.step, r.next = index, index+1
}

// finish is what becomes of a result; false when the attempt does not hold the run, or may not say so.
func (w *world) finish(r *life, res jobs.Result) bool {
	if res.Token != r.token || r.token == "" {
		return false
	}
	if r.undoing() {
		if res.Status != jobs.RolledBack && res.Status != jobs.RollbackFailed {
			return false
		}
		w.end(r, res.Status)
		return true
	}
	state, why := res.Status, res.Error
	if state != jobs.Succeeded && state != jobs.Failed && state != jobs.Retrying && state != jobs.Canceled {
		return false
	}
	if state != jobs.Succeeded && r.canceling != "" {
		state, why = jobs.Canceled, r.canceling
	}
	r.failedAt = cmp.Or(res.FailedStep, r.failedAt)
	if state == jobs.Failed || state == jobs.Retrying {
		r.failures++
	}
	r.unclaimed = false
	switch state {
	case jobs.Succeeded:
		r.rollback = nil
		w.end(r, state)
	case jobs.Retrying:
		r.drop()
		r.status, r.place = jobs.Retrying, backOff
	default:
		w.close(r, state, why)
	}
	return true
}

func (w *world) release(r *life, rel jobs.Release) {
	if rel.Token != r.token || r.token == "" {
		return
	}
	r.drop()
	switch {
	case r.undoing():
	case r.canceling != "":
		w.close(r, jobs.Canceled, r.canceling)
		return
	case rel.Kind == jobs.ReleaseStarted && r.def.Delivery == jobs.DeliverAtMostOnce:
		w.close(r, jobs.Failed, "")
		return
	default:
		r.status = jobs.Queued
		if rel.Kind == jobs.ReleaseStarted {
			r.starts++
		} else {
			r.attempt--
		}
	}
	if rel.Kind == jobs.ReleasePark {
		r.place = parked
		return
	}
	r.place, r.unclaimed = inQueue, false
	w.push(r.slot(), r.id, true)
}

// sweep looks at the runs whose time in :leases is over, in that order, and then at the
// routes that nobody serves. priorities is the order in which those of a route are looked at.
func (w *world) sweep(take bool, expired []*life, priorities func(route string) []int) {
	type element struct {
		slot slot
		id   string
	}
	var pushed []element
	later := func(s slot, r *life) { pushed = append(pushed, element{s, r.id}) }
	for _, r := range expired {
		switch {
		case r.place == held && take:
			if w.loseLease(r) {
				later(r.slot(), r)
			}
		case r.place == backOff:
			r.status, r.place = jobs.Queued, inQueue
			later(r.slot(), r)
		case r.pin != nil && !r.pin.live && r.place != held && r.place != over:
			if take {
				w.leave(r)
				w.giveUp(r)
			}
		case r.place == parked:
			w.offer(r, take, later)
		}
	}
	for route := range w.impatient {
		if !take || w.served(route) {
			continue
		}
		for _, p := range priorities(route) {
			for _, id := range slices.Backward(slices.Clone(w.queues[slot{route, p}])) {
				if r := w.runs[id]; r.claimable() && r.old {
					w.leave(r)
					w.giveUp(r)
				}
			}
		}
	}
	for _, e := range pushed {
		w.push(e.slot, e.id, true)
	}
}

// leave takes a run from a queue from which nobody would.
func (w *world) leave(r *life) {
	list := w.queues[r.slot()]
	if i := slices.Index(list, r.id); i >= 0 {
		w.queues[r.slot()] = slices.Delete(list, i, i+1)
	}
	r.place = "" // somewhere else in a moment
}

// offer puts a parked run on the route of a node that has its definition, and what it asks for.
func (w *world) offer(r *life, take bool, later func(slot, *life)) {
	for _, m := range w.live() {
		if m.holds[nameIn(r.id)] && (r.pin == m || r.pin == nil && m.serves(r.route)) {
			s := slot{nodeRoute(m.boot), r.def.Priority}
			r.offered = true
			if !slices.Contains(w.queues[s], r.id) {
				later(s, r)
			}
			return
		}
	}
	if r.unclaimed && take {
		r.place = ""
		w.giveUp(r)
	}
}

// loseLease: the node of an attempt is gone. true: the run is to be queued again.
func (w *world) loseLease(r *life) bool {
	r.drop()
	r.unclaimed = false
	crashes, lost, most := &r.crashes, &r.lost, cmp.Or(r.def.CrashRetries, 3)
	if r.undoing() {
		crashes, lost, most = &r.undoCrashes, &r.undoLost, 3
	}
	*lost++
	if r.renewed {
		*crashes++
	}
	tooOften := *crashes >= most || *lost >= most+2
	switch {
	case r.pin != nil && !r.pin.live && !r.undoing() && len(r.rollback) > 0:
		r.failure = "node gone"
		w.end(r, jobs.RollbackFailed)
		return false
	case r.pin != nil && !r.pin.live, r.undoing() && tooOften:
		w.giveUp(r)
		return false
	case r.undoing():
	case r.canceling != "":
		w.close(r, jobs.Canceled, r.canceling)
		return false
	case r.def.Delivery == jobs.DeliverAtMostOnce, tooOften:
		w.close(r, jobs.Failed, "")
		return false
	default:
		r.status = jobs.Queued
		r.starts++
	}
	r.place = inQueue
	return true
}

func (w *world) resumeRollback(r *life) (bool, jobs.State) {
	if r.undoing() {
		return true, r.status
	}
	if r.status != jobs.RollbackFailed {
		return false, r.status
	}
	r.undoCrashes, r.undoLost = 0, 0
	w.resumed[r.def.Name] = true
	w.undo(r, r.failure)
	return true, r.status
}
