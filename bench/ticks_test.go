package bench

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"carillon/internal/redisstore"
	"carillon/internal/redistest"
	"carillon/jobs"
)

// tickCases are the loads of BenchmarkTicks and BenchmarkStages.
var tickCases = []struct {
	name        string
	jobs, slots int // slots of each node; 0: the default, two for each CPU
}{
	{"idle", 1, 0},
	{"200-jobs", 200, 0},
	{"200-jobs-64-slots", 200, 64},
}

// BenchmarkTicks is three node processes on one Redis, and func jobs that are
// due every second for a minute: from the instant a tick is due to the first
// line of its handler, on the clock of Redis. It counts ticks that were lost,
// skipped (a late run was in their way) or started twice, and the cores that nodes and Redis used together.
//
// p50, p99 and max are over all ticks. Where other programs use the machine too,
// they say more about those than about carillon; so quiet-p50, quiet-p99 and
// quiet-max are over the instants (quiet: how many of 60) before which the machine was
// three quarters idle for a tenth of a second. last is when the last run of such an
// instant had started, the median of them. floor is how late a thread that did nothing
// else woke up for the same 60 instants: nobody is earlier than that.
//
// Run it with -benchtime 1x; each part takes 65 s.
func BenchmarkTicks(b *testing.B) {
	for _, c := range tickCases {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				ticks(b, c.jobs, c.slots, false)
			}
		})
	}
}

// BenchmarkStages is BenchmarkTicks under MONITOR: where the time goes. The
// monitor itself slows Redis a great deal when there are many jobs, so compare
// the stages with one another and not with BenchmarkTicks.
func BenchmarkStages(b *testing.B) {
	for _, c := range tickCases {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				ticks(b, c.jobs, c.slots, true)
			}
		})
	}
}

// window is how many ticks of each job are looked at.
const window = 60

func ticks(b *testing.B, n, slots int, traced bool) {
	ctx := context.Background()
	url := redistest.Real(b)
	file := filepath.Join(b.TempDir(), "schedule.yaml")
	check(b, os.WriteFile(file, everySecond(n), 0o600))
	admin := newAdmin(b, url)
	nodes := make([]*child, 3)
	for i := range nodes {
		nodes[i] = startNode(b, childConfig{Name: fmt.Sprintf("node-%d", i+1), Redis: url, File: file, Slots: slots})
	}
	var trace *tracer
	if traced {
		trace = startTrace(b, url)
	}

	// Ticks count from the third second on: the leader is elected, clocks are known.
	remote, err := admin.c.Time(ctx).Result()
	check(b, err)
	first := remote.Truncate(time.Second).Add(4 * time.Second)
	last := first.Add((window - 1) * time.Second)
	floor, calm := make(chan []time.Duration, 1), make(chan []bool, 1)
	go func() { floor <- wakeUps(first, window) }()
	go func() { calm <- quietBefore(first, window) }()
	until := func(t time.Time) { time.Sleep(time.Until(t)) } // Redis is on this machine
	until(first.Add(-500 * time.Millisecond))
	pids := []int{admin.pid(b)}
	for _, node := range nodes {
		pids = append(pids, node.pid())
	}
	before := cpuOfAll(b, pids)
	until(last.Add(500 * time.Millisecond))
	after := cpuOfAll(b, pids)

	until(last.Add(2 * time.Second)) // what is late comes in
	var starts []start
	var spread []string
	for i, node := range nodes {
		r := node.stop(b)
		starts = append(starts, r.Starts...)
		spread = append(spread, fmt.Sprintf("node-%d started %d (clock %+v, known within %v)", i+1, len(r.Starts), r.Offset, r.Within))
	}

	quiet := <-calm
	seen := make(map[string]int) // starts by run
	var late, quietLate []time.Duration
	whole := make(map[int]time.Duration) // by quiet instant: when the last of its runs started
	for _, s := range starts {
		if s.Tick.Before(first) || s.Tick.After(last) {
			continue
		}
		seen[s.Run]++
		d := s.At.Sub(s.Tick)
		late = append(late, d)
		if i := int(s.Tick.Sub(first) / time.Second); quiet[i] {
			quietLate = append(quietLate, d)
			whole[i] = max(whole[i], d)
		}
	}
	lasts := slices.Sorted(maps.Values(whole))
	twice := 0
	for _, times := range seen {
		twice += times - 1
	}
	slices.Sort(late)
	slices.Sort(quietLate)
	var all time.Duration
	var cpu []string
	for i := range pids {
		used := after[i] - before[i]
		all += used
		cpu = append(cpu, fmt.Sprintf("%.4f", used.Seconds()/window))
	}
	woke := <-floor
	slices.Sort(woke)
	b.ReportMetric(0, "ns/op") // says nothing: it is a minute
	for _, m := range []struct {
		prefix string
		list   []time.Duration
	}{{"", late}, {"quiet-", quietLate}} {
		b.ReportMetric(ms(percentile(m.list, 50)), m.prefix+"p50-ms")
		b.ReportMetric(ms(percentile(m.list, 99)), m.prefix+"p99-ms")
		b.ReportMetric(ms(percentile(m.list, 100)), m.prefix+"max-ms")
	}
	b.ReportMetric(float64(len(lasts)), "quiet")
	b.ReportMetric(ms(percentile(lasts, 50)), "last-ms")
	b.ReportMetric(ms(percentile(woke, 50)), "floor-p50-ms")
	b.ReportMetric(ms(percentile(woke, 100)), "floor-max-ms")
	lost, skipped := missing(b, url, n, first, seen)
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(float64(skipped), "skipped")
	b.ReportMetric(float64(twice), "twice")
	b.ReportMetric(all.Seconds()/window, "cores")
	b.Logf("%d ticks; cores: redis %s, nodes %s; %s", n*window, cpu[0], strings.Join(cpu[1:], " "), strings.Join(spread, ", "))
	if traced {
		trace.report(b, starts, first, last)
	}
}

// missing looks for the ticks of the window that were not started: in the ledger
// they are skipped (the run before was late and unfinished), else lost.
func missing(b *testing.B, url string, n int, first time.Time, seen map[string]int) (lost, skipped int) {
	store, err := redisstore.Open(redisstore.Options{URL: url})
	check(b, err)
	defer store.Close()
	for i := range n {
		job := jobName(i)
		var ledger []jobs.LedgerEntry
		for k := range window {
			tick := first.Add(time.Duration(k) * time.Second)
			if seen[jobs.TickRunID(job, tick)] > 0 {
				continue
			}
			if ledger == nil {
				ledger, err = store.Ledger(context.Background(), job, 2*window)
				check(b, err)
			}
			if slices.ContainsFunc(ledger, func(e jobs.LedgerEntry) bool {
				return e.Outcome == jobs.OutcomeSkipped && !tick.Before(e.Tick) && !tick.After(e.Until)
			}) {
				skipped++
			} else {
				lost++
			}
		}
	}
	return lost, skipped
}

// wakeUps sleeps until each of n seconds from first on and tells how late it woke.
func wakeUps(first time.Time, n int) []time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var late []time.Duration
	for i := range n {
		tick := first.Add(time.Duration(i) * time.Second)
		for left := time.Until(tick); left > 0; left = time.Until(tick) {
			ts := syscall.NsecToTimespec(int64(left))
			_ = syscall.Nanosleep(&ts, nil) // a signal ends it early
		}
		late = append(late, time.Since(tick))
	}
	return late
}

// quietBefore tells for each of n seconds from first on whether the machine was at
// least three quarters idle in the tenth of a second before it.
func quietBefore(first time.Time, n int) []bool {
	quiet := make([]bool, n)
	for i := range quiet {
		tick := first.Add(time.Duration(i) * time.Second)
		time.Sleep(time.Until(tick.Add(-110 * time.Millisecond)))
		idle, all := machine()
		time.Sleep(time.Until(tick.Add(-10 * time.Millisecond)))
		idleAfter, allAfter := machine()
		quiet[i] = allAfter > all && 4*(idleAfter-idle) >= 3*(allAfter-all)
	}
	return quiet
}

// everySecond is a schedule file with that many func jobs.
func everySecond(n int) []byte {
	var s strings.Builder
	s.WriteString("version: 1\njobs:\n")
	for i := range n {
		fmt.Fprintf(&s, "  %s: {schedule: \"* * * * * *\", func: mark}\n", jobName(i))
	}
	return []byte(s.String())
}

func jobName(i int) string { return fmt.Sprintf("job-%03d", i) }

func cpuOfAll(b testing.TB, pids []int) []time.Duration {
	used := make([]time.Duration, len(pids))
	for i, pid := range pids {
		used[i] = cpuOf(b, pid)
	}
	return used
}

// pid is the process id of Redis.
func (a *admin) pid(b testing.TB) int {
	text, err := a.c.Info(context.Background(), "server").Result()
	check(b, err)
	_, rest, _ := strings.Cut(text, "process_id:")
	n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
	check(b, err)
	return n
}

// percentile of a sorted list: the smallest value that p percent do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max((len(sorted)*p+99)/100-1, 0)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
