package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon"
)

// childEnv makes this test binary a node instead: its value is a childConfig.
const childEnv = "CARILLON_BENCH_NODE"

// childConfig is what a node process is told.
type childConfig struct {
	Name, Redis, File string
	Slots             int // 0: the default
}

// childReport is what it says in the end.
type childReport struct {
	Starts []start
	// Offset is the clock of Redis minus the local one, as it was measured, and
	// Within by how much that can be wrong. It is in the times of Starts already.
	Offset, Within time.Duration
}

// start is one call of the handler "mark".
type start struct {
	Run     string
	Job     string
	Tick    time.Time
	Attempt int
	At      time.Time // on the clock of Redis
}

func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		if err := beNode(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beNode is one node until stdin ends: when its parent is gone, it goes too.
func beNode(config string) error {
	var c childConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var report childReport
	var err error
	if report.Offset, report.Within, err = measureClock(ctx, c.Redis); err != nil {
		return err
	}
	var mu sync.Mutex
	mark := func(_ context.Context, run carillon.Run) error {
		at := time.Now().Add(report.Offset)
		mu.Lock()
		defer mu.Unlock()
		report.Starts = append(report.Starts, start{run.ID, run.Job, run.ScheduledAt, run.Attempt, at})
		return nil
	}
	node, err := carillon.New(carillon.Options{File: c.File, Redis: c.Redis, Node: c.Name, Slots: c.Slots,
		Funcs:  map[string]carillon.Func{"mark": mark},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	select {
	case <-node.Ready():
		fmt.Println("ready")
		err = <-ended
	case err = <-ended:
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

// measureClock asks Redis for the time often enough to know it to some tens of
// microseconds: the answer with the shortest way counts.
func measureClock(ctx context.Context, url string) (offset, within time.Duration, err error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return 0, 0, err
	}
	c := redis.NewClient(o)
	defer c.Close()
	for i := range 300 {
		from := time.Now()
		remote, err := c.Time(ctx).Result()
		if err != nil {
			return 0, 0, err
		}
		way := time.Since(from)
		if i == 0 || way/2 < within {
			offset, within = remote.Sub(from.Add(way/2).Round(0)), way/2
		}
	}
	return offset, within, nil
}

// child is a node process.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

// startNode starts a node process and waits until it takes part.
func startNode(b testing.TB, c childConfig) *child {
	b.Helper()
	config, err := json.Marshal(c)
	check(b, err)
	p := &child{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(config))
	p.cmd.Stderr = os.Stderr
	p.stdin, err = p.cmd.StdinPipe()
	check(b, err)
	out, err := p.cmd.StdoutPipe()
	check(b, err)
	p.out = bufio.NewReader(out)
	check(b, p.cmd.Start())
	b.Cleanup(func() { _ = p.cmd.Process.Signal(syscall.SIGKILL) }) // most often it has ended long ago
	line, err := p.out.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "ready" {
		b.Fatalf("node %s: %q, %v", c.Name, line, err)
	}
	return p
}

// stop ends the node and returns what it saw.
func (p *child) stop(b testing.TB) childReport {
	b.Helper()
	check(b, p.stdin.Close())
	var r childReport
	check(b, json.NewDecoder(p.out).Decode(&r))
	check(b, p.cmd.Wait())
	return r
}

func (p *child) pid() int { return p.cmd.Process.Pid }
