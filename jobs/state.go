package jobs

// State is the status of a run, as it is written in Redis and in JSON.
type State string

// The states of a run.
const (
	Queued    State = "queued"    // waiting for a node
	Running   State = "running"   // an attempt holds the lease
	Retrying  State = "retrying"  // waiting out its back-off
	Succeeded State = "succeeded" // final
	Failed    State = "failed"    // final
)

// moves is the one table of legal moves. The scripts apply it: it is rendered
// into their prelude, so that no node and no script can hold another opinion.
// A state without moves is final.
var moves = map[State][]State{
	Queued:    {Running, Failed},                     // claimed; no node had its definition for too long
	Running:   {Succeeded, Failed, Retrying, Queued}, // finished; handed back or its node died
	Retrying:  {Queued},                              // the back-off is over
	Succeeded: nil,
	Failed:    nil,
}

// States lists every state in the order of a run's life.
func States() []State { return []State{Queued, Running, Retrying, Succeeded, Failed} }

// Moves returns the states that may follow s.
func (s State) Moves() []State { return moves[s] }

// Known reports whether s is a state at all.
func (s State) Known() bool { _, ok := moves[s]; return ok }

// Final reports whether nothing can follow s.
func (s State) Final() bool { return s.Known() && len(moves[s]) == 0 }

// CanMove reports whether a run may go from s to next.
func (s State) CanMove(next State) bool {
	for _, m := range moves[s] {
		if m == next {
			return true
		}
	}
	return false
}
