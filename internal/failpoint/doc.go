// Package failpoint names the lines of a run's life at which a node can die, so
// that a test can have it die there.
//
// A binary built with the tag failpoint reads CARILLON_FAILPOINT, a point and,
// after a colon, at which visit to it (the first, without one), and kills itself
// there: SIGKILL, nothing is said and nothing is put away. With ":hang" at the end it
// does not die: whoever comes to the point at that visit never leaves it, and the rest
// of the process goes on. In any other binary
// Hit is an empty function that the compiler removes, and the variable means
// nothing.
//
// The points are constants of this package, so that a test can go through all of
// them: a line that got a point and no test fails (e2e: TestANodeCanDieAnywhere).
package failpoint

// Point is a line at which a node can die.
type Point string

// The executor: a run that goes forward.
const (
	Claimed      Point = "claimed"       // the node has the run, nothing was started
	BeforeStep   Point = "before-step"   // the step that is next is not recorded
	StepRecorded Point = "step-recorded" // and now it is, but does not run
	StepDone     Point = "step-done"     // the step has ended, and nobody knows how
	BeforeResult Point = "before-result" // all that is left is to say how it ended
	ResultSent   Point = "result-sent"   // that was said and answered
)

// The executor: a run that goes backward.
const (
	UndoClaimed      Point = "undo-claimed"       // the node has it, nothing was started
	BeforeUndo       Point = "before-undo"        // of one step
	UndoDone         Point = "undo-done"          // it succeeded, and nobody knows
	UndoRecorded     Point = "undo-recorded"      // its entry has left the list
	BeforeRolledBack Point = "before-rolled-back" // everything is undone, and nobody knows
)

// The executor: a run that is given back by a node that shuts down.
const (
	BeforeRelease Point = "before-release"
	Released      Point = "released"
)

// The scheduler: the leader.
const (
	Adopted      Point = "adopted"       // the jobs have cursors, nothing was decided
	BeforeCommit Point = "before-commit" // a tick is due
	Committed    Point = "committed"     // and decided, and the leader does not know
	BeforeSweep  Point = "before-sweep"
	Swept        Point = "swept"
	Fed          Point = "fed" // ticks of a backfill have become runs
)

// All are the points there are.
func All() []Point {
	return []Point{
		Claimed, BeforeStep, StepRecorded, StepDone, BeforeResult, ResultSent,
		UndoClaimed, BeforeUndo, UndoDone, UndoRecorded, BeforeRolledBack,
		BeforeRelease, Released,
		Adopted, BeforeCommit, Committed, BeforeSweep, Swept, Fed,
	}
}
