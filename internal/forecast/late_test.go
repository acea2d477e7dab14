package forecast

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/jobs"
)

// noon is the now of the tables.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// parse reads the jobs of a schedule file.
func parse(t testing.TB, lines string) *jobs.Schedule {
	t.Helper()
	s, err := jobs.Parse("schedule.yaml", []byte("version: 1\n"+lines))
	require.NoError(t, err)
	return s
}

// fateLines writes fates as one line each.
func fateLines(fates []Fate) (out []string) {
	for _, f := range fates {
		s := f.Job.Name + " " + f.Tick.UTC().Format("02 15:04:05")
		if !f.Until.Equal(f.Tick) || f.Count != 1 {
			s += fmt.Sprintf(" to %s x%d", f.Until.UTC().Format("02 15:04:05"), f.Count)
		}
		out = append(out, s+" "+string(f.Outcome)+": "+f.Reason)
	}
	return out
}

func TestLate(t *testing.T) {
	for _, c := range []struct {
		name string
		yaml string
		late time.Duration // 6 h by default
		want []string
	}{
		{name: "latest runs the newest", yaml: `{schedule: "30 * * * *", run: echo}`, want: []string{
			"a 22 06:30:00 to 22 10:30:00 x5 missed: policy: catch_up is latest",
			"a 22 11:30:00 run: catch_up is latest"}},
		{name: "all runs each, one after the other", yaml: `{schedule: "30 * * * *", catch_up: all, run: echo}`, want: []string{
			"a 22 06:30:00 run: catch_up is all",
			"a 22 07:30:00 to 22 11:30:00 x5 wait: catch_up is all, one after the other"}},
		{name: "skip runs none", yaml: `{schedule: "30 * * * *", catch_up: skip, run: echo}`, want: []string{
			"a 22 06:30:00 to 22 11:30:00 x6 missed: policy: catch_up is skip"}},
		{name: "at most max", yaml: `{schedule: "30 * * * *", catch_up: {policy: all, max: 2}, run: echo}`, want: []string{
			"a 22 06:30:00 to 22 09:30:00 x4 missed: max: only the newest 2 run late",
			"a 22 10:30:00 run: catch_up is all",
			"a 22 11:30:00 wait: catch_up is all, one after the other"}},
		{name: "what is older than the window is not counted", yaml: `{schedule: "30 * * * *", catch_up: {policy: skip, window: 2h}, run: echo}`, want: []string{
			"a 22 06:30:00 to 22 09:59:59 x0 missed: window: older than 2h",
			"a 22 10:30:00 to 22 11:30:00 x2 missed: policy: catch_up is skip"}},
		{name: "young ones run whatever the policy, if nothing is in the way", yaml: `{schedule: "@every 20s", catch_up: skip, run: echo}`, late: 2 * time.Minute, want: []string{
			"a 22 11:58:20 to 22 11:58:40 x2 missed: policy: catch_up is skip",
			"a 22 11:59:00 run: at most a minute late",
			"a 22 11:59:20 to 22 12:00:00 x3 skipped: overlap: an earlier run is unfinished"}},
		{name: "the young ones of all", yaml: `{schedule: "@every 30s", catch_up: all, run: echo}`, late: 2 * time.Minute, want: []string{
			"a 22 11:58:30 run: catch_up is all",
			"a 22 11:59:00 to 22 12:00:00 x3 wait: at most a minute late, one after the other"}},
		{name: "beside each other", yaml: `{schedule: "30 * * * *", catch_up: all, overlap: allow, run: echo}`, want: []string{
			"a 22 06:30:00 to 22 11:30:00 x6 run: catch_up is all"}},
		{name: "beside each other, up to a limit", yaml: `{schedule: "30 * * * *", catch_up: all, overlap: allow, max_running: 2, run: echo}`, want: []string{
			"a 22 06:30:00 to 22 07:30:00 x2 run: catch_up is all",
			"a 22 08:30:00 to 22 11:30:00 x4 skipped: overlap: max_running is 2"}},
		{name: "one waits", yaml: `{schedule: "30 * * * *", catch_up: all, overlap: queue, run: echo}`, want: []string{
			"a 22 06:30:00 run: catch_up is all",
			"a 22 07:30:00 wait: overlap: an earlier run is unfinished",
			"a 22 08:30:00 to 22 11:30:00 x4 skipped: overlap: a run is waiting already"}},
		{name: "the newest replaces the others", yaml: `{schedule: "30 * * * *", catch_up: all, overlap: replace, run: echo}`, want: []string{
			"a 22 06:30:00 to 22 10:30:00 x5 replaced: overlap: a later tick takes its place",
			"a 22 11:30:00 run: catch_up is all"}},
		{name: "on every node nothing waits", yaml: `{schedule: "30 * * * *", catch_up: all, every_node: true, run: echo}`, want: []string{
			"a 22 06:30:00 run: catch_up is all",
			"a 22 07:30:00 to 22 11:30:00 x5 skipped: overlap: an earlier run is unfinished"}},
		{name: "no tick was due", yaml: `{schedule: "30 * * * *", run: echo}`, late: 29 * time.Minute},
		{name: "a disabled job has no fate", yaml: `{enabled: false, schedule: "30 * * * *", run: echo}`},
		{name: "nor has one without a schedule", yaml: `{run: echo}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			late := c.late
			if late == 0 {
				late = 6 * time.Hour
			}
			s := parse(t, "jobs:\n  a: "+c.yaml)
			assert.Equal(t, c.want, fateLines(Late(s.Jobs, noon.Add(-late), noon)))
		})
	}
}

func TestLateJobsOfAGroupCompete(t *testing.T) {
	s := parse(t, `
groups: {disk: {limit: 2}}
jobs:
  a: {schedule: "50 11 * * *", group: disk, run: echo}
  b: {schedule: "40 11 * * *", group: disk, run: echo}
  c: {schedule: "30 11 * * *", group: disk, run: echo}
  d: {schedule: "55 11 * * *", group: disk, overlap: queue, run: echo}
  e: {schedule: "*/2 11 * * *", group: disk, overlap: replace, catch_up: {policy: all, max: 2}, run: echo}
  free: {schedule: "55 11 * * *", run: echo}
`)
	assert.Equal(t, []string{
		"a 22 11:50:00 skipped: overlap: group disk is full",
		"b 22 11:40:00 skipped: overlap: group disk is full",
		"c 22 11:30:00 run: catch_up is latest", // it is overdue longer
		"d 22 11:55:00 wait: overlap: group disk is full",
		"e 22 11:00:00 to 22 11:54:00 x28 missed: max: only the newest 2 run late",
		"e 22 11:56:00 replaced: overlap: a later tick takes its place",
		"e 22 11:58:00 run: catch_up is all", // in the place of the one before
		"free 22 11:55:00 run: catch_up is latest",
	}, fateLines(Late(s.Jobs, noon.Add(-time.Hour-time.Second), noon)))
}

func TestSumOfFates(t *testing.T) {
	one := func(o Outcome, count int) Fate { return Fate{Outcome: o, Count: count} }
	for want, fates := range map[string][]Fate{
		"no tick was due":                               nil,
		"1 run, 0 ticks missed, 0 skipped":              {one(Runs, 1)},
		"12 runs, 340 ticks missed, 3 skipped":          {one(Runs, 10), one(Missed, 300), one(Waits, 2), one(Skipped, 3), one(Missed, 40)},
		"0 runs, 0 ticks missed, 0 skipped, 1 replaced": {one(Replaced, 1)},
		"0 runs, 0 ticks missed, 0 skipped; missed and not counted: what is older than a job's window": {one(Missed, 0)},
	} {
		assert.Equal(t, want, Sum(fates).String())
	}
}

// TestLateLeavesNoTickOut checks of any job and outage that each of its ticks has
// exactly one fate, in the order of time.
func TestLateLeavesNoTickOut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSchedule(rt)
		since := noon.Add(-time.Duration(rapid.IntRange(0, 5*3600).Draw(rt, "late")) * time.Second)
		fates := Late(s.Jobs, since, noon)
		for _, job := range s.Jobs {
			tick, ok := job.Next(lastStarted(job, since))
			require.True(rt, !ok || job.Starts(tick).After(since), "%s at %s had started", job.Name, tick)
			for len(fates) > 0 && fates[0].Job == job {
				f := fates[0]
				fates = fates[1:]
				require.True(rt, ok && job.Enabled)
				require.Equal(rt, tick, f.Tick)
				n := 0
				for ; ok && !tick.After(f.Until); tick, ok = job.Next(tick) {
					n++
				}
				if f.Count == 0 {
					require.Contains(rt, f.Reason, "window")
				} else {
					require.Equal(rt, n, f.Count)
				}
			}
			if ok && job.Enabled {
				require.True(rt, job.Starts(tick).After(noon), "%s at %s has no fate", job.Name, tick)
			}
		}
		require.Empty(rt, fates)
	})
}

// drawSchedule draws a file of a few jobs with all rules that matter to late ticks.
func drawSchedule(rt *rapid.T) *jobs.Schedule {
	draw := func(name string, words ...string) string { return rapid.SampledFrom(words).Draw(rt, name) }
	text := "groups: {g: {limit: 2}}\njobs:\n"
	for i := range rapid.IntRange(1, 4).Draw(rt, "jobs") {
		text += fmt.Sprintf("  j%d: {run: echo, enabled: %s, schedule: %q, jitter: %s, overlap: %s%s, catch_up: {policy: %s, window: %dm, max: %d}}\n", i,
			draw("enabled", "true", "true", "true", "false"),
			draw("schedule", "@every 7s", "@every 20s", "*/7 * * * *", "30 * * * *", "0 12 * * *", "* * * * *"),
			draw("jitter", "0s", "0s", "3s", "6m"),
			draw("overlap", "skip", "queue", "replace", "allow", "allow, max_running: 2", "skip, every_node: true"),
			draw("group", "", "", ", group: g"),
			draw("policy", "all", "latest", "skip"), rapid.IntRange(1, 300).Draw(rt, "window"), rapid.IntRange(1, 30).Draw(rt, "max"))
	}
	s, err := jobs.Parse("schedule.yaml", []byte("version: 1\n"+text))
	if err != nil {
		rt.Skip(err) // rules that do not go together
	}
	return s
}
