package redistest

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// shared is the one server of a test binary. It is the only state of this
// package that outlives a test.
var shared struct {
	once   sync.Once
	inMain atomic.Bool
	count  atomic.Int64
	dir    string
	server *Server
	err    error
}

// Main runs the tests of a package that uses Shared, ends the shared server,
// fails when a goroutine is left over, and exits. Eight of the parallel ones run at
// a time:
//
//	func TestMain(m *testing.M) { redistest.Main(m) }
func Main(m *testing.M, opts ...goleak.Option) {
	SideBySide(8)
	os.Exit(Run(m, opts...))
}

// SideBySide lets n parallel tests run at a time, unless -test.parallel says otherwise:
// for packages whose tests wait for servers, leases and ticks, not for a core. It is
// for a TestMain that has not parsed the flags yet.
func SideBySide(n int) { _ = flag.Set("test.parallel", strconv.Itoa(n)) } // package testing defines it

// Run is Main for a TestMain that has to tidy up after the tests: it returns
// what the process should exit with.
func Run(m *testing.M, opts ...goleak.Option) int {
	shared.inMain.Store(true)
	code := m.Run()
	if shared.server != nil {
		shared.server.Kill()
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir) // under the system's temp folder
	}
	if code == 0 {
		if err := leftOver(opts); err != nil {
			fmt.Fprintf(os.Stderr, "redistest: goroutines left over: %v\n", err)
			code = 1
		}
	}
	return code
}

// leftOver looks for goroutines for longer than goleak does by itself: go-redis
// probes a server that was down once a second, and the probe sees only then
// that its client was closed.
func leftOver(opts []goleak.Option) error {
	deadline := time.Now().Add(3 * time.Second)
	for {
		err := goleak.Find(opts...)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// Shared returns the URL of the package's redis-server, which the first caller
// starts, and a namespace that no other test has. Tests on it must stay inside
// their namespace: no FLUSHALL, no CONFIG SET, no SCRIPT FLUSH. The package
// needs Main in its TestMain.
func Shared(t testing.TB) (url, namespace string) {
	t.Helper()
	if !shared.inMain.Load() {
		t.Fatal("redistest: Shared needs func TestMain(m *testing.M) { redistest.Main(m) }")
	}
	bin := binary(t)
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "redistest-"); shared.err != nil {
			return
		}
		shared.server, shared.err = start(bin, shared.dir, nil)
	})
	if shared.err != nil {
		t.Fatalf("redistest: %v", shared.err)
	}
	return shared.server.URL(), namespaceOf(t.Name(), shared.count.Add(1))
}

// namespaceOf turns a test's name into a namespace a reader of MONITOR can
// tell apart.
func namespaceOf(test string, n int64) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '-'
	}, test)
	return fmt.Sprintf("%s-%d", safe[:min(len(safe), 40)], n)
}
