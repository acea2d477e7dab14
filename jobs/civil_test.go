package jobs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCivilDateAgreesWithPackageTime(t *testing.T) {
	day := floorDiv(time.Date(-3, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), daySeconds)
	last := floorDiv(time.Date(10003, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), daySeconds)
	for day < last {
		want := time.Unix(day*daySeconds, 0).UTC()
		y, m, d := civilDate(day)
		if y != want.Year() || m != int(want.Month()) || d != want.Day() {
			t.Fatalf("civilDate(%d) = %d-%d-%d, want %s", day, y, m, d, want)
		}
		if got := dayNumber(y, m) + int64(d-1); got != day {
			t.Fatalf("dayNumber(%d, %d) puts %s on day %d, want %d", y, m, want, got, day)
		}
		if weekday(day) != int(want.Weekday()) {
			t.Fatalf("weekday of %s = %d", want, weekday(day))
		}
		if d == 1 {
			length := int(want.AddDate(0, 1, 0).Sub(want).Hours() / 24)
			if monthDays(y, m) != length {
				t.Fatalf("monthDays(%d, %d) = %d, want %d", y, m, monthDays(y, m), length)
			}
		}
		step := int64(97)
		if y >= 1890 && y < 2110 || m == 2 || m == 3 && d < 3 || m == 12 || m == 1 {
			step = 1
		}
		day += step
	}
}

func TestFloorDivRoundsDown(t *testing.T) {
	for _, c := range [][3]int64{{7, 3, 2}, {6, 3, 2}, {0, 3, 0}, {-1, 3, -1}, {-3, 3, -1}, {-4, 3, -2}} {
		require.Equal(t, c[2], floorDiv(c[0], c[1]), "%d / %d", c[0], c[1])
	}
}
