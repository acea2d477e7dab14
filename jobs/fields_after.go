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

// A link is where one job names another one, checked when all jobs are known.
type link struct {
	job *Job
	at  entry // after.job, or renamed_from
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
		if l.job.After.Job != l.job.Name { // said below
			upstream[l.job.Name] = l.job.After.Job
		}
	}
	walked := map[string]bool{} // these are in no circle that is not reported yet
	for _, l := range links {
		d.job = l.job.Name
		at := d.resolve(l.at.value)
		switch name := l.job.After.Job; {
		case name == l.job.Name:
			d.problem(at, "after.job is the job itself, so one run would start the next for ever; name another job")
		case !declared[name]:
			d.problem(at, "after.job is %s, which is no job of this file%s", quoted(name), didYouMean(name, names))
		default:
			if ring := ringFrom(l.job.Name, upstream, walked); ring != nil {
				d.problem(at, "after closes a circle: %s -> %s, each of them starting the next for ever; take the after of one away",
					shownRing(ring), ring[0])
			}
		}
		d.job = ""
	}
}

// ringFrom walks from a job to the one it follows, and so on, until it ends or
// comes to where somebody has walked. It lists the jobs of a circle on that way
// in the order in which they start each other; nil when there is none. A job has
// one upstream at most, so there is one way to go.
func ringFrom(name string, upstream map[string]string, walked map[string]bool) []string {
	var way []string
	for at := name; at != "" && !walked[at]; at = upstream[at] {
		walked[at] = true
		way = append(way, at)
	}
	if len(way) == 0 {
		return nil
	}
	begin := slices.Index(way, upstream[way[len(way)-1]])
	if begin < 0 {
		return nil
	}
	ring := way[begin:]
	slices.Reverse(ring[1:])
	return ring
}

// shownRing writes a circle for a message, as far as it has room.
func shownRing(ring []string) string {
	const most = 12
	if len(ring) > most {
		ring = append(slices.Clone(ring[:most-1]), "...", ring[len(ring)-1])
	}
	return strings.Join(ring, " -> ")
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
