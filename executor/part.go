package executor

import (
	"fmt"

	"carillon/jobs"
)

// name is how messages name a part: "the job", a step, or an undo.
func (p Part) name() string {
	switch {
	case p.sole() && p.Undo:
		return "the undo"
	case p.sole():
		return "the job"
	case p.Undo:
		return fmt.Sprintf("the undo of step %q", p.Step)
	default:
		return fmt.Sprintf("step %q", p.Step)
	}
}

// sole: the job has no steps, so nobody knows the name of this one.
func (p Part) sole() bool { return p.Step == "" || p.Step == jobs.SoleStep }

// idempotencyKey is the same for every try of a part in a run, on every node, and
// different for every part: two steps that call one service are no repetition.
func (at Attempt) idempotencyKey() string {
	key := at.Claim.RunID
	if !at.Part.sole() {
		key += "/" + at.Part.Step
	}
	if at.Part.Undo {
		key += "/undo"
	}
	return key
}
