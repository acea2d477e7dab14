package jobs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"gopkg.in/yaml.v3"
)

// MaxFileSize is the largest schedule file that is read.
const MaxFileSize = 4 << 20

// Version is the version of the file format this package reads.
const Version = 1

// Option changes how Load and Parse read a file.
type Option func(*decoder)

// WithZones takes the time zones of the file from that database. The default is
// EmbeddedZones.
func WithZones(z *Zones) Option { return func(d *decoder) { d.database = z } }

// Load reads and checks the schedule file at path. Everything that is wrong
// with its content comes back at once, as a *FileError; a file that cannot be
// read at all is an error that wraps the one of the file system.
func Load(path string, options ...Option) (*Schedule, error) {
	data, err := readFile(path, MaxFileSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read schedule: %w: name another file with --file or $CARILLON_FILE", err)
	}
	if err != nil {
		return nil, fmt.Errorf("read schedule: %w", err)
	}
	s, err := Parse(path, data, options...)
	if err != nil {
		return nil, err
	}
	s.Path = path
	return s, nil
}

func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	// One byte more than allowed tells the parser that the file is too large, and
	// keeps the wrong file (a disk image, /dev/zero) out of memory.
	return io.ReadAll(io.LimitReader(f, most+1))
}

// Parse checks the text of a schedule file; name stands for the file in messages,
// and its folder is where the paths of calendar files begin. Errors are as with
// Load.
func Parse(name string, data []byte, options ...Option) (*Schedule, error) {
	d := newDecoder(name)
	for _, option := range options {
		option(d)
	}
	s := &Schedule{Timezone: "UTC", Location: time.UTC, Zoneinfo: d.database.Version(), MaxWait: defaultMaxWait, byName: map[string]*Job{}, formerly: map[string]*Job{}}
	if doc := d.parse(data); doc != nil {
		d.allow(doc)
		d.schedule(doc, s)
	}
	if len(d.problems) > 0 {
		bad := newFileError(d.problems)
		bad.Files = d.files
		return nil, bad
	}
	s.Files = d.files
	compact(s)
	for _, j := range s.Jobs {
		s.byName[j.Name] = j
		if j.RenamedFrom != "" {
			s.formerly[j.RenamedFrom] = j
		}
	}
	s.follow()
	s.Digest = scheduleDigest(s)
	return s, nil
}

// newJob holds every default of a job, in one place.
func newJob() Job {
	return Job{
		Enabled:         true,
		CatchUp:         CatchUp{Policy: CatchUpLatest, Window: 24 * time.Hour, Max: 100},
		Overlap:         OverlapSkip,
		Priority:        5,
		Retry:           newRetry(),
		CrashRetries:    3,
		OnLost:          OnLostKill,
		Delivery:        DeliverAtLeastOnce,
		UnroutableAfter: 10 * time.Minute,
	}
}

// newRetry is the retry of a job, a step or an undo that says nothing: none.
func newRetry() Retry {
	return Retry{Attempts: 1, Backoff: 10 * time.Second, Factor: 2, MaxBackoff: 10 * time.Minute, NotOn: defaultNotOn()}
}

// defaultNotOn are the exit codes of a command that cannot be executed and of
// one that is not there: another try would find the same.
func defaultNotOn() []int { return []int{126, 127} }

// defaultMaxWait is how long a run may be overtaken by runs of a higher priority.
const defaultMaxWait = 10 * time.Minute

// fileValue is a file while it is read: jobs start as a copy of its defaults.
type fileValue struct {
	schedule *Schedule
	defaults jobValue
	jobs     []*Job
	links    []link // the jobs that follow others, checked when all are read
	renames  []link // the jobs that had another name, likewise
}

// fileShape lists the keys of a file. The order matters: jobs are read last,
// when the file's zone, groups, calendars and defaults are known.
var fileShape = shape[fileValue]{
	what: "the file",
	fields: []field[fileValue]{
		{"version", readVersion},
		{"revision", readRevision},
		{"timezone", readFileZone},
		{"redis", readRedis},
		{"heartbeat", readHeartbeat},
		{"max_wait", readMaxWait},
		{"groups", readGroups},
		{"calendars", readCalendars},
		{"silence", func(d *decoder, e entry, f *fileValue) { d.silence(e, &f.schedule.Silence) }},
		{"defaults", readDefaults},
		{"jobs", readJobs},
	},
}

func (d *decoder) schedule(doc *yaml.Node, s *Schedule) {
	f := fileValue{schedule: s, defaults: jobValue{job: newJob()}}
	e := entry{key: "the file", at: doc, value: doc}
	found, ok := object(d, e, &fileShape, `keys such as "timezone:" and "jobs:"`, &f)
	if ok && !found.has("jobs") {
		d.problem(doc, `there is no "jobs:"; expected at least one job under it`)
	}
}

func readVersion(d *decoder, e entry, _ *fileValue) {
	if v, ok := d.integer(e, 1, 1_000_000); ok && v != Version {
		d.problem(e.value, "version is %d; this carillon reads version %d", v, Version)
	}
}

// maxRevision is the largest whole number that every reader of JSON keeps exact.
const maxRevision = 1<<53 - 1

func readRevision(d *decoder, e entry, f *fileValue) {
	if v, ok := d.integer(e, 0, maxRevision); ok {
		f.schedule.Revision = int64(v)
	}
}

func readMaxWait(d *decoder, e entry, f *fileValue) {
	if v, ok := d.duration(e, time.Second, maxDuration, ""); ok {
		f.schedule.MaxWait = v
	}
}

func readFileZone(d *decoder, e entry, f *fileValue) {
	f.schedule.ZoneAt = Place{e.value.Line, e.value.Column}
	d.zone(e, &f.schedule.Timezone)
	f.schedule.Location, _ = d.location(f.schedule.Timezone) // a wrong name was reported
}

// zone reads a time zone into name and remembers its location.
func (d *decoder) zone(e entry, name *string) {
	s, ok := d.word(e, `a time zone such as "Europe/Berlin"`)
	if !ok {
		return
	}
	if _, err := d.location(s); err != nil {
		d.problem(d.resolve(e.value), "%s: %v", e.path(), err)
		return
	}
	*name = s
}

func (d *decoder) location(name string) (*time.Location, error) {
	known, ok := d.zones[name]
	if !ok {
		known.loc, known.err = d.database.Load(name)
		d.zones[name] = known
	}
	return known.loc, known.err
}

var redisShape = shape[fileValue]{
	what: "redis", prefix: "redis.",
	fields: []field[fileValue]{{"url", readRedisURL}, {"lock", readRedisLock}},
}

func readRedis(d *decoder, e entry, f *fileValue) {
	found, ok := object(d, e, &redisShape, `{url: "redis://host:6379/0"}`, f)
	if ok && !found.has("url") {
		d.problem(e.at, `redis has no url; expected {url: "redis://host:6379/0"}`)
	}
}

// redisDatabase is the path of a redis URL: nothing, or the number of a database.
var redisDatabase = regexp.MustCompile(`^/?[0-9]{0,6}$`)

// sentinelMaster is the path of a redis+sentinel URL: a name, and maybe the number
// of a database.
var sentinelMaster = regexp.MustCompile(`^/[^/]+(/[0-9]{0,6})?$`)

// clusterDatabase is the path of a redis+cluster URL.
var clusterDatabase = regexp.MustCompile(`^/?0?$`)

// readRedisURL checks the form only; the store that dials knows the rest. The
// URL may hold a password, so no message repeats it.
func readRedisURL(d *decoder, e entry, f *fileValue) {
	s, ok := d.word(e, `a URL such as "redis://host:6379/0"`)
	if !ok {
		return
	}
	at := d.resolve(e.value)
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "" || u.Opaque != "":
		hint := ""
		if !strings.ContainsAny(s, "@/? ") {
			hint = fmt.Sprintf("; did you mean %q?", "redis://"+s+"/0")
		}
		d.problem(at, `redis.url is not a URL; expected one such as "redis://host:6379/0"%s`, hint)
	case u.Scheme == "unix" && (u.Host != "" || len(u.Path) < 2):
		d.problem(at, `redis.url names no socket; expected its absolute path, such as "unix:///run/redis.sock?db=0"`)
	case u.Scheme == "unix":
		f.schedule.Redis = s
	case u.Scheme == "redis+sentinel" && (u.Host == "" || !sentinelMaster.MatchString(u.Path)):
		d.problem(at, `redis.url names no sentinels or no master; expected one such as "redis+sentinel://host:26379,host:26379/mymaster/0"`)
	case u.Scheme == "redis+sentinel":
		f.schedule.Redis = s
	case (u.Scheme == "redis+cluster" || u.Scheme == "rediss+cluster") && (u.Host == "" || !clusterDatabase.MatchString(u.Path)):
		d.problem(at, `redis.url names no nodes, or a database other than 0, the only one of a cluster; expected one such as "redis+cluster://host:6379,host:6379"`)
	case u.Scheme == "redis+cluster" || u.Scheme == "rediss+cluster":
		f.schedule.Redis = s
	case u.Scheme != "redis" && u.Scheme != "rediss":
		d.problem(at, "redis.url begins with %q; expected redis://, rediss:// (TLS), unix://, redis+sentinel:// or redis+cluster://%s", u.Scheme+"://",
			didYouMean(u.Scheme, []string{"redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "rediss+cluster"}))
	case u.Hostname() == "":
		d.problem(at, `redis.url names no host; expected one such as "redis://host:6379/0"`)
	case !redisDatabase.MatchString(u.Path):
		d.problem(at, `redis.url ends in %s; expected the number of a database, such as "/0"`, quoted(u.Path))
	default:
		f.schedule.Redis = s
	}
}

// readRedisLock reads the addresses of the lock Redises. As for redis.url, only the
// form is checked, and no message repeats one.
func readRedisLock(d *decoder, e entry, f *fileValue) {
	const expected = `3, 5, 7 or 9 addresses, such as ["redis://10.0.1.1:6379", "redis://10.0.1.2:6379", "redis://10.0.1.3:6379"]`
	items, ok := d.list(e, expected)
	if !ok {
		return
	}
	if n := len(items); n < 3 || n > 9 || n%2 == 0 {
		d.problem(d.resolve(e.value), "%s has %d addresses; expected 3, 5, 7 or 9: more than half of them must live", e.path(), n)
	}
	var list []string
	for _, item := range items {
		s, ok := d.word(item, `a URL such as "redis://host:6379/0"`)
		if !ok {
			continue
		}
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Opaque != "",
			u.Scheme == "unix" && (u.Host != "" || len(u.Path) < 2),
			u.Scheme != "unix" && (u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || !redisDatabase.MatchString(u.Path)):
			d.problem(d.resolve(item.value), `%s is no address of one Redis; expected one such as "redis://host:6379/0" (or rediss://, unix://)`, item.path())
		case slices.Contains(list, s):
			d.problem(d.resolve(item.value), "%s is there twice; it would have two votes", item.path())
		}
		list = append(list, s)
	}
	f.schedule.LockRedis = list
}

// Bounds of heartbeat.every, and what it is when the file does not say.
const (
	heartbeatLeast   = 10 * time.Second
	heartbeatMost    = 24 * time.Hour
	heartbeatDefault = time.Minute
)

var heartbeatShape = shape[Heartbeat]{
	what: "heartbeat", prefix: "heartbeat.",
	fields: []field[Heartbeat]{
		{"url", func(d *decoder, e entry, h *Heartbeat) { h.URL, _ = d.httpURL(e) }},
		{"every", func(d *decoder, e entry, h *Heartbeat) { h.Every, _ = d.duration(e, heartbeatLeast, heartbeatMost, "") }},
	},
}

func readHeartbeat(d *decoder, e entry, f *fileValue) {
	const expected = `{url: "https://host/path", every: 1m}`
	if n := d.resolve(e.value); n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "://") {
		d.problem(n, "heartbeat is a text; expected %s", expected) // it may hold a password
		return
	}
	h := Heartbeat{Every: heartbeatDefault}
	found, ok := object(d, e, &heartbeatShape, expected, &h)
	if !ok {
		return
	}
	if !found.has("url") {
		d.problem(e.at, "heartbeat has no url; expected %s", expected)
	}
	f.schedule.Heartbeat = h
}

func readDefaults(d *decoder, e entry, f *fileValue) {
	v := jobValue{job: newJob(), schedule: f.schedule}
	if _, ok := object(d, e, &defaultsShape, "keys of a job, such as {timeout: 10m}", &v); ok {
		f.defaults = v
	}
}

const maxName = 64

// badName says what is wrong with the name of a job, a step or a group, or "".
// Names become parts of Redis keys, run ids and variables, so they are kept
// plain.
func badName(what, name string) string {
	rule := "a " + what + ` name has letters, digits, "_", "." and "-", begins with a letter or a digit, and has at most 64 characters`
	if name == "" {
		return "the name of a " + what + " is empty; " + rule
	}
	for i, r := range []rune(name) {
		if plainNameRune(r) && (i > 0 || r != '_' && r != '.' && r != '-') {
			continue
		}
		shown := fmt.Sprintf("%q", r)
		if r > unicode.MaxASCII || r < ' ' {
			shown = fmt.Sprintf("%q (U+%04X)", r, r)
		}
		where := fmt.Sprintf("has %s as character %d", shown, i+1)
		if i == 0 {
			where = "begins with " + shown
		}
		return fmt.Sprintf("%s name %s %s; %s%s", what, quoted(name), where, rule, plainName(name))
	}
	if len(name) > maxName {
		return fmt.Sprintf("%s name %s has %d characters; %s", what, quoted(name), len(name), rule)
	}
	return ""
}

func plainNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-'
}

// plainName offers the name with its odd characters replaced.
func plainName(name string) string {
	plain := strings.Map(func(r rune) rune {
		if plainNameRune(r) {
			return r
		}
		return '-'
	}, name)
	plain = strings.Trim(plain, "-_.")
	if plain == "" || len(plain) > maxName {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", plain)
}
