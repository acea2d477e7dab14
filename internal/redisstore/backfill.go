package redisstore

import (
	"context"
	"fmt"
	"time"

	"carillon/jobs"
	"carillon/leader"
)

// Backfill asks for past ticks of a job to run after all, under the ids they had:
// what ran is not run again. force takes ticks that are older than the ledger.
func (s *Store) Backfill(ctx context.Context, job *jobs.Job, ticks []time.Time, by string, force bool) (jobs.BackfillReply, error) {
	var reply jobs.BackfillReply
	f := 0
	if force {
		f = 1
	}
	name, err := s.nameNow(ctx, job.Name)
	if err != nil {
		return reply, err
	}
	args := make([]any, 0, 3+len(ticks))
	args = append(args, name, text(by), f)
	for _, t := range ticks {
		args = append(args, millis(t))
	}
	answer, err := s.eval(ctx, backfillScript, []string{s.keys.probe(), s.keys.cursors(), s.keys.ledger(name),
		s.keys.backfill(name), s.keys.backfills(), s.keys.events(), s.keys.sequence()}, args...)
	if err != nil {
		return reply, fmt.Errorf("backfill %s: %w", job.Name, err)
	}
	v, _ := answer.([]any)
	if len(v) < 2 {
		return reply, fmt.Errorf("backfill %s: unexpected reply %v", job.Name, answer)
	}
	switch n := toInt(v[1]); toString(v[0]) {
	case "ok":
		reply.Queued, reply.Ran = int(n), int(toInt(v[2]))
	case "undecided":
		reply.Undecided = time.UnixMilli(n).UTC()
	case "old":
		reply.TooOld, reply.Oldest = true, fromMillis(n)
	case "full":
		reply.Full = int(n)
	default:
		return reply, fmt.Errorf("backfill %s: unexpected answer %q", job.Name, toString(v[0]))
	}
	return reply, nil
}

// Feed turns ticks of backfills into runs, under the term's token. job finds the
// leader's definition; a job without one keeps its ticks. It returns whether ticks
// are left that may run later.
func (s *Store) Feed(ctx context.Context, token string, job func(name string) *jobs.Job) (left bool, err error) {
	names, err := s.cmd.HKeys(ctx, s.keys.backfills()).Result()
	if err != nil {
		return false, wrap("read the backfills", err)
	}
	count, args := 0, []any{token, 0}
	for _, name := range names {
		if j := job(name); j != nil {
			args = appendSpec(args, j)
			count++
		}
	}
	if count == 0 {
		return false, nil
	}
	args[1] = count
	answer, err := s.evalAcknowledged(ctx, feedScript,
		[]string{s.keys.probe(), s.keys.leader(), s.keys.backfills(), s.keys.events(), s.keys.sequence()}, args...)
	if err != nil {
		return false, fmt.Errorf("feed backfills: %w", err)
	}
	v, _ := answer.([]any)
	if len(v) == 0 || toInt(v[0]) != 1 {
		return false, fmt.Errorf("feed backfills: %w", leader.ErrFenced)
	}
	return toInt(v[1]) > 0, nil
}
