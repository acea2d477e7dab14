package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// golden compares with a file of testdata, or rewrites it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func TestRejectedFilesSayWhy(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			s, err := Parse(filepath.Base(file), data)
			require.Nil(t, s)
			var bad *FileError
			require.ErrorAs(t, err, &bad)
			require.NotEmpty(t, bad.Problems)
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
			assert.NotContains(t, err.Error(), "hunter2", "a password in a message")
		})
	}
}

func TestAcceptedFilesMeanThis(t *testing.T) {
	files, err := filepath.Glob("testdata/*.good.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			s, err := Load(file)
			require.NoError(t, err)
			assert.Equal(t, file, s.Path)
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", render(t, s))
		})
	}
}

// render writes a schedule for people to read: one line a job.
func render(t *testing.T, s *Schedule) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "timezone=%s redis=%s digest=%s\n", s.Timezone, s.Redis, s.Digest)
	if len(s.LockRedis) > 0 {
		fmt.Fprintf(&b, "lock=%s\n", strings.Join(s.LockRedis, " "))
	}
	if s.Heartbeat != (Heartbeat{}) {
		fmt.Fprintf(&b, "heartbeat=%s every %s\n", s.Heartbeat.URL, s.Heartbeat.Every)
	}
	for _, j := range s.Jobs {
		specs := make([]string, len(j.Specs))
		for i, spec := range j.Specs {
			specs[i] = spec.String() + " in " + spec.Location().String()
		}
		c := *j
		c.Specs, c.Followers = nil, nil
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		require.NoError(t, enc.Encode(c))
		fmt.Fprintf(&b, "%s: %q\n%s", j.Name, specs, text.String())
		for _, f := range j.Followers {
			fmt.Fprintf(&b, "then: %s\n", f.Name)
		}
		require.Same(t, j, s.Job(j.Name))
	}
	return b.String()
}

func TestReferenceScheduleLoads(t *testing.T) {
	s, err := Load("../schedule.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, s.Jobs)
	assert.Empty(t, s.Redis, "the reference must start without a Redis")
	for _, j := range s.Jobs {
		assert.NotEmpty(t, j.Description, j.Name)
		for _, a := range j.Actions() {
			if a.Kind == ActionHTTP {
				assert.False(t, j.Enabled, "%s needs a network", j.Name)
			}
			assert.NotEqual(t, ActionFunc, a.Kind, "%s needs a handler", j.Name)
		}
		assert.Empty(t, j.User, "%s needs root", j.Name)
		assert.Empty(t, j.Secrets, "%s needs a secret", j.Name)
		assert.Equal(t, AnyRoute, j.Route(), "%s needs a node of its own", j.Name)
		_, err := j.BindParams(nil)
		assert.NoError(t, err, "a bare trigger of %s", j.Name)
	}
}

// The reference is only a reference while it shows every key there is.
func TestReferenceScheduleShowsEveryKey(t *testing.T) {
	data, err := os.ReadFile("../schedule.yaml")
	require.NoError(t, err)
	var keys []string
	keys = append(keys, fileShape.keys()...)
	keys = append(keys, heartbeatShape.keys()...)
	keys = append(keys, jobShape.keys()...)
	keys = append(keys, retryShape.keys()...)
	keys = append(keys, catchUpShape.keys()...)
	keys = append(keys, httpShape.keys()...)
	keys = append(keys, paramShape.keys()...)
	keys = append(keys, stepShape.keys()...)
	keys = append(keys, undoShape.keys()...)
	keys = append(keys, afterShape.keys()...)
	keys = append(keys, groupShape.keys()...)
	keys = append(keys, secretShape.keys()...)
	keys = append(keys, calendarShape.keys()...)
	keys = append(keys, fromToShape.keys()...)
	keys = append(keys, dstShape.keys()...)
	for _, key := range keys {
		assert.Regexp(t, `(?m)(^|[ #{-])`+key+`:`, string(data))
	}
}

func TestDefaultsOfAJob(t *testing.T) {
	s, err := Parse("s.yaml", []byte("jobs: {a: {run: echo}}"))
	require.NoError(t, err)
	j := s.Job("a")
	assert.Equal(t, CatchUp{Policy: CatchUpLatest, Window: 24 * time.Hour, Max: 100}, j.CatchUp)
	assert.Equal(t, Retry{Attempts: 1, Backoff: 10 * time.Second, Factor: 2, MaxBackoff: 10 * time.Minute, NotOn: []int{126, 127}}, j.Retry)
	assert.Equal(t, OverlapSkip, j.Overlap)
	assert.Equal(t, 5, j.Priority)
	assert.Zero(t, j.Timeout)
	assert.True(t, j.Enabled)
	assert.Equal(t, "UTC", j.Timezone)
	assert.Empty(t, j.Specs, "no schedule: by hand only")
	assert.Nil(t, s.Job("b"))
	assert.Empty(t, s.Path)
}

func TestJobsDoNotShareTheirEnv(t *testing.T) {
	s, err := Parse("s.yaml", []byte("defaults: {env: {A: 1}}\njobs:\n  a: {run: echo, env: {B: 2}}\n  b: {run: echo}\n"))
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"A": "1", "B": "2"}, s.Job("a").Env)
	assert.Equal(t, map[string]string{"A": "1"}, s.Job("b").Env)
}

func TestLoadSaysWhatIsWrongWithTheFileItself(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.yaml"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, "--file")

	_, err = Load(dir)
	require.ErrorContains(t, err, dir)
	var bad *FileError
	assert.False(t, errors.As(err, &bad))

	large := filepath.Join(dir, "large.yaml")
	require.NoError(t, os.WriteFile(large, bytes.Repeat([]byte("#\n"), MaxFileSize), 0o644))
	_, err = Load(large)
	require.ErrorAs(t, err, &bad)
	assert.Equal(t, large+":1:1: the file is larger than 4 MiB; expected a schedule", err.Error())
}

func TestByteOrderMarkAndLineEndsOfWindows(t *testing.T) {
	s, err := Parse("s.yaml", []byte("\ufeffjobs:\r\n  a:\r\n    run: |\r\n      echo 1\r\n      echo 2\r\n"))
	require.NoError(t, err)
	assert.Equal(t, "echo 1\necho 2\n", s.Job("a").Action.Script)
}

func TestAliasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("defaults: {env: &env {")
	for i := range 20_000 {
		fmt.Fprintf(&b, "V%d: %s, ", i, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
	}
	b.WriteString("}}\njobs:\n")
	for i := range 5_000 {
		fmt.Fprintf(&b, "  j%d: {run: echo, env: *env}\n", i)
	}
	start := time.Now()
	_, err := Parse("bomb.yaml", []byte(b.String()))
	require.ErrorContains(t, err, "expand to more than 64 MiB")
	assert.Less(t, time.Since(start), slack*20*time.Second)
}

func TestLaughsOfAliasesOfAliases(t *testing.T) {
	text := "jobs:\n  a: {run: echo, env: &e0 {A: 1}}\n"
	for i := 1; i < 40; i++ {
		text += fmt.Sprintf("  j%d: {run: echo, env: &e%d {<<: [*e%d, *e%d, *e%d]}}\n", i, i, i-1, i-1, i-1)
	}
	_, err := Parse("laughs.yaml", []byte(text))
	require.ErrorContains(t, err, "expand to more than 64 MiB")
}

func TestAnAliasOfItselfEnds(t *testing.T) {
	for _, text := range []string{
		"jobs: &j {a: {run: echo, env: *j}}\n",
		"&x jobs: {a: {run: echo, params: &p {p: *p}}}\n",
		"jobs: {a: &a {run: echo, schedule: &s [*s, *a]}}\n",
		"&all jobs: {a: {*all : 1}}\n",
	} {
		_, err := Parse("s.yaml", []byte(text))
		require.Error(t, err, text)
	}
}

func TestProblemsAreCutAtAThousand(t *testing.T) {
	text := "jobs:\n"
	for i := range 5000 {
		text += fmt.Sprintf("  j%d: {run: echo, priority: 11}\n", i)
	}
	_, err := Parse("s.yaml", []byte(text))
	var bad *FileError
	require.ErrorAs(t, err, &bad)
	require.Len(t, bad.Problems, 1001)
	assert.Contains(t, bad.Problems[1000].Message, "there are more problems")
}

func TestAnAnchorIsWrongOnce(t *testing.T) {
	_, err := Parse("s.yaml", []byte("defaults: {retry: &r {attempts: 0}}\njobs:\n  a: {run: echo, retry: *r}\n  b: {run: echo, retry: *r}\n"))
	require.EqualError(t, err, "s.yaml:1:33: retry.attempts is 0; expected a whole number from 1 to 1000")
}

// chain is n jobs, each after the one before it; the first is after first.
func chain(n int, first string) []byte {
	var b strings.Builder
	b.WriteString("jobs:\n")
	for i := range n {
		fmt.Fprintf(&b, "  j%d: {run: echo, after: {job: %s}}\n", i, first)
		first = fmt.Sprintf("j%d", i)
	}
	b.WriteString("  root: {run: echo}\n")
	return []byte(b.String())
}

func TestALongChainOfJobsIsReadQuickly(t *testing.T) {
	start := time.Now()
	s, err := Parse("s.yaml", chain(20_000, "root"))
	require.NoError(t, err)
	assert.Equal(t, "j0", s.Job("root").Followers[0].Name)
	_, err = Parse("s.yaml", chain(20_000, "j19999"))
	require.EqualError(t, err, `s.yaml:2:32: job "j0": after closes a circle: j0 -> j1 -> j2 -> j3 -> j4 -> j5 -> j6 -> j7 -> j8 -> j9 -> j10 -> ... -> j19999 -> j0, each of them starting the next for ever; take the after of one away`)
	assert.Less(t, time.Since(start), slack*20*time.Second)
}

// A job that hangs on to a circle is not part of it, wherever it stands.
func TestACircleIsNamedOnce(t *testing.T) {
	_, err := Parse("s.yaml", []byte("jobs: {x: {run: echo, after: {job: c}}, a: {run: echo, after: {job: c}}, b: {run: echo, after: {job: a}}, c: {run: echo, after: {job: b}}}"))
	require.Error(t, err)
	var bad *FileError
	require.ErrorAs(t, err, &bad)
	require.Len(t, bad.Problems, 1)
	assert.Contains(t, bad.Problems[0].Message, "c -> a -> b -> c")
}
