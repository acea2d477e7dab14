package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/internal/redistest"
	"carillon/jobs"
)

// many is the number of jobs in a large schedule file.
const many = 10_000

// BenchmarkLoad reads and checks a file of 10,000 jobs.
func BenchmarkLoad(b *testing.B) {
	for _, kind := range fileKinds {
		b.Run(kind.name, func(b *testing.B) {
			file := writeMany(b, kind.job)
			info, err := os.Stat(file)
			check(b, err)
			b.ReportAllocs()
			for b.Loop() {
				s, err := jobs.Load(file)
				check(b, err)
				if len(s.Jobs) != many {
					b.Fatalf("%d jobs", len(s.Jobs))
				}
			}
			b.ReportMetric(float64(info.Size())/(1<<10), "KiB")
		})
	}
}

// BenchmarkIdle is a node process that holds 10,000 jobs of which none is due,
// leads, and is left alone for 30 s. rss is its memory at the end and hwm the
// most it ever had, its watcher included if it has one. Run it with -benchtime 1x.
func BenchmarkIdle(b *testing.B) {
	for _, kind := range fileKinds {
		b.Run(kind.name, func(b *testing.B) {
			for range b.N {
				idle(b, writeMany(b, kind.job))
			}
		})
	}
	b.Run("1-job", func(b *testing.B) {
		for range b.N {
			file := filepath.Join(b.TempDir(), "schedule.yaml")
			check(b, os.WriteFile(file, []byte("jobs:\n  one: {schedule: \"@yearly\", func: mark}\n"), 0o600))
			idle(b, file)
		}
	})
}

// idleFor is how long the idle node is watched.
const idleFor = 30 * time.Second

func idle(b *testing.B, file string) {
	url := redistest.Real(b)
	redis := newAdmin(b, url).pid(b)
	begun := time.Now()
	node := startNode(b, childConfig{Name: "node-1", Redis: url, File: file})
	ready := time.Since(begun)
	time.Sleep(5 * time.Second) // elected, every cursor made
	pids := append([]int{node.pid()}, childrenOf(b, node.pid())...)
	before, beforeRedis := cpuOfAll(b, pids), cpuOf(b, redis)
	time.Sleep(idleFor)
	after, afterRedis := cpuOfAll(b, pids), cpuOf(b, redis)
	var used time.Duration
	var rss, hwm float64
	for i, pid := range pids {
		used += after[i] - before[i]
		now, most := memoryOf(b, pid)
		rss, hwm = rss+now, hwm+most
	}
	start := before[0]
	report := node.stop(b)
	b.ReportMetric(0, "ns/op") // says nothing
	b.ReportMetric(100*used.Seconds()/idleFor.Seconds(), "%core")
	b.ReportMetric(100*(afterRedis-beforeRedis).Seconds()/idleFor.Seconds(), "redis-%core")
	b.ReportMetric(rss, "rss-MiB")
	b.ReportMetric(hwm, "hwm-MiB")
	b.ReportMetric(ms(ready), "ready-ms")
	b.ReportMetric(start.Seconds(), "start-cpu-s")
	b.Logf("%d processes, %d runs", len(pids), len(report.Starts))
}

// fileKinds are the files of 10,000 jobs. Their time of day is twelve hours away,
// so that nothing is due.
var fileKinds = []struct {
	name string
	job  func(i int, hour int) string
}{
	{"short", func(i, hour int) string {
		return fmt.Sprintf("  job-%05d: {schedule: \"%d %d * * *\", func: mark}\n", i, i%60, hour)
	}},
	{"full", func(i, hour int) string {
		return fmt.Sprintf(`  job-%05d:
    description: Export the orders of shard %d
    schedule: "%d %d * * *"
    timezone: %s
    catch_up: {policy: all, window: 6h, max: 10}
    overlap: skip
    priority: %d
    timeout: 30m
    retry: {attempts: 5, backoff: 10s}
    env: {SHARD: "%d"}
    command: [./export.sh, --shard, "%d"]
`, i, i, i%60, hour, []string{"UTC", "Etc/GMT"}[i%2], i%10, i, i)
	}},
}

func writeMany(b testing.TB, job func(i, hour int) string) string {
	hour := time.Now().UTC().Add(12 * time.Hour).Hour()
	var s strings.Builder
	s.WriteString("version: 1\njobs:\n")
	for i := range many {
		s.WriteString(job(i, hour))
	}
	file := filepath.Join(b.TempDir(), "schedule.yaml")
	check(b, os.WriteFile(file, []byte(s.String()), 0o600))
	return file
}
