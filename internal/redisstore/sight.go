package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon/jobs"
)

// Sight looks at what the leader has done for these jobs, in one round trip.
// leader is the name that the last look gave: its record is read along with the
// rest, and when another node leads by now, the sight says nothing of its schedule.
func (s *Store) Sight(ctx context.Context, leader string, list []*jobs.Job) (jobs.Sight, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	pipe := s.cmd.Pipeline()
	now := pipe.Time(ctx)
	seat := pipe.Get(ctx, s.keys.leader())
	term := pipe.HMGet(ctx, s.keys.term(), "token", "node", "since", "moved")
	record := pipe.HMGet(ctx, s.keys.node(leader), "boot", "schedules", "zoneinfo", "revision")
	var cursors *redis.SliceCmd
	unfinished := make([]*redis.IntCmd, len(list))
	if len(list) > 0 {
		names := make([]string, len(list))
		for i, job := range list {
			names[i] = job.Name
			unfinished[i] = pipe.SCard(ctx, s.keys.active(job.Name))
		}
		cursors = pipe.HMGet(ctx, s.keys.cursors(), names...)
	}
	replies, err := pipe.Exec(ctx)
	if err != nil && !errors.Is(err, redis.Nil) {
		return jobs.Sight{}, wrap("look at the leader", err)
	}
	for _, r := range replies { // a vacant seat comes first, and is no error
		if err := r.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return jobs.Sight{}, wrap("look at the leader", err)
		}
	}

	sight := jobs.Sight{At: now.Val().UTC(), Token: seat.Val()}
	if t := term.Val(); sight.Token != "" && toString(t[0]) == sight.Token {
		sight.Node, sight.Since, sight.Moved = toString(t[1]), fromMillis(toInt(t[2])), fromMillis(toInt(t[3]))
		if sight.Moved.Before(sight.Since) {
			sight.Moved = time.Time{} // of an earlier term
		}
	}
	if r := record.Val(); sight.Node != "" && sight.Node == leader && strings.HasPrefix(sight.Token, leader+":"+toString(r[0])+":") {
		sight.Digest, _, _ = strings.Cut(toString(r[1]), " ")
		sight.Zoneinfo, sight.Revision = toString(r[2]), toInt(r[3])
	}
	for i := range list {
		c := decodeCursor(toString(cursors.Val()[i]))
		c.Unfinished = unfinished[i].Val() > 0
		sight.Cursors = append(sight.Cursors, c)
	}
	return sight, nil
}

// decodeCursor reads "ms timing", or "ms timing gone-since-ms".
func decodeCursor(text string) jobs.CursorSight {
	f := strings.Fields(text)
	if len(f) < 2 {
		return jobs.CursorSight{}
	}
	return jobs.CursorSight{Decided: fromMillis(toInt(f[0])), Timing: f[1], Gone: len(f) > 2}
}

// Accuse votes that the leader is silent; see lua/depose.lua.
func (s *Store) Accuse(ctx context.Context, a jobs.Accusation) (jobs.AccusationReply, error) {
	reply, err := s.eval(ctx, deposeScript, []string{s.keys.probe(), s.keys.leader(), s.keys.term(), s.keys.nodes(),
		s.keys.node(s.opts.Node), s.keys.control(), s.keys.events(), s.keys.sequence()},
		a.Token, s.opts.Node, s.opts.Boot, millis(a.Since), text(a.Why))
	if err != nil {
		return jobs.AccusationReply{}, fmt.Errorf("vote against the leader: %w", err)
	}
	v, _ := reply.([]any)
	if len(v) != 4 {
		return jobs.AccusationReply{}, fmt.Errorf("vote against the leader: unexpected reply %v", reply)
	}
	return jobs.AccusationReply{Answer: jobs.AccusationAnswer(toString(v[0])), Votes: int(toInt(v[1])), Voters: int(toInt(v[2])),
		At: fromMillis(toInt(v[3]))}, nil
}
