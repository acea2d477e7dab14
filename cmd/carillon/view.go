package main

import (
	"encoding/json"
	"time"

	"carillon/jobs"
)

// The views are the JSON shapes of the command line. They are apart from the
// values of package jobs on purpose: those may change with the code, these are
// what scripts were written against.

// stamp is a time in JSON: RFC 3339 with milliseconds, in the zone it carries;
// the zero time is null.
type stamp time.Time

const stampLayout = "2006-01-02T15:04:05.000Z07:00"

// utc is the stamp of a fact; a tick that is shown in its job's zone is
// converted directly instead.
func utc(t time.Time) stamp { return stamp(t.UTC()) }

// MarshalJSON writes the time, or null when there is none.
func (s stamp) MarshalJSON() ([]byte, error) {
	if time.Time(s).IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(time.Time(s).Format(stampLayout))
}

// IsZero lets omitzero drop an absent time.
func (s stamp) IsZero() bool { return time.Time(s).IsZero() }

type runView struct {
	ID          string            `json:"id"`
	Job         string            `json:"job"`
	Trigger     jobs.Trigger      `json:"trigger"`
	ScheduledAt stamp             `json:"scheduled_at"`
	Status      jobs.State        `json:"status"`
	Attempt     int               `json:"attempt"`
	Node        string            `json:"node"`
	Priority    int               `json:"priority"`
	QueuedAt    stamp             `json:"queued_at"`
	StartedAt   stamp             `json:"started_at"`
	FinishedAt  stamp             `json:"finished_at"`
	ExitCode    *int              `json:"exit_code"`
	Error       string            `json:"error"`
	Steps       []stepView        `json:"steps"`
	Rollback    []string          `json:"rollback"` // names of the steps that are still to be undone, the next one first
	Params      map[string]string `json:"params,omitempty"`
	Reason      string            `json:"reason,omitempty"`
	By          string            `json:"by,omitempty"`
	CanceledBy  string            `json:"canceled_by,omitempty"`
}

type stepView struct {
	Name      string     `json:"name"`
	Status    jobs.State `json:"status"`
	StartedAt stamp      `json:"started_at"`
}

func viewRun(r jobs.Run) runView {
	steps := []stepView{}
	for _, s := range r.Steps {
		steps = append(steps, stepView{Name: s.Name, Status: s.Status, StartedAt: utc(s.StartedAt)})
	}
	return runView{
		ID: r.ID, Job: r.Job, Trigger: r.Trigger, ScheduledAt: utc(r.ScheduledAt),
		Status: r.Status, Attempt: r.Attempt, Node: r.Node, Priority: r.Priority,
		QueuedAt: utc(r.QueuedAt), StartedAt: utc(r.StartedAt), FinishedAt: utc(r.FinishedAt),
		ExitCode: r.ExitCode, Error: r.Error, Steps: steps, Rollback: append([]string{}, r.Rollback...),
		Params: r.Params, Reason: r.Reason, By: r.By, CanceledBy: r.CanceledBy,
	}
}

type nodeView struct {
	Node          string            `json:"node"`
	Leader        bool              `json:"leader"`
	Epoch         int64             `json:"epoch"`
	Digest        string            `json:"digest"`
	Revision      int64             `json:"revision"`
	Pool          string            `json:"pool"`
	Labels        map[string]string `json:"labels"`
	Slots         int               `json:"slots"`
	Running       int               `json:"running"`
	SeenAt        stamp             `json:"seen_at"`
	ClockOffsetMS int64             `json:"clock_offset_ms"`
	Version       string            `json:"version"`
	Zoneinfo      string            `json:"zoneinfo"`
	LockRedis     string            `json:"lock_redis"`
	Differs       *driftView        `json:"differs,omitempty"`
}

// driftView is in what the schedule of a node differs from another's.
type driftView struct {
	From      string   `json:"from"`
	Added     []string `json:"added"`
	Removed   []string `json:"removed"`
	Redefined []string `json:"redefined"`
	Changed   []string `json:"changed"`
}

func viewDrift(d drift) *driftView {
	list := func(names []string) []string { return append([]string{}, names...) }
	return &driftView{From: d.from, Added: list(d.Added), Removed: list(d.Removed), Redefined: list(d.Redefined), Changed: list(d.Changed)}
}

func viewNode(n jobs.Node) nodeView {
	labels := n.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return nodeView{
		Pool: n.Pool, Labels: labels,
		Node: n.Name, Leader: n.Leader, Epoch: n.Epoch, Digest: n.Digest, Revision: n.Revision, Slots: n.Slots,
		Running: n.Running, SeenAt: utc(n.SeenAt), ClockOffsetMS: n.ClockOffset.Milliseconds(),
		Version: n.Version, Zoneinfo: n.Zoneinfo, LockRedis: n.Locks,
	}
}

type ledgerView struct {
	Tick    stamp        `json:"tick"`
	Until   stamp        `json:"until"`
	Outcome jobs.Outcome `json:"outcome"`
	Reason  string       `json:"reason"`
	Run     string       `json:"run"`
	Count   int          `json:"count"`
}

func viewLedger(e jobs.LedgerEntry) ledgerView {
	return ledgerView{
		Tick: utc(e.Tick), Until: utc(e.Until), Outcome: e.Outcome, Reason: e.Reason,
		Run: e.RunID, Count: e.Count,
	}
}

type eventView struct {
	Seq      int64          `json:"seq"`
	At       stamp          `json:"at"`
	Type     jobs.EventType `json:"type"`
	Job      string         `json:"job,omitempty"`
	Run      string         `json:"run,omitempty"`
	InTheWay string         `json:"in_the_way,omitempty"` // of a skipped tick: the unfinished run
	Node     string         `json:"node,omitempty"`
	Attempt  int            `json:"attempt,omitempty"`
	Error    string         `json:"error,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	Tick     stamp          `json:"tick,omitzero"`
	Until    stamp          `json:"until,omitzero"`
	Count    int            `json:"count,omitempty"`
	Epoch    int64          `json:"epoch,omitempty"`
	Step     string         `json:"step,omitempty"`
	By       string         `json:"by,omitempty"`
}

func viewEvent(e jobs.Event) eventView {
	way := inTheWay(e)
	if way != "" {
		e.Run = ""
	}
	return eventView{
		InTheWay: way,
		Seq:      e.Seq, At: utc(e.At), Type: e.Type, Job: e.Job, Run: e.Run, Node: e.Node,
		Attempt: e.Attempt, Error: e.Error, Reason: e.Reason, Tick: utc(e.Tick),
		Until: utc(e.Until), Count: e.Count, Epoch: e.Epoch, Step: e.Step, By: e.By,
	}
}

type tickView struct {
	Job      string `json:"job"`
	At       stamp  `json:"at"`
	StartsAt *stamp `json:"starts_at,omitempty"` // later than at by the jitter; none of a backfill, which starts at once
	Note     string `json:"note"`
}

type jobView struct {
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Enabled     bool         `json:"enabled"`
	Schedule    []string     `json:"schedule"`
	At          []stamp      `json:"at,omitempty"`
	Start       *stamp       `json:"start,omitempty"`
	End         *stamp       `json:"end,omitempty"`
	EveryN      string       `json:"every_n,omitempty"`
	Only        []string     `json:"only,omitempty"`
	Exclude     []string     `json:"exclude,omitempty"`
	Shift       jobs.Shift   `json:"shift,omitempty"`
	Jitter      string       `json:"jitter,omitempty"`
	After       *afterView   `json:"after"` // null: no other job's end starts it
	Timezone    string       `json:"timezone"`
	Priority    int          `json:"priority"`
	Overlap     jobs.Overlap `json:"overlap"`
	Next        stamp        `json:"next"`
	LastRun     string       `json:"last_run"`
	LastStatus  jobs.State   `json:"last_status"`
	LastAt      stamp        `json:"last_at"`
	Paused      *pauseView   `json:"paused"` // null when it is not
}

type afterView struct {
	Job  string    `json:"job"`
	When jobs.When `json:"when"`
}

type pauseView struct {
	Since stamp  `json:"since"`
	By    string `json:"by"`
	Note  string `json:"note"`
}

func viewPause(p jobs.Pause) *pauseView {
	return &pauseView{Since: utc(p.Since), By: p.By, Note: p.Note}
}

type chunkView struct {
	Attempt int    `json:"attempt"`
	Offset  int64  `json:"offset"`
	Dropped int64  `json:"dropped"` // bytes missing before this chunk
	Data    string `json:"data"`
}

type problemView struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Job     string `json:"job,omitempty"`
	Message string `json:"message"`
}

type errorView struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Code     string        `json:"code"`
	Exit     int           `json:"exit"`
	Message  string        `json:"message"`
	Hint     string        `json:"hint,omitempty"`
	Problems []problemView `json:"problems,omitempty"`
}

func viewError(e *exitError) errorView {
	body := errorBody{Code: e.code.String(), Exit: int(e.code), Message: e.Error(), Hint: e.hint}
	for _, p := range e.problems {
		body.Problems = append(body.Problems, problemView(p))
	}
	return errorView{Error: body}
}
