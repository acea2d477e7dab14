package sim

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"carillon/internal/redisstore"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "play this seed alone, and say all that happened in it")
	seedsFlag = flag.Int("seeds", 50, "how many seeds TestSim plays")
	firstFlag = flag.Uint64("first", 1, "the first of them")
	shardFlag = flag.Int("shard", 0, "play every SHARD-th seed in this process, one JSON line each: for TestSim's children")
)

func TestMain(m *testing.M) {
	redisstore.SilenceClientLog()
	os.Exit(m.Run())
}

// report is what a shard says of a seed.
type report struct {
	Seed    uint64
	Begins  bool // nothing is known yet
	Wrong   []string
	Text    string // all of it, when something is wrong
	Strikes map[faultKind]int
	Sights  map[string]int
	Runs    int
	Again   int
	Extra   int
	Cluster time.Duration
}

func reportOf(r *result) report {
	out := report{Seed: r.plan.seed, Wrong: r.wrong, Strikes: r.strikes, Sights: r.sights, Runs: r.runs, Again: r.again, Extra: r.extra,
		Cluster: r.plan.storm + 3*r.plan.lease}
	if len(r.wrong) > 0 {
		out.Text = r.String()
	}
	return out
}

// alone makes this process ready for another bubble. The client library keeps timers
// in a pool of the whole process, and a timer must not leave its bubble: two
// collections empty the pool. For the same reason bubbles never run side by side
// in one process.
func alone() {
	runtime.GC()
	runtime.GC()
}

const shardMark = "carillon-sim "

// A seed takes about a fifth of a second. One that has said nothing for this long hangs: it
// is told to say where (SIGQUIT), and what it says is the end of its process.
const hangs, dumps = 2 * time.Minute, 10 * time.Second

// TestShard plays the seeds of one process. It is started by TestSim.
func TestShard(t *testing.T) {
	if *shardFlag == 0 {
		return // TestSim starts it
	}
	debug.SetGCPercent(400)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3) // TestSim is gone
	}()
	say := func(r report) {
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("\n%s%s\n", shardMark, line)
	}
	for i := 0; i < *seedsFlag; i++ {
		seed := *firstFlag + uint64(i**shardFlag)
		say(report{Seed: seed, Begins: true})
		say(reportOf(simulate(t, newPlan(seed), nil)))
		alone()
	}
}

// TestSim plays seeds, on all cores, and fails when one of them breaks an invariant or
// when a kind of fault never struck.
func TestSim(t *testing.T) {
	if *seedFlag != 0 {
		r := simulate(t, newPlan(*seedFlag), nil)
		t.Log(r)
		if len(r.wrong) > 0 {
			t.Fail()
		}
		return
	}
	began := time.Now()
	var mu sync.Mutex
	var all []report
	shards := max(runtime.NumCPU(), 1)
	var children sync.WaitGroup
	for shard := range min(shards, *seedsFlag) {
		children.Go(func() {
			play(t, *firstFlag+uint64(shard), (*seedsFlag-shard+shards-1)/shards, shards, func(r report) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, r)
				if len(r.Wrong) > 0 {
					t.Errorf("%s", r.Text)
				}
			})
		})
	}
	children.Wait()
	sum := total(all)
	t.Logf("%d seeds, %s of cluster time in %s: %d runs, %d of them started again, %d extra\nfaults: %v\nseen: %v", len(all), sum.Cluster.Round(time.Second),
		time.Since(began).Round(time.Second), sum.Runs, sum.Again, sum.Extra, inWords(sum.Strikes), inWords(sum.Sights))
	if len(all) != *seedsFlag {
		t.Errorf("%d of %d seeds were played to their end", len(all), *seedsFlag)
	}
	if *seedsFlag >= 50 {
		sometimes(t, sum)
	}
}

// play plays seeds in a process of its own, and in another one after a seed that
// was the end of it.
func play(t *testing.T, first uint64, seeds, stride int, take func(report)) {
	for seeds > 0 {
		args := []string{os.Args[0], "-test.run=^TestShard$", "-test.timeout=0", fmt.Sprint("-shard=", stride), fmt.Sprint("-first=", first), fmt.Sprint("-seeds=", seeds)}
		if nice, err := exec.LookPath("nice"); err == nil { // other tests look at the real clock
			args = append([]string{nice, "-n", "5"}, args...)
		}
		child := exec.Command(args[0], args[1:]...)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Error(err)
			return
		}
		child.Stderr = child.Stdout
		lifeline, err := child.StdinPipe() // it ends when this process does
		if err != nil {
			t.Error(err)
			return
		}
		if err := child.Start(); err != nil {
			t.Error(err)
			return
		}
		var noise []string
		under := uint64(0)
		hung := time.AfterFunc(hangs, func() {
			_ = child.Process.Signal(syscall.SIGQUIT)
			time.AfterFunc(dumps, func() { _ = child.Process.Kill() })
		})
		for lines := bufio.NewReader(out); ; {
			line, err := lines.ReadString('\n')
			if strings.HasPrefix(line, shardMark) {
				hung.Reset(hangs)
			}
			if text, ok := strings.CutPrefix(line, shardMark); ok {
				var r report
				if err := json.Unmarshal([]byte(text), &r); err != nil {
					t.Errorf("a shard said %q: %v", text, err)
				}
				if under = r.Seed; !r.Begins {
					under = 0
					take(r)
					first, seeds = first+uint64(stride), seeds-1
				}
				noise = nil
			} else if len(noise) < 3000 {
				noise = append(noise, line)
			}
			if err != nil {
				break
			}
		}
		hung.Stop()
		_ = lifeline.Close()
		if err := child.Wait(); err != nil {
			t.Errorf("seed %d was the end of its process: %v\n%s\n%s", under, err, newPlan(under), strings.Join(noise, ""))
			first, seeds = first+uint64(stride), seeds-1
		}
	}
}

// total adds reports up.
func total(all []report) report {
	sum := report{Strikes: map[faultKind]int{}, Sights: map[string]int{}}
	for _, r := range all {
		for k, n := range r.Strikes {
			sum.Strikes[k] += n
		}
		for k, n := range r.Sights {
			sum.Sights[k] += n
		}
		sum.Runs, sum.Again, sum.Extra, sum.Cluster = sum.Runs+r.Runs, sum.Again+r.Again, sum.Extra+r.Extra, sum.Cluster+r.Cluster
	}
	return sum
}

func inWords[K ~string](m map[K]int) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%s %d", k, m[k]))
	}
	return strings.Join(list, ", ")
}

// sometimes: a fault that never struck proves nothing, nor does a large campaign in
// which nothing was ever refused, taken over or undone.
func sometimes(t *testing.T, sum report) {
	for _, k := range kinds {
		if sum.Strikes[k.kind] == 0 {
			t.Errorf("in this campaign there never was: %s", k.kind)
		}
	}
	if *seedsFlag < 400 {
		return
	}
	for _, what := range []string{
		"fenced commit", "fenced sweep", "finish superseded", "claim repeated", "NOSCRIPT",
		"event crashed", "event retrying", "event rolled_back", "event rollback_failed", "event canceled", "event released", "event skipped",
		"event missed", "event resigned", "failed: outcome unknown",
	} {
		if sum.Sights[what] == 0 {
			t.Errorf("in this campaign it was never seen: %s", what)
		}
	}
	// About every hundredth seed has it: who is late mostly knows that without asking.
	if what := "renew lost"; *seedsFlag >= 2000 && sum.Sights[what] == 0 {
		t.Errorf("in this campaign it was never seen: %s", what)
	}
}
