package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"carillon/internal/redistest"
)

// storm is how long the leader storm lasts.
var storm = flag.Duration("storm", 12*time.Second, "how long TestLeaderStorm kills leaders")

// binary is the program under test. TestMain sets it once, before any test.
var binary string

// parallel is how many tests run side by side: they wait for terms and leases
// to end, not for a core.
const parallel = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", parallel) // a flag that package testing defines
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "carillon-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "carillon")
	args := []string{"build", "-o", binary}
	if os.Getenv("CARILLON_E2E_RACE") != "" {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "carillon/cmd/carillon")...)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: build the binary:", err)
		return 1
	}
	return redistest.Run(m)
}
