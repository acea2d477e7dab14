package jobs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lintNow is the instant of all looks: a Sunday.
var lintNow = time.Date(2026, 11, 22, 12, 0, 30, 0, time.UTC)

// lintText lints a schedule of these jobs, in a file that names its zone.
func lintText(t *testing.T, text string) []Warning {
	t.Helper()
	if !strings.Contains(text, "jobs:\n") {
		text = "timezone: UTC\njobs:\n" + text
	}
	s, err := Parse("schedule.yaml", []byte(text))
	require.NoError(t, err, text)
	return s.Lint(lintNow)
}

// TestLint has, for each rule, what it is for and what it must leave alone. The
// job of a line is called j; what it fires is all that may be found.
func TestLint(t *testing.T) {
	for _, c := range []struct {
		job  string
		id   string // "" when nothing is worth a word
		says string
	}{
		{`schedule: "0 0 13 * 5"`, "dom-and-dow", `"0 0 13 * 5" fires on days that match the day of month 13 or the day of week 5, not only on days that match both (next: Fri 2026-11-27, Fri 2026-12-04, Fri 2026-12-11); for days that are both, leave the day of week open and take the weekdays from a calendar (only: [NAME])`},
		{`schedule: "0 9 1-7 * MON"`, "dom-and-dow", `for the first MON of the month write day of month * and day of week MON#1`},
		{`schedule: "0 9 8-14 * thu"`, "dom-and-dow", `for the second THU of the month write day of month * and day of week THU#2`},
		{`schedule: "0 9 25-31 * 5"`, "dom-and-dow", `for the last 5 of the month write day of month * and day of week 5L`},
		{`schedule: "* * 13 * 5"`, "dom-and-dow", `(next: Fri 2026-11-27, Fri 2026-12-04, Fri 2026-12-11)`},
		{`schedule: "0 0 H * H"`, "dom-and-dow", ``},
		{`schedule: "0 0 13 * *"`, "", ``},
		{`schedule: "0 0 13 * ?"`, "", ``},
		{`schedule: "0 0 * * 5"`, "", ``},
		{`schedule: "0 0 *,13 * 5"`, "", ``}, // begins with *: both must match
		{`schedule: "@weekly"`, "", ``},

		{`schedule: "*/7 * * * *"`, "uneven-step", `minute */7 of "*/7 * * * *" begins anew in every hour: after minute 56 comes minute 0, 4 minutes later; for even steps write one that divides 60, for every 7 minutes "@every 7m"`},
		{`schedule: "*/45 * * * *"`, "uneven-step", `after minute 45 comes minute 0, 15 minutes later`},
		{`schedule: "*/90 * * * *"`, "uneven-step", `it fires once in all 60`},
		{`schedule: "H/7 * * * *"`, "uneven-step", `for every 7 minutes`},
		{`schedule: "3/7 * * * *"`, "uneven-step", `after minute 59 comes minute 3, 4 minutes later`},
		{`schedule: "*/25 * * * * *"`, "uneven-step", `second */25 of "*/25 * * * * *" begins anew in every minute: after second 50 comes second 0, 10 seconds later; for even steps write one that divides 60, for every 25 seconds "@every 25s"`},
		{`schedule: "0 */5 * * *"`, "uneven-step", `hour */5 of "0 */5 * * *" begins anew in every day: after hour 20 comes hour 0, 4 hours later; for even steps write one that divides 24, for every 5 hours "@every 5h", which changes its times of day`},
		{`schedule: "0 0 */2 * *"`, "uneven-step", `day of month */2 of "0 0 */2 * *" begins anew in every month`},
		{`schedule: "0 0 1 */5 *"`, "uneven-step", `month */5 of "0 0 1 */5 *" begins anew in every year: after month 11 comes month 1, 2 months later`},
		{`schedule: "0 0 * * */2"`, "uneven-step", `begins anew on every Sunday`},
		{`schedule: "*/15 * * * *"`, "", ``},
		{`schedule: "H/15 * * * *"`, "", ``},
		{`schedule: "*/1 * * * *"`, "", ``},
		{`schedule: "0 */6 * * *"`, "", ``},
		{`schedule: "*/7 3 * * *"`, "", ``},     // begins anew in no hour that follows
		{`schedule: "0-30/7 * * * *"`, "", ``},  // a range of one's own
		{`schedule: "40/7 * * * *"`, "", ``},    // told to begin late
		{`schedule: "0 0 1 */3 *"`, "", ``},     // quarters
		{`schedule: "0,7,14 * * * *"`, "", ``},  // written out
		{`schedule: "0 */5 1 * *"`, "", ``},     // one day a month
		{`schedule: "0 0 1-31/2 * *"`, "", ``},  // a range of one's own
		{`schedule: "@every 7m"`, "", ``},       // what to write instead
		{`schedule: "0 8-18/3 * * *"`, "", ``},  // a range of one's own
		{`schedule: "0 0 1 1-12/5 *"`, "", ``},  // a range of one's own
		{`schedule: "0/15 9-17 * * *"`, "", ``}, // even

		{`{schedule: "30 2 * * *", timezone: Europe/Berlin}`, "dst-touches", `the clock changes of Europe/Berlin touch "30 2 * * *": 02:30 does not exist on 2027-03-28 and fires at 03:00, 02:30 comes twice on 2027-10-31 and fires the first time; say what is meant with dst: {gap: run-after or skip, overlap: once or twice}, or name a time that always exists once`},
		{`{schedule: "30 1 * * *", timezone: America/New_York}`, "dst-touches", `touch "30 1 * * *": 01:30 comes twice on 2027-11-07 and fires the first time; `},
		{`{schedule: "*/15 2 * * *", timezone: Europe/Berlin}`, "dst-touches", `02:00 does not exist on 2027-03-28 and is left out, 02:00 comes twice on 2027-10-31 and fires both times`},
		{`{schedule: "@daily", timezone: Africa/Cairo}`, "dst-touches", `00:00 does not exist on 2027-04-30 and fires at 01:00`},
		{`{schedule: "0 1-5 * * *", timezone: Europe/Berlin}`, "dst-touches", `touch "0 1-5 * * *": 02:00 comes twice on 2027-10-31 and fires the first time; `},
		{`{schedule: "0 1-5 * * *", timezone: Europe/Berlin, dst: {overlap: once}}`, "", ``},
		{`{schedule: "30 2 * * SUN", timezone: Europe/Berlin}`, "dst-touches", `2027-03-28`},
		{`{schedule: "30 2 * * MON-FRI", timezone: Europe/Berlin}`, "", ``}, // they change on Sundays
		{`{schedule: "30 3 * * *", timezone: Europe/Berlin}`, "", ``},
		{`{schedule: "30 2 * * *", timezone: UTC}`, "", ``},
		{`{schedule: "30 2 * * *", timezone: Asia/Tokyo}`, "", ``},
		{`{schedule: "30 * * * *", timezone: Europe/Berlin}`, "", ``}, // follows the clock, as anybody expects
		{`{schedule: "*/5 * * * *", timezone: Europe/Berlin}`, "", ``},
		{`{schedule: "@every 30m", timezone: Europe/Berlin}`, "", ``},
		{`{schedule: "30 2 15 6 *", timezone: Europe/Berlin}`, "", ``},

		{`schedule: "@every 7h"`, "every-drifts", `"@every 7h" does not divide a day, so that it fires at other times each day (next: Sun 2026-11-22 `},
		{`schedule: "@every 36h"`, "every-drifts", ``},
		{`schedule: "@every 6h"`, "", ``},
		{`schedule: "@every 90m"`, "", ``},
		{`schedule: "@every 50s"`, "", ``},
		{`schedule: "@every 7s"`, "", ``}, // nobody asks at which

		{`schedule: "@every 168h"`, "every-epoch", `"@every 168h" counts from 1970-01-01 00:00 UTC, a Thursday, whatever the zone: it fires next on Thu 2026-11-26 00:00 +00:00; for a time of day and a day of your own write "0 0 * * MON", or an offset`},
		{`schedule: "@every 48h"`, "every-epoch", `write "0 0 * * *" and every_n: {days: 2}, or an offset`},
		{`{schedule: "@every 24h", timezone: Europe/Berlin}`, "every-epoch", `it fires next on Mon 2026-11-23 01:00 +01:00; for a time of day and a day of your own write "0 0 * * *", or an offset`},
		{`schedule: "@every 24h"`, "", ``},
		{`schedule: "@every 48h offset 6h"`, "", ``},

		{`schedule: "* 2 * * *"`, "every-minute-of-hour", `"* 2 * * *" fires in every minute of the hour, 60 times; for once write "0 2 * * *", and for every minute say so with 0-59`},
		{`schedule: "* 2,14 * * *"`, "every-minute-of-hour", `for once write "0 2,14 * * *"`},
		{`schedule: "0 * 2 * * *"`, "every-minute-of-hour", `for once write "0 0 2 * * *"`},
		{`schedule: "* 9-17 * * *"`, "", ``},
		{`schedule: "* * * * *"`, "", ``},
		{`schedule: "0-59 2 * * *"`, "", ``},
		{`schedule: "*/5 2 * * *"`, "", ``},

		{`schedule: "* * * * * *"`, "every-second", `"* * * * * *" has six fields, the first of them seconds: it fires at every second of each minute that matches; for once in each write "* * * * *", for every second say so with "@every 1s"`},
		{`schedule: "* 0 2 * * *"`, "every-second", `for once in each write "0 2 * * *", for every second say so with 0-59`},
		{`schedule: "@every 1s"`, "", ``},
		{`schedule: "*/10 * * * * *"`, "", ``},
		{`schedule: "0 0 2 * * *"`, "", ``},

		{`schedule: "0 0 31 * *"`, "short-months", `"0 0 31 * *" skips February, April, June, September and November, without day 31; for the last day of every month write L as the day of month`},
		{`schedule: "0 0 29 * *"`, "short-months", `skips February except in leap years, without day 29`},
		{`schedule: "0 0 30,31 * *"`, "short-months", `skips February, without day 30`},
		{`schedule: "0 0 31W * *"`, "short-months", `skips February, April`},
		{`schedule: "0 0 28 * *"`, "", ``},
		{`schedule: "0 0 28-31 * *"`, "", ``},
		{`schedule: "0 0 L * *"`, "", ``},
		{`schedule: "0 0 31 1,3,5 *"`, "", ``},
		{`schedule: "0 0 15,31 * *"`, "", ``},
		{`schedule: "0 0 1 * *"`, "", ``},

		{`schedule: "0 0 29 2 1#5"`, "dom-and-dow", ``},
		{`{schedule: "0 0 29 2 *", enabled: false}`, "", ``},

		{`{schedule: "* * * * *", overlap: allow, timeout: 10m}`, "timeout-exceeds-interval", `a run may last 10m (timeout) and the next one begins after 1m: with overlap: allow up to 10 of them run at once; bound them with max_running:, or shorten the timeout`},
		{`{schedule: "@every 40s", overlap: allow, timeout: 1m}`, "timeout-exceeds-interval", `up to 2 of them`},
		{`{schedule: "* * * * *", overlap: allow, timeout: 10m, max_running: 3}`, "", ``},
		{`{schedule: "* * * * *", overlap: skip, timeout: 10m}`, "", ``},
		{`{schedule: "* * * * *", overlap: allow, timeout: 1m}`, "", ``},
		{`{schedule: "* * * * *", overlap: allow}`, "", ``},

		{`{schedule: "* * * * *", retry: {attempts: 4, backoff: 1m}}`, "retry-outlasts-interval", `4 attempts wait 7m in all, and the next tick comes after 1m`},
		{`{schedule: "@hourly", retry: {attempts: 5, backoff: 30s}}`, "", ``},
		{`{schedule: "* * * * *", overlap: allow, max_running: 2, retry: {attempts: 4, backoff: 1m}}`, "", ``},
		{`{retry: {attempts: 4, backoff: 1h, max_backoff: 1h}}`, "", ``},

		{`{schedule: "* * * * *", catch_up: all}`, "catch-up-max", `catch_up: all, but the window of 24h holds more ticks than max, 100: after a long outage only the newest 100 run; raise max, or shorten the window to what it covers`},
		{`{schedule: "@every 1s", catch_up: {policy: all, window: 31h}}`, "catch-up-max", ``},
		{`{schedule: "@hourly", catch_up: all}`, "", ``},
		{`{schedule: "* * * * *", catch_up: {policy: all, window: 1h}}`, "", ``},
		{`{schedule: "* * * * *"}`, "", ``},

		{`{schedule: "0 2 * * *", start: 2026-01-05, every_n: 2}`, "every-n-all-week", `"0 2 * * *" has no day, and every_n: 2 counts weeks: it fires on all seven days of one week in 2; name a weekday, or count days with every_n: {days: 14}`},
		{`{schedule: "@daily", start: 2026-01-05, every_n: 3 weeks}`, "every-n-all-week", ``},
		{`{schedule: "0 2 * * FRI", start: 2026-01-05, every_n: 2}`, "", ``},
		{`{schedule: "0 2 * * *", start: 2026-01-05, every_n: {days: 2}}`, "", ``},
		{`{schedule: "0 2 * * *", start: 2026-01-05, every_n: 1}`, "", ``},

		{`{schedule: "0 2 * * *", exclude: weekend, shift: next-business-day}`, "shift-merges", `"0 2 * * *" fires on every day, so that a tick that shift: next-business-day moves meets the one of that day, and they are one: shift changes nothing; leave it out, or name a day`},
		{`{schedule: "@hourly", exclude: weekend, shift: previous-business-day}`, "shift-merges", ``},
		{`{schedule: "0 2 1 * *", exclude: weekend, shift: next-business-day}`, "", ``},
		{`{schedule: "@monthly", exclude: weekend, shift: next-business-day}`, "", ``},
		{`{schedule: "0 2 * * *", exclude: weekend}`, "", ``},

		{`{schedule: "0 2 * * *", only: old}`, "over", `it never fires again: its calendars leave it no day; take it out, or keep it with enabled: false`},
		{`{schedule: "0 2 * * *", end: 2026-11-01}`, "over", `it never fires again: its end: is past`},
		{`{schedule: "0 2 * * *", end: 2027-11-01}`, "", ``},
		{`{schedule: "0 2 * * *", start: 2029-11-01}`, "never-soon", `it does not fire before Thu 2029-11-01; if it was meant to fire sooner, ` + "`carillon next j` shows what it does"},
		{`{schedule: "0 2 * * *", end: 2026-11-01, enabled: false}`, "", ``},

		{`{schedule: "30 2 * * *", timezone: Europe/Berlin, dst: {gap: skip, overlap: once}}`, "", ``},
		{`{schedule: "30 2 * * *", timezone: Europe/Berlin, dst: {gap: skip}}`, "dst-touches", `touch "30 2 * * *": 02:30 comes twice on 2027-10-31 and fires the first time; `},
		{`{schedule: "30 2 * * *", timezone: Europe/Berlin, exclude: weekend}`, "", ``},
		{`{schedule: "*/7 * * * *", silence: [uneven-step]}`, "", ``},

		{`{schedule: "0 2 * * *", timezone: EST}`, "fixed-zone", `EST has no daylight saving: it is one offset all year; for the clocks of a place name it, such as America/New_York`},
		{`{schedule: "0 2 * * *", timezone: Etc/GMT-2}`, "fixed-zone", `Etc/GMT-2 is UTC+2: in these names the sign is the other way round (POSIX)`},
		{`{schedule: "0 2 * * *", timezone: Etc/GMT+11}`, "fixed-zone", `Etc/GMT+11 is UTC-11`},
		{`{schedule: "0 2 * * *", timezone: HST}`, "", ``}, // Hawaii has none either
		{`{schedule: "0 2 * * *", timezone: Etc/GMT}`, "", ``},
		{`{schedule: "0 4 * * *", timezone: America/New_York}`, "", ``},
	} {
		job := c.job
		if job[0] != '{' {
			job = "{" + job + "}"
		}
		job = "  j: " + strings.Replace(job, "{", "{run: x, ", 1) + "\n"
		t.Run(c.job, func(t *testing.T) {
			found := lintText(t, job+"calendars: {weekend: {weekdays: [sat, sun]}, old: {dates: [2026-01-05]}}\n")
			found = slices.DeleteFunc(found, func(w Warning) bool { return w.ID == "unused-calendar" })
			if c.id == "" {
				assert.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			w := found[0]
			assert.Equal(t, c.id, w.ID)
			assert.Equal(t, "j", w.Job)
			assert.Equal(t, 3, w.Line)
			assert.Contains(t, w.Message, c.says)
		})
	}
}

func TestLintPointsAtTheExpression(t *testing.T) {
	found := lintText(t, `
timezone: UTC
jobs:
  j:
    schedule:
      - "@hourly"
      - "*/7 * * * *"
    run: x
`)
	require.Len(t, found, 1)
	assert.Equal(t, Place{7, 9}, Place{found[0].Line, found[0].Column})
}

// fleet are n jobs with the same line of YAML each.
func fleet(n int, job string) string {
	var b strings.Builder
	b.WriteString("timezone: Europe/Berlin\njobs:\n")
	for i := range n {
		fmt.Fprintf(&b, "  j%d: {run: x, %s}\n", i, job)
	}
	return b.String()
}

func TestLintCrowdedMinute(t *testing.T) {
	found := lintText(t, fleet(40, `schedule: "0 4 * * 2"`))
	require.Len(t, found, 1)
	assert.Equal(t, Warning{ID: "crowded-minute", Line: 1, Column: 1,
		Message: `40 jobs fire at Tue 2026-11-24 04:00 CET (j0, j1, j2, ...), the most in one minute of the coming week; spread them with H, such as "H 2 * * *", or with jitter:; ` + "`carillon load` shows which"}, found[0])
	for name, text := range map[string]string{
		"too few":          fleet(39, `schedule: "0 4 * * 2"`),
		"in every minute":  fleet(60, `schedule: "* * * * *"`),
		"in every second":  fleet(60, `schedule: "@every 1s"`),
		"spread by H":      fleet(60, `schedule: "H 4 * * 2"`),
		"disabled":         fleet(60, `schedule: "0 4 * * 2", enabled: false`),
		"not in this week": fleet(60, `schedule: "0 4 24 12 *"`),
	} {
		assert.Empty(t, lintText(t, text), name)
	}
}

func TestLintDailyWithoutZoneSpeaksOnce(t *testing.T) {
	found := lintText(t, "jobs:\n  hand: {run: x}\n  a: {schedule: \"@daily\", run: x}\n  b: {schedule: \"@hourly\", run: x}\n  c: {schedule: \"@weekly\", run: x}\n  d: {schedule: \"@Monthly\", run: x}\n")
	require.Len(t, found, 1)
	assert.Equal(t, "daily-without-zone", found[0].ID)
	assert.Equal(t, "a", found[0].Job)
	assert.Equal(t, 3, found[0].Line)
	assert.Equal(t, `the midnight of "@daily", and that of 2 other jobs, is midnight in UTC, because no zone is named; write timezone: at the top of the file, UTC too if it is meant`, found[0].Message)
	for name, text := range map[string]string{
		"the file names one": "timezone: UTC\njobs:\n  a: {schedule: \"@daily\", run: x}\n",
		"the job names one":  "jobs:\n  a: {schedule: \"@daily\", timezone: UTC, run: x}\n",
		"an hour is named":   "jobs:\n  a: {schedule: \"0 0 * * *\", run: x}\n",
		"no hour matters":    "jobs:\n  a: {schedule: \"@hourly\", run: x}\n  b: {schedule: \"@every 24h\", run: x}\n",
	} {
		assert.Empty(t, lintText(t, text), name)
	}
}

func TestLintFixedZoneOfTheFile(t *testing.T) {
	found := lintText(t, "timezone: MST\njobs:\n  a: {schedule: \"@daily\", run: x}\n")
	require.Len(t, found, 1)
	assert.Equal(t, "fixed-zone", found[0].ID)
	assert.Equal(t, "", found[0].Job)
	assert.Equal(t, Place{1, 11}, Place{found[0].Line, found[0].Column})
}

func TestLintAfterDisabled(t *testing.T) {
	const text = "  up: {run: x, enabled: %t}\n  down: {run: x, after: {job: up}, enabled: %t}\n"
	found := lintText(t, fmt.Sprintf(text, false, true))
	require.Len(t, found, 1)
	assert.Equal(t, "after-disabled", found[0].ID)
	assert.Equal(t, "down", found[0].Job)
	assert.Equal(t, "it follows up, which is disabled: it starts only when somebody triggers that job", found[0].Message)
	assert.Empty(t, lintText(t, fmt.Sprintf(text, true, true)))
	assert.Empty(t, lintText(t, fmt.Sprintf(text, false, false)))
}

// lintJob lints one job that no file was read for.
func lintJob(j *Job) []Warning {
	j.Name, j.Enabled = "j", true
	s := &Schedule{Timezone: "UTC", ZoneAt: Place{1, 1}, Jobs: []*Job{j}}
	return s.Lint(lintNow)
}

func TestLintOverAndNeverSoon(t *testing.T) {
	past, soon, late := lintNow.Add(-time.Hour), lintNow.Add(time.Hour), lintNow.AddDate(3, 0, 0)
	for name, c := range map[string]struct {
		job      *Job
		id, says string
	}{
		"every instant is past": {&Job{At: []time.Time{past}}, "over", "it never fires again: every instant of at: is past"},
		"an instant is left":    {&Job{At: []time.Time{past, soon}}, "", ""},
		"far away":              {&Job{At: []time.Time{late}}, "never-soon", "it does not fire before Thu 2029-11-22"},
		"started by hand":       {&Job{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			found := lintJob(c.job)
			if c.id == "" {
				assert.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			assert.Equal(t, c.id, found[0].ID)
			assert.Contains(t, found[0].Message, c.says)
		})
	}
}

func TestLintUnusedCalendar(t *testing.T) {
	holidays := &Calendar{Name: "holidays", Line: 7}
	s := &Schedule{Timezone: "UTC", ZoneAt: Place{1, 1}, Calendars: []*Calendar{holidays}, Jobs: []*Job{{Name: "j"}}}
	found := s.Lint(lintNow)
	require.Len(t, found, 1)
	assert.Equal(t, "unused-calendar", found[0].ID)
	assert.Equal(t, `no job names the calendar "holidays" in only: or exclude:; take it out, or use it`, found[0].Message)
	assert.Equal(t, 7, found[0].Line)
	s.Jobs[0].Only = []*Calendar{holidays}
	assert.Empty(t, s.Lint(lintNow))
}

func TestLintIsQuietAboutWhatIsSilenced(t *testing.T) {
	text := "timezone: UTC\njobs:\n  a: {schedule: \"*/7 * * * *\", run: x}\n  b: {schedule: \"0 0 31 * *\", run: x}\n"
	s, err := Parse("schedule.yaml", []byte(text))
	require.NoError(t, err)
	ids := func() (ids []string) {
		for _, w := range s.Lint(lintNow) {
			ids = append(ids, w.Job+" "+w.ID)
		}
		return ids
	}
	require.Equal(t, []string{"a uneven-step", "b short-months"}, ids())
	s.Job("b").Silence = []string{"short-months", "uneven-step"}
	require.Equal(t, []string{"a uneven-step"}, ids())
	s.Silence = []string{"uneven-step"}
	require.Empty(t, ids())
}

func TestLintRulesAreInOrderAndSayWhatTheyDo(t *testing.T) {
	ids := lintIDs()
	assert.True(t, slices.IsSorted(ids))
	assert.Len(t, slices.Compact(slices.Clone(ids)), len(ids))
	for i, r := range LintRules() {
		assert.Equal(t, ids[i], r.ID)
		assert.Regexp(t, `^[a-z]+(-[a-z]+)*$`, r.ID)
		assert.NotEmpty(t, r.Meaning)
		assert.LessOrEqual(t, len(r.Meaning), 110, r.ID)
		assert.True(t, (lintRules[i].job == nil) != (lintRules[i].file == nil), r.ID)
	}
}

func TestLintOfOurOwnSchedulesIsClean(t *testing.T) {
	for _, path := range []string{"../schedule.yaml", "../examples/rollback/schedule.yaml", "../examples/every-node/schedule.yaml",
		"../examples/follow-on/schedule.yaml", "../examples/retries/schedule.yaml", "../examples/quickstart/schedule.yaml", "../examples/embed/schedule.yaml"} {
		s, err := Load(path)
		require.NoError(t, err)
		for _, w := range s.Lint(lintNow) {
			t.Errorf("%s:%d: job %s: %s [%s]", path, w.Line, w.Job, w.Message, w.ID)
		}
	}
}

// BenchmarkLint looks at 10,000 jobs. To be under a second.
func BenchmarkLint(b *testing.B) {
	for name, job := range map[string]string{
		"mixed":        `schedule: ["H H * * *", "*/5 9-17 * * MON-FRI", "30 2 * * *"]`,
		"every second": `schedule: "@every 1s"`,
		"every minute": `schedule: "* * * * *", overlap: allow, timeout: 10m, catch_up: all, retry: {attempts: 5}`,
	} {
		b.Run(name, func(b *testing.B) {
			s, err := Parse("schedule.yaml", []byte(fleet(10_000, job)))
			require.NoError(b, err)
			for b.Loop() {
				s.Lint(lintNow)
			}
		})
	}
}
