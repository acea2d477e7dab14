package redisstore

import (
	"cmp"
	"fmt"
	"slices"

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
	impatient map[string]bool   // routes that nobody has served for too long, by the driver's clock
	resumed   map[string]bool   // jobs of which a rollback was resumed: the hand may break their overlap
	edited    map[string]bool   // jobs whose overlap was another one before
	names     map[string]string // old name of a job -> the one it has now
}

func newWorld() *world {
	return &world{jobs: map[string]*jobs.Job{}, runs: map[string]*life{}, queues: map[slot][]string{}, waiting: map[string]*life{},
		turns: map[string]int{}, paused: map[string]bool{}, cursors: map[string]int{}, fates: map[string][]fate{},
		backlog:  map[string][]int{},
		requests: map[string]string{}, impatient: map[string]bool{}, resumed: map[string]bool{}, edited: map[string]bool{}, names: map[string]string{}}
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
	def      *jobs.Job // as it was when the run was made, but for the job's name of today
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

func (w *world) newRun(id string, d *jobs.Job, trigger jobs.Trigger, tick int, up *jobs.Upstream) *life {
	return &life{id: id, def: d, trigger: trigger, tick: tick, up: up, route: d.Route(), status: jobs.Queued}
}

// drop takes the run from its attempt.
func (r *life) drop() {
	if r.token != "" {
		r.stale = append(r.stale, r.token)
	}
	r.token = ""
}

func (w *world) served(route string) bool {
	return slices.ContainsFunc(w.live(), func(m *member) bool { return m.serves(route) })
}
