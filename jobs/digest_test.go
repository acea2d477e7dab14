package jobs

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func oneJob(t *testing.T, text string) (*Schedule, *Job) {
	t.Helper()
	s, err := Parse("s.yaml", []byte(text))
	require.NoError(t, err, text)
	return s, s.Jobs[0]
}

const digestBase = `
jobs:
  a: {schedule: "0 2 * * *", run: echo, env: {A: "1", B: "2"}, timeout: 90s, params: {x: {default: "1"}, y: {default: "2"}}}
`

func TestDigestsIgnoreTheLayoutOfTheFile(t *testing.T) {
	s, j := oneJob(t, digestBase)
	for _, same := range []string{
		// the order of keys, the style, comments, spellings of one value
		"version: 1\ntimezone: UTC\njobs:\n  a:\n    # a comment\n    params: {y: {default: 2}, x: {default: 1, required: false}}\n    timeout: 1m30s\n    env:\n      B: 2\n      A: 1\n    run: echo\n    schedule: ['0  2 * * *']\n",
		// what the defaults say instead
		"defaults: {timeout: 90s, env: {A: 1}, retry: {attempts: 1}}\njobs: {a: {schedule: 0 2 * * *, run: echo, env: {B: 2}, enabled: true, params: {x: {default: 1}, y: {default: 2}}}}\n",
	} {
		s2, j2 := oneJob(t, same)
		assert.Equal(t, j.Digest, j2.Digest, same)
		assert.Equal(t, j.Timing, j2.Timing, same)
		assert.Equal(t, s.Digest, s2.Digest, same)
	}
	require.Len(t, j.Digest, 16)
	require.Len(t, j.Timing, 16)
	require.Len(t, s.Digest, 16)
}

// A digest that changes without need parks runs and moves cursors on every
// cluster that upgrades. Whoever changes these constants changes the form, on
// purpose.
func TestDigestsStayTheSameFromReleaseToRelease(t *testing.T) {
	s, j := oneJob(t, digestBase)
	assert.Equal(t, "e36d1901012ec73b", j.Digest)
	assert.Equal(t, "0f22df408b3dc930", j.Timing)
	assert.Equal(t, "0e126084d352a33a", s.Digest)
}

// The keys that came later are in no digest of a job that does without them, so
// that an upgrade parks nobody's runs.
func TestNewKeysLeaveOldDigestsAlone(t *testing.T) {
	for _, c := range []struct{ text, definition, timing, schedule string }{
		{`{run: echo}`, "61babbc16295c7a6", "fd4bc992188f88ca", "6e889fe1fc4e9368"},
		{`{schedule: ["@hourly", "0 2 * * *"], command: [./backup.sh, --full], env: {A: b}, dir: /srv, user: backup, timeout: 30m}`,
			"94397403903cc14f", "837343c24ba42aa6", "a49312088144506c"},
		{`{http: {method: POST, url: "http://h/", headers: {accept: text/plain}, body: x, expect: [200, 204]}, retry: {attempts: 5, backoff: 1s, factor: 1.5, max_backoff: 1m}}`,
			"c6623990a0ba2572", "fd4bc992188f88ca", "6482cedf717a2f60"},
		{`{func: report, enabled: false, overlap: allow, priority: 9, catch_up: {policy: all, window: 1h, max: 3}}`,
			"a12ede02e356bfeb", "6f45acebbc6e6756", "f923310418beb83a"},
		{`{run: echo, description: text, timezone: Europe/Berlin, schedule: "30 2 * * *", params: {day: {pattern: "[0-9]+", default: "1"}, b: {required: false}}}`,
			"bd539c87b4edc5b9", "5328e56330642179", "06f175c3c34ef63c"},
		// what the defaults say anyway
		{`{run: echo, retry: {attempts: 1, not_on: [127, 126]}, crash_retries: 3, on_lost: kill, delivery: at-least-once, unroutable_after: 600s, every_node: false}`,
			"61babbc16295c7a6", "fd4bc992188f88ca", "6e889fe1fc4e9368"},
	} {
		s, j := oneJob(t, "jobs: {a: "+c.text+"}")
		assert.Equal(t, c.definition, j.Digest, c.text)
		assert.Equal(t, c.timing, j.Timing, c.text)
		assert.Equal(t, c.schedule, s.Digest, c.text)
	}
	for _, text := range []string{
		"heartbeat: {url: 'https://h/secret', every: 10s}\njobs: {a: {run: echo}}",
		"max_wait: 10m\ngroups: {unused: {}}\njobs: {a: {run: echo}}",
		"calendars: {unused: {dates: [12-25]}}\nsilence: [over]\njobs: {a: {run: echo, silence: [over]}}",
		"calendars: {c: {dates: [12-25]}}\ndefaults: {exclude: c, shift: next-business-day, dst: {gap: skip}, jitter: 5m}\njobs: {a: {run: echo}}",
	} {
		s, _ := oneJob(t, text)
		assert.Equal(t, "6e889fe1fc4e9368", s.Digest, text)
	}
	_, j := oneJob(t, `{calendars: {c: {dates: [12-25]}}, defaults: {exclude: c}, jobs: {a: {schedule: "0 2 * * *", run: echo, env: {A: "1", B: "2"}, exclude: [], offset: 0, jitter: 0}}}`)
	assert.Equal(t, "0f22df408b3dc930", j.Timing, "what is taken away again")
}

func TestEachChangeReachesTheRightDigest(t *testing.T) {
	base, job := oneJob(t, "jobs: {a: {schedule: \"@hourly\", run: echo}}")
	for _, c := range []struct {
		text               string
		definition, timing bool
	}{
		{`{schedule: "@hourly", run: echo 2}`, true, false},
		{`{schedule: "@hourly", command: [echo]}`, true, false},
		{`{schedule: "@hourly", func: echo}`, true, false},
		{`{schedule: "@hourly", http: {url: "http://h/"}}`, true, false},
		{`{schedule: "@hourly", run: echo, env: {A: b}}`, true, false},
		{`{schedule: "@hourly", run: echo, dir: /tmp}`, true, false},
		{`{schedule: "@hourly", run: echo, user: me}`, true, false},
		{`{schedule: "@hourly", run: echo, timeout: 1s}`, true, false},
		{`{schedule: "@hourly", run: echo, retry: {attempts: 2}}`, true, false},
		{`{schedule: "@hourly", run: echo, params: {a: {default: ""}}}`, true, false},
		{`{schedule: "@hourly", run: echo, undo: {run: echo}}`, true, false},
		{`{schedule: "@hourly", steps: [{name: a, run: echo}]}`, true, false},
		{`{schedule: "@hourly", run: echo, retry: {on: [1]}}`, true, false},
		{`{schedule: "@hourly", run: echo, retry: {not_on: [1]}}`, true, false},
		{`{schedule: "@hourly", run: echo, retry: {not_on: []}}`, true, false},
		{`{schedule: "@hourly", run: echo, on_lost: keep}`, true, false},
		{`{schedule: "@hourly", run: echo, secrets: {A: {env: A}}}`, true, false},
		{`{schedule: "@daily", run: echo}`, false, true},
		{`{schedule: ["@hourly", "@daily"], run: echo}`, false, true},
		{`{schedule: "@hourly", run: echo, timezone: Europe/Berlin}`, false, true},
		{`{schedule: "@hourly", run: echo, enabled: false}`, false, true},
		{`{run: echo}`, false, true},
		{`{schedule: "@hourly", run: echo, description: x}`, false, false},
		{`{schedule: "@hourly", run: echo, priority: 1}`, false, false},
		{`{schedule: "@hourly", run: echo, overlap: allow}`, false, false},
		{`{schedule: "@hourly", run: echo, overlap: queue}`, false, false},
		{`{schedule: "@hourly", run: echo, overlap: replace}`, false, false},
		{`{schedule: "@hourly", run: echo, catch_up: all}`, false, false},
		{`{schedule: "@hourly", run: echo, group: g}`, false, false},
		{`{schedule: "@hourly", run: echo, pool: p}`, false, false},
		{`{schedule: "@hourly", run: echo, nodes: {a: b}}`, false, false},
		{`{schedule: "@hourly", run: echo, every_node: true}`, false, false},
		{`{schedule: "@hourly", run: echo, crash_retries: 4}`, false, false},
		{`{schedule: "@hourly", run: echo, delivery: at-most-once}`, false, false},
		{`{schedule: "@hourly", run: echo, unroutable_after: 1m}`, false, false},
		{`{schedule: "@hourly", run: echo, at: 2026-12-25T10:00:00Z}`, false, true},
		{`{run: echo, at: 2026-12-25T10:00:00Z}`, false, true},
		{`{schedule: "@hourly", run: echo, start: 2026-12-25}`, false, true},
		{`{schedule: "@hourly", run: echo, end: 2026-12-25}`, false, true},
		{`{schedule: "@hourly", run: echo, start: 2026-12-25, every_n: 2}`, false, true},
		{`{schedule: "@hourly", run: echo, dst: {gap: skip}}`, false, true},
		{`{schedule: "@hourly", run: echo, dst: {overlap: twice}}`, false, true},
		{`{schedule: "@hourly", run: echo, only: c}`, false, true},
		{`{schedule: "@hourly", run: echo, exclude: c}`, false, true},
		{`{schedule: "@hourly", run: echo, exclude: c, shift: next-business-day}`, false, true},
		{`{schedule: "@hourly", run: echo, jitter: 5m}`, false, false},
	} {
		s, j := oneJob(t, "groups: {g: {}}\ncalendars: {c: {dates: [12-25]}}\njobs: {a: "+c.text+"}")
		assert.Equal(t, c.definition, j.Digest != job.Digest, "definition of %s", c.text)
		assert.Equal(t, c.timing, j.Timing != job.Timing, "timing of %s", c.text)
		assert.NotEqual(t, base.Digest, s.Digest, "schedule of %s", c.text)
	}
}

// Texts in one line differ in when they fire, so all of their digests do.
func TestEverythingThatDecidesWhenIsInTheTiming(t *testing.T) {
	for _, texts := range [][]string{
		{`at: 2026-12-25T10:00:00Z`, `at: 2026-12-25T10:00:01Z`, `at: [2026-12-25T10:00:00Z, 2026-12-25T10:00:01Z]`, `at: 0001-01-01T00:00:00Z`},
		{
			`schedule: "@every 1h"`, `schedule: "@every 1h", offset: 5m`, `schedule: "@every 1h", offset: 6m`,
			`schedule: "@every 1h", start: 2026-01-01`, `schedule: "@every 1h", end: 2026-01-01`, `schedule: "@every 1h", start: 2026-01-02`,
		},
		{
			`schedule: "@daily", start: 2026-01-01`, `schedule: "@daily", start: 2026-01-01, every_n: 2`,
			`schedule: "@daily", start: 2026-01-01, every_n: 2 days`, `schedule: "@daily", start: 2026-01-01, every_n: 3`,
		},
		{
			`schedule: "@daily"`, `schedule: "@daily", dst: {gap: skip}`, `schedule: "@daily", dst: {overlap: twice}`, `schedule: "@daily", dst: {gap: skip, overlap: twice}`,
			`schedule: "@daily", only: c`, `schedule: "@daily", exclude: c`, `schedule: "@daily", only: d`, `schedule: "@daily", exclude: d`,
			`schedule: "@daily", exclude: [c, d]`, `schedule: "@daily", only: c, exclude: d`,
			`schedule: "@daily", exclude: c, shift: next-business-day`, `schedule: "@daily", exclude: c, shift: previous-business-day`,
		},
	} {
		seen := map[string]string{}
		for _, text := range texts {
			_, j := oneJob(t, "calendars: {c: {dates: [12-25]}, d: {dates: [12-26]}}\njobs: {a: {run: echo, "+text+"}}")
			assert.Empty(t, seen[j.Timing], "%s has the timing of it", text)
			seen[j.Timing] = text
		}
	}
}

// The same instants and the same days, written in another way, are the same timing.
func TestTimingIsWhatIsMeant(t *testing.T) {
	timing := func(calendars, job string) string {
		_, j := oneJob(t, "timezone: Europe/Berlin\ncalendars: {"+calendars+"}\njobs: {a: {run: echo, "+job+"}}")
		return j.Timing
	}
	for _, same := range [][][2]string{
		{
			{``, `at: [2026-12-25T10:00:00Z, 2026-12-26T10:00:00Z]`},
			{``, `at: [2026-12-26T11:00:00+01:00, 2026-12-25T10:00:00Z]`},
		},
		{
			{``, `schedule: "@daily", start: 2026-12-25, end: 2026-12-26, every_n: 2`},
			{``, `schedule: "@daily", start: 2026-12-25T00:00:00+01:00, end: "2026-12-26T22:59:59Z", every_n: 2 weeks`},
			{``, `schedule: "@daily", start: 2026-12-25, end: 2026-12-26, every_n: {weeks: 2}`},
		},
		{
			{``, `schedule: "@daily", start: 2026-12-25`},
			{``, `schedule: "@daily", start: 2026-12-25, every_n: 1 day`},
		},
		{
			{`c: {dates: [12-25, 12-26, 2026-04-03], weekdays: [sat, sun]}`, `schedule: "@daily", exclude: c`},
			{`other: {weekdays: [sun, sat], dates: [12-25..12-26, 2026-04-03..2026-04-05]}`, `schedule: "@daily", exclude: other`},
			{`b: {weekdays: [sun, sat]}, c: {dates: [2026-04-03, {from: 12-25, to: 12-26}, 2030-12-26]}`, `schedule: "@daily", exclude: [b, c]`},
			{`b: {weekdays: [sun]}, c: {dates: [2026-04-03, 12-26]}, d: {dates: [12-25, 2026-04-03]}, e: {weekdays: [sat]}`, `schedule: "@daily", exclude: [e, d, c, b]`},
		},
		{
			{`c: {dates: [2026-12-24..2027-01-02]}`, `schedule: "@daily", only: c`},
			{`c: {dates: [2026-12-24..2026-12-31]}, d: {dates: [2026-12-30..2027-01-02]}`, `schedule: "@daily", only: [c, d]`},
		},
		{
			{`c: {weekdays: [mon, tue, wed, thu, fri, sat, sun]}`, `schedule: "@daily", only: c`},
			{`c: {dates: [01-01..12-31]}`, `schedule: "@daily", only: c`},
			{`c: {weekdays: [mon, tue, wed, thu]}, d: {weekdays: [fri, sat, sun], dates: [2026-12-24]}`, `schedule: "@daily", only: [c, d]`},
		},
		{
			{`c: {ics: testdata/ics/outlook.ics}`, `schedule: "@daily", only: c`},
			{`c: {dates: [2026-01-30, 2026-02-27, 2026-03-27, 2026-04-24, 2026-05-29, 2026-06-26]}`, `schedule: "@daily", only: c`},
		},
	} {
		for _, other := range same[1:] {
			assert.Equal(t, timing(same[0][0], same[0][1]), timing(other[0], other[1]), other)
		}
	}
}

// Texts in one line differ in one thing each, so all of their digests do.
func TestEverythingThatAnAttemptExecutesIsInItsDigest(t *testing.T) {
	for _, texts := range [][]string{
		{
			`steps: [{name: a, run: echo}]`, `steps: [{name: b, run: echo}]`, `steps: [{name: a, run: echo 2}]`, `steps: [{name: a, command: [echo]}]`,
			`steps: [{name: a, run: echo, timeout: 1s}]`, `steps: [{name: a, run: echo, retry: {attempts: 2}}]`,
			`steps: [{name: a, run: echo, retry: {on: [1]}}]`, `steps: [{name: a, run: echo, retry: {not_on: []}}]`,
			`steps: [{name: a, run: echo, undo: {run: back}}]`, `steps: [{name: a, run: echo, undo: {run: back 2}}]`,
			`steps: [{name: a, run: echo, undo: {run: back, timeout: 1s}}]`, `steps: [{name: a, run: echo, undo: {run: back, retry: {attempts: 2}}}]`,
			`steps: [{name: a, run: echo}, {name: b, run: echo 2}]`, `steps: [{name: b, run: echo 2}, {name: a, run: echo}]`,
			`run: echo`, `{run: echo, undo: {run: back}}`, `{run: echo, undo: {run: back, timeout: 1s}}`,
		},
		{
			`{run: echo, params: {p: {required: false}}}`, `{run: echo, params: {p: {required: false, type: integer}}}`,
			`{run: echo, params: {p: {required: false, enum: [a, b]}}}`, `{run: echo, params: {p: {required: false, enum: [a, c]}}}`,
		},
		{
			`{run: echo, secrets: {A: {env: A}}}`, `{run: echo, secrets: {B: {env: A}}}`, `{run: echo, secrets: {A: {env: B}}}`, `{run: echo, secrets: {A: {file: /A}}}`,
		},
	} {
		seen := map[string]string{}
		for _, text := range texts {
			if text[0] != '{' {
				text = "{" + text + "}"
			}
			_, j := oneJob(t, "jobs: {a: "+text+"}")
			assert.Empty(t, seen[j.Digest], "has the digest of %s", text)
			seen[j.Digest] = text
		}
	}
	_, one := oneJob(t, `jobs: {a: {run: echo, params: {p: {required: false, enum: [a, b]}}, secrets: {A: {env: A}, B: {env: B}}, retry: {on: [2, 1]}}}`)
	_, two := oneJob(t, `jobs: {a: {run: echo, params: {p: {required: false, enum: [b, a]}}, secrets: {B: {env: B}, A: {env: A}}, retry: {on: [1, 2, 1]}}}`)
	assert.Equal(t, one.Digest, two.Digest, "an order that means nothing")
}

func TestWhatShapesTheScheduleIsInItsDigest(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{
		`jobs: {a: {run: echo}, b: {run: echo}}`,
		`{max_wait: 1m, jobs: {a: {run: echo}, b: {run: echo}}}`,
		`{groups: {g: {}}, jobs: {a: {run: echo, group: g}, b: {run: echo}}}`,
		`{groups: {g: {limit: 2}}, jobs: {a: {run: echo, group: g}, b: {run: echo}}}`,
		`{groups: {h: {}}, jobs: {a: {run: echo, group: h}, b: {run: echo}}}`,
		`jobs: {a: {run: echo, after: {job: b}}, b: {run: echo}}`,
		`jobs: {a: {run: echo, after: {job: b, when: failure}}, b: {run: echo}}`,
		`jobs: {a: {run: echo}, b: {run: echo, after: {job: a}}}`,
		`jobs: {a: {run: echo, overlap: allow}, b: {run: echo}}`,
		`jobs: {a: {run: echo, overlap: allow, max_running: 2}, b: {run: echo}}`,
		`jobs: {a: {run: echo, nodes: {x: y}}, b: {run: echo}}`,
		`jobs: {a: {run: echo, nodes: {x: z}}, b: {run: echo}}`,
	} {
		s, j := oneJob(t, text)
		assert.Empty(t, seen[s.Digest], "has the digest of %s", text)
		seen[s.Digest] = text
		assert.Equal(t, "61babbc16295c7a6", j.Digest, "what an attempt executes is the same in %s", text)
	}
}

func TestTheOrderOfJobsIsNotInTheDigest(t *testing.T) {
	one, _ := oneJob(t, "jobs: {a: {run: echo a}, b: {run: echo b}}")
	two, _ := oneJob(t, "jobs: {b: {run: echo b}, a: {run: echo a}}")
	assert.Equal(t, one.Digest, two.Digest)
	swapped, _ := oneJob(t, "jobs: {a: {run: echo b}, b: {run: echo a}}")
	assert.NotEqual(t, one.Digest, swapped.Digest)
}
