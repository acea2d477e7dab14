package redisstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/internal/redistest"
	"carillon/jobs"
	"carillon/leader"
)

// TestTheStoreIsTheModel draws a schedule and then one call after another, does each to a
// store on a real redis-server and to the model (model_state_test.go), and compares after
// each. More of it: go test ./internal/redisstore -run Model -rapid.checks=5000.
func TestTheStoreIsTheModel(t *testing.T) {
	url, namespace := redistest.Shared(t)
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
	lacks  map[string]bool // jobs that the other schedule defines otherwise
	start  time.Time       // tick 0
	term   string
	terms  []string // of old
	count  int
	moves  map[move]int // that were seen, in all checks

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
	d.link(d.drawJobs())
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
	for i := range len(d.w.jobs) {
		list = append(list, d.w.jobs[fmt.Sprintf("j%d", i)])
	}
	return list
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
	schedule := &jobs.Schedule{Digest: "all"}
	if !all {
		schedule.Digest = "some"
	}
	for _, j := range d.scheduled() {
		entry := *j
		if m.holds[j.Name] = all || !d.lacks[j.Name]; !m.holds[j.Name] {
			entry.Digest = "another"
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
		{"edit", 1, nil, d.edit},
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

func (d *driver) commit() {
	var decisions []jobs.Decision
	var ticks [][2]int
	for _, j := range d.scheduled() {
		if !d.often("ticks of "+j.Name, 50) {
			continue
		}
		next := d.w.cursors[j.Name] + 1
		for range d.between("ticks", 1, 3) {
			one := jobs.Decision{Job: j, Count: 1, Outcome: jobs.OutcomeRan}
			tick, until := next, next
			switch kind := d.between("decision", 0, 9); {
			case kind == 0:
				one.Outcome = jobs.OutcomeLate
			case kind == 1:
				until += d.between("range", 0, 2)
				one.Outcome, one.Count, one.Reason = jobs.OutcomeMissed, until-tick+1, "policy: catch_up is latest"
			case kind == 2 && next > 1:
				tick, until = next-1, next-1
			case kind == 3:
				tick, until = 9000, 9000
			}
			one.Wait = (j.Overlap == jobs.OverlapSkip || j.Overlap == jobs.OverlapAllow) && !j.EveryNode && d.often("wait", 25)
			one.Tick, one.Until = d.at(tick), d.at(until)
			d.t.Logf("tick %d to %d of %s: %s, wait %v", tick, until, j.Name, one.Outcome, one.Wait)
			decisions, ticks = append(decisions, one), append(ticks, [2]int{tick, until})
			if until < 9000 {
				next = max(next, until+1)
			} else {
				break
			}
		}
	}
	if len(d.terms) > 0 && d.often("stale term", 20) {
		_, err := d.base.Commit(context.Background(), one(d, "term", d.terms), decisions)
		if len(decisions) > 0 {
			require.ErrorIs(d.t, err, leader.ErrFenced)
		}
		return
	}
	d.twice(func(bool) {
		verdicts, err := d.base.Commit(context.Background(), d.term, decisions)
		require.NoError(d.t, err)
		busy := map[string][]string{}
		for i, one := range decisions {
			kind, ways := d.w.decide(one, ticks[i][0], ticks[i][1], ticks[i][0] == 9000, busy)
			require.Equal(d.t, kind, verdicts[i].Kind, "verdict of tick %d of %s", ticks[i][0], one.Job.Name)
			if len(ways) > 0 {
				require.Contains(d.t, ways, verdicts[i].RunID)
			} else {
				require.Empty(d.t, verdicts[i].RunID)
			}
			if kind == jobs.VerdictDuplicate {
				require.Equal(d.t, d.at(d.w.cursors[one.Job.Name]), verdicts[i].Cursor)
			}
		}
	})
}

func (d *driver) backfill() {
	j := d.anyJob()
	var ticks []int
	for range d.between("ticks", 1, 4) {
		if tick := d.between("tick", 1, d.w.cursors[j.Name]+1); !slices.Contains(ticks, tick) && (tick <= d.w.cursors[j.Name] || d.often("too early", 30)) {
			ticks = append(ticks, tick)
		}
	}
	var times []time.Time
	for _, tick := range ticks {
		times = append(times, d.at(tick))
	}
	d.t.Logf("%s: ticks %v", j.Name, ticks)
	d.twice(func(bool) {
		got, err := d.base.Backfill(context.Background(), j, times, "me", false)
		require.NoError(d.t, err)
		queued, before, ok := d.w.backfill(j.Name, ticks)
		require.Equal(d.t, ok, got.Undecided.IsZero())
		require.Equal(d.t, []int{queued, before}, []int{got.Queued, got.Ran})
	})
}

func (d *driver) feed() {
	d.twice(func(bool) {
		ctx := context.Background()
		names, err := d.base.cmd.HKeys(ctx, d.base.keys.backfills()).Result()
		require.NoError(d.t, err)
		left, err := d.base.Feed(ctx, d.term, func(name string) *jobs.Job { return d.w.jobs[name] })
		require.NoError(d.t, err)
		d.w.feed(names, d.at)
		require.Equal(d.t, slices.ContainsFunc(names, func(name string) bool { return len(d.w.backlog[name]) > 0 }), left)
	})
}

func (d *driver) trigger() {
	j := d.anyJob()
	req := jobs.TriggerRequest{Job: j, Unique: d.fresh("u"), By: "me@host"}
	if d.often("request id", 30) {
		req.RequestID = one(d, "request", []string{"r1", "r2"})
	}
	d.t.Logf("%s %s", j.Name, req.Unique)
	d.twice(func(bool) {
		got, err := d.base.Trigger(context.Background(), req)
		require.NoError(d.t, err)
		id := jobs.ManualRunID(j.Name, req.Unique)
		name := j.Name + " " + req.RequestID
		switch {
		case req.RequestID != "" && d.w.requests[name] != "":
			require.Equal(d.t, jobs.TriggerReply{RunID: d.w.requests[name], Repeated: true}, got)
			return
		case d.w.runs[id] != nil:
			require.Equal(d.t, jobs.TriggerReply{RunID: id, Repeated: true}, got)
			return
		case d.w.paused[j.Name]:
			require.NotNil(d.t, got.Paused)
			return
		}
		var a admission
		if j.EveryNode {
			queued, _, repeated, ways, why := d.w.everywhere(id, j, jobs.TriggerManual, 0, nil)
			switch {
			case queued > 0:
				a.verdict = "queued"
			case repeated > 0:
				require.Equal(d.t, jobs.TriggerReply{RunID: id, Repeated: true}, got)
				return
			case len(ways) > 0:
				a = admission{"skipped", ways, why}
			default:
				require.Equal(d.t, jobs.TriggerReply{Nobody: true}, got)
				return
			}
		} else {
			a = d.w.admit(d.w.newRun(id, j, jobs.TriggerManual, 0, nil))
		}
		switch a.verdict {
		case "skipped":
			require.Empty(d.t, got.RunID)
			require.Contains(d.t, a.ways, got.InTheWay)
			require.Equal(d.t, a.why, got.Why)
			return
		case "waiting":
			require.Contains(d.t, a.ways, got.WaitsFor)
		}
		require.Equal(d.t, id, got.RunID)
		require.False(d.t, got.Repeated)
		if req.RequestID != "" {
			d.w.requests[name] = id
		}
	})
}

// exchange hands in results and claims, in one call.
func (d *driver) exchange(results []jobs.Result) {
	who := d.w.live()
	if len(who) == 0 || d.often("a node that was given up", 10) {
		who = d.w.members
	}
	m := one(d, "node", who)
	req := jobs.ExchangeRequest{ClaimID: d.fresh("c"), Results: results}
	if len(results) == 0 || d.often("claim too", 50) {
		req.Want = d.between("want", 1, 4)
	}
	d.send(m, req)
}

func (d *driver) send(m *member, req jobs.ExchangeRequest) {
	var first jobs.ExchangeReply
	d.t.Logf("node %#v: results %v", m, req.Results)
	d.twice(func(again bool) {
		got, err := d.stores[m.boot].Exchange(context.Background(), req)
		require.NoError(d.t, err)
		if again {
			require.Equal(d.t, first.Answers, got.Answers, "a repeat is answered as the first call was")
			if len(first.Claims) > 0 {
				require.Equal(d.t, first.Claims, got.Claims, "a repeat gets the same runs")
				return
			}
		} else {
			first = got
			for i, res := range req.Results {
				want := jobs.FinishSuperseded
				if d.w.finish(d.w.runs[res.RunID], res) {
					want = jobs.FinishOK
					d.accepted = append(d.accepted, res)
				}
				require.Equal(d.t, want, got.Answers[i], "result %+v", res)
				d.expectSuperseded = want == jobs.FinishSuperseded
			}
		}
		if req.Want == 0 {
			return
		}
		runs, more := d.w.claim(m, req.Want)
		require.Len(d.t, got.Claims, len(runs), "claims %v", ids(runs))
		if more { // else an element may be left that is worth nothing
			require.True(d.t, got.More, "runs are left behind")
		}
		d.t.Logf("claimed: %#v", runs)
		for i, r := range runs {
			d.claimed(r, got.Claims[i])
		}
	})
	d.listen()
	d.expectSuperseded = false
}

func (d *driver) claimed(r *life, c jobs.Claim) {
	require.Equal(d.t, r.id, c.RunID, "the order of claims")
	require.NotEmpty(d.t, c.Token)
	require.NotContains(d.t, r.stale, c.Token, "a token names one attempt")
	r.token = c.Token
	want := jobs.Claim{RunID: r.id, Token: c.Token, Job: r.def.Name, Digest: r.def.Digest, Attempt: r.attempt, Failures: r.failures,
		Trigger: r.trigger, Priority: r.def.Priority, Epoch: c.Epoch, Step: r.step}
	if r.tick > 0 {
		want.ScheduledAt = d.at(r.tick)
	}
	if r.up != nil {
		up := *r.up
		want.Upstream = &up
		if c.Upstream != nil {
			up.Error = c.Upstream.Error
		}
	}
	if r.undoing() {
		want.Undoing, want.Rollback, want.FailedAt, want.Failure = true, slices.Clone(r.rollback), r.failedAt, r.failure
		if len(want.Rollback) == 0 {
			want.Rollback = nil
		}
		if r.failure == "" {
			want.Failure = c.Failure
		}
	}
	require.Equal(d.t, want, c)
}

func (d *driver) step(r *life) {
	index := r.next
	one := r.def.Steps[index]
	d.twice(func(bool) {
		got, err := d.base.Step(context.Background(), jobs.StepRecord{RunID: r.id, Token: r.token, Index: index, Name: one.Name, Undo: one.Undo != nil})
		require.NoError(d.t, err)
		require.Equal(d.t, r.canceling == "", got, "a run that was called off starts no step")
		if got {
			d.w.record(r, index)
		}
	})
}

func (d *driver) undone(r *life) {
	if len(r.rollback) == 0 || d.often("another entry", 10) {
		held, err := d.base.Undone(context.Background(), r.id, r.token, "another")
		require.NoError(d.t, err)
		require.True(d.t, held, "it is not the head: taken off before")
		return
	}
	name := r.rollback[0]
	r.rollback = r.rollback[1:]
	d.twice(func(bool) {
		held, err := d.base.Undone(context.Background(), r.id, r.token, name)
		require.NoError(d.t, err)
		require.True(d.t, held)
	})
}

// result draws how an attempt ends, with what a node never says among it.
func (d *driver) result(r *life) jobs.Result {
	states := []jobs.State{jobs.Succeeded, jobs.Succeeded, jobs.Failed, jobs.Failed, jobs.Failed, jobs.Retrying, jobs.Retrying, jobs.Canceled}
	if r.undoing() {
		states = []jobs.State{jobs.RollbackFailed}
		if len(r.rollback) == 0 {
			states = []jobs.State{jobs.RolledBack}
		}
	}
	res := jobs.Result{RunID: r.id, Token: r.token, RetryIn: time.Hour}
	res.Status = one(d, "status", states)
	if d.often("nonsense", 4) {
		all := slices.DeleteFunc(jobs.States(), func(s jobs.State) bool {
			return slices.Contains(states, s) || s == jobs.RolledBack || s == jobs.RollbackFailed
		})
		res.Status = one(d, "nonsense", all)
	}
	if res.Status != jobs.Succeeded {
		res.Error = d.fresh("error ")
		if !r.undoing() && r.covered > 0 {
			res.FailedStep = r.def.Steps[r.step].Name
		}
	}
	return res
}

func (d *driver) finish(r *life) { d.exchange([]jobs.Result{d.result(r)}) }

func (d *driver) renew() {
	var refs []jobs.LeaseRef
	var want []jobs.RenewAnswer
	for _, r := range d.w.sorted() {
		if r.place == held && d.often("renew", 60) {
			refs = append(refs, jobs.LeaseRef{RunID: r.id, Token: r.token})
			answer := jobs.RenewOK
			if r.canceling != "" && !r.undoing() {
				answer = jobs.RenewCanceled
			}
			want = append(want, answer)
			r.renewed = true
		}
		if len(r.stale) > 0 && d.often("renew a stale one", 10) {
			refs = append(refs, jobs.LeaseRef{RunID: r.id, Token: r.stale[0]})
			want = append(want, jobs.RenewLost)
		}
	}
	if len(refs) == 0 {
		return
	}
	d.twice(func(bool) {
		got, err := d.base.Renew(context.Background(), refs)
		require.NoError(d.t, err)
		require.Equal(d.t, want, got)
	})
}

func (d *driver) release(r *life) {
	rel := jobs.Release{RunID: r.id, Token: r.token, Reason: "why",
		Kind: one(d, "kind", []jobs.ReleaseKind{jobs.ReleaseUnstarted, jobs.ReleaseStarted, jobs.ReleasePark})}
	d.w.release(r, rel)
	d.twice(func(bool) { require.NoError(d.t, d.base.Release(context.Background(), []jobs.Release{rel})) })
}

// expired draws the runs whose time in :leases is over, the first one first.
func (d *driver) expired() []*life {
	list := d.w.all(d.leased)
	var picked []*life
	for range d.between("expired", 1, min(3, len(list))) {
		i := d.between("which", 0, len(list)-1)
		d.t.Logf("expired: %#v", list[i])
		picked = append(picked, list[i])
		list = slices.Delete(list, i, i+1)
	}
	return picked
}

func (d *driver) sweep(take bool, expired []*life) {
	ctx, s := context.Background(), d.base
	var scores []redis.Z
	for _, r := range d.w.all(d.leased) {
		at := float64(s.Now().Add(time.Hour).UnixMilli())
		if i := slices.Index(expired, r); i >= 0 {
			at = float64(i + 1)
		}
		scores = append(scores, redis.Z{Score: at, Member: r.id})
	}
	if len(scores) > 0 {
		require.NoError(d.t, s.cmd.ZAddXX(ctx, s.keys.leases(), scores...).Err())
	}
	order := map[string][]int{}
	for _, q := range d.everySlot() {
		if order[q.route] == nil {
			for _, p := range s.cmd.ZRange(ctx, s.keys.priorities(q.route), 0, -1).Val() {
				order[q.route] = append(order[q.route], number(p))
			}
		}
	}
	// How long a route has not been served is a matter of time, of which the model knows nothing.
	d.w.impatient = map[string]bool{}
	for _, z := range s.cmd.ZRangeWithScores(ctx, s.keys.routes(), 0, -1).Val() {
		if since := int64(z.Score); since > 0 && since < s.Now().Add(-30*time.Minute).UnixMilli() {
			d.w.impatient[toString(z.Member)] = true
		}
	}
	_, err := s.Sweep(ctx, d.term, take)
	require.NoError(d.t, err)
	d.w.sweep(take, expired, func(route string) []int { return order[route] })
}

// impatience: what nobody could take was waiting for too long.
func (d *driver) impatience() {
	ctx, s := context.Background(), d.base
	long := s.Now().Add(-time.Hour).UnixMilli()
	var expired []*life
	for _, r := range d.w.all(func(r *life) bool { return r.place == parked }) {
		require.NoError(d.t, s.cmd.HSet(ctx, s.keys.run(r.id), "parked_at", long).Err())
		r.unclaimed = true
		expired = append(expired, r)
	}
	const route = "pool=gpu"
	if !d.w.served(route) {
		d.sweep(false, nil) // sees it
		for q, list := range d.w.queues {
			for _, id := range list {
				if r := d.w.runs[id]; q.route == route && r.claimable() {
					require.NoError(d.t, s.cmd.HSet(ctx, s.keys.run(id), "queued_at", long).Err())
					r.old = true
				}
			}
		}
		require.NoError(d.t, s.cmd.ZAddXX(ctx, s.keys.routes(), redis.Z{Score: float64(long), Member: route}).Err())
	}
	d.sweep(d.often("take running runs", 85), expired)
	d.sweep(true, expired)
}

// staleSweep: a leader of old sweeps nothing.
func (d *driver) staleSweep() {
	_, err := d.base.Sweep(context.Background(), one(d, "term", d.terms), true)
	require.ErrorIs(d.t, err, leader.ErrFenced)
}

func (d *driver) cancel(r *life) {
	why := d.fresh("reason ")
	d.twice(func(bool) {
		answer, state, err := d.base.Cancel(context.Background(), r.id, "me", why)
		require.NoError(d.t, err)
		want, status := d.w.cancel(r, "canceled by me: "+why)
		require.Equal(d.t, want, answer)
		require.Equal(d.t, status, state)
	})
}

func (d *driver) resumeRollback(r *life) {
	d.twice(func(bool) {
		ok, state, err := d.base.ResumeRollback(context.Background(), r.id, "me")
		require.NoError(d.t, err)
		want, status := d.w.resumeRollback(r)
		require.Equal(d.t, want, ok)
		require.Equal(d.t, status, state)
	})
}

func (d *driver) pause() {
	name := d.anyJob().Name
	d.twice(func(bool) {
		_, fresh, err := d.base.Pause(context.Background(), name, "me", "note")
		require.NoError(d.t, err)
		require.Equal(d.t, !d.w.paused[name], fresh)
		d.w.paused[name] = true
	})
}

func (d *driver) resume() {
	for _, j := range d.scheduled() {
		if !d.often("resume "+j.Name, 70) {
			continue
		}
		d.twice(func(bool) {
			_, was, err := d.base.Resume(context.Background(), j.Name, "me")
			require.NoError(d.t, err)
			require.Equal(d.t, d.w.paused[j.Name], was)
			delete(d.w.paused, j.Name)
		})
	}
}

// stale: an attempt that does not hold its run any more changes nothing, whatever it says.
func (d *driver) stale(r *life) {
	ctx, token := context.Background(), one(d, "token", r.stale)
	answers, err := d.base.Renew(ctx, []jobs.LeaseRef{{RunID: r.id, Token: token}})
	require.NoError(d.t, err)
	require.Equal(d.t, jobs.RenewLost, answers[0])
	held, err := d.base.Step(ctx, jobs.StepRecord{RunID: r.id, Token: token, Index: r.covered, Name: "stale", Undo: true})
	require.NoError(d.t, err)
	require.False(d.t, held)
	if len(r.rollback) > 0 {
		held, err = d.base.Undone(ctx, r.id, token, r.rollback[0])
		require.NoError(d.t, err)
		require.False(d.t, held)
	}
	require.NoError(d.t, d.base.Release(ctx, []jobs.Release{{RunID: r.id, Token: token, Kind: jobs.ReleaseStarted}}))
	d.say(jobs.Result{RunID: r.id, Token: token, Status: one(d, "status", jobs.States()), RetryIn: time.Hour})
}

// lateRepeat: a result that was accepted arrives again, much later.
func (d *driver) lateRepeat() { d.say(one(d, "result", d.accepted)) }

// say hands in a result that must change nothing.
func (d *driver) say(res jobs.Result) {
	_, err := d.base.Exchange(context.Background(), jobs.ExchangeRequest{Results: []jobs.Result{res}})
	require.NoError(d.t, err)
	d.expectSuperseded = true
	d.listen()
	d.expectSuperseded = false
}

func (d *driver) newTerm() {
	if d.often("another leader", 70) {
		d.lead()
	}
	ctx := context.Background()
	if len(d.terms) > 0 {
		_, err := d.base.Adopt(ctx, d.terms[0], d.scheduled())
		require.ErrorIs(d.t, err, leader.ErrFenced)
	}
	d.twice(func(bool) {
		adopted, err := d.base.Adopt(ctx, d.term, d.scheduled())
		require.NoError(d.t, err)
		for name, at := range adopted.Cursors {
			require.Equal(d.t, d.at(d.w.cursors[name]), at, "an unchanged job loses no tick")
		}
	})
}

func (d *driver) node() {
	name := one(d, "node", nodeNames)
	m := d.nodes[name]
	switch one(d, "what", []string{"beat", "beat", "leave", "silence", "boot"}) {
	case "beat":
		d.beat(name, d.often("pool", 50), d.often("all", 50))
	case "leave":
		require.NoError(d.t, d.stores[m.boot].Leave(context.Background()))
		m.live = false
	case "silence":
		d.heardAt(name, time.UnixMilli(1))
		m.live = false
	case "boot":
		d.boot(name)
		d.beat(name, d.often("pool", 50), d.often("all", 50))
	}
}

// edit changes what the file says of a job; runs go on as they were made.
func (d *driver) edit() {
	list := d.scheduled()
	i := d.between("job", 0, len(list)-1)
	next := *list[i]
	d.drawOverlap(&next)
	d.w.edited[next.Name] = true
	list[i] = &next
	d.t.Logf("%s: overlap %s, max_running %d, priority %d", next.Name, next.Overlap, next.MaxRunning, next.Priority)
	d.link(list)
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
	for _, name := range nodeNames {
		d.beat(name, true, true)
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
	require.False(d.t, strings.Contains(strings.Join(keys, " "), s.keys.probe()+" "))
}
