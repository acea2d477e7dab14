package main

import (
	"fmt"
	"strings"
	"time"

	"carillon/internal/forecast"
	"carillon/jobs"
)

// standing is what a node says of itself when it is up.
type standing struct {
	version   string
	node      string
	redis     string // without credentials
	embedded  bool   // an in-memory server
	serving   bool   // and it lives in this process
	namespace string
	leader    string // "" when the seat is vacant
	noLead    bool
	slots     int
	labels    string // of the node and its pool
	schedule  *jobs.Schedule
	foreign   bool // the leader's has no job of it, so nothing of it happens
	now       time.Time
}

const bannerTicks = 3

// banner is the block of text that `up` begins with.
func banner(s standing) []string {
	lines := []string{fmt.Sprintf("carillon %s: node %s is up", s.version, s.node)}
	add := func(name, value string) { lines = append(lines, fmt.Sprintf("  %-10s%s", name, oneLine(value))) }
	add("redis", s.redis+redisRemark(s))
	add("leader", leaderWords(s))
	add("schedule", fmt.Sprintf("%s: %s, digest %s", s.schedule.Path, count(len(s.schedule.Jobs), "job"), s.schedule.Digest))
	if strings.HasPrefix(s.schedule.Zoneinfo, jobs.ZonesHost) {
		add("zones", s.schedule.Zoneinfo+"  (--zoneinfo host: every node needs it, and the same database)")
	}
	add("slots", fmt.Sprintf("%d", s.slots))
	if s.labels != "" {
		add("labels", s.labels)
	}
	name := "next"
	if s.foreign {
		add(name, "nothing of this schedule: the leader's has no job in common with it; give one of the two fleets its own --namespace")
		return lines
	}
	for _, k := range s.nextTicks() {
		add(name, fmt.Sprintf("%s  %s  in %s", k.at.Format("2006-01-02 15:04:05 -07:00"), k.job, short(k.at.Sub(s.now))))
		name = ""
	}
	if name != "" {
		add(name, "nothing is scheduled")
	}
	return lines
}

func redisRemark(s standing) string {
	switch {
	case s.serving:
		return "  (embedded: development only, in memory, gone when this process ends)"
	case s.embedded:
		return "  (embedded in another node: development only, in memory)"
	case s.namespace != defaultNamespace:
		return "  namespace " + s.namespace
	default:
		return ""
	}
}

func leaderWords(s standing) string {
	switch {
	case s.leader == s.node:
		return "this node"
	case s.leader != "" && s.noLead:
		return s.leader + "  (this node never leads: --no-lead)"
	case s.leader != "":
		return s.leader
	case s.noLead:
		return "none, and this node never leads (--no-lead): nothing is scheduled until another node is up"
	default:
		return "none yet"
	}
}

// upcoming is a tick of a job, in the job's zone.
type upcoming struct {
	job string
	at  time.Time
}

func (s standing) nextTicks() []upcoming {
	if s.foreign {
		return nil
	}
	var list []*jobs.Job
	var sources []forecast.Source
	for _, job := range s.schedule.Jobs {
		if job.Enabled && job.Ticks() {
			list, sources = append(list, job), append(sources, job.Next)
		}
	}
	var next []upcoming
	for _, k := range forecast.Merge(sources, s.now, time.Time{}, bannerTicks) {
		next = append(next, upcoming{job: list[k.Source].Name, at: k.At.In(list[k.Source].Zone())})
	}
	return next
}

// bannerAttrs says the same in one log record.
func bannerAttrs(s standing) []any {
	var next []string
	for _, k := range s.nextTicks() {
		next = append(next, jobs.TickRunID(k.job, k.at))
	}
	return []any{
		"version", s.version, "node", s.node, "redis", s.redis, "embedded", s.embedded, "namespace", s.namespace,
		"leader", s.leader, "schedule", s.schedule.Path, "jobs", len(s.schedule.Jobs), "digest", s.schedule.Digest,
		"zoneinfo", s.schedule.Zoneinfo,
		"slots", s.slots, "labels", s.labels, "foreign_fleet", s.foreign, "next", strings.Join(next, " "),
	}
}
