package jobs

import (
	"cmp"
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
}

// sharedFields are the keys that a job and "defaults:" have in common.
var sharedFields = []field[jobValue]{
	{"timeout", readTimeout},
	{"retry", readRetry},
	{"catch_up", readCatchUp},
	{"overlap", readOverlap},
	{"priority", readPriority},
	{"env", readEnv},
	{"dir", readDir},
	{"user", readUser},
}

var defaultsShape = shape[jobValue]{what: "defaults", prefix: "defaults.", fields: sharedFields}

var jobShape = shape[jobValue]{
	what: "a job",
	fields: append([]field[jobValue]{
		{"description", func(d *decoder, e entry, v *jobValue) { v.job.Description, _ = d.text(e, "a text") }},
		{"enabled", func(d *decoder, e entry, v *jobValue) { v.job.Enabled, _ = d.boolean(e) }},
		{"timezone", func(d *decoder, e entry, v *jobValue) { d.zone(e, &v.job.Timezone) }},
		{"schedule", readSchedule},
		{"command", readCommand},
		{"run", readScript},
		{"http", readHTTP},
		{"func", readFunc},
		{"params", readParams},
	}, sharedFields...),
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
	d.parseSchedule(&v)
	d.checkAction(e, found, &v.job)
	checkRelations(d, found, &v.job)
	v.job.Digest = definitionDigest(&v.job)
	v.job.Timing = timingDigest(&v.job)
	return &v.job
}

// checkAction sees to it that there is one action and nothing it cannot use.
func (d *decoder) checkAction(e entry, keys found, j *Job) {
	var actions []entry
	for _, key := range []string{"command", "run", "http", "func"} {
		if a, ok := keys.get(key); ok {
			actions = append(actions, a)
		}
	}
	switch {
	case len(actions) == 0:
		d.problem(e.at, "the job does nothing; expected one of command, run, http or func")
	case len(actions) > 1:
		slices.SortFunc(actions, func(a, b entry) int {
			return cmp.Or(a.at.Line-b.at.Line, a.at.Column-b.at.Column)
		})
		names := make([]string, len(actions))
		for i, a := range actions {
			names[i] = a.key
		}
		d.problem(actions[1].at, "the job has %s; expected only one of command, run, http or func", joined(names, "and"))
	}
	if len(actions) != 1 || actions[0].key == "command" || actions[0].key == "run" {
		return
	}
	// No process, so nothing of what only a process has: written here it is a
	// mistake, in the defaults it was meant for the other jobs.
	for _, key := range []string{"env", "dir", "user"} {
		if k, ok := keys.get(key); ok {
			d.problem(k.at, "%s has no effect on %s; it is for command and run", key, actions[0].key)
		}
	}
	j.Env, j.Dir, j.User = nil, "", ""
}

// checkRelations compares values that must fit each other. The message is put
// where one of the two was written, and holds both.
func checkRelations(d *decoder, keys found, j *Job) {
	if retry, ok := keys.get("retry"); ok && j.Retry.MaxBackoff < j.Retry.Backoff {
		d.problem(retry.value, "retry.max_backoff %s is less than retry.backoff %s; raise the one or lower the other",
			short(j.Retry.MaxBackoff), short(j.Retry.Backoff))
	}
	if schedule, ok := keys.get("schedule"); ok {
		for _, p := range j.Params {
			if p.Required {
				d.problem(schedule.at, "a tick gives no params, but param %q is required; give it a default, or remove the schedule to start the job only by hand", p.Name)
			}
		}
	}
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
		spec, err := d.spec(text, v.job.Timezone)
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
	}
}

// spec parses an expression once for all jobs that share it.
func (d *decoder) spec(text, zone string) (*Spec, error) {
	key := specKey{text, zone}
	if s, ok := d.specs[key]; ok {
		return s, nil
	}
	loc, err := d.location(zone)
	if err != nil {
		return nil, err
	}
	s, err := ParseSpec(text, loc)
	if err == nil {
		d.specs[key] = s
	}
	return s, err
}

const commandExpected = `a program and its arguments, such as ["./backup.sh", "--full"]`

func readCommand(d *decoder, e entry, v *jobValue) {
	if n := d.resolve(e.value); n.Kind == yaml.ScalarNode && !isNull(n) {
		d.problem(n, `command is %s; expected %s; for a line of shell use run:`, describe(n), commandExpected)
		return
	}
	items, ok := d.list(e, commandExpected)
	if !ok {
		return
	}
	if len(items) == 0 {
		d.problem(e.value, "command is an empty list; expected %s", commandExpected)
	}
	argv := make([]string, 0, len(items))
	for i, item := range items {
		read := d.text
		if i == 0 {
			read = d.word
		}
		if arg, ok := read(item, "a text"); ok {
			argv = append(argv, arg)
		}
	}
	v.job.Action = Action{Kind: ActionCommand, Command: argv}
}

func readScript(d *decoder, e entry, v *jobValue) {
	script, _ := d.word(e, "a shell script, such as ./report.sh --daily")
	v.job.Action = Action{Kind: ActionRun, Script: script}
}

func readFunc(d *decoder, e entry, v *jobValue) {
	name, ok := d.word(e, "the name of a handler of this program")
	if !ok {
		return
	}
	for _, r := range name {
		if !plainNameRune(r) && r != '/' && r != ':' {
			d.problem(e.value, `func %s has %q; the name of a handler has letters, digits and "_", ".", "-", "/", ":"`, quoted(name), r)
			return
		}
	}
	v.job.Action = Action{Kind: ActionFunc, Func: name}
}

func readTimeout(d *decoder, e entry, v *jobValue) {
	v.job.Timeout, _ = d.duration(e, time.Millisecond, maxDuration, "no limit")
}

var retryShape = shape[Retry]{
	what: "retry", prefix: "retry.",
	fields: []field[Retry]{
		{"attempts", func(d *decoder, e entry, r *Retry) {
			if n, ok := d.integer(e, 1, 1000); ok {
				r.Attempts = n
			}
		}},
		{"backoff", func(d *decoder, e entry, r *Retry) {
			if v, ok := d.duration(e, time.Millisecond, maxDuration, "at once"); ok {
				r.Backoff = v
			}
		}},
		{"factor", func(d *decoder, e entry, r *Retry) {
			if v, ok := d.decimal(e, 1, 100); ok {
				r.Factor = v
			}
		}},
		{"max_backoff", func(d *decoder, e entry, r *Retry) {
			if v, ok := d.duration(e, time.Millisecond, maxDuration, ""); ok {
				r.MaxBackoff = v
			}
		}},
	},
}

func readRetry(d *decoder, e entry, v *jobValue) {
	object(d, e, &retryShape, "{attempts: 3, backoff: 10s}; attempts counts the first one", &v.job.Retry)
}

var catchUpShape = shape[CatchUp]{
	what: "catch_up", prefix: "catch_up.",
	fields: []field[CatchUp]{
		{"policy", readPolicy},
		{"window", func(d *decoder, e entry, c *CatchUp) {
			v, ok := d.duration(e, time.Millisecond, maxWindow, "")
			switch {
			case ok && v < alwaysRuns:
				d.problem(e.value, "%s is %s, but ticks up to %s late run whatever the policy; expected at least that", e.path(), short(v), short(alwaysRuns))
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
	if s, ok := d.oneOf(e, string(OverlapSkip), string(OverlapAllow)); ok {
		v.job.Overlap = Overlap(s)
	}
}

// oneOf reads one of a few words.
func (d *decoder) oneOf(e entry, words ...string) (string, bool) {
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
