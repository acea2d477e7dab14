package jobs

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// markedBy walks the ticks, as slowly and simply as can be.
func markedBy(j *Job, from time.Time, minutes int) []uint64 {
	marks := make([]uint64, minutes)
	until := from.Add(time.Duration(minutes) * time.Minute)
	for at := from.Add(-time.Second); ; {
		tick, ok := j.Next(at)
		if !ok || !tick.Before(until) {
			return marks
		}
		s := int64(tick.Sub(from) / time.Second)
		marks[s/60] |= 1 << (s % 60)
		at = tick
	}
}

func TestMarkAgreesWithNext(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"}
	part := func(t *rapid.T, lo, hi int) string {
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
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zones).Draw(t, "zone")
		loc, err := LoadZone(name)
		require.NoError(t, err)
		j := &Job{Name: "j", Timezone: name}
		for range rapid.IntRange(1, 3).Draw(t, "specs") {
			var expr string
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				every := rapid.SampledFrom([]int{1, 7, 45, 59, 60, 61, 90, 3600, 25200, 86400, 200000}).Draw(t, "every")
				expr = fmt.Sprintf("@every %ds offset %ds", every, rapid.IntRange(0, every-1).Draw(t, "offset"))
			case 1:
				expr = part(t, 0, 59) + " "
				fallthrough
			default:
				expr += part(t, 0, 59) + " " + part(t, 0, 23) + " " + rapid.SampledFrom([]string{"*", "*/2", "1-7", "15"}).Draw(t, "dom") + " * " + part(t, 0, 6)
			}
			s, err := ParseSpec(expr, loc)
			if err != nil {
				t.Skip(err)
			}
			j.Specs = append(j.Specs, s)
		}
		// Around the changes of the clocks, and around a date that one zone never had.
		around := rapid.SampledFrom([]time.Time{
			time.Date(2026, 3, 8, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC),
			time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC),
			time.Date(2011, 12, 30, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 4, 0, 0, 0, 0, time.UTC),
		}).Draw(t, "around")
		from := around.Add(time.Duration(rapid.IntRange(-2000, 1000).Draw(t, "minutes")) * time.Minute)
		got := make([]uint64, rapid.IntRange(1, 4000).Draw(t, "length"))
		want := markedBy(j, from, len(got))
		j.Mark(from, got)
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%v in %s: minute %s is %060b, want %060b", j.Specs, name, from.Add(time.Duration(i)*time.Minute), got[i], want[i])
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
