package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever is drawn reads back as what it was, and covers exactly its days.
func TestRangesOfDatesCoverTheirDays(t *testing.T) {
	draw := func(t *rapid.T, year int) date {
		month := rapid.IntRange(1, 12).Draw(t, "month")
		inYear := year
		if year == 0 {
			inYear = 2000
		}
		return date{year, month, rapid.IntRange(1, monthDays(inYear, month)).Draw(t, "day")}
	}
	inYear := func(d date) int { return 100*d.month + d.day }
	rapid.Check(t, func(t *rapid.T) {
		yearly := rapid.Bool().Draw(t, "yearly")
		var r dateRange
		if yearly {
			r = dateRange{draw(t, 0), draw(t, 0)}
		} else {
			r = dateRange{draw(t, rapid.IntRange(2019, 2022).Draw(t, "from")), draw(t, rapid.IntRange(2022, 2025).Draw(t, "to"))}
		}
		text := r.from.String() + ".." + r.to.String()
		got, err := parseDates(text)
		if !yearly && r.to.number() < r.from.number() {
			require.ErrorContains(t, err, "did you mean \""+r.to.String()+".."+r.from.String()+"\"?")
			return
		}
		require.NoError(t, err)
		require.Equal(t, r, got)
		var mask yearMask
		var spans []daySpan
		got.addTo(&mask, &spans)
		set := newDaySet(0, mask, spans)
		for day := dayOf(2018, 12, 1); day < dayOf(2026, 2, 1); day++ {
			want := r.from.year != 0 && day >= r.from.number() && day <= r.to.number()
			if yearly {
				year, month, dom := civilDate(day)
				at := inYear(date{year, month, dom})
				from, to := inYear(r.from), inYear(r.to)
				want = from <= to && at >= from && at <= to || from > to && (at >= from || at <= to)
			}
			if set.contains(day) != want {
				t.Fatalf("%s holds %s: %t", text, time.Unix(day*daySeconds, 0).UTC().Format(time.DateOnly), !want)
			}
		}
	})
}

// What is offered instead of a date is a date.
func TestWhatIsOfferedForADateIsOne(t *testing.T) {
	for _, text := range []string{"13-01", "25-12", "2026-25-12", "12/25", "25/12", "25.12.2026", "2026-2-3", "20261225", "--12-25", "2026-12-25 10:00", "1-2"} {
		_, err := parseDate(text)
		require.Error(t, err, text)
		_, rest, ok := strings.Cut(err.Error(), "did you mean \"")
		require.True(t, ok, "%s: %v", text, err)
		offered, _, _ := strings.Cut(rest, `"`)
		_, err = parseDate(offered)
		assert.NoError(t, err, text)
	}
}

// An instant that lacks something is offered whole, and that is an instant.
func TestWhatIsOfferedForAnInstantIsOne(t *testing.T) {
	kathmandu, err := LoadZone("Asia/Kathmandu")
	require.NoError(t, err)
	for text, want := range map[string]string{
		"2026-12-25":                      "2026-12-25T00:00:00+05:45",
		"2026-12-25T10:00":                "2026-12-25T10:00:00+05:45",
		"2026-12-25 10:00:30":             "2026-12-25T10:00:30+05:45",
		"2026-12-25T10:00:00.999999":      "2026-12-25T10:00:00+05:45",
		"2026-12-25T10:00:00,5+01:00":     "2026-12-25T10:00:00+01:00",
		"2026-12-25T10:00:00-0330":        "2026-12-25T10:00:00-03:30",
		"2026-12-25T10:00:00+01":          "2026-12-25T10:00:00+01:00",
		"2026-12-25_10:00z":               "2026-12-25T10:00:00Z",
		"2026-12-25 10:00:00 UTC":         "2026-12-25T10:00:00Z",
		"2026-02-30":                      "",
		"2026-12-25T25:00":                "",
		"2026-12-25T10:00:00+25:00":       "",
		"2026-12-25T1:00:00Z":             "",
		"10:00":                           "",
		"2026-12-25T10:00:00[Asia/Tokyo]": "",
	} {
		_, err := parseInstant(text, kathmandu)
		require.Error(t, err, text)
		_, rest, _ := strings.Cut(err.Error(), "did you mean \"")
		offered, _, _ := strings.Cut(rest, `"`)
		assert.Equal(t, want, offered, "%s: %v", text, err)
		if offered != "" {
			_, err = parseInstant(offered, time.UTC)
			assert.NoError(t, err, text)
		}
	}
}

// The bounds of a day, second by second around the nights in which clocks change,
// beside a clock that is simply read.
func TestADayIsWhatTheClockShows(t *testing.T) {
	for _, c := range []struct {
		zone string
		from time.Time
	}{
		{"Europe/Berlin", time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)},
		{"Europe/Berlin", time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC)},
		{"America/Havana", time.Date(2026, 3, 7, 0, 0, 0, 0, time.UTC)},     // 00:00 does not exist
		{"America/Havana", time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC)},   // 00:00 to 01:00 comes twice
		{"America/Sao_Paulo", time.Date(2018, 2, 16, 0, 0, 0, 0, time.UTC)}, // 23:00 to 24:00 comes twice
		{"America/Sao_Paulo", time.Date(2018, 11, 2, 0, 0, 0, 0, time.UTC)},
		{"Pacific/Apia", time.Date(2011, 12, 28, 0, 0, 0, 0, time.UTC)}, // the 30th does not exist
		{"America/Toronto", time.Date(2010, 11, 6, 0, 0, 0, 0, time.UTC)},
		{"America/St_Johns", time.Date(2010, 11, 6, 0, 0, 0, 0, time.UTC)}, // 00:01 back to 23:01
		{"Asia/Kathmandu", time.Date(1985, 12, 30, 0, 0, 0, 0, time.UTC)},
		{"UTC", time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)},
	} {
		loc, err := LoadZone(c.zone)
		require.NoError(t, err)
		z := zoneOf(loc)
		first := floorDiv(c.from.Unix(), daySeconds) + 1
		for day := first; day < first+3; day++ {
			// The first second that shows the day or a later one, and the last that
			// shows the day or an earlier one.
			var begins, ends int64
			for sec := (day - 1) * daySeconds; sec < (day+2)*daySeconds+daySeconds; sec++ {
				_, offset := time.Unix(sec, 0).In(loc).Zone()
				shown := floorDiv(sec+int64(offset), daySeconds)
				if shown >= day && begins == 0 {
					begins = sec
				}
				if shown <= day {
					ends = sec
				}
			}
			name := time.Unix(day*daySeconds, 0).UTC().Format(time.DateOnly) + " in " + c.zone
			assert.Equal(t, time.Unix(begins, 0).UTC(), z.dayBegins(day), "beginning of %s", name)
			assert.Equal(t, time.Unix(ends, 0).UTC(), z.dayEnds(day), "end of %s", name)
		}
	}
}
