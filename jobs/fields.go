package jobs

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"gopkg.in/yaml.v3"
)

// jobValue is a job while it is read.
type jobValue struct {
	job      Job
	schedule *Schedule
	texts    []entry // the schedule expressions, parsed when the zone is known
	upstream *entry  // where after.job is written
	former   *entry  // where renamed_from is written
}

// sharedFields are the keys that a job and "defaults:" have in common.
var sharedFields = slices.Concat(sharedTimeFields, []field[jobValue]{
	{"timeout", readTimeout},
	{"retry", func(d *decoder, e entry, v *jobValue) { readRetry(d, e, &v.job.Retry) }},
	{"crash_retries", readCrashRetries},
	{"on_lost", readOnLost},
	{"delivery", readDelivery},
	{"catch_up", readCatchUp},
	{"overlap", readOverlap},
	{"priority", readPriority},
	{"unroutable_after", readUnroutableAfter},
	{"env", readEnv},
	{"dir", readDir},
	{"user", readUser},
})

var defaultsShape = shape[jobValue]{what: "defaults", prefix: "defaults.", fields: sharedFields}

var jobShape = shape[jobValue]{
	what: "a job",
	fields: slices.Concat([]field[jobValue]{
		{"description", func(d *decoder, e entry, v *jobValue) { v.job.Description, _ = d.text(e, "a text") }},
		{"enabled", func(d *decoder, e entry, v *jobValue) { v.job.Enabled, _ = d.boolean(e) }},
		{"timezone", readJobZone},
		{"schedule", readSchedule},
		{"after", readAfter},
		{"renamed_from", readRenamedFrom},
	}, timeFields, actionFields(func(v *jobValue) *Action { return &v.job.Action }), []field[jobValue]{
		{"undo", func(d *decoder, e entry, v *jobValue) { readUndo(d, e, &v.job.Undo) }},
		{"steps", readSteps},
		{"params", readParams},
		{"secrets", readSecrets},
		{"max_running", readMaxRunning},
		{"group", readGroup},
		{"nodes", readNodes},
		{"pool", readPool},
		{"every_node", func(d *decoder, e entry, v *jobValue) { v.job.EveryNode, _ = d.boolean(e) }},
	}, sharedFields),
}

// readJob reads one job; what is wrong with it is recorded, and the answer is
// then of no use.
func (d *decoder) readJob(e entry, f *fileValue) *Job {
	v := jobValue{job: f.defaults.job, schedule: f.schedule}
	v.job.Name, v.job.Line = e.key, e.at.Line
	v.job.Timezone = f.schedule.Timezone
	e.key = "the job"
	found, ok := object(d, e, &jobShape, `keys such as {schedule: "@hourly", run: ./report.sh}`, &v)
	if !ok {
		return nil
	}
	v.job.Location, _ = d.location(v.job.Timezone) // a wrong name was reported where it stands
	d.checkTimes(found, &v)
	d.parseSchedule(&v)
	d.checkJitter(e, found, &v.job)
	d.checkActions(e, found, &v.job)
	checkRelations(d, found, &v.job)
	if v.upstream != nil {
		f.links = append(f.links, link{job: &v.job, at: *v.upstream})
	}
	if v.former != nil {
		f.renames = append(f.renames, link{job: &v.job, at: *v.former})
	}
	v.job.Digest = definitionDigest(&v.job)
	v.job.Timing = timingDigest(&v.job, d.daysOf(v.job.Only), d.daysOf(v.job.Exclude))
	return &v.job
}

func readJobZone(d *decoder, e entry, v *jobValue) {
	v.job.Places.Zone = Place{e.value.Line, e.value.Column}
	d.zone(e, &v.job.Timezone)
}

const scheduleExpected = `an expression such as "0 2 * * *", "@hourly" or "@every 90s", or a list of them (leave the key out to start the job only by hand)`

// readSchedule keeps the texts; the zone they are read in may come later.
func readSchedule(d *decoder, e entry, v *jobValue) {
	if n := d.resolve(e.value); n.Kind != yaml.SequenceNode {
		v.texts = []entry{e}
		return
	}
	items, ok := d.list(e, scheduleExpected)
	if ok && len(items) == 0 {
		d.problem(e.value, "schedule is an empty list; expected %s", scheduleExpected)
	}
	v.texts = items
}

func (d *decoder) parseSchedule(v *jobValue) {
	for _, e := range v.texts {
		text, ok := d.word(e, scheduleExpected)
		if !ok {
			continue
		}
		spec, err := d.spec(text, &v.job)
		if err != nil {
			d.problem(d.resolve(e.value), "%s: %v", e.path(), err)
			continue
		}
		for _, other := range v.job.Specs {
			if other.String() == spec.String() {
				d.problem(d.resolve(e.value), "%s: %s is in the list twice; two reasons to fire at one instant are one tick", e.path(), quoted(text))
			}
		}
		v.job.Specs = append(v.job.Specs, spec)
		v.job.Places.Specs = append(v.job.Places.Specs, Place{e.value.Line, e.value.Column})
	}
}

func readTimeout(d *decoder, e entry, v *jobValue) {
	d.timeout(e, &v.job.Timeout)
}

// timeout reads how long a job, a step or an undo may take.
func (d *decoder) timeout(e entry, into *time.Duration) {
	*into, _ = d.duration(e, time.Millisecond, maxDuration, "no limit")
}

var catchUpShape = shape[CatchUp]{
	what: "catch_up", prefix: "catch_up.",
	fields: []field[CatchUp]{
		{"policy", readPolicy},
		{"window", func(d *decoder, e entry, c *CatchUp) {
			v, ok := d.duration(e, time.Millisecond, maxWindow, "")
			switch {
			case ok && v < alwaysRuns:
				d.problem(e.value, "%s is %s, but ticks up to %s late run whatever the policy; expected at least that", e.path(), DurationText(v), DurationText(alwaysRuns))
			case ok:
				c.Window = v
			}
		}},
		{"max", func(d *decoder, e entry, c *CatchUp) {
			if n, ok := d.integer(e, 1, 10000); ok {
				c.Max = n
			}
		}},
	},
}

// alwaysRuns is the lateness up to which a tick is no matter of catching up
// (the catch-up rules of the scheduler); a shorter window would promise less
// than what happens.
const alwaysRuns = time.Minute

// maxWindow bounds how far back a late leader looks: the ticks of a job of
// every second are counted one by one.
const maxWindow = 31 * 24 * time.Hour

// readCatchUp reads the mapping, or its short form: the policy alone.
func readCatchUp(d *decoder, e entry, v *jobValue) {
	if n := d.resolve(e.value); n.Kind == yaml.ScalarNode && !isNull(n) {
		readPolicy(d, e, &v.job.CatchUp)
		return
	}
	object(d, e, &catchUpShape, "latest, all or skip, or {policy: latest, window: 24h, max: 100}", &v.job.CatchUp)
}

func readPolicy(d *decoder, e entry, c *CatchUp) {
	if s, ok := d.oneOf(e, string(CatchUpLatest), string(CatchUpAll), string(CatchUpSkip)); ok {
		c.Policy = CatchUpPolicy(s)
	}
}

func readOverlap(d *decoder, e entry, v *jobValue) {
	if s, ok := d.oneOf(e, string(OverlapSkip), string(OverlapQueue), string(OverlapAllow), string(OverlapReplace)); ok {
		v.job.Overlap = Overlap(s)
	}
}

func readMaxRunning(d *decoder, e entry, v *jobValue) {
	if n, ok := d.integer(e, 2, 1000); ok {
		v.job.MaxRunning = n
	}
}

func readCrashRetries(d *decoder, e entry, v *jobValue) {
	if n, ok := d.integer(e, 1, 100); ok {
		v.job.CrashRetries = n
	}
}

func readOnLost(d *decoder, e entry, v *jobValue) {
	if s, ok := d.oneOf(e, string(OnLostKill), string(OnLostKeep)); ok {
		v.job.OnLost = OnLost(s)
	}
}

func readDelivery(d *decoder, e entry, v *jobValue) {
	if s, ok := d.oneOf(e, string(DeliverAtLeastOnce), string(DeliverAtMostOnce)); ok {
		v.job.Delivery = Delivery(s)
	}
}

// oneOf reads one of a few words.
func (d *decoder) oneOf(e entry, words ...string) (string, bool) {
	if n := d.resolve(e.value); isPlain(n) && !foreignTag(n) && slices.Contains(words, n.Value) {
		return n.Value, true
	}
	expected := joined(words, "or")
	s, ok := d.word(e, expected)
	if !ok {
		return "", false
	}
	if !slices.Contains(words, s) {
		d.problem(d.resolve(e.value), "%s is %s; expected %s%s", e.path(), quoted(s), expected, didYouMean(s, words))
		return "", false
	}
	return s, true
}

func readPriority(d *decoder, e entry, v *jobValue) {
	if n, ok := d.integer(e, 0, 9); ok {
		v.job.Priority = n
	}
}

// readEnv adds to the variables of the defaults; the job's own win.
func readEnv(d *decoder, e entry, v *jobValue) {
	entries, ok := d.mapping(e, e.path()+".", "variables, such as {PGHOST: db1}")
	if !ok {
		return
	}
	env := make(map[string]string, len(entries)+len(v.job.Env))
	for k, value := range v.job.Env {
		d.spend(e.at, len(k)+len(value)+32)
		env[k] = value
	}
	for _, item := range entries {
		if why := badEnvName(item.key); why != "" {
			d.problem(item.at, "%s: %s", e.path(), why)
			continue
		}
		if value, ok := d.text(item, `a text ("" for an empty one)`); ok {
			env[item.key] = value
		}
	}
	v.job.Env = env
}

func badEnvName(name string) string {
	if strings.HasPrefix(strings.ToUpper(name), "CARILLON_") {
		return fmt.Sprintf("%s is reserved; variables that begin with CARILLON_ are set by carillon", quoted(name))
	}
	for i, r := range name {
		letter := r == '_' || r <= unicode.MaxASCII && unicode.IsLetter(r)
		if !letter && (i == 0 || r < '0' || r > '9') {
			return fmt.Sprintf("%s is no name of a variable: it has %q; expected letters, digits and \"_\", not a digit first", quoted(name), r)
		}
	}
	if name == "" {
		return "the name of a variable is empty"
	}
	return ""
}

func readDir(d *decoder, e entry, v *jobValue) {
	s, ok := d.word(e, "the folder to run in, such as /srv/app")
	if !ok {
		return
	}
	if s[0] == '~' || s[0] == '$' {
		d.problem(d.resolve(e.value), "%s is %s, but no shell reads it, so ~ and $ mean nothing here; write the path in full", e.path(), quoted(s))
		return
	}
	v.job.Dir = s
}

func readUser(d *decoder, e entry, v *jobValue) {
	s, ok := d.word(e, "the name of a user of the host")
	if !ok {
		return
	}
	for _, r := range s {
		if r == ':' || r == '/' || unicode.IsSpace(r) || unicode.IsControl(r) {
			d.problem(d.resolve(e.value), "%s is %s, which has %q; expected the name of a user of the host", e.path(), quoted(s), r)
			return
		}
	}
	v.job.User = s
}
