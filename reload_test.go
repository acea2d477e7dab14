package carillon_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon"
	"carillon/internal/redistest"
	"carillon/jobs"
)

// holidayFile is a calendar file with one day.
func holidayFile(day string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nSUMMARY:Closed\r\nDTSTART;VALUE=DATE:" + day + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}

const closedOnHolidays = `version: 1
calendars: {holidays: {ics: days/holidays.ics}}
jobs:
  open:
    schedule: "0 9 * * *"
    exclude: holidays
    run: echo
`

// A calendar file belongs to the schedule: when it changes, so does the schedule,
// and when it is bad or gone, the old one stays.
func TestReloadFollowsCalendarFiles(t *testing.T) {
	t.Parallel()
	url, _ := redistest.Mini(t)
	dir := t.TempDir()
	file, days := filepath.Join(dir, "schedule.yaml"), filepath.Join(dir, "days")
	require.NoError(t, os.Mkdir(days, 0o700))
	replace := func(path, text string) {
		t.Helper()
		tmp := filepath.Join(dir, ".tmp")
		require.NoError(t, os.WriteFile(tmp, []byte(text), 0o600))
		require.NoError(t, os.Rename(tmp, path))
	}
	ics := filepath.Join(days, "holidays.ics")
	replace(ics, holidayFile("20301225"))
	replace(file, closedOnHolidays)
	var log lines
	n, _ := up(t, carillon.Options{Redis: url, Node: "a", File: file, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.Equal(t, []string{ics}, n.Schedule().Files)

	wait := func(what string, ok func() bool) {
		t.Helper()
		require.Eventually(t, ok, 10*time.Second, 20*time.Millisecond, what)
	}
	says := func(s string) {
		t.Helper()
		wait(s, func() bool { return log.has(s) })
	}
	opensOn := func(month time.Month, day int) func() bool {
		return func() bool {
			at := time.Date(2030, month, day, 9, 0, 0, 0, time.UTC)
			next, ok := n.Schedule().Job("open").Next(at.Add(-time.Second))
			return ok && next.Equal(at)
		}
	}
	require.False(t, opensOn(12, 25)())
	require.True(t, opensOn(12, 26)())

	replace(ics, holidayFile("20301226"))
	wait("the new holiday", func() bool { return opensOn(12, 25)() && !opensOn(12, 26)() })
	good := n.Schedule().Digest

	replace(ics, strings.Replace(holidayFile("20301227"), "DTSTART", "RRULE:FREQ=HOURLY\r\nDTSTART", 1))
	says("holidays.ics:5: RRULE: FREQ=HOURLY recurs within a day")
	require.Equal(t, good, n.Schedule().Digest)

	require.NoError(t, os.Remove(ics))
	says("holidays.ics: no such file or directory")
	require.Equal(t, good, n.Schedule().Digest)

	replace(ics, holidayFile("20301228"))
	wait("the file that is back", func() bool { return opensOn(12, 26)() && !opensOn(12, 28)() })

	// Another file in another folder is watched from then on.
	other := filepath.Join(dir, "other")
	require.NoError(t, os.Mkdir(other, 0o700))
	replace(filepath.Join(other, "more.ics"), holidayFile("20301229"))
	replace(file, strings.Replace(closedOnHolidays, "days/holidays.ics", "[days/holidays.ics, other/more.ics]", 1))
	wait("two files", func() bool { return !opensOn(12, 28)() && !opensOn(12, 29)() })
	replace(filepath.Join(other, "more.ics"), holidayFile("20301230"))
	wait("a change of the second", func() bool { return !opensOn(12, 28)() && opensOn(12, 29)() && !opensOn(12, 30)() })

	// The same days, written otherwise, are no change.
	before := n.Schedule()
	replace(filepath.Join(other, "more.ics"), strings.Replace(holidayFile("20301230"), "Closed", "Shut", 1))
	n.Reload()
	says("nothing changed")
	require.Same(t, before, n.Schedule())
}

func TestANodeDoesNotStartWithoutItsCalendars(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schedule.yaml")
	require.NoError(t, os.WriteFile(file, []byte(closedOnHolidays), 0o600))
	_, err := carillon.New(carillon.Options{File: file, Redis: "redis://h"})
	var bad *jobs.FileError
	require.ErrorAs(t, err, &bad)
	require.ErrorContains(t, err, "schedule.yaml:2:29: calendars.holidays.ics: ")
	require.ErrorContains(t, err, "no such file or directory")
}
