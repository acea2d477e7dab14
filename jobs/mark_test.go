package jobs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// markedBy walks the ticks, as slowly and simply as can be.
func markedBy(j *Job, from time.Time, minutes int) []uint64 {
	marks := make([]uint64, minutes)
	set := func(at time.Time) {
		s := int64(at.Sub(from) / time.Second)
		marks[s/60] |= 1 << (s % 60)
	}
	until := from.Add(time.Duration(minutes) * time.Minute)
	for at := from.Add(-time.Second); ; {
		tick, ok := j.Next(at)
		if !ok || !tick.Before(until) {
			return marks
		}
		set(tick)
		at = tick
	}
}

// anyField draws a field with values from lo to hi.
func anyField(t *rapid.T, lo, hi int) string {
	n := rapid.IntRange(lo, hi)
	switch rapid.IntRange(0, 4).Draw(t, "form") {
	case 0:
		return "*"
	case 1:
		return fmt.Sprintf("*/%d", rapid.IntRange(1, hi+2).Draw(t, "step"))
	case 2:
		a, b := n.Draw(t, "a"), n.Draw(t, "b")
		return fmt.Sprintf("%d-%d", min(a, b), max(a, b))
	default:
		return fmt.Sprintf("%d,%d", n.Draw(t, "a"), n.Draw(t, "b"))
	}
}

// anyTimedJob draws a job with everything that decides when it fires, around an
// instant.
func anyTimedJob(t *rapid.T, around time.Time) *Job {
	var exprs []string
	every := rapid.IntRange(0, 3).Draw(t, "kind") == 0
	for range rapid.IntRange(1, 3).Draw(t, "specs") {
		expr := ""
		switch {
		case every:
			d := rapid.SampledFrom([]int{1, 7, 45, 59, 60, 61, 90, 3600, 25200, 86400, 200000}).Draw(t, "every")
			expr = fmt.Sprintf("@every %ds offset %ds", d, rapid.IntRange(0, d-1).Draw(t, "offset"))
		case rapid.Bool().Draw(t, "seconds"):
			expr = anyField(t, 0, 59) + " "
			fallthrough
		default:
			expr += anyField(t, 0, 59) + " " + anyField(t, 0, 23) + " " + rapid.SampledFrom([]string{"*", "*/2", "1-7", "15", "L", "15W"}).Draw(t, "dom") + " * " + anyField(t, 0, 6)
		}
		exprs = append(exprs, fmt.Sprintf("%q", expr))
	}
	more := ""
	maybe := func(text string) {
		if rapid.IntRange(0, 3).Draw(t, "more") == 0 {
			more += ", " + text
		}
	}
	bound := func(name string) time.Time {
		return around.Add(time.Duration(rapid.IntRange(-3*86400, 3*86400).Draw(t, name)) * time.Second)
	}
	maybe(rapid.SampledFrom([]string{"exclude: weekend", "only: some", "exclude: [some, weekend]"}).Draw(t, "days"))
	filtered := more != ""
	maybe("dst: {gap: " + rapid.SampledFrom([]string{"skip", "run-after"}).Draw(t, "gap") + ", overlap: " + rapid.SampledFrom([]string{"once", "twice"}).Draw(t, "overlap") + "}")
	start := bound("start")
	maybe("start: " + start.Format(time.RFC3339))
	if strings.Contains(more, "start") && !every {
		maybe("every_n: {days: 2}")
	}
	if filtered && !every {
		maybe("shift: " + rapid.SampledFrom([]string{"next-business-day", "previous-business-day"}).Draw(t, "shift"))
	}
	maybe("end: " + start.Add(time.Duration(rapid.IntRange(1, 5*86400).Draw(t, "end"))*time.Second).Format(time.RFC3339))
	maybe("at: " + bound("at").Format(time.RFC3339))
	zone := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"}).Draw(t, "zone")
	text := fmt.Sprintf("calendars: {weekend: {weekdays: [sat, sun]}, some: {dates: [%s, %s..%s]}}\njobs:\n  j: {run: x, timezone: %s, schedule: [%s]%s}\n",
		bound("date").Format(time.DateOnly), around.Format(time.DateOnly), around.AddDate(0, 0, 1).Format(time.DateOnly), zone, strings.Join(exprs, ", "), more)
	s, err := Parse("schedule.yaml", []byte(text))
	if err != nil {
		t.Skip(err) // twice the same, or no day is left
	}
	t.Log(text)
	return s.Jobs[0]
}

func TestMarkAgreesWithNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Around the changes of the clocks, and around a date that one zone never had.
		around := rapid.SampledFrom([]time.Time{
			time.Date(2026, 3, 8, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC),
			time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC),
			time.Date(2011, 12, 30, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 4, 0, 0, 0, 0, time.UTC),
		}).Draw(t, "around")
		j := anyTimedJob(t, around)
		from := around.Add(time.Duration(rapid.IntRange(-2000, 1000).Draw(t, "minutes")) * time.Minute)
		got := make([]uint64, rapid.IntRange(1, 4000).Draw(t, "length"))
		want := markedBy(j, from, len(got))
		j.Mark(from, got)
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("minute %s is %060b, want %060b", from.Add(time.Duration(i)*time.Minute), got[i], want[i])
			}
		}
	})
}

func TestMarkHasTheSingleInstants(t *testing.T) {
	from := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	j := &Job{At: []time.Time{from.Add(-time.Second), from, from.Add(61 * time.Second), from.Add(2 * time.Minute)}}
	got := make([]uint64, 2)
	j.Mark(from, got)
	require.Equal(t, []uint64{1, 2}, got)
}

// BenchmarkMark marks a week.
func BenchmarkMark(b *testing.B) {
	for _, expr := range []string{"* * * * *", "* * * * * *", "@every 1s", "@every 7s", "0 2 * * *", "*/7 * * * *"} {
		b.Run(expr, func(b *testing.B) {
			j := &Job{Specs: []*Spec{parse(b, expr, zoneNamed(b, "Europe/Berlin"))}}
			minutes := make([]uint64, lintWeek)
			from := time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)
			b.ReportAllocs()
			for b.Loop() {
				j.Mark(from, minutes)
			}
		})
	}
}
