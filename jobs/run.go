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
	OutputBytes int64 // written by the attempt, kept or not
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
}

// Result is what became of one attempt, ready to be written.
type Result struct {
	RunID       string
	Token       string
	Status      State         // Succeeded, Failed or Retrying
	RetryIn     time.Duration // with Retrying
	ExitCode    *int
	Error       string
	OutputBytes int64
	LogBytes    int64 // kept in the run's log
}
