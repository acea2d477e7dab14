package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

// fleet is a schedule file, a Redis and the nodes that a test starts on them.
type fleet struct {
	t    testing.TB
	dir  string // also where commands write
	file string // the schedule
	url  string
	ns   string
	rdb  *redis.Client // the test's own view; nil where the test looks at no keys
}

// patience is the limit for what takes milliseconds on an idle machine. No test passes
// for it: it is how soon one that fails gives up, on a machine with others to serve.
const patience = time.Minute

// newFleet is a fleet on the package's shared server. In the schedule DIR stands
// for the test's directory, and MARK for a shell command that appends a line to
// the witness file.
func newFleet(t testing.TB, schedule string) *fleet {
	t.Helper()
	url, ns := redistest.Shared(t)
	return fleetOn(t, url, ns, schedule)
}

// ownFleet is a fleet on a server of its own, to be hurt.
func ownFleet(t testing.TB, schedule string, redisArgs ...string) (*fleet, *redistest.Server) {
	t.Helper()
	s := redistest.StartReal(t, redisArgs...)
	return fleetOn(t, s.URL(), "carillon", schedule), s
}

func fleetOn(t testing.TB, url, ns, schedule string) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), url: url, ns: ns, rdb: client(t, url)}
	f.file = filepath.Join(f.dir, "schedule.yaml")
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "mark"), []byte(
		`echo "$CARILLON_RUN_ID $CARILLON_ATTEMPT $$ $CARILLON_NODE $(date +%s.%N)" >> `+filepath.Join(f.dir, "witness")+"\n"), 0o600))
	f.write(schedule)
	return f
}

func client(t testing.TB, url string) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(url)
	require.NoError(t, err)
	opt.Protocol, opt.DisableIdentity = 2, true
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := redis.NewClient(opt)
	t.Cleanup(func() { _ = c.Close() }) // a test may have closed it
	return c
}

// write replaces the schedule, as an editor does: a new file under the old name.
func (f *fleet) write(schedule string) {
	f.t.Helper()
	text := strings.NewReplacer("MARK", ". "+filepath.Join(f.dir, "mark"), "DIR", f.dir).Replace(schedule)
	next := f.file + ".new"
	require.NoError(f.t, os.WriteFile(next, []byte(text), 0o600))
	require.NoError(f.t, os.Rename(next, f.file))
}

func (f *fleet) flags() []string {
	return []string{"--file", f.file, "--redis", f.url, "--namespace", f.ns}
}

// begin starts a node and does not wait for it.
func (f *fleet) begin(name string, args ...string) *process {
	f.t.Helper()
	return f.beginProgram(binary, nil, name, args...)
}

func (f *fleet) beginProgram(program string, env []string, name string, args ...string) *process {
	f.t.Helper()
	p := launchProgram(f.t, f.dir, name, env, program, append(append([]string{"up", "--node", name, "--log", "json"}, f.flags()...), args...)...)
	f.t.Cleanup(func() { // before the one that ends it
		for line := range strings.Lines(p.stderr()) {
			// The watcher and the error that ends a process are not the logger's.
			whole := strings.HasSuffix(line, "\n") && !strings.HasPrefix(line, "carillon")
			assert.True(f.t, !whole || json.Valid([]byte(line)), "%s: with --log json every line is JSON: %s", name, line)
		}
	})
	return p
}

// up starts a node and waits until it takes part.
func (f *fleet) up(name string, args ...string) *process {
	f.t.Helper()
	p := f.begin(name, args...)
	p.says(patience, `"msg":"up"`)
	return p
}

// call runs a command to its end.
func (f *fleet) call(args ...string) result {
	f.t.Helper()
	return command(f.t, f.dir, nil, append(args, f.flags()...)...)
}

// start begins a command that is not waited for.
func (f *fleet) start(name string, args ...string) *process {
	f.t.Helper()
	return launch(f.t, f.dir, name, nil, append(args, f.flags()...)...)
}

// query runs a command with -o json into v.
func (f *fleet) query(v any, args ...string) {
	f.t.Helper()
	r := f.call(append(args, "-o", "json")...)
	require.Zero(f.t, r.code, "carillon %v: %s", args, r.err)
	require.NoError(f.t, json.Unmarshal([]byte(r.out), v), "carillon %v: %s", args, r.out)
}

// run is `carillon run -o json`.
type run struct {
	ID         string
	Status     string
	Attempt    int
	Node       string
	Error      string
	Reason     string
	ExitCode   *int      `json:"exit_code"`
	QueuedAt   time.Time `json:"queued_at"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	CanceledBy string    `json:"canceled_by"`
	Rollback   []string
	Steps      []struct{ Name, Status string }
}

func (f *fleet) run(id string) (r run) {
	f.t.Helper()
	f.query(&r, "run", id)
	return r
}

// trigger starts a run and returns its id.
func (f *fleet) trigger(job string, args ...string) string {
	f.t.Helper()
	r := f.call(append([]string{"trigger", job, "--detach"}, args...)...)
	require.Zero(f.t, r.code, r.err)
	return strings.TrimSpace(r.out)
}

// awaitRun waits until a run is in a state, with that attempt or a later one.
func (f *fleet) awaitRun(within time.Duration, id, status string, attempt int) run {
	f.t.Helper()
	key := f.key("run:" + id)
	eventually(f.t, within, func() bool {
		h, err := f.rdb.HMGet(context.Background(), key, "status", "attempt").Result()
		if err != nil || h[0] != status {
			return false
		}
		n, _ := h[1].(string)
		return number(n) >= attempt
	}, "%s is %s, attempt %d", id, status, attempt)
	return f.run(id)
}

func (f *fleet) key(k string) string { return "{" + f.ns + "}:" + k }

// leader is the name of the node that holds the seat, "" when it is vacant.
func (f *fleet) leader() string {
	token, _ := f.rdb.Get(context.Background(), f.key("leader")).Result() // no server, no leader
	name, _, _ := strings.Cut(token, ":")
	return name
}

// term is the epoch and the token of the latest term.
func (f *fleet) term() (epoch int, token string) {
	h, err := f.rdb.HMGet(context.Background(), f.key("term"), "epoch", "token").Result()
	if err != nil || h[0] == nil {
		return 0, ""
	}
	e, _ := h[0].(string)
	token, _ = h[1].(string)
	return number(e), token
}

// awaitLeader waits until a node other than those named leads, and has begun its
// term. It polls fast, for those who measure.
func (f *fleet) awaitLeader(within time.Duration, not ...string) string {
	f.t.Helper()
	deadline := time.Now().Add(within)
	for {
		name := f.leader()
		if _, token := f.term(); name != "" && strings.HasPrefix(token, name+":") && !contains(not, name) {
			return name
		}
		if time.Now().After(deadline) {
			require.FailNow(f.t, "no leader", "nobody but %v led within %v", not, within)
		}
		<-time.After(time.Millisecond)
	}
}

// now is the time of Redis.
func (f *fleet) now() time.Time {
	f.t.Helper()
	now, err := f.rdb.Time(context.Background()).Result()
	require.NoError(f.t, err)
	return now
}

// adopted waits until every job has a cursor, and returns a time from which on
// every tick must be accounted for.
func (f *fleet) adopted(jobs int) time.Time {
	f.t.Helper()
	eventually(f.t, patience, func() bool {
		return f.rdb.HLen(context.Background(), f.key("cursors")).Val() >= int64(jobs)
	}, "%d jobs have a cursor", jobs)
	return f.now()
}

// adoptedByAnother has a node give every job its cursor and end: the fleet is away. That
// a node is up does not say that it leads.
func (f *fleet) adoptedByAnother(jobs int) {
	f.t.Helper()
	before := f.up("before")
	f.adopted(jobs)
	assert.Zero(f.t, before.term(patience))
}

// putBack makes a fleet believe that the last tick of a job it decided was at
// that time, and that nothing was written of later ones.
func (f *fleet) putBack(job string, at time.Time) {
	f.t.Helper()
	ctx := context.Background()
	cursor, err := f.rdb.HGet(ctx, f.key("cursors"), job).Result()
	require.NoError(f.t, err)
	_, timing, _ := strings.Cut(cursor, " ")
	require.NoError(f.t, f.rdb.HSet(ctx, f.key("cursors"), job, itoa(int(at.UnixMilli()))+" "+timing).Err())
	require.NoError(f.t, f.rdb.Del(ctx, f.key("ledger:"+job)).Err())
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

func number(s string) int { n, _ := strconv.Atoi(s); return n }

func itoa(n int) string { return strconv.Itoa(n) }
