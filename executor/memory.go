package executor

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"carillon/jobs"
)

// This file is for the day when Redis has lost data: what this node then knows of runs, and
// how it says so. See docs/adr/0016-lives-of-the-store.md.

const (
	// memoryFor is how long the end of an attempt is remembered, and memorySize how
	// many: with results as they usually are some 5 MB.
	memoryFor  = time.Hour
	memorySize = 16384
	// memoryText is how much of an error is remembered.
	memoryText = 300
)

// progress is how far the steps of an attempt have come. The attempt writes it, and
// whoever recalls the attempt reads it.
type progress struct {
	begun  atomic.Int32 // steps that began here, counted from the first of the plan; 0: none
	undone atomic.Int32 // entries of the rollback list that were undone
}

func (p *progress) begin(index int)  { p.begun.Store(int32(index + 1)) }
func (p *progress) undid(number int) { p.undone.Store(int32(number)) }

// held is what this node knows of an attempt.
func (a *attempt) held() jobs.Held {
	c := &a.claim
	h := jobs.Held{RunID: c.RunID, Token: c.Token, Attempt: c.Attempt, Undoing: c.Undoing, Failures: c.Failures, Failure: c.Failure, FailedAt: c.FailedAt}
	if !a.began.IsZero() {
		h.Age = time.Since(a.began)
	}
	h.Steps, h.Rollback = a.steps()
	return h
}

// steps are those that began, in this attempt or before, and what there is to undo. Of an
// earlier attempt that may have begun the first step it is taken that it did.
func (a *attempt) steps() (begun, rollback []string) {
	if a.claim.Undoing {
		return nil, a.claim.Rollback[min(int(a.came.undone.Load()), len(a.claim.Rollback)):]
	}
	if !recorded(a.job) {
		return nil, nil
	}
	n := int(a.came.begun.Load())
	if a.claim.Attempt > 1 {
		n = max(n, a.claim.Step+1)
	}
	plan := a.job.Plan()
	for i := range plan[:min(n, len(plan))] {
		begun = append(begun, plan[i].Name)
		if plan[i].Undo != nil {
			rollback = append([]string{plan[i].Name}, rollback...)
		}
	}
	return begun, rollback
}

// record is the end of an attempt that the store has accepted.
type record struct {
	at       time.Time
	result   jobs.Result
	attempt  int
	undoing  bool
	failures int
	steps    []string
	rollback []string
}

// memory holds the latest records, in a ring that grows to memorySize. It is not safe for
// concurrent use.
type memory struct {
	ring []record
	next int // the oldest, once the ring is full
}

// add remembers an end. Its price is that of copying it: nothing is looked for here.
func (m *memory) add(a *attempt, result *jobs.Result, now time.Time) {
	if len(m.ring) < memorySize {
		m.ring = append(m.ring, record{})
		m.next = len(m.ring) - 1
	}
	r := &m.ring[m.next]
	*r = record{at: now, result: *result, attempt: a.claim.Attempt, undoing: a.claim.Undoing, failures: a.claim.Failures}
	if len(r.result.Error) > memoryText {
		r.result.Error = strings.ToValidUTF8(r.result.Error[:memoryText], "") + "…" // a copy: the rest is let go
	}
	if result.Status != jobs.Succeeded && result.Status != jobs.RolledBack {
		r.steps, r.rollback = a.steps()
	}
	m.next = (m.next + 1) % memorySize
}

// key is what a claim has in common with the record of it.
type key struct {
	run     string
	undoing bool
}

// since are the records from then on, of each run the one of its last attempt.
func (m *memory) since(then time.Time) []record {
	at := make(map[key]int, len(m.ring))
	var list []record
	for i := range m.ring {
		r := &m.ring[i]
		if r.at.Before(then) {
			continue
		}
		k := key{r.result.RunID, r.undoing}
		j, known := at[k]
		switch {
		case !known:
			at[k] = len(list)
			list = append(list, *r)
		case list[j].attempt < r.attempt || list[j].attempt == r.attempt && list[j].at.Before(r.at):
			list[j] = *r
		}
	}
	return list
}

// recollection is the memory as it was when the store lost data, by run.
type recollection struct {
	at      time.Time
	records map[key]record
}

// Relive tells a store that has lost data what this node knows: the attempts under way,
// those that ended and whose results are still to be written, and the ends that
// the store had accepted. See jobs.Relive.
func (e *Executor) Relive(ctx context.Context, life jobs.StoreLife, tell func(context.Context, []jobs.Held) ([]jobs.HeldAnswer, error)) error {
	sent := time.Now()
	records := e.board.remembered(sent.Add(-memoryFor))
	known := &recollection{at: sent, records: make(map[key]record, len(records))}
	for _, r := range records {
		known.records[key{r.result.RunID, r.undoing}] = r
	}
	e.recalled.Store(known)

	// In this order one that ends meanwhile is told of twice, not never.
	running, ended := e.board.attempts(), e.board.untold()
	another := func(a *attempt) bool { return a.job == nil || a.lease().lost }
	running, ended = slices.DeleteFunc(running, another), slices.DeleteFunc(ended, another)
	held := make([]jobs.Held, 0, len(running)+len(ended))
	for _, a := range slices.Concat(running, ended) {
		h := a.held()
		h.Claim, h.Job = &a.claim, a.job
		held = append(held, h)
	}
	answers, err := tell(ctx, held)
	if err != nil {
		return err
	}
	var kept []*attempt
	for i, a := range running {
		if answers[i] == jobs.HeldOK {
			kept = append(kept, a)
		} else {
			e.loseLease(a)
		}
	}
	e.extend(kept, sent)

	held = held[:0]
	for i := range records {
		r := &records[i]
		held = append(held, jobs.Held{RunID: r.result.RunID, Token: r.result.Token, Attempt: r.attempt, Undoing: r.undoing,
			Failures: r.failures, Steps: r.steps, Rollback: r.rollback, Result: &r.result})
	}
	if answers, err = tell(ctx, held); err != nil {
		return err
	}
	made := 0
	for _, answer := range answers {
		if answer == jobs.HeldOK {
			made++
		}
	}
	e.log.Info("Redis was told what this node knows", "running", len(kept), "ends", len(records), "ends_written_again", made)
	return nil
}

// known ends a claim of a run of which this node has seen the end already, with that
// end: the store has forgotten it. Outside of the hour after a loss of data it costs nothing.
func (e *Executor) known(a *attempt) bool {
	c := &a.claim
	memory := e.recalled.Load()
	if memory == nil {
		return false
	}
	if time.Since(memory.at) > memoryFor {
		e.recalled.CompareAndSwap(memory, nil)
		return false
	}
	r, ok := memory.records[key{c.RunID, c.Undoing}]
	if !ok || r.attempt < c.Attempt || time.Since(r.at) > memoryFor {
		return false
	}
	if r.result.Status == jobs.RollbackFailed {
		return false // somebody may have mended what kept it from going on, and resumed it: that has no attempt of its own
	}
	result := r.result
	result.Token = c.Token
	e.log.Warn("Redis has forgotten the end of this run: it is not started again, and ends as it did",
		"run", c.RunID, "attempt", c.Attempt, "status", result.Status, "at", r.at)
	e.board.end(a, &result)
	return true
}
