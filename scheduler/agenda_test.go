package scheduler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

func TestHeapKeepsOrder(t *testing.T) {
	a := &agenda{}
	rng := rand.New(rand.NewPCG(3, 4))
	var want []int64
	for range 2000 {
		at := noon.Add(time.Duration(rng.IntN(500)) * time.Second)
		want = append(want, at.UnixMicro())
		a.push(0, at)
		if rng.IntN(3) == 0 {
			least := slices.Min(want)
			require.Equal(t, least, a.heap[0].at)
			want = slices.Delete(want, slices.Index(want, least), slices.Index(want, least)+1)
			a.pop()
		}
	}
	slices.Sort(want)
	for _, at := range want {
		require.Equal(t, at, a.heap[0].at)
		a.pop()
	}
	assert.Empty(t, a.heap)
}

func TestAgendaIsSmall(t *testing.T) {
	assert.LessOrEqual(t, unsafe.Sizeof(entry{})+unsafe.Sizeof(slot{}), uintptr(56))
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

func TestReloadedAgendaInheritsWhoWaits(t *testing.T) {
	old := planned(t, noon, oneByOne(t, "@every 10s"))
	turn(t, old, noon.Add(15*time.Second), []string{"late 22 12:00:10 wait"}, verdict(jobs.VerdictBusy))

	same := planned(t, noon, oneByOne(t, "@every 10s"))
	same.inherit(old)
	assert.True(t, same.entries[0].held)

	other := planned(t, noon, oneByOne(t, "@every 20s")) // another timing: its cursor was moved
	other.inherit(old)
	assert.False(t, other.entries[0].held)

	latest := planned(t, noon, newJob(t, "j", "@every 10s"))
	latest.inherit(old)
	assert.False(t, latest.entries[0].held, "only a job that feeds one by one waits")
}

// BenchmarkDue is a second in which about 1 % of 100,000 jobs are due: due, settle.
func BenchmarkDue(b *testing.B) {
	const n = 100_000
	list := make([]*jobs.Job, n)
	cursors := make(map[string]time.Time, n)
	for i := range list {
		// Each second of two minutes belongs to one job in 120.
		minutes := [...]string{"0-58/2", "1-59/2"}[i/60%2]
		list[i] = newJob(b, strconv.Itoa(i), fmt.Sprintf("%d %s * * * *", i%60, minutes))
		cursors[list[i].Name] = noon
	}
	a, err := newAgenda(list, jobs.Adopted{Cursors: cursors})
	require.NoError(b, err)
	now, ticks := noon, 0
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		for ds := a.due(now); len(ds) > 0; ds = a.due(now) {
			ticks += len(ds)
			if err := a.settle(ds, yes(ds), now); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(ticks, 1)), "ns/tick")
	b.ReportMetric(float64(ticks)/float64(b.N), "ticks/op")
}
