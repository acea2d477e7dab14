package bench

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// tracer listens to MONITOR and notes when Redis worked on which run.
type tracer struct {
	conn net.Conn
	done chan struct{}

	committing, committed map[string]time.Time // by run: begin and end of the commit that queued it
	claiming, claimed     map[string]time.Time // begin and end of the claim that took it
	claims                []int                // runs in each claim that got some
	misses                int                  // claims that got none
}

func startTrace(b testing.TB, url string) *tracer {
	o, err := redis.ParseURL(url)
	check(b, err)
	conn, err := net.Dial("tcp", o.Addr)
	check(b, err)
	_, err = conn.Write([]byte("MONITOR\r\n"))
	check(b, err)
	t := &tracer{conn: conn, done: make(chan struct{}),
		committing: map[string]time.Time{}, committed: map[string]time.Time{},
		claiming: map[string]time.Time{}, claimed: map[string]time.Time{}}
	go t.read()
	return t
}

// line is +1339518083.107412 [0 lua] "GET" "{carillon}:leader"
var line = regexp.MustCompile(`^\+(\d+)\.(\d+) \[\d+ ([^\]]+)\] (.*)$`)

func (t *tracer) read() {
	defer close(t.done)
	scan := bufio.NewScanner(t.conn)
	scan.Buffer(nil, 4<<20)
	var begin time.Time // of the script under way: each begins by reading its probe
	var queued, running []string
	want := false // the script is a claim
	end := func(at time.Time) {
		for _, id := range queued {
			t.committing[id], t.committed[id] = begin, at
		}
		for _, id := range running {
			t.claiming[id], t.claimed[id] = begin, at
		}
		if want && len(running) > 0 {
			t.claims = append(t.claims, len(running))
		} else if want {
			t.misses++
		}
		queued, running, want = queued[:0], running[:0], false
	}
	var last time.Time // line of the script under way
	for scan.Scan() {
		m := line.FindStringSubmatch(scan.Text())
		if m == nil {
			continue
		}
		s, _ := strconv.ParseInt(m[1], 10, 64)
		us, _ := strconv.ParseInt(m[2], 10, 64)
		at := time.Unix(s, us*1000)
		args := strings.Split(strings.Trim(m[4], `"`), `" "`)
		lua := m[3] == "lua"
		if !lua || (args[0] == "EXISTS" && !strings.Contains(args[1], ":run:")) {
			end(last)
		}
		if !lua {
			continue
		}
		last = at
		switch {
		case args[0] == "EXISTS" && !strings.Contains(args[1], ":run:"):
			begin = at
		case args[0] == "HSET" && len(args) > 3 && strings.Contains(args[1], ":run:") && args[2] == "status":
			_, id, _ := strings.Cut(args[1], ":run:")
			switch args[3] {
			case "queued":
				queued = append(queued, id)
			case "running":
				running = append(running, id)
			}
		case args[0] == "HGET" && strings.HasSuffix(args[1], ":term"):
			want = true
		}
	}
}

// report says how long the stages took, for the ticks of the window.
func (t *tracer) report(b testing.TB, starts []start, first, last time.Time) {
	_ = t.conn.Close()
	<-t.done
	stages := make([][]time.Duration, 5)
	for _, s := range starts {
		if s.Tick.Before(first) || s.Tick.After(last) || t.claimed[s.Run].IsZero() || t.committed[s.Run].IsZero() {
			continue
		}
		for i, d := range []time.Duration{
			t.committing[s.Run].Sub(s.Tick),
			t.committed[s.Run].Sub(t.committing[s.Run]),
			t.claiming[s.Run].Sub(t.committed[s.Run]),
			t.claimed[s.Run].Sub(t.claiming[s.Run]),
			s.At.Sub(t.claimed[s.Run]),
		} {
			stages[i] = append(stages[i], d)
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%-46s %8s %8s %8s\n", "ms", "p50", "p99", "max")
	for i, name := range []string{"tick to the commit reaching Redis", "inside commit", "queued, until the claim reaches Redis", "inside claim", "claim done to the handler's first line"} {
		slices.Sort(stages[i])
		fmt.Fprintf(&text, "%-46s %8.2f %8.2f %8.2f\n", name, ms(percentile(stages[i], 50)), ms(percentile(stages[i], 99)), ms(percentile(stages[i], 100)))
	}
	slices.Sort(t.claims)
	sum := 0
	for _, n := range t.claims {
		sum += n
	}
	if len(t.claims) > 0 {
		fmt.Fprintf(&text, "%d claims took %.1f runs each (most %d), %d took none\n", len(t.claims), float64(sum)/float64(len(t.claims)), t.claims[len(t.claims)-1], t.misses)
	}
	b.Log("\n" + text.String())
}
