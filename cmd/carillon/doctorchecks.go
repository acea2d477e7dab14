package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"carillon/internal/redisstore"
	"carillon/jobs"
)

// weight is how much a finding matters.
type weight string

const (
	problem weight = "problem" // exit code 1
	warning weight = "warning"
	aside   weight = "note"
)

var weights = []weight{problem, warning, aside}

// finding is one thing that is not as it should be.
type finding struct {
	ID      string `json:"id"`
	Weight  weight `json:"weight"`
	Subject string `json:"subject"` // what it is about: a node, a run, a setting
	Message string `json:"message"` // what it means
	Mend    string `json:"mend"`    // the line that mends it
}

// check is one question to the patient.
type check struct {
	id, asks string
	can      func(p patient) bool // whether there is an answer at all; nil: always
	ask      func(p patient) []finding
}

// checks are made in this order.
var checks = []check{
	{"version", "Redis is older than 6.2", hasInfo, checkVersion},
	{"role", "this Redis is a replica and takes no writes", hasInfo, checkRole},
	{"eviction", "Redis may throw keys away when memory is short", hasInfo, checkEviction},
	{"memory", "Redis is close to maxmemory", hasInfo, checkMemory},
	{"persistence", "a restart of Redis loses what it was told", hasInfo, checkPersistence},
	{"lost_data", "Redis lost data within the last week", nil, checkLostData},
	{"disk", "Redis cannot write its disk", hasInfo, checkDisk},
	{"replica_lag", "a replica is behind or not connected", hasInfo, checkReplicas},
	{"wait_replicas", "a node waits in vain for replicas, or for longer than its lease allows", hasNodes, checkWaits},
	{"clients", "Redis is close to maxclients, or refused some", hasInfo, checkClients},
	{"latency", "Redis answers slowly", nil, checkLatency},
	{"rights", "the Redis user lacks a command that carillon uses", hasRights, checkRights},
	{"no_expiry", "keys that should expire never will", couldScan, checkExpiry},
	{"expires", "keys that must stay will expire", couldScan, checkFading},
	{"growth", "memory or a queue grows fast", countedTwice, checkGrowth},
	{"host_clock", "the clock of this host is off", nil, checkHostClock},
	{"node_clock", "the clock of a node is off", hasNodes, checkNodeClocks},
	{"no_node", "no node is live", nil, checkNoNode},
	{"no_leader", "nodes live and none leads", hasNodes, checkNoLeader},
	{"lock_lifetime", "the leader's lock expires never, or late", hasNodes, checkLock},
	{"silent_leader", "the leader decides no ticks, or a scheduler hangs", hasNodes, checkSilence},
	{"duplicate_name", "two live nodes have one name", hasNodes, checkNamesakes},
	{"foreign_fleet", "nodes have schedules without a job in common", hasNodes, checkForeign},
	{"schedule_differs", "the nodes run different schedules", hasNodes, checkDigests},
	{"revision_differs", "a node with an older revision of the file leads", hasNodes, checkRevisions},
	{"lease_differs", "the nodes have different leases", hasNodes, checkLeases},
	{"zoneinfo_differs", "the nodes have different zone databases", hasNodes, checkZoneinfo},
	{"lock_differs", "the nodes elect with different lock Redises", hasNodes, checkLockLists},
	{"lock_redis", "a lock Redis does not answer", hasLocks, checkLocks},
	{"version_differs", "the nodes run different versions of carillon", hasNodes, checkVersions},
	{"file", "the schedule file is bad", nil, checkFile},
	{"file_differs", "no live node runs the schedule file that is here", hasFileAndNodes, checkFileDiffers},
	{"unserved_job", "no live node has the labels or the pool of a job", hasFileAndNodes, checkUnservedJobs},
	{"unroutable", "runs wait that no live node serves", nil, checkRoutes},
	{"waiting_long", "runs wait for more than 10 minutes", readRuns, checkWaiting},
	{"lease_expired", "a run's lease or back-off is long over", nil, checkOverdue},
	{"rollback_failed", "a rollback failed and waits for a person", readRuns, checkUnrolled},
	{"paused", "a job is paused", nil, checkPaused},
	{"embedded", "this is the embedded development server", nil, checkEmbedded},
	{"not_allowed", "what doctor could not ask", nil, checkRefused},
}

// diagnose makes every check that can be made. nothing are those that were made
// and found nothing.
func diagnose(p patient) (findings []finding, nothing []string) {
	findings, nothing = []finding{}, []string{}
	for _, c := range checks {
		if c.can != nil && !c.can(p) {
			continue
		}
		found := c.ask(p)
		for _, f := range found {
			f.ID = c.id
			findings = append(findings, f)
		}
		if len(found) == 0 {
			nothing = append(nothing, c.id)
		}
	}
	slices.SortStableFunc(findings, func(a, b finding) int {
		return slices.Index(weights, a.Weight) - slices.Index(weights, b.Weight)
	})
	return findings, nothing
}

// hasInfo wants a field that only a real Redis answers.
func hasInfo(p patient) bool         { return p.Info["role"] != "" && p.Info["maxmemory_policy"] != "" }
func hasNodes(p patient) bool        { return len(p.Nodes) > 0 }
func hasLocks(p patient) bool        { return len(p.locks) > 0 }
func hasFileAndNodes(p patient) bool { return p.schedule != nil && hasNodes(p) }
func readRuns(p patient) bool        { return p.RunsUnread == "" }
func couldScan(p patient) bool       { return !refused(p, "SCAN") }
func countedTwice(p patient) bool    { return p.Watched > 0 }
func hasRights(p patient) bool {
	return !refused(p, "ACL WHOAMI") && !refused(p, "ACL DRYRUN")
}

func refused(p patient, command string) bool {
	return slices.ContainsFunc(p.Refused, func(r redisstore.Refusal) bool { return r.Command == command })
}

func one(w weight, subject, mend, message string, args ...any) []finding {
	return []finding{{Weight: w, Subject: subject, Mend: mend, Message: fmt.Sprintf(message, args...)}}
}

func infoInt(info map[string]string, key string) int64 {
	n, _ := strconv.ParseInt(info[key], 10, 64)
	return n
}

func serverVersion(info map[string]string) string {
	if v := info["valkey_version"]; v != "" {
		return "(Valkey) " + v
	}
	return info["redis_version"]
}

func checkVersion(p patient) []finding {
	v := p.Info["redis_version"]
	major, rest, _ := strings.Cut(v, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err := strconv.Atoi(major)
	b, _ := strconv.Atoi(minor)
	if err != nil || a > 6 || a == 6 && b >= 2 {
		return nil
	}
	return one(problem, "Redis "+v, "install Redis 6.2 or newer", "carillon's scripts use commands of Redis 6.2; they fail here")
}

func checkRole(p patient) []finding {
	if p.Info["role"] == "master" {
		return nil
	}
	return one(problem, p.Info["role"], "point --redis at the master"+masterOf(p.Info),
		"this Redis is a read-only copy: nothing can be queued, claimed or finished on it")
}

func masterOf(info map[string]string) string {
	if info["master_host"] == "" {
		return ""
	}
	return ", " + info["master_host"] + ":" + info["master_port"]
}

func checkEviction(p patient) []finding {
	policy := p.Info["maxmemory_policy"]
	mend := "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf"
	switch {
	case policy == "noeviction":
		if n := infoInt(p.Info, "evicted_keys"); n > 0 {
			return one(warning, count(int(n), "evicted key"), "compare `carillon ledger JOB` with what should have run; CONFIG RESETSTAT clears the count",
				"this Redis has thrown keys away since it started, before its policy was noeviction; they may have been carillon's")
		}
		return nil
	case infoInt(p.Info, "maxmemory") == 0:
		return one(warning, "maxmemory-policy "+policy, mend, "once maxmemory is set, Redis throws away keys when memory is short, and each may be a run; now no limit is set")
	default:
		return one(problem, "maxmemory-policy "+policy, mend, "when memory is short Redis throws keys away without a word; an evicted key is a lost run")
	}
}

func checkMemory(p patient) []finding {
	used, limit := infoInt(p.Info, "used_memory"), infoInt(p.Info, "maxmemory")
	if limit == 0 || used*100 < limit*80 {
		return nil
	}
	w := warning
	if used*100 >= limit*95 {
		w = problem
	}
	return one(w, fmt.Sprintf("%s of %s", sizeWords(used), sizeWords(limit)), "redis-cli CONFIG SET maxmemory "+strconv.FormatInt(2*limit, 10)+", or free memory",
		"at maxmemory nothing new is queued; attempts that run can still end")
}

func checkPersistence(p patient) []finding {
	if p.Info["aof_enabled"] == "1" {
		return nil
	}
	mend := "redis-cli CONFIG SET appendonly yes, and the same in redis.conf"
	switch {
	case p.Save == nil:
		return one(warning, "appendonly no", mend, "a crash of Redis loses what was written since its last snapshot, if it makes any")
	case *p.Save == "":
		return one(warning, "appendonly no, save off", mend, "Redis keeps nothing on disk: after a restart every queue, run, cursor and history is gone")
	default:
		return one(warning, "appendonly no", mend, "a crash of Redis loses what was written since its last snapshot (save %s): runs in that window may repeat or be missed", *p.Save)
	}
}

func checkDisk(p patient) []finding {
	var found []finding
	for _, f := range []string{"rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"} {
		if status := p.Info[f]; status != "" && status != "ok" {
			mend := "free space on the disk of Redis and read its log, then redis-cli BGSAVE"
			if strings.HasPrefix(f, "aof_") {
				mend = "free space on the disk of Redis and read its log, then redis-cli BGREWRITEAOF before Redis is restarted"
			}
			found = append(found, one(problem, f+" "+status, mend, "Redis could not write its disk; by default it then refuses every write")...)
		}
	}
	return found
}

func checkReplicas(p patient) []finding {
	var found []finding
	for i := range infoInt(p.Info, "connected_slaves") {
		fields := map[string]string{}
		for part := range strings.SplitSeq(p.Info[fmt.Sprintf("slave%d", i)], ",") {
			k, v, _ := strings.Cut(part, "=")
			fields[k] = v
		}
		lag, _ := strconv.Atoi(fields["lag"])
		if fields["state"] == "online" && lag < 10 {
			continue
		}
		found = append(found, one(warning, fields["ip"]+":"+fields["port"], "look at the log of that replica and at the network between the two",
			"state %s, silent for %d s: a fail-over to it loses what it has not got", cmp.Or(fields["state"], "unknown"), lag)...)
	}
	return found
}

func checkWaits(p patient) []finding {
	var found []finding
	for _, n := range p.Nodes {
		if n.WaitReplicas > 0 && n.Replicas >= 0 && n.Replicas < n.WaitReplicas {
			found = append(found, one(warning, n.Name, "start the replicas, or look at their logs; or give all nodes a smaller --wait-replicas", "it waits for %s (--wait-replicas) and %d had what it wrote last: a fail-over now may repeat runs or forget them",
				count(n.WaitReplicas, "replica"), n.Replicas)...)
		}
		if n.WaitReplicas > 0 && n.Lease > 0 && n.Lease < redisstore.LeastLease {
			found = append(found, one(warning, n.Name, "--lease "+jobs.DurationText(redisstore.LeastLease)+" or more", "its lease of %s is too short to wait for replicas in (--wait-replicas): while one of them hangs, what it claims waits for %s and is given back, since a command begins in the first half of a lease only",
				jobs.DurationText(n.Lease), jobs.DurationText(redisstore.ReplicaPatience))...)
		}
	}
	return found
}

func checkClients(p patient) []finding {
	now, limit := infoInt(p.Info, "connected_clients"), infoInt(p.Info, "maxclients")
	if limit > 0 && now*100 >= limit*80 {
		return one(warning, fmt.Sprintf("%d of %d clients", now, limit), "redis-cli CONFIG SET maxclients "+strconv.FormatInt(2*limit, 10), "at maxclients Redis refuses connections, and a node that cannot connect loses its leases")
	}
	if n := infoInt(p.Info, "rejected_connections"); n > 0 {
		return one(aside, count(int(n), "rejected connection"), "redis-cli CONFIG SET maxclients N, if it goes on; CONFIG RESETSTAT clears the count", "since it started this Redis has refused connections because there were too many")
	}
	return nil
}

func checkLatency(p patient) []finding {
	if p.PingMedian < 20*time.Millisecond && p.PingMax < 500*time.Millisecond {
		return nil
	}
	return one(warning, fmt.Sprintf("%.1f ms, at most %.1f", inMillis(p.PingMedian), inMillis(p.PingMax)), "redis-cli --latency, redis-cli SLOWLOG GET, and a Redis that is nearer",
		"20 PINGs from here took this long: every start and end of a run waits for Redis")
}

func checkRights(p patient) []finding {
	if len(p.Denied) == 0 {
		return nil
	}
	return one(problem, strings.Join(p.Denied, " "), "give the user the ACL line of docs/redis.md, section Least privilege", "this Redis user may not use a command that carillon or its scripts need, on the keys of this namespace")
}

func checkExpiry(p patient) []finding {
	var found []finding
	for _, f := range p.Families {
		if f.Eternal > 0 {
			found = append(found, one(warning, ":"+f.Name, "find out who writes there; then redis-cli PEXPIRE '"+f.Example+"' 86400000",
				"%s of a sample should have a lifetime and none is set, such as %s: memory that is never given back", count(f.Eternal, "key"), f.Example)...)
		}
	}
	return found
}

func checkFading(p patient) []finding {
	var found []finding
	for _, f := range p.Families {
		if f.Fading != "" {
			found = append(found, one(problem, ":"+f.Name, "redis-cli PERSIST '"+f.Fading+"', and find out who sets lifetimes there",
				"%s must stay, and expires in %s: what it says is then forgotten", f.Fading, f.FadesIn.Round(time.Second))...)
		}
	}
	return found
}

const (
	fullSoon   = time.Hour // until maxmemory, at the rate seen
	growsFast  = 1 << 20   // bytes a second, where there is no maxmemory
	queueGrows = 50        // runs a second
)

// checkGrowth compares two counts, a few seconds apart. A burst looks like growth, so
// only a rate that soon matters is a finding, and never more than a warning.
func checkGrowth(p patient) []finding {
	seconds := p.Watched.Seconds()
	rate, most := 0.0, redisstore.Family{}
	heaviest := 0.0
	for _, f := range p.Families {
		if f.Keys == 0 {
			continue
		}
		bytes := float64(f.Grew) * float64(f.Bytes) / float64(f.Keys) / seconds
		rate += bytes
		if bytes > heaviest {
			heaviest, most = bytes, f
		}
	}
	var found []finding
	limit, used := infoInt(p.Info, "maxmemory"), infoInt(p.Info, "used_memory")
	mend := "carillon runs shows which job makes so many; give it a slower schedule or less output, or Redis more memory"
	what := fmt.Sprintf("%s more of :%s in %.0f s", count(most.Grew, "key"), most.Name, seconds)
	switch {
	case rate <= 0 || most.Grew < 100:
	case limit > 0 && float64(limit-used)/rate < fullSoon.Seconds():
		found = one(warning, ":"+most.Name, mend, "%s: at this rate maxmemory is reached in %s", what, (time.Duration(max(0, float64(limit-used)/rate)) * time.Second).Round(time.Second))
	case limit == 0 && rate > growsFast:
		found = one(warning, ":"+most.Name, mend, "%s: at this rate it is %s more in an hour, and Redis has no maxmemory", what, sizeWords(int64(rate*3600)))
	}
	for _, r := range p.Routes {
		if perSecond := float64(r.Grew) / seconds; perSecond > queueGrows {
			found = append(found, one(warning, r.Name, "more --slots, or more nodes; carillon runs --status queued shows what waits",
				"%s on this route, %d more than %.0f s ago: they come faster than they are executed", waitWords(r.Waiting), r.Grew, seconds)...)
		}
	}
	return found
}

func checkLock(p patient) []finding {
	mend := "stop the node that leads; if the lock is still there then, redis-cli DEL the key :leader of this namespace"
	switch {
	case p.LockTTL < 0:
		return one(problem, "", mend, "the lock of the leader has no lifetime: when its node dies nobody else can lead")
	case p.LockTTL > time.Minute:
		return one(warning, p.LockTTL.Round(time.Second).String(), "carillon up with a shorter --leader-ttl", "when the node that leads dies, nothing fires for this long")
	}
	return nil
}

func checkRevisions(p patient) []finding {
	for _, leader := range p.Nodes {
		if !leader.Leader {
			continue
		}
		var newer []string
		for _, n := range p.Nodes {
			if n.Revision > leader.Revision && !n.NoLead {
				newer = append(newer, fmt.Sprintf("%s (%d)", n.Name, n.Revision))
			}
		}
		if len(newer) > 0 {
			return one(warning, leader.Name, "finish the roll-out; if it is finished, read the log of the node with the newest revision: it could not lead",
				"it leads with revision %d of the file, and there are newer ones: %s. It leaves the seat to them within seconds, unless they did not take it", leader.Revision, someOf(newer))
		}
	}
	if s := spread(p.Nodes, func(n jobs.Node) string { return strconv.FormatInt(n.Revision, 10) }); s != "" && spread(p.Nodes, func(n jobs.Node) string { return n.Digest }) == "" {
		return one(aside, s, "bring one file to all nodes", "the nodes have the same jobs under different revisions: only nodes with the newest one lead")
	}
	return nil
}

func checkLeases(p patient) []finding {
	if s := spread(p.Nodes, func(n jobs.Node) string {
		if n.Lease <= 0 {
			return ""
		}
		return jobs.DurationText(n.Lease)
	}); s != "" {
		return one(aside, s, "one --lease on all nodes", "how soon a dead node's runs start elsewhere depends on which node had them")
	}
	return nil
}

func clockOff(d time.Duration) bool { return d.Abs() > time.Second }

func checkHostClock(p patient) []finding {
	if !clockOff(p.HostOffset) {
		return nil
	}
	return one(warning, fmt.Sprintf("%+d ms", p.HostOffset.Milliseconds()), "let NTP set the clocks of this host and of Redis: timedatectl set-ntp true",
		"the clock of this host differs from that of Redis. Ticks go by the clock of Redis; logs and commands see the other")
}

func checkNodeClocks(p patient) []finding {
	var found []finding
	for _, n := range p.Nodes {
		if clockOff(n.ClockOffset) {
			found = append(found, one(warning, fmt.Sprintf("%s %+d ms", n.Name, n.ClockOffset.Milliseconds()), "on the host of "+n.Name+": timedatectl set-ntp true",
				"its clock differs from that of Redis. Ticks go by the clock of Redis; the commands it runs see its own")...)
		}
	}
	return found
}

func checkNoNode(p patient) []finding {
	switch {
	case len(p.Nodes) > 0:
		return nil
	case p.Cursors > 0:
		return one(problem, "", "carillon up", "jobs were scheduled here (%s) and no node lives: nothing fires and nothing runs", count(p.Cursors, "job"))
	default:
		return one(aside, "", "carillon up", "no node lives, and none has scheduled anything in this namespace yet")
	}
}

func checkNoLeader(p patient) []finding {
	if p.Led {
		return nil
	}
	mend := "read the logs of the nodes: they say why none is elected"
	if len(electors(p.Nodes)) == 0 {
		mend = "start one node without --no-lead"
	}
	return one(problem, "", mend, "%s and nobody leads: no tick is queued", liveWords(len(p.Nodes)))
}

func checkSilence(p patient) []finding {
	var found []finding
	for _, n := range p.Nodes {
		if names := accusers(n, p.Nodes); len(names) > 0 {
			found = append(found, one(problem, n.Name, "read the logs of "+someOf(names)+" for why; then restart "+n.Name+", or mend what keeps it from writing, or bring it the schedule file that the others have",
				"it leads, renews its lock and decides no ticks, find %s; the majority of the followers that have its schedule deposes it", someOf(names))...)
		}
		switch since := p.At.Sub(n.Deposed).Round(time.Second); {
		case !n.Hangs.IsZero():
			found = append(found, one(problem, n.Name, "restart "+n.Name+", and keep its log: a scheduler that hangs is a bug",
				"its scheduler has hung since %s: it executes runs, and leads no more", n.Hangs.UTC().Format(time.DateTime))...)
		case since < time.Hour:
			found = append(found, one(warning, n.Name, "read its log of that time",
				"it was deposed %s ago, because it led and decided no ticks", since)...)
		}
	}
	return found
}

func liveWords(n int) string {
	if n == 1 {
		return "1 node lives"
	}
	return fmt.Sprintf("%d nodes live", n)
}

func checkNamesakes(p patient) []finding {
	var found []finding
	for _, name := range p.Namesakes {
		found = append(found, one(problem, name, "give each node its own --node NAME", "two live processes use this node name: each overwrites what the other says of itself")...)
	}
	return found
}

// spread says which nodes have which value, when they differ.
func spread(nodes []jobs.Node, of func(jobs.Node) string) string {
	having := map[string][]string{}
	for _, n := range nodes {
		v := cmp.Or(of(n), "unknown")
		having[v] = append(having[v], n.Name)
	}
	if len(having) < 2 {
		return ""
	}
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(having)) {
		parts = append(parts, v+" ("+someOf(having[v])+")")
	}
	return strings.Join(parts, ", ")
}

func someOf(names []string) string {
	if len(names) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
	}
	return strings.Join(names, ", ")
}

func checkDigests(p patient) []finding {
	if s := spread(p.Nodes, func(n jobs.Node) string { return n.Digest }); s != "" {
		differ := differencesOf(p.Nodes, p.Marks)
		for _, d := range differ {
			if d.foreign { // foreign_fleet says more
				return nil
			}
		}
		for _, remark := range driftRemarks(p.Nodes, differ) {
			s += "; " + remark
		}
		return one(warning, s, "bring one schedule file to all nodes; they reload it by themselves", "the nodes run different schedules: what fires depends on who leads. During a roll-out this passes")
	}
	return nil
}

func checkForeign(p patient) []finding {
	differ := differencesOf(p.Nodes, p.Marks)
	for _, d := range differ {
		if d.foreign {
			return one(problem, strings.Join(driftRemarks(p.Nodes, differ), "; "), "give one of the two its own --namespace, and restart its nodes",
				"two fleets share this namespace: the nodes that came later do nothing while those of the first live, and when they are gone the jobs of the first do not run")
		}
	}
	return nil
}

func checkZoneinfo(p patient) []finding {
	if s := spread(p.Nodes, func(n jobs.Node) string { return n.Zoneinfo }); s != "" {
		return one(warning, s, "one version of carillon on all nodes, with the same --zoneinfo", "the nodes compute times with different zone databases: a new leader may fire a job at another hour")
	}
	return nil
}

func checkLockLists(p patient) []finding {
	if s := spread(electors(p.Nodes), lockWords); s != "" {
		return one(problem, s, "give all nodes the same --lock-redis (or $CARILLON_LOCK_REDIS, or redis.lock)",
			"the nodes hold different elections, with different lock Redises or none. Nothing runs twice for it, but the lock is worth no more than the weakest of them")
	}
	return nil
}

func checkLocks(p patient) []finding {
	var found []finding
	dead := 0
	for _, err := range p.locks {
		if err != nil {
			dead++
		}
	}
	w, then := warning, "the rest is enough for a leader, for now"
	if len(p.locks)-dead < len(p.locks)/2+1 {
		w, then = problem, "too few are left: nobody can lead, and no tick is queued"
	}
	for _, name := range slices.Sorted(maps.Keys(p.locks)) {
		if err := p.locks[name]; err != nil {
			found = append(found, one(w, name, "start it again, or look at its log, the network and the user in its URL", "%d of %d lock Redises do not serve: %s. This one: %s", dead, len(p.locks), then, err)...)
		}
	}
	return found
}

func checkVersions(p patient) []finding {
	if s := spread(p.Nodes, func(n jobs.Node) string { return n.Version }); s != "" {
		return one(aside, s, "finish the roll-out", "the nodes run different versions of carillon")
	}
	return nil
}

func checkFile(p patient) []finding {
	if p.fileError == "" {
		return nil
	}
	return one(warning, "", "carillon validate", "%s: nodes that have this file keep their old schedule, and a new node does not start", p.fileError)
}

func checkFileDiffers(p patient) []finding {
	if slices.ContainsFunc(p.Nodes, func(n jobs.Node) bool { return n.Digest == p.schedule.Digest }) {
		return nil
	}
	return one(aside, p.schedule.Digest, "bring this file to the nodes, or give -f with the one they have", "no live node runs the schedule file that is here")
}

func checkUnservedJobs(p patient) []finding {
	asking := map[string][]string{}
	for _, j := range p.schedule.Jobs {
		if j.Enabled && !slices.ContainsFunc(p.Nodes, func(n jobs.Node) bool { return j.Serves(n.Pool, n.Labels) }) {
			asking[j.Route()] = append(asking[j.Route()], j.Name)
		}
	}
	var found []finding
	for _, route := range slices.Sorted(maps.Keys(asking)) {
		found = append(found, one(warning, someOf(asking[route]), upFor(route), "no live node has %s: their runs will wait, and fail after unroutable_after", route)...)
	}
	return found
}

// upFor is how a node is started that serves a route.
func upFor(route string) string {
	words := "carillon up"
	for part := range strings.SplitSeq(route, ",") {
		if pool, ok := strings.CutPrefix(part, "pool="); ok {
			words += " --pool " + pool
		} else if part != jobs.AnyRoute {
			words += " --label " + part
		}
	}
	return words
}

func checkRoutes(p patient) []finding {
	var found []finding
	for _, r := range p.Routes {
		served := slices.ContainsFunc(p.Nodes, func(n jobs.Node) bool { return slices.Contains(n.Routes, r.Name) })
		if !served && !(r.Name == jobs.AnyRoute && len(p.Nodes) > 0) {
			found = append(found, one(problem, r.Name, upFor(r.Name), "%s on this route and no live node serves it", waitWords(r.Waiting))...)
		}
	}
	return found
}

func waitWords(n int) string {
	if n == 1 {
		return "1 run waits"
	}
	return fmt.Sprintf("%d runs wait", n)
}

const waitsLong = 10 * time.Minute

func checkWaiting(p patient) []finding {
	var old []jobs.Run
	for _, r := range p.Queued {
		if p.At.Sub(r.QueuedAt) > waitsLong && !r.QueuedAt.IsZero() {
			old = append(old, r)
		}
	}
	if len(old) == 0 {
		return nil
	}
	oldest := slices.MinFunc(old, func(a, b jobs.Run) int { return a.QueuedAt.Compare(b.QueuedAt) })
	return one(warning, oldest.ID, "carillon run "+oldest.ID+", then more --slots or nodes, or carillon cancel",
		"%s for more than 10 minutes; this one has for %s%s", waitWords(len(old)), p.At.Sub(oldest.QueuedAt).Round(time.Second), because(oldest.Reason))
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func checkOverdue(p patient) []finding {
	var found []finding
	for _, o := range p.Overdue {
		late := p.At.Sub(o.Due).Round(time.Second)
		switch o.Status {
		case jobs.Running, jobs.RollingBack:
			found = append(found, one(problem, o.Run, "see that a node leads (carillon nodes) and read its log; then carillon cancel "+o.Run,
				"%s on %s, and its lease ended %s ago: nobody has taken it over", o.Status, cmp.Or(o.Node, "no node"), late)...)
		default:
			found = append(found, one(warning, o.Run, "see that a node leads: carillon nodes", "%s, and was to be looked at %s ago", cmp.Or(string(o.Status), "without a record"), late)...)
		}
	}
	return found
}

func checkUnrolled(p patient) []finding {
	var found []finding
	for _, r := range p.Unrolled {
		w := problem
		if p.At.Sub(r.FinishedAt) > 24*time.Hour {
			w = warning
		}
		found = append(found, one(w, r.ID, "mend what its undo needs, then carillon rollback "+r.ID,
			"its rollback failed: %s left to undo (%s)", count(len(r.Rollback), "step"), someOf(r.Rollback))...)
	}
	return found
}

func checkPaused(p patient) []finding {
	var found []finding
	for _, job := range slices.Sorted(maps.Keys(p.Paused)) {
		was := p.Paused[job]
		found = append(found, one(aside, job, "carillon resume "+job, "paused since %s by %s%s: its ticks are skipped", was.Since.UTC().Format(time.DateTime), cmp.Or(was.By, "somebody"), because(was.Note))...)
	}
	return found
}

// rememberLoss is how long doctor speaks of a loss of data.
const rememberLoss = 7 * 24 * time.Hour

func checkLostData(p patient) []finding {
	l := p.Life
	if l.Number < 2 || p.At.Sub(l.Since) > rememberLoss {
		return nil
	}
	return one(warning, "", "redis-cli CONFIG SET appendonly yes; then carillon backfill JOB --from TIME --to TIME for what should run after all",
		"Redis lost data at %s (noticed by %s): %s. The ledgers say amnesia for the ticks that nobody can account for, and all jobs started anew from then",
		l.Since.UTC().Format(time.RFC3339), l.Node, l)
}

func checkEmbedded(p patient) []finding {
	if !p.embedded {
		return nil
	}
	return one(aside, "", "carillon up --redis redis://HOST:PORT/0", "the embedded server is for development: it is in memory, and gone with the node that started it. What only a real Redis can answer was not checked")
}

func checkRefused(p patient) []finding {
	var found []finding
	for _, r := range p.Refused {
		if p.embedded {
			continue // the note about the embedded server says it
		}
		if strings.Contains(strings.ToLower(r.Why), "unknown subcommand") {
			found = append(found, one(aside, r.Command, "compare the Redis user with the ACL line of docs/redis.md, section Least privilege; or install Redis 7.0 or newer",
				"this Redis has no such command, so what needs it was not checked: %s", r.Why)...)
			continue
		}
		found = append(found, one(aside, r.Command, "carillon doctor --redis with a user who may", "not allowed to look, so what needs it was not checked: %s", r.Why)...)
	}
	if p.RunsUnread != "" {
		found = append(found, one(aside, "runs", "use the newest version of carillon that writes here", "runs could not be read: %s", p.RunsUnread)...)
	}
	return found
}
