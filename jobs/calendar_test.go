package jobs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// dayOf is the number of a date.
func dayOf(year int, month time.Month, day int) int64 {
	return floorDiv(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix(), daySeconds)
}

// drawnSet is a set of days together with the same set as a map of the days of
// the years from to to, made day by day with package time.
type drawnSet struct {
	set  daySet
	days map[int64]bool
}

const (
	drawnFrom = 1955
	drawnTo   = 2035
)

// drawSet draws the parts of a set.
func drawSet(t *rapid.T) drawnSet {
	var week uint8
	for _, w := range rapid.SliceOfN(rapid.IntRange(0, 6), 0, 2).Draw(t, "weekdays") {
		week |= 1 << w
	}
	type date struct{ month, day int }
	var yearly yearMask
	marked := map[date]bool{}
	for range rapid.IntRange(0, 5).Draw(t, "yearly dates") {
		month := rapid.IntRange(1, 12).Draw(t, "month")
		day := rapid.IntRange(1, monthDays(2000, month)).Draw(t, "day")
		yearly[month] |= 1 << day
		marked[date{month, day}] = true
	}
	first, last := dayOf(drawnFrom, 1, 1), dayOf(drawnTo, 12, 31)
	var spans []daySpan
	for range rapid.IntRange(0, 12).Draw(t, "spans") {
		begin := rapid.Int64Range(first, last).Draw(t, "first")
		long := rapid.SampledFrom([]int64{0, 0, 0, 1, 5, 40, 400, 4000}).Draw(t, "longer")
		spans = append(spans, daySpan{begin, min(begin+long, last)})
	}
	d := drawnSet{set: newDaySet(week, yearly, spans), days: map[int64]bool{}}
	for day := first; day <= last; day++ {
		at := time.Unix(day*daySeconds, 0).UTC()
		in := week>>at.Weekday()&1 != 0 || marked[date{int(at.Month()), at.Day()}]
		for _, s := range spans {
			in = in || s.first <= day && day <= s.last
		}
		if in {
			d.days[day] = true
		}
	}
	return d
}

func TestSetOfDaysAgreesWithMapOfDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var calendars []*Calendar
		days := map[int64]bool{}
		for range rapid.IntRange(1, 4).Draw(t, "calendars") {
			d := drawSet(t)
			calendars = append(calendars, &Calendar{days: d.set})
			require.Equal(t, d.set.empty(), len(d.days) == 0)
			for day := range d.days {
				days[day] = true
			}
		}
		set := unionOf(calendars)
		for at := time.Date(drawnFrom, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() <= drawnTo; at = at.AddDate(0, 1, 0) {
			first := dayOf(at.Year(), at.Month(), 1)
			length := int(dayOf(at.Year(), at.Month()+1, 1) - first)
			mask := set.month(first, at.Year(), int(at.Month()), length)
			var want uint64
			for n := range length {
				day := first + int64(n)
				if days[day] {
					want |= 1 << (n + 1)
				}
				if set.contains(day) != days[day] {
					t.Fatalf("contains says %t of %s", !days[day], at.AddDate(0, 0, n).Format(time.DateOnly))
				}
			}
			if mask != want {
				t.Fatalf("month %s is %b, want %b", at.Format("2006-01"), mask, want)
			}
		}
	})
}

func TestEqualSetsOfDaysAreEqualValues(t *testing.T) {
	var yearly yearMask
	yearly[12] = 1 << 25
	christmas := []daySpan{{dayOf(2026, 12, 25), dayOf(2026, 12, 25)}}
	require.Equal(t, newDaySet(0, yearly, nil), newDaySet(0, yearly, christmas))
	require.Equal(t, newDaySet(1<<5, yearMask{}, nil), newDaySet(1<<5, yearMask{}, christmas), "a Friday")
	require.Equal(t,
		newDaySet(0, yearMask{}, []daySpan{{dayOf(2024, 3, 1), dayOf(2031, 1, 5)}}),
		newDaySet(0, yearMask{}, []daySpan{{dayOf(2030, 2, 1), dayOf(2031, 1, 5)}, {dayOf(2024, 3, 1), dayOf(2030, 1, 31)}}))
	require.Equal(t, daySet{week: everyWeekday}, newDaySet(0, everyDate(), christmas))
}

func TestSetOfDaysReachesTheEndsOfTime(t *testing.T) {
	s := newDaySet(0, yearMask{}, []daySpan{{dayOf(-400, 1, 1), dayOf(12000, 1, 1)}})
	require.True(t, s.contains(dayOf(1, 1, 1)))
	require.True(t, s.contains(dayOf(9999, 12, 31)))
	require.False(t, s.contains(dayOf(0, 12, 31)))
	require.False(t, s.contains(dayOf(10000, 1, 1)))
	require.Len(t, s.masks, 2, "leap years and the others")
	require.LessOrEqual(t, cap(s.pages), 16000)
}

func TestUnionOfNoCalendarIsNone(t *testing.T) {
	require.Nil(t, unionOf(nil))
	require.True(t, unionOf([]*Calendar{{}, {}}).empty())
}

func TestCalendarContainsDates(t *testing.T) {
	var yearly yearMask
	yearly[2] = 1 << 29
	c := &Calendar{Name: "leap", days: newDaySet(0, yearly, nil)}
	require.True(t, c.Contains(2028, time.February, 29))
	require.False(t, c.Contains(2027, time.February, 29), "no such day")
	require.False(t, c.Contains(2027, time.March, 1))
	require.False(t, c.Contains(2027, 13, 1))
}

func TestCalendarNamesItsDays(t *testing.T) {
	c := &Calendar{
		labels: []dayLabel{{int32(dayOf(2026, 4, 3)), "Good Friday"}, {int32(dayOf(2026, 12, 25)), "A Friday too"}},
		yearly: []yearlyLabel{{12, 25, "Christmas Day"}},
	}
	require.Equal(t, "Good Friday", c.Label(dayOf(2026, 4, 3)))
	require.Equal(t, "A Friday too", c.Label(dayOf(2026, 12, 25)))
	require.Equal(t, "Christmas Day", c.Label(dayOf(1960, 12, 25)))
	require.Empty(t, c.Label(dayOf(2027, 4, 3)))
}

func BenchmarkMonthOfCalendar(b *testing.B) {
	var spans []daySpan
	for day := dayOf(1970, 1, 1); day < dayOf(2100, 1, 1); day += 9 {
		spans = append(spans, daySpan{day, day})
	}
	one := &Calendar{days: newDaySet(0, yearMask{}, spans)}
	var yearly yearMask
	yearly[12] = 1 << 25
	weekend := &Calendar{days: newDaySet(1|1<<6, yearly, nil)}
	for name, calendars := range map[string][]*Calendar{"one": {one}, "union": {one, weekend, one}} {
		set := unionOf(calendars)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			month := 0
			for b.Loop() {
				month = month%12 + 1
				set.month(20454, 2026, month, 30)
			}
		})
	}
}
