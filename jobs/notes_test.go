package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestNotes(t *testing.T) {
	const newYork = "America/New_York"
	holidays := namedDaysCalendar(t, "holidays", "2026-12-24 2026-12-25 2026-12-26 2027-01-01")
	holidays.labels = []dayLabel{{int32(dayOf(2026, 12, 25)), "Christmas Day"}}
	christmas := namedDaysCalendar(t, "christmas", "2026-12-25")
	paydays := namedDaysCalendar(t, "paydays", "2026-12-15 2026-12-31")
	cals := func(c ...*Calendar) []*Calendar { return c }
	for _, c := range []struct {
		name, zone, exprs, from string
		o                       SpecOptions
		notes                   []string // of the first ticks, each "time of the tick: notes"
	}{
		{"the issue's own", newYork, "30 2 * * *", "2027-03-13 12:00", SpecOptions{}, []string{
			"03-14 03:00: 02:30 does not exist on 2027-03-14, runs 03:00", "03-15 02:30:"}},
		{"skipped", newYork, "30 2 * * *", "2027-03-13 12:00", SpecOptions{DST: DST{Gap: DSTSkip}}, []string{
			"03-15 02:30: 02:30 does not exist on 2027-03-14, skipped", "03-16 02:30:"}},
		{"several", newYork, "0,20,40 2 * * *", "2027-03-13 12:00", SpecOptions{}, []string{
			"03-14 03:00: 3 times from 02:00 do not exist on 2027-03-14, run 03:00"}},
		{"very many", newYork, "* * 2 * * *", "2027-03-13 12:00", SpecOptions{DST: DST{Gap: DSTRunAfter}}, []string{
			"03-14 03:00: 1000 or more times from 02:00 do not exist on 2027-03-14, run 03:00"}},
		{"with seconds", newYork, "5 30 2 * * *", "2027-03-13 12:00", SpecOptions{}, []string{
			"03-14 03:00: 02:30:05 does not exist on 2027-03-14, runs 03:00"}},
		{"into another day", "Pacific/Apia", "0 5 * * *", "2011-12-29 12:00", SpecOptions{}, []string{
			"12-31 00:00: 05:00 does not exist on 2011-12-30, runs 2011-12-31 00:00", "12-31 05:00:"}},
		{"a wildcard follows the clock", newYork, "*/30 * * * *", "2027-03-14 01:10", SpecOptions{}, []string{
			"03-14 01:30:", "03-14 03:00:"}},
		{"unless it was told not to", newYork, "*/30 * * * *", "2027-03-14 01:10", SpecOptions{DST: DST{Gap: DSTRunAfter}}, []string{
			"03-14 01:30:", "03-14 03:00: 2 times from 02:00 do not exist on 2027-03-14, run 03:00", "03-14 03:30:"}},
		{"or told so", newYork, "*/30 * * * *", "2027-03-14 01:10", SpecOptions{DST: DST{Gap: DSTSkip}}, []string{
			"03-14 01:30:", "03-14 03:00: 2 times from 02:00 do not exist on 2027-03-14, skipped"}},
		{"once", newYork, "30 1 * * *", "2026-10-31 12:00", SpecOptions{}, []string{
			"11-01 01:30: 01:30 comes twice on 2026-11-01, runs the first time", "11-02 01:30:"}},
		{"twice", newYork, "30 1 * * *", "2026-10-31 12:00", SpecOptions{DST: DST{Overlap: DSTTwice}}, []string{
			"11-01 01:30: 01:30 comes twice on 2026-11-01, this is the first", "11-01 01:30: 01:30 comes twice on 2026-11-01, this is the second", "11-02 01:30:"}},
		{"a wildcard in both", newYork, "30 * * * *", "2026-11-01 00:45", SpecOptions{}, []string{"11-01 01:30:", "11-01 01:30:", "11-01 02:30:"}},
		{"a wildcard told to run once", newYork, "30 * * * *", "2026-11-01 00:45", SpecOptions{DST: DST{Overlap: DSTOnce}}, []string{
			"11-01 01:30: 01:30 comes twice on 2026-11-01, runs the first time", "11-01 02:30:"}},
		{"the end of the overlap", newYork, "0 2 * * *", "2026-10-31 12:00", SpecOptions{}, []string{"11-01 02:00:"}},
		{"no clock changes", "UTC", "30 2 * * *", "2027-03-13 12:00", SpecOptions{}, []string{"03-14 02:30:"}},

		{"one day off", newYork, "0 9 * * *", "2026-12-24 12:00", SpecOptions{Exclude: cals(christmas)}, []string{"12-26 09:00: not on Fri 2026-12-25 (christmas)", "12-27 09:00:"}},
		{"which has a name", newYork, "0 9 * * FRI", "2026-12-24 12:00", SpecOptions{Exclude: cals(weekend, holidays)}, []string{
			"01-08 09:00: not on 2 days from 2026-12-25 (holidays)"}},
		{"the day it is asked on", newYork, "0 9 * * *", "2026-12-25 08:00", SpecOptions{Exclude: cals(holidays)}, []string{"12-27 09:00: not on 2 days from 2026-12-25 (holidays)"}},
		{"its time is over", newYork, "0 9 * * *", "2026-12-25 09:00", SpecOptions{Exclude: cals(holidays)}, []string{"12-27 09:00: not on Sat 2026-12-26 (holidays)"}},
		{"two calendars", newYork, "0 9 * * *", "2026-12-23 12:00", SpecOptions{Exclude: cals(holidays, weekend)}, []string{"12-28 09:00: not on 4 days from 2026-12-24 (holidays, weekend)"}},
		{"only some", "UTC", "0 9 31 * *", "2026-10-01 12:00", SpecOptions{Only: cals(paydays)}, []string{"12-31 09:00: not on Sat 2026-10-31 (not in paydays)"}},
		{"only some, but not those", "UTC", "0 9 31 * *", "2026-10-01 12:00", SpecOptions{Only: cals(paydays, weekend), Exclude: cals(weekend)}, []string{"12-31 09:00: not on Sat 2026-10-31 (weekend)"}},
		{"@every", "UTC", "@every 12h", "2026-12-24 20:00", SpecOptions{Exclude: cals(christmas)}, []string{"12-26 00:00: not on Fri 2026-12-25 (christmas)", "12-26 12:00:"}},
		{"@every is not due that day", "UTC", "@every 48h", "2026-12-24 20:00", SpecOptions{Exclude: cals(holidays)}, []string{"12-27 00:00: not on Fri 2026-12-25 (holidays: Christmas Day)"}},

		{"moved on", newYork, "0 9 25 * *", "2026-12-20 12:00", SpecOptions{Exclude: cals(holidays, weekend), Shift: ShiftNext}, []string{
			"12-28 09:00: moved from Fri 2026-12-25 (holidays: Christmas Day)", "01-25 09:00:"}},
		{"moved back", newYork, "0 9 25 * *", "2026-12-20 12:00", SpecOptions{Exclude: cals(weekend, christmas), Shift: ShiftPrevious}, []string{
			"12-24 09:00: moved from Fri 2026-12-25 (christmas)", "01-25 09:00:"}},
		{"moved to where it is due anyway", newYork, "0 9 25,28 * *", "2026-12-20 12:00", SpecOptions{Exclude: cals(weekend, holidays), Shift: ShiftNext}, []string{
			"12-28 09:00: also for Fri 2026-12-25 (holidays: Christmas Day)"}},
		{"several moved", newYork, "0 9 24-27 * *", "2026-12-20 12:00", SpecOptions{Exclude: cals(weekend, holidays), Shift: ShiftNext}, []string{
			"12-28 09:00: for 4 days from 2026-12-24 (holidays, weekend)"}},
		{"moved into the gap", newYork, "30 2 13 3 *", "2027-01-01 12:00", SpecOptions{Exclude: cals(namedDaysCalendar(t, "sat", "2027-03-13")), Shift: ShiftNext}, []string{
			"03-14 03:00: 02:30 does not exist on 2027-03-14, runs 03:00; moved from Sat 2027-03-13 (sat)"}},

		{"a list of expressions", newYork, "30 2 * * *; 45 2 * * *; 0 9 * * *", "2027-03-13 12:00", SpecOptions{}, []string{
			"03-14 03:00: 02:30 does not exist on 2027-03-14, runs 03:00; 02:45 does not exist on 2027-03-14, runs 03:00", "03-14 09:00:"}},
		{"not too many", newYork, "10 2 * * *; 20 2 * * *; 30 2 * * *; 40 2 * * *; 50 2 * * *", "2027-03-13 12:00", SpecOptions{}, []string{
			"03-14 03:00: 02:10 does not exist on 2027-03-14, runs 03:00; 02:20 does not exist on 2027-03-14, runs 03:00; 02:30 does not exist on 2027-03-14, runs 03:00; and 2 more"}},
		{"the same of two is said once", newYork, "0 9 * * *; 0 10 * * *", "2026-12-24 12:00", SpecOptions{Exclude: cals(christmas)}, []string{"12-26 09:00: not on Fri 2026-12-25 (christmas)"}},
	} {
		j := jittered(t, c.zone, c.exprs, "", c.o)
		at, err := time.ParseInLocation("2006-01-02 15:04", c.from, j.Zone())
		require.NoError(t, err)
		var got []string
		for range c.notes {
			next, ok := j.Next(at)
			require.True(t, ok)
			line := next.In(j.Zone()).Format("01-02 15:04") + ": " + strings.Join(j.Notes(at, next), "; ")
			got = append(got, strings.TrimRight(line, " "))
			if len(j.Specs) == 1 {
				assert.Equal(t, j.Notes(at, next), j.Specs[0].Notes(at, next))
			}
			at = next
		}
		assert.Equal(t, c.notes, got, c.name)
	}
}

// A single instant has nothing to be said of.
func TestNotesOfAnInstant(t *testing.T) {
	j := jittered(t, "America/New_York", "30 2 * * *", "2027-03-14T12:00:00Z", SpecOptions{})
	assert.Empty(t, j.Notes(j.At[0].Add(-time.Hour), j.At[0]))
}

// Whatever the job, notes are few and quick, and a tick far from any clock
// change and calendar has none.
func TestNotesStandAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loc, around := drawTransition(t)
		expr := drawSpecialExpr(t)
		o, _ := drawOptions(t, expr, SpecOptions{Location: loc, Name: "a-job"}, around)
		s, err := NewSpec(expr, o)
		if err != nil {
			require.ErrorContains(t, err, "can never fire")
			return
		}
		at := drawInstant(t)
		for range 3 {
			next, ok := s.Next(at)
			if !ok {
				return
			}
			notes := s.Notes(at, next)
			require.LessOrEqual(t, len(notes), maxNotes+1)
			if o.Only == nil && o.Exclude == nil && loc == time.UTC {
				require.Empty(t, notes)
			}
			at = next
		}
	})
}
