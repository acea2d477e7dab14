package redisstore

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"carillon/jobs"
)

// This file turns values into what Redis holds and back. Times are integer
// milliseconds in Redis and time.Time everywhere else.

func millis(t time.Time) int64 { return t.UnixMilli() }

func millisOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return millis(t)
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func toInt(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		n, _ := strconv.ParseInt(v, 10, 64)
		return n
	}
	return 0
}

func toString(v any) string {
	s, _ := v.(string)
	return s
}

// text makes a string safe for JSON in Lua and for hash fields: valid UTF-8, and
// not longer than an operator reads.
func text(s string) string {
	const limit = 2000
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// decodeRun reads a run's hash.
func decodeRun(id string, h map[string]string) (jobs.Run, error) {
	number := func(field string) int64 { n, _ := strconv.ParseInt(h[field], 10, 64); return n }
	r := jobs.Run{
		ID:          id,
		Job:         h["job"],
		Trigger:     jobs.Trigger(h["trigger"]),
		ScheduledAt: fromMillis(number("scheduled_at")),
		Status:      jobs.State(h["status"]),
		Attempt:     int(number("attempt")),
		Failures:    int(number("failures")),
		Crashes:     int(number("crashes")),
		Node:        h["node"],
		Priority:    int(number("priority")),
		Digest:      h["digest"],
		Reason:      h["reason"],
		By:          h["by"],
		QueuedAt:    fromMillis(number("queued_at")),
		StartedAt:   fromMillis(number("started_at")),
		FinishedAt:  fromMillis(number("finished_at")),
		RetryAt:     fromMillis(number("retry_at")),
		Error:       h["error"],
		OutputBytes: number("output_bytes"),
		CanceledBy:  h["cancel"],
		Route:       cmp.Or(h["route"], jobs.AnyRoute),
		Steps:       decodeSteps(h),
	}
	// What keeps a run from going on comes before why somebody wanted it.
	if why := h["waits"]; why != "" && !r.Status.Final() && r.Status != jobs.Running {
		r.Reason = why
	}
	if why := h["rollback_error"]; why != "" {
		r.Error += "; rollback: " + why
	}
	if !r.Status.Known() {
		return r, fmt.Errorf("run %s: unknown status %q: was it written by a newer carillon?", id, h["status"])
	}
	if v, ok := h["exit_code"]; ok {
		if code, err := strconv.Atoi(v); err == nil {
			r.ExitCode = &code
		}
	}
	if v := h["params"]; v != "" {
		if err := json.Unmarshal([]byte(v), &r.Params); err != nil {
			return r, fmt.Errorf("run %s: params: %w", id, err)
		}
	}
	return r, nil
}

// decodeSteps reads the fields "step:<name>" = "index status started-ms".
func decodeSteps(h map[string]string) []jobs.StepStatus {
	type at struct {
		index int64
		step  jobs.StepStatus
	}
	var list []at
	for field, value := range h {
		name, ok := strings.CutPrefix(field, "step:")
		f := strings.Fields(value)
		if !ok || len(f) != 3 {
			continue
		}
		list = append(list, at{toInt(f[0]), jobs.StepStatus{Name: name, Status: jobs.State(f[1]), StartedAt: fromMillis(toInt(f[2]))}})
	}
	slices.SortFunc(list, func(a, b at) int { return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(a.step.Name, b.step.Name)) })
	steps := make([]jobs.StepStatus, len(list))
	for i, a := range list {
		steps[i] = a.step
	}
	return steps
}

// decodeNode reads a node's hash.
func decodeNode(name string, h map[string]string) jobs.Node {
	number := func(field string) int64 { n, _ := strconv.ParseInt(h[field], 10, 64); return n }
	digest, _, _ := strings.Cut(h["schedules"], " ")
	silent, since, _ := strings.Cut(h["silent"], " ")
	since, voted, _ := strings.Cut(since, " ")
	deposed, deposedAt, _ := strings.Cut(h["deposed"], " ")
	if !strings.HasPrefix(deposed, name+":"+h["boot"]+":") {
		deposedAt = "" // that was an earlier process of this name
	}
	want, got, _ := strings.Cut(h["replicas"], " ")
	return jobs.Node{WaitReplicas: int(toInt(want)), Replicas: int(toInt(got)), Name: name, Boot: h["boot"], Digest: digest, Revision: number("revision"), NoLead: h["no_lead"] == "1", Locks: h["locks"],
		Slots: int(number("slots")), Running: int(number("running")),
		SeenAt: fromMillis(number("seen_at")), StartedAt: fromMillis(number("started_at")),
		ClockOffset: time.Duration(number("clock_offset_ms")) * time.Millisecond, Version: h["version"], Zoneinfo: h["zoneinfo"],
		Pool: h["pool"], Labels: splitLabels(h["labels"]), Routes: strings.Fields(h["routes"]),
		Silent: silent, SilentSince: fromMillis(toInt(since)), SilentAt: fromMillis(toInt(voted)),
		Deposed: fromMillis(toInt(deposedAt)), Hangs: fromMillis(number("hangs")), Lease: time.Duration(number("lease_ms")) * time.Millisecond}
}

// decodeLedger reads an entry as lua/lib_ledger.lua writes it.
func decodeLedger(job, entry string) (jobs.LedgerEntry, error) {
	f := strings.SplitN(entry, " ", 6)
	bad := func() (jobs.LedgerEntry, error) {
		return jobs.LedgerEntry{}, fmt.Errorf("ledger of %s: cannot read entry %q", job, entry)
	}
	if len(f) != 2 && len(f) != 6 || slices.Contains(f[:min(len(f), 5)], "") { // the reason alone may be empty
		return bad()
	}
	tick, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return bad()
	}
	e := jobs.LedgerEntry{Tick: fromMillis(tick), Until: fromMillis(tick), Outcome: jobs.Outcome(f[1]), Count: 1}
	if len(f) == 2 {
		e.RunID = jobs.TickRunID(job, e.Tick)
		return e, nil
	}
	until, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return bad()
	}
	if e.Count, err = strconv.Atoi(f[3]); err != nil {
		return bad()
	}
	e.Until = fromMillis(until)
	if f[4] != "-" {
		e.RunID = f[4]
	}
	e.Reason = f[5]
	return e, nil
}

// wireEvent is one event inside a message; times are milliseconds.
type wireEvent struct {
	Type    jobs.EventType `json:"type"`
	Job     string         `json:"job,omitempty"`
	Run     string         `json:"run,omitempty"`
	Node    string         `json:"node,omitempty"`
	Attempt int            `json:"attempt,omitempty"`
	Error   string         `json:"error,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	Tick    int64          `json:"tick,omitempty"`
	Until   int64          `json:"until,omitempty"`
	Count   int            `json:"count,omitempty"`
	Epoch   int64          `json:"epoch,omitempty"`
	Step    string         `json:"step,omitempty"`
	By      string         `json:"by,omitempty"`
}

// message is one publication: a batch with its place in the sequence.
type message struct {
	Seq    int64       `json:"seq"`
	At     int64       `json:"at"`
	Events []wireEvent `json:"events"`
}

func decodeMessage(payload string) (seq int64, events []jobs.Event, err error) {
	var m message
	if err := json.Unmarshal([]byte(payload), &m); err != nil {
		return 0, nil, fmt.Errorf("event message: %w", err)
	}
	at := fromMillis(m.At)
	for _, w := range m.Events {
		e := jobs.Event{Seq: m.Seq, At: at, Type: w.Type, Job: w.Job, Run: w.Run, Node: w.Node, Attempt: w.Attempt,
			Error: w.Error, Reason: w.Reason, Tick: fromMillis(w.Tick), Until: fromMillis(w.Until), Count: w.Count, Epoch: w.Epoch, Step: w.Step, By: w.By}
		if e.Job == "" && e.Run != "" {
			e.Job, _ = jobs.JobOf(e.Run)
		}
		events = append(events, e)
	}
	return m.Seq, events, nil
}
