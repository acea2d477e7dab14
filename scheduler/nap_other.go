//go:build !linux

package scheduler

import "time"

// nap sleeps for d as well as the runtime's timers can.
func nap(d time.Duration) { time.Sleep(d) }
