package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// loadScreen is a screen with a schedule file of these jobs, on a Sunday at noon.
func loadScreen(t *testing.T, f *fakeStore, text string) screen {
	t.Helper()
	path := filepath.Join(t.TempDir(), "schedule.yaml")
	require.NoError(t, os.WriteFile(path, []byte("timezone: UTC\njobs:\n"+text), 0o600))
	s := newScreen(f)
	s.now = func() time.Time { return time.Date(2026, 11, 22, 12, 34, 56, 0, time.UTC) }
	s.getenv = func(name string) string { return map[string]string{"CARILLON_FILE": path}[name] }
	return s
}

// ran is a finished run of a job.
func ran(job string, id int, lasted time.Duration, status jobs.State) jobs.Run {
	at := time.Date(2026, 11, 21, 0, 0, id, 0, time.UTC)
	return jobs.Run{ID: fmt.Sprintf("%s@%d", job, id), Job: job, Status: status, StartedAt: at, FinishedAt: at.Add(lasted)}
}

func storeOf(runs ...jobs.Run) *fakeStore {
	f := &fakeStore{runs: map[string]jobs.Run{}}
	for _, r := range runs {
		f.runs[r.ID] = r
	}
	return f
}

func TestLoadOfOneDay(t *testing.T) {
	s := loadScreen(t, storeOf(), "  a: {schedule: \"0 * * * *\", run: x}\n  b: {schedule: \"0,30 3 * * *\", run: x}\n")
	require.Equal(t, exitOK, s.main(t.Context(), []string{"load", "--days", "1", "--redis", "r:1"}), s.err.String())
	assert.Equal(t, `26 starts of 2 jobs from Sun 2026-11-22 12:00 to Mon 2026-11-23 12:00 (UTC)

     00    03    06    09    12    15    18    21      starts
Mon  ------@@----------------                              14
Sun                          ------------------------      12
     an hour:  - 1  * 2  @ 3

peak minute     Mon 2026-11-23 03:00 UTC: 2 starts: a, b
busiest hour    Mon 2026-11-23 03:00 UTC: 3 starts
quietest hours  00:00, 01:00, 02:00 on all days together
at once         unknown: no run of these jobs has ended yet
`, s.out.String())
}

func TestLoadKnowsHowLongRunsLast(t *testing.T) {
	f := storeOf(
		ran("a", 1, 10*time.Minute, jobs.Succeeded), ran("a", 2, 20*time.Minute, jobs.Failed), ran("a", 3, 3*time.Hour, jobs.Succeeded),
		ran("b", 1, 40*time.Minute, jobs.Succeeded), ran("b", 2, time.Second, jobs.Canceled),
	)
	f.nodes = []jobs.Node{{Name: "n1", Slots: 1}, {Name: "n2", Slots: 1}}
	const text = "  a: {schedule: \"0 * * * *\", run: x}\n  b: {schedule: \"50 3 * * *\", run: x}\n  c: {schedule: \"10 4 * * *\", every_node: true, run: x}\n"
	s := loadScreen(t, f, text)
	require.Equal(t, exitOK, s.main(t.Context(), []string{"load", "--redis", "r:1"}), s.err.String())
	assert.Contains(t, s.out.String(), "\nat once         about 4 runs at Mon 2026-11-23 04:10 UTC; the 2 live nodes have 2 slots, so that 2 wait (durations of 2 of 3 jobs are known, the others count a second)\n")

	s = loadScreen(t, f, text)
	require.Equal(t, exitOK, s.main(t.Context(), []string{"load", "a", "--redis", "r:1", "-o", "jsonl"}), s.err.String())
	assert.Contains(t, s.out.String(), `"at_once":{"peak":1,"minute":"2026-11-22T12:00:00.000Z","jobs":1,"known_jobs":1,"nodes":2,"slots":2}`)
}

func TestLoadWithoutARedis(t *testing.T) {
	const text = "  a: {schedule: \"0 * * * *\", run: x}\n"
	f := storeOf()
	f.down = errDown
	s := loadScreen(t, f, text)
	assert.Equal(t, exitOK, s.main(t.Context(), []string{"load"}))
	assert.Empty(t, s.err.String(), "nobody named a Redis")
	assert.Contains(t, s.out.String(), "at once         unknown: no Redis tells how long the runs last (--redis)\n")
	assert.Equal(t, exitNoRedis, s.main(t.Context(), []string{"load", "--redis", "r:1"}))
}

func TestHeatMarks(t *testing.T) {
	for _, c := range []struct {
		tty  bool
		env  map[string]string
		want string
	}{
		{true, map[string]string{"LANG": "de_DE.UTF-8"}, " ·░▒▓█"},
		{true, map[string]string{"LANG": "C.utf8"}, " ·░▒▓█"},
		{true, map[string]string{"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, " .:-=+*#%@"},
		{true, nil, " .:-=+*#%@"},
		{false, map[string]string{"LANG": "de_DE.UTF-8"}, " .:-=+*#%@"},
	} {
		s := newScreen(storeOf())
		s.stdoutTTY = c.tty
		s.getenv = func(name string) string { return c.env[name] }
		assert.Equal(t, c.want, string(s.heatMarks()), c.env)
	}
}

func TestLevelsRiseInEqualSteps(t *testing.T) {
	assert.Equal(t, 0, level(0, 0, 9))
	assert.Equal(t, 0, level(0, 90, 9))
	assert.Equal(t, 1, level(1, 90, 9))
	assert.Equal(t, 1, level(10, 90, 9))
	assert.Equal(t, 2, level(11, 90, 9))
	assert.Equal(t, 9, level(90, 90, 9))
	assert.Equal(t, 9, level(1, 1, 9))
}

func TestRoughly(t *testing.T) {
	assert.Equal(t, []string{"0", "9999", "10k", "9999k", "10M"}, []string{roughly(0), roughly(9999), roughly(10_000), roughly(9_999_999), roughly(10_000_000)})
}
