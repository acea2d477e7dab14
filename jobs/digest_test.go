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
		{`{schedule: "@daily", run: echo}`, false, true},
		{`{schedule: ["@hourly", "@daily"], run: echo}`, false, true},
		{`{schedule: "@hourly", run: echo, timezone: Europe/Berlin}`, false, true},
		{`{schedule: "@hourly", run: echo, enabled: false}`, false, true},
		{`{run: echo}`, false, true},
		{`{schedule: "@hourly", run: echo, description: x}`, false, false},
		{`{schedule: "@hourly", run: echo, priority: 1}`, false, false},
		{`{schedule: "@hourly", run: echo, overlap: allow}`, false, false},
		{`{schedule: "@hourly", run: echo, catch_up: all}`, false, false},
	} {
		s, j := oneJob(t, "jobs: {a: "+c.text+"}")
		assert.Equal(t, c.definition, j.Digest != job.Digest, "definition of %s", c.text)
		assert.Equal(t, c.timing, j.Timing != job.Timing, "timing of %s", c.text)
		assert.NotEqual(t, base.Digest, s.Digest, "schedule of %s", c.text)
	}
}

func TestTheOrderOfJobsIsNotInTheDigest(t *testing.T) {
	one, _ := oneJob(t, "jobs: {a: {run: echo a}, b: {run: echo b}}")
	two, _ := oneJob(t, "jobs: {b: {run: echo b}, a: {run: echo a}}")
	assert.Equal(t, one.Digest, two.Digest)
	swapped, _ := oneJob(t, "jobs: {a: {run: echo b}, b: {run: echo a}}")
	assert.NotEqual(t, one.Digest, swapped.Digest)
}
