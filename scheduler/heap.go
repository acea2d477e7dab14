package scheduler

import "time"

// The heap of an agenda: jobs by the time at which they are to be looked at, with
// four children each. An entry knows its place, so that it can be taken out.

// slot is a place in the heap: when to look at which entry. The time is in
// microseconds since the epoch on the store's clock; it may be 400 years away,
// which nanoseconds could not hold.
type slot struct {
	at    int64
	entry int32
}

// nowhere is the place of an entry that is not in the heap.
const nowhere = -1

// push puts an entry into the heap.
func (a *agenda) push(i int32, at time.Time) {
	a.heap = append(a.heap, slot{})
	a.rise(len(a.heap)-1, slot{at: ceilMicro(at), entry: i})
}

// pop takes the entry out that is first.
func (a *agenda) pop() int32 {
	i := a.heap[0].entry
	a.take(i)
	return i
}

// take takes an entry out of the heap, if it is in it.
func (a *agenda) take(i int32) {
	k, last := int(a.entries[i].place), len(a.heap)-1
	if k == nowhere {
		return
	}
	a.entries[i].place = nowhere
	moved := a.heap[last]
	a.heap = a.heap[:last]
	switch {
	case k == last:
	case k > 0 && moved.at < a.heap[(k-1)/4].at:
		a.rise(k, moved)
	default:
		a.sink(k, moved)
	}
}

// rise puts a slot at place k or above it.
func (a *agenda) rise(k int, s slot) {
	for k > 0 {
		parent := (k - 1) / 4
		if a.heap[parent].at <= s.at {
			break
		}
		a.put(k, a.heap[parent])
		k = parent
	}
	a.put(k, s)
}

// sink puts a slot at place k or below it.
func (a *agenda) sink(k int, s slot) {
	for {
		least, at := k, s.at
		for child := 4*k + 1; child <= 4*k+4 && child < len(a.heap); child++ {
			if a.heap[child].at < at {
				least, at = child, a.heap[child].at
			}
		}
		if least == k {
			break
		}
		a.put(k, a.heap[least])
		k = least
	}
	a.put(k, s)
}

func (a *agenda) put(k int, s slot) {
	a.heap[k] = s
	a.entries[s.entry].place = int32(k)
}

// ceilMicro never wakes early: a time between two microseconds is the later one.
func ceilMicro(t time.Time) int64 {
	us := t.UnixMicro()
	if t.Nanosecond()%1000 != 0 {
		us++
	}
	return us
}
