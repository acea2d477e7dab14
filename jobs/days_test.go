package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDaysThatDifferFromMonthToMonth(t *testing.T) {
	// 2026: May begins on a Friday and ends on a Sunday, August begins on a
	// Saturday and ends on a Monday, February 2027 begins on a Monday.
	after := time.Date(2026, 4, 30, 23, 0, 0, 0, time.UTC)
	for _, c := range []struct{ expr, days string }{
		{"0 0 L * *", "2026-05-31 2026-06-30 2026-07-31 2026-08-31 2026-09-30"},
		{"0 0 l 2 *", "2027-02-28 2028-02-29"},
		{"0 0 L-3 * *", "2026-05-28 2026-06-27 2026-07-28"},
		{"0 0 L-30 * *", "2026-05-01 2026-07-01 2026-08-01 2026-10-01"},
		{"0 0 LW * *", "2026-05-29 2026-06-30 2026-07-31 2026-08-31 2026-09-30 2026-10-30"},
		{"0 0 L-3W * *", "2026-05-28 2026-06-26 2026-07-28 2026-08-28 2026-09-28"},
		{"0 0 15W * *", "2026-05-15 2026-06-15 2026-07-15 2026-08-14 2026-09-15 2026-10-15 2026-11-16"},
		{"0 0 1W * *", "2026-05-01 2026-06-01 2026-07-01 2026-08-03 2026-09-01 2026-10-01 2026-11-02"},
		{"0 0 31W * *", "2026-05-29 2026-07-31 2026-08-31 2026-10-30"},
		{"0 0 28W 2 *", "2027-02-26 2028-02-28 2029-02-28"},
		{"0 0 1,15W,L * *", "2026-05-01 2026-05-15 2026-05-31 2026-06-01 2026-06-15 2026-06-30"},
		{"0 0 * * 5L", "2026-05-29 2026-06-26 2026-07-31"},
		{"0 0 * * fril", "2026-05-29 2026-06-26 2026-07-31"},
		{"0 0 * * 0L", "2026-05-31 2026-06-28"},
		{"0 0 * * 7L", "2026-05-31 2026-06-28"},
		{"0 0 * * WEDL", "2026-05-27 2026-06-24"},
		{"0 0 * * FRI#2", "2026-05-08 2026-06-12 2026-07-10"},
		{"0 0 * * 5#1,5#3", "2026-05-01 2026-05-15 2026-06-05 2026-06-19"},
		{"0 0 * * FRI#5", "2026-05-29 2026-07-31 2026-10-30 2027-01-29"},
		{"0 0 * * MON,FRI#2", "2026-05-04 2026-05-08 2026-05-11 2026-05-18 2026-05-25 2026-06-01"},
		{"0 0 * 2 FRI#5", "2036-02-29 2064-02-29"},
		// The day rule holds for them as for plain days.
		{"0 0 L * FRI", "2026-05-01 2026-05-08 2026-05-15 2026-05-22 2026-05-29 2026-05-31 2026-06-05"},
		{"0 0 13 * FRI#2", "2026-05-08 2026-05-13 2026-06-12 2026-06-13"},
		{"0 0 */2 * FRIL", "2026-05-29 2026-07-31 2026-09-25"},
		{"0 0 L * */5", "2026-05-31 2026-07-31"},
	} {
		want := strings.Fields(c.days)
		s := parse(t, c.expr, nil)
		var got []string
		for at := after; len(got) < len(want); {
			next, ok := s.Next(at)
			require.True(t, ok, c.expr)
			got = append(got, next.Format(time.DateOnly))
			at = next
		}
		assert.Equal(t, want, got, c.expr)
	}
}

func TestDayItemsRejected(t *testing.T) {
	for _, c := range []struct{ expr, message string }{
		{"0 0 W * *", `day of month "W": W needs a day before it: 15W is the weekday nearest to the 15th, LW the last weekday`},
		{"0 0 WL * *", `day of month "WL": expected LW`},
		{"0 0 W15 * *", `day of month "W15": expected 15W`},
		{"0 0 32W * *", `day of month "32W": expected 1W to 31W, or LW`},
		{"0 0 0W * *", `day of month "0W": expected 1W to 31W, or LW`},
		{"0 0 015W * *", `day of month "015W": expected 1W to 31W`},
		{"0 0 1-5W * *", `day of month "1-5W": W stands after one day; write a list, such as 1W,15W`},
		{"0 0 15W/2 * *", `day of month "15W/2": expected no step after L or W`},
		{"0 0 L/2 * *", `day of month "L/2": expected no step after L or W`},
		{"0 0 L-31 * *", `day of month "L-31": expected L-1 to L-30: that many days before the last one`},
		{"0 0 L-0 * *", `day of month "L-0": expected L-1 to L-30`},
		{"0 0 L- * *", `day of month "L-": expected L-1 to L-30`},
		{"0 0 L-3-5 * *", `day of month "L-3-5": expected L-1 to L-30`},
		{"0 0 L-99W * *", `day of month "L-99W": expected L-1 to L-30`},
		{"0 0 5L * *", `day of month "5L": expected L alone for the last day, L-5 for a day before it; the last Friday is 5L in day of week`},
		{"0 0 L3 * *", `day of month "L3": expected 1-31, or L (the last day), L-3, 15W`},
		{"0 0 LL * *", `day of month "LL": expected 1-31, or L (the last day), L-3, 15W`},
		{"0 0 FRI#2 * *", `day of month "FRI#2": # counts weekdays; write it in day of week, such as FRI#2`},
		{"0 0 jul * *", `day of month "jul": expected 1-31`},
		{"0 0 * L *", `month "L": expected 1-12 or JAN-DEC`},
		{"L * * * *", `minute "L": expected 0-59`},

		{"0 0 * * L", `day of week "L": write 6L or SATL for the last Saturday of the month, or SAT for every Saturday`},
		{"0 0 * * L5", `day of week "L5": expected 5L for the last one of the month`},
		{"0 0 * * LFRI", `day of week "LFRI": expected FRIL for the last one of the month`},
		{"0 0 * * L-3", `day of week "L-3": days before the last one are counted in day of month`},
		{"0 0 * * 8L", `day of week "8L": expected 0-7 (0 and 7 are Sunday) or SUN-SAT`},
		{"0 0 * * MON-FRIL", `day of week "MON-FRIL": L stands after one weekday; write a list, such as MONL,TUEL`},
		{"0 0 * * FRI#0", `day of week "FRI#0": expected a number from 1 to 5 after #`},
		{"0 0 * * FRI#6", `day of week "FRI#6": expected a number from 1 to 5 after #: no month has more than five of a weekday`},
		{"0 0 * * FRI#", `day of week "FRI#": expected a number from 1 to 5 after #`},
		{"0 0 * * FRI#-1", `day of week "FRI#-1": expected a number from 1 to 5 after #; the last one of the month is FRIL`},
		{"0 0 * * FRI#L", `the last one of the month is FRIL`},
		{"0 0 * * FRI#2/2", `day of week "FRI#2/2": expected a number from 1 to 5 after #`},
		{"0 0 * * #2", `day of week "#2": expected a weekday before #, such as FRI#2 for the second Friday`},
		{"0 0 * * 8#2", `day of week "8": expected 0-7`},
		{"0 0 * * MON-FRI#2", `day of week "MON-FRI#2": # stands after one weekday; write a list, such as MON#1,TUE#1`},
		{"0 0 * * 15W", `day of week "15W": W counts days of the month; write it in day of month`},
		{"0 0 * * LW", `day of week "LW": W counts days of the month; write it in day of month`},

		{"0 0 L-30 2 *", `can never fire: no date in 400 years is day of month "L-30" in month "2" on day of week "*"`},
		{"0 0 31W 2,4,6,9,11 *", `can never fire`},
		{"0 0 1W * */6", `can never fire`}, // a weekday on a weekend
	} {
		_, err := ParseSpec(c.expr, nil)
		if assert.Error(t, err, c.expr) {
			assert.Contains(t, err.Error(), c.message, c.expr)
		}
	}
}
