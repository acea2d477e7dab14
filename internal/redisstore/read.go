package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon/jobs"
)

// Run returns one run; ErrNotFound when the store has none of that id.
func (s *Store) Run(ctx context.Context, id string) (jobs.Run, error) {
	var h map[string]string
	var rollback []string
	err := s.retry(ctx, "read run "+id, func(ctx context.Context) error {
		pipe := s.cmd.Pipeline()
		hash, list := pipe.HGetAll(ctx, s.keys.run(id)), pipe.LRange(ctx, s.keys.rollback(id), 0, -1)
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		h, rollback = hash.Val(), list.Val()
		return nil
	})
	if err != nil {
		return jobs.Run{}, err
	}
	if len(h) == 0 {
		return jobs.Run{}, fmt.Errorf("run %s: %w", id, ErrNotFound)
	}
	r, err := decodeRun(id, h)
	r.Rollback = rollback
	return r, err
}

// RunFilter narrows Runs. The zero value means the latest 50 of all jobs.
type RunFilter struct {
	Job    string
	Status jobs.State
	Limit  int // default 50
}

// Runs returns finished and unfinished runs, the newest first (by when they were
// queued).
func (s *Store) Runs(ctx context.Context, f RunFilter) ([]jobs.Run, error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	if f.Job != "" {
		var err error
		if f.Job, err = s.nameNow(ctx, f.Job); err != nil {
			return nil, err
		}
	}
	ids, err := s.candidates(ctx, f)
	if err != nil {
		return nil, err
	}
	var runs []jobs.Run
	for chunk := range slices.Chunk(ids, 500) {
		pipe := s.cmd.Pipeline()
		hashes, lists := make([]*redis.MapStringStringCmd, len(chunk)), make([]*redis.StringSliceCmd, len(chunk))
		for i, id := range chunk {
			hashes[i], lists[i] = pipe.HGetAll(ctx, s.keys.run(id)), pipe.LRange(ctx, s.keys.rollback(id), 0, -1)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, wrap("read runs", err)
		}
		for i, h := range hashes {
			if len(h.Val()) == 0 {
				continue // dropped from its history meanwhile
			}
			r, err := decodeRun(chunk[i], h.Val())
			if err != nil {
				return nil, err
			}
			if f.Status == "" || r.Status == f.Status {
				r.Rollback = lists[i].Val()
				runs = append(runs, r)
			}
		}
	}
	slices.SortStableFunc(runs, func(a, b jobs.Run) int {
		if c := b.QueuedAt.Compare(a.QueuedAt); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	return runs[:min(len(runs), f.Limit)], nil
}

// historyCap is HISTORY_CAP of lua/lib_archive.lua.
const historyCap = 100

// candidates collects the ids that may match, without duplicates.
func (s *Store) candidates(ctx context.Context, f RunFilter) ([]string, error) {
	routes, nodes := []string{jobs.AnyRoute}, []string(nil)
	if f.Job != "" {
		var err error
		if nodes, err = s.cmd.ZRange(ctx, s.keys.nodes(), 0, -1).Result(); err != nil {
			return nil, wrap("read the nodes", err)
		}
	} else {
		more, err := s.cmd.ZRange(ctx, s.keys.routes(), 0, -1).Result()
		if err != nil {
			return nil, wrap("read the routes", err)
		}
		routes = append(routes, more...)
	}
	pipe := s.cmd.Pipeline()
	var lists []interface{ Result() ([]string, error) }
	take := int64(f.Limit) - 1
	if f.Status != "" {
		take = -1 // any of them may match
	}
	if f.Job != "" {
		lists = append(lists, pipe.SMembers(ctx, s.keys.active(f.Job)), pipe.LRange(ctx, s.keys.history(f.Job), 0, take))
		for _, node := range nodes {
			lists = append(lists, pipe.SMembers(ctx, s.keys.activeOn(f.Job, node))) // of a job with every_node
		}
		if f.Status != "" || f.Limit > historyCap {
			lists = append(lists, pipe.LRange(ctx, s.keys.failures(f.Job), 0, -1)) // kept beyond the history
		}
	} else {
		// The newest waiting runs stand on the left of their queues.
		for _, route := range routes {
			for priority := range 10 {
				lists = append(lists, pipe.LRange(ctx, s.keys.queue(route, strconv.Itoa(priority)), 0, int64(f.Limit)))
			}
		}
		lists = append(lists, pipe.ZRevRange(ctx, s.keys.leases(), 0, 4999), pipe.LRange(ctx, s.keys.recent(), 0, take))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, wrap("read the lists of runs", err)
	}
	seen := make(map[string]bool)
	var ids []string
	for _, l := range lists {
		list, err := l.Result()
		if err != nil {
			return nil, wrap("read the lists of runs", err)
		}
		for _, id := range list {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

// Ledger returns what became of a job's ticks, the newest first.
func (s *Store) Ledger(ctx context.Context, job string, limit int) ([]jobs.LedgerEntry, error) {
	job, err := s.nameNow(ctx, job)
	if err != nil {
		return nil, err
	}
	list, err := s.cmd.LRange(ctx, s.keys.ledger(job), 0, int64(limit)-1).Result()
	if err != nil {
		return nil, wrap("read the ledger of "+job, err)
	}
	entries := make([]jobs.LedgerEntry, 0, len(list))
	for _, text := range list {
		e, err := decodeLedger(job, text)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Cursors returns the last decided tick of every job that has one.
func (s *Store) Cursors(ctx context.Context) (map[string]time.Time, error) {
	h, err := s.cmd.HGetAll(ctx, s.keys.cursors()).Result()
	if err != nil {
		return nil, wrap("read the cursors", err)
	}
	cursors := make(map[string]time.Time, len(h))
	for job, value := range h {
		ms, _, _ := strings.Cut(value, " ")
		cursors[job] = fromMillis(toInt(ms))
	}
	return cursors, nil
}

// nodeLive is how old a heartbeat may be.
const nodeLive = 6 * time.Second

// Nodes returns the nodes whose heartbeat is fresh, by name.
func (s *Store) Nodes(ctx context.Context) ([]jobs.Node, error) {
	now, err := s.cmd.Time(ctx).Result()
	if err != nil {
		return nil, wrap("read the nodes", err)
	}
	names, err := s.cmd.ZRangeArgs(ctx, redis.ZRangeArgs{Key: s.keys.nodes(), ByScore: true,
		Start: strconv.FormatInt(now.Add(-nodeLive).UnixMilli(), 10), Stop: "+inf"}).Result()
	if err != nil {
		return nil, wrap("read the nodes", err)
	}
	lead, led, err := s.Leader(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	nodes := make([]jobs.Node, 0, len(names))
	for _, name := range names {
		h, err := s.cmd.HGetAll(ctx, s.keys.node(name)).Result()
		if err != nil {
			return nil, wrap("read node "+name, err)
		}
		if len(h) == 0 {
			continue
		}
		n := decodeNode(name, h)
		// The token begins with node:boot, so a namesake is not taken for the leader.
		if led && strings.HasPrefix(lead.Token, name+":"+n.Boot+":") {
			n.Leader, n.Epoch = true, lead.Epoch
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// ReadLog returns up to a page of a run's output after the position of that id;
// "" starts at the beginning.
func (s *Store) ReadLog(ctx context.Context, runID, after string) ([]jobs.LogChunk, error) {
	from := "-"
	if after != "" {
		from = "(" + after
	}
	var entries []redis.XMessage
	err := s.retry(ctx, "read the log of "+runID, func(ctx context.Context) (err error) {
		entries, err = s.cmd.XRangeN(ctx, s.keys.log(runID), from, "+", 100).Result()
		return err
	})
	if err != nil {
		return nil, err
	}
	chunks := make([]jobs.LogChunk, 0, len(entries))
	for _, e := range entries {
		chunks = append(chunks, jobs.LogChunk{ID: e.ID, Attempt: int(toInt(e.Values["attempt"])), Writer: toString(e.Values["writer"]), Offset: toInt(e.Values["offset"]),
			Data: []byte(toString(e.Values["data"]))})
	}
	return chunks, nil
}

// logOpenKeep is how long the output of an attempt is kept whose end nobody
// wrote. With the end it becomes LOG_KEEP_MS of lua/lib_archive.lua.
const logOpenKeep = 90 * 24 * time.Hour

// AppendLog adds chunks to a run's log and takes old ones out, in one round
// trip. It returns the ids of the added chunks. A repeat after an error may
// store a chunk twice; readers see it by its offset.
func (s *Store) AppendLog(ctx context.Context, runID string, add []jobs.LogChunk, drop []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, opBudget)
	defer cancel()
	key := s.keys.log(runID)
	pipe := s.cmd.Pipeline()
	if len(drop) > 0 {
		pipe.XDel(ctx, key, drop...)
	}
	adds := make([]*redis.StringCmd, len(add))
	for i, c := range add {
		adds[i] = pipe.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []any{"attempt", c.Attempt, "writer", c.Writer, "offset", c.Offset, "data", c.Data}})
	}
	pipe.PExpire(ctx, key, logOpenKeep)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, wrap("append to the log of "+runID, err)
	}
	ids := make([]string, len(adds))
	for i, a := range adds {
		ids[i] = a.Val()
	}
	return ids, nil
}

// EmbeddedOwner makes path the schedule of an embedded server, or returns the one
// that was there before.
func (s *Store) EmbeddedOwner(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, opBudget)
	defer cancel()
	if err := s.cmd.SetNX(ctx, s.keys.embedded(), path, 0).Err(); err != nil {
		return "", wrap("ask the embedded server for its schedule", err)
	}
	owner, err := s.cmd.Get(ctx, s.keys.embedded()).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", wrap("ask the embedded server for its schedule", err)
	}
	return owner, nil
}
