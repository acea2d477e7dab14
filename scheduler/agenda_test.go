package scheduler

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/jobs"
)

// planned is an agenda of jobs that all have the same cursor.
func planned(t testing.TB, cursor time.Time, list ...*jobs.Job) *agenda {
	t.Helper()
	cursors := map[string]time.Time{}
	for _, job := range list {
		cursors[job.Name] = cursor
	}
	a, err := newAgenda(list, jobs.Adopted{Cursors: cursors})
	require.NoError(t, err)
	return a
}

// yes answers every decision as a store does in which nothing is in the way.
func yes(ds []jobs.Decision) []jobs.Verdict {
	vs := make([]jobs.Verdict, len(ds))
	for i, d := range ds {
		vs[i].Kind = jobs.VerdictRecorded
		if d.Outcome != jobs.OutcomeMissed {
			vs[i].Kind = jobs.VerdictRan
		}
	}
	return vs
}

func TestAgendaOfManyJobsMissesNoneOfThem(t *testing.T) {
	const n = 10_000
	rng := rand.New(rand.NewPCG(1, 2))
	list := make([]*jobs.Job, n)
	cursors := map[string]time.Time{}
	for i := range list {
		expr := []string{"@every 7s", "*/5 * * * * *", "* * * * *", "1 12 * * *", "@every 3m", "0 0 1 1 *"}[rng.IntN(6)]
		list[i] = newJob(t, fmt.Sprintf("job-%d", i), expr)
		cursors[list[i].Name] = noon
	}
	a, err := newAgenda(list, jobs.Adopted{Cursors: cursors})
	require.NoError(t, err)

	for now := noon; now.Before(noon.Add(2 * time.Minute)); {
		now = now.Add(time.Duration(rng.IntN(4000)) * time.Millisecond)
		want := map[string][]string{}
		for _, job := range list { // the scan that the heap replaces
			if ds := Due(job, cursors[job.Name], now); len(ds) > 0 {
				want[job.Name] = lines(ds)
				cursors[job.Name] = ds[len(ds)-1].Until
			}
		}
		got := map[string][]string{}
		before := time.Time{}
		for {
			ds := a.due(now)
			if len(ds) == 0 {
				break
			}
			assert.False(t, ds[0].Tick.Before(before), "oldest first")
			before = ds[0].Tick
			for _, d := range ds {
				got[d.Job.Name] = append(got[d.Job.Name], lines([]jobs.Decision{d})...)
			}
			require.NoError(t, a.settle(ds, yes(ds), now))
		}
		require.Equal(t, want, got)
		next, ok := a.next()
		require.True(t, ok)
		require.True(t, next.After(now))
	}
}

// sound checks what holds between any two calls: the heap is in order, every entry
// knows its place in it, and the index knows every entry.
func sound(t require.TestingT, a *agenda) {
	inHeap := 0
	for i, e := range a.entries {
		if e.place != nowhere {
			inHeap++
			require.Equal(t, int32(i), a.heap[e.place].entry, "the place of %s", e.job.Name)
		}
		require.Equal(t, int32(i), a.index[e.job.Name])
	}
	require.Len(t, a.heap, inHeap)
	require.Len(t, a.index, len(a.entries))
	for k := 1; k < len(a.heap); k++ {
		require.LessOrEqual(t, a.heap[(k-1)/4].at, a.heap[k].at)
	}
}

func TestHeapKeepsOrder(t *testing.T) {
	a := &agenda{index: map[string]int32{}}
	rng := rand.New(rand.NewPCG(3, 4))
	want := map[int32]int64{}
	for range 3000 {
		switch i := int32(rng.IntN(len(a.entries) + 1)); {
		case int(i) == len(a.entries):
			job := &jobs.Job{Name: fmt.Sprint(i)}
			a.entries = append(a.entries, entry{job: job, place: nowhere})
			a.index[job.Name] = i
			fallthrough
		case a.entries[i].place == nowhere:
			at := noon.Add(time.Duration(rng.IntN(500)) * time.Second)
			a.push(i, at)
			want[i] = at.UnixMicro()
		default:
			a.take(i)
			delete(want, i)
		}
		sound(t, a)
	}
	require.Len(t, a.heap, len(want))
	for before := int64(0); len(want) > 0; {
		at := a.heap[0].at
		require.LessOrEqual(t, before, at)
		i := a.pop()
		require.Equal(t, want[i], at)
		delete(want, i)
		before = at
	}
	assert.Empty(t, a.heap)
}

func TestAgendaIsSmall(t *testing.T) {
	assert.LessOrEqual(t, unsafe.Sizeof(entry{})+unsafe.Sizeof(slot{}), uintptr(56))
}

// TestAgendaUpdatedEqualsOneMadeAnew: whatever came and went, was decided, refused
// or lost, an agenda that was kept up to date plans what a new one would.
func TestAgendaUpdatedEqualsOneMadeAnew(t *testing.T) {
	exprs := []string{"@every 7s", "*/5 * * * * *", "* * * * *", "1 12 * * *", "@every 3m", "0 0 1 1 *"}
	rapid.Check(t, func(rt *rapid.T) {
		now, cursors, file := noon, map[string]time.Time{}, map[string]*jobs.Job{}
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		adopted := func() ([]*jobs.Job, jobs.Adopted) {
			var list []*jobs.Job
			known := map[string]time.Time{}
			for _, name := range rapid.Permutation(slices.Sorted(maps.Keys(file))).Draw(rt, "order of the file") {
				list, known[name] = append(list, file[name]), cursors[name]
			}
			return list, jobs.Adopted{Cursors: known}
		}
		a, err := newAgenda(adopted())
		require.NoError(rt, err)

		edit := func(name string) {
			old, was := file[name]
			if was && rapid.Bool().Draw(rt, "remove") {
				delete(file, name)
				return
			}
			job := newJob(t, name, rapid.SampledFrom(exprs).Draw(rt, "schedule"))
			job.Jitter = rapid.SampledFrom([]time.Duration{0, 0, 4 * time.Second}).Draw(rt, "jitter")
			job.CatchUp.Policy = rapid.SampledFrom([]jobs.CatchUpPolicy{jobs.CatchUpAll, jobs.CatchUpLatest}).Draw(rt, "policy")
			if job.Enabled = rapid.IntRange(0, 5).Draw(rt, "enabled") > 0; !job.Enabled {
				job.Timing += " off"
			}
			file[name] = job
			if !was || old.Timing != job.Timing {
				cursors[name] = now
			}
		}
		early := map[string]bool{} // put off for a moment since it was last planned
		settle := func(ds []jobs.Decision) {
			vs := make([]jobs.Verdict, len(ds))
			blocked := map[string]jobs.Verdict{}
			for i, d := range ds {
				name := d.Job.Name
				if v, ok := blocked[name]; ok {
					vs[i] = v
					continue
				}
				switch kind := rapid.SampledFrom([]jobs.VerdictKind{
					jobs.VerdictRan, jobs.VerdictRan, jobs.VerdictRecorded, jobs.VerdictBusy, jobs.VerdictEarly, jobs.VerdictDuplicate,
				}).Draw(rt, "verdict"); kind {
				case jobs.VerdictBusy, jobs.VerdictEarly:
					vs[i] = jobs.Verdict{Kind: kind, Wait: time.Millisecond}
					blocked[name] = vs[i]
				case jobs.VerdictDuplicate:
					ahead := time.Duration(rapid.IntRange(0, 9).Draw(rt, "ahead")) * time.Second
					cursors[name] = laterOf(cursors[name], d.Until.Add(ahead))
					vs[i] = jobs.Verdict{Kind: kind, Cursor: cursors[name]}
				default:
					vs[i], cursors[name] = jobs.Verdict{Kind: kind}, laterOf(cursors[name], d.Until)
				}
			}
			for _, d := range ds {
				early[d.Job.Name] = blocked[d.Job.Name].Kind == jobs.VerdictEarly
			}
			require.NoError(rt, a.settle(ds, vs, now))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"reload": func(*rapid.T) {
				for _, name := range rapid.SliceOfN(rapid.SampledFrom(names), 0, 4).Draw(rt, "changed") {
					edit(name)
				}
				require.NoError(rt, a.update(adopted()))
				for _, e := range a.entries {
					require.Zero(rt, e.tries, "a reload asks about every job that waits")
				}
			},
			"look": func(*rapid.T) {
				now = now.Add(drawSpan(rt, "pass", 2*time.Minute))
				settle(a.due(now))
			},
			"lose the answer": func(*rapid.T) {
				now = now.Add(drawSpan(rt, "pass", 2*time.Minute))
				for _, d := range a.due(now) {
					if rapid.Bool().Draw(rt, "came true") {
						cursors[d.Job.Name] = laterOf(cursors[d.Job.Name], d.Until)
					}
					delete(early, d.Job.Name)
				}
				require.NoError(rt, a.update(adopted()))
			},
			"forget a cursor": func(*rapid.T) {
				list, known := adopted()
				if len(list) == 0 {
					return
				}
				delete(known.Cursors, list[len(list)/2].Name)
				require.ErrorContains(rt, a.update(list, known), "no cursor")
				require.NoError(rt, a.update(adopted()))
			},
			"jump": func(*rapid.T) {
				clear(early)
				a.replan()
			},
			"": func(*rapid.T) {
				sound(rt, a)
				fresh, err := newAgenda(adopted())
				require.NoError(rt, err)
				require.Len(rt, a.entries, len(fresh.entries))
				for _, want := range fresh.entries {
					got := a.entries[a.index[want.job.Name]]
					if cursors[got.job.Name].Equal(got.cursor) && file[got.job.Name] == got.job {
						require.Equal(rt, want.place == nowhere, got.place == nowhere, got.job.Name)
						if got.place != nowhere && got.tries == 0 && !early[got.job.Name] {
							require.Equal(rt, fresh.heap[want.place].at, a.heap[got.place].at, got.job.Name)
						}
						continue
					}
					require.Fail(rt, "another cursor or another definition", got.job.Name)
				}
			},
		})
	})
}

func TestAgendaWantsEveryCursor(t *testing.T) {
	_, err := newAgenda([]*jobs.Job{newJob(t, "a", "@every 1s"), newJob(t, "b", "@every 1s")}, jobs.Adopted{Cursors: map[string]time.Time{"a": noon}})
	assert.ErrorContains(t, err, "no cursor for job b")
}

func TestAgendaWithoutTicksHasNoNext(t *testing.T) {
	a := planned(t, noon)
	_, ok := a.next()
	assert.False(t, ok)
	assert.Empty(t, a.due(noon.Add(time.Hour)))
}

func TestAgendaHandsOutInBatches(t *testing.T) {
	var list []*jobs.Job
	for i := range 2*batch + 10 {
		list = append(list, newJob(t, fmt.Sprint(i), "@every 1m"))
	}
	now := noon.Add(time.Minute)
	a := planned(t, noon, list...)
	for _, n := range []int{batch, batch, 10, 0} {
		ds := a.due(now)
		require.Len(t, ds, n)
		require.NoError(t, a.settle(ds, yes(ds), now))
	}
}

// turn is one due and settle: what the agenda must hand out, and the verdicts.
func turn(t *testing.T, a *agenda, now time.Time, want []string, vs ...jobs.Verdict) {
	t.Helper()
	ds := a.due(now)
	require.Equal(t, want, lines(ds))
	require.NoError(t, a.settle(ds, vs, now))
}

func nextIn(t *testing.T, a *agenda, now time.Time) time.Duration {
	t.Helper()
	next, ok := a.next()
	require.True(t, ok)
	return next.Sub(now)
}

func verdict(kind jobs.VerdictKind) jobs.Verdict { return jobs.Verdict{Kind: kind} }

// oneByOne is a job that wants all its ticks and never two at once.
func oneByOne(t testing.TB, expr string) *jobs.Job {
	job := newJob(t, "j", expr)
	job.CatchUp.Policy = jobs.CatchUpAll
	return job
}

func TestBusyJobIsParkedLongerAndLonger(t *testing.T) {
	a := planned(t, noon, oneByOne(t, "@every 10s"))
	now := noon.Add(35 * time.Second)
	for _, pause := range []time.Duration{50, 100, 200, 400, 800, 1000, 1000, 1000} {
		turn(t, a, now, []string{"late 22 12:00:10 wait"}, verdict(jobs.VerdictBusy))
		require.Equal(t, pause*time.Millisecond, nextIn(t, a, now))
		now = now.Add(pause * time.Millisecond)
	}
	// Progress: the next one follows after the shortest pause.
	turn(t, a, now, []string{"late 22 12:00:10 wait"}, verdict(jobs.VerdictRan))
	require.Equal(t, 50*time.Millisecond, nextIn(t, a, now))
}

// TestTickBehindWaitingOnesWaits: the tick at :30 comes due while :20 waits, the
// one at :40 while the run of :30, which waited, is unfinished. Neither is
// skipped for that. The tick at :50 runs at its first try, which ends the
// catching up: :00 takes what the overlap policy gives.
func TestTickBehindWaitingOnesWaits(t *testing.T) {
	a := planned(t, noon.Add(10*time.Second), oneByOne(t, "@every 10s"))
	at := func(d time.Duration) time.Time { return noon.Add(d) }

	turn(t, a, at(29900*time.Millisecond), []string{"late 22 12:00:20 wait"}, verdict(jobs.VerdictBusy))
	turn(t, a, at(30*time.Second), []string{"late 22 12:00:20 wait"}, verdict(jobs.VerdictRan))
	turn(t, a, at(30100*time.Millisecond), []string{"ran 22 12:00:30 wait"}, verdict(jobs.VerdictBusy))
	turn(t, a, at(35*time.Second), []string{"late 22 12:00:30 wait"}, verdict(jobs.VerdictRan))
	require.Equal(t, 5*time.Second, nextIn(t, a, at(35*time.Second)))
	turn(t, a, at(40*time.Second), []string{"ran 22 12:00:40 wait"}, verdict(jobs.VerdictBusy))
	turn(t, a, at(40500*time.Millisecond), []string{"ran 22 12:00:40 wait"}, verdict(jobs.VerdictRan))
	turn(t, a, at(50*time.Second), []string{"ran 22 12:00:50 wait"}, verdict(jobs.VerdictRan))
	turn(t, a, at(60*time.Second), []string{"ran 22 12:01:00"}, verdict(jobs.VerdictSkipped))
	require.Equal(t, 10*time.Second, nextIn(t, a, at(60*time.Second)))
}

func TestMissedRangeGoesAheadOfTheWaitingTick(t *testing.T) {
	job := oneByOne(t, "@every 1m")
	job.CatchUp.Max = 2
	a := planned(t, noon, job)
	now := noon.Add(9*time.Minute + 30*time.Second)
	turn(t, a, now, []string{
		"missed 22 12:01:00 to 22 12:06:00 x6 max: only the newest 2 run late", "late 22 12:07:00 wait",
	}, verdict(jobs.VerdictRecorded), verdict(jobs.VerdictBusy))
	turn(t, a, now.Add(time.Second), []string{"late 22 12:07:00 wait"}, verdict(jobs.VerdictRan))
}

func TestEarlyVerdictIsTriedAgainAfterThatTime(t *testing.T) {
	a := planned(t, noon, newJob(t, "j", "@every 10s"))
	now := noon.Add(10 * time.Second)
	early := func(d time.Duration) jobs.Verdict { return jobs.Verdict{Kind: jobs.VerdictEarly, Wait: d} }

	turn(t, a, now, []string{"ran 22 12:00:10"}, early(3*time.Millisecond))
	require.Equal(t, 3*time.Millisecond, nextIn(t, a, now))
	now = now.Add(3 * time.Millisecond)
	turn(t, a, now, []string{"ran 22 12:00:10"}, early(0)) // never in a circle
	require.Equal(t, earlyLeast, nextIn(t, a, now))
	now = now.Add(earlyLeast)
	turn(t, a, now, []string{"ran 22 12:00:10"}, early(time.Hour)) // never blindly for long
	require.Equal(t, time.Second, nextIn(t, a, now))
}

func TestDuplicateTakesTheStoresCursor(t *testing.T) {
	a := planned(t, noon, newJob(t, "j", "@every 10s"))
	now := noon.Add(10 * time.Second)
	turn(t, a, now, []string{"ran 22 12:00:10"}, jobs.Verdict{Kind: jobs.VerdictDuplicate, Cursor: noon.Add(25 * time.Second)})
	require.Equal(t, 20*time.Second, nextIn(t, a, now))

	now = noon.Add(30 * time.Second)
	turn(t, a, now, []string{"ran 22 12:00:30"}, jobs.Verdict{Kind: jobs.VerdictDuplicate, Cursor: noon}) // says nothing new
	require.Equal(t, 50*time.Millisecond, nextIn(t, a, now))
}

func TestSenselessVerdictsAreErrors(t *testing.T) {
	a := planned(t, noon, newJob(t, "j", "@every 10s"))
	ds := a.due(noon.Add(10 * time.Second))
	assert.ErrorContains(t, a.settle(ds, nil, noon), "0 verdicts about 1 decisions")
	assert.ErrorContains(t, a.settle(ds, []jobs.Verdict{{Kind: "perhaps"}}, noon), `unknown verdict "perhaps" about job j`)
}

func TestClockSetBackWhileParked(t *testing.T) {
	a := planned(t, noon, oneByOne(t, "@every 10s"))
	now := noon.Add(15 * time.Second)
	turn(t, a, now, []string{"late 22 12:00:10 wait"}, verdict(jobs.VerdictBusy))
	a.replan() // what the loop does when it sees the jump
	assert.Equal(t, noon.Add(10*time.Second).UTC(), time.UnixMicro(a.heap[0].at).UTC())

	// A smaller step back is not noticed as a jump; the job is put at its tick.
	turn(t, a, now, []string{"late 22 12:00:10 wait"}, verdict(jobs.VerdictBusy))
	a.entries[0].cursor = noon.Add(10 * time.Second)
	assert.Empty(t, a.due(now.Add(100*time.Millisecond)))
	assert.Equal(t, 5*time.Second, nextIn(t, a, now))
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func TestUpdateKeepsWhoWaits(t *testing.T) {
	now := noon.Add(15 * time.Second)
	updated := func(job *jobs.Job) entry {
		a := planned(t, noon, oneByOne(t, "@every 10s"))
		turn(t, a, now, []string{"late 22 12:00:10 wait"}, verdict(jobs.VerdictBusy))
		require.NoError(t, a.update([]*jobs.Job{job}, jobs.Adopted{Cursors: map[string]time.Time{"j": noon}}))
		assert.Same(t, job, a.entries[0].job)
		return a.entries[0]
	}
	assert.True(t, updated(oneByOne(t, "@every 10s")).held)
	assert.False(t, updated(oneByOne(t, "@every 20s")).held, "another timing: its cursor was moved")
	assert.False(t, updated(newJob(t, "j", "@every 10s")).held, "only a job that feeds one by one waits")
}

func TestUpdateTouchesOnlyWhatChanged(t *testing.T) {
	list := make([]*jobs.Job, 1000)
	for i := range list {
		list[i] = newJob(t, fmt.Sprint(i), "@every 1m")
	}
	a := planned(t, noon, list...)
	for i := range a.heap { // no plan would put them there
		a.heap[i].at = noon.Add(time.Hour).UnixMicro()
	}
	cursors := map[string]time.Time{"new": noon}
	changed := make([]*jobs.Job, 0, len(list))
	for i, job := range list {
		again := *job
		cursors[job.Name] = noon
		switch i {
		case 10: // gone
			continue
		case 20:
			again.Timing = "another"
		case 30:
			again.Jitter = 10 * time.Second
		case 40:
			cursors[job.Name] = noon.Add(time.Second)
		}
		changed = append(changed, &again)
	}
	require.NoError(t, a.update(append(changed, newJob(t, "new", "@every 1m")), jobs.Adopted{Cursors: cursors}))
	sound(t, a)
	var planned []string
	for _, s := range a.heap {
		if s.at < noon.Add(time.Hour).UnixMicro() {
			planned = append(planned, a.entries[s.entry].job.Name)
		}
	}
	assert.ElementsMatch(t, []string{"20", "30", "40", "new"}, planned)
	assert.NotContains(t, a.index, "10")
}
