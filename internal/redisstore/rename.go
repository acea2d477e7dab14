package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon/jobs"
)

// renamedKeep is how long the store knows what a job was called before, when the
// file no longer says so.
const renamedKeep = 7 * 24 * time.Hour

// renaming is one old name and the name that its job has now.
type renaming struct {
	old, now string    // now is "" to forget it
	since    time.Time // of those that the store knows
}

const (
	renameJobs = 20  // in one call
	renameRuns = 500 // unfinished ones whose hashes one call writes
)

// Rename hands what jobs had under an old name over to the new one, under the
// term's token: cursor, ledger, history, pause, backfill, unfinished runs. It comes
// before Adopt. A leader whose file has the old name again gets it all back.
func (s *Store) Rename(ctx context.Context, token string, sched *jobs.Schedule) error {
	known, err := s.renamings(ctx)
	if err != nil {
		return err
	}
	for list := renamings(sched, known, s.Now()); len(list) > 0; {
		n := min(len(list), renameJobs)
		args := []any{token, renameRuns}
		for _, r := range list[:n] {
			args = append(args, r.old, r.now)
		}
		reply, err := s.eval(ctx, renameScript, s.renameKeys(), args...)
		if err != nil {
			return err
		}
		values, err := fenced(reply, 2)
		if err != nil {
			return fmt.Errorf("rename jobs: %w", err)
		}
		if toInt(values[1]) == 0 {
			list = list[n:]
		}
	}
	return nil
}

func (s *Store) renameKeys() []string {
	return []string{s.keys.probe(), s.keys.leader(), s.keys.cursors(), s.keys.renamed(), s.keys.paused(), s.keys.pauses(),
		s.keys.backfills(), s.keys.nodes(), s.keys.events(), s.keys.sequence()}
}

// renamings decides what becomes of which name, by a file and by what was renamed
// before. It may name pairs that have nothing left to move.
func renamings(sched *jobs.Schedule, known []renaming, now time.Time) (list []renaming) {
	has := make(map[string]bool, len(sched.Jobs))
	for _, j := range sched.Jobs {
		has[j.Name] = true
	}
	wanted := make(map[string]bool)
	for _, j := range sched.Jobs {
		if j.RenamedFrom == "" {
			continue
		}
		wanted[j.RenamedFrom] = true
		for _, k := range known {
			// Another file called it something else meanwhile.
			if k.old == j.RenamedFrom && k.now != j.Name && !has[k.now] {
				list = append(list, renaming{old: k.now, now: j.Name})
			}
		}
		list = append(list, renaming{old: j.RenamedFrom, now: j.Name})
	}
	for _, k := range known {
		switch {
		case wanted[k.old]:
		case has[k.old] && !has[k.now]: // the file from before the rename
			if back := (renaming{old: k.now, now: k.old}); !slices.Contains(list, back) {
				list = append(list, back)
			}
		case has[k.old]: // a new job with an old name
			list = append(list, renaming{old: k.old})
		case now.Sub(k.since) > renamedKeep:
			list = append(list, renaming{old: k.old})
		}
	}
	return list
}

// renamings reads what the store knows of old names.
func (s *Store) renamings(ctx context.Context) ([]renaming, error) {
	h, err := s.cmd.HGetAll(ctx, s.keys.renamed()).Result()
	if err != nil {
		return nil, wrap("read what was renamed", err)
	}
	list := make([]renaming, 0, len(h))
	for old, value := range h {
		name, since, _ := strings.Cut(value, " ")
		list = append(list, renaming{old, name, fromMillis(toInt(since))})
	}
	slices.SortFunc(list, func(a, b renaming) int { return strings.Compare(a.old, b.old) })
	return list, nil
}

// nameNow is what a job is called now: somebody may ask by a file in which it has
// its old name still.
func (s *Store) nameNow(ctx context.Context, job string) (string, error) {
	value, err := s.cmd.HGet(ctx, s.keys.renamed(), job).Result()
	if errors.Is(err, redis.Nil) {
		return job, nil
	}
	if err != nil {
		return "", wrap("read what "+job+" is called", err)
	}
	name, _, _ := strings.Cut(value, " ")
	return name, nil
}
