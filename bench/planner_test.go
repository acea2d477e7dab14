package bench

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-co-op/gocron/v2"
	netresearch "github.com/netresearch/go-cron"
	"github.com/robfig/cron/v3"

	"carillon/jobs"
	"carillon/scheduler"
)

// plannerFor is how long a planner is watched once it holds all its jobs.
const plannerFor = 20 * time.Second

// BenchmarkPlanner is what it costs to know which of many jobs is due: 1 % of them
// each second, for 20 s of real time. Run it with -benchtime 1x.
//
// late is the time from a tick to its decision being handed to the store, for a
// peer to the first line of the job's function; nothing else is done there. cores
// is all that the process used meanwhile. load and bytes are what taking in the
// jobs costs when their definitions are made and parsed (gocron takes only the
// text of an expression, and parses it then). add is one job more while it runs,
// median of 20; for carillon, where a job comes with a file, it is in
// BenchmarkAgendaAddRemove and BenchmarkAgendaReload of the package scheduler.
// floor is one goroutine that sleeps until the next second and walks along a list
// made in advance.
func BenchmarkPlanner(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		for _, p := range []struct {
			name string
			make func(b *testing.B, crew []sitter, r *lateness) planner
		}{
			{"floor", newFloor}, {"carillon", newCarillon}, {"robfig", newRobfig},
			{"netresearch", newNetresearch}, {"gocron", newGocron},
		} {
			b.Run(fmt.Sprintf("%d/%s", n, p.name), func(b *testing.B) {
				for range b.N {
					watch(b, n, p.make)
				}
			})
		}
	}
}

// planner is one that is about to hold the jobs it was made with.
type planner interface {
	load(b *testing.B) time.Duration // and starts
	add(b *testing.B)                // one job more; nothing where that is not measured
	stop()
}

// sitter is a job: every period seconds, at the seconds that leave phase.
type sitter struct{ period, phase int64 }

// newCrew is n jobs of which 1 % are due each second: every fifth each minute and
// the others every two.
func newCrew(n int) []sitter {
	crew := make([]sitter, n)
	for i := range crew {
		crew[i] = sitter{120, int64(i % 120)}
		if i%5 == 0 {
			crew[i] = sitter{60, int64(i / 5 % 60)}
		}
	}
	return crew
}

// expr is the job's schedule, with seconds first.
func (s sitter) expr() string {
	switch {
	case s.period == 60:
		return fmt.Sprintf("%d * * * * *", s.phase)
	case s.phase < 60:
		return fmt.Sprintf("%d 0-58/2 * * * *", s.phase)
	default:
		return fmt.Sprintf("%d 1-59/2 * * * *", s.phase-60)
	}
}

// tick is the last one at or before a time. Epoch seconds count whole minutes.
func (s sitter) tick(now time.Time) time.Time {
	sec := now.Unix()
	return time.Unix(sec-(sec-s.phase)%s.period, 0)
}

// lateness collects how late ticks were, from any goroutine, while it is open.
type lateness struct {
	open    atomic.Bool
	n       atomic.Int64
	samples []time.Duration
}

func (r *lateness) note(tick, now time.Time) {
	if r.open.Load() {
		if i := r.n.Add(1) - 1; int(i) < len(r.samples) {
			r.samples[i] = now.Sub(tick)
		}
	}
}

// watch loads n jobs into a planner and measures it.
func watch(b *testing.B, n int, newPlanner func(*testing.B, []sitter, *lateness) planner) {
	r := &lateness{samples: make([]time.Duration, n)}
	crew := newCrew(n)
	p := newPlanner(b, crew, r)
	before := heapAlive()
	took := p.load(b)
	bytes := heapAlive() - before

	time.Sleep(2*time.Second - time.Duration(time.Now().Nanosecond()) - 100*time.Millisecond)
	r.open.Store(true)
	cpu := ownCPU()
	time.Sleep(plannerFor)
	cpu = ownCPU() - cpu
	r.open.Store(false)
	added := make([]time.Duration, 20)
	for i := range added {
		begun := time.Now()
		p.add(b)
		added[i] = time.Since(begun)
	}
	p.stop()
	runtime.KeepAlive(crew)

	got := min(int(r.n.Load()), len(r.samples))
	want := n / 100 * int(plannerFor/time.Second)
	b.ReportMetric(0, "ns/op") // says nothing
	b.ReportMetric(quantile(r.samples[:got], 0.5), "late-p50-ms")
	b.ReportMetric(quantile(r.samples[:got], 0.99), "late-p99-ms")
	b.ReportMetric(cpu.Seconds()/plannerFor.Seconds(), "cores")
	b.ReportMetric(100*float64(got)/float64(want), "fired-%")
	if took > 0 {
		b.ReportMetric(ms(took), "load-ms")
		b.ReportMetric(float64(bytes)/float64(n), "bytes/job")
	}
	if slices.Sort(added); added[10] > time.Microsecond {
		b.ReportMetric(float64(added[10].Nanoseconds())/1e3, "add-µs")
	}
}

// quantile sorts.
func quantile(samples []time.Duration, q float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	slices.Sort(samples)
	return ms(samples[int(q*float64(len(samples)-1))])
}

// heapAlive is what a collection leaves.
func heapAlive() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// newFloor is no planner: it knows what is due.
func newFloor(_ *testing.B, crew []sitter, r *lateness) planner {
	f := &floor{due: make([][]int32, 120), crew: crew, r: r, ended: make(chan struct{})}
	for i, s := range crew {
		for at := s.phase; at < 120; at += s.period {
			f.due[at] = append(f.due[at], int32(i))
		}
	}
	return f
}

type floor struct {
	due   [][]int32 // of each second of two minutes
	crew  []sitter
	r     *lateness
	over  atomic.Bool
	ended chan struct{}
}

func (f *floor) load(*testing.B) time.Duration {
	go func() {
		defer close(f.ended)
		for !f.over.Load() {
			now := time.Now()
			tick := now.Truncate(time.Second).Add(time.Second)
			time.Sleep(tick.Sub(now))
			for range f.due[tick.Unix()%120] {
				f.r.note(tick, time.Now())
			}
		}
	}()
	return 0
}

func (f *floor) add(*testing.B) {}

func (f *floor) stop() {
	f.over.Store(true)
	<-f.ended
}

// newCarillon is the scheduler of a leader, with a store that says yes at once.
func newCarillon(b *testing.B, crew []sitter, r *lateness) planner {
	c := &carillonPlanner{r: r, cursors: make(map[string]time.Time, len(crew)), loaded: make(chan time.Time, 1), ended: make(chan error, 1)}
	sched := &jobs.Schedule{}
	for i, s := range crew {
		spec, err := jobs.ParseSpec(s.expr(), time.UTC)
		check(b, err)
		job := &jobs.Job{
			Name: "job-" + strconv.Itoa(i), Enabled: true, Overlap: jobs.OverlapSkip, Specs: []*jobs.Spec{spec}, Timing: s.expr(),
			CatchUp: jobs.CatchUp{Policy: jobs.CatchUpLatest, Window: 24 * time.Hour, Max: 100},
		}
		sched.Jobs = append(sched.Jobs, job)
		c.cursors[job.Name] = time.Time{}
	}
	c.sched = scheduler.New(c, scheduler.Config{Schedule: sched, Logger: slog.New(slog.DiscardHandler)})
	return c
}

// carillonPlanner is the scheduler and its store at once.
type carillonPlanner struct {
	sched    *scheduler.Scheduler
	r        *lateness
	cursors  map[string]time.Time
	adopting time.Duration
	loaded   chan time.Time
	verdicts []jobs.Verdict
	cancel   context.CancelFunc
	ended    chan error
}

// load is from the beginning of the term to its first sweep, which waits for the
// agenda, without what the store does.
func (c *carillonPlanner) load(*testing.B) time.Duration {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	begun := time.Now()
	go func() { c.ended <- c.sched.Run(ctx, "token") }()
	return (<-c.loaded).Sub(begun) - c.adopting
}

func (c *carillonPlanner) add(*testing.B) {}

func (c *carillonPlanner) stop() {
	c.cancel()
	<-c.ended
}

func (c *carillonPlanner) Now() time.Time { return time.Now() }

func (c *carillonPlanner) Rename(context.Context, string, *jobs.Schedule) error { return nil }

func (c *carillonPlanner) Adopt(context.Context, string, []*jobs.Job) (jobs.Adopted, error) {
	begun := time.Now()
	now := begun.Round(0)
	for name := range c.cursors {
		c.cursors[name] = now
	}
	c.adopting = time.Since(begun)
	return jobs.Adopted{Cursors: c.cursors}, nil
}

func (c *carillonPlanner) Commit(_ context.Context, _ string, ds []jobs.Decision) ([]jobs.Verdict, error) {
	now := time.Now()
	c.verdicts = c.verdicts[:0]
	for i := range ds {
		c.r.note(ds[i].Tick, now)
		c.verdicts = append(c.verdicts, jobs.Verdict{Kind: jobs.VerdictRan})
	}
	return c.verdicts, nil
}

func (c *carillonPlanner) Sweep(context.Context, string, bool, func(string) *jobs.Job) (bool, error) {
	select {
	case c.loaded <- time.Now():
	default:
	}
	return false, nil
}

func (c *carillonPlanner) Feed(context.Context, string, func(string) *jobs.Job) (bool, error) {
	return false, nil
}

func (c *carillonPlanner) SteadyFor() time.Duration { return time.Hour }

// newRobfig is robfig/cron v3.
func newRobfig(b *testing.B, crew []sitter, r *lateness) planner {
	parser := cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	p := &robfigPlanner{cron: cron.New(cron.WithLocation(time.UTC))}
	for _, s := range crew {
		spec, err := parser.Parse(s.expr())
		check(b, err)
		p.specs = append(p.specs, spec)
		p.funcs = append(p.funcs, cron.FuncJob(func() { now := time.Now(); r.note(s.tick(now), now) }))
	}
	return p
}

type robfigPlanner struct {
	cron  *cron.Cron
	specs []cron.Schedule
	funcs []cron.Job
}

func (p *robfigPlanner) load(*testing.B) time.Duration {
	begun := time.Now()
	for i, spec := range p.specs {
		p.cron.Schedule(spec, p.funcs[i])
	}
	p.cron.Start()
	p.cron.Entries() // answers when all have a next time
	return time.Since(begun)
}

func (p *robfigPlanner) add(*testing.B) { p.cron.Schedule(p.specs[0], p.funcs[0]) }
func (p *robfigPlanner) stop()          { <-p.cron.Stop().Done() }

// newNetresearch is netresearch/go-cron, robfig's successor with a heap.
func newNetresearch(b *testing.B, crew []sitter, r *lateness) planner {
	parser := netresearch.NewParser(netresearch.Second | netresearch.Minute | netresearch.Hour | netresearch.Dom | netresearch.Month | netresearch.Dow)
	p := &netresearchPlanner{cron: netresearch.New(netresearch.WithLocation(time.UTC))}
	for _, s := range crew {
		spec, err := parser.Parse(s.expr())
		check(b, err)
		p.specs = append(p.specs, spec)
		p.funcs = append(p.funcs, netresearch.FuncJob(func() { now := time.Now(); r.note(s.tick(now), now) }))
	}
	return p
}

type netresearchPlanner struct {
	cron  *netresearch.Cron
	specs []netresearch.Schedule
	funcs []netresearch.Job
}

func (p *netresearchPlanner) load(b *testing.B) time.Duration {
	begun := time.Now()
	for i, spec := range p.specs {
		_, err := p.cron.ScheduleJob(spec, p.funcs[i])
		check(b, err)
	}
	p.cron.Start()
	p.cron.Entries()
	return time.Since(begun)
}

func (p *netresearchPlanner) add(b *testing.B) {
	_, err := p.cron.ScheduleJob(p.specs[0], p.funcs[0])
	check(b, err)
}

func (p *netresearchPlanner) stop() { <-p.cron.Stop().Done() }

// newGocron is go-co-op/gocron v2.
func newGocron(b *testing.B, crew []sitter, r *lateness) planner {
	s, err := gocron.NewScheduler(gocron.WithLocation(time.UTC))
	check(b, err)
	p := &gocronPlanner{sched: s, crew: crew}
	for _, s := range crew {
		p.funcs = append(p.funcs, func() { now := time.Now(); r.note(s.tick(now), now) })
	}
	return p
}

type gocronPlanner struct {
	sched gocron.Scheduler
	crew  []sitter
	funcs []func()
}

func (p *gocronPlanner) load(b *testing.B) time.Duration {
	begun := time.Now()
	for i := range p.crew {
		p.put(b, i)
	}
	p.sched.Start()
	return time.Since(begun)
}

func (p *gocronPlanner) put(b *testing.B, i int) {
	_, err := p.sched.NewJob(gocron.CronJob(p.crew[i].expr(), true), gocron.NewTask(p.funcs[i]))
	check(b, err)
}

func (p *gocronPlanner) add(b *testing.B) { p.put(b, 0) }
func (p *gocronPlanner) stop()            { _ = p.sched.Shutdown() }
