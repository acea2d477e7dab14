package forecast

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"carillon/jobs"
)

// Advice is one expression that H would spread: its job starts where many others
// do, and names its minute, or its step, as if it had to be that one.
type Advice struct {
	Job     string
	Was     string
	Instead string
	Minute  time.Time // the most crowded one of its minutes
	Starts  int       // in that minute
	Usual   int       // in the middle one of the minutes around it
}

// crowdedBy is how many starts a minute must have beyond the usual one to be
// worth an advice.
const crowdedBy = 5

// Advise lists the expressions that H would spread, those in the most crowded
// minutes first. Jobs with jitter are spread already.
func (d *Density) Advise() []Advice {
	var list []Advice
	usual := map[int]int{}
	for _, j := range d.Ticking {
		if j.Jitter > 0 {
			continue
		}
		for i, s := range j.Specs {
			instead := withH(s.String())
			if instead == "" {
				continue
			}
			minute := d.busiest(&jobs.Job{Specs: j.Specs[i : i+1]})
			if minute < 0 {
				continue
			}
			if _, ok := usual[minute]; !ok {
				usual[minute] = d.usual(minute)
			}
			if d.Minutes[minute]-usual[minute] >= crowdedBy {
				list = append(list, Advice{j.Name, s.String(), instead, d.At(minute), d.Minutes[minute], usual[minute]})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Advice) int { return cmp.Compare(b.Starts-b.Usual, a.Starts-a.Usual) })
	return list
}

// busiest is the minute with the most starts among those in which the job has a
// tick; -1 when it has none.
func (d *Density) busiest(j *jobs.Job) int {
	best := -1
	for i := range d.ticksOf(j, d.From, len(d.Minutes)).minutes() {
		if best < 0 || d.Minutes[i] > d.Minutes[best] {
			best = i
		}
	}
	return best
}

// namedHours are the descriptors with the minute left to H.
var namedHours = map[string]string{
	"@hourly": "H * * * *", "@daily": "H 0 * * *", "@midnight": "H 0 * * *", "@weekly": "H 0 * * 0",
	"@monthly": "H 0 1 * *", "@yearly": "H 0 1 1 *", "@annually": "H 0 1 1 *",
}

var (
	fixedMinute = regexp.MustCompile(`^\d+$`)
	minuteStep  = regexp.MustCompile(`^\*(/\d+)$`)
)

// withH is the expression with the minute left to H, or "" when it has no minute
// that could be any other. A step with an hour of its own stays: with H it would
// no longer follow the clock where that changes.
func withH(expr string) string {
	if h, ok := namedHours[strings.ToLower(expr)]; ok {
		return h
	}
	fields := strings.Fields(expr)
	if len(fields) < 5 || fields[0][0] == '@' {
		return ""
	}
	minute, hour := &fields[len(fields)-5], fields[len(fields)-4]
	if len(fields) == 6 && !fixedMinute.MatchString(fields[0]) {
		return ""
	}
	switch step := minuteStep.FindStringSubmatch(*minute); {
	case fixedMinute.MatchString(*minute):
		*minute = "H"
	case step != nil && step[1] != "/1" && hour[0] == '*':
		*minute = "H" + step[1]
	default:
		return ""
	}
	return strings.Join(fields, " ")
}
