package e2e

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

// tickAndWork is a job that falls due every second, and one that takes four
// seconds and says when it began and when it was over.
const tickAndWork = `
jobs:
  tick: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: MARK}
  work: {run: 'MARK; echo begin; sleep 4; echo end; echo "$CARILLON_ATTEMPT" >> DIR/over'}
`

// persistent are the flags of a redis-server that acknowledges nothing it could
// lose.
var persistent = []string{"--appendonly", "yes", "--appendfsync", "always"}

func TestUpWaitsForARedisThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	f, server := ownFleet(t, everySecondAll)
	server.Kill()
	p := f.begin("early")
	p.says(patience, "waiting for Redis", "nothing listens there")
	pass(2 * time.Second)
	require.True(t, p.alive())
	assert.Less(t, strings.Count(p.stderr(), "\n"), 3, "it says so, and does not shout:\n%s", p.stderr())
	server.Restart()
	start := time.Now()
	p.says(patience, `"msg":"up"`)
	t.Logf("a Redis that answers to a node that is up: %v", time.Since(start))
	eventually(t, patience, func() bool { return len(f.marks()) > 0 }, "it executes")
	assert.Zero(t, p.term(patience))
}

func TestSignalEndsAWaitForRedis(t *testing.T) {
	t.Parallel()
	f, server := ownFleet(t, everySecondAll)
	server.Kill()
	p := f.begin("early")
	p.says(patience, "waiting for Redis")
	assert.Zero(t, p.term(5*time.Second))
}

func TestCommandsWithoutRedisFailWithFive(t *testing.T) {
	t.Parallel()
	f, server := ownFleet(t, tickAndWork)
	server.Kill()
	for _, args := range [][]string{
		{"trigger", "work"}, {"--trigger", "work"}, {"runs"}, {"run", "work@x"}, {"logs", "work@x"}, {"ledger", "tick"}, {"nodes"}, {"watch"},
	} {
		r := f.call(args...)
		assert.Equal(t, 5, r.code, "%v: %s", args, r.err)
		assert.Contains(t, r.err, "no Redis at "+server.Addr(), "%v", args)
		assert.Contains(t, r.err, "nothing listens there", "%v", args)
		assert.Empty(t, r.out, "%v", args)
		assert.Less(t, r.took, 10*time.Second, "%v", args)
	}
	for _, args := range [][]string{{"validate"}, {"next"}} {
		assert.Zero(t, f.call(args...).code, "%v needs no Redis", args)
	}
	r := f.call("runs", "-o", "json")
	assert.Equal(t, 5, r.code)
	assert.Contains(t, r.err, `"code": "no_redis"`)
}

// A server that accepts and does not answer is the worst kind of absence.
func TestCommandsAtARedisThatHangs(t *testing.T) {
	t.Parallel()
	f, server := ownFleet(t, tickAndWork)
	server.Stop()
	for _, args := range [][]string{{"trigger", "work"}, {"runs"}, {"nodes"}} {
		r := f.call(args...)
		assert.Equal(t, 5, r.code, "%v: %s", args, r.err)
		assert.Contains(t, r.err, "did not answer in time", "%v", args)
		assert.Less(t, r.took, 10*time.Second, "%v", args)
	}
	p := f.begin("early")
	p.says(patience, "waiting for Redis", "did not answer in time")
	server.Cont()
	p.says(patience, `"msg":"up"`)
}

func TestTermWhileRedisIsGone(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]func(*redistest.Server){"killed": (*redistest.Server).Kill, "stopped": (*redistest.Server).Stop} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, server := ownFleet(t, lasting)
			idle, busy := f.up("idle", "--drain", "500ms"), f.up("busy", "--drain", "500ms")
			id := f.trigger("work")
			eventually(t, patience, func() bool { return len(f.pids()) == 3 }, "%s begins", id)
			if f.marksOf(id)[0].node == "idle" {
				idle, busy = busy, idle
			}
			hurt(server)
			pass(500 * time.Millisecond)
			start := time.Now()
			idle.signal(syscall.SIGTERM)
			busy.signal(syscall.SIGTERM)
			code := idle.exit(30 * time.Second)
			t.Logf("an idle node ended after %v with %d", time.Since(start).Round(time.Millisecond), code)
			code = busy.exit(25 * time.Second)
			t.Logf("a busy node ended after %v with %d", time.Since(start).Round(time.Millisecond), code)
			assert.NotZero(t, code, "it could not give its run back")
			assert.Contains(t, busy.stderr(), "could not be given back and start again when their leases expire: 1")
			assert.True(t, noneLives(f.grouped())(), "its command is dead")
			f.buryEscaped()
		})
	}
}

// A Redis that is away for less than a third of a lease takes no run from anybody: running
// commands go on, and their results are delivered when it is back.
func TestRedisKilledForFiveSeconds(t *testing.T) {
	t.Parallel()
	f, server := ownFleet(t, tickAndWork, persistent...)
	nodes := []*process{f.up("n1", "--lease", "20s", "--leader-ttl", "1500ms"), f.up("n2", "--lease", "20s", "--leader-ttl", "1500ms")}
	begin := f.adopted(1)
	id := f.trigger("work")
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 }, "%s begins", id)
	waiting := f.start("logs", "logs", "-f", id)
	eventually(t, patience, func() bool { return waiting.stdout() == "begin\n" }, "its output is seen")

	server.Kill()
	pass(5 * time.Second)
	assert.Equal(t, "1\n", read(f.dir+"/over"), "the command went on to its end")
	server.Restart()
	back := time.Now()
	r := f.awaitRun(patience, id, "succeeded", 1)
	t.Logf("Redis back to the delivered result: %v", time.Since(back))
	assert.Equal(t, 1, r.Attempt)
	assert.Len(t, f.marksOf(id), 1)
	assert.Zero(t, waiting.exit(patience), "who waits for a run waits for Redis too: %s", waiting.stderr())
	assert.Equal(t, "begin\nend\n", waiting.stdout())

	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("Redis killed"))
	a.balanced(t)
	assert.Zero(t, a.skipped+a.missed)
	for _, p := range nodes {
		complaints := strings.Count(p.stderr(), `"level":"WARN"`) + strings.Count(p.stderr(), `"level":"ERROR"`)
		assert.Positive(t, complaints, "%s says that Redis is gone", p.name)
		assert.Less(t, complaints, 20, "%s does not shout", p.name)
	}
}

// A Redis that hangs, or is gone, proves nothing: for all a node knows the others see it.
// So an attempt ends before its lease does, and never two of them run at a time.
func TestRedisAwayForLongerThanALease(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]struct{ hurt, heal func(*redistest.Server) }{
		"stopped": {(*redistest.Server).Stop, (*redistest.Server).Cont},
		"killed":  {(*redistest.Server).Kill, (*redistest.Server).Restart},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, server := ownFleet(t, alone, persistent...)
			for _, name := range []string{"n1", "n2"} {
				f.up(name, "--lease", "3s", "--leader-ttl", "1500ms")
			}
			begin := f.adopted(2)
			id := f.trigger("work")
			eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 }, "%s begins", id)

			away.hurt(server)
			pass(6 * time.Second)
			assert.Len(t, f.marksOf(id), 1, "nobody starts anything while Redis is away")
			away.heal(server)
			r := f.awaitRun(40*time.Second, id, "succeeded", 1)
			lines := f.marksOf(id)
			t.Logf("the run ended with attempt %d, having begun %d times", r.Attempt, len(lines))
			assert.Len(t, lines, r.Attempt)
			assert.Greater(t, r.Attempt, 1)
			assert.Empty(t, read(f.dir+"/together"), "two attempts at one time")

			a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
			t.Log(accountHead() + "\n" + a.row("Redis "+name))
			a.balanced(t)
			assert.Zero(t, a.skipped+a.missed)
		})
	}
}

func TestScriptsFlushedAllTheTime(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, tickAndWork)
	f.up("n1", "--leader-ttl", "1500ms")
	f.up("n2", "--leader-ttl", "1500ms")
	begin := f.adopted(1)
	stop := repeat(t, 50*time.Millisecond, func() { f.rdb.ScriptFlush(context.Background()) })
	r := f.call("trigger", "work")
	assert.Zero(t, r.code, r.err)
	assert.Equal(t, "begin\nend\n", r.out)
	stop()
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("SCRIPT FLUSH"))
	a.balanced(t)
}

func TestConnectionsKilledAllTheTime(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, tickAndWork)
	nodes := []*process{f.up("n1", "--lease", "4s"), f.up("n2", "--lease", "4s")}
	begin := f.adopted(1)
	before := descriptors(nodes)
	epoch, _ := f.term()
	kills := 0
	stop := repeat(t, 300*time.Millisecond, func() {
		ctx := context.Background()
		if f.rdb.Do(ctx, "CLIENT", "KILL", "TYPE", "normal").Err() == nil {
			kills++
		}
		f.rdb.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
	})
	r := f.call("trigger", "work", "--detach", "--request-id", "once")
	for try := 0; r.code != 0 && try < 5; try++ { // its connection may be the one that is killed
		r = f.call("trigger", "work", "--detach", "--request-id", "once")
	}
	require.Zero(t, r.code, r.err)
	id := strings.TrimSpace(r.out)
	pass(6 * time.Second)
	stop()
	f.awaitRun(patience, id, "succeeded", 1)
	require.Positive(t, kills)
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	if later, _ := f.term(); later != epoch {
		t.Log("the leader changed")
	}
	t.Logf("%d times every connection\n%s\n%s", kills, accountHead(), a.row("CLIENT KILL"))
	a.balanced(t)
	eventually(t, patience, func() bool { return descriptors(nodes) <= before+20 }, "file descriptors go back to about %d, they are %d", before, descriptors(nodes))
}

// descriptors counts the open files of processes; 0 where that cannot be seen.
func descriptors(nodes []*process) (n int) {
	for _, p := range nodes {
		list, _ := os.ReadDir("/proc/" + itoa(p.pid()) + "/fd")
		n += len(list)
	}
	return n
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	f, server := ownFleet(t, everySecondAll, "--requirepass", "correct-horse")
	for url, words := range map[string]string{
		"redis://:wrong-horse@" + server.Addr() + "/0": "the password or user in the Redis URL is wrong",
		"redis://" + server.Addr() + "/0":              "wants a password",
	} {
		f.url = url
		for _, args := range [][]string{{"up"}, {"runs"}, {"trigger", "tick"}, {"nodes"}} {
			r := f.call(args...)
			assert.Equal(t, 5, r.code, "%v with %s: %s", args, url, r.err)
			assert.Contains(t, r.err, words, "%v with %s", args, url)
			assert.NotContains(t, r.err, "wrong-horse", "%v with %s", args, url)
		}
	}
	f.url = "redis://:correct-horse@" + server.Addr() + "/0"
	p := f.up("right")
	assert.NotContains(t, p.stderr(), "correct-horse")
}

func TestWrongDatabase(t *testing.T) {
	t.Parallel()
	f, server := ownFleet(t, everySecondAll)
	f.url = "redis://" + server.Addr() + "/99"
	for _, args := range [][]string{{"up"}, {"runs"}, {"trigger", "tick"}} {
		r := f.call(args...)
		assert.Equal(t, 5, r.code, "%v: %s", args, r.err)
		assert.Contains(t, r.err, "the database number in the Redis URL does not exist", "%v", args)
	}
	f.url = "redis://" + server.Addr() + "/nonsense"
	for _, args := range [][]string{{"up"}, {"runs"}} {
		r := f.call(args...)
		assert.NotZero(t, r.code, "%v", args)
		assert.Contains(t, r.err, "expected redis://", "%v", args)
	}
}

func TestReadOnlyReplica(t *testing.T) {
	t.Parallel()
	master := redistest.StartReal(t)
	host, port, _ := strings.Cut(master.Addr(), ":")
	f, _ := ownFleet(t, everySecondAll, "--replicaof", host, port)
	eventually(t, patience, func() bool {
		return strings.Contains(f.rdb.Info(context.Background(), "replication").Val(), "master_link_status:up")
	}, "the replica follows its master")

	r := f.call("trigger", "tick")
	assert.Equal(t, 5, r.code, r.err)
	assert.Contains(t, r.err, "read-only replica; point --redis at the master")
	assert.Zero(t, f.call("runs").code, "looking needs no right to write")

	p := f.begin("n1")
	p.says(patience, "read-only replica; point --redis at the master")
	require.True(t, p.alive(), "it may become the master in a moment")
	require.NoError(t, f.rdb.Do(context.Background(), "REPLICAOF", "NO", "ONE").Err())
	p.says(patience, `"msg":"up"`)
	eventually(t, patience, func() bool { return len(f.marks()) > 0 }, "it executes")
}

// The master becomes a replica under running nodes, and comes back.
func TestMasterBecomesAReplicaForAWhile(t *testing.T) {
	t.Parallel()
	other := redistest.StartReal(t)
	host, port, _ := strings.Cut(other.Addr(), ":")
	f, _ := ownFleet(t, everySecondAll, "--replica-read-only", "yes")
	p := f.up("n1", "--leader-ttl", "1500ms")
	f.adopted(1)
	eventually(t, patience, func() bool { return len(f.marks()) > 0 }, "it executes")
	ctx := context.Background()
	other.Kill() // so that the replica keeps its data while it looks for its master
	require.NoError(t, f.rdb.Do(ctx, "REPLICAOF", host, port).Err())
	eventually(t, patience, func() bool { return f.rdb.Set(ctx, "x", 1, 0).Err() != nil }, "it refuses to write")
	pass(3 * time.Second)
	require.True(t, p.alive(), "a replica is no reason to end")
	require.NoError(t, f.rdb.Do(ctx, "REPLICAOF", "NO", "ONE").Err())
	back := f.now()
	eventually(t, patience, func() bool {
		m := f.marks()
		return m[len(m)-1].at.After(back)
	}, "it executes again")
	var ledger []entry
	f.query(&ledger, "ledger", "tick", "--limit", "1000")
	from := ledger[len(ledger)-1].Tick.Add(-time.Second)
	a := f.audit("tick", everySecond(from, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("READONLY"))
	a.balanced(t)
}

// A Redis that lost everything: what was due while it was gone is beyond
// anybody's knowledge, but nothing stands still and nothing runs twice.
func TestRedisComesBackEmpty(t *testing.T) {
	t.Parallel()
	f, server := ownFleet(t, tickAndWork) // keeps nothing on disk
	nodes := []*process{f.up("n1", "--lease", "4s", "--leader-ttl", "1500ms"), f.up("n2", "--lease", "4s", "--leader-ttl", "1500ms")}
	f.adopted(1)
	epoch, _ := f.term()
	id := f.trigger("work")
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 }, "%s begins", id)
	server.Restart()
	begin := f.adopted(1)
	later, _ := f.term()
	assert.Greater(t, later, epoch, "epochs never go back")
	f.awaitRun(patience, id, "succeeded", 1) // its node knew
	again := f.trigger("work")
	f.awaitRun(patience, again, "succeeded", 1)
	assert.Len(t, f.marksOf(id), 1)
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("Redis came back empty"))
	a.balanced(t)
	seen := map[string]int{}
	for _, m := range f.marks() {
		seen[m.run]++
		assert.Equal(t, 1, seen[m.run], "%+v", m)
	}
	for _, p := range nodes {
		assert.Zero(t, p.term(patience), p.stderr())
	}
}

// At maxmemory Redis refuses what is new. Ends of running commands are accepted,
// and what could not be dispatched is made good later.
func TestRedisOutOfMemoryForAWhile(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, tickAndWork)
	p := f.up("n1", "--lease", "3s", "--leader-ttl", "3s")
	begin := f.adopted(1)
	id := f.trigger("work")
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 }, "%s begins", id)
	ctx := context.Background()
	require.NoError(t, f.rdb.ConfigSet(ctx, "maxmemory", "1").Err())
	r := f.call("trigger", "tick")
	assert.Equal(t, 5, r.code, r.err)
	assert.Contains(t, r.err, "maxmemory")
	pass(6 * time.Second) // longer than the command, twice as long as the lease
	require.True(t, p.alive())
	assert.Equal(t, "1\n", read(f.dir+"/over"), "the command kept its lease and went on to its end")
	assert.Len(t, f.marksOf(id), 1)
	require.NoError(t, f.rdb.ConfigSet(ctx, "maxmemory", "0").Err())
	assert.Equal(t, 1, f.awaitRun(patience, id, "succeeded", 1).Attempt)
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("maxmemory"))
	a.balanced(t)
	assert.Zero(t, a.missed+a.skipped)
	assert.Contains(t, p.stderr(), "maxmemory")
}

func TestClientsPausedForLongerThanALease(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, tickAndWork)
	for _, name := range []string{"n1", "n2"} {
		f.up(name, "--lease", "3s", "--leader-ttl", "1500ms")
	}
	begin := f.adopted(1)
	require.NoError(t, f.rdb.Do(context.Background(), "CLIENT", "PAUSE", "5000", "WRITE").Err())
	pass(6 * time.Second)
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("CLIENT PAUSE WRITE"))
	a.balanced(t)
	assert.Zero(t, a.missed+a.skipped)
}
