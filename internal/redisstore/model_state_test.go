package redisstore

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/jobs"
)

// world is what the design says becomes of runs, without Redis, scripts or time:
// TestTheStoreIsTheModel does everything to it that it does to a store, and compares.
// What runs are in the way, in a group or waiting for is not kept in lists here; it
// follows from the runs.
type world struct {
	jobs      map[string]*jobs.Job // as the file says now
	runs      map[string]*life
	queues    map[slot][]string // elements, the next one last; some are of runs that wait no more, see worth
	members   []*member
	waiting   map[string]*life // by job: the run that waits for its turn
	turns     map[string]int   // by job: its place among those that wait
	turn      int
	paused    map[string]bool
	cursors   map[string]int // by job: number of the last decided tick
	fates     map[string][]fate
	backlog   map[string][]int // by job: past ticks that are to run after all
	requests  map[string]string
	impatient map[string]bool // routes that nobody has served for too long, by the driver's clock
	resumed   map[string]bool // jobs of which a rollback was resumed: the hand may break their overlap
	edited    map[string]bool // jobs whose overlap was another one before
}

func newWorld() *world {
	return &world{jobs: map[string]*jobs.Job{}, runs: map[string]*life{}, queues: map[slot][]string{}, waiting: map[string]*life{},
		turns: map[string]int{}, paused: map[string]bool{}, cursors: map[string]int{}, fates: map[string][]fate{},
		backlog:  map[string][]int{},
		requests: map[string]string{}, impatient: map[string]bool{}, resumed: map[string]bool{}, edited: map[string]bool{}}
}

// slot is one queue.
type slot struct {
	route    string
	priority int
}

// member is one process. A node that starts anew is another member of the same name.
type member struct {
	name, boot string
	live       bool
	routes     []string        // that its schedule has
	holds      map[string]bool // jobs of which it has the definition
}

func (m *member) serves(route string) bool {
	return slices.Contains(m.routes, route) || route == nodeRoute(m.boot)
}

// place is where an unfinished run is: in exactly one of these.
type place string

const (
	inQueue place = "queue"
	held    place = "held"     // by an attempt
	backOff place = "back-off" // waits until it is tried again
	waits   place = "waiting"  // for an earlier run of its job or its group
	parked  place = "parked"   // for a node with its definition
	over    place = "over"     // final
)

// life is one run.
type life struct {
	id       string
	def      *jobs.Job // as it was when the run was made
	trigger  jobs.Trigger
	tick     int
	route    string
	pin      *member // the one node it is for
	up       *jobs.Upstream
	status   jobs.State
	place    place
	attempt  int
	failures int

	token                                string // of the attempt that holds it
	stale                                []string
	renewed                              bool // by this attempt
	crashes, lost, undoCrashes, undoLost int
	starts                               int // attempts that may have begun to execute and ended neither in a failure nor in success

	step     int // index of the step that was recorded last
	next     int // the step that the attempt would record next
	covered  int // steps whose undo was taken care of
	rollback []string
	failure  string // why it is undone; "" is not known here
	failedAt string

	canceling string // why, when somebody called it off while it ran
	old       bool   // it was queued long ago
	unclaimed bool   // nobody has had its definition for too long
	offered   bool   // an element of it may be on the route of some node
	followed  bool   // its end has started what follows
}

// GoString is how a failing test shows the run.
func (r *life) GoString() string { return fmt.Sprintf("%s %s (%s)", r.id, r.status, r.place) }

func (m *member) GoString() string { return m.name + " " + m.boot }

func (r *life) undoing() bool { return r.status == jobs.RollingBack }

// claimable: an element of the run in a queue is worth something.
func (r *life) claimable() bool {
	return (r.place == inQueue || r.place == parked) && (r.status == jobs.Queued || r.undoing())
}

func (r *life) slot() slot { return slot{r.route, r.def.Priority} }

// fate is what the ledger says of a tick, of a range of ticks, or of a follow-on run (tick 0).
type fate struct {
	tick, until, count int
	outcome            jobs.Outcome
	reason             string
	ways               []string // one of these was in the way
}

func (w *world) sorted() []*life {
	list := make([]*life, 0, len(w.runs))
	for _, r := range w.runs {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *life) int { return cmp.Compare(a.id, b.id) })
	return list
}

// all returns the runs of which f holds, in the order of their ids.
func (w *world) all(f func(*life) bool) []*life {
	return slices.DeleteFunc(w.sorted(), func(r *life) bool { return !f(r) })
}

func ids(list []*life) []string {
	out := make([]string, len(list))
	for i, r := range list {
		out[i] = r.id
	}
	return out
}

// active are the unfinished runs of a job; of one node's, when it is one for every node.
func (w *world) active(job, node string) []*life {
	return w.all(func(r *life) bool {
		return r.def.Name == job && r.place != over && (node == "" && r.pin == nil || r.pin != nil && r.pin.name == node)
	})
}

// inGroup are the unfinished runs of a group that had their turn.
func (w *world) inGroup(group string) []*life {
	return w.all(func(r *life) bool { return group != "" && r.def.Group == group && r.place != over && r.place != waits })
}

func (w *world) live() []*member {
	var list []*member
	for _, m := range w.members {
		if m.live {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b *member) int { return cmp.Compare(a.name, b.name) })
	return list
}

// worth are the elements of a queue that a node would get.
func (w *world) worth(queue []string) []string {
	list := []string{}
	for _, id := range queue {
		if r := w.runs[id]; r != nil && r.claimable() {
			list = append(list, id)
		}
	}
	return list
}

func (w *world) push(s slot, id string, head bool) {
	if head {
		w.queues[s] = append(w.queues[s], id)
	} else {
		w.queues[s] = slices.Insert(w.queues[s], 0, id)
	}
}

// inTheWay are the runs that keep a new one of the job from starting, and why.
func (w *world) inTheWay(d *jobs.Job) ([]*life, string) {
	active := w.active(d.Name, "")
	if d.Overlap == jobs.OverlapAllow {
		if d.MaxRunning > 0 && len(active) >= d.MaxRunning {
			return active, fmt.Sprintf("overlap: max_running is %d", d.MaxRunning)
		}
	} else if len(active) > 0 {
		return active, "overlap: an earlier run is unfinished"
	}
	if members := w.inGroup(d.Group); d.Group != "" && len(members) >= d.GroupLimit {
		return members, "overlap: group " + d.Group + " is full"
	}
	return nil, ""
}

// admission is what became of a new run.
type admission struct {
	verdict string // queued, waiting, skipped
	ways    []string
	why     string
}

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

func (w *world) newRun(id string, d *jobs.Job, trigger jobs.Trigger, tick int, up *jobs.Upstream) *life {
	return &life{id: id, def: d, trigger: trigger, tick: tick, up: up, route: d.Route(), status: jobs.Queued}
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

// drop takes the run from its attempt.
func (r *life) drop() {
	if r.token != "" {
		r.stale = append(r.stale, r.token)
	}
	r.token = ""
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

func (w *world) slots() []slot {
	var list []slot
	for s := range w.queues {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b slot) int {
		return cmp.Or(strings.Compare(a.route, b.route), cmp.Compare(a.priority, b.priority))
	})
	return list
}

func (w *world) served(route string) bool {
	return slices.ContainsFunc(w.live(), func(m *member) bool { return m.serves(route) })
}

// leave takes a run from a queue from which nobody would.
func (w *world) leave(r *life) {
	list := w.queues[r.slot()]
	if i := slices.Index(list, r.id); i >= 0 {
		w.queues[r.slot()] = slices.Delete(list, i, i+1)
	}
	r.place = "" // somewhere else in a moment
}

// offer puts a parked run on the route of a node that has its definition.
func (w *world) offer(r *life, take bool, later func(slot, *life)) {
	for _, m := range w.live() {
		if m.holds[r.def.Name] && (r.pin == nil || r.pin == m) {
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
