package scheduler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"carillon/jobs"
	"carillon/leader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errOver = errors.New("the term is over")

// sheet is a schedule of these jobs.
func sheet(list ...*jobs.Job) *jobs.Schedule { return &jobs.Schedule{Jobs: list} }

// player is a scheduler in a bubble, with its log.
type player struct {
	*Scheduler
	v      *view
	log    *bytes.Buffer
	cancel context.CancelCauseFunc
	done   chan error
}

// newPlayer is a node that plays list, at its own view of the store.
func newPlayer(f *fakeStore, list ...*jobs.Job) *player {
	p := &player{v: &view{fakeStore: f, steady: time.Hour}, log: &bytes.Buffer{}}
	p.Scheduler = New(p.v, Config{Schedule: sheet(list...), Logger: slog.New(slog.NewTextHandler(p.log, nil))})
	p.nap = time.Sleep // the nap is real time, which a bubble does not have
	return p
}

// start begins a term.
func (p *player) start(t *testing.T, token string) {
	ctx, cancel := context.WithCancelCause(t.Context())
	p.cancel, p.done = cancel, make(chan error, 1)
	go func() { p.done <- p.Run(ctx, token) }()
}

// stop ends it.
func (p *player) stop(t *testing.T) {
	t.Helper()
	p.cancel(errOver)
	require.ErrorIs(t, <-p.done, errOver)
}

// bubble runs fn in a synctest bubble at an odd moment of a second.
func bubble(t *testing.T, fn func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(123456789)
		fn(t)
	})
}

func TestTicksAreCommittedWhenTheyAreDue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := []*jobs.Job{newJob(t, "second", "* * * * * *"), newJob(t, "seven", "@every 7s"), newJob(t, "minute", "* * * * *")}
		f, begin := newFakeStore(), time.Now()
		p := newPlayer(f, list...)
		p.start(t, "a")
		time.Sleep(5 * time.Minute)
		p.stop(t)
		for _, job := range list {
			f.accounted(t, job, begin, time.Now())
			for _, d := range f.page(job.Name) {
				require.Equal(t, jobs.OutcomeRan, d.outcome)
				require.Equal(t, d.tick, d.at.UTC(), "%s was not committed at its time", job.Name)
			}
		}
		assert.Equal(t, 300, f.commits, "jobs that are due together are committed together")
		assert.Equal(t, 1, f.adopts)
	})
}

func TestIdleLeaderWakesOnceASecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeStore()
		p := newPlayer(f, newJob(t, "rare", "0 0 29 2 *"), newJob(t, "by-hand"))
		p.start(t, "a")
		time.Sleep(time.Hour)
		p.stop(t)
		assert.Zero(t, f.commits)
		assert.InDelta(t, 3600, p.v.looks/2, 5)
		assert.InDelta(t, 7200, len(p.v.sweeps), 5)
	})
}

func TestDisabledAndManualJobsHaveNoTicks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		off := newJob(t, "off", "* * * * * *")
		off.Enabled = false
		f := newFakeStore()
		p := newPlayer(f, off, newJob(t, "by-hand"))
		p.start(t, "a")
		time.Sleep(time.Minute)
		p.stop(t)
		assert.Empty(t, f.books)
		assert.Len(t, f.cursors, 1, "the disabled job's cursor says that it is in the file")
	})
}

func TestWithoutAScheduleItWaitsForOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeStore()
		p := newPlayer(f)
		p.schedule = nil
		p.start(t, "a")
		time.Sleep(10 * time.Second)
		p.Reload(sheet(newJob(t, "second", "* * * * * *")))
		time.Sleep(10 * time.Second)
		p.stop(t)
		assert.Equal(t, 10, f.tally("second")[jobs.OutcomeRan])
	})
}

func TestNextLeaderGoesOnWhereTheLastOneStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		job := newJob(t, "second", "* * * * * *")
		f, begin := newFakeStore(), time.Now()
		a, b := newPlayer(f, job), newPlayer(f, job)
		a.start(t, "a")
		time.Sleep(10 * time.Second)
		a.stop(t)
		time.Sleep(5700 * time.Millisecond)
		f.give("b")
		b.start(t, "b")
		time.Sleep(10 * time.Second)
		b.stop(t)

		f.accounted(t, job, begin, time.Now())
		assert.Equal(t, map[jobs.Outcome]int{jobs.OutcomeRan: 21, jobs.OutcomeLate: 4}, f.tally("second"))
	})
}

// TestManyLeaders: terms end at any moment, in the middle of a commit too, and
// some leaders do not notice that they were replaced.
func TestManyLeaders(t *testing.T) {
	for seed := range uint64(20) {
		bubble(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			list := []*jobs.Job{newJob(t, "second", "* * * * * *"), newJob(t, "seven", "@every 7s"), newJob(t, "fed", "*/3 * * * * *")}
			list[0].Overlap, list[1].CatchUp.Policy, list[2].CatchUp.Policy = jobs.OverlapAllow, jobs.CatchUpSkip, jobs.CatchUpAll
			list[1].Jitter = 6 * time.Second
			f, begin := newFakeStore(), time.Now()
			f.runTakes["fed"] = 700 * time.Millisecond
			var stale []*player
			for i := range 12 {
				token := fmt.Sprint("node-", i)
				f.give(token)
				p := newPlayer(f, list...)
				faults := rand.New(rand.NewPCG(seed, uint64(i)+2)) // the view's lock guards it
				lost := func(op string) error {
					if faults.IntN(4) == 0 {
						return errDown
					}
					return nil
				}
				p.v.before, p.v.after = lost, lost
				p.start(t, token)
				time.Sleep(time.Duration(rng.IntN(20_000)) * time.Millisecond)
				if rng.IntN(2) == 0 {
					p.stop(t)
					time.Sleep(time.Duration(rng.IntN(8_000)) * time.Millisecond)
				} else {
					stale = append(stale, p)
				}
			}
			f.give("last")
			last := newPlayer(f, list...)
			last.start(t, "last")
			time.Sleep(30 * time.Second)
			last.stop(t)
			for _, p := range stale {
				require.ErrorIs(t, <-p.done, leader.ErrFenced)
			}
			for _, job := range list {
				f.accounted(t, job, begin, time.Now())
			}
			assert.Zero(t, f.tally("second")[jobs.OutcomeMissed]+f.tally("second")[jobs.OutcomeSkipped])
		})
	}
}

func TestFencedEndsTheTerm(t *testing.T) {
	for _, op := range []string{"adopt", "commit", "sweep"} {
		bubble(t, func(t *testing.T) {
			p := newPlayer(newFakeStore(), newJob(t, "second", "* * * * * *"))
			p.v.before = func(o string) error {
				if o == op {
					return fmt.Errorf("script: %w", leader.ErrFenced)
				}
				return nil
			}
			p.start(t, "a")
			require.ErrorIs(t, <-p.done, leader.ErrFenced, op)
		})
	}
}

func TestTermEndsWithTheCauseOfItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlayer(newFakeStore())
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errOver)
		assert.ErrorIs(t, p.Run(ctx, "a"), errOver)

		// In an outage, too.
		p.v.before = func(string) error { return errDown }
		p.start(t, "a")
		time.Sleep(time.Minute)
		p.stop(t)
	})
}

func TestOutageIsCaughtUpByTheRules(t *testing.T) {
	bubble(t, func(t *testing.T) {
		all, latest, skip := newJob(t, "all", "@every 10s"), newJob(t, "latest", "@every 10s"), newJob(t, "skip", "@every 10s")
		all.CatchUp.Policy, skip.CatchUp.Policy = jobs.CatchUpAll, jobs.CatchUpSkip
		rare := newJob(t, "rare", "@every 2m")
		list := []*jobs.Job{all, latest, skip, rare}
		f, begin := newFakeStore(), time.Now()
		p := newPlayer(f, list...)
		down := false
		tries := 0
		p.v.before = func(op string) error {
			if down {
				if op != "sweep" {
					tries++
				}
				return errDown
			}
			return nil
		}
		p.start(t, "a")
		time.Sleep(65 * time.Second)
		p.v.mu.Lock()
		down = true
		p.v.mu.Unlock()
		time.Sleep(5 * time.Minute)
		p.v.mu.Lock()
		down = false
		p.v.mu.Unlock()
		time.Sleep(60 * time.Second)
		p.stop(t)

		for _, job := range list {
			f.accounted(t, job, begin, time.Now())
		}
		assert.Equal(t, 42, f.tally("all")[jobs.OutcomeRan]+f.tally("all")[jobs.OutcomeLate], "all of them")
		assert.Equal(t, 24, f.tally("latest")[jobs.OutcomeMissed], "younger ones run anyway")
		assert.Equal(t, 24, f.tally("skip")[jobs.OutcomeMissed])
		assert.Equal(t, map[jobs.Outcome]int{jobs.OutcomeMissed: 2, jobs.OutcomeLate: 1}, f.tally("rare"))

		assert.Less(t, tries, 900, "back-off reaches half a second on average")
		said := strings.Count(p.log.String(), "does not take decisions")
		assert.InDelta(t, 55, said, 5, "at most a line every five seconds")
		assert.Equal(t, 1, strings.Count(p.log.String(), "takes decisions again"))
	})
}

// TestLostAnswer: the commit happened, the answer did not arrive, and the next
// look comes later, with other ranges.
func TestLostAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		job := newJob(t, "j", "@every 10s")
		job.CatchUp.Policy = jobs.CatchUpSkip
		f, begin := newFakeStore(), time.Now()
		first := newPlayer(f, job)
		first.start(t, "a")
		time.Sleep(time.Second)
		first.stop(t)
		time.Sleep(10 * time.Minute)

		p := newPlayer(f, job)
		lost := 0
		p.v.after = func(op string) error {
			if op != "commit" || lost == 3 {
				return nil
			}
			lost++
			p.v.fakeStore.mu.Lock()
			p.v.shift += 5 * time.Minute // and five more minutes pass before the retry
			p.v.fakeStore.mu.Unlock()
			return errDown
		}
		p.start(t, "a")
		time.Sleep(time.Minute)
		p.stop(t)
		f.accounted(t, job, begin, f.clock())
	})
}

func TestNodeAheadOfTheStoreWaitsItsPartOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		job := newJob(t, "second", "* * * * * *")
		f, begin := newFakeStore(), time.Now()
		p := newPlayer(f, job)
		p.v.estimate = 30 * time.Millisecond
		p.start(t, "a")
		time.Sleep(time.Minute)
		p.stop(t)
		f.accounted(t, job, begin, time.Now())
		for _, d := range f.page("second") {
			require.Equal(t, d.tick, d.at.UTC())
		}
		assert.Equal(t, 120, f.commits, "one early, one in time")
	})
}

func TestNodeBehindTheStoreIsLateByThat(t *testing.T) {
	bubble(t, func(t *testing.T) {
		job := newJob(t, "second", "* * * * * *")
		f, begin := newFakeStore(), time.Now()
		p := newPlayer(f, job)
		p.v.estimate = -30 * time.Millisecond
		p.start(t, "a")
		time.Sleep(time.Minute)
		p.stop(t)
		f.accounted(t, job, begin, time.Now())
		for _, d := range f.page("second") {
			require.Equal(t, 30*time.Millisecond, d.at.Sub(d.tick))
		}
	})
}

// TestBacklogIsFedOneByOne: every tick becomes a run, never two at once, and
// then the job is on time again.
func TestBacklogIsFedOneByOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		job, other := newJob(t, "fed", "@every 10s"), newJob(t, "second", "* * * * * *")
		job.CatchUp.Policy = jobs.CatchUpAll
		f, begin := newFakeStore(), time.Now()
		f.runTakes["fed"] = 3 * time.Second
		a := newPlayer(f, job, other)
		a.start(t, "a")
		time.Sleep(time.Second)
		a.stop(t)
		time.Sleep(5 * time.Minute)
		p := newPlayer(f, job, other)
		p.start(t, "a")
		back := time.Now()
		time.Sleep(5 * time.Minute)
		p.stop(t)

		f.accounted(t, job, begin, time.Now())
		tally := f.tally("fed")
		assert.Zero(t, tally[jobs.OutcomeSkipped]+tally[jobs.OutcomeMissed])
		assert.Equal(t, 60, tally[jobs.OutcomeRan]+tally[jobs.OutcomeLate])
		page := f.page("fed")
		for i := 1; i < len(page); i++ {
			require.GreaterOrEqual(t, page[i].at.Sub(page[i-1].at), 3*time.Second, "two at once")
		}
		last := page[len(page)-1]
		assert.Equal(t, jobs.OutcomeRan, last.outcome)
		assert.Equal(t, last.tick, last.at.UTC())
		for _, d := range f.page("second") { // and the others do not suffer
			if d.tick.After(back) {
				require.Equal(t, d.tick, d.at.UTC())
			}
		}
	})
}

func TestSlowJobThatIsOnTimeIsSkippedNotQueued(t *testing.T) {
	bubble(t, func(t *testing.T) {
		job := newJob(t, "slow", "@every 10s")
		job.CatchUp.Policy = jobs.CatchUpAll
		f, begin := newFakeStore(), time.Now()
		f.runTakes["slow"] = 15 * time.Second
		p := newPlayer(f, job)
		p.start(t, "a")
		time.Sleep(10 * time.Minute)
		p.stop(t)
		f.accounted(t, job, begin, time.Now())
		assert.Equal(t, map[jobs.Outcome]int{jobs.OutcomeRan: 30, jobs.OutcomeSkipped: 30}, f.tally("slow"))
	})
}

// TestReloadInTheInstantOfATick: what was due under the old file is decided
// under the old file, however much it is.
func TestClockJumps(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour, 90 * time.Second, -3 * time.Second} {
		bubble(t, func(t *testing.T) {
			job, fed := newJob(t, "j", "@every 10s"), newJob(t, "fed", "@every 10s")
			fed.CatchUp.Policy = jobs.CatchUpAll
			f, begin := newFakeStore(), time.Now()
			f.runTakes["fed"] = time.Second
			p := newPlayer(f, job, fed)
			p.start(t, "a")
			time.Sleep(61 * time.Second)
			f.setShift(by)
			time.Sleep(2 * time.Hour)
			p.stop(t)
			f.accounted(t, job, begin, f.clock())
			f.accounted(t, fed, begin, f.clock())
			assert.Equal(t, 1, strings.Count(p.log.String(), "the clock jumped"), by)
			page := f.page("j")
			last := page[len(page)-1]
			assert.Equal(t, last.tick, last.at.UTC(), "on time again")
		})
	}
}

// TestEstimateIsCorrected: a node that believed to be ten minutes ahead asked
// early, was told to wait, and is then put right.
func TestEstimateIsCorrected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		job := newJob(t, "j", "@every 10m")
		f := newFakeStore()
		p := newPlayer(f, job)
		p.v.estimate = 10 * time.Minute
		p.start(t, "a")
		time.Sleep(5500 * time.Millisecond)
		f.mu.Lock()
		p.v.estimate = 0
		f.mu.Unlock()
		time.Sleep(15 * time.Minute)
		p.stop(t)
		page := f.page("j")
		require.Len(t, page, 1)
		assert.Equal(t, page[0].tick, page[0].at.UTC())
		assert.Less(t, f.commits, 20)
	})
}

// TestReloadWhileTicksWait: a tick that waits for a run goes on waiting.
func TestAdoptWithoutACursorIsNotBelieved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlayer(newFakeStore(), newJob(t, "second", "* * * * * *"))
		p.store = &forgetful{view: p.v, times: 3}
		p.start(t, "a")
		time.Sleep(10 * time.Second)
		p.stop(t)
		assert.Contains(t, p.log.String(), "no cursor for job second")
		assert.Equal(t, 10, p.v.tally("second")[jobs.OutcomeRan]+p.v.tally("second")[jobs.OutcomeLate])
	})
}

// forgetful loses the cursors a few times.
type forgetful struct {
	*view
	times int
}

func (f *forgetful) Adopt(ctx context.Context, token string, sched []*jobs.Job) (jobs.Adopted, error) {
	adopted, err := f.view.Adopt(ctx, token, sched)
	if f.times--; f.times >= 0 {
		return jobs.Adopted{}, err
	}
	return adopted, err
}

// BenchmarkWake is real time: how long after its tick a decision arrives at the
// store. Run it with -benchtime 20x: one tick a second.
func BenchmarkWake(b *testing.B) {
	job := newJob(b, "second", "* * * * * *")
	f := newFakeStore()
	s := New(&view{fakeStore: f}, Config{Schedule: sheet(job), Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, "a") }()
	for n := 0; n < b.N; n = len(f.page("second")) {
		pause(ctx, 10*time.Millisecond)
	}
	cancel()
	<-ended
	var worst, sum time.Duration
	for _, d := range f.page("second") {
		late := d.at.Sub(d.tick)
		worst, sum = max(worst, late), sum+late
	}
	b.ReportMetric(float64(sum.Microseconds())/float64(len(f.page("second"))), "µs-late")
	b.ReportMetric(float64(worst.Microseconds()), "µs-worst")
	b.ReportMetric(0, "ns/op")
}
