package leader_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
	"carillon/leader"
)

// onServer makes a cluster on a redis-server.
func onServer(t *testing.T, rawURL, ns string, ttl time.Duration) *cluster {
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return &cluster{t: t, dial: tcp, addr: u.Host, ns: ns, ttl: ttl, begun: make(chan *reignRecord, 1000)}
}

func TestRealHandover(t *testing.T) {
	rawURL, ns := redistest.Shared(t)
	c := onServer(t, rawURL, ns, leader.DefaultTTL)
	for i := range 12 {
		c.start(fmt.Sprint("node", i), nodeOptions{})
	}
	now := c.next(10 * time.Second)
	c.none(200 * time.Millisecond) // all have looked, and sleep
	var took []time.Duration
	for range 10 {
		start := time.Now()
		now.by.stop(nil)
		now = c.next(time.Second)
		took = append(took, now.from.Sub(start).Round(100*time.Microsecond))
	}
	slices.Sort(took)
	t.Logf("from the signal to the successor's lead: %v", took)
	require.Less(t, took[len(took)-1], 300*time.Millisecond)
}

func TestRealServerThatHangs(t *testing.T) {
	s := redistest.StartReal(t)
	c := onServer(t, s.URL(), "hangs", time.Second)
	c.start("a", nodeOptions{})
	c.start("b", nodeOptions{})
	first := c.next(5 * time.Second)
	s.Stop()
	// That it is within the TTL, to the millisecond, a bubble can tell; a machine may be busy.
	c.end(first, 2*c.ttl)
	require.ErrorIs(t, first.why, leader.ErrTrustExpired)
	c.none(c.ttl / 2)
	s.Cont()
	c.next(c.ttl + 2*time.Second)
	c.none(c.ttl)
}

func TestRealServerThatComesBackEmpty(t *testing.T) {
	s := redistest.StartReal(t)
	c := onServer(t, s.URL(), "empty", 2*time.Second)
	c.lossy = true
	c.start("a", nodeOptions{})
	c.start("b", nodeOptions{})
	first := c.next(5 * time.Second)
	s.Restart()
	back := time.Now()
	second := c.next(c.ttl + 2*time.Second) // its epoch is higher: the cluster checks
	c.end(first, c.ttl)
	t.Logf("a new term %v after Redis was back", second.from.Sub(back).Round(time.Millisecond))
}

// Processes that are killed, stopped and resumed. The one that was stopped
// goes on writing as if nothing had happened, and must not get through.
func TestRealProcesses(t *testing.T) {
	rawURL, ns := redistest.Shared(t)
	const ttl = time.Second
	events := make(chan childEvent, 1000)
	children := map[string]*exec.Cmd{}
	for _, name := range []string{"a", "b", "c"} {
		children[name] = startChild(t, events, rawURL, ns, name, ttl)
	}
	// await waits for all of these, in any order, and returns the last one.
	await := func(node string, within time.Duration, whats ...string) childEvent {
		t.Helper()
		deadline := time.After(within)
		for {
			select {
			case ev := <-events:
				if at := slices.Index(whats, ev.what); at >= 0 && (node == "" || ev.node == node) {
					if whats = slices.Delete(whats, at, at+1); len(whats) == 0 {
						return ev
					}
				}
			case <-deadline:
				require.FailNow(t, fmt.Sprintf("no %q of %q within %v", whats, node, within))
			}
		}
	}
	first := await("", 10*time.Second, "begin")
	await(first.node, time.Second, "written")

	stopped := time.Now()
	require.NoError(t, children[first.node].Process.Signal(syscall.SIGSTOP))
	second := await("", ttl+time.Second, "begin")
	t.Logf("stopped: successor after %v", second.at.Sub(stopped).Round(time.Millisecond))
	await(second.node, time.Second, "written")
	require.NoError(t, children[first.node].Process.Signal(syscall.SIGCONT))
	// It writes once more while it finds out that it leads no more, or after that.
	await(first.node, 2*time.Second, "end", "refused")

	killed := time.Now()
	require.NoError(t, children[second.node].Process.Kill())
	third := await("", ttl+time.Second, "begin")
	t.Logf("killed: successor after %v", third.at.Sub(killed).Round(time.Millisecond))
	await(third.node, time.Second, "written")

	seat := newSeat(t, tcp, strings.TrimSuffix(strings.TrimPrefix(rawURL, "redis://"), "/0"), ns, true)
	written, err := seat.client.LRange(t.Context(), seat.key("data"), 0, -1).Result()
	require.NoError(t, err)
	require.True(t, slices.IsSorted(written), "no write of an older term after one of a newer: %v", written)
}

type childEvent struct {
	node, what string
	at         time.Time
}

// startChild runs TestChildNode in a process of its own.
func startChild(t *testing.T, events chan<- childEvent, rawURL, ns, name string, ttl time.Duration) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildNode$", "-test.count=1")
	cmd.Env = append(os.Environ(), "LEADER_TEST_CHILD="+strings.Join([]string{rawURL, ns, name, ttl.String()}, " "))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if what, ok := strings.CutPrefix(lines.Text(), "child "); ok {
				events <- childEvent{node: name, what: what, at: time.Now()}
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be dead
		<-done
		_ = cmd.Wait() // killed
	})
	return cmd
}

// TestChildNode is a node in a process of its own, started by TestRealProcesses.
func TestChildNode(t *testing.T) {
	args := strings.Fields(os.Getenv("LEADER_TEST_CHILD"))
	if len(args) == 0 {
		return
	}
	ttl, err := time.ParseDuration(args[3])
	require.NoError(t, err)
	c := onServer(t, args[0], args[1], ttl)
	seat := newSeat(t, tcp, c.addr, c.ns, false)
	e := leader.New(seat, leader.Config{Node: args[2], TTL: ttl})
	err = e.Run(t.Context(), func(ctx context.Context, term leader.Term) error {
		fmt.Println("child begin")
		defer context.AfterFunc(ctx, func() { fmt.Println("child end") })()
		last := ""
		for { // whatever ctx says: it must not matter
			what := "written"
			err := seat.write(t.Context(), term.Token, strconv.FormatInt(term.Epoch, 10))
			if errors.Is(err, leader.ErrFenced) {
				what = "refused"
			} else if err != nil {
				what = err.Error()
			}
			if what != last {
				fmt.Println("child " + what)
			}
			last = what
			select {
			case <-time.After(10 * time.Millisecond):
			case <-t.Context().Done():
				return nil
			}
		}
	})
	require.NoError(t, err)
}
