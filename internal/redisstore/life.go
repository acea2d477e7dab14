package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon/jobs"
)

// Step records that a step is about to start, and its undo on the rollback list.
// held is false when the attempt may not start it: another one holds the run, or
// somebody called it off.
func (s *Store) Step(ctx context.Context, r jobs.StepRecord) (held bool, err error) {
	undo := 0
	if r.Undo {
		undo = 1
	}
	reply, err := s.eval(ctx, stepScript,
		[]string{s.keys.probe(), s.keys.run(r.RunID), s.keys.rollback(r.RunID), s.keys.events(), s.keys.sequence()},
		r.RunID, r.Token, r.Index, r.Name, undo)
	if err != nil {
		return false, fmt.Errorf("record step %s of run %s: %w", r.Name, r.RunID, err)
	}
	return toString(reply) == "ok", nil
}

// Undone takes the entry of a step off the rollback list, after its undo
// succeeded. held is false when another attempt holds the run.
func (s *Store) Undone(ctx context.Context, runID, token, step string) (held bool, err error) {
	reply, err := s.eval(ctx, undoneScript,
		[]string{s.keys.probe(), s.keys.run(runID), s.keys.rollback(runID), s.keys.events(), s.keys.sequence()}, runID, token, step)
	if err != nil {
		return false, fmt.Errorf("record the undo of step %s of run %s: %w", step, runID, err)
	}
	return toString(reply) == "ok", nil
}

// Cancel calls a run off, and returns what that did and the status it has now.
func (s *Store) Cancel(ctx context.Context, runID, by, reason string) (jobs.CancelAnswer, jobs.State, error) {
	reply, err := s.eval(ctx, cancelScript,
		[]string{s.keys.probe(), s.keys.run(runID), s.keys.events(), s.keys.sequence()}, runID, text(by), text(reason))
	if err != nil {
		return "", "", fmt.Errorf("cancel %s: %w", runID, err)
	}
	v, _ := reply.([]any)
	if len(v) != 2 {
		return "", "", fmt.Errorf("cancel %s: unexpected reply %v", runID, reply)
	}
	return jobs.CancelAnswer(toString(v[0])), jobs.State(toString(v[1])), nil
}

// ResumeRollback lets a failed rollback go on. It returns false with the run's
// status when there is nothing to resume, and ErrNotFound for no such run.
func (s *Store) ResumeRollback(ctx context.Context, runID, by string) (bool, jobs.State, error) {
	reply, err := s.eval(ctx, resumeRollbackScript,
		[]string{s.keys.probe(), s.keys.run(runID), s.keys.rollback(runID), s.keys.events(), s.keys.sequence()}, runID, text(by))
	if err != nil {
		return false, "", fmt.Errorf("resume the rollback of %s: %w", runID, err)
	}
	v, _ := reply.([]any)
	if len(v) != 2 {
		return false, "", fmt.Errorf("resume the rollback of %s: unexpected reply %v", runID, reply)
	}
	state := jobs.State(toString(v[1]))
	if state == "" {
		return false, "", fmt.Errorf("run %s: %w", runID, ErrNotFound)
	}
	return toInt(v[0]) == 1, state, nil
}

// Pause holds off the ticks and follow-on runs of a job. fresh is false when it
// was paused before; was is the pause that is in force.
func (s *Store) Pause(ctx context.Context, job, by, note string) (was jobs.Pause, fresh bool, err error) {
	if job, err = s.nameNow(ctx, job); err != nil {
		return was, false, err
	}
	reply, err := s.eval(ctx, pauseScript, []string{s.keys.probe(), s.keys.paused(), s.keys.events(), s.keys.sequence()}, job, text(by), text(note))
	if err != nil {
		return was, false, fmt.Errorf("pause %s: %w", job, err)
	}
	v, _ := reply.([]any)
	if len(v) < 2 {
		return was, false, fmt.Errorf("pause %s: unexpected reply %v", job, reply)
	}
	was = jobs.Pause{Job: job, Since: fromMillis(toInt(v[1])), By: by, Note: note}
	if toInt(v[0]) == 0 && len(v) == 4 {
		was.By, was.Note = toString(v[2]), toString(v[3])
		return was, false, nil
	}
	return was, true, nil
}

// Resume ends a pause and returns it; paused is false when there was none.
func (s *Store) Resume(ctx context.Context, job, by string) (was jobs.Pause, paused bool, err error) {
	if job, err = s.nameNow(ctx, job); err != nil {
		return was, false, err
	}
	reply, err := s.eval(ctx, resumeScript,
		[]string{s.keys.probe(), s.keys.paused(), s.keys.pauses(), s.keys.cursors(), s.keys.events(), s.keys.sequence()}, job, text(by))
	if err != nil {
		return was, false, fmt.Errorf("resume %s: %w", job, err)
	}
	v, _ := reply.([]any)
	if len(v) != 4 {
		return was, false, nil
	}
	return jobs.Pause{Job: job, Since: fromMillis(toInt(v[1])), By: toString(v[2]), Note: toString(v[3])}, true, nil
}

// Paused returns the pauses in force, by job.
func (s *Store) Paused(ctx context.Context) (map[string]jobs.Pause, error) {
	h, err := s.cmd.HGetAll(ctx, s.keys.paused()).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, wrap("read the paused jobs", err)
	}
	pauses := make(map[string]jobs.Pause, len(h))
	for job, value := range h {
		p, err := decodePause(job, value)
		if err != nil {
			return nil, err
		}
		pauses[job] = p
	}
	return pauses, nil
}

func decodePause(job, value string) (jobs.Pause, error) {
	var p struct {
		Since int64  `json:"since"`
		By    string `json:"by"`
		Note  string `json:"note"`
	}
	if err := json.Unmarshal([]byte(value), &p); err != nil {
		return jobs.Pause{}, fmt.Errorf("pause of %s: %w", job, err)
	}
	return jobs.Pause{Job: job, Since: fromMillis(p.Since), By: p.By, Note: p.Note}, nil
}

// serves is what a node claims: its routes and the bells that ring for them.
type serves struct {
	routes  []string
	bells   []string
	maxWait time.Duration
}

// Serve says which routes this node serves, and after which time a waiting run goes
// first whatever its priority. It may change while the node runs.
func (s *Store) Serve(routes []string, maxWait time.Duration) {
	v := &serves{maxWait: maxWait}
	v.routes = append(append(v.routes, routes...), nodeRoute(s.opts.Boot))
	for _, r := range v.routes {
		v.bells = append(v.bells, s.keys.bell(r))
	}
	s.served.Store(v)
}

func (s *Store) serving() *serves { return s.served.Load() }

// Cancels delivers the ids of runs that somebody called off. It is a hint:
// ReceiveControl feeds it, and renewals say the same.
func (s *Store) Cancels() <-chan string { return s.cancels }
