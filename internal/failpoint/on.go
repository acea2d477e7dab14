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

// armed is where this process dies, or a part of it hangs; left counts the visits
// until then.
var (
	armed Point
	hangs bool
	left  atomic.Int64
)

func init() {
	point, visit, hang, err := parse(os.Getenv("CARILLON_FAILPOINT"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "carillon:", err)
		os.Exit(2)
	}
	armed, hangs = point, hang
	left.Store(visit)
}

// parse reads the variable: a point, or a point and which visit to it, and what is
// to happen there.
func parse(text string) (point Point, visit int64, hang bool, err error) {
	rest, hang := strings.CutSuffix(text, ":hang")
	name, count, counted := strings.Cut(rest, ":")
	visit = 1
	if counted {
		if visit, err = strconv.ParseInt(count, 10, 64); err != nil || visit < 1 {
			return "", 0, false, fmt.Errorf("CARILLON_FAILPOINT: %q: write a number above 0 behind the colon: at which visit to die", text)
		}
	}
	if (text != "" || hang) && !slices.Contains(All(), Point(name)) {
		return "", 0, false, fmt.Errorf("CARILLON_FAILPOINT: there is no point %q: write one of %q", name, All())
	}
	return Point(name), visit, hang, nil
}

// Hit ends the process when this is where it was told to die. It does not return
// then: SIGKILL may need a moment, in which nothing more must happen. Nor does it when
// this is where the caller was told to hang.
func Hit(p Point) {
	if p != armed || left.Add(-1) != 0 {
		return
	}
	if !hangs {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // our own process: it cannot fail
	}
	select {}
}
