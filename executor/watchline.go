package executor

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// The node tells its watcher process, in lines:
//
//	lease 4711 27000   group 4711 dies in 27000 ms unless another lease line comes
//	lease 4711 -1      group 4711 dies with the node only
//	done 4711          group 4711 is dead already
//	bye                the node leaves in order
//
// Leases are durations because each side counts them on its own clock.

func appendLease(text []byte, pgid int, deadline, now time.Time) []byte {
	ms := int64(-1)
	if !deadline.IsZero() {
		// Rounded up, so that no group dies before this node calls it overdue.
		ms = max(0, (deadline.Sub(now) + time.Millisecond - 1).Milliseconds())
	}
	return fmt.Appendf(text, "lease %d %d\n", pgid, ms)
}

func appendDone(text []byte, pgid int) []byte { return fmt.Appendf(text, "done %d\n", pgid) }

func appendBye(text []byte) []byte { return append(text, "bye\n"...) }

// wards is what a watcher process knows: the groups to kill, and when.
type wards struct {
	groups map[int]time.Time // zero: with the node only
	rest   []byte            // of a line whose end has not come yet
	bye    bool
}

// hear takes the next bytes from the node.
func (w *wards) hear(data []byte, now time.Time) {
	w.rest = append(w.rest, data...)
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte("\n"))
		if !whole {
			return
		}
		w.take(bytes.Fields(line), now)
		w.rest = rest
	}
}

// take obeys one line. One that it does not understand is of a newer program,
// and is left alone.
func (w *wards) take(words [][]byte, now time.Time) {
	number := func(i int) int64 {
		if i >= len(words) {
			return -1
		}
		n, err := strconv.ParseInt(string(words[i]), 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	if len(words) == 0 {
		return
	}
	pgid := int(number(1))
	switch string(words[0]) {
	case "bye":
		w.bye = true
	case "done":
		delete(w.groups, pgid)
	case "lease":
		if pgid <= 1 {
			return
		}
		var deadline time.Time
		if ms := number(2); ms >= 0 {
			deadline = now.Add(time.Duration(ms) * time.Millisecond)
		}
		w.groups[pgid] = deadline
	}
}

// next is the earliest deadline, zero when there is none.
func (w *wards) next() (next time.Time) {
	for _, deadline := range w.groups {
		if !deadline.IsZero() && (next.IsZero() || deadline.Before(next)) {
			next = deadline
		}
	}
	return next
}

// overdue is the groups whose deadline has passed. They keep no deadline: they
// are killed once, and remembered until the node says that they are done.
func (w *wards) overdue(now time.Time) (pgids []int) {
	for pgid, deadline := range w.groups {
		if !deadline.IsZero() && !deadline.After(now) {
			pgids = append(pgids, pgid)
			w.groups[pgid] = time.Time{}
		}
	}
	return pgids
}
