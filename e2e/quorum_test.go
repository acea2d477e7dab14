package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

// lockFlags are five lock Redises, and the flags that name them.
func lockFlags(t *testing.T) (locks []*redistest.Server, flags []string) {
	for range 5 {
		s := redistest.StartReal(t)
		locks = append(locks, s)
		flags = append(flags, "--lock-redis", s.URL())
	}
	return locks, flags
}

// The lock on five Redises of its own: two of them may be away at any time, three
// may not, and in all of it each tick runs once.
func TestLockQuorum(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, `
jobs:
  tick: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: MARK}
  work: {run: 'MARK; sleep 6; echo over >> DIR/over'}
`)
	locks, flags := lockFlags(t)
	flags = append(flags, "--leader-ttl", "1500ms", "--lease", "10s")
	nodes := map[string]*process{}
	for _, name := range []string{"n1", "n2", "n3"} {
		nodes[name] = f.up(name, flags...)
	}
	begin := f.adopted(1)
	first := f.awaitLeader(patience)
	var listed []struct {
		Node      string
		Leader    bool
		LockRedis string `json:"lock_redis"`
	}
	f.query(&listed, "nodes")
	require.Len(t, listed, 3)
	for _, n := range listed {
		assert.Equal(t, n.Node == first, n.Leader, "%+v", n)
		assert.Regexp(t, `^5:[0-9a-f]{8}$`, n.LockRedis)
	}

	// A minority is away, each in its way, and comes back without its memory. The
	// leader goes on: no other term begins.
	_, token := f.term()
	locks[0].Kill()
	locks[1].Stop()
	pass(5 * time.Second)
	locks[0].Restart()
	locks[1].Cont()
	locks[2].Restart()
	locks[3].Restart()
	pass(3 * time.Second)
	_, now := f.term()
	assert.Equal(t, token, now, "the term of %s goes on", first)

	// With a minority away a dead leader is replaced.
	locks[4].Kill()
	locks[1].Stop()
	killed := time.Now()
	epoch, _ := f.term()
	nodes[first].kill()
	f.awaitLeader(patience, first)
	t.Logf("SIGKILL to the next leader's term, two lock Redises away: %v (TTL 1.5s)", time.Since(killed))
	higher, _ := f.term()
	assert.Greater(t, higher, epoch)

	// The majority is gone: nobody leads, what runs runs on.
	id := f.trigger("work")
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 }, "%s begins", id)
	locks[2].Kill()
	eventually(t, patience, func() bool { return f.leader() == "" }, "nobody leads")
	r := f.call("doctor", "--file", f.file)
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.out, "no_leader")
	run := f.awaitRun(patience, id, "succeeded", 1)
	assert.Len(t, f.marksOf(id), 1)
	assert.Equal(t, 1, run.Attempt)
	assert.Empty(t, f.leader(), "and still nobody leads")
	says := false
	for _, n := range nodes {
		says = says || strings.Contains(n.stderr(), "of 5 lock Redises answered, 3 are needed")
	}
	assert.True(t, says, "the nodes say why")

	// Late, and once: what fell due meanwhile.
	healed := time.Now()
	locks[1].Cont()
	locks[2].Restart()
	f.awaitLeader(patience)
	t.Logf("three of five lock Redises back to the next term: %v", time.Since(healed))
	a := f.audit("tick", everySecond(begin, f.settle(40*time.Second, "tick")))
	t.Log(accountHead() + "\n" + a.row("lock quorum"))
	a.balanced(t)
	assert.Zero(t, a.skipped+a.missed)
}

// A node that lacks the list elects itself on the Redis of the data: everybody
// says so, and nothing runs twice.
func TestANodeWithoutTheLockList(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, everySecondAll)
	_, flags := lockFlags(t)
	flags = append(flags, "--leader-ttl", "1500ms", "--lease", "3s")
	nodes := map[string]*process{"with": f.up("with", flags...)}
	begin := f.adopted(1)
	nodes["without"] = f.up("without", "--leader-ttl", "1500ms", "--lease", "3s")
	eventually(t, patience, func() bool {
		return strings.Contains(nodes["with"].stderr(), "they have another --lock-redis, or none")
	}, "the leader sees it")
	assert.Contains(t, f.call("nodes").err, "the nodes elect with different lock Redises")
	assert.Contains(t, f.call("doctor").out, "lock_differs")

	assert.Equal(t, "with", f.awaitLeader(patience))
	nodes["with"].kill()
	assert.Equal(t, "without", f.awaitLeader(patience, "with"))
	nodes["again"] = f.up("again", flags...)
	nodes["without"].kill()
	assert.Equal(t, "again", f.awaitLeader(patience, "with", "without"))
	f.audit("tick", everySecond(begin, f.settle(patience, "tick"))).balanced(t)
}

func TestLockListsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	f := newFleet(t, everySecondAll)
	r := f.call("up", "--lock-redis", "h:1", "--lock-redis", "h:2")
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.err, "--lock-redis: 2 lock Redises: expected 3, 5, 7 or 9")
	r = command(t, f.dir, []string{"CARILLON_LOCK_REDIS=h:1,h:2,h:1"}, append([]string{"up"}, f.flags()...)...)
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.err, "h:1/0 is there twice")
}

// One that will never serve the node is said at once; one that is away is not waited for.
func TestALockRedisThatRefusesTheNode(t *testing.T) {
	t.Parallel()
	f, data := ownFleet(t, everySecondAll)
	closed := redistest.StartReal(t, "--requirepass", "geheim")
	gone := redistest.StartReal(t)
	gone.Kill()
	r := f.call("up", "--lock-redis", data.URL(), "--lock-redis", closed.URL(), "--lock-redis", gone.URL())
	assert.Equal(t, 5, r.code)
	assert.Contains(t, r.err, "use the lock Redis at "+closed.Addr())
	assert.Contains(t, r.err, "wants a password")

	p := f.up("n1", "--lock-redis", data.URL(), "--lock-redis", strings.Replace(closed.URL(), "redis://", "redis://:geheim@", 1), "--lock-redis", gone.URL())
	p.says(patience, "a lock Redis does not answer")
	assert.Equal(t, "n1", f.awaitLeader(patience), "two of three, the data's among them")
	assert.NotContains(t, p.stderr(), "geheim")
	assert.Zero(t, p.term(patience))
}
