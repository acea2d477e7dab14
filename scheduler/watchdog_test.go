package scheduler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// yard is a fleet in a bubble: nodes that watch the one that leads.
type yard struct {
	*fakeStore
	t     *testing.T
	nodes []*watcher

	mu       sync.Mutex
	leader   *watcher
	since    time.Time // of its term
	down     error     // what the store answers to followers
	full     error     // and to votes
	votes    map[string]time.Time
	alarms   []string // who found whom silent, and why; once each
	deposals []string
}

// watcher is one node of it.
type watcher struct {
	*player
	y      *yard
	name   string
	dog    *Watchdog
	steady time.Duration
	terms  int
	said   *tape
}

// tape is a log that can be read while it is written.
type tape struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *tape) Write(b []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.text.Write(b) }
func (l *tape) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.text.String() }

func newYard(t *testing.T, digest string, list ...*jobs.Job) *yard {
	y := &yard{fakeStore: newFakeStore(), t: t, votes: map[string]time.Time{}}
	for _, name := range []string{"a", "b", "c"} {
		w := &watcher{y: y, name: name, player: newPlayer(y.fakeStore), steady: time.Hour, said: &tape{}}
		w.schedule = &jobs.Schedule{Digest: digest, Jobs: list}
		w.dog = NewWatchdog(w.Scheduler, w, WatchConfig{Logger: slog.New(slog.NewTextHandler(w.said, nil))})
		y.nodes = append(y.nodes, w)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.dog.Run(ctx) }()
		t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	}
	return y
}

// watched is a yard in which the first node leads.
func watched(t *testing.T, fn func(t *testing.T, y *yard), list ...*jobs.Job) {
	bubble(t, func(t *testing.T) {
		y := newYard(t, "s1", list...)
		y.lead(0)
		fn(t, y)
		if y.leader != nil {
			y.retire()
		}
	})
}

// gated is a store whose calls may take their time.
type gated struct {
	Store
	gate func(op string)
}

func (g *gated) Adopt(ctx context.Context, token string, list []*jobs.Job) (jobs.Adopted, error) {
	g.gate("adopt")
	return g.Store.Adopt(ctx, token, list)
}

func (g *gated) Commit(ctx context.Context, token string, ds []jobs.Decision) ([]jobs.Verdict, error) {
	g.gate("commit")
	return g.Store.Commit(ctx, token, ds)
}

// gates lets a node's calls pass through gate.
func (w *watcher) gates(gate func(op string)) {
	w.Scheduler.store = &gated{Store: w.v, gate: gate}
}

// lead begins a term of a node.
func (y *yard) lead(i int) {
	w := y.nodes[i]
	w.terms++
	token := fmt.Sprint(w.name, ":", w.terms)
	y.give(token)
	y.mu.Lock()
	y.leader, y.since = w, y.clock()
	y.mu.Unlock()
	w.start(y.t, token)
}

// retire ends it.
func (y *yard) retire() {
	w := y.leader
	y.mu.Lock()
	y.leader = nil
	y.mu.Unlock()
	y.give("")
	w.cancel(errOver)
	require.Error(y.t, <-w.done)
}

// outcome is who was deposed, and what alarms there were.
func (y *yard) outcome() (deposals, alarms []string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Clone(y.deposals), slices.Clone(y.alarms)
}

func (y *yard) set(change func()) { y.mu.Lock(); defer y.mu.Unlock(); change() }

// quiet fails if anybody was alarmed.
func (y *yard) quiet(why string) {
	y.t.Helper()
	y.mu.Lock()
	defer y.mu.Unlock()
	assert.Empty(y.t, y.alarms, why)
	assert.Empty(y.t, y.deposals, why)
}

func (w *watcher) Now() time.Time           { return w.y.clockNow() }
func (w *watcher) SteadyFor() time.Duration { w.y.mu.Lock(); defer w.y.mu.Unlock(); return w.steady }

func (y *yard) clockNow() time.Time {
	y.fakeStore.mu.Lock()
	defer y.fakeStore.mu.Unlock()
	return y.clock()
}

func (w *watcher) Sight(_ context.Context, leader string, list []*jobs.Job) (jobs.Sight, error) {
	y := w.y
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.down != nil {
		return jobs.Sight{}, y.down
	}
	y.fakeStore.mu.Lock()
	defer y.fakeStore.mu.Unlock()
	s := jobs.Sight{At: y.clock(), Token: y.seat}
	if y.leader != nil {
		s.Node, s.Since, s.Moved = y.leader.name, y.since, y.moved
		if sched := y.leader.current(); leader == s.Node {
			s.Digest, s.Zoneinfo, s.Revision = sched.Digest, sched.Zoneinfo, sched.Revision
		}
	}
	for _, job := range list {
		at := y.cursors[job.Name]
		s.Cursors = append(s.Cursors, jobs.CursorSight{Decided: at, Timing: y.timing[job.Name], Gone: y.timing[job.Name] == "gone",
			Unfinished: y.busy[job.Name].After(y.clock())})
	}
	return s, nil
}

func (w *watcher) Candidates(context.Context) (live []jobs.Node, err error) {
	for _, n := range w.y.nodes {
		sched := n.current()
		live = append(live, jobs.Node{Name: n.name, Digest: sched.Digest, Revision: sched.Revision})
	}
	return live, nil
}

// Accuse counts as depose.lua does.
func (w *watcher) Accuse(_ context.Context, a jobs.Accusation) (jobs.AccusationReply, error) {
	y := w.y
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.full != nil {
		return jobs.AccusationReply{}, y.full
	}
	if y.leader == nil || !strings.HasPrefix(a.Token, y.leader.name+":") {
		return jobs.AccusationReply{Answer: jobs.AccusedGone}, nil
	}
	if _, again := y.votes[w.name+a.Token]; !again {
		y.alarms = append(y.alarms, w.name+" of "+y.leader.name+": "+a.Why)
	}
	y.votes[w.name+a.Token] = time.Now()
	r := jobs.AccusationReply{Answer: jobs.AccusedNoted}
	for _, n := range y.nodes {
		if n != y.leader && n.current().Digest == y.leader.current().Digest {
			r.Voters++
			if at, voted := y.votes[n.name+a.Token]; voted && time.Since(at) <= 6*time.Second {
				r.Votes++
			}
		}
	}
	if 2*r.Votes > r.Voters {
		r.Answer = jobs.AccusedDeposed
		y.deposals = append(y.deposals, y.leader.name)
		y.leader = nil
		y.give("")
	}
	return r, nil
}

// takes is how long a run of a job is unfinished.
func (y *yard) takes(job string, d time.Duration) {
	y.fakeStore.mu.Lock()
	defer y.fakeStore.mu.Unlock()
	y.runTakes[job] = d
}

// Without an alarm.

func everyKind(t *testing.T) []*jobs.Job {
	long := newJob(t, "long", "@every 20s")
	long.CatchUp.Policy = jobs.CatchUpAll
	grouped := newJob(t, "grouped", "@every 7s")
	grouped.CatchUp.Policy, grouped.Group = jobs.CatchUpAll, "g"
	off := newJob(t, "off", "* * * * * *")
	off.Enabled = false
	return []*jobs.Job{newJob(t, "second", "* * * * * *"), jittered(t, "minute", "* * * * *", 50*time.Second), long, grouped, off,
		newJob(t, "by-hand"), newJob(t, "rare", "0 0 29 2 *"), newJob(t, "hourly", "@hourly")}
}

func TestALeaderAtWorkIsNotSilent(t *testing.T) {
	watched(t, func(t *testing.T, y *yard) {
		y.takes("long", 5*time.Minute) // its ticks are skipped, or wait
		y.takes("grouped", 10*time.Minute)
		time.Sleep(3 * time.Hour)
		y.quiet("for three hours")
	}, everyKind(t)...)
}

func TestNothingDueIsNotSilence(t *testing.T) {
	watched(t, func(t *testing.T, y *yard) {
		time.Sleep(26 * time.Hour)
		y.quiet("nothing was due, or once")
	}, newJob(t, "daily", "0 3 * * *"))
}

func TestASlowLeaderIsNotSilent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		y := newYard(t, "s1", newJob(t, "second", "* * * * * *"))
		y.nodes[0].gates(func(string) { time.Sleep(10 * time.Second) })
		y.lead(0)
		time.Sleep(time.Hour)
		y.quiet("each call takes ten seconds")
		y.retire()
	})
}

// A backlog of thousands, worked off slowly: what is due meanwhile waits for minutes.
func TestALeaderThatCatchesUpIsNotSilent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var list []*jobs.Job
		for i := range 40 {
			job := newJob(t, fmt.Sprint("all", i), "* * * * * *")
			job.CatchUp, job.Overlap = jobs.CatchUp{Policy: jobs.CatchUpAll, Window: time.Hour, Max: 10000}, jobs.OverlapAllow
			list = append(list, job)
		}
		y := newYard(t, "s1", append(list, newJob(t, "minute", "* * * * *"))...)
		for _, job := range y.nodes[0].schedule.Jobs {
			y.cursors[job.Name], y.timing[job.Name] = time.Now().Add(-time.Hour), job.Timing
		}
		y.nodes[0].gates(func(string) { time.Sleep(3 * time.Second) })
		y.lead(0)
		time.Sleep(2 * time.Minute)
		y.set(func() {
			y.fakeStore.mu.Lock()
			defer y.fakeStore.mu.Unlock()
			assert.Less(t, len(y.books), 144_000, "it is still busy")
		})
		y.quiet("a backlog")
		y.retire()
	})
}

func TestLeadersComeAndGoWithoutAnAlarm(t *testing.T) {
	watched(t, func(t *testing.T, y *yard) {
		for i := range 30 {
			time.Sleep(time.Duration(3+i) * time.Second)
			y.retire()
			time.Sleep(time.Duration(i) * time.Second) // vacant
			y.lead(i % 3)
		}
		time.Sleep(time.Minute)
		y.quiet("terms end, seats are vacant, terms begin")
	}, newJob(t, "second", "* * * * * *"))
}

func TestAStoreThatHangsAccusesNobody(t *testing.T) {
	watched(t, func(t *testing.T, y *yard) {
		away := errors.New("no answer")
		for range 10 {
			time.Sleep(time.Minute)
			y.set(func() { y.down = away })
			y.nodes[0].refuse("commit")
			time.Sleep(time.Minute)
			y.set(func() { y.down = nil }) // the followers see it before the leader does
			time.Sleep(10 * time.Second)
			y.nodes[0].refuse("nothing")
		}
		y.quiet("nobody had an answer")
	}, newJob(t, "second", "* * * * * *"))
}

func TestClockStepsAreNoSilence(t *testing.T) {
	watched(t, func(t *testing.T, y *yard) {
		for _, shift := range []time.Duration{time.Hour, 0, 5 * time.Second, 24 * time.Hour, -24 * time.Hour, 0} {
			time.Sleep(2 * time.Minute)
			y.setShift(shift)
		}
		time.Sleep(2 * time.Minute)
		y.quiet("the clock of the store jumps")
	}, newJob(t, "second", "* * * * * *"), newJob(t, "hourly", "@hourly"))
}

// A roll-out: the followers have the new file minutes before the leader.
func TestARollOutIsNoSilence(t *testing.T) {
	old, added := newJob(t, "second", "* * * * * *"), newJob(t, "added", "* * * * * *")
	moved := newJob(t, "second", "@every 2s")
	watched(t, func(t *testing.T, y *yard) {
		for round := range 4 {
			next := &jobs.Schedule{Digest: fmt.Sprint("s", round+2), Jobs: []*jobs.Job{moved, added}}
			if round%2 == 1 {
				next.Jobs = []*jobs.Job{old}
			}
			time.Sleep(time.Minute)
			y.nodes[1].Reload(next)
			time.Sleep(time.Minute)
			y.nodes[2].Reload(next)
			time.Sleep(4 * time.Minute)
			y.nodes[0].Reload(next)
		}
		time.Sleep(10 * time.Minute)
		y.quiet("the files differed for five minutes")

		// With revisions it may last: they say who should lead.
		next := &jobs.Schedule{Digest: "s9", Revision: 9, Jobs: []*jobs.Job{moved, added}}
		y.nodes[1].Reload(next)
		y.nodes[2].Reload(next)
		time.Sleep(time.Hour)
		y.quiet("another revision is no mistake")
	}, old)
}

// With an alarm.

func TestAHungLeaderIsDeposed(t *testing.T) {
	for _, where := range []string{"commit", "adopt"} {
		t.Run(where, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				job := newJob(t, "second", "* * * * * *")
				y := newYard(t, "s1", job, newJob(t, "hourly", "@hourly"))
				release, begin := make(chan struct{}), time.Now()
				y.nodes[0].gates(func(op string) {
					if op == where && (where == "adopt" || time.Since(begin) >= 30*time.Second) {
						<-release
					}
				})
				y.cursors["second"], y.timing["second"] = begin, job.Timing
				y.lead(0)
				hungLeader := y.nodes[0]
				time.Sleep(30*time.Second + DefaultGrace)
				if where == "commit" {
					y.quiet("not before the grace is over")
				}
				time.Sleep(7 * time.Second)
				deposals, alarms := y.outcome()
				assert.Equal(t, []string{"a"}, deposals)
				require.Len(t, alarms, 2)
				assert.Contains(t, alarms[0], "of a: job second is due since ")
				assert.Contains(t, alarms[0], ", and nothing was decided for ")
				y.lead(1)
				time.Sleep(time.Minute)
				assert.Equal(t, Silence{Noticed: 1}, y.nodes[1].dog.Silence())
				assert.Equal(t, Silence{Noticed: 1}, y.nodes[2].dog.Silence())
				assert.Zero(t, y.nodes[0].dog.Silence())
				close(release)
				require.Error(t, <-hungLeader.done, "its token holds nothing any more")
				time.Sleep(time.Minute)
				deposals, _ = y.outcome()
				assert.Len(t, deposals, 1)
				y.retire()
				y.accounted(t, job, begin, time.Now())
			})
		})
	}
}

// hung is a yard whose leader hangs at its first commit, until the test ends.
func hung(t *testing.T, fn func(t *testing.T, y *yard), list ...*jobs.Job) {
	bubble(t, func(t *testing.T) {
		y := newYard(t, "s1", list...)
		release := make(chan struct{})
		w := y.nodes[0]
		w.gates(func(op string) {
			if op == "commit" {
				<-release
			}
		})
		y.lead(0)
		fn(t, y)
		close(release)
		w.cancel(errOver)
		require.Error(t, <-w.done)
	})
}

func TestWhoIsNotSureDoesNotVote(t *testing.T) {
	second := newJob(t, "second", "* * * * * *")
	for name, spoil := range map[string]func(y *yard){
		"cut off":         func(y *yard) { y.down = errors.New("no answer") },
		"a broken record": func(y *yard) { y.nodes[1].steady, y.nodes[2].steady = 14*time.Second, 0 },
		"another file":    func(y *yard) { y.nodes[1].Reload(sheet(second)); y.nodes[2].Reload(sheet(second)) },
		"other zones": func(y *yard) {
			for _, n := range y.nodes[1:] {
				n.Reload(&jobs.Schedule{Digest: "s1", Zoneinfo: "other", Jobs: []*jobs.Job{second}})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			hung(t, func(t *testing.T, y *yard) {
				y.set(func() { spoil(y) })
				time.Sleep(4 * time.Minute)
				y.quiet("nobody can say")
			}, second)
		})
	}
}

// Redis refuses every write: not the fault of who leads.
func TestWhoIsRefusedAccusesNobody(t *testing.T) {
	watched(t, func(t *testing.T, y *yard) {
		time.Sleep(time.Minute)
		y.set(func() { y.full = errors.New("OOM command not allowed") })
		y.nodes[0].refuse("commit")
		time.Sleep(10 * time.Minute)
		assert.Equal(t, Silence{Lasts: true, Noticed: 1}, y.nodes[1].dog.Silence())
		y.set(func() { y.full = nil }) // the leader's next try is a second away
		time.Sleep(time.Second)
		y.nodes[0].refuse("nothing")
		time.Sleep(10 * time.Minute)
		y.quiet("everybody was refused")
		assert.Equal(t, Silence{Noticed: 1}, y.nodes[1].dog.Silence())
		assert.Contains(t, y.nodes[1].said.String(), "this node cannot write either")
		assert.Contains(t, y.nodes[1].said.String(), "ticks are decided again")
		assert.LessOrEqual(t, strings.Count(y.nodes[1].said.String(), "\n"), 10, "not a line a look")
	}, newJob(t, "second", "* * * * * *"))
}

// Only the leader is refused: its rights were taken away.
func TestALeaderThatIsRefusedIsDeposed(t *testing.T) {
	watched(t, func(t *testing.T, y *yard) {
		time.Sleep(time.Minute)
		w := y.nodes[0]
		w.refuse("commit")
		time.Sleep(DefaultGrace + 7*time.Second)
		deposals, _ := y.outcome()
		assert.Equal(t, []string{"a"}, deposals)
		w.refuse("nothing")
		require.Error(t, <-w.done)
	}, newJob(t, "second", "* * * * * *"))
}

// The leader never got the file that the others have.
func TestAWrongFileIsReportedByTheMajority(t *testing.T) {
	second, added := newJob(t, "second", "* * * * * *"), newJob(t, "added", "* * * * * *")
	watched(t, func(t *testing.T, y *yard) {
		next := &jobs.Schedule{Digest: "s2", Jobs: []*jobs.Job{second, added}}
		y.nodes[1].Reload(next)
		time.Sleep(20 * time.Minute)
		y.quiet("one of three")
		y.nodes[2].Reload(next)
		time.Sleep(driftGrace + 5*time.Second)
		deposals, alarms := y.outcome()
		require.Len(t, alarms, 2, "two of three")
		assert.Contains(t, alarms[0], "of a: job added is due since ")
		assert.Contains(t, alarms[0], ", and the leader has another schedule, in which it is not")
		assert.Empty(t, deposals, "nobody may depose it")
		y.nodes[0].Reload(next)
		time.Sleep(10 * time.Second)
		assert.Contains(t, y.nodes[2].said.String(), "ticks are decided again")
	}, second)
}

// A follower that starts beside a leader that has hung for minutes sees it too.
func TestAFollowerThatStartsLateSeesIt(t *testing.T) {
	hung(t, func(t *testing.T, y *yard) {
		y.set(func() { y.down = errors.New("not there yet") })
		time.Sleep(8 * time.Minute) // the next tick is an hour away
		y.set(func() { y.down = nil })
		time.Sleep(DefaultGrace + 7*time.Second)
		deposals, _ := y.outcome()
		assert.Equal(t, []string{"a"}, deposals)
	}, newJob(t, "hourly", "1 * * * *"))
}
