package redisstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/internal/redistest"
	"carillon/jobs"
)

// TestTheStoreIsTheModel draws a schedule and then one call after another, does each to a
// store on a real redis-server and to the model (model_rules_test.go), and compares after
// each. More of it: go test ./internal/redisstore -run Model -rapid.checks=5000.
func TestTheStoreIsTheModel(t *testing.T) {
	t.Parallel()
	url, namespace := redistest.Shared(t)
	sameAsModel(t, url, namespace)
}

func sameAsModel(t *testing.T, url, namespace string) {
	base, err := Open(Options{URL: url, Namespace: namespace, Node: "n", Boot: "b", Lease: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { _ = base.Close() })
	require.NoError(t, base.SyncClock(context.Background()))
	for _, sc := range allScripts() { // or the first finish may be executed after the claim it was sent with
		require.NoError(t, sc.load(context.Background(), base.cmd))
	}
	n, moves := 0, map[move]int{}
	rapid.Check(t, func(rt *rapid.T) {
		n++
		d := newDriver(rt, base, fmt.Sprintf("%s-%d", namespace, n), moves)
		defer d.close()
		actions := d.actions()
		for range d.between("calls", 20, 100) {
			var able []string
			for _, a := range actions {
				if a.able == nil || a.able() {
					for range a.weight {
						able = append(able, a.name)
					}
				}
			}
			name := one(d, "call", able)
			actions[slices.IndexFunc(actions, func(a action) bool { return a.name == name })].do()
			d.compare()
		}
		d.drain()
	})
	// Everything that a run can do was done to one.
	for _, from := range jobs.States() {
		for _, to := range from.Moves() {
			if n >= 300 {
				require.Positive(t, moves[move{from, to}], "%s -> %s was not seen", from, to)
			}
		}
	}
}

// move is one of jobs/state.go.
type move struct{ from, to jobs.State }

// noHurry: what has waited for long goes by priority all the same (TestWhatWaitedTooLongGoesFirst).
const noHurry = 10000 * time.Hour

var nodeNames = []string{"n1", "n2", "n3"}

// driver does the same to a store and to the model.
type driver struct {
	t      *rapid.T
	w      *world
	base   *Store
	stores map[string]*Store // by boot
	nodes  map[string]*member
	names  []string // of the jobs now, in order
	files  int      // so many versions of the file there were
	// A leader died in the middle of a rename: hashes may say old names.
	halfway bool
	lacks   map[string]bool // jobs that the other schedule defines otherwise, by their first names
	start   time.Time       // tick 0
	term    string
	terms   []string // of old
	count   int
	moves   map[move]int // that were seen, in all checks

	sub              *redis.PubSub
	heard            int64                 // number of the last message
	said             map[string]jobs.State // of each run, by the events
	expectSuperseded bool
	accepted         []jobs.Result
}

func newDriver(t *rapid.T, base *Store, namespace string, moves map[move]int) *driver {
	d := &driver{t: t, moves: moves, w: newWorld(), stores: map[string]*Store{}, nodes: map[string]*member{}, lacks: map[string]bool{}, said: map[string]jobs.State{}}
	d.base = d.storeOf(base, namespace, "observer", "boot0")
	ctx := context.Background()
	d.sub = base.sub.Subscribe(ctx, d.base.keys.events())
	_, err := d.sub.Receive(ctx)
	require.NoError(t, err)
	d.start = base.Now().Add(-2 * time.Hour).Truncate(time.Second).UTC()
	first := d.drawJobs()
	for _, j := range first {
		d.names = append(d.names, j.Name)
	}
	d.link(first)
	for _, j := range d.scheduled() {
		d.lacks[j.Name] = d.often("n3 has another "+j.Name, 50)
	}
	d.lead()
	for _, name := range nodeNames {
		d.boot(name)
		d.beat(name, name != "n3", name != "n3")
	}
	_, err = d.base.Adopt(ctx, d.term, d.scheduled())
	require.NoError(t, err)
	for _, j := range d.scheduled() {
		require.NoError(t, d.base.cmd.HSet(ctx, d.base.keys.cursors(), j.Name, fmt.Sprintf("%d %s", d.start.UnixMilli(), j.Timing)).Err())
	}
	return d
}

// storeOf is another node's store on the same connections.
func (d *driver) storeOf(base *Store, namespace, node, boot string) *Store {
	opts := base.opts
	opts.Namespace, opts.Node, opts.Boot = namespace, node, boot
	s := &Store{opts: opts, keys: newKeys(namespace), log: base.log, clock: base.clock, cmd: base.cmd}
	s.Serve([]string{jobs.AnyRoute}, noHurry)
	return s
}

func (d *driver) close() {
	ctx := context.Background()
	_ = d.sub.Close()
	keys, err := d.base.cmd.Keys(ctx, d.base.keys.prefix+"*").Result()
	require.NoError(d.t, err)
	if len(keys) > 0 {
		require.NoError(d.t, d.base.cmd.Del(ctx, keys...).Err())
	}
}

// at is the time of a tick.
func (d *driver) at(tick int) time.Time { return d.start.Add(time.Duration(tick) * time.Second) }

// fresh is a word that was not used before.
func (d *driver) fresh(prefix string) string {
	d.count++
	return fmt.Sprintf("%s%d", prefix, d.count)
}

// uniform are numbers below 1024. Those of rapid are small more often than not, which
// would make most of the calls the same.
var uniform = rapid.Custom(func(t *rapid.T) int {
	n := 0
	for range 10 {
		n *= 2
		if rapid.Bool().Draw(t, "bit") {
			n++
		}
	}
	return n
})

func (d *driver) between(label string, low, high int) int {
	return low + uniform.Draw(d.t, label)*(high-low+1)/1024
}

func (d *driver) often(label string, percent int) bool { return d.between(label, 1, 100) > 100-percent }

// one of a list.
func one[T any](d *driver, label string, list []T) T {
	v := list[d.between(label, 0, len(list)-1)]
	d.t.Logf("%s: %#v", label, v)
	return v
}

func (d *driver) drawJobs() []*jobs.Job {
	var list []*jobs.Job
	limit := d.between("group limit", 1, 2)
	for i := range d.between("jobs", 1, 5) {
		j := job(fmt.Sprintf("j%d", i))
		j.EveryNode = d.often("every node", 15)
		d.drawOverlap(j)
		j.CrashRetries = one(d, "crash retries", []int{0, 1})
		if d.often("at most once", 15) {
			j.Delivery = jobs.DeliverAtMostOnce
		}
		if d.often("pool", 25) {
			j.Pool = "gpu"
		}
		if !j.EveryNode && d.often("group", 35) {
			j.Group, j.GroupLimit = "db", limit
		}
		if i > 0 && d.often("after", 40) {
			j.After = &jobs.After{Job: fmt.Sprintf("j%d", d.between("upstream", 0, i-1)),
				When: one(d, "when", []jobs.When{jobs.WhenSuccess, jobs.WhenFailure, jobs.WhenDone})}
		}
		for k := range d.between("steps", 0, 3) {
			step := jobs.Step{Name: fmt.Sprintf("s%d", k)}
			if d.often("undo", 70) {
				step.Undo = &jobs.Undo{}
			}
			j.Steps = append(j.Steps, step)
		}
		d.t.Logf("%s: overlap %s, max_running %d, priority %d, group %q of %d, every node %v, pool %q, delivery %q, crash retries %d, after %v, %d steps",
			j.Name, j.Overlap, j.MaxRunning, j.Priority, j.Group, j.GroupLimit, j.EveryNode, j.Pool, j.Delivery, j.CrashRetries, j.After, len(j.Steps))
		list = append(list, j)
	}
	return list
}

func (d *driver) drawOverlap(j *jobs.Job) {
	overlaps := []jobs.Overlap{jobs.OverlapSkip, jobs.OverlapAllow, jobs.OverlapQueue, jobs.OverlapReplace}
	if j.EveryNode {
		overlaps = overlaps[:2]
	}
	j.Overlap, j.MaxRunning = one(d, "overlap", overlaps), 0
	if j.Overlap == jobs.OverlapAllow {
		j.MaxRunning = d.between("max running", 0, 2)
	}
	j.Priority = one(d, "priority", []int{0, 5, 9})
}

// link makes a schedule of the jobs, each of them a new value: runs keep what they were made with.
func (d *driver) link(list []*jobs.Job) {
	d.w.jobs = map[string]*jobs.Job{}
	for _, j := range list {
		next := *j
		next.Followers = nil
		d.w.jobs[j.Name] = &next
	}
	for _, j := range d.scheduled() {
		if j.After != nil {
			up := d.w.jobs[j.After.Job]
			up.Followers = append(up.Followers, j)
		}
	}
}

func (d *driver) scheduled() []*jobs.Job {
	var list []*jobs.Job
	for _, name := range d.names {
		list = append(list, d.w.jobs[name])
	}
	return list
}

// A job has two names in turn, j0 and r0.
func firstName(name string) string { return "j" + name[1:] }

func otherName(name string) string {
	if name == firstName(name) {
		return "r" + name[1:]
	}
	return firstName(name)
}

// nameIn is the name that the run's job had when the run was made.
func nameIn(id string) string {
	name, _ := jobs.JobOf(id)
	return name
}

func (d *driver) anyJob() *jobs.Job {
	return d.scheduled()[d.between("job", 0, len(d.w.jobs)-1)]
}

func (d *driver) everySlot() []slot {
	routes := []string{jobs.AnyRoute, "pool=gpu"}
	for _, m := range d.w.members {
		routes = append(routes, nodeRoute(m.boot))
	}
	var list []slot
	for _, r := range routes {
		for _, p := range []int{0, 5, 9} {
			list = append(list, slot{r, p})
		}
	}
	return list
}

func (d *driver) lead() {
	ctx := context.Background()
	if d.term != "" {
		d.terms = append(d.terms, d.term)
	}
	d.term = d.fresh("n1:boot:")
	require.NoError(d.t, d.base.cmd.Set(ctx, d.base.keys.leader(), d.term, time.Hour).Err())
	_, _, err := d.base.Install(ctx, d.term, "n1")
	require.NoError(d.t, err)
}

// boot starts a process of that name; one that was there before is gone, and may not know it.
func (d *driver) boot(name string) {
	if old := d.nodes[name]; old != nil {
		old.live = false
	}
	m := &member{name: name, boot: d.fresh("boot-")}
	d.nodes[name] = m
	d.w.members = append(d.w.members, m)
	d.stores[m.boot] = d.storeOf(d.base, d.base.opts.Namespace, name, m.boot)
}

func (d *driver) beat(name string, pool, all bool) {
	ctx, m := context.Background(), d.nodes[name]
	s := d.stores[m.boot]
	m.live, m.routes, m.holds = true, []string{jobs.AnyRoute}, map[string]bool{}
	if pool {
		m.routes = append(m.routes, "pool=gpu")
	}
	schedule := &jobs.Schedule{Digest: fmt.Sprintf("all%d", d.files)}
	if !all {
		schedule.Digest = fmt.Sprintf("some%d", d.files)
	}
	for _, j := range d.scheduled() {
		entry := *j
		has := all || !d.lacks[firstName(j.Name)]
		if !has {
			entry.Digest = "another"
		}
		m.holds[j.Name] = has
		if j.RenamedFrom != "" {
			m.holds[j.RenamedFrom] = has
		}
		schedule.Jobs = append(schedule.Jobs, &entry)
	}
	s.Serve(m.routes, noHurry)
	_, err := s.Heartbeat(ctx, jobs.Node{Slots: 4, Routes: m.routes}, []*jobs.Schedule{schedule})
	require.NoError(d.t, err)
	// It lives until this test says otherwise, however slow the machine is.
	d.heardAt(name, d.start.Add(1000*time.Hour))
}

func (d *driver) heardAt(name string, at time.Time) {
	require.NoError(d.t, d.base.cmd.ZAddXX(context.Background(), d.base.keys.nodes(), redis.Z{Score: float64(at.UnixMilli()), Member: name}).Err())
}

// action is something that may happen, when able says so.
type action struct {
	name   string
	weight int
	able   func() bool
	do     func()
}

func (d *driver) actions() []action {
	is := func(f func(*life) bool) func() bool {
		return func() bool { return len(d.w.all(f)) > 0 }
	}
	forward := func(r *life) bool { return r.place == held && r.status == jobs.Running }
	canStep := func(r *life) bool { return forward(r) && r.next < len(r.def.Steps) }
	undoing := func(r *life) bool { return r.place == held && r.undoing() }
	isHeld := func(r *life) bool { return r.place == held }
	leased := func(r *life) bool { return d.leased(r) }
	paused := func(r *life) bool { return r.place != held && r.place != over && len(r.rollback) > 0 && !r.undoing() }
	anything := func(*life) bool { return true }
	pick := func(f func(*life) bool, do func(*life)) func() {
		return func() { do(one(d, "run", d.w.all(f))) }
	}
	return []action{
		{"commit", 4, nil, d.commit},
		{"trigger", 4, nil, d.trigger},
		{"claim", 8, nil, func() { d.exchange(nil) }},
		{"step", 8, is(canStep), pick(canStep, d.step)},
		{"undone", 6, is(undoing), pick(undoing, d.undone)},
		{"finish", 8, is(isHeld), pick(isHeld, d.finish)},
		{"renew", 3, is(isHeld), d.renew},
		{"release", 4, is(isHeld), pick(isHeld, d.release)},
		{"sweep", 6, is(leased), func() { d.sweep(d.often("take running runs", 85), d.expired()) }},
		{"sweep nothing", 1, nil, func() { d.sweep(true, nil) }},
		{"sweep of old", 1, func() bool { return len(d.terms) > 0 }, d.staleSweep},
		{"impatience", 2, nil, d.impatience},
		{"cancel", 4, is(anything), pick(anything, d.cancel)},
		{"cancel what waits with something to undo", 5, is(paused), pick(paused, d.cancel)},
		{"resume rollback", 3, is(func(r *life) bool { return r.status == jobs.RollbackFailed }),
			pick(func(r *life) bool { return r.status == jobs.RollbackFailed }, d.resumeRollback)},
		{"resume what is not to be", 1, is(anything), pick(anything, d.resumeRollback)},
		{"pause", 1, nil, d.pause},
		{"resume", 2, func() bool { return len(d.w.paused) > 0 }, d.resume},
		{"stale attempt", 3, is(func(r *life) bool { return len(r.stale) > 0 }), pick(func(r *life) bool { return len(r.stale) > 0 }, d.stale)},
		{"late repeat", 1, func() bool { return len(d.accepted) > 0 }, d.lateRepeat},
		{"term", 1, nil, d.newTerm},
		{"node", 4, nil, d.node},
		{"edit", 2, nil, d.edit},
		{"rename", 2, nil, func() { d.rename(d.between("job", 0, len(d.names)-1), d.often("the file from before", 30)) }},
		{"backfill", 2, nil, d.backfill},
		{"feed", 3, func() bool { return len(d.w.backlog) > 0 }, d.feed},
	}
}

func (d *driver) leased(r *life) bool {
	return r.place == held || r.place == backOff || r.place == parked || r.place != over && r.pin != nil
}

// twice makes a call, and sometimes again at once: its reply was lost.
func (d *driver) twice(call func(again bool)) {
	call(false)
	if d.often("reply lost", 20) {
		d.t.Logf("again")
		call(true)
	}
}

// drain lets everything end: nobody fails any more, every node lives and has every
// definition. Then nothing may be left.
func (d *driver) drain() {
	ctx := context.Background()
	for name := range d.w.paused {
		_, _, err := d.base.Resume(ctx, name, "me")
		require.NoError(d.t, err)
		delete(d.w.paused, name)
	}
	for range 2 { // the names of all runs are known at the end
		for _, name := range nodeNames {
			d.beat(name, true, true)
		}
		for i, name := range d.names {
			if d.w.names[otherName(name)] != "" && d.w.jobs[name].RenamedFrom == "" {
				d.rename(i, false)
			}
		}
	}
	for round := 0; ; round++ {
		require.Less(d.t, round, 40, "unfinished: %v", ids(d.w.all(func(r *life) bool { return r.place != over })))
		for _, r := range d.w.all(func(r *life) bool { return r.status == jobs.RollbackFailed && (r.pin == nil || r.pin.live) }) {
			d.resumeRollback(r)
		}
		for _, m := range d.w.live() {
			for more := true; more; {
				runs, left := d.w.claim(m, 100)
				got, err := d.stores[m.boot].Exchange(ctx, jobs.ExchangeRequest{ClaimID: d.fresh("c"), Want: 100})
				require.NoError(d.t, err)
				require.Len(d.t, got.Claims, len(runs))
				for i, r := range runs {
					d.claimed(r, got.Claims[i])
				}
				more = left
			}
		}
		for _, r := range d.w.all(func(r *life) bool { return r.place == held }) {
			res := jobs.Result{RunID: r.id, Token: r.token, Status: jobs.Succeeded}
			if r.undoing() {
				for res.Status = jobs.RolledBack; len(r.rollback) > 0; r.rollback = r.rollback[1:] {
					held, err := d.base.Undone(ctx, r.id, r.token, r.rollback[0])
					require.NoError(d.t, err)
					require.True(d.t, held)
				}
			}
			require.True(d.t, d.w.finish(r, res))
			got, err := d.base.Exchange(ctx, jobs.ExchangeRequest{Results: []jobs.Result{res}})
			require.NoError(d.t, err)
			require.Equal(d.t, jobs.FinishOK, got.Answers[0])
		}
		d.feed()
		d.sweep(true, d.w.all(func(r *life) bool { return d.leased(r) && r.place != held }))
		d.compare()
		left := d.w.all(func(r *life) bool {
			return r.place != over || r.status == jobs.RollbackFailed && (r.pin == nil || r.pin.live)
		})
		if len(left) == 0 && len(slices.Concat(slices.Collect(maps.Values(d.w.backlog))...)) == 0 {
			break
		}
	}
	require.NoError(d.t, d.base.Rename(ctx, d.term, &jobs.Schedule{Jobs: d.scheduled()}))
	d.compare()
	d.nothingLeft()
}

// nothingLeft: a fleet at rest has no key of a life under way.
func (d *driver) nothingLeft() {
	ctx, s := context.Background(), d.base
	byHand := 0
	for _, r := range d.w.sorted() {
		if r.status == jobs.RollbackFailed {
			byHand++
		}
	}
	keys, err := s.cmd.Keys(ctx, s.keys.prefix+"*").Result()
	require.NoError(d.t, err)
	lists := 0
	for _, key := range keys {
		switch family := s.keys.familyOf(key); family {
		case "active", "waiting", "group", "groupwait", "leases", "routes", "backfill", "backfills":
			require.Fail(d.t, "left over", key)
		case "queue", "priorities":
			require.Contains(d.t, key, "node=", "left over")
			require.Positive(d.t, s.cmd.PTTL(ctx, key).Val(), "%s of a node that is gone goes by itself", key)
		case "rollback":
			lists++
			require.Positive(d.t, s.cmd.PTTL(ctx, key).Val(), "%s goes with its run", key)
		case "run":
			require.Positive(d.t, s.cmd.PTTL(ctx, key).Val(), "%s is final", key)
		}
	}
	require.Equal(d.t, byHand, lists, "only what has to be undone by hand has a list")
	require.NotContains(d.t, keys, s.keys.probe())
}
