package jobs

import "time"

// Event is one transition, as it is published. Events are a hint: a reader
// that misses one re-reads the hashes.
type Event struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	Type    EventType `json:"type"`
	Job     string    `json:"job,omitempty"`
	Run     string    `json:"run,omitempty"`
	Node    string    `json:"node,omitempty"`
	Attempt int       `json:"attempt,omitempty"`
	Error   string    `json:"error,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Tick    time.Time `json:"tick,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	Count   int       `json:"count,omitempty"`
	Epoch   int64     `json:"epoch,omitempty"`
	Step    string    `json:"step,omitempty"`
	By      string    `json:"by,omitempty"`
}

// EventType names a transition.
type EventType string

// The types of event. A run's events are named after the state it entered.
const (
	EventQueued     EventType = "queued"
	EventRunning    EventType = "running"
	EventRetrying   EventType = "retrying"
	EventSucceeded  EventType = "succeeded"
	EventFailed     EventType = "failed"
	EventReleased   EventType = "released"      // handed back by its node, queued again
	EventParked     EventType = "parked"        // its node lacks the definition; waits for one that has it
	EventCrashed    EventType = "crashed"       // its lease ran out; queued again
	EventSuperseded EventType = "superseded"    // a result of an attempt that no longer holds the run
	EventSkipped    EventType = "skipped"       // a tick, by a rule of its job
	EventMissed     EventType = "missed"        // a tick, by the catch-up rules
	EventLeader     EventType = "leader"        // a node began a term
	EventResigned   EventType = "resigned"      // a leader left its seat
	EventSilent     EventType = "silent_leader" // a follower finds that the leader decides nothing
	EventDeposed    EventType = "deposed"       // the majority of the followers did, and the seat is vacant
	EventNodeUp     EventType = "node_up"
	EventNodeDown   EventType = "node_down"
	EventReloaded   EventType = "reloaded"

	EventReplicasMissing EventType = "replicas_missing" // a node that waits for replicas waited in vain
	EventReplicasBack    EventType = "replicas_back"    // and does so no longer

	EventCanceled       EventType = "canceled"
	EventRollingBack    EventType = "rolling_back"
	EventRolledBack     EventType = "rolled_back"
	EventRollbackFailed EventType = "rollback_failed"
	EventStep           EventType = "step"          // a step started
	EventUndone         EventType = "undone"        // the undo of a step succeeded
	EventCancelAsked    EventType = "canceling"     // somebody called a running run off
	EventPaused         EventType = "paused"        // a job
	EventResumed        EventType = "resumed"       // a job
	EventBackfill       EventType = "backfill"      // somebody asked for past ticks
	EventRenamed        EventType = "renamed"       // what a job had under its old name is the new one's
	EventUnroutable     EventType = "unroutable"    // no live node may take the run"
	EventAmnesia        EventType = "store_amnesia" // the store lost data
)
