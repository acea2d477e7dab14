package bench

import (
	"context"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func check(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// admin asks Redis what the benchmark cost.
type admin struct{ c *redis.Client }

func newAdmin(b testing.TB, url string) *admin {
	o, err := redis.ParseURL(url)
	check(b, err)
	c := redis.NewClient(o)
	b.Cleanup(func() { _ = c.Close() })
	return &admin{c}
}

func (a *admin) do(b testing.TB, args ...any) {
	check(b, a.c.Do(context.Background(), args...).Err())
}

func (a *admin) set(b testing.TB, key, value string) { a.do(b, "SET", key, value) }

// counts are what Redis did so far: commands, those that scripts called included;
// calls that came over the network; time spent in scripts.
type counts struct {
	commands, calls int64
	cpu             time.Duration
}

var statLine = regexp.MustCompile(`cmdstat_([a-z|_]+):calls=(\d+),usec=(\d+)`)

func (a *admin) counts(b testing.TB) counts {
	text, err := a.c.Info(context.Background(), "commandstats").Result()
	check(b, err)
	var c counts
	for _, m := range statLine.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.ParseInt(m[2], 10, 64)
		us, _ := strconv.ParseInt(m[3], 10, 64)
		c.commands += n
		switch m[1] {
		case "evalsha":
			c.calls += n
			c.cpu += time.Duration(us) * time.Microsecond
		case "blpop", "time":
			c.calls += n
		}
	}
	return c
}

// bill is what Redis and this process had done when a measurement began.
type bill struct {
	admin *admin
	redis counts
	pid   int           // of Redis
	used  time.Duration // processor time of Redis, all of it
	cpu   time.Duration
}

func (a *admin) begin(b testing.TB) bill {
	pid := a.pid(b)
	return bill{a, a.counts(b), pid, cpuOf(b, pid), ownCPU()}
}

// report adds what b.N runs cost since then. elapsed is how long they took.
func (l bill) report(b *testing.B, elapsed time.Duration) {
	client, server, after, n := ownCPU()-l.cpu, cpuOf(b, l.pid)-l.used, l.admin.counts(b), float64(b.N)
	b.ReportMetric(n/elapsed.Seconds(), "runs/s")
	b.ReportMetric(float64(after.commands-l.redis.commands)/n, "commands/run")
	b.ReportMetric(float64(after.calls-l.redis.calls)/n, "roundtrips/run")
	b.ReportMetric(float64(after.cpu-l.redis.cpu)/n/float64(time.Microsecond), "scripts-µs/run")
	b.ReportMetric(float64(server)/n/float64(time.Microsecond), "redis-µs/run")
	b.ReportMetric(float64(client)/n/float64(time.Microsecond), "client-µs/run")
}
