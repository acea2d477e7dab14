package redisstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon/jobs"
)

// nodeKeep is how long a node's record and its schedules outlive the last
// heartbeat. A node is live for nodeLive only.
const nodeKeep = time.Minute

// Heartbeat says that this node lives. schedules are the ones it can execute,
// the current one first. It returns the boot id of another live process that
// uses the same node name, or "".
func (s *Store) Heartbeat(ctx context.Context, n jobs.Node, schedules []*jobs.Schedule) (namesake string, err error) {
	digests := make([]string, len(schedules))
	for i, sc := range schedules {
		digests[i] = sc.Digest
	}
	noLead := "0"
	if n.NoLead {
		noLead = "1"
	}
	w := s.memory.now.Load()
	reply, err := s.eval(ctx, heartbeatScript,
		[]string{s.keys.probe(), s.keys.nodes(), s.keys.node(s.opts.Node), s.keys.events(), s.keys.sequence(), s.keys.cluster(), s.keys.term()},
		s.opts.Node, s.opts.Boot, nodeKeep.Milliseconds(), strings.Join(digests, " "), newLifeID(),
		"slots", n.Slots, "running", n.Running, "started_at", millis(n.StartedAt),
		"clock_offset_ms", s.ClockOffset().Milliseconds(), "version", text(n.Version), "zoneinfo", text(n.Zoneinfo),
		"revision", n.Revision, "no_lead", noLead, "locks", n.Locks, "replicas", joinReplicas(n), "hangs", millisOrZero(n.Hangs), "lease_ms", s.opts.Lease.Milliseconds(), "routes", strings.Join(n.Routes, " "), "pool", n.Pool, "labels", joinLabels(n.Labels))
	if err != nil {
		return "", err
	}
	v, _ := reply.([]any)
	if len(v) != 6 {
		return "", fmt.Errorf("heartbeat: unexpected reply %v", reply)
	}
	if err := s.heard(w, toString(v[2]), toInt(v[3]), toInt(v[4]), toInt(v[5])); err != nil {
		return "", fmt.Errorf("heartbeat: %w", err)
	}
	for _, digest := range strings.Fields(toString(v[1])) {
		for _, sc := range schedules {
			if sc.Digest == digest {
				if err := s.publishSchedule(ctx, sc); err != nil {
					return "", err
				}
			}
		}
	}
	return toString(v[0]), nil
}

// Candidates returns what the election must know of the live nodes: the name, the
// boot id, the schedule and its revision, whether the node may lead, its lock Redises,
// and whether it was deposed.
func (s *Store) Candidates(ctx context.Context) ([]jobs.Node, error) {
	now, err := s.cmd.Time(ctx).Result()
	if err != nil {
		return nil, wrap("read the candidates", err)
	}
	names, err := s.cmd.ZRangeArgs(ctx, redis.ZRangeArgs{Key: s.keys.nodes(), ByScore: true,
		Start: strconv.FormatInt(now.Add(-nodeLive).UnixMilli(), 10), Stop: "+inf"}).Result()
	if err != nil || len(names) == 0 {
		return nil, wrap("read the candidates", err)
	}
	pipe := s.cmd.Pipeline()
	replies := make([]*redis.SliceCmd, len(names))
	for i, name := range names {
		replies[i] = pipe.HMGet(ctx, s.keys.node(name), "boot", "revision", "no_lead", "schedules", "zoneinfo", "deposed", "locks")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, wrap("read the candidates", err)
	}
	nodes := make([]jobs.Node, 0, len(names))
	for i, name := range names {
		h := replies[i].Val()
		if boot := toString(h[0]); boot != "" {
			n := decodeNode(name, map[string]string{"boot": boot, "revision": toString(h[1]), "no_lead": toString(h[2]),
				"schedules": toString(h[3]), "zoneinfo": toString(h[4]), "deposed": toString(h[5]), "locks": toString(h[6])})
			n.Labels, n.Routes = nil, nil // not asked for
			nodes = append(nodes, n)
		}
	}
	return nodes, nil
}

// Waiting returns how many runs wait on each shared route. Elements of canceled runs
// count until somebody takes them.
func (s *Store) Waiting(ctx context.Context) (map[string]int, error) {
	routes, err := s.cmd.ZRange(ctx, s.keys.routes(), 0, 99).Result()
	if err != nil {
		return nil, wrap("read the routes", err)
	}
	waiting := map[string]int{}
	pipe := s.cmd.Pipeline()
	lengths := map[string][]*redis.IntCmd{}
	for _, route := range append(routes, jobs.AnyRoute) {
		for priority := range 10 {
			lengths[route] = append(lengths[route], pipe.LLen(ctx, s.keys.queue(route, strconv.Itoa(priority))))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, wrap("read the queues", err)
	}
	for route, list := range lengths {
		for _, n := range list {
			waiting[route] += int(n.Val())
		}
	}
	return waiting, nil
}

// publishSchedule writes which definition each job has in a schedule: digests
// only, never what a job executes.
func (s *Store) publishSchedule(ctx context.Context, sc *jobs.Schedule) error {
	ctx, cancel := context.WithTimeout(ctx, opBudget)
	defer cancel()
	key := s.keys.schedule(sc.Digest)
	marks := jobs.MarksOf(sc)
	for list := slices.Sorted(maps.Keys(marks)); ; {
		n := min(len(list), 1000)
		fields := make([]any, 0, 2*n)
		for _, name := range list[:n] {
			fields = append(fields, name, marks[name])
		}
		if n > 0 {
			if err := s.cmd.HSet(ctx, key, fields...).Err(); err != nil {
				return wrap("publish the schedule's digests", err)
			}
		}
		if list = list[n:]; len(list) == 0 {
			return wrap("publish the schedule's digests", s.cmd.PExpire(ctx, key, nodeKeep).Err())
		}
	}
}

// DigestOf returns the digest of the schedule of one node, "" when that life of it
// has no record.
func (s *Store) DigestOf(ctx context.Context, name, boot string) (string, error) {
	h, err := s.cmd.HMGet(ctx, s.keys.node(name), "boot", "schedules").Result()
	if err != nil {
		return "", wrap("read node "+name, err)
	}
	if toString(h[0]) != boot {
		return "", nil
	}
	digest, _, _ := strings.Cut(toString(h[1]), " ")
	return digest, nil
}

// Scheduled reports whether the last leader that adopted a schedule had one of
// these jobs, with ticks.
func (s *Store) Scheduled(ctx context.Context, names []string) (bool, error) {
	for chunk := range slices.Chunk(names, 500) {
		cursors, err := s.cmd.HMGet(ctx, s.keys.cursors(), chunk...).Result()
		if err != nil {
			return false, wrap("read the cursors", err)
		}
		for _, cursor := range cursors {
			if len(strings.Fields(toString(cursor))) == 2 { // a third part is since when it is gone
				return true, nil
			}
		}
	}
	return false, nil
}

// Shares reports whether the schedule of that digest has one of these jobs, by the name it has
// or had; known is false when no node has published that schedule, or there are no names. Of two versions of
// one file it reads a few fields, of two files all.
func (s *Store) Shares(ctx context.Context, digest string, names []string) (shares, known bool, err error) {
	if len(names) == 0 {
		return false, false, nil
	}
	key := s.keys.schedule(digest)
	for size := 25; len(names) > 0; size = 500 {
		n := min(size, len(names))
		fields := make([]string, 0, 2*n)
		for _, name := range names[:n] {
			fields = append(fields, name, "@"+name)
		}
		marks, err := s.cmd.HMGet(ctx, key, fields...).Result()
		if err != nil {
			return false, false, wrap("read what the schedules are", err)
		}
		if slices.ContainsFunc(marks, func(mark any) bool { return mark != nil }) {
			return true, true, nil
		}
		names = names[n:]
	}
	there, err := s.cmd.Exists(ctx, key).Result()
	return false, there == 1, wrap("read what the schedules are", err)
}

// Marks returns what the nodes published of these schedules, by digest. A schedule that
// no live node has may be missing.
func (s *Store) Marks(ctx context.Context, digests []string) (map[string]jobs.Marks, error) {
	all := make(map[string]jobs.Marks, len(digests))
	for _, digest := range digests {
		h, err := s.cmd.HGetAll(ctx, s.keys.schedule(digest)).Result()
		if err != nil {
			return nil, wrap("read what the schedules are", err)
		}
		if len(h) > 0 {
			all[digest] = h
		}
	}
	return all, nil
}

// Leave takes this node off the list.
func (s *Store) Leave(ctx context.Context) error {
	_, err := s.eval(ctx, leaveScript,
		[]string{s.keys.probe(), s.keys.nodes(), s.keys.node(s.opts.Node), s.keys.events(), s.keys.sequence()}, s.opts.Node, s.opts.Boot)
	return err
}

// joinReplicas writes "wanted got"; "" when the node does not wait for replicas.
func joinReplicas(n jobs.Node) string {
	if n.WaitReplicas == 0 {
		return ""
	}
	return fmt.Sprintf("%d %d", n.WaitReplicas, n.Replicas)
}

// joinLabels and splitLabels write labels as "k=v,k=v"; the schedule file and the
// flags keep commas out of them.
func joinLabels(labels map[string]string) string {
	parts := make([]string, 0, len(labels))
	for k, v := range labels {
		parts = append(parts, k+"="+v)
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

func splitLabels(text string) map[string]string {
	labels := make(map[string]string)
	for part := range strings.SplitSeq(text, ",") {
		if k, v, ok := strings.Cut(part, "="); ok {
			labels[k] = v
		}
	}
	return labels
}
