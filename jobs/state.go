package jobs

import "slices"

// State is the status of a run, as it is written in Redis and in JSON.
type State string

// The states of a run.
const (
	Queued         State = "queued"          // waiting for a node, or for an earlier run of its job
	Running        State = "running"         // an attempt holds the lease
	Retrying       State = "retrying"        // waiting out its back-off
	RollingBack    State = "rolling_back"    // its undos are being run, or wait for a node
	Succeeded      State = "succeeded"       // final
	Failed         State = "failed"          // final; nothing was left to undo
	Canceled       State = "canceled"        // final; nothing was left to undo
	RolledBack     State = "rolled_back"     // final; everything was undone
	RollbackFailed State = "rollback_failed" // final, until somebody resumes the rollback
)

// moves is the one table of legal moves. The scripts apply it: it is rendered
// into their prelude, so that no node and no script can hold another opinion.
// docs/states.md draws it, and a test compares the two.
var moves = map[State][]State{
	Queued:         {Running, Canceled, Failed, RollingBack},                     // claimed; called off; nobody could take it
	Running:        {Succeeded, Failed, Canceled, Retrying, Queued, RollingBack}, // ended; handed back, or its node died
	Retrying:       {Queued, Canceled, RollingBack},                              // the back-off is over; called off
	RollingBack:    {RolledBack, RollbackFailed},                                 // every undo succeeded; one is spent
	RollbackFailed: {RollingBack},                                                // resumed by hand
	Succeeded:      nil,
	Failed:         nil,
	Canceled:       nil,
	RolledBack:     nil,
}

// States lists every state in the order of a run's life.
func States() []State {
	return []State{Queued, Running, Retrying, RollingBack, Succeeded, Failed, Canceled, RolledBack, RollbackFailed}
}

// Moves returns the states that may follow s.
func (s State) Moves() []State { return moves[s] }

// Known reports whether s is a state at all.
func (s State) Known() bool { _, ok := moves[s]; return ok }

// Final reports whether the run has ended. Only somebody's hand moves it on, and
// only a failed rollback.
func (s State) Final() bool {
	switch s {
	case Succeeded, Failed, Canceled, RolledBack, RollbackFailed:
		return true
	}
	return false
}

// CanMove reports whether a run may go from s to next.
func (s State) CanMove(next State) bool { return slices.Contains(moves[s], next) }
