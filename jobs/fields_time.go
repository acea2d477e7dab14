package jobs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// timeFields are the keys of a job, beside schedule and timezone, that say when it
// fires. They come after timezone: some are read in it.
var timeFields = []field[jobValue]{
	{"at", readAt},
	{"offset", readOffset},
	{"start", func(d *decoder, e entry, v *jobValue) { v.job.Start = d.bound(e, v, (*zone).dayBegins) }},
	{"end", func(d *decoder, e entry, v *jobValue) { v.job.End = d.bound(e, v, (*zone).dayEnds) }},
	{"every_n", readEveryN},
	{"silence", func(d *decoder, e entry, v *jobValue) { d.silence(e, &v.job.Silence) }},
}

// sharedTimeFields are those of them that "defaults:" may hold too.
var sharedTimeFields = []field[jobValue]{
	{"dst", readDST},
	{"only", readOnly},
	{"exclude", readExclude},
	{"shift", readShift},
	{"jitter", readJitter},
}

const atExpected = instantExpected + ", or a list of them"

// readAt reads single instants, in order.
func readAt(d *decoder, e entry, v *jobValue) {
	items := []entry{e}
	if n := d.resolve(e.value); n.Kind == yaml.SequenceNode {
		var ok bool
		if items, ok = d.list(e, atExpected); ok && len(items) == 0 {
			d.problem(e.value, "at is an empty list; expected %s", atExpected)
		}
	}
	given := make(map[time.Time]bool, len(items))
	for _, item := range items {
		at, ok := d.instant(item, atExpected, v)
		switch {
		case !ok:
		case given[at]:
			d.problem(d.resolve(item.value), "%s: %s is in the list twice; one instant is one tick", item.path(), at.Format(time.RFC3339))
		default:
			given[at] = true
			v.job.At = append(v.job.At, at)
		}
	}
	slices.SortFunc(v.job.At, time.Time.Compare)
}

// instant reads an instant, as it is written: YAML has its own idea of times.
func (d *decoder) instant(e entry, expected string, v *jobValue) (time.Time, bool) {
	text, ok := d.word(e, expected)
	if !ok {
		return time.Time{}, false
	}
	at, err := parseInstant(text, d.jobZone(v))
	if err != nil {
		d.problem(d.resolve(e.value), "%s is %s: %v", e.path(), quoted(text), err)
	}
	return at, err == nil
}

// jobZone is the zone of a job, or UTC where that is wrong.
func (d *decoder) jobZone(v *jobValue) *time.Location {
	loc, err := d.location(v.job.Timezone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// bound reads start or end: an instant, or a date, which ofDay makes an instant
// of in the job's zone. It is zero when it is wrong.
func (d *decoder) bound(e entry, v *jobValue, ofDay func(*zone, int64) time.Time) time.Time {
	const expected = "a date such as 2026-12-24, or an instant such as \"2026-12-24T12:00:00Z\""
	text, ok := d.word(e, expected)
	if !ok {
		return time.Time{}
	}
	loc := d.jobZone(v)
	if strings.ContainsAny(text, ":") {
		at, err := parseInstant(text, loc)
		if err != nil {
			d.problem(d.resolve(e.value), "%s is %s: %v", e.path(), quoted(text), err)
		}
		return at
	}
	day, err := parseDate(text)
	switch {
	case err != nil && !fullDate.MatchString(text):
		d.problem(d.resolve(e.value), "%s is %s; expected %s%s", e.path(), quoted(text), expected, dateHint(text))
	case err != nil:
		d.problem(d.resolve(e.value), "%s is %s: %v", e.path(), quoted(text), err)
	case day.year == 0:
		d.problem(d.resolve(e.value), "%s is %s, which has no year; expected %s", e.path(), quoted(text), expected)
	default:
		return ofDay(zoneOf(loc), day.number())
	}
	return time.Time{}
}

// readOffset reads by how much the ticks of "@every" come after its multiples.
func readOffset(d *decoder, e entry, v *jobValue) {
	offset, ok := d.duration(e, time.Second, maxDuration, "none")
	switch {
	case !ok:
	case offset%time.Second != 0:
		d.problem(d.resolve(e.value), "offset is %s; expected whole seconds", DurationText(offset))
	default:
		v.job.Offset = offset
	}
}

func readJitter(d *decoder, e entry, v *jobValue) {
	if jitter, ok := d.duration(e, time.Millisecond, maxDuration, "none"); ok {
		v.job.Jitter = jitter
	}
}

func readShift(d *decoder, e entry, v *jobValue) {
	const none = "none" // takes that of the defaults away
	if s, ok := d.oneOf(e, string(ShiftNext), string(ShiftPrevious), none); ok {
		if s == none {
			s = string(ShiftNone)
		}
		v.job.Shift = Shift(s)
	}
}

var dstShape = shape[DST]{
	what: "dst",
	fields: []field[DST]{
		{"gap", func(d *decoder, e entry, p *DST) {
			if s, ok := d.oneOf(e, string(DSTRunAfter), string(DSTSkip)); ok {
				p.Gap = DSTGap(s)
			}
		}},
		{"overlap", func(d *decoder, e entry, p *DST) {
			if s, ok := d.oneOf(e, string(DSTOnce), string(DSTTwice)); ok {
				p.Overlap = DSTOverlap(s)
			}
		}},
	},
}

func readDST(d *decoder, e entry, v *jobValue) {
	const expected = "{gap: run-after, overlap: once}, or one of the two"
	keys, ok := object(d, e, dstShape.under(e), expected, &v.job.DST)
	if ok && len(keys) == 0 {
		d.problem(e.value, "%s is empty; expected %s", e.path(), expected)
	}
}

const (
	everyNExpected = `a number of weeks such as 2, or "2 weeks" or "3 days"`
	maxEveryN      = 1000
)

var (
	everyNText  = regexp.MustCompile(`^([1-9][0-9]{0,3}) (weeks?|days?)$`)
	looseEveryN = regexp.MustCompile(`^(?i)(?:every )?([1-9][0-9]{0,3}) *(w|weeks?|d|days?)$`)
)

// readEveryN reads 2 (weeks), "2 weeks", "3 days", {weeks: 2} or {days: 3}.
func readEveryN(d *decoder, e entry, v *jobValue) {
	n := d.resolve(e.value)
	switch {
	case n.Kind == yaml.MappingNode && !foreignTag(n):
		d.everyNMapping(e, v)
	case n.Kind == yaml.ScalarNode && n.Tag == "!!int":
		if count, ok := d.integer(e, 1, maxEveryN); ok {
			v.job.EveryN = EveryN{count, EveryWeeks}
		}
	default:
		d.everyNText(e, v)
	}
}

func (d *decoder) everyNText(e entry, v *jobValue) {
	text, ok := d.word(e, everyNExpected)
	if !ok {
		return
	}
	m := everyNText.FindStringSubmatch(text)
	if m == nil {
		hint := ""
		if loose := looseEveryN.FindStringSubmatch(text); loose != nil {
			hint = fmt.Sprintf("; did you mean %q?", loose[1]+" "+string(everyUnit(loose[2])))
		} else if wholeNumber.MatchString(text) {
			hint = fmt.Sprintf("; did you mean %q?", text+" weeks")
		}
		d.problem(d.resolve(e.value), "every_n is %s; expected %s%s", quoted(text), everyNExpected, hint)
		return
	}
	count := number(m[1])
	if count > maxEveryN {
		d.problem(d.resolve(e.value), "every_n is %s; expected at most %d", quoted(text), maxEveryN)
		return
	}
	v.job.EveryN = EveryN{count, everyUnit(m[2])}
}

func everyUnit(word string) EveryUnit {
	if strings.ToLower(word)[0] == 'd' {
		return EveryDays
	}
	return EveryWeeks
}

var everyNShape = shape[EveryN]{
	what: "every_n",
	fields: []field[EveryN]{
		{"weeks", func(d *decoder, e entry, n *EveryN) { d.everyNCount(e, EveryWeeks, n) }},
		{"days", func(d *decoder, e entry, n *EveryN) { d.everyNCount(e, EveryDays, n) }},
	},
}

func (d *decoder) everyNCount(e entry, unit EveryUnit, n *EveryN) {
	if count, ok := d.integer(e, 1, maxEveryN); ok {
		*n = EveryN{count, unit}
	}
}

func (d *decoder) everyNMapping(e entry, v *jobValue) {
	keys, ok := object(d, e, everyNShape.under(e), everyNExpected, &v.job.EveryN)
	if ok && len(keys) != 1 {
		d.problem(e.at, "every_n counts either weeks or days; expected {weeks: 2} or {days: 3}")
	}
}

// isEvery reports whether an expression is of the form "@every 90s".
func isEvery(expr string) bool {
	const name = "@every"
	expr = strings.TrimSpace(expr)
	return len(expr) >= len(name) && strings.EqualFold(expr[:len(name)], name)
}

// specKey is everything that tells one Spec from another.
type specKey struct {
	expr, zone, name string // name: of the job, for an expression with H
	dst              DST
	offset           time.Duration
	start, end       int64
	everyN           EveryN
	only, exclude    string
	shift            Shift
}

// spec makes the Spec of an expression of a job, once for all jobs that share it.
func (d *decoder) spec(expr string, j *Job) (*Spec, error) {
	loc, err := d.location(j.Timezone)
	if err != nil {
		return nil, err
	}
	o := SpecOptions{
		Location: loc, DST: j.DST, Start: j.Start, End: j.End, Only: j.Only, Exclude: j.Exclude,
	}
	if isEvery(expr) {
		o.Offset = j.Offset
	} else {
		o.EveryN, o.Shift = j.EveryN, j.Shift
	}
	if hashed.MatchString(expr) {
		o.Name = j.Name
	}
	key := specKey{
		expr: expr, zone: j.Timezone, name: o.Name, dst: o.DST, offset: o.Offset, start: o.Start.Unix(), end: o.End.Unix(),
		everyN: o.EveryN, only: calendarNames(o.Only), exclude: calendarNames(o.Exclude), shift: o.Shift,
	}
	if s, ok := d.specs[key]; ok {
		return s, nil
	}
	s, err := NewSpec(expr, o)
	if err == nil {
		d.specs[key] = s
	}
	return s, err
}

// hashed is an expression that may contain H, the value chosen by the name of the
// job: a field, or an item of its list, begins with it.
var hashed = regexp.MustCompile(`(?i)(^|[ \t,])h`)

// calendarNames tells lists of calendars of one file apart.
func calendarNames(calendars []*Calendar) string {
	if len(calendars) == 0 {
		return ""
	}
	names := make([]string, len(calendars))
	for i, c := range calendars {
		names[i] = c.Name
	}
	return strings.Join(names, "\n")
}
