package carillon

import (
	"fmt"
	"time"

	"carillon/jobs"
	"carillon/scheduler"
)

const (
	// aliveGrace is how much longer than every a pass may have taken.
	aliveGrace = 5 * time.Second

	// aliveMost bounds every there: a loop passes once a second, and one that has
	// not for a minute is not alive because somebody asks once a day only.
	aliveMost = time.Minute
)

// alive reports whether ticks are being decided, and why not. It judges by what
// the scheduler's loop achieved, not by its being there.
func alive(p scheduler.Pulse, every time.Duration, now time.Time) (bool, string) {
	if !p.Leading {
		return false, "this node does not lead"
	}
	if p.Passed.IsZero() {
		return false, "nothing was decided since this node leads"
	}
	patience := min(every, aliveMost) + aliveGrace
	if ago := now.Sub(p.Passed); ago > patience {
		return false, fmt.Sprintf("ticks were last up to date %s ago, more than %s", jobs.DurationText(ago.Round(time.Second)), jobs.DurationText(patience))
	}
	return true, ""
}
