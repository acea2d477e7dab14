package jobs

import "time"

// Step is one part of a run. Steps are executed in order; a retry resumes at the
// one that failed.
type Step struct {
	Name    string // unique in its job, like a job's name
	Action  Action
	Undo    *Undo         // recorded before the step starts; nil: nothing to undo
	Timeout time.Duration // of one try of the step; 0 is no limit but the job's
	Retry   Retry         // tries of the step within one attempt; Attempts 1 by default
}

// Undo is the compensating action of a step. It must tolerate that its step never
// ran, or half did.
type Undo struct {
	Action  Action
	Timeout time.Duration
	Retry   Retry
}

// SoleStep is the name of the one step of a job without "steps:", where a step
// needs one: in the rollback list and for its undo.
const SoleStep = "job"

// Plan is what an attempt of the job executes, in order: its steps, or its one
// action as a step called SoleStep.
func (j *Job) Plan() []Step {
	if len(j.Steps) > 0 {
		return j.Steps
	}
	return []Step{{Name: SoleStep, Action: j.Action, Undo: j.Undo, Retry: Retry{Attempts: 1}}}
}

// Actions are everything that a run of the job may execute: its action or those
// of its steps, and their undos.
func (j *Job) Actions() []Action {
	var list []Action
	for _, s := range j.Plan() {
		list = append(list, s.Action)
		if s.Undo != nil {
			list = append(list, s.Undo.Action)
		}
	}
	return list
}

// OnLost says what a node does with an attempt that may be somebody else's soon.
type OnLost string

// The policies for a lost lease.
const (
	OnLostKill OnLost = "kill" // it is dead before another one starts
	OnLostKeep OnLost = "keep" // it may finish, and another may start meanwhile
)

// Delivery says what becomes of a run whose node was lost. It says nothing about
// failures: their outcome is known, so they are retried under both.
type Delivery string

// The deliveries.
const (
	DeliverAtLeastOnce Delivery = "at-least-once" // it starts again
	DeliverAtMostOnce  Delivery = "at-most-once"  // it fails: outcome unknown
)

// Secret is a value that the node reads when an attempt starts: never sent, and
// taken out of output and errors.
type Secret struct {
	Name string // of the environment variable
	File string // exactly one of File and Env
	Env  string
}
