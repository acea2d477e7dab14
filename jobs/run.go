package jobs

import (
	"strings"
	"time"
)

// Trigger says what started a run.
type Trigger string

// The triggers of a run.
const (
	TriggerSchedule Trigger = "schedule"
	TriggerManual   Trigger = "manual"
	TriggerBackfill Trigger = "backfill"
	TriggerAfter    Trigger = "after"
)

// TickLayout is how a tick is written in a run id: RFC 3339, UTC, whole seconds.
const TickLayout = "2006-01-02T15:04:05Z"

// TickRunID is the id of the run of one tick. It is the identity that makes a
// tick run once: whoever leads computes the same id.
func TickRunID(job string, tick time.Time) string {
	return job + "@" + tick.UTC().Format(TickLayout)
}

// ManualRunID is the id of a run started by hand; unique is chosen by the caller.
func ManualRunID(job, unique string) string { return job + "@manual-" + unique }

// NodeRunID is the id of one node's run of a job with every_node: the id of the
// tick or trigger, and the node.
func NodeRunID(id, node string) string { return id + "@" + node }

// AfterRunID is the id of the run that follows the end of another job's run.
func AfterRunID(job, upstream string) string { return job + "@after-" + upstream }

// JobOf returns the job's name in a run id, and whether id looks like one.
func JobOf(id string) (job string, ok bool) {
	job, rest, found := strings.Cut(id, "@")
	return job, found && job != "" && rest != ""
}

// Run is one execution of a job as the store knows it: the run's hash, decoded.
type Run struct {
	ID          string
	Job         string
	Trigger     Trigger
	ScheduledAt time.Time // zero for a manual run
	Status      State
	Attempt     int // starts so far
	Failures    int // attempts that failed or timed out
	Crashes     int // attempts whose lease was lost
	Node        string
	Priority    int
	Digest      string
	Params      map[string]string
	Reason      string // why it was triggered, or why it waits
	By          string // who triggered it
	QueuedAt    time.Time
	StartedAt   time.Time // of the last attempt
	FinishedAt  time.Time
	RetryAt     time.Time
	ExitCode    *int
	Error       string
	OutputBytes int64        // written by the attempt, kept or not
	Steps       []StepStatus // of a job with steps, as far as they were started
	Rollback    []string     // names of the steps whose undo is still to be run, the next one first
	CanceledBy  string       // who called it off, when somebody did
	Route       string       // what it asks of a node; see Job.Route
}

// StepStatus is how far one step of a run has come.
type StepStatus struct {
	Name      string
	Status    State // running, succeeded, failed; rolled_back when its undo has succeeded
	StartedAt time.Time
}

// Claim is a run that a node took: what the executor needs to start an attempt.
type Claim struct {
	RunID       string
	Job         string
	Digest      string
	Token       string // of this attempt; every later write carries it
	Attempt     int    // 1 for the first start
	Failures    int
	Trigger     Trigger
	ScheduledAt time.Time // zero for a manual run
	Priority    int
	Params      map[string]string
	Epoch       int64 // of the term when it was claimed

	Step     int       // index of the first step to execute: those before it have succeeded
	Undoing  bool      // the rollback is to be run, not the steps
	Rollback []string  // with Undoing: names of the steps to undo, in order
	Failure  string    // with Undoing: why the run is undone
	FailedAt string    // with Undoing: the step at which it failed
	Upstream *Upstream // of a follow-on run
}

// Upstream is the run whose end started a follow-on run.
type Upstream struct {
	Job    string
	RunID  string
	Status State
	Error  string
}

// Result is what became of one attempt, ready to be written.
type Result struct {
	RunID       string
	Token       string
	Status      State         // what the node makes of it; the store makes RollingBack of a failure with something to undo
	FailedStep  string        // name of the step at which it failed
	RetryIn     time.Duration // with Retrying
	ExitCode    *int
	Error       string
	OutputBytes int64
	LogBytes    int64 // kept in the run's log
}
