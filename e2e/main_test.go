package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"carillon/internal/proctest"
	"carillon/internal/redistest"
)

// storm is how long the leader storm lasts.
var storm = flag.Duration("storm", 12*time.Second, "how long TestLeaderStorm kills leaders")

// binary is the program under test, in a folder of its own. TestMain sets both
// once, before any test.
var binary, workshop string

// mortal is the program with failpoints: the same code, which can be told where to
// die. It is built when the first test asks for it.
var mortal = sync.OnceValues(func() (string, error) {
	program := filepath.Join(workshop, "mortal")
	return program, build(program, "-tags", "failpoint")
})

func TestMain(m *testing.M) {
	redistest.SideBySide(12)
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "carillon-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	workshop, binary = dir, filepath.Join(dir, "carillon")
	if err := build(binary); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: build the binary:", err)
		return 1
	}
	return redistest.Run(m)
}

// build builds the command, with the race detector if that was asked for.
func build(program string, flags ...string) error {
	return proctest.Build(program, "carillon/cmd/carillon", flags...)
}
