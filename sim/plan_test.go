package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A plan is all that a seed decides: the cluster, its schedule, what goes wrong when,
// and how every job behaves. It is a pure function of the seed.
type plan struct {
	seed   uint64
	began  time.Time // on the clock of Redis
	nodes  int
	ttl    time.Duration
	lease  time.Duration
	storm  time.Duration
	skews  []time.Duration // of the nodes' clocks
	jobs   []string        // of the menu
	faults []*fault
}

type faultKind string

// What can go wrong.
const (
	crashBefore     faultKind = "crash before a script"
	crashAfter      faultKind = "crash after a script, before its answer"
	stop            faultKind = "SIGTERM"
	freeze          faultKind = "pause"
	suspend         faultKind = "suspend"
	clockStep       faultKind = "step of a node's clock"
	cutReply        faultKind = "connection cut at the answer"
	lateReply       faultKind = "late answer"
	lateRequest     faultKind = "late request"
	swallowRequests faultKind = "requests vanish"
	swallowReplies  faultKind = "answers vanish"
	blackhole       faultKind = "no network"
	refusing        faultKind = "connections reset and refused"
	slowNetwork     faultKind = "slow network"
	redisForward    faultKind = "clock of Redis steps forward"
	redisBack       faultKind = "clock of Redis steps back"
	redisRestart    faultKind = "Redis restarts with its data"
	redisLoads      faultKind = "Redis loads"
	redisEmpty      faultKind = "Redis restarts without its data"
	flushAll        faultKind = "FLUSHALL"
	scriptFlush     faultKind = "SCRIPT FLUSH"
	reload          faultKind = "another schedule, node by node"
	trigger         faultKind = "trigger"
	cancelRun       faultKind = "cancel"
	pauseJob        faultKind = "pause of a job"
	resumeRollback  faultKind = "rollback resumed by hand"
	killer          faultKind = "a job that kills its node"
)

// kinds are all of them, with how often they come.
var kinds = []struct {
	kind   faultKind
	weight int
}{
	{crashBefore, 4}, {crashAfter, 6}, {stop, 2}, {freeze, 3}, {suspend, 2}, {clockStep, 2},
	{cutReply, 5}, {lateReply, 3}, {lateRequest, 4}, {swallowRequests, 3}, {swallowReplies, 4},
	{blackhole, 3}, {refusing, 3}, {slowNetwork, 2}, {redisForward, 1}, {redisBack, 1}, {redisRestart, 2},
	{redisLoads, 1}, {redisEmpty, 1}, {flushAll, 1}, {scriptFlush, 2}, {reload, 2},
	{trigger, 6}, {cancelRun, 4}, {pauseJob, 3}, {resumeRollback, 2}, {killer, 1},
}

// loses: kinds after which Redis has forgotten what it acknowledged.
func (k faultKind) loses() bool { return k == redisEmpty || k == flushAll }

// fault is one thing that goes wrong.
type fault struct {
	at     time.Duration // since the beginning
	kind   faultKind
	leader bool   // it hits whoever leads then
	node   int    // or this node
	script string // traps: at a call of this one
	skip   int    // and not at the first ones
	length time.Duration
	draw   uint64 // what else has to be chosen
}

func (f *fault) String() string {
	who := fmt.Sprintf("n%d", f.node+1)
	if f.leader {
		who = "the leader"
	}
	text := fmt.Sprintf("%7.3fs %s", f.at.Seconds(), f.kind)
	switch f.kind {
	case redisForward, redisBack, redisRestart, redisLoads, redisEmpty:
		return text + " " + f.length.String()
	case flushAll, scriptFlush, trigger, cancelRun, resumeRollback, killer:
		return text
	case pauseJob:
		return text + " for " + f.length.String()
	case crashBefore, crashAfter, cutReply, lateReply, lateRequest:
		return fmt.Sprintf("%s %s of %s (call %d) %s", text, f.script, who, f.skip+1, f.length)
	}
	return fmt.Sprintf("%s: %s %s", text, who, f.length)
}

// trapScripts are those at whose boundaries a trap is set, the likely ones more often.
var trapScripts = []string{
	"commit", "commit", "commit", "claim", "claim", "claim", "finish", "finish", "finish", "step", "step", "undone",
	"renew", "renew", "sweep", "sweep", "adopt", "term", "release", "heartbeat", "",
}

var leaderScripts = map[string]bool{"commit": true, "adopt": true, "sweep": true, "feed": true}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return (from + time.Duration(r.Int64N(int64(to-from)))).Truncate(time.Millisecond)
}

// focus narrows what a plan is drawn from. The zero value is everything.
type focus struct {
	kinds   []faultKind
	scripts []string // of traps
	jobs    []string // that are in every seed
}

// newPlan is the plan of a seed.
func newPlan(seed uint64) *plan { return drawPlan(seed, focus{}) }

func drawPlan(seed uint64, on focus) *plan {
	if on.scripts == nil {
		on.scripts = trapScripts
	}
	r := rand.New(rand.NewPCG(seed, 0xca1111011))
	p := &plan{
		seed:  seed,
		nodes: pick(r, 2, 3, 3, 3, 4),
		ttl:   pick(r, 1500*time.Millisecond, 2*time.Second, 3*time.Second, 5*time.Second),
		lease: pick(r, 8*time.Second, 8*time.Second, 10*time.Second),
		storm: between(r, 45*time.Second, 75*time.Second),
	}
	// Some begin at a change of New York's clocks, at the end of a year, or in a leap second's minute.
	p.began = pick(r,
		time.Date(2026, 3, 8, 6, 59, 30, 0, time.UTC), time.Date(2026, 11, 1, 5, 59, 20, 0, time.UTC),
		time.Date(2027, 12, 31, 23, 59, 25, 0, time.UTC), time.Date(2028, 2, 29, 4, 59, 40, 0, time.UTC),
		time.Unix(1780000000+r.Int64N(300000000), r.Int64N(1000)*1e6).UTC())
	for range p.nodes {
		skew := time.Duration(0)
		if r.IntN(2) == 0 {
			skew = between(r, -time.Hour, time.Hour)
		}
		p.skews = append(p.skews, skew)
	}
	// Of one kind each seed has some for certain: no campaign is without it.
	certain := kinds[seed%uint64(len(kinds))].kind
	if certain == resumeRollback {
		on.jobs = append(on.jobs, "undo") // whose rollbacks fail
	}
	p.jobs = drawJobs(r, on.jobs)

	// A seed has some kinds of fault only: what is rare together with everything else
	// is common in a quieter world.
	var have []faultKind
	for _, k := range kinds {
		if r.IntN(100) < 55 {
			for range k.weight {
				have = append(have, k.kind)
			}
		}
	}
	if on.kinds != nil {
		have = on.kinds
	}
	if len(have) == 0 {
		have = []faultKind{crashAfter}
	}
	for n := pick(r, 6, 6, 6, 25) + r.IntN(16); n > 0; n-- {
		kind := pick(r, have...)
		if n <= 3 && on.kinds == nil {
			kind = certain
		}
		f := &fault{at: between(r, 3*time.Second, p.storm), kind: kind, leader: r.IntN(100) < 50,
			node: r.IntN(p.nodes), draw: r.Uint64()}
		f.draws(r, p, on.scripts)
		if f.kind.loses() && slices.ContainsFunc(p.faults, func(g *fault) bool { return g.kind.loses() }) {
			continue // once a seed
		}
		p.faults = append(p.faults, f)
	}
	slices.SortStableFunc(p.faults, func(a, b *fault) int { return int(a.at - b.at) })
	return p
}

// draws chooses what a fault of its kind needs.
func (f *fault) draws(r *rand.Rand, p *plan, scripts []string) {
	switch f.kind {
	case crashBefore, crashAfter:
		f.script, f.skip, f.length = pick(r, scripts...), r.IntN(3), between(r, 200*time.Millisecond, p.lease)
	case cutReply, lateReply, lateRequest:
		f.script, f.skip, f.length = pick(r, scripts...), r.IntN(3), between(r, 100*time.Millisecond, 2*p.lease)
	case stop:
		f.length = between(r, 100*time.Millisecond, 5*time.Second)
	case freeze, suspend:
		f.length = between(r, 200*time.Millisecond, 2*p.lease)
	case clockStep:
		f.length = between(r, -time.Hour, 30*time.Second)
	case swallowRequests, swallowReplies, blackhole, refusing, slowNetwork:
		f.length = between(r, 100*time.Millisecond, pick(r, time.Second, 5*time.Second, 2*p.lease))
	case redisForward:
		f.length = pick(r, between(r, time.Second, 10*time.Second), between(r, time.Minute, time.Hour))
	case redisBack:
		f.length = between(r, 100*time.Millisecond, 5*time.Second)
	case redisRestart, redisEmpty, redisLoads:
		f.length = between(r, 50*time.Millisecond, pick(r, 500*time.Millisecond, 3*time.Second, 2*p.lease))
	case reload:
		f.length = between(r, 0, 10*time.Second)
	case pauseJob:
		f.length = between(r, 500*time.Millisecond, 15*time.Second)
	}
}

// String is what a failing seed prints of its plan.
func (p *plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d nodes, leader TTL %s, lease %s, storm %s, Redis begins at %s\n", p.seed, p.nodes, p.ttl, p.lease,
		p.storm, p.began.Format("2006-01-02T15:04:05.000Z"))
	fmt.Fprintf(&b, "clocks of the nodes: %v\njobs: %s\n", p.skews, strings.Join(p.jobs, " "))
	for _, f := range p.faults {
		fmt.Fprintf(&b, "  %s\n", f)
	}
	return b.String()
}

// hash draws what a job does at one place of its life: the same in every replay,
// whoever executes it and when.
func (p *plan) hash(parts ...any) *rand.Rand {
	h := p.seed*0x9e3779b97f4a7c15 + 1
	for _, c := range []byte(fmt.Sprint(parts...)) {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return rand.New(rand.NewPCG(h, p.seed))
}
