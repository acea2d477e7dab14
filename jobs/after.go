package jobs

// When says which ends of the upstream job start a follow-on run.
type When string

// The conditions of a follow-on job.
const (
	WhenSuccess When = "success"
	WhenFailure When = "failure" // failed, rolled_back or rollback_failed
	WhenDone    When = "done"    // any end, canceled included
)

// Meets reports whether the end s of a run starts a follow-on run.
func (w When) Meets(s State) bool {
	switch w {
	case WhenSuccess:
		return s == Succeeded
	case WhenFailure:
		return s == Failed || s == RolledBack || s == RollbackFailed
	case WhenDone:
		return s.Final()
	}
	return false
}

// After makes a job follow another one: one run for each run of that job.
type After struct {
	Job  string
	When When
}
