package redisstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"carillon/jobs"
	"carillon/leader"
)

// Adopt is the first act of a term and of a reload: every job of scheduled gets a
// cursor (now, where it had none), a job whose timing changed starts anew from
// now, and jobs that left the file are marked. It returns the cursors.
func (s *Store) Adopt(ctx context.Context, token string, scheduled []*jobs.Job) (jobs.Adopted, error) {
	known, err := s.cmd.HKeys(ctx, s.keys.cursors()).Result()
	if err != nil {
		return jobs.Adopted{}, wrap("read the cursors", err)
	}
	in := make(map[string]bool, len(scheduled))
	for _, j := range scheduled {
		in[j.Name] = true
	}
	var gone []string
	for _, name := range known {
		if !in[name] {
			gone = append(gone, name)
		}
	}
	cursors := make(map[string]time.Time, len(scheduled))
	keys := []string{s.keys.probe(), s.keys.leader(), s.keys.cursors(), s.keys.events(), s.keys.sequence(), s.keys.term(),
		s.keys.cluster(), s.keys.backfills()}
	for first := true; first || len(scheduled) > 0 || len(gone) > 0; first = false {
		n, g := min(len(scheduled), 500), min(len(gone), 500)
		last := 0
		if n == len(scheduled) && g == len(gone) {
			last = 1
		}
		args := make([]any, 0, 3+2*n+g)
		args = append(args, token, last, n)
		for _, j := range scheduled[:n] {
			args = append(args, j.Name, j.Timing)
		}
		for _, name := range gone[:g] {
			args = append(args, name)
		}
		reply, err := s.eval(ctx, adoptScript, keys, args...)
		if err != nil {
			return jobs.Adopted{}, err
		}
		values, err := fenced(reply, 1+n)
		if err != nil {
			return jobs.Adopted{}, fmt.Errorf("adopt the schedule: %w", err)
		}
		for i, j := range scheduled[:n] {
			cursors[j.Name] = fromMillis(toInt(values[i+1]))
		}
		scheduled, gone = scheduled[n:], gone[g:]
	}
	pauses, err := s.pauseSpans(ctx, cursors)
	return jobs.Adopted{Cursors: cursors, Pauses: pauses}, err
}

// pauseSpans returns the pauses that undecided ticks may fall into, and forgets
// those that lie before their job's cursor.
func (s *Store) pauseSpans(ctx context.Context, cursors map[string]time.Time) (map[string][]jobs.Span, error) {
	// In this order a pause that ends meanwhile is seen in both places, not in none.
	now := s.Now()
	paused, err := s.Paused(ctx)
	if err != nil {
		return nil, err
	}
	over, err := s.cmd.HGetAll(ctx, s.keys.pauses()).Result()
	if err != nil {
		return nil, wrap("read the pauses", err)
	}
	spans := make(map[string][]jobs.Span, len(over)+len(paused))
	var done []string
	for job, text := range over {
		for _, one := range strings.Fields(text) {
			from, to, _ := strings.Cut(one, "-")
			span := jobs.Span{From: fromMillis(toInt(from)), To: fromMillis(toInt(to))}
			// A job that is not scheduled starts from now when it comes back.
			if cursor, scheduled := cursors[job]; scheduled && span.To.After(cursor) {
				spans[job] = append(spans[job], span)
			}
		}
		if len(spans[job]) == 0 {
			done = append(done, job)
		}
	}
	if len(done) > 0 {
		if err := s.cmd.HDel(ctx, s.keys.pauses(), done...).Err(); err != nil {
			return nil, wrap("forget old pauses", err)
		}
	}
	// A pause in force counts up to now: later ticks are asked about when they are
	// committed, or the end of the pause would go unheard.
	for job, p := range paused {
		if p.Since.Before(now) {
			spans[job] = append(spans[job], jobs.Span{From: p.Since, To: now})
		}
	}
	return spans, nil
}

// commitChunk keeps one call of commit under some milliseconds of Redis.
const commitChunk = 250

// Commit turns decisions into runs and ledger entries, under the term's token.
// Decisions of one job must follow one another in time order.
func (s *Store) Commit(ctx context.Context, token string, decisions []jobs.Decision) ([]jobs.Verdict, error) {
	verdicts := make([]jobs.Verdict, 0, len(decisions))
	keys := []string{s.keys.probe(), s.keys.leader(), s.keys.cursors(), s.keys.events(), s.keys.sequence(), s.keys.paused(), s.keys.term()}
	for len(decisions) > 0 {
		n := min(len(decisions), commitChunk)
		w := s.memory.now.Load()
		reply, err := s.evalAcknowledged(ctx, commitScript, keys, commitArgs(token, decisions[:n])...)
		if err != nil {
			return verdicts, err
		}
		values, err := fenced(reply, 2+2*n)
		if err != nil {
			return verdicts, fmt.Errorf("commit ticks: %w", err)
		}
		for i := range n {
			v := decodeVerdict(values[1+2*i], values[2+2*i])
			if v.Kind != jobs.VerdictEarly && v.Kind != jobs.VerdictBusy {
				w.knows(millis(decisions[i].Until))
			}
			verdicts = append(verdicts, v)
		}
		w.saw(toInt(values[1+2*n]))
		decisions = decisions[n:]
	}
	return verdicts, nil
}

// commitArgs puts the specs of the jobs in front of their decisions. Decisions of
// one job are neighbours, so each spec goes once.
func commitArgs(token string, decisions []jobs.Decision) []any {
	args := make([]any, 0, 3+len(decisions)*(8+specWidth))
	args = append(args, token, 0)
	count := 0
	for i := range decisions {
		if i == 0 || decisions[i].Job != decisions[i-1].Job {
			args = appendSpec(args, decisions[i].Job)
			count++
		}
	}
	args[1] = count
	args = append(args, len(decisions))
	index := 0
	for i := range decisions {
		d := &decisions[i]
		if i == 0 || d.Job != decisions[i-1].Job {
			index++
		}
		id, wait := "", "0"
		if d.Outcome == jobs.OutcomeRan || d.Outcome == jobs.OutcomeLate {
			id = jobs.TickRunID(d.Job.Name, d.Tick)
		}
		if d.Wait {
			wait = "1"
		}
		args = append(args, index, millis(d.Tick), millis(d.Until), d.Count, string(d.Outcome), text(d.Reason), wait, id)
	}
	return args
}

func decodeVerdict(kind, detail any) jobs.Verdict {
	v := jobs.Verdict{Kind: jobs.VerdictKind(toString(kind))}
	switch v.Kind {
	case jobs.VerdictEarly:
		v.Wait = time.Duration(toInt(detail)) * time.Microsecond
	case jobs.VerdictDuplicate:
		v.Cursor = fromMillis(toInt(detail))
	default:
		v.RunID = toString(detail)
	}
	return v
}

// fenced unpacks the reply of a leader's script: its first element is 0 when the
// token no longer holds the seat.
func fenced(reply any, want int) ([]any, error) {
	values, ok := reply.([]any)
	if !ok || len(values) == 0 {
		return nil, fmt.Errorf("unexpected reply %v", reply)
	}
	if toInt(values[0]) != 1 {
		return nil, leader.ErrFenced
	}
	if len(values) != want {
		return nil, fmt.Errorf("reply has %d values, expected %d", len(values), want)
	}
	return values, nil
}

// sweepChunk is how many entries of :leases one call looks at.
const sweepChunk = 200

// Sweep moves what stands in :leases past its time. Running runs are taken from
// their nodes only with takeRunning, and while the clock of Redis is where this node
// expects it: a step of that clock makes every lease look expired at once, and the
// record shows it only at the next measurement. It returns true when there may be more.
//
// job finds the leader's definition, if it is not nil: parked runs that never began become runs of
// that, when nobody is left who has their own.
func (s *Store) Sweep(ctx context.Context, token string, takeRunning bool, job func(name string) *jobs.Job) (more bool, err error) {
	take, silent, offset := 0, 0, 0
	if takeRunning {
		take = 1
	}
	if s.SteadyFor() >= nodeLive { // while Redis was away nobody could be heard
		silent = 1
	}
	keys := []string{s.keys.probe(), s.keys.leader(), s.keys.leases(), s.keys.nodes(), s.keys.recent(), s.keys.events(), s.keys.sequence()}
	for range 20 {
		reply, err := s.eval(ctx, sweepScript, keys, token, take, offset, sweepChunk,
			s.Now().UnixMilli(), max(jump, s.opts.Lease/6).Milliseconds(), silent)
		if err != nil {
			return false, err
		}
		values, err := fenced(reply, 4)
		if err != nil {
			return false, fmt.Errorf("sweep leases: %w", err)
		}
		if parked, _ := values[3].([]any); len(parked) > 0 && job != nil {
			if err := s.anew(ctx, token, parked, job); err != nil {
				return false, fmt.Errorf("sweep leases: %w", err)
			}
		}
		if toInt(values[1]) < sweepChunk {
			return false, nil
		}
		offset += int(toInt(values[2])) // those that stay are not looked at again
	}
	return true, nil
}

// anew makes parked runs, given as id and job in turn, runs of what the leader's file says of
// their jobs. A run of one node cannot become one of many, and one without params
// none of a job that asks for some.
func (s *Store) anew(ctx context.Context, token string, parked []any, job func(name string) *jobs.Job) error {
	specs, runs, count := []any{}, []any{}, 0
	index := map[string]int{} // of a job's spec; 0: it has none to take
	for ; len(parked) >= 2; parked = parked[2:] {
		name := toString(parked[1])
		at, known := index[name]
		if !known {
			if j := job(name); j != nil && !j.EveryNode {
				if _, err := j.BindParams(nil); err == nil {
					specs = appendSpec(specs, j)
					count++
					at = count
				}
			}
			index[name] = at
		}
		if at > 0 {
			runs = append(runs, at, toString(parked[0]))
		}
	}
	if count == 0 {
		return nil
	}
	args := append([]any{token, count}, specs...)
	args = append(append(args, len(runs)/2), runs...)
	reply, err := s.eval(ctx, anewScript,
		[]string{s.keys.probe(), s.keys.leader(), s.keys.leases(), s.keys.events(), s.keys.sequence()}, args...)
	if err != nil {
		return fmt.Errorf("take parked runs over: %w", err)
	}
	_, err = fenced(reply, 2)
	return err
}
