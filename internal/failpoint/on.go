//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// armed is where this process dies; left counts the visits until then.
var (
	armed Point
	left  atomic.Int64
)

func init() {
	point, visit, err := parse(os.Getenv("CARILLON_FAILPOINT"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "carillon:", err)
		os.Exit(2)
	}
	armed = point
	left.Store(visit)
}

// parse reads the variable: a point, or a point and which visit to it.
func parse(text string) (Point, int64, error) {
	name, count, counted := strings.Cut(text, ":")
	visit := int64(1)
	if counted {
		var err error
		if visit, err = strconv.ParseInt(count, 10, 64); err != nil || visit < 1 {
			return "", 0, fmt.Errorf("CARILLON_FAILPOINT: %q: write a number above 0 behind the colon: at which visit to die", text)
		}
	}
	if text != "" && !slices.Contains(All(), Point(name)) {
		return "", 0, fmt.Errorf("CARILLON_FAILPOINT: there is no point %q: write one of %q", name, All())
	}
	return Point(name), visit, nil
}

// Hit ends the process when this is where it was told to die. It does not return
// then: SIGKILL may need a moment, in which nothing more must happen.
func Hit(p Point) {
	if p != armed || left.Add(-1) != 0 {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // our own process: it cannot fail
	select {}
}
