package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// dateAt is a day at midnight UTC.
func dateAt(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.DateOnly, text)
	require.NoError(t, err)
	return at
}

// namedDaysCalendar is a calendar of single dates.
func namedDaysCalendar(t testing.TB, name, dates string) *Calendar {
	t.Helper()
	var spans []daySpan
	for _, text := range strings.Fields(dates) {
		day := floorDiv(dateAt(t, text).Unix(), daySeconds)
		spans = append(spans, daySpan{day, day})
	}
	return &Calendar{Name: name, days: newDaySet(0, yearMask{}, spans)}
}

// weekend is Saturday and Sunday.
var weekend = &Calendar{Name: "weekend", days: newDaySet(1<<6|1<<0, yearMask{}, nil)}

func TestFilters(t *testing.T) {
	const layout = "2006-01-02T15:04"
	// 2026-12-25 and 2027-01-01 are Fridays.
	holidays := namedDaysCalendar(t, "holidays", "2026-12-24 2026-12-25 2027-01-01")
	paydays := namedDaysCalendar(t, "paydays", "2026-12-15 2026-12-31")
	start := dateAt(t, "2026-12-02") // a Wednesday
	for _, c := range []struct {
		name, expr, ticks string
		o                 SpecOptions
	}{
		{"excluded days are dropped", "0 9 * * THU,FRI", "2026-12-03T09:00 2026-12-04T09:00 2026-12-10T09:00 2026-12-11T09:00 2026-12-17T09:00 2026-12-18T09:00 2026-12-31T09:00 2027-01-07T09:00",
			SpecOptions{Exclude: []*Calendar{holidays}}},
		{"of two calendars too", "0 9 24-27 * *", "2027-01-25T09:00 2027-01-26T09:00 2027-01-27T09:00 2027-02-24T09:00",
			SpecOptions{Exclude: []*Calendar{holidays, weekend}}},
		{"only the days of a calendar", "0 9 * * *", "2026-12-15T09:00 2026-12-31T09:00 -", SpecOptions{Only: []*Calendar{paydays}}},
		{"or of one of several", "0 9 14-31 12 *", "2026-12-15T09:00 2026-12-24T09:00 2026-12-25T09:00 2026-12-31T09:00 -", SpecOptions{Only: []*Calendar{paydays, holidays}}},
		{"but not of another", "0 9 * * *", "2026-12-24T09:00 2026-12-25T09:00 2027-01-01T09:00 -", SpecOptions{Only: []*Calendar{holidays}, Exclude: []*Calendar{weekend, paydays}}},
		{"to the next business day", "0 9 25 * *", "2026-12-28T09:00 2027-01-25T09:00 2027-02-25T09:00", SpecOptions{Exclude: []*Calendar{holidays, weekend}, Shift: ShiftNext}},
		{"to the previous one", "0 9 25 * *", "2026-12-23T09:00 2027-01-25T09:00 2027-02-25T09:00", SpecOptions{Exclude: []*Calendar{holidays, weekend}, Shift: ShiftPrevious}},
		{"out of the month", "0 9 31 1 *", "2027-02-01T09:00 2028-01-31T09:00 2029-01-31T09:00", SpecOptions{Exclude: []*Calendar{weekend}, Shift: ShiftNext}},
		{"and out of the year", "0 9 1 1 *", "2026-12-31T09:00 2027-12-31T09:00 2029-01-01T09:00 2030-01-01T09:00", SpecOptions{Exclude: []*Calendar{weekend, holidays}, Shift: ShiftPrevious}},
		{"two that meet are one tick", "0 9 * * FRI-SUN", "2026-12-04T09:00 2026-12-07T09:00 2026-12-11T09:00 2026-12-14T09:00 2026-12-18T09:00 2026-12-21T09:00 2026-12-28T09:00",
			SpecOptions{Exclude: []*Calendar{holidays, weekend}, Shift: ShiftNext}},
		{"from far away", "0 9 1 6 *", "2026-12-15T09:00 -", SpecOptions{Only: []*Calendar{paydays}, Shift: ShiftNext}},
		{"but not from further than a year", "0 9 31 12 *", "2026-12-31T09:00 -", SpecOptions{Only: []*Calendar{paydays}, Shift: ShiftPrevious, Start: start, End: dateAt(t, "2030-01-01")}},
		{"every second week counts from Monday of the start's", "0 9 * * MON,FRI", "2026-12-04T09:00 2026-12-14T09:00 2026-12-18T09:00 2026-12-28T09:00 2027-01-01T09:00",
			SpecOptions{Start: start, EveryN: EveryN{2, EveryWeeks}}},
		{"every third day from the start's", "0 9 * * *", "2026-12-02T09:00 2026-12-05T09:00 2026-12-08T09:00", SpecOptions{Start: start, EveryN: EveryN{3, EveryDays}}},
		{"of the days named", "0 9 * * SAT", "2026-12-05T09:00 2026-12-26T09:00 2027-01-16T09:00", SpecOptions{Start: start, EveryN: EveryN{3, EveryDays}}},
		{"the start and the end are in it", "0 9 * * *", "2026-12-02T09:00 2026-12-03T09:00 2026-12-04T09:00 -", SpecOptions{Start: start.Add(9 * time.Hour), End: start.Add(57 * time.Hour)}},
		{"a nanosecond less is not", "0 9 * * *", "2026-12-03T09:00 -", SpecOptions{Start: start.Add(9*time.Hour + 1), End: start.Add(57*time.Hour - 1)}},
		{"they bound @every", "@every 12h", "2026-12-02T12:00 2026-12-03T00:00 -", SpecOptions{Start: start.Add(time.Second), End: start.Add(24 * time.Hour)}},
		{"which has its days", "@every 8h", "2026-12-24T00:00 2026-12-24T08:00 2026-12-24T16:00 2026-12-25T00:00", SpecOptions{Only: []*Calendar{holidays}}},
		{"and an offset", "@every 8h", "2026-12-02T01:00 2026-12-02T09:00", SpecOptions{Offset: time.Hour, Start: start}},
		{"a start alone", "@daily", "2030-01-01T00:00 2030-01-02T00:00", SpecOptions{Start: dateAt(t, "2030-01-01")}},
		{"an end long ago", "@daily", "-", SpecOptions{End: dateAt(t, "2020-01-01")}},
	} {
		s, err := NewSpec(c.expr, c.o)
		if !assert.NoError(t, err, c.name) {
			continue
		}
		var got []string
		at := dateAt(t, "2026-12-01").Add(12 * time.Hour)
		for range strings.Fields(c.ticks) {
			next, ok := s.Next(at)
			if !ok {
				got = append(got, "-")
				break
			}
			got = append(got, next.Format(layout))
			at = next
		}
		assert.Equal(t, c.ticks, strings.Join(got, " "), c.name)
	}
}

func TestFiltersRejected(t *testing.T) {
	start := dateAt(t, "2026-12-02")
	empty := &Calendar{Name: "empty"}
	holidays := namedDaysCalendar(t, "holidays", "2026-12-25")
	all := &Calendar{Name: "always", days: newDaySet(everyWeekday, yearMask{}, nil)}
	for _, c := range []struct {
		expr, message string
		o             SpecOptions
	}{
		{"@daily", `shift "monday": expected next-business-day or previous-business-day`, SpecOptions{Shift: "monday", Exclude: []*Calendar{weekend}}},
		{"@daily", `shift next-business-day: expected only: or exclude: too, which say what the business days are`, SpecOptions{Shift: ShiftNext}},
		{"@every 1h", `"@every 1h" has no days to count or to move: leave out shift: and every_n:`, SpecOptions{Shift: ShiftNext, Exclude: []*Calendar{weekend}}},
		{"@every 1h", `"@every 1h" has no days to count or to move`, SpecOptions{EveryN: EveryN{2, EveryDays}, Start: start}},
		{"@daily", `every_n 2: expected start: too, which says where the counting begins`, SpecOptions{EveryN: EveryN{2, EveryDays}}},
		{"@daily", `every_n -1: expected 1 to 100000`, SpecOptions{EveryN: EveryN{-1, EveryDays}, Start: start}},
		{"@daily", `every_n 1000000: expected 1 to 100000`, SpecOptions{EveryN: EveryN{1_000_000, EveryDays}, Start: start}},
		{"@daily", `every_n unit "months": expected weeks or days`, SpecOptions{EveryN: EveryN{2, "months"}, Start: start}},
		{"@daily", `dst gap "later": expected run-after or skip`, SpecOptions{DST: DST{Gap: "later"}}},
		{"@daily", `dst overlap "thrice": expected once or twice`, SpecOptions{DST: DST{Overlap: "thrice"}}},
		{"@daily", `offset 5m0s: expected "@every" as the schedule; "@daily" says itself when it fires`, SpecOptions{Offset: 5 * time.Minute}},
		{"@every 1h offset 1m", `"@every 1h offset 1m": the offset is given twice; the key offset: says 5m0s`, SpecOptions{Offset: 5 * time.Minute}},
		{"@every 1h", `@every offset "1h": expected at least 0s and less than the 1h of @every`, SpecOptions{Offset: time.Hour}},
		{"@every 1h", `@every offset "500ms": expected whole seconds`, SpecOptions{Offset: 500 * time.Millisecond}},

		{"0 9 1 * *", `can never fire between 2026-12-02T00:00:00Z and 2026-12-05T00:00:00Z`, SpecOptions{Start: start, End: start.AddDate(0, 0, 3)}},
		{"0 9 1 * *", `can never fire between 2026-12-02T00:00:00Z and 2026-12-01T00:00:00Z: the end is before the start`, SpecOptions{Start: start, End: start.AddDate(0, 0, -1)}},
		{"@every 48h", `can never fire between 2026-12-02T00:00:01Z and 2026-12-02T12:00:00Z`, SpecOptions{Start: start.Add(time.Second), End: start.Add(12 * time.Hour)}},
		{"@daily", `can never fire: exclude: [weekend, always] leaves no day`, SpecOptions{Exclude: []*Calendar{weekend, all}}},
		{"@daily", `can never fire: only: [empty] leaves no day`, SpecOptions{Only: []*Calendar{empty}}},
		{"@daily", `can never fire after 2026-12-26T00:00:00Z: only: [holidays] leaves no day`, SpecOptions{Only: []*Calendar{holidays}, Start: dateAt(t, "2026-12-26")}},
		{"@daily", `can never fire: only: [weekend] with exclude: [weekend] leaves no day`, SpecOptions{Only: []*Calendar{weekend}, Exclude: []*Calendar{weekend}}},
		{"0 9 * * SAT", `can never fire: none of its days is left by exclude: [weekend]`, SpecOptions{Exclude: []*Calendar{weekend}}},
		{"0 9 26 * *", `can never fire: none of its days is left by only: [holidays]`, SpecOptions{Only: []*Calendar{holidays}}},
		{"@every 168h", `can never fire: none of its days is left by only: [weekend]`, SpecOptions{Only: []*Calendar{weekend}}},
	} {
		_, err := NewSpec(c.expr, c.o)
		if assert.Error(t, err, c.message) {
			assert.Contains(t, err.Error(), c.message)
		}
	}
}

// A time that is due only when the clocks skip it is a mistake, if skipping is
// what is done. Since 2007 New York changes its clocks on the second Sunday of
// March.
func TestATimeThatIsAlwaysInTheGapCanNeverFire(t *testing.T) {
	newYork := zoneNamed(t, "America/New_York")
	const expr = "30 2 * 3 SUN#2"
	_, err := NewSpec(expr, SpecOptions{Location: newYork, DST: DST{Gap: DSTSkip}})
	require.ErrorContains(t, err, `can never fire: in America/New_York a gap swallows "30 2 * 3 SUN#2" whenever it is due, and those are skipped`)
	s, err := NewSpec(expr, SpecOptions{Location: newYork})
	require.NoError(t, err)
	next, ok := s.Next(dateAt(t, "2027-01-01"))
	require.True(t, ok)
	assert.Equal(t, "2027-03-14T03:00:00-04:00", next.In(newYork).Format(time.RFC3339))
}

// drawnCalendar is a calendar beside the rule that it stands for.
type drawnCalendar struct {
	*Calendar
	rule dayRule
}

// drawCalendar draws weekdays, yearly dates and runs of days around a day.
func drawCalendar(t *rapid.T, around int64) drawnCalendar {
	var week uint8
	for _, w := range rapid.SliceOfN(rapid.IntRange(0, 6), 0, 3).Draw(t, "weekdays") {
		week |= 1 << w
	}
	var yearly yearMask
	for range rapid.IntRange(0, 3).Draw(t, "yearly dates") {
		yearly[rapid.IntRange(1, 12).Draw(t, "month")] |= 1 << rapid.IntRange(1, 28).Draw(t, "day")
	}
	var spans []daySpan
	for range rapid.IntRange(0, 4).Draw(t, "spans") {
		begin := around + rapid.Int64Range(-900, 900).Draw(t, "begin")
		spans = append(spans, daySpan{begin, begin + rapid.SampledFrom([]int64{0, 1, 5, 40, 370, 800}).Draw(t, "long")})
	}
	return drawnCalendar{&Calendar{Name: "drawn", days: newDaySet(week, yearly, spans)}, func(t time.Time) bool {
		day := floorDiv(t.Unix(), daySeconds)
		for _, s := range spans {
			if s.first <= day && day <= s.last && t.Year() >= 1 && t.Year() <= lastYear { // no file has others
				return true
			}
		}
		return week>>t.Weekday()&1 != 0 || yearly[t.Month()]>>t.Day()&1 != 0
	}}
}

// drawOptions draws everything that filters days, and the oracle of expr.
func drawOptions(t *rapid.T, expr string, o SpecOptions, around int64) (SpecOptions, *oracle) {
	day := floorDiv(around, daySeconds)
	draw := func(label string) (list []*Calendar, rule dayRule) {
		var rules []dayRule
		for range rapid.IntRange(0, 2).Draw(t, label) {
			c := drawCalendar(t, day)
			list, rules = append(list, c.Calendar), append(rules, c.rule)
		}
		if rules == nil {
			return nil, nil
		}
		return list, func(t time.Time) bool { return rules[0](t) || rules[len(rules)-1](t) }
	}
	var only, exclude dayRule
	if rapid.IntRange(0, 2).Draw(t, "has only") == 0 {
		o.Only, only = draw("only")
	}
	o.Exclude, exclude = draw("exclude")
	if rapid.Bool().Draw(t, "bounded") {
		o.Start = time.Unix(around+rapid.Int64Range(-40, 40).Draw(t, "start in hours")*3600, rapid.Int64Range(0, 1).Draw(t, "start nanosecond"))
		if rapid.Bool().Draw(t, "ends") {
			o.End = o.Start.Add(time.Duration(rapid.IntRange(0, 500).Draw(t, "hours")) * time.Hour)
		}
	}
	o.DST = rapid.SampledFrom(everyDST).Draw(t, "dst")
	if expr[0] != '@' {
		if !o.Start.IsZero() && rapid.Bool().Draw(t, "every n") {
			o.EveryN = EveryN{rapid.IntRange(1, 9).Draw(t, "n"), rapid.SampledFrom([]EveryUnit{EveryWeeks, EveryDays}).Draw(t, "unit")}
		}
		if o.Only != nil || o.Exclude != nil {
			o.Shift = rapid.SampledFrom([]Shift{ShiftNone, ShiftNext, ShiftPrevious}).Draw(t, "shift")
		}
	}
	or := newOracle(expr, o)
	or.only, or.exclude = only, exclude
	return o, or
}

// TestAnyFilterAtAnyTransition walks minute by minute.
func TestAnyFilterAtAnyTransition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loc, at := drawTransition(t)
		o := SpecOptions{Location: loc, Name: "a-job"}
		expr := drawSpecialExpr(t)
		if rapid.IntRange(0, 4).Draw(t, "every") == 0 {
			expr, o.Offset = "@every "+rapid.SampledFrom([]string{"1m", "90m", "7h", "24h", "50h"}).Draw(t, "duration"), time.Duration(rapid.IntRange(0, 59).Draw(t, "offset"))*time.Second
		}
		o, or := drawOptions(t, expr, o, at)
		from := at - rapid.Int64Range(0, 1000).Draw(t, "before")*60
		requireTicks(t, expr, o, or, from-from%60, from-from%60+rapid.Int64Range(60, 3000).Draw(t, "minutes")*60, 1)
	})
}

// TestAnyFilteredDays walks day by day over nine years.
func TestAnyFilteredDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expr := "30 12 " + drawDayFields(t)
		first := time.Date(rapid.IntRange(1, 9990).Draw(t, "year"), 1, 1, 12, 30, 0, 0, time.UTC)
		o, or := drawOptions(t, expr, SpecOptions{Name: "a-job"}, first.AddDate(4, 6, 0).Unix())
		requireTicks(t, expr, o, or, first.Unix()-daySeconds, first.AddDate(9, 0, 0).Unix(), daySeconds)
	})
}

// However little is left of a schedule, the answer does not take long: months
// are passed over, not minutes.
func TestLongStretchesWithoutTicksAreJumped(t *testing.T) {
	span := func(from, to string) *Calendar {
		first, last := floorDiv(dateAt(t, from).Unix(), daySeconds), floorDiv(dateAt(t, to).Unix(), daySeconds)
		return &Calendar{Name: "span", days: newDaySet(0, yearMask{}, []daySpan{{first, last}})}
	}
	ages := span("1990-01-01", "9990-01-01")
	one := span("9000-01-01", "9000-01-01")
	leap := &Calendar{Name: "leap", days: newDaySet(0, yearMask{2: 1 << 29}, nil)}
	newYork := zoneNamed(t, "America/New_York")
	begin := time.Now()
	for _, c := range []struct {
		expr string
		o    SpecOptions
		want string
	}{
		{"* * * * *", SpecOptions{Exclude: []*Calendar{ages}}, "9990-01-02"},
		{"* * * * * *", SpecOptions{Exclude: []*Calendar{ages}, DST: DST{DSTSkip, DSTTwice}}, "9990-01-02"},
		{"* * * * *", SpecOptions{Only: []*Calendar{one}}, "9000-01-01"},
		{"* * * * *", SpecOptions{Exclude: []*Calendar{ages}, Shift: ShiftNext}, "9990-01-02"},
		{"* * * * *", SpecOptions{Exclude: []*Calendar{ages}, Shift: ShiftPrevious}, "9990-01-02"},
		{"0 0 29 5 *", SpecOptions{Only: []*Calendar{one}, Shift: ShiftNext}, "9000-01-01"},
		{"0 0 1 * *", SpecOptions{Only: []*Calendar{leap}, Shift: ShiftPrevious}, "2028-02-29"},
		{"@every 1s", SpecOptions{Exclude: []*Calendar{ages}}, "9990-01-02"},
		{"@every 2400h", SpecOptions{Only: []*Calendar{one}}, ""},
		{"@every 168h", SpecOptions{Exclude: []*Calendar{ages}}, "9990-01-03"},
		{"* * * * *", SpecOptions{Start: dateAt(t, "2026-01-01"), EveryN: EveryN{100_000, EveryWeeks}}, "3942-07-13"},
		{"* * 1 * *", SpecOptions{Start: dateAt(t, "2026-01-02").Add(12 * time.Hour), EveryN: EveryN{99_999, EveryDays}, End: dateAt(t, "2500-01-01")}, ""},
	} {
		c.o.Location = newYork
		s, err := NewSpec(c.expr, c.o)
		if c.want == "" {
			require.ErrorContains(t, err, "can never fire", c.expr)
			continue
		}
		require.NoError(t, err, c.expr)
		next, ok := s.Next(dateAt(t, "2026-03-01"))
		require.True(t, ok, c.expr)
		assert.Equal(t, c.want, next.In(newYork).Format(time.DateOnly), "%s %+v", c.expr, c.o)
	}
	assert.Less(t, time.Since(begin), slack*5*time.Second)
}
