package faults

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"carillon/internal/proctest"
	"carillon/internal/redisstore"
	"carillon/internal/redistest"
)

// The flags of a storm. Without them it is the short one of CI.
var (
	long     = flag.Duration("storm", 0, "how long the storm lasts; 0: a minute, of the faults that need no root")
	seed     = flag.Uint64("seed", 0, "repeats the order, the victims and the lengths of an earlier storm's faults; 0: a new one")
	only     = flag.String("only", "", "only the faults whose names this regular expression matches")
	jobCount = flag.Int("jobs", 0, "how many jobs there are; 0: 24, and 100 in a long storm")
)

// Programs under test, in a folder of their own. TestMain sets them once.
var carillon, witness string

func TestMain(m *testing.M) {
	flag.Parse()
	redisstore.SilenceClientLog()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "carillon-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	carillon, witness = filepath.Join(dir, "carillon"), filepath.Join(dir, "witness")
	for program, pkg := range map[string]string{carillon: "carillon/cmd/carillon", witness: "carillon/faults/witness"} {
		if err := proctest.Build(program, pkg); err != nil {
			fmt.Fprintln(os.Stderr, "faults: build", pkg+":", err)
			return 1
		}
	}
	return redistest.Run(m)
}

// eventually waits for a condition. The limit is there for a storm that breaks something.
func eventually(within time.Duration, condition func() bool) bool {
	deadline := time.Now().Add(within)
	for !condition() {
		if time.Now().After(deadline) {
			return false
		}
		<-time.After(20 * time.Millisecond)
	}
	return true
}
