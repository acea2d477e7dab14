package scheduler

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// fleetOf is n jobs of which about 1 % are due in each second, and the cursors of
// them all.
func fleetOf(b *testing.B, n int) ([]*jobs.Job, jobs.Adopted) {
	list := make([]*jobs.Job, n)
	cursors := make(map[string]time.Time, n)
	for i := range list {
		// Each second of two minutes belongs to one job in 120.
		minutes := [...]string{"0-58/2", "1-59/2"}[i/60%2]
		list[i] = newJob(b, strconv.Itoa(i), fmt.Sprintf("%d %s * * * *", i%60, minutes))
		cursors[list[i].Name] = noon
	}
	return list, jobs.Adopted{Cursors: cursors}
}

// agendaSizes runs a benchmark for 100,000 jobs and for a million.
func agendaSizes(b *testing.B, run func(b *testing.B, list []*jobs.Job, adopted jobs.Adopted)) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			list, adopted := fleetOf(b, n)
			run(b, list, adopted)
		})
	}
}

// BenchmarkAgendaLoad makes an agenda. bytes/job is what it holds beside the
// definitions.
func BenchmarkAgendaLoad(b *testing.B) {
	agendaSizes(b, func(b *testing.B, list []*jobs.Job, adopted jobs.Adopted) {
		before := heapInUse()
		var a *agenda
		for b.Loop() {
			var err error
			a, err = newAgenda(list, adopted)
			require.NoError(b, err)
		}
		b.ReportMetric(float64(heapInUse()-before)/float64(len(list)), "bytes/job")
		runtime.KeepAlive(list)
		runtime.KeepAlive(adopted)
		runtime.KeepAlive(a)
	})
}

// heapInUse is what a collection leaves.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkAgendaAddRemove takes one job out of an agenda and puts it back.
func BenchmarkAgendaAddRemove(b *testing.B) {
	agendaSizes(b, func(b *testing.B, list []*jobs.Job, adopted jobs.Adopted) {
		a, err := newAgenda(list, adopted)
		require.NoError(b, err)
		rng := rand.New(rand.NewPCG(5, 6))
		b.ReportAllocs()
		for b.Loop() {
			job := list[rng.IntN(len(list))]
			a.remove(job.Name)
			a.add(job, noon)
		}
	})
}

// BenchmarkAgendaReload is a reload in which ten jobs changed: all definitions are
// new values, as Load makes them, and all cursors have come from the store.
func BenchmarkAgendaReload(b *testing.B) {
	agendaSizes(b, func(b *testing.B, list []*jobs.Job, adopted jobs.Adopted) {
		a, err := newAgenda(list, adopted)
		require.NoError(b, err)
		files := [2][]*jobs.Job{}
		for f := range files {
			again := make([]jobs.Job, len(list))
			for i, job := range list {
				again[i] = *job
				files[f] = append(files[f], &again[i])
			}
			for i := range 10 {
				again[i*len(again)/10].Timing = fmt.Sprint("changed ", f)
			}
		}
		for i := 0; b.Loop(); i++ {
			if err := a.update(files[i%2], adopted); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDue is a second in which about 1 % of the jobs are due: due, settle.
func BenchmarkDue(b *testing.B) {
	agendaSizes(b, func(b *testing.B, list []*jobs.Job, adopted jobs.Adopted) {
		a, err := newAgenda(list, adopted)
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
	})
}
