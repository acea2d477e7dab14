package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"carillon/internal/redistest"
)

// seed repeats the order of misfortunes of an earlier run, though not their
// timing.
var seed = flag.Uint64("seed", 0, "of TestEverythingAtOnce; 0 means a new one")

const chaosJobs = 8

// chaos is a fleet and what may happen to it.
type chaos struct {
	f      *fleet
	server *redistest.Server
	flags  []string
	nodes  []*process
	rng    *rand.Rand
	log    []string
}

// TestEverythingAtOnce lets misfortunes follow each other for as long as -storm
// says, at most one of them at a time, and then counts. No acknowledged write is
// lost by this Redis, so nothing may be lost or doubled by us.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-seed %d", n)
	var schedule strings.Builder
	schedule.WriteString("defaults: {catch_up: {policy: all, max: 10000}, overlap: allow, retry: {attempts: 2, backoff: 100ms}}\njobs:\n")
	var jobs []string
	for i := range chaosJobs {
		jobs = append(jobs, fmt.Sprintf("job-%d", i))
		fmt.Fprintf(&schedule, "  %s: {schedule: \"* * * * * *\", run: MARK; sleep 0.%d}\n", jobs[i], i)
	}
	c := &chaos{rng: rand.New(rand.NewPCG(n, n)), flags: []string{"--leader-ttl", "1s", "--lease", "3s", "--drain", "200ms", "--slots", "8"}}
	c.f, c.server = ownFleet(t, schedule.String(), persistent...)
	for i := range 3 {
		c.nodes = append(c.nodes, c.f.up("n"+itoa(i), c.flags...))
	}
	begin := c.f.adopted(chaosJobs)
	for stop := time.Now().Add(*storm); time.Now().Before(stop); {
		c.strike()
		pass(time.Duration(c.rng.IntN(800)) * time.Millisecond)
	}
	t.Log(strings.Join(c.log, ", "))
	for i := range c.nodes {
		if !c.nodes[i].alive() {
			c.nodes[i] = c.f.begin(c.nodes[i].name, c.flags...)
		}
	}
	end := c.f.settle(time.Minute, jobs...)
	var sum account
	for _, job := range jobs {
		sum.add(c.f.audit(job, everySecond(begin, end)))
	}
	t.Log(accountHead() + "\n" + sum.row("everything"))
	sum.balanced(t)
	assert.Zero(t, sum.missed+sum.skipped, "catch_up: all, overlap: allow")
}

// strike lets one misfortune happen.
func (c *chaos) strike() {
	i := c.rng.IntN(len(c.nodes))
	p, ctx := c.nodes[i], context.Background()
	while := time.Duration(c.rng.IntN(3000)) * time.Millisecond
	what := ""
	switch c.rng.IntN(9) {
	case 0, 1:
		what = "kill " + p.name
		p.kill()
		c.nodes[i] = c.f.begin(p.name, c.flags...)
	case 2:
		what = "end " + p.name
		p.signal(syscall.SIGTERM)
		p.exit(patience)
		c.nodes[i] = c.f.begin(p.name, c.flags...)
	case 3:
		what = fmt.Sprintf("stop %s for %v", p.name, while)
		p.signal(syscall.SIGSTOP)
		pass(while)
		p.signal(syscall.SIGCONT)
	case 4:
		what = "kill connections"
		c.f.rdb.Do(ctx, "CLIENT", "KILL", "TYPE", "normal")
		c.f.rdb.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
	case 5:
		what = "flush scripts"
		c.f.rdb.ScriptFlush(ctx)
	case 6:
		what = fmt.Sprintf("stop Redis for %v", while)
		c.server.Stop()
		pass(while)
		c.server.Cont()
	case 7:
		what = fmt.Sprintf("kill Redis for %v", while/2)
		c.server.Kill()
		pass(while / 2)
		c.server.Restart()
	case 8:
		what = "reload"
		for _, p := range c.nodes {
			p.signal(syscall.SIGHUP)
		}
	}
	c.log = append(c.log, what)
}
