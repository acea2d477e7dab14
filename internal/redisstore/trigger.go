package redisstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"carillon/jobs"
)

// requestKeep is how long the same request id means the same run.
const requestKeep = 24 * time.Hour

// Trigger starts a run that no tick asked for.
func (s *Store) Trigger(ctx context.Context, req jobs.TriggerRequest) (jobs.TriggerReply, error) {
	fail := func(err error) (jobs.TriggerReply, error) {
		return jobs.TriggerReply{}, fmt.Errorf("trigger %s: %w", req.Job.Name, err)
	}
	params := ""
	if len(req.Params) > 0 {
		b, err := json.Marshal(req.Params)
		if err != nil {
			return fail(err)
		}
		params = string(b)
	}
	args := appendSpec(make([]any, 0, specWidth+6), req.Job)
	args = append(args, jobs.ManualRunID(req.Job.Name, req.Unique), req.RequestID, requestKeep.Milliseconds(), params, text(req.Reason), text(req.By))
	reply, err := s.eval(ctx, triggerScript,
		[]string{s.keys.probe(), s.keys.request(req.Job.Name, req.RequestID), s.keys.events(), s.keys.sequence()}, args...)
	if err != nil {
		return fail(err)
	}
	v, _ := reply.([]any)
	if len(v) < 2 {
		return fail(fmt.Errorf("unexpected reply %v", reply))
	}
	detail := toString(v[1])
	switch answer := toString(v[0]); answer {
	case "queued", "waiting":
		return jobs.TriggerReply{RunID: detail, WaitsFor: toString(v[2])}, nil
	case "repeated":
		return jobs.TriggerReply{RunID: detail, Repeated: true}, nil
	case "busy":
		return jobs.TriggerReply{InTheWay: detail, Why: toString(v[2])}, nil
	case "paused":
		p, err := decodePause(req.Job.Name, detail)
		if err != nil {
			return fail(err)
		}
		return jobs.TriggerReply{Paused: &p}, nil
	case "nobody":
		return jobs.TriggerReply{Nobody: true}, nil
	default:
		return fail(fmt.Errorf("unexpected answer %q", answer))
	}
}
