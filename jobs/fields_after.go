package jobs

import (
	"slices"
	"strings"
)

const afterExpected = "{job: nightly-backup, when: success}"

var afterShape = shape[jobValue]{
	what: "after", prefix: "after.",
	fields: []field[jobValue]{
		{"job", func(d *decoder, e entry, v *jobValue) {
			name, ok := d.word(e, "the name of the job to follow")
			if ok {
				v.job.After.Job, v.upstream = name, &e
			}
		}},
		{"when", func(d *decoder, e entry, v *jobValue) {
			if s, ok := d.oneOf(e, string(WhenSuccess), string(WhenFailure), string(WhenDone)); ok {
				v.job.After.When = When(s)
			}
		}},
	},
}

func readAfter(d *decoder, e entry, v *jobValue) {
	v.job.After = &After{When: WhenSuccess}
	keys, ok := object(d, e, &afterShape, afterExpected, v)
	if ok && !keys.has("job") {
		d.problem(e.at, "after names no job; expected %s", afterExpected)
	}
}

// A link is one job's after, checked when all jobs are known.
type link struct {
	job *Job
	at  entry // after.job
}

// checkLinks sees to it that each job that is followed exists, and that no job
// follows its own end.
func (d *decoder) checkLinks(links []link, entries []entry) {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.key
	}
	declared := make(map[string]bool, len(names))
	for _, name := range names {
		declared[name] = true
	}
	upstream := make(map[string]string, len(links))
	for _, l := range links {
		upstream[l.job.Name] = l.job.After.Job
	}
	reported := map[string]bool{}
	for _, l := range links {
		d.job = l.job.Name
		at := d.resolve(l.at.value)
		switch name := l.job.After.Job; {
		case name == l.job.Name:
			d.problem(at, "after.job is the job itself, so one run would start the next for ever; name another job")
		case !declared[name]:
			d.problem(at, "after.job is %s, which is no job of this file%s", quoted(name), didYouMean(name, names))
		case !reported[l.job.Name]:
			if ring := ringOf(l.job.Name, upstream); ring != nil {
				for _, member := range ring {
					reported[member] = true
				}
				d.problem(at, "after closes a circle: %s -> %s, each of them starting the next for ever; take the after of one away",
					strings.Join(ring, " -> "), ring[0])
			}
		}
		d.job = ""
	}
}

// ringOf lists the jobs of the circle that name is part of, in the order in
// which they start each other; nil when there is none. A job has one upstream
// at most, so there is one way to go.
func ringOf(name string, upstream map[string]string) []string {
	ring := []string{name}
	for at := upstream[name]; at != "" && len(ring) <= len(upstream); at = upstream[at] {
		if at == name {
			slices.Reverse(ring[1:])
			return ring
		}
		ring = append(ring, at)
	}
	return nil
}

// follow tells each job which ones its end starts. A resting job (enabled:
// false) starts by hand only, so it follows nobody.
func (s *Schedule) follow() {
	for _, j := range s.Jobs {
		if j.After != nil && j.Enabled {
			upstream := s.byName[j.After.Job]
			upstream.Followers = append(upstream.Followers, j)
		}
	}
}
