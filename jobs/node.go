package jobs

import (
	"strings"
	"time"
)

// Node is one carillon process as its heartbeat describes it.
type Node struct {
	Name         string
	Boot         string // unique to the process
	Leader       bool
	Epoch        int64 // of its term, when it leads
	Digest       string
	Revision     int64  // of its schedule file; 0 when that has none
	NoLead       bool   // it does not stand for election: it was told not to, or it is shutting down
	WaitReplicas int    // for so many replicas it waits; 0: for none
	Replicas     int    // so many had what it waited for last; -1 before that
	Locks        string // which lock Redises it elects with, "" for none: nodes should agree
	Slots        int
	Running      int
	SeenAt       time.Time
	StartedAt    time.Time
	ClockOffset  time.Duration // its clock minus the store's
	Version      string
	Zoneinfo     string // version of the zone database it computes times with; see Zones.Version
	Pool         string
	Labels       map[string]string
	Routes       []string // that it serves, from its schedule
	Lease        time.Duration

	Silent      string    // the token of the leader that it last found silent,
	SilentSince time.Time // since when,
	SilentAt    time.Time // and when it last said so
	Deposed     time.Time // when this process was deposed as a silent leader; zero: it was not
	Hangs       time.Time // since when its scheduler has not ended with its term; it leads no more
}

// FindsSilent reports whether n, when it was heard last, found that leader silent.
func (n Node) FindsSilent(leader Node) bool {
	return leader.Leader && strings.HasPrefix(n.Silent, leader.Name+":"+leader.Boot+":") && n.SeenAt.Sub(n.SilentAt) < 6*time.Second
}

// Leadership is who holds the seat.
type Leadership struct {
	Node  string
	Token string
	Epoch int64
	Since time.Time
}

// LogChunk is one piece of a run's output. A gap between Offset+len(Data) of
// one chunk and the Offset of the next, of one writer, is output that was
// dropped between the head and the tail.
type LogChunk struct {
	ID      string // position in the log; pass the last one to read on
	Attempt int
	Writer  string // token of the claim that wrote it: an attempt and its undoing are two
	Offset  int64  // bytes the writer had written before this chunk
	Data    []byte
}

// TriggerRequest asks for a run that no tick asked for.
type TriggerRequest struct {
	Job       *Job
	Params    map[string]string // validated, defaults filled in
	Unique    string            // makes the run id; a UUIDv7
	RequestID string            // optional: the same id twice within 24 h is one run
	Reason    string
	By        string // user@host
}

// TriggerReply is the answer to a TriggerRequest.
type TriggerReply struct {
	RunID    string
	Repeated bool   // RequestID was seen before; RunID is the earlier run
	WaitsFor string // it was made, and waits for the end of this run (overlap queue or replace)

	// With one of these nothing was started.
	InTheWay string // this run is unfinished, and the job's overlap says no
	Why      string // with InTheWay: which rule said no
	Paused   *Pause // the job is paused
	Nobody   bool   // every_node, and no live node serves the job
}
