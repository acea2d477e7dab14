package e2e

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

// These are faults of docs/faults.md that strike Redis, or the way to it. The
// number in a name is the number there.

// Redis is there and reads its data set. That is no reason to end and no reason
// to shout, and it takes no run from anybody.
func TestFault16RedisLoads(t *testing.T) {
	t.Parallel()
	if redistest.Major(t) < 7 {
		t.Skip("before 7.0 it cannot be told to answer often while it loads so little")
	}
	long := atLength(6*time.Second, 12*time.Second)
	const keys = 4000 // it answers after every tenth or so, and a proof takes some answers
	f, server := ownFleet(t, tickAndWork, append([]string{
		"--key-load-delay", itoa(int(long.Microseconds()) / keys), "--loading-process-events-interval-bytes", "1024",
	}, persistent...)...)
	nodes := []*process{f.up("n1", "--lease", "4s", "--leader-ttl", "1500ms"), f.up("n2", "--lease", "4s", "--leader-ttl", "1500ms")}
	begin := f.adopted(1)
	ctx := context.Background()
	pipe := f.rdb.Pipeline()
	for i := range keys {
		pipe.Set(ctx, "filler-"+itoa(i), strings.Repeat("x", 100), 0)
	}
	_, err := pipe.Exec(ctx)
	require.NoError(t, err)
	require.NoError(t, f.rdb.BgRewriteAOF(ctx).Err()) // the part that is read slowly is a snapshot
	eventually(t, patience, func() bool {
		info := f.rdb.Info(ctx, "persistence").Val()
		return strings.Contains(info, "aof_rewrite_in_progress:0") && strings.Contains(info, "aof_rewrite_scheduled:0")
	}, "the snapshot is written")
	id := f.trigger("work")
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 }, "%s begins", id)

	start := time.Now()
	server.Restart() // returns when it has loaded
	loaded := time.Since(start)
	t.Logf("loading took %v", loaded.Round(time.Millisecond))
	require.Greater(t, loaded, long*3/4)
	assert.Equal(t, "1\n", read(f.dir+"/over"), "the command went on to its end, for longer than a lease")
	r := f.awaitRun(patience, id, "succeeded", 1)
	assert.Equal(t, 1, r.Attempt)
	assert.Len(t, f.marksOf(id), 1)
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("LOADING"))
	a.balanced(t)
	assert.Zero(t, a.skipped+a.missed)
	for _, p := range nodes {
		require.True(t, p.alive())
		assert.Positive(t, p.lines("LOADING"), "it says why it waits")
		most := int(loaded/(5*time.Second)) + 1
		for message, n := range p.messages("LOADING") {
			assert.LessOrEqual(t, n, most, "%s: once in 5 s: %s", p.name, message)
		}
	}
}

// messages counts the lines that have the word, by what they say.
func (p *process) messages(word string) map[string]int {
	count := map[string]int{}
	for line := range strings.Lines(p.stderr()) {
		if strings.Contains(line, word) {
			_, rest, _ := strings.Cut(line, `"msg":"`)
			message, _, _ := strings.Cut(rest, `"`)
			count[message]++
		}
	}
	return count
}

// CLIENT PAUSE ALL lets not even a PING through.
func TestFault15EveryClientPaused(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, everySecondAll)
	for _, name := range []string{"n1", "n2"} {
		f.up(name, "--lease", "3s", "--leader-ttl", "1500ms")
	}
	begin := f.adopted(1)
	pause := atLength(5*time.Second, 15*time.Second)
	require.NoError(t, f.rdb.Do(context.Background(), "CLIENT", "PAUSE", itoa(int(pause.Milliseconds())), "ALL").Err())
	pass(pause)
	a := f.audit("tick", everySecond(begin, f.settle(2*patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("CLIENT PAUSE ALL"))
	a.balanced(t)
	assert.Zero(t, a.missed+a.skipped, "late, once")
	assert.Positive(t, a.late)
}

// Everything is gone at once, while nodes and commands run.
func TestFault24Flushed(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, tickAndWork)
	nodes := []*process{f.up("n1", "--lease", "4s", "--leader-ttl", "1500ms"), f.up("n2", "--lease", "4s", "--leader-ttl", "1500ms")}
	f.adopted(1)
	epoch, _ := f.term()
	id := f.trigger("work")
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 }, "%s begins", id)
	require.NoError(t, f.rdb.FlushAll(context.Background()).Err())
	begin := f.adopted(1)
	f.awaitLeader(patience)
	later, _ := f.term()
	assert.Greater(t, later, epoch, "epochs never go back")
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("FLUSHALL"))
	a.balanced(t)
	seen := map[string]int{}
	for _, m := range f.marks() {
		seen[m.run+" "+itoa(m.attempt)]++
		assert.Equal(t, 1, seen[m.run+" "+itoa(m.attempt)], "%+v", m)
	}
	for _, p := range nodes {
		require.True(t, p.alive())
	}
}

// Redis may throw keys away. The doctor says so before it happens. When the hash of
// a run is gone nobody knows any more what it was: it ends there, and its job goes
// on.
func TestFault21KeysAreEvicted(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, `
jobs:
  running: {run: 'MARK; while ! [ -e DIR/go ]; do sleep 0.1; done'}
  waiting: {run: MARK}
  retrying: {retry: {attempts: 3, backoff: 1s}, run: 'MARK; exit 1'}
  inline: {overlap: queue, run: 'MARK; while ! [ -e DIR/go ]; do sleep 0.1; done'}
  tick: {schedule: "* * * * * *", run: MARK}
`)
	ctx := context.Background()
	require.NoError(t, f.rdb.ConfigSet(ctx, "maxmemory", "100mb").Err())
	require.NoError(t, f.rdb.ConfigSet(ctx, "maxmemory-policy", "allkeys-lru").Err())
	r := f.call("doctor", "-o", "json")
	assert.Equal(t, 1, r.code, r.err)
	assert.Contains(t, r.out, `"id": "eviction"`)
	assert.Contains(t, r.out, "maxmemory-policy allkeys-lru")

	evict := func(id string) {
		n, err := f.rdb.Del(ctx, f.key("run:"+id)).Result()
		require.NoError(t, err)
		require.EqualValues(t, 1, n, "%s was there", id)
	}
	evict(f.trigger("waiting")) // no node is there that could take it
	p := f.up("n1", "--lease", "3s", "--leader-ttl", "1s")
	f.adopted(1)

	running, inline := f.trigger("running"), f.trigger("inline")
	held := f.trigger("inline")
	retrying := f.trigger("retrying")
	f.awaitRun(patience, retrying, "retrying", 1)
	eventually(t, patience, func() bool { return len(f.marksOf(running)) == 1 && len(f.marksOf(inline)) == 1 }, "both run")
	evict(retrying)
	evict(running)
	evict(inline)
	p.says(patience, "another attempt holds it, or Redis lost its record")
	writeFile(t, filepath.Join(f.dir, "go"), "")

	// Each job goes on: nothing is in the way of its next run.
	for _, job := range []string{"running", "waiting", "inline"} {
		eventually(t, patience, func() bool {
			return f.call("trigger", job, "--detach").code == 0
		}, "%s can be triggered again", job)
	}
	eventually(t, patience, func() bool { return len(f.marksOf(held)) == 1 }, "the run that waited for one that is gone has its turn")
	eventually(t, patience, func() bool {
		r := f.call("trigger", "retrying", "--detach")
		return r.code == 0
	}, "retrying can be triggered again")
	eventually(t, 2*patience, func() bool { return len(f.leftovers()) == 0 }, "nothing of a run is left behind")
}

// The disk of Redis is full: it answers, and takes no write. What runs goes on, and
// its end is told when there is room again.
func TestFault22RedisDiskIsFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "2m")
	f, _ := ownFleet(t, tickAndWork, "--appendonly", "yes", "--appendfsync", "everysec", "--dir", disk, "--auto-aof-rewrite-percentage", "0")
	p := f.up("n1", "--lease", "4s", "--leader-ttl", "1500ms")
	begin := f.adopted(1)
	id := f.trigger("work")
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 }, "%s begins", id)

	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	p.says(patience, "Redis cannot write its disk")
	full := time.Now()
	eventually(t, patience, func() bool { return read(f.dir+"/over") != "" }, "the command ends")
	r := f.call("trigger", "tick")
	assert.Equal(t, 5, r.code, r.err)
	assert.Contains(t, r.err, "Redis cannot write its disk")
	pass(time.Until(full.Add(atLength(6*time.Second, 30*time.Second)))) // longer than a lease
	require.True(t, p.alive())
	t.Logf("full for %v", time.Since(full).Round(time.Millisecond))
	require.NoError(t, os.Remove(ballast))

	got := f.awaitRun(patience, id, "succeeded", 1)
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("disk full"))
	a.balanced(t)
	assert.Zero(t, a.skipped+a.missed)
	assert.Equal(t, 1, got.Attempt, "its lease stood still: nobody could have taken the run")
	assert.Len(t, f.marksOf(id), 1)
	for message, n := range p.messages("MISCONF") {
		assert.LessOrEqual(t, n, int(time.Since(full)/(5*time.Second))+1, "once in 5 s: %s", message)
	}
}

// While the disk was full, Redis tried to rewrite its append-only file. What 7.0 appends to
// the file that it began for that is cut at the wrong place, and a restart may not read it.
// With room again, a rewrite before the restart mends that, and doctor says so.
func TestFault22RewriteOnAFullDisk(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	disk := smallDisk(t, "2m")
	f, server := ownFleet(t, tickAndWork, "--appendonly", "yes", "--appendfsync", "everysec", "--dir", disk, "--auto-aof-rewrite-percentage", "0")
	for i := range 50 { // the rewritten file, which is compressed, does not fit into what is left below
		padding := make([]byte, 1000)
		for at := range padding {
			padding[at] = byte(rand.IntN(256))
		}
		require.NoError(t, f.rdb.Set(ctx, "padding:"+itoa(i), padding, 0).Err())
	}
	p := f.up("n1", "--lease", "4s", "--leader-ttl", "1500ms")
	begin := f.adopted(1)
	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	full, err := os.Stat(ballast)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(ballast, full.Size()-12_000))
	rewritten := func() string {
		info := f.rdb.InfoMap(ctx, "persistence").Val()["Persistence"]
		if info["aof_rewrite_in_progress"] != "0" || info["aof_rewrite_scheduled"] != "0" {
			return ""
		}
		return info["aof_last_bgrewrite_status"]
	}
	eventually(t, patience, func() bool {
		_ = f.rdb.BgRewriteAOF(ctx).Err() // refused where there is not even room for the list of files
		return rewritten() == "err"
	}, "a rewrite fails")
	p.says(patience, "Redis cannot write its disk")
	require.NoError(t, os.Remove(ballast))
	eventually(t, patience, func() bool { return f.rdb.Set(ctx, "after", "room", 0).Err() == nil }, "Redis takes writes again")

	r := f.call("doctor")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.out, "problem disk: aof_last_bgrewrite_status err")
	assert.Contains(t, r.out, "BGREWRITEAOF before Redis is restarted")
	require.NoError(t, f.rdb.BgRewriteAOF(ctx).Err())
	eventually(t, patience, func() bool { return rewritten() == "ok" }, "it is rewritten")
	server.Kill()
	server.Restart()
	assert.Equal(t, "room", f.rdb.Get(ctx, "after").Val(), "what came after the refusals is there")
	id := f.trigger("work")
	f.awaitRun(2*patience, id, "succeeded", 1)
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("rewrite on a full disk"))
	a.balanced(t)
}

// smallDisk is a file system of its own. It takes root.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if os.Geteuid() != 0 {
		t.Skip("a disk that can be filled takes root: mount")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "none", dir).CombinedOutput(); err != nil {
		t.Skipf("a disk that can be filled takes the right to mount one: %v: %s", err, out)
	}
	t.Cleanup(func() {
		out, err := exec.Command("umount", "--lazy", dir).CombinedOutput()
		assert.NoError(t, err, "%s", out)
	})
	return dir
}

// fill writes to a file until its disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	ballast, err := os.Create(path)
	require.NoError(t, err)
	defer ballast.Close()
	block := make([]byte, 4096)
	for err == nil {
		_, err = ballast.Write(block)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
}

// alone is a job that leaves a line when two attempts of it are at work at one time.
const alone = `
defaults: {catch_up: all, overlap: allow}
jobs:
  tick: {schedule: "* * * * * *", run: MARK}
  tack: {schedule: "* * * * * *", run: MARK}
  work:
    run: |
      MARK
      mkdir DIR/lock || echo "attempt $CARILLON_ATTEMPT" >> DIR/together
      trap 'rmdir DIR/lock; exit 1' TERM
      i=0; while [ $i -lt 40 ]; do sleep 0.1; i=$((i+1)); done
      rmdir DIR/lock
`

// One node loses sight of Redis, and nothing breaks: the worst way to be cut off.
func TestFault25NodeInABlackHole(t *testing.T) {
	t.Parallel()
	oneIsCutOff(t, func(w *wire) { w.lose(true, true) }, func(w *wire) { w.lose(false, false) })
}

// A firewall that rejects, a proxy or a sidecar that is gone refuses the connections of one
// node. It cannot know that the others get through.
func TestANodeThatAloneIsRefused(t *testing.T) {
	t.Parallel()
	oneIsCutOff(t, (*wire).refuse, (*wire).accept)
}

// oneIsCutOff: a node that executes a run is cut off and comes back, while another one sees
// Redis all the time.
func oneIsCutOff(t *testing.T, cutOff, comeBack func(*wire)) {
	f := newFleet(t, alone)
	w := newWire(t, strings.TrimSuffix(strings.TrimPrefix(f.url, "redis://"), "/0"))
	flags := []string{"--lease", "3s", "--leader-ttl", "1500ms"}
	cut := f.upAt(w.url(), "cut", flags...)
	begin := f.adopted(2)
	id := f.trigger("work")
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 }, "%s begins", id)
	first := f.marksOf(id)[0].pid
	f.up("other", flags...)

	cutOff(w)
	start := time.Now()
	f.awaitLeader(patience, "cut")
	t.Logf("another leader %v after the cut (TTL 1.5 s)", time.Since(start).Round(time.Millisecond))
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 2 }, "%s begins again", id)
	t.Logf("another attempt %v after the cut (lease 3 s)", time.Since(start).Round(time.Millisecond))
	assert.False(t, living(first), "the first attempt is dead before the second begins")
	pass(time.Until(start.Add(atLength(6*time.Second, time.Minute))))
	var taken int
	for _, m := range f.marks() {
		if m.node == "cut" && m.at.After(start.Add(3*time.Second)) {
			taken++
		}
	}
	assert.Zero(t, taken, "it starts nothing that it cannot claim")
	comeBack(w)
	healed := time.Now()
	r := f.awaitRun(patience, id, "succeeded", 2)
	assert.Equal(t, 2, r.Attempt)
	assert.Equal(t, "other", r.Node)
	assert.Empty(t, read(f.dir+"/together"), "two attempts at one time")
	eventually(t, patience, func() bool {
		for _, m := range f.marks() {
			if m.node == "cut" && m.at.After(healed) {
				return true
			}
		}
		return false
	}, "it takes part again")
	require.True(t, cut.alive())
	var sum account
	end := f.settle(patience, "tick", "tack")
	for _, job := range []string{"tick", "tack"} {
		sum.add(f.audit(job, everySecond(begin, end)))
	}
	t.Log(accountHead() + "\n" + sum.row("one is cut off"))
	sum.balanced(t)
}

// What a node asks is done, and it never hears of that.
func TestFault26RepliesAreLost(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `
defaults: {catch_up: all, overlap: allow}
jobs:
  tick: {schedule: "* * * * * *", run: MARK}
  steps:
    schedule: "* * * * * *"
    steps: [{name: one, run: MARK, undo: {run: "true"}}, {name: two, run: sleep 0.1}]
`)
	w := newWire(t, strings.TrimSuffix(strings.TrimPrefix(f.url, "redis://"), "/0"))
	for _, name := range []string{"n1", "n2"} {
		f.upAt(w.url(), name, "--lease", "6s", "--leader-ttl", "3s")
	}
	begin := f.adopted(2)
	for range atLength(2, 20) {
		pass(3 * time.Second)
		w.lose(false, true)
		pass(2 * time.Second)
		w.lose(false, false)
	}
	require.Positive(t, w.lostReplies)
	var sum account
	end := f.settle(2*patience, "tick", "steps")
	for _, job := range []string{"tick", "steps"} {
		sum.add(f.audit(job, everySecond(begin, end)))
	}
	t.Logf("%d pieces of replies lost\n%s\n%s", w.lostReplies, accountHead(), sum.row("replies lost"))
	sum.balanced(t)
	assert.Zero(t, sum.missed+sum.skipped)
	for _, id := range f.unfinished("tick", "steps") {
		_, stamp, _ := strings.Cut(id, "@")
		at, err := time.Parse(time.RFC3339, stamp)
		require.NoError(t, err)
		assert.True(t, at.After(end), "%s is left behind", id)
	}
}

// unfinished are the runs in the active sets of jobs.
func (f *fleet) unfinished(jobs ...string) (ids []string) {
	for _, job := range jobs {
		ids = append(ids, f.rdb.SMembers(context.Background(), f.key("active:"+job)).Val()...)
	}
	return ids
}

// A line that is as far and as narrow as they come: half a second there and back,
// give or take 400 ms, and 64 KB a second. The leader keeps its seat.
func TestFault27SlowAndNarrowLine(t *testing.T) {
	t.Parallel()
	f := newFleet(t, everySecondAll)
	w := newWire(t, strings.TrimSuffix(strings.TrimPrefix(f.url, "redis://"), "/0"))
	w.slow(func() time.Duration { return time.Duration(50+rand.IntN(400)) * time.Millisecond }, 64<<10)
	for _, name := range []string{"n1", "n2"} {
		f.upAt(w.url(), name, "--leader-ttl", "10s")
	}
	begin := f.adopted(1)
	leader := f.awaitLeader(patience)
	epoch, _ := f.term()
	pass(atLength(12*time.Second, 10*time.Minute))
	later, _ := f.term()
	assert.Equal(t, leader, f.leader())
	assert.Equal(t, epoch, later, "one term, all the time")
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("slow line"))
	a.balanced(t)
	assert.Zero(t, a.missed+a.skipped)
	assert.Less(t, a.lag, 10*time.Second, "a few times the way there and back")
}

// The password of Redis is changed under running nodes; then a right is taken from
// their user. Both are said, with what to do, and both are got over.
func TestFault29RightsAreTakenAway(t *testing.T) {
	t.Parallel()
	f, server := ownFleet(t, tickAndWork)
	ctx := context.Background()
	const old, young = "old-secret-horse", "young-secret-horse"
	acl := func(words ...string) {
		t.Helper()
		args := []any{"ACL", "SETUSER", "carillon"}
		for _, w := range words {
			args = append(args, w)
		}
		require.NoError(t, f.rdb.Do(ctx, args...).Err())
	}
	kick := func() { require.NoError(t, f.rdb.Do(ctx, "CLIENT", "KILL", "USER", "carillon").Err()) }
	acl("on", ">"+old, "~*", "&*", "+@all")
	admin := f.url
	f.url = "redis://carillon:" + old + "@" + server.Addr() + "/0"
	p := f.up("n1", "--lease", "4s", "--leader-ttl", "1500ms")
	begin := f.adopted(1)
	id := f.trigger("work")
	eventually(t, patience, func() bool { return len(f.marksOf(id)) == 1 }, "%s begins", id)

	outage := func(words string, take, give func()) {
		take()
		p.says(patience, words)
		r := f.call("trigger", "tick")
		assert.Equal(t, 5, r.code, r.err)
		assert.Contains(t, r.err, words)
		pass(atLength(2*time.Second, 20*time.Second))
		require.True(t, p.alive(), "somebody may be mending it")
		give()
		back := f.now()
		eventually(t, patience, func() bool {
			m := f.marks()
			return len(m) > 0 && m[len(m)-1].at.After(back)
		}, "it goes on by itself")
		t.Logf("%s: it goes on %v after it may again", words, f.now().Sub(back))
	}
	start := time.Now()
	outage("the password or user in the Redis URL is wrong",
		func() { acl("resetpass", ">"+young); kick() },
		func() { acl("resetpass", ">"+old) })
	outage("the Redis user lacks a right",
		func() { acl("-evalsha", "-eval") },
		func() { acl("+evalsha", "+eval") })
	r := f.awaitRun(patience, id, "succeeded", 1)
	assert.Len(t, f.marksOf(id), r.Attempt)
	f.url = admin
	a := f.audit("tick", everySecond(begin, f.settle(patience, "tick")))
	t.Log(accountHead() + "\n" + a.row("rights"))
	a.balanced(t)
	assert.Zero(t, a.missed+a.skipped)
	for _, secret := range []string{old, young} {
		assert.NotContains(t, p.stderr(), secret)
	}
	for _, word := range []string{"WRONGPASS", "NOPERM"} {
		for message, n := range p.messages(word) {
			assert.LessOrEqual(t, n, int(time.Since(start)/(5*time.Second))+1, "once in 5 s: %s", message)
		}
	}
}
