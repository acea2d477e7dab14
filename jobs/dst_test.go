package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTransitions is the table of days on which other schedulers hang, skip or
// fire twice. from is a local time in the zone (before any repetition), ticks
// are the local times that follow, with their offsets.
func TestTransitions(t *testing.T) {
	const layout = "2006-01-02 15:04:05 -0700"
	for _, c := range []struct {
		name, zone, expr, from string
		ticks                  []string
	}{
		// New York: 02:00 -> 03:00 on 2026-03-08, 02:00 -> 01:00 on 2026-11-01.
		{"a fixed time in the gap fires at its end", "America/New_York", "30 2 * * *", "2026-03-07 03:00", []string{
			"2026-03-08 03:00:00 -0400", "2026-03-09 02:30:00 -0400"}},
		{"several fixed times in the gap are one tick", "America/New_York", "0,20,40 2 * * *", "2026-03-07 03:00", []string{
			"2026-03-08 03:00:00 -0400", "2026-03-09 02:00:00 -0400"}},
		{"so are 60 seconds of it", "America/New_York", "* 30 2 * * *", "2026-03-07 03:00", []string{
			"2026-03-08 03:00:00 -0400", "2026-03-09 02:30:00 -0400", "2026-03-09 02:30:01 -0400"}},
		{"and the one that is due at its end anyway", "America/New_York", "0 2-4 * * *", "2026-03-07 05:00", []string{
			"2026-03-08 03:00:00 -0400", "2026-03-08 04:00:00 -0400", "2026-03-09 02:00:00 -0400"}},
		{"the last second of the gap", "America/New_York", "59 59 2 * * *", "2026-03-07 03:00", []string{
			"2026-03-08 03:00:00 -0400", "2026-03-09 02:59:59 -0400"}},
		{"a fixed time that repeats fires once, at first", "America/New_York", "30 1 * * *", "2026-10-31 02:00", []string{
			"2026-11-01 01:30:00 -0400", "2026-11-02 01:30:00 -0500"}},
		{"hours written out are fixed times", "America/New_York", "0 0-23 * * *", "2026-10-31 23:30", []string{
			"2026-11-01 00:00:00 -0400", "2026-11-01 01:00:00 -0400", "2026-11-01 02:00:00 -0500"}},
		{"the hour after is not the repeated one", "America/New_York", "0 2 * * *", "2026-10-31 03:00", []string{
			"2026-11-01 02:00:00 -0500", "2026-11-02 02:00:00 -0500"}},
		{"a wildcard hour skips the gap", "America/New_York", "30 * * * *", "2026-03-08 00:45", []string{
			"2026-03-08 01:30:00 -0500", "2026-03-08 03:30:00 -0400"}},
		{"a wildcard minute in the gap does not fire", "America/New_York", "*/30 2 * * *", "2026-03-07 03:00", []string{
			"2026-03-09 02:00:00 -0400", "2026-03-09 02:30:00 -0400"}},
		{"a wildcard hour fires in both passes", "America/New_York", "30 * * * *", "2026-11-01 00:45", []string{
			"2026-11-01 01:30:00 -0400", "2026-11-01 01:30:00 -0500", "2026-11-01 02:30:00 -0500"}},
		{"a wildcard minute fires in both passes", "America/New_York", "*/30 1 * * *", "2026-11-01 00:45", []string{
			"2026-11-01 01:00:00 -0400", "2026-11-01 01:30:00 -0400", "2026-11-01 01:00:00 -0500", "2026-11-01 01:30:00 -0500", "2026-11-02 01:00:00 -0500"}},
		{"every other hour is literal", "America/New_York", "0 */2 * * *", "2026-03-07 23:00", []string{
			"2026-03-08 00:00:00 -0500", "2026-03-08 04:00:00 -0400"}},
		{"seconds only follow the clock", "America/New_York", "*/30 * * * * *", "2026-03-08 01:59", []string{
			"2026-03-08 01:59:30 -0500", "2026-03-08 03:00:00 -0400"}},

		// Zones that lose midnight.
		{"midnight lost", "Asia/Beirut", "0 0 * * *", "2026-03-28 12:00", []string{
			"2026-03-29 01:00:00 +0300", "2026-03-30 00:00:00 +0300"}},
		{"noon of that Sunday is not skipped", "Asia/Beirut", "0 12 * * 0", "2026-03-22 13:00", []string{
			"2026-03-29 12:00:00 +0300", "2026-04-05 12:00:00 +0300"}},
		{"and Saturday's does not fire on it", "Asia/Beirut", "0 12 * * 6", "2026-03-28 11:00", []string{
			"2026-03-28 12:00:00 +0200", "2026-04-04 12:00:00 +0300"}},
		{"23:00 repeats", "Asia/Beirut", "0 23 * * *", "2026-10-24 12:00", []string{
			"2026-10-24 23:00:00 +0300", "2026-10-25 23:00:00 +0200"}},
		{"Cairo's Friday", "Africa/Cairo", "0 12 * * 5", "2026-04-17 13:00", []string{
			"2026-04-24 12:00:00 +0300", "2026-05-01 12:00:00 +0300"}},
		{"Cairo's midnight", "Africa/Cairo", "0 0 * * 5", "2026-04-23 12:00", []string{
			"2026-04-24 01:00:00 +0300", "2026-05-01 00:00:00 +0300"}},
		{"Havana's Saturday", "America/Havana", "0 12 * * 6", "2026-03-07 11:00", []string{
			"2026-03-07 12:00:00 -0500", "2026-03-14 12:00:00 -0400"}},
		{"Havana's midnight repeats", "America/Havana", "0 0 * * *", "2025-11-01 12:00", []string{
			"2025-11-02 00:00:00 -0400", "2025-11-03 00:00:00 -0500"}},
		{"Havana's every minute", "America/Havana", "59 0 * * *", "2026-03-07 12:00", []string{
			"2026-03-08 01:00:00 -0400", "2026-03-09 00:59:00 -0400"}},
		{"Santiago's midnight", "America/Santiago", "0 0 * * *", "2026-09-05 12:00", []string{
			"2026-09-06 01:00:00 -0300", "2026-09-07 00:00:00 -0300"}},
		{"Santiago's Saturday", "America/Santiago", "* * * * 6", "2026-09-05 23:58", []string{
			"2026-09-05 23:59:00 -0400", "2026-09-12 00:00:00 -0300"}},
		{"the Azores' midnight", "Atlantic/Azores", "0 0 * * 0", "2026-03-28 12:00", []string{
			"2026-03-29 01:00:00 +0000", "2026-04-05 00:00:00 +0000"}},
		{"the Azores' Saturday", "Atlantic/Azores", "0 * * * 6", "2026-03-28 22:30", []string{
			"2026-03-28 23:00:00 -0100", "2026-04-04 00:00:00 +0000"}},
		{"the Azores' midnight repeats", "Atlantic/Azores", "0 0 * * *", "2026-10-24 12:00", []string{
			"2026-10-25 00:00:00 +0000", "2026-10-26 00:00:00 -0100"}},

		// Half an hour of daylight saving.
		{"Lord Howe loses 02:00 to 02:30", "Australia/Lord_Howe", "15 2 * * *", "2026-10-03 12:00", []string{
			"2026-10-04 02:30:00 +1100", "2026-10-05 02:15:00 +1100"}},
		{"later that day nothing is lost", "Australia/Lord_Howe", "0 3,6,12 * * *", "2026-10-03 13:00", []string{
			"2026-10-04 03:00:00 +1100", "2026-10-04 06:00:00 +1100", "2026-10-04 12:00:00 +1100"}},
		{"nor on the day of the return", "Australia/Lord_Howe", "0 3,6,12 * * *", "2026-04-04 13:00", []string{
			"2026-04-05 03:00:00 +1030", "2026-04-05 06:00:00 +1030", "2026-04-05 12:00:00 +1030"}},
		{"half an hour repeats", "Australia/Lord_Howe", "45 1 * * *", "2026-04-04 13:00", []string{
			"2026-04-05 01:45:00 +1100", "2026-04-06 01:45:00 +1030"}},
		{"literally for wildcards", "Australia/Lord_Howe", "*/15 * * * *", "2026-04-05 01:20", []string{
			"2026-04-05 01:30:00 +1100", "2026-04-05 01:45:00 +1100", "2026-04-05 01:30:00 +1030", "2026-04-05 01:45:00 +1030", "2026-04-05 02:00:00 +1030"}},
		{"Troll moves by two hours", "Antarctica/Troll", "30 1,2 * * *", "2026-03-28 12:00", []string{
			"2026-03-29 03:00:00 +0200", "2026-03-30 01:30:00 +0200"}},

		// Whole days that did not happen.
		{"Apia had no 30 December 2011", "Pacific/Apia", "0 0 * * *", "2011-12-28 12:00", []string{
			"2011-12-29 00:00:00 -1000", "2011-12-31 00:00:00 +1400", "2012-01-01 00:00:00 +1400"}},
		{"its five o'clock came at midnight", "Pacific/Apia", "0 5 * * *", "2011-12-29 04:00", []string{
			"2011-12-29 05:00:00 -1000", "2011-12-31 00:00:00 +1400", "2011-12-31 05:00:00 +1400"}},
		{"its Friday too", "Pacific/Apia", "0 5 * * 5", "2011-12-23 12:00", []string{
			"2011-12-31 00:00:00 +1400", "2012-01-06 05:00:00 +1400"}},
		{"its Sunday is whole", "Pacific/Apia", "0 5 * * 0", "2011-12-20 12:00", []string{
			"2011-12-25 05:00:00 -1000", "2012-01-01 05:00:00 +1400"}},
		{"wildcards pass over it", "Pacific/Apia", "0 */12 * * *", "2011-12-29 10:00", []string{
			"2011-12-29 12:00:00 -1000", "2011-12-31 00:00:00 +1400"}},
		{"Kwajalein had no 21 August 1993", "Pacific/Kwajalein", "0 5 21 8 *", "1993-01-01 00:00", []string{
			"1993-08-22 00:00:00 +1200", "1994-08-21 05:00:00 +1200"}},
		{"Sitka had one day twice in 1867", "America/Sitka", "0 12 * * *", "1867-10-17 13:00", []string{
			"1867-10-18 12:00:00 +1458", "1867-10-19 12:00:00 +1458", "1867-10-20 12:00:00 -0901"}},
		{"and wildcards saw both", "America/Sitka", "0 */12 19 * *", "1867-10-18 13:00", []string{
			"1867-10-19 00:00:00 +1458", "1867-10-19 12:00:00 +1458", "1867-10-19 00:00:00 -0901", "1867-10-19 12:00:00 -0901", "1867-11-19 00:00:00 -0901"}},

		// Transitions of other kinds.
		{"Berlin", "Europe/Berlin", "30 2 * * *", "2026-03-28 12:00", []string{
			"2026-03-29 03:00:00 +0200", "2026-03-30 02:30:00 +0200"}},
		{"Berlin in autumn", "Europe/Berlin", "30 2 * * *", "2026-10-24 12:00", []string{
			"2026-10-25 02:30:00 +0200", "2026-10-26 02:30:00 +0100"}},
		{"Dublin, whose winter is the exception", "Europe/Dublin", "30 1 * * *", "2026-03-28 12:00", []string{
			"2026-03-29 02:00:00 +0100", "2026-03-30 01:30:00 +0100"}},
		{"Casablanca's Ramadan", "Africa/Casablanca", "30 2 * * *", "2026-02-14 12:00", []string{
			"2026-02-15 02:30:00 +0100", "2026-02-16 02:30:00 +0000"}},
		{"Casablanca back from it", "Africa/Casablanca", "30 2 * * *", "2026-03-21 12:00", []string{
			"2026-03-22 03:00:00 +0100", "2026-03-23 02:30:00 +0100"}},
		{"Caracas moved by half an hour", "America/Caracas", "45 2 * * *", "2016-04-30 12:00", []string{
			"2016-05-01 03:00:00 -0400", "2016-05-02 02:45:00 -0400"}},
		{"Pyongyang lost the last half hour of a day", "Asia/Pyongyang", "45 23 * * *", "2018-05-03 12:00", []string{
			"2018-05-03 23:45:00 +0830", "2018-05-05 00:00:00 +0900", "2018-05-05 23:45:00 +0900"}},
		{"into another day", "Asia/Pyongyang", "45 23 4 5 *", "2018-01-03 12:00", []string{
			"2018-05-05 00:00:00 +0900", "2019-05-04 23:45:00 +0900"}},
		{"Beijing has none", "Asia/Shanghai", "30 2 * * *", "2026-03-28 12:00", []string{
			"2026-03-29 02:30:00 +0800", "2026-03-30 02:30:00 +0800"}},
		{"but had", "PRC", "30 2 * * *", "1991-04-13 12:00", []string{
			"1991-04-14 03:00:00 +0900", "1991-04-15 02:30:00 +0900"}},
		{"Kathmandu is off by a quarter", "Asia/Kathmandu", "0 0 * * *", "2026-03-28 12:00", []string{
			"2026-03-29 00:00:00 +0545", "2026-03-30 00:00:00 +0545"}},

		// Long ago and far away.
		{"Amsterdam counted 19:32 minutes", "Europe/Amsterdam", "0 12 * * *", "1900-01-01 12:30", []string{
			"1900-01-02 12:00:00 " + offsetIn("Europe/Amsterdam", 1900)}},
		{"behind the table", "America/New_York", "30 2 * * *", "2826-03-07 12:00", []string{
			"2826-03-08 03:00:00 -0400", "2826-03-09 02:30:00 -0400"}},
		{"far behind the table", "America/New_York", "30 1 * * *", "9999-11-06 12:00", []string{
			"9999-11-07 01:30:00 -0400", "9999-11-08 01:30:00 -0500"}},
		{"leap day after a leap-less century year", "Europe/Berlin", "0 12 29 2 *", "2096-03-01 00:00", []string{
			"2104-02-29 12:00:00 +0100"}},
		{"across the table's end", "Europe/Berlin", "0 12 29 2 *", "2496-03-01 00:00", []string{
			"2504-02-29 12:00:00 +0100"}},
		{"across the table's end with a wildcard", "Europe/Berlin", "*/30 12 29 7 *", "2499-08-01 00:00", []string{
			"2500-07-29 12:00:00 +0200", "2500-07-29 12:30:00 +0200", "2501-07-29 12:00:00 +0200"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			loc := zoneNamed(t, c.zone)
			at, err := time.ParseInLocation("2006-01-02 15:04", c.from, loc)
			require.NoError(t, err)
			s := parse(t, c.expr, loc)
			var got []string
			for range c.ticks {
				next, ok := s.Next(at)
				require.True(t, ok)
				require.Equal(t, time.UTC, next.Location())
				got = append(got, next.In(loc).Format(layout))
				at = next
			}
			assert.Equal(t, c.ticks, got, c.expr)
		})
	}
}

// offsetIn is the offset on the second day of a year, as package time prints it.
func offsetIn(zone string, year int) string {
	loc, err := LoadZone(zone)
	if err != nil {
		return err.Error()
	}
	return time.Date(year, 1, 2, 12, 0, 0, 0, loc).Format("-0700")
}

// A tick between the two passes of a repeated hour must not bring back the
// times of the first pass.
func TestFixedTimeIsNotRepeatedFromWithinTheRepetition(t *testing.T) {
	loc := zoneNamed(t, "America/New_York")
	s := parse(t, "15,45 1 * * *", loc)
	second := time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC) // 01:00 EST
	for d := -time.Second; d < time.Hour; d += 7 * time.Minute {
		got, ok := s.Next(second.Add(d))
		require.True(t, ok)
		assert.Equal(t, "2026-11-02 01:15:00 -0500", got.In(loc).Format("2006-01-02 15:04:05 -0700"), d)
	}
}

func TestEveryIsAlignedToTheEpoch(t *testing.T) {
	for _, name := range []string{"UTC", "America/New_York", "Asia/Kathmandu"} {
		s := parse(t, "@every 7m", zoneNamed(t, name))
		for _, at := range []time.Time{time.Unix(-421, 0), time.Unix(-420, 0), time.Unix(-1, 1), time.Unix(0, 0), time.Unix(419, 999_999_999), time.Unix(1_800_000_000, 0)} {
			got, ok := s.Next(at)
			require.True(t, ok)
			assert.Zero(t, got.Unix()%420)
			assert.Positive(t, got.Sub(at))
			assert.LessOrEqual(t, got.Sub(at), 7*time.Minute)
		}
	}
	month := parse(t, "@every 720h", nil)
	got, ok := month.Next(time.Unix(0, 0))
	require.True(t, ok)
	assert.Equal(t, int64(720*3600), got.Unix())
}

func TestTheEndsOfTime(t *testing.T) {
	berlin, apia := zoneNamed(t, "Europe/Berlin"), zoneNamed(t, "Pacific/Apia")
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	for _, loc := range []*time.Location{time.UTC, berlin, apia, zoneNamed(t, "America/New_York")} {
		for _, expr := range []string{"* * * * *", "* * * * * *", "0 0 * * *", "0 0 29 2 *", "@every 1h", "@yearly"} {
			s := parse(t, expr, loc)
			for _, after := range []time.Time{{}, time.Unix(-1<<62, 0), time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC)} {
				got, ok := s.Next(after)
				require.True(t, ok, "%s after %s", expr, after)
				assert.GreaterOrEqual(t, got.Year(), 1, expr)
				assert.Less(t, got.Year(), 6, expr)
			}
			for _, after := range []time.Time{last, last.Add(time.Hour), time.Unix(1<<60, 0), time.Unix(1<<62, 0)} {
				_, ok := s.Next(after)
				assert.False(t, ok, "%s after %s", expr, after)
			}
			// Whatever the last tick is, it can be written as RFC 3339, in UTC and in the zone.
			at := last.Add(-30 * 24 * time.Hour)
			for range 3000 {
				next, ok := s.Next(at)
				if !ok {
					break
				}
				require.True(t, next.After(at))
				require.LessOrEqual(t, next.Year(), 9999)
				if expr[:2] != "@e" { // "@every" knows no zone
					_, err := next.In(loc).MarshalJSON()
					require.NoError(t, err)
				}
				at = next
				if expr == "* * * * * *" || expr == "* * * * *" {
					at = at.Add(20 * time.Hour)
				}
			}
		}
	}
	got, ok := parse(t, "* * * * * *", nil).Next(last.Add(-time.Second))
	require.True(t, ok)
	assert.Equal(t, last, got)
}

// What a job says about the changes of the clocks, for a fixed time and for one
// that follows the clock: New York 02:00 -> 03:00 on 2026-03-08, 02:00 -> 01:00
// on 2026-11-01; Lord Howe moves by half an hour.
func TestPolicies(t *testing.T) {
	const layout = "2 15:04 -0700"
	for _, c := range []struct {
		zone, expr, from string
		dst              DST
		ticks            []string
	}{
		{"America/New_York", "30 2 * * *", "2026-03-08 00:00", DST{Gap: DSTSkip}, []string{"9 02:30 -0400"}},
		{"America/New_York", "30 2 * * *", "2026-03-08 00:00", DST{Overlap: DSTTwice}, []string{"8 03:00 -0400", "9 02:30 -0400"}},
		{"America/New_York", "0 2-4 * * *", "2026-03-08 00:00", DST{Gap: DSTSkip}, []string{"8 03:00 -0400", "8 04:00 -0400", "9 02:00 -0400"}},
		{"America/New_York", "30 * * * *", "2026-03-08 01:00", DST{Gap: DSTRunAfter}, []string{"8 01:30 -0500", "8 03:00 -0400", "8 03:30 -0400"}},
		{"America/New_York", "*/20 2 * * *", "2026-03-08 01:00", DST{Gap: DSTRunAfter}, []string{"8 03:00 -0400", "9 02:00 -0400"}},
		{"America/New_York", "30 1 * * *", "2026-11-01 00:00", DST{Overlap: DSTTwice}, []string{"1 01:30 -0400", "1 01:30 -0500", "2 01:30 -0500"}},
		{"America/New_York", "30 1 * * *", "2026-11-01 00:00", DST{DSTSkip, DSTTwice}, []string{"1 01:30 -0400", "1 01:30 -0500", "2 01:30 -0500"}},
		{"America/New_York", "15,45 1,2 * * *", "2026-11-01 01:20", DST{Overlap: DSTTwice}, []string{"1 01:45 -0400", "1 01:15 -0500", "1 01:45 -0500", "1 02:15 -0500"}},
		{"America/New_York", "*/30 * * * *", "2026-11-01 01:10", DST{Overlap: DSTOnce}, []string{"1 01:30 -0400", "1 02:00 -0500", "1 02:30 -0500"}},
		{"America/New_York", "*/30 * * * *", "2026-11-01 01:10", DST{Gap: DSTRunAfter}, []string{"1 01:30 -0400", "1 01:00 -0500", "1 01:30 -0500"}},
		{"Australia/Lord_Howe", "*/15 * * * *", "2026-04-05 01:20", DST{Overlap: DSTOnce}, []string{"5 01:30 +1100", "5 01:45 +1100", "5 02:00 +1030"}},
		{"Australia/Lord_Howe", "*/20 * * * *", "2026-10-04 01:50", DST{Gap: DSTRunAfter}, []string{"4 02:30 +1100", "4 02:40 +1100"}},
		{"Pacific/Apia", "0 5 * * *", "2011-12-29 12:00", DST{Gap: DSTSkip}, []string{"31 05:00 +1400"}},
		{"Pacific/Apia", "0 */12 * * *", "2011-12-29 10:00", DST{Gap: DSTRunAfter}, []string{"29 12:00 -1000", "31 00:00 +1400", "31 12:00 +1400"}},
		{"America/Sitka", "0 12 * * *", "1867-10-18 11:00", DST{Overlap: DSTTwice}, []string{"18 12:00 +1458", "19 12:00 +1458", "19 12:00 -0901", "20 12:00 -0901"}},
	} {
		loc := zoneNamed(t, c.zone)
		s, err := NewSpec(c.expr, SpecOptions{Location: loc, DST: c.dst})
		require.NoError(t, err)
		at, err := time.ParseInLocation("2006-01-02 15:04", c.from, loc)
		require.NoError(t, err)
		var got []string
		for range c.ticks {
			next, ok := s.Next(at)
			require.True(t, ok)
			got = append(got, next.In(loc).Format(layout))
			at = next
		}
		assert.Equal(t, c.ticks, got, "%s in %s with %v", c.expr, c.zone, c.dst)
	}
}

// A local time that a gap swallowed is a time that does not exist because no
// clock shows it later either. No zone has ever gone back behind a gap.
func TestNoZoneShowsLaterWhatAGapSwallowed(t *testing.T) {
	for name := range strings.Lines(zoneNameList) {
		z := zoneOf(zoneNamed(t, strings.TrimSpace(name)))
		for i := 1; i+1 < len(z.spans); i++ {
			if begin := z.spans[i].start + z.spans[i].off; begin > z.spans[i].high {
				require.GreaterOrEqual(t, z.spans[i+1].low, begin, "%s: after %s", name, time.Unix(z.spans[i].start, 0).UTC())
			}
		}
	}
}

func TestNextOfIsTheFirstOfAll(t *testing.T) {
	noon, daily, leap := parse(t, "0 12 * * *", nil), parse(t, "@daily", nil), parse(t, "0 0 29 2 *", nil)
	at := time.Date(2028, 2, 28, 0, 0, 0, 0, time.UTC)
	job := &Job{Specs: []*Spec{leap, noon, daily, noon}}
	var got []string
	for range 4 {
		next, ok := job.Next(at)
		require.True(t, ok)
		got = append(got, next.Format("02 15:04"))
		at = next
	}
	assert.Equal(t, []string{"28 12:00", "29 00:00", "29 12:00", "01 00:00"}, got)

	_, ok := (&Job{}).Next(at)
	assert.False(t, ok, "a job without expressions has no ticks")
	_, ok = NextOf(nil, at)
	assert.False(t, ok)
	_, ok = NextOf([]*Spec{noon, daily}, time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC))
	assert.False(t, ok)
}
