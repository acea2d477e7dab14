package jobs

import (
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// bending are the keys that change what schedule: means, and nothing else.
var bending = []string{"offset", "start", "end", "every_n", "dst", "only", "exclude", "shift"}

// checkTimes compares the keys that say when a job fires, where they were written,
// and takes away what the defaults say and this job has no use for. It is called
// before the expressions are read, which may then rely on the rest.
func (d *decoder) checkTimes(keys found, v *jobValue) {
	j := &v.job
	if !keys.has("schedule") {
		for _, key := range bending {
			if e, ok := keys.get(key); ok {
				d.problem(e.at, "%s", d.bendsNothing(e, keys))
			}
		}
		j.DST, j.Only, j.Exclude, j.Shift = DST{}, nil, nil, ShiftNone
		j.Offset, j.Start, j.End, j.EveryN = 0, time.Time{}, time.Time{}, EveryN{}
		if e, ok := keys.get("jitter"); ok && !keys.has("at") && j.Jitter != 0 {
			d.problem(e.at, "jitter delays ticks, and this job has none; give it a schedule or remove the jitter")
		}
		if !keys.has("at") {
			j.Jitter = 0
		}
		return
	}
	var every []string
	cron := 0
	for _, e := range v.texts {
		if n := d.resolve(e.value); n.Kind == yaml.ScalarNode && isEvery(n.Value) {
			every = append(every, n.Value)
		} else {
			cron++
		}
	}
	if e, ok := keys.get("offset"); ok && j.Offset != 0 {
		d.checkOffset(e, j, every)
	}
	if !j.Start.IsZero() && !j.End.IsZero() && j.End.Before(j.Start) {
		e, _ := keys.get("end")
		loc := d.jobZone(v)
		d.problem(e.at, "end %s is before start %s; no tick is left", j.End.In(loc).Format(time.RFC3339), j.Start.In(loc).Format(time.RFC3339))
		j.Start, j.End = time.Time{}, time.Time{}
	}
	if e, ok := keys.get("every_n"); ok {
		switch {
		case cron == 0:
			d.problem(e.at, `every_n thins out days, and "@every" counts seconds; lengthen its duration`)
			j.EveryN = EveryN{}
		case !keys.has("start"):
			d.problem(e.at, "every_n has no start to count from; add start: with the first date, such as start: 2026-12-24")
			j.EveryN = EveryN{}
		case j.Start.IsZero():
			j.EveryN = EveryN{} // the start is wrong, which is said
		}
	}
	d.checkShift(keys, j, cron)
}

// checkOffset holds the offset against each expression that it moves.
func (d *decoder) checkOffset(e entry, j *Job, every []string) {
	before := len(d.problems)
	if len(every) == 0 {
		d.problem(e.at, `offset moves the ticks of "@every", and the schedule has none of those; write the time into the expression`)
	}
	for _, expr := range every {
		spec, err := ParseSpec(expr, nil)
		if err != nil {
			continue // which is said where it is read
		}
		switch length := time.Duration(spec.every) * time.Second; {
		case len(strings.Fields(expr)) > 2 && strings.Contains(strings.ToLower(expr), "offset"):
			d.problem(e.at, "the offset is given twice: here and in %s; take it out of one of them", quoted(expr))
		case j.Offset >= length:
			d.problem(d.resolve(e.value), "offset is %s; expected less than the %s of %s", DurationText(j.Offset), DurationText(length), quoted(expr))
		}
	}
	if len(d.problems) > before {
		j.Offset = 0
	}
}

// bendsNothing says why a key without a schedule is a mistake.
func (d *decoder) bendsNothing(e entry, keys found) string {
	if keys.has("at") {
		return e.key + " changes what schedule: means, and this job has none; the instants of at: are exact, so remove it"
	}
	return e.key + " changes what schedule: means, and this job has none; give it a schedule or remove it"
}

func (d *decoder) checkShift(keys found, j *Job, cron int) {
	e, own := keys.get("shift")
	switch {
	case j.Shift == ShiftNone:
	case len(j.Only) == 0 && len(j.Exclude) == 0:
		if own && d.emptied(keys, "only") && d.emptied(keys, "exclude") {
			d.problem(e.at, "shift moves ticks off the days that only: and exclude: rule out, and this job has neither; add exclude: or remove the shift")
		}
		j.Shift = ShiftNone
	case cron == 0:
		if own {
			d.problem(e.at, `shift keeps the time of day, and "@every" has none; write the time into an expression`)
		}
		j.Shift = ShiftNone
	}
}

// checkJitter sees to it that jitter changes no order. It may be that of the
// defaults, and wrong for this job alone.
func (d *decoder) checkJitter(e entry, keys found, j *Job) {
	at := e.at
	if own, ok := keys.get("jitter"); ok {
		at = d.resolve(own.value)
	}
	if err := checkJitter(j); err != nil {
		d.problem(at, "%v", err)
	}
}

// emptied reports that a list of calendars is empty because nobody wrote one, or
// because it was written so.
func (d *decoder) emptied(keys found, key string) bool {
	e, ok := keys.get(key)
	if !ok {
		return true
	}
	n := d.resolve(e.value)
	return n.Kind == yaml.SequenceNode && len(n.Content) == 0
}
