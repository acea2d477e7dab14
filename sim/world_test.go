package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"carillon/internal/redisstore"
	"carillon/jobs"
)

// world is one cluster in one bubble, and everything that happens to it.
type world struct {
	t       testing.TB
	p       *plan
	files   []*jobs.Schedule
	redis   *redisServer
	scripts *scripts
	witness *witness
	truth   truth
	members []*member

	operator *redisstore.Store // works through a port of its own
	hands    *port
	monitor  *redisstore.Store // sees Redis as it is
	client   *redis.Client

	healed        atomic.Bool // no faults any more
	healedAt      time.Time   // on the clock of Redis
	closed        atomic.Bool // nothing starts any more
	era           atomic.Int64
	redisWentBack atomic.Bool
	version       int // of the schedule that is rolled out
	eras          []*era
	lost          []time.Time // when the data were

	loops sync.WaitGroup // of connections
	lives sync.WaitGroup
	tasks sync.WaitGroup // what is to happen later
	over  chan struct{}  // ends what waits in tasks

	mu      sync.Mutex
	strikes map[faultKind]int
	lines   []string
	wrong   []string
	asked   map[string]string // what was triggered by hand: request -> run, "" when nobody knows
}

// result is what came of a seed.
type result struct {
	plan    *plan
	wrong   []string // broken invariants
	log     []string
	strikes map[faultKind]int
	sights  map[string]int
	runs    int // that were started
	again   int // starts beyond the first of a run
	extra   int // runs that began and met no target of the schedule
	took    time.Duration
}

// simulate plays a plan in a bubble.
func simulate(t *testing.T, p *plan, mutate *mutation) *result {
	r := &result{plan: p}
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, p, mutate)
		w.play()
		w.judge(r)
		r.wrong, r.log, r.strikes, r.sights = w.wrong, w.lines, w.strikes, w.witness.sights
	})
	r.took = time.Since(began)
	return r
}

func newWorld(t *testing.T, p *plan, mutate *mutation) *world {
	w := &world{t: t, p: p, files: p.files(), strikes: map[faultKind]int{}, asked: map[string]string{}, over: make(chan struct{})}
	w.truth.try = map[string]int{}
	w.redis = newRedis(t, time.Until(p.began))
	w.scripts = newScripts(mutate)
	w.witness = newWitness(w)
	w.eras = []*era{newEra()}
	w.client = redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", Dialer: w.redis.direct, Protocol: 2, DisableIdentity: true, MaxRetries: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}})
	w.monitor = w.open("monitor", nil)
	w.hands = newPort(w, "operator", nil)
	w.operator = w.open("operator", w.hands)
	w.loadMutants()
	for i, skew := range p.skews {
		m := &member{w: w, name: fmt.Sprintf("n%d", i+1), labels: map[string]string{"zone": string(rune('a' + i%2))}}
		m.skew.Store(int64(skew))
		w.members = append(w.members, m)
	}
	return w
}

func (w *world) open(name string, p *port) *redisstore.Store {
	dial := w.redis.direct
	if p != nil {
		dial = p.dial
	}
	s, err := redisstore.Open(redisstore.Options{URL: "redis://127.0.0.1:6379/0", Dialer: dial, Node: name, Boot: name, Lease: w.p.lease})
	if err != nil {
		panic(err)
	}
	return s
}

func (w *world) loadMutants() {
	for _, text := range w.scripts.texts {
		if err := w.client.ScriptLoad(context.Background(), text).Err(); err != nil {
			panic(err)
		}
	}
}

func (w *world) log(format string, args ...any) {
	line := fmt.Sprintf("%9.3fs ", time.Since(bubbleBegan).Seconds()) + fmt.Sprintf(format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
}

// broken says that an invariant is.
func (w *world) broken(which, format string, args ...any) {
	text := fmt.Sprintf("%9.3fs %s: ", time.Since(bubbleBegan).Seconds(), which) + fmt.Sprintf(format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.wrong) < 20 {
		w.wrong = append(w.wrong, text)
	}
	w.lines = append(w.lines, "BROKEN "+text)
}

func (w *world) struck(k faultKind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.strikes[k]++
}

// after does something in a while, unless the world ends before.
func (w *world) after(d time.Duration, do func()) {
	w.tasks.Go(func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			do()
		case <-w.over:
		}
	})
}

// play is the storm, the healing and the end.
func (w *world) play() {
	watching, unwatch := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() {
		_ = w.monitor.Watch(watching, func(batch []jobs.Event, _ bool) error {
			w.witness.heard(batch)
			return nil
		})
	})
	synctest.Wait()
	for i, m := range w.members {
		w.after(time.Duration(i)*300*time.Millisecond, m.boot)
	}
	for _, f := range w.p.faults {
		w.sleepUntil(f.at)
		w.apply(f)
	}
	w.sleepUntil(w.p.storm)

	healed := w.heal()
	w.healedAt = healed
	w.sleepUntil(time.Since(bubbleBegan) + 3*w.p.lease)
	w.lively(healed)

	w.closed.Store(true)
	w.eras[len(w.eras)-1].ended = w.redis.now()
	for _, m := range w.members {
		if l := m.living(); l != nil {
			w.wind(l)
		}
	}
	w.lives.Wait()
	close(w.over)
	w.tasks.Wait()
	w.sample()
	w.closeEra(true)
	unwatch()
	watch.Wait()
	w.hands.cut(true)
	_ = w.operator.Close()
	_ = w.monitor.Close()
	_ = w.client.Close()
	w.loops.Wait()
	time.Sleep(2 * time.Second) // go-redis probes a dead server once a second, and sees only then that it was closed
}

// wind ends a node at the end of the world, when everything works.
func (w *world) wind(l *life) {
	l.mu.Lock()
	l.told = true
	l.mu.Unlock()
	l.cancel()
	<-l.gone
	if l.err != nil {
		w.broken("I6", "%s did not end in order: %v", l.name(), l.err)
	}
}

// sleepUntil sleeps, and looks at Redis now and then.
func (w *world) sleepUntil(at time.Duration) {
	const every = 4 * time.Second
	for {
		left := at - time.Since(bubbleBegan)
		if left <= 0 {
			return
		}
		time.Sleep(min(left, every))
		if left > every/2 {
			w.sample()
		}
	}
}

// aim is the process that a fault hits; nil when there is none.
func (w *world) aim(f *fault) *life {
	if f.leader {
		if lead, ok, err := w.monitor.Leader(context.Background()); err == nil && ok {
			for _, m := range w.members {
				if l := m.living(); l != nil && m.name == lead.Node {
					return l
				}
			}
		}
	}
	return w.members[f.node].living()
}

// apply has a fault begin.
func (w *world) apply(f *fault) {
	l := w.aim(f)
	who := "nobody"
	if l != nil {
		who = l.name()
	}
	w.log("FAULT %s -> %s", f, who)
	window := func(begin, end func()) {
		w.struck(f.kind)
		begin()
		w.after(f.length, end)
	}
	switch f.kind {
	case redisForward, redisBack:
		by := f.length
		if f.kind == redisBack {
			by = -by
			w.redisWentBack.Store(true)
		}
		w.struck(f.kind)
		w.redis.step(by)
	case redisRestart, redisEmpty:
		w.struck(f.kind)
		w.redis.set(func() { w.redis.down = true })
		for _, p := range w.ports() {
			p.cut(false)
		}
		if f.kind == redisEmpty {
			w.lose()
		}
		w.flushScripts()
		w.after(f.length, func() { w.redis.set(func() { w.redis.down = false }) })
	case redisLoads:
		w.redis.set(func() { w.redis.loading = true })
		w.after(f.length, func() { w.redis.set(func() { w.redis.loading = false }) })
	case flushAll:
		w.struck(f.kind)
		w.lose()
	case scriptFlush:
		w.struck(f.kind)
		w.flushScripts()
	case reload:
		w.roll(f)
	case trigger, killer:
		w.byHand(f)
	case cancelRun, resumeRollback, pauseJob:
		w.byHand(f)
	default:
		if l == nil {
			return
		}
		switch f.kind {
		case crashBefore, crashAfter, cutReply, lateReply, lateRequest:
			l.port.set(func() { l.port.traps = append(l.port.traps, &trap{fault: f, script: f.script, skip: f.skip}) })
		case stop:
			w.struck(f.kind)
			w.stop(l, f.length)
		case freeze:
			window(func() { l.freeze(true) }, func() { l.freeze(false) })
		case suspend:
			window(func() { l.freeze(true) }, func() {
				if !w.healed.Load() { // no clock changes any more
					l.member.skew.Add(-int64(f.length))
				}
				l.freeze(false)
			})
		case clockStep:
			w.struck(f.kind)
			l.member.skew.Add(int64(f.length))
		case swallowRequests, swallowReplies, blackhole, refusing:
			l.port.set(func() { l.port.fault = f.kind })
			if f.kind == refusing {
				w.struck(f.kind)
				l.port.cut(false)
			}
			w.after(f.length, func() {
				l.port.set(func() {
					if l.port.fault == f.kind {
						l.port.fault = ""
					}
				})
			})
		case slowNetwork:
			l.port.set(func() { l.port.delay = time.Duration(f.draw % uint64(600*time.Millisecond)) })
			w.after(f.length, func() { l.port.set(func() { l.port.delay = 0 }) })
		}
	}
}

func (w *world) ports() []*port {
	list := []*port{w.hands}
	for _, m := range w.members {
		if l := m.living(); l != nil {
			list = append(list, l.port)
		}
	}
	return list
}

func (w *world) flushScripts() {
	if err := w.client.ScriptFlush(context.Background()).Err(); err != nil {
		w.broken("I6", "SCRIPT FLUSH: %v", err)
	}
	w.loadMutants()
}

// lose empties Redis between two commands, and keeps what it said until then.
func (w *world) lose() {
	w.redis.set(func() { w.redis.still = true })
	synctest.Wait()
	w.closeEra(false)
	w.redis.m.FlushAll()
	w.era.Add(1)
	w.lost = append(w.lost, time.Now())
	w.witness.forget()
	w.eras = append(w.eras, newEra())
	w.redis.set(func() { w.redis.still = false })
}

// roll gives the next version of the schedule to one node and later to the others.
func (w *world) roll(f *fault) {
	if w.version == len(w.files)-1 {
		return
	}
	w.struck(reload)
	w.version++
	version := w.version
	w.members[f.node].deploy(version)
	w.after(f.length, func() {
		for _, m := range w.members {
			m.mu.Lock()
			older := m.version < version
			m.mu.Unlock()
			if older {
				m.deploy(version)
			}
		}
	})
}

// byHand is what an operator does, over a network as bad as that of everybody.
func (w *world) byHand(f *fault) {
	w.tasks.Go(func() {
		ctx := context.Background()
		s := w.operator
		switch f.kind {
		case trigger, killer:
			name := "manual"
			if f.kind == killer {
				name = "killer"
			}
			request := fmt.Sprintf("request-%d", f.draw)
			w.ask(request, "")
			w.hinder(f.draw)
			for try := range 6 {
				reply, err := s.Trigger(ctx, jobs.TriggerRequest{Job: w.files[0].Job(name), Unique: fmt.Sprintf("%x-%d", f.draw, try), RequestID: request, By: "sim"})
				if err == nil {
					if f.kind == trigger {
						w.struck(trigger)
					}
					w.log("triggered %+v", reply)
					w.ask(request, reply.RunID)
					return
				}
				time.Sleep(300 * time.Millisecond)
			}
		case cancelRun, resumeRollback:
			filter := redisstore.RunFilter{Limit: 30}
			if f.kind == resumeRollback {
				filter = redisstore.RunFilter{Job: "undo", Status: jobs.RollbackFailed, Limit: 100}
			}
			runs, err := s.Runs(ctx, filter)
			if err != nil {
				return
			}
			runs = slices.DeleteFunc(runs, func(r jobs.Run) bool {
				return r.Status.Final() && f.kind == cancelRun
			})
			if len(runs) == 0 {
				return
			}
			run := runs[f.draw%uint64(len(runs))]
			if f.kind == resumeRollback {
				ok, status, err := s.ResumeRollback(ctx, run.ID, "sim")
				w.log("rollback of %s resumed: %v %s %v", run.ID, ok, status, err)
			} else {
				answer, status, err := s.Cancel(ctx, run.ID, "sim", "because")
				w.log("cancel %s: %s %s %v", run.ID, answer, status, err)
			}
			w.struck(f.kind)
		case pauseJob:
			job := w.p.jobs[f.draw%uint64(len(w.p.jobs))]
			if _, _, err := s.Pause(ctx, job, "sim", ""); err != nil {
				return
			}
			w.struck(pauseJob)
			w.log("%s is paused", job)
			select {
			case <-time.After(f.length):
			case <-w.over:
				return
			}
			for try := 0; try < 20; try++ {
				if _, _, err := s.Resume(ctx, job, "sim"); err == nil {
					w.log("%s is resumed", job)
					return
				}
			}
		}
	})
}

// hinder has the operator's next trigger meet a fault, three times of four: he cannot
// know whether it arrived, and asks again.
func (w *world) hinder(draw uint64) {
	if w.healed.Load() {
		return
	}
	set := func(kind faultKind, length time.Duration) {
		w.hands.set(func() {
			w.hands.traps = append(w.hands.traps, &trap{fault: &fault{kind: kind, length: length}, script: "trigger"})
		})
	}
	switch draw >> 32 % 4 {
	case 0:
		set(cutReply, 0)
	case 1: // until he has given up, and asks anew
		w.hands.set(func() { w.hands.fault = swallowReplies })
		w.after(3500*time.Millisecond, func() { w.hands.set(func() { w.hands.fault = "" }) })
	case 2:
		set(lateRequest, 5*time.Second)
	}
}

func (w *world) ask(request, run string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if before := w.asked[request]; run == "" || before == "" {
		w.asked[request] = run
	}
}

// heal ends every fault. From now on everything has to come right.
func (w *world) heal() time.Time {
	w.log("HEAL")
	w.healed.Store(true)
	w.redis.set(func() { w.redis.down, w.redis.loading = false, false })
	for _, p := range w.ports() {
		p.set(func() { p.fault, p.delay, p.traps = "", 0, nil })
	}
	for _, m := range w.members {
		if l := m.living(); l != nil {
			l.freeze(false)
		}
		m.deploy(w.version)
		m.boot()
	}
	paused, err := w.monitor.Paused(context.Background())
	if err != nil {
		w.broken("I2", "the pauses cannot be read: %v", err)
	}
	for job := range paused {
		if _, _, err := w.monitor.Resume(context.Background(), job, "sim"); err != nil {
			w.broken("I2", "%s cannot be resumed: %v", job, err)
		}
	}
	return w.redis.now()
}

// String is what is printed of a seed that failed.
func (r *result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.plan)
	for _, line := range r.log {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "\nseed %d is broken:\n", r.plan.seed)
	for _, line := range r.wrong {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "\nreplay: go test ./sim -run 'TestSim$' -seed %d -v\n", r.plan.seed)
	return b.String()
}
