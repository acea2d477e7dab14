package e2e

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// freeAddress is a loopback address that nobody listens on at the moment.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// embeddedFleet has no Redis but the one that its first node serves.
func embeddedFleet(t testing.TB, schedule string) (f *fleet, addr string) {
	t.Helper()
	addr = freeAddress(t)
	return fleetOn(t, "redis://"+addr+"/0", "carillon", schedule), addr
}

// join starts a node on an embedded address.
func (f *fleet) join(name, addr string, env []string, args ...string) *process {
	f.t.Helper()
	return launch(f.t, f.dir, name, env, append([]string{"up", "--node", name, "--log", "json", "--file", f.file, "--embedded", addr}, args...)...)
}

func TestEmbeddedServerIsJoined(t *testing.T) {
	t.Parallel()
	f, addr := embeddedFleet(t, `
jobs:
  tick: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: MARK; sleep 0.4}
  tock: {schedule: "* * * * * *", catch_up: all, overlap: allow, run: MARK; sleep 0.4}
  hello: {run: echo hello}
`)
	first := f.join("first", addr, nil, "--slots", "1", "--leader-ttl", "1500ms")
	first.says(patience, `"msg":"up"`, `"embedded":true`)
	begin := f.adopted(2)
	second := f.join("second", addr, nil, "--slots", "1", "--leader-ttl", "1500ms")
	second.says(patience, `"msg":"up"`, `"leader":"first"`)
	eventually(t, patience, func() bool {
		seen := map[string]bool{}
		for _, m := range f.marks() {
			seen[m.node] = true
		}
		return seen["first"] && seen["second"]
	}, "both execute")
	r := command(t, f.dir, nil, "trigger", "hello", "--file", f.file, "--embedded", addr)
	assert.Zero(t, r.code, r.err)
	assert.Equal(t, "hello\n", r.out)
	pass(2 * time.Second)
	end := f.settle(patience, "tick", "tock")
	f.audit("tick", everySecond(begin, end)).balanced(t)
	f.audit("tock", everySecond(begin, end)).balanced(t)

	assert.Zero(t, first.term(patience), first.stderr()) // and its server with it
	pass(2 * time.Second)
	require.True(t, second.alive(), "who has joined waits for a server")
	r = command(t, f.dir, nil, "runs", "--file", f.file, "--embedded", addr)
	assert.Equal(t, 5, r.code)
	assert.Contains(t, r.err, "start `carillon up`")
	first = f.join("first", addr, nil, "--leader-ttl", "1500ms")
	first.says(patience, `"msg":"up"`)
	n := len(f.marks())
	eventually(t, patience, func() bool { return len(f.marks()) > n+1 }, "ticks go on")
	assert.Zero(t, second.term(patience), second.stderr())
}

func TestEmbeddedServerOfAnotherScheduleIsRefused(t *testing.T) {
	t.Parallel()
	f, addr := embeddedFleet(t, everySecondAll)
	g := fleetOn(t, f.url, f.ns, everySecondAll)
	f.join("first", addr, nil).says(patience, `"msg":"up"`)
	other := g.join("second", addr, nil)
	assert.NotZero(t, other.exit(patience))
	text := other.stderr()
	assert.Contains(t, text, f.file)
	assert.Contains(t, text, g.file)
	assert.Contains(t, text, "--embedded 127.0.0.1:PORT")

	link := f.dir + "/link.yaml"
	require.NoError(t, os.Symlink(f.file, link))
	f.file = link
	f.join("third", addr, nil).says(patience, `"msg":"up"`) // the same file by another name
}

func TestEmbeddedServerIsRefusedWhereItWouldRunEveryJobEverywhere(t *testing.T) {
	t.Parallel()
	f, addr := embeddedFleet(t, everySecondAll)
	kubernetes := []string{"KUBERNETES_SERVICE_HOST=10.0.0.1"}
	p := f.join("pod", addr, kubernetes)
	assert.Equal(t, 8, p.exit(patience))
	assert.Contains(t, p.stderr(), "runs under Kubernetes and no Redis is named")
	assert.Contains(t, p.stderr(), "--dev")
	f.join("pod", addr, kubernetes, "--dev").says(patience, `"msg":"up"`)

	// systemd's variables speak of a process whose parent is init, or that they
	// name; a shell has to be that process first.
	script := `SYSTEMD_EXEC_PID=$$ INVOCATION_ID=x exec "$0" up --file "$1" --embedded "$2"`
	r := shell(t, f.dir, script, binary, f.file, freeAddress(t))
	assert.Equal(t, 8, r.code, r.err)
	assert.Contains(t, r.err, "runs under systemd and no Redis is named")

	// A Redis that is named is nobody's business.
	g := newFleet(t, everySecondAll)
	q := launch(t, g.dir, "named", kubernetes, append([]string{"up", "--log", "json"}, g.flags()...)...)
	q.says(patience, `"msg":"up"`)
	assert.False(t, strings.Contains(q.stderr(), "Kubernetes"))
}
