package main

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redisstore"
	"carillon/jobs"
)

var doctorNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// healthy is a patient with whom nothing is wrong.
func healthy(t *testing.T) patient {
	t.Helper()
	s, err := jobs.Parse("schedule.yaml", []byte("version: 1\njobs:\n  far: {run: 'true', nodes: {zone: eu}, pool: gpu}\n"))
	require.NoError(t, err)
	save := "3600 1"
	node := jobs.Node{Name: "a", Digest: s.Digest, Zoneinfo: "2026f", Version: "1", Pool: "gpu", Labels: map[string]string{"zone": "eu"}, Routes: []string{"any", "pool=gpu,zone=eu"}}
	other := node
	other.Name = "b"
	return patient{
		schedule: s,
		locks:    map[string]error{"l1:6379": nil, "l2:6379": nil, "l3:6379": nil},
		Facts: redisstore.Facts{
			At: doctorNow, Save: &save, Led: true, Cursors: 1, LockTTL: 4 * time.Second, Watched: 3 * time.Second, Nodes: []jobs.Node{node, other},
			Families: []redisstore.Family{{Name: "run", Keys: 3, Bytes: 900}},
			Routes:   []redisstore.Route{{Name: "any", Waiting: 3}, {Name: "pool=gpu,zone=eu", Waiting: 1}},
			Queued:   []jobs.Run{{ID: "far@x", QueuedAt: doctorNow.Add(-9 * time.Minute)}},
			Info: map[string]string{
				"redis_version": "7.0.15", "role": "master", "maxmemory_policy": "noeviction", "maxmemory": "1000", "used_memory": "700", "aof_enabled": "1",
				"rdb_last_bgsave_status": "ok", "aof_last_write_status": "ok", "connected_slaves": "1", "slave0": "ip=10.0.0.2,port=6379,state=online,offset=1,lag=1",
				"connected_clients": "10", "maxclients": "10000", "rejected_connections": "0", "evicted_keys": "0",
			},
		},
	}
}

func TestDoctorFindsNothingInAHealthyFleet(t *testing.T) {
	findings, nothing := diagnose(healthy(t))
	assert.Empty(t, findings)
	assert.Len(t, nothing, len(checks), "every check was made")
}

func TestDoctorFindsEach(t *testing.T) {
	info := func(pairs ...string) func(p *patient) {
		return func(p *patient) {
			p.Info = maps.Clone(p.Info)
			for i := 0; i < len(pairs); i += 2 {
				p.Info[pairs[i]] = pairs[i+1]
			}
		}
	}
	tests := []struct {
		id     string
		weight weight
		says   string // in subject, message or mend
		ill    func(p *patient)
	}{
		{"version", problem, "6.2", info("redis_version", "6.0.16")},
		{"role", problem, "10.0.0.1:6380", info("role", "slave", "master_host", "10.0.0.1", "master_port", "6380")},
		{"eviction", problem, "allkeys-lru", info("maxmemory_policy", "allkeys-lru")},
		{"eviction", warning, "no limit", info("maxmemory_policy", "volatile-ttl", "maxmemory", "0")},
		{"eviction", warning, "7 evicted keys", info("evicted_keys", "7")},
		{"memory", warning, "maxmemory 2000", info("used_memory", "800")},
		{"memory", problem, "maxmemory 2000", info("used_memory", "950")},
		{"persistence", warning, "3600 1", info("aof_enabled", "0")},
		{"persistence", warning, "nothing on disk", func(p *patient) { info("aof_enabled", "0")(p); p.Save = new(string) }},
		{"persistence", warning, "if it makes any", func(p *patient) { info("aof_enabled", "0")(p); p.Save = nil }},
		{"lost_data", warning, "message 3 is the last that it knows", func(p *patient) {
			p.Life = jobs.StoreLife{Number: 2, Since: doctorNow.Add(-6 * 24 * time.Hour), Kind: jobs.LossBack, Before: 5, After: 3, Node: "a"}
		}},
		{"lost_data", warning, "older state, one from before an earlier loss or of another Redis. The ledgers", func(p *patient) {
			p.Life = jobs.StoreLife{Number: 3, Since: doctorNow.Add(-6 * 24 * time.Hour), Kind: jobs.LossBack, Before: 42, After: 378, Node: "a"}
		}},
		{"disk", problem, "rdb_last_bgsave_status err", info("rdb_last_bgsave_status", "err")},
		{"disk", problem, "aof_last_write_status err", info("aof_last_write_status", "err")},
		{"disk", problem, "redis-cli BGREWRITEAOF before Redis is restarted", info("aof_last_bgrewrite_status", "err")},
		{"replica_lag", warning, "silent for 12 s", info("slave0", "ip=10.0.0.2,port=6379,state=online,offset=1,lag=12")},
		{"replica_lag", warning, "state wait_bgsave", info("slave0", "ip=10.0.0.2,port=6379,state=wait_bgsave,offset=1,lag=0")},
		{"wait_replicas", warning, "waits for 2 replicas (--wait-replicas) and 1 had", func(p *patient) { p.Nodes[1].WaitReplicas, p.Nodes[1].Replicas = 2, 1 }},
		{"wait_replicas", warning, "its lease of 6.9s is too short to wait for replicas in (--wait-replicas): while one of them hangs, what it claims waits for 3s", func(p *patient) {
			p.Nodes[1].WaitReplicas, p.Nodes[1].Replicas, p.Nodes[0].Lease, p.Nodes[1].Lease = 2, 2, 6900*time.Millisecond, 6900*time.Millisecond
		}},
		{"clients", warning, "8000 of 10000", info("connected_clients", "8000")},
		{"clients", aside, "2 rejected", info("rejected_connections", "2")},
		{"latency", warning, "25.0 ms", func(p *patient) { p.PingMedian = 25 * time.Millisecond }},
		{"latency", warning, "600.0", func(p *patient) { p.PingMax = 600 * time.Millisecond }},
		{"rights", problem, "xadd zcount", func(p *patient) { p.Denied = []string{"xadd", "zcount"} }},
		{"no_expiry", warning, "{carillon}:log:x", func(p *patient) {
			p.Families = []redisstore.Family{{Name: "log", Keys: 2, Eternal: 1, Example: "{carillon}:log:x"}}
		}},
		{"expires", problem, "redis-cli PERSIST '{carillon}:cursors'", func(p *patient) {
			p.Families = []redisstore.Family{{Name: "cursors", Keys: 1, Fading: "{carillon}:cursors", FadesIn: time.Minute}}
		}},
		{"growth", warning, "900 keys more of :run in 3 s: at this rate maxmemory is reached in 59m57s", func(p *patient) {
			info("maxmemory", "107900000", "used_memory", "0")(p)
			p.Families = []redisstore.Family{{Name: "run", Keys: 1000, Bytes: 100_000, Grew: 900}, {Name: "log", Keys: 10, Bytes: 100, Grew: -1}}
		}},
		{"growth", warning, "35.2 GiB more in an hour", func(p *patient) {
			info("maxmemory", "0")(p)
			p.Families = []redisstore.Family{{Name: "log", Keys: 100, Bytes: 10 << 20, Grew: 300}}
		}},
		{"growth", warning, "3 runs wait on this route, 151 more than 3 s ago", func(p *patient) { p.Routes[0].Grew = 151 }},
		{"lock_lifetime", problem, "no lifetime", func(p *patient) { p.LockTTL = -1 }},
		{"lock_lifetime", warning, "1m1s", func(p *patient) { p.LockTTL = 61 * time.Second }},
		{"revision_differs", warning, "revision 7 of the file, and there are newer ones: b (8)", func(p *patient) {
			p.Nodes[0].Leader, p.Nodes[0].Revision, p.Nodes[1].Revision = true, 7, 8
		}},
		{"revision_differs", aside, "7 (a), 8 (b)", func(p *patient) {
			p.Nodes[0].Revision, p.Nodes[1].Revision, p.Nodes[1].Leader = 7, 8, true
		}},
		{"lease_differs", aside, "30s (a), unknown (b)", func(p *patient) { p.Nodes[0].Lease = 30 * time.Second }},
		{"host_clock", warning, "-2000 ms", func(p *patient) { p.HostOffset = -2 * time.Second }},
		{"node_clock", warning, "b +1001 ms", func(p *patient) { p.Nodes[1].ClockOffset = 1001 * time.Millisecond }},
		{"no_node", problem, "carillon up", func(p *patient) { p.Nodes, p.Routes = nil, nil }},
		{"no_node", aside, "yet", func(p *patient) { p.Nodes, p.Routes, p.Cursors = nil, nil, 0 }},
		{"no_leader", problem, "say why none is elected", func(p *patient) { p.Led = false }},
		{"no_leader", problem, "start one node without --no-lead", func(p *patient) {
			p.Led, p.Nodes[0].NoLead, p.Nodes[1].NoLead = false, true, true
		}},
		{"silent_leader", problem, "find b; the majority", func(p *patient) {
			p.Nodes[0].Leader, p.Nodes[0].Boot = true, "1"
			p.Nodes[1].Silent, p.Nodes[1].SilentAt, p.Nodes[1].SeenAt = "a:1:7", doctorNow, doctorNow.Add(2*time.Second)
		}},
		{"silent_leader", problem, "hung since 2026-11-22 11:59:00", func(p *patient) {
			p.Nodes[1].Hangs, p.Nodes[1].Deposed = doctorNow.Add(-time.Minute), doctorNow.Add(-time.Minute)
		}},
		{"silent_leader", warning, "deposed 59m0s ago", func(p *patient) { p.Nodes[1].Deposed = doctorNow.Add(-59 * time.Minute) }},
		{"duplicate_name", problem, "--node NAME", func(p *patient) { p.Namesakes = []string{"a"} }},
		{"schedule_differs", warning, "other (b)", func(p *patient) { p.Nodes[1].Digest = "other" }},
		{"schedule_differs", warning, "compared with a, the schedule of b lacks x; has another time or rule for y", func(p *patient) {
			p.Nodes[1].Digest = "other"
			p.Marks = map[string]jobs.Marks{p.Nodes[0].Digest: {"x": "d 1", "y": "d 1"}, "other": {"y": "d 2"}}
		}},
		{"foreign_fleet", problem, "compared with a, the schedule of b has no job in common", func(p *patient) {
			p.Nodes[1].Digest = "other"
			p.Marks = map[string]jobs.Marks{p.Nodes[0].Digest: {"x": "d 1"}, "other": {"y": "d 2"}}
		}},
		{"zoneinfo_differs", warning, "unknown (b)", func(p *patient) { p.Nodes[1].Zoneinfo = "" }},
		{"lock_differs", problem, "3:1a2b3c4d (b), none (a)", func(p *patient) { p.Nodes[1].Locks = "3:1a2b3c4d" }},
		{"lock_redis", warning, "1 of 3 lock Redises", func(p *patient) {
			p.locks = map[string]error{"l1:6379": errors.New("refused"), "l2:6379": nil, "l3:6379": nil}
		}},
		{"lock_redis", problem, "nobody can lead", func(p *patient) {
			p.locks = map[string]error{"l1:6379": errors.New("refused")}
		}},
		{"version_differs", aside, "1 (a), 2 (b)", func(p *patient) { p.Nodes[1].Version = "2" }},
		{"file", warning, "schedule.yaml: 2 problems", func(p *patient) { p.schedule, p.fileError = nil, "schedule.yaml: 2 problems" }},
		{"file_differs", aside, "no live node", func(p *patient) { p.Nodes[0].Digest, p.Nodes[1].Digest = "x", "x" }},
		{"unserved_job", warning, "carillon up --pool gpu --label zone=eu", func(p *patient) { p.Nodes[0].Pool, p.Nodes[1].Labels = "", nil }},
		{"unroutable", problem, "carillon up --label zone=us", func(p *patient) { p.Routes = append(p.Routes, redisstore.Route{Name: "zone=us", Waiting: 2}) }},
		{"waiting_long", warning, "far@x", func(p *patient) { p.Queued[0].QueuedAt = doctorNow.Add(-11 * time.Minute) }},
		{"lease_expired", problem, "running on a", func(p *patient) {
			p.Overdue = []redisstore.Overdue{{Run: "r", Node: "a", Status: jobs.Running, Due: doctorNow.Add(-2 * time.Minute)}}
		}},
		{"lease_expired", warning, "retrying, and was to be looked at 2m0s ago", func(p *patient) {
			p.Overdue = []redisstore.Overdue{{Run: "r", Status: jobs.Retrying, Due: doctorNow.Add(-2 * time.Minute)}}
		}},
		{"rollback_failed", problem, "1 step left to undo (drain)", func(p *patient) {
			p.Unrolled = []jobs.Run{{ID: "r", Rollback: []string{"drain"}, FinishedAt: doctorNow.Add(-time.Hour)}}
		}},
		{"rollback_failed", warning, "carillon rollback r", func(p *patient) {
			p.Unrolled = []jobs.Run{{ID: "r", Rollback: []string{"drain"}, FinishedAt: doctorNow.Add(-25 * time.Hour)}}
		}},
		{"paused", aside, "by ada@ops: disks", func(p *patient) { p.Paused = map[string]jobs.Pause{"far": {By: "ada@ops", Note: "disks"}} }},
		{"embedded", aside, "was not checked", func(p *patient) {
			p.embedded, p.Refused = true, []redisstore.Refusal{{Command: "CONFIG GET", Why: "ERR unknown command"}}
		}},
		{"not_allowed", aside, "NOPERM", func(p *patient) { p.Refused = []redisstore.Refusal{{Command: "MEMORY USAGE", Why: "NOPERM"}} }},
		{"not_allowed", aside, "unknown status", func(p *patient) { p.RunsUnread = "unknown status" }},
	}
	fired := map[string]bool{}
	for _, test := range tests {
		t.Run(test.id+" "+string(test.weight)+" "+test.says, func(t *testing.T) {
			p := healthy(t)
			test.ill(&p)
			findings, nothing := diagnose(p)
			require.Len(t, findings, 1, "that and nothing else")
			f := findings[0]
			assert.Equal(t, test.id, f.ID)
			assert.Equal(t, test.weight, f.Weight)
			assert.Contains(t, f.Subject+"\n"+f.Message+"\n"+f.Mend, test.says)
			assert.NotEmpty(t, f.Mend)
			assert.NotContains(t, fmt.Sprint(f), "%!")
			assert.NotContains(t, nothing, test.id)
		})
		fired[test.id] = true
	}
	for _, c := range checks {
		assert.True(t, fired[c.id], "no row makes %s fire", c.id)
	}
}

// What could not be asked is not counted as well.
func TestDoctorDoesNotPassWhatItCouldNotAsk(t *testing.T) {
	p := healthy(t)
	p.Info, p.Families = nil, nil
	for _, command := range []string{"INFO", "SCAN", "ACL DRYRUN"} {
		p.Refused = append(p.Refused, redisstore.Refusal{Command: command, Why: "NOPERM"})
	}
	findings, nothing := diagnose(p)
	assert.Len(t, findings, 3)
	for _, id := range []string{"version", "role", "eviction", "memory", "persistence", "disk", "replica_lag", "clients", "rights", "no_expiry"} {
		assert.NotContains(t, nothing, id)
	}
	assert.Contains(t, nothing, "latency")
}

func TestDoctorPutsProblemsFirst(t *testing.T) {
	p := healthy(t)
	p.embedded, p.HostOffset, p.Led = true, time.Minute, false
	findings, _ := diagnose(p)
	var order []string
	for _, f := range findings {
		order = append(order, string(f.Weight))
	}
	assert.Equal(t, "problem warning note", strings.Join(order, " "))
}
