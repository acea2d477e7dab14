package scheduler

import (
	"syscall"
	"time"
)

// nap sleeps for d, at most about a millisecond, to within some tens of
// microseconds, where the runtime's timers are as coarse as a millisecond. It
// may end early; nothing interrupts it.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	// A signal ends it early; the caller looks at the clock anyway.
	_ = syscall.Nanosleep(&ts, nil)
}
