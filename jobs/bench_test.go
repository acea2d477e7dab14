package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchCommon are expressions as most jobs have them: at most 100 ns in every
// zone, without allocation.
var benchCommon = []string{
	"* * * * *", "*/5 * * * *", "*/10 * * * * *", "0 9-17 * * MON-FRI", "30 2 * * *", "0 0 * * 0", "0 0 1 * *", "0 0 1 1 *", "0 0 13 * 5", "H H * * *", "@every 90s",
}

// benchWorst are the dearest: at most 500 ns. Dates are those of a year that
// begins on a Thursday.
var benchWorst = []struct {
	name, expr string
	o          SpecOptions
}{
	{"", "0 0 29 2 *", SpecOptions{}},
	{"", "*/30 1 29 2 *", SpecOptions{}},
	{"", "0 0 L * *", SpecOptions{}},
	{"", "0 0 LW * *", SpecOptions{}},
	{"", "0 0 15W,L-3W * *", SpecOptions{}},
	{"", "0 0 * * FRI#5", SpecOptions{}},
	{"", "0 0 * * 5L", SpecOptions{}},
	{"once in 28 years", "0 0 * 2 FRI#5", SpecOptions{}},
	{"once in 28 years", "0 0 29 2 */7", SpecOptions{}},
	{"skip twice", "30 2 * * *", SpecOptions{DST: DST{DSTSkip, DSTTwice}}},
	{"run-after twice", "0 0 29 2 *", SpecOptions{DST: DST{DSTRunAfter, DSTTwice}}},
	{"exclude", "* * * * *", SpecOptions{Exclude: benchCalendars}},
	{"exclude", "0 9 * * *", SpecOptions{Exclude: benchCalendars}},
	{"exclude", "0 9 LW * *", SpecOptions{Exclude: benchCalendars}},
	{"exclude", "0 0 29 2 *", SpecOptions{Exclude: benchCalendars}},
	{"only", "0 9 * * *", SpecOptions{Only: benchCalendars[:1]}},
	{"shift next", "0 9 1,15 * *", SpecOptions{Exclude: benchCalendars, Shift: ShiftNext}},
	{"shift previous", "0 9 L * *", SpecOptions{Exclude: benchCalendars, Shift: ShiftPrevious}},
	{"shift next", "0 9 * * FRI#5", SpecOptions{Exclude: benchCalendars, Shift: ShiftNext}},
	{"shift previous", "0 9 29 2 *", SpecOptions{Exclude: benchCalendars, Shift: ShiftPrevious}},
	{"every second week", "0 9 * * FRI", SpecOptions{Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), EveryN: EveryN{2, EveryWeeks}}},
	{"every third day", "0 9 * * *", SpecOptions{Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), EveryN: EveryN{3, EveryDays}}},
	{"exclude", "@every 90s", SpecOptions{Exclude: benchCalendars}},
}

// benchCalendars are a few holidays a year, Easter among them, and the weekends.
var benchCalendars = func() []*Calendar {
	yearly := yearMask{1: 1 << 1, 5: 1 << 1, 12: 1<<25 | 1<<26}
	var spans []daySpan
	for year := 2026; year < 2150; year++ {
		day := dayNumber(year, 3) + 21 + int64(year*7%34)
		spans = append(spans, daySpan{day - 2, day - 2}, daySpan{day + 1, day + 1})
	}
	return []*Calendar{{Name: "holidays", days: newDaySet(0, yearly, spans)}, {Name: "weekend", days: newDaySet(1<<6|1<<0, yearMask{}, nil)}}
}()

// century answers one tick after the other, from 2026 to 2126 and over again.
func century(s *Spec) func() {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := start.AddDate(100, 0, 0)
	at := start
	return func() {
		next, ok := s.Next(at)
		if at = next; !ok || at.After(end) {
			at = start
		}
	}
}

// BenchmarkNext takes the zone of the database that is dearest for each expression.
func BenchmarkNext(b *testing.B) {
	run := func(name, expr string, o SpecOptions) {
		b.Run(strings.TrimSpace(expr+" "+name), func(b *testing.B) {
			s := dearest(b, expr, o)
			b.Logf("in %s", s.Location())
			next := century(s)
			b.ReportAllocs()
			for b.Loop() {
				next()
			}
		})
	}
	for _, expr := range benchCommon {
		run("", expr, SpecOptions{})
	}
	for _, w := range benchWorst {
		run(w.name, w.expr, w.o)
	}
}

// BenchmarkNextIn is the same in some zones that are often used.
func BenchmarkNextIn(b *testing.B) {
	for _, zone := range []string{"UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"} {
		for _, expr := range append([]string{"0 0 29 2 *", "0 0 LW * *", "0 0 * * FRI#5"}, benchCommon...) {
			b.Run(zone+"/"+expr, func(b *testing.B) {
				next := century(benchSpec(b, expr, SpecOptions{}, zoneNamed(b, zone)))
				b.ReportAllocs()
				for b.Loop() {
					next()
				}
			})
		}
	}
}

func benchSpec(tb testing.TB, expr string, o SpecOptions, loc *time.Location) *Spec {
	o.Location, o.Name = loc, "a-job"
	s, err := NewSpec(expr, o)
	require.NoError(tb, err)
	return s
}

// dearest is the spec in the zone where a thousand ticks of it took longest, in
// the best of some rounds: the machine has other things to do as well.
func dearest(tb testing.TB, expr string, o SpecOptions) *Spec {
	var worst *Spec
	var most time.Duration
	for name := range strings.FieldsSeq(zoneNameList) {
		s := benchSpec(tb, expr, o, zoneNamed(tb, name))
		best := time.Hour
		for range 3 {
			next := century(s)
			begin := time.Now()
			for range 500 {
				next()
			}
			best = min(best, time.Since(begin))
		}
		if best > most {
			worst, most = s, best
		}
	}
	return worst
}

// TestNextDoesNotAllocate holds for every expression, option and zone.
func TestNextDoesNotAllocate(t *testing.T) {
	check := func(expr string, o SpecOptions, loc *time.Location) {
		s := benchSpec(t, expr, o, loc)
		job := &Job{Specs: []*Spec{s, s}, At: []time.Time{time.Unix(1_800_000_000, 0)}, Jitter: time.Minute}
		at := time.Date(2026, 3, 7, 6, 59, 59, 0, time.UTC)
		n := testing.AllocsPerRun(3, func() {
			if next, ok := job.Next(at); ok {
				at = job.Starts(next)
			}
		})
		require.Zero(t, n, "%s in %s with %+v", expr, loc, o)
	}
	for name := range strings.FieldsSeq(zoneNameList) {
		loc := zoneNamed(t, name)
		for _, expr := range benchCommon {
			check(expr, SpecOptions{}, loc)
		}
		for _, w := range benchWorst {
			check(w.expr, w.o, loc)
		}
	}
}

// BenchmarkNextScattered asks from instants all over the century, so that
// neither the zone table nor the branches can be learnt.
func BenchmarkNextScattered(b *testing.B) {
	for _, zone := range []string{"UTC", "America/New_York"} {
		b.Run(zone, func(b *testing.B) {
			s := parse(b, "30 2 * * *", zoneNamed(b, zone))
			at := make([]time.Time, 1<<12)
			for i := range at {
				at[i] = time.Unix(1_700_000_000+int64(i)*2654435761%3_000_000_000, 0)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s.Next(at[i&(1<<12-1)])
				i++
			}
		})
	}
}

func BenchmarkParseSpec(b *testing.B) {
	for _, expr := range []string{"0 2 * * *", "*/5 9-17 1,15 JAN-MAR MON-FRI", "@daily", "@every 90s"} {
		b.Run(expr, func(b *testing.B) {
			loc := zoneNamed(b, "America/New_York")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseSpec(expr, loc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkZoneTable(b *testing.B) {
	loc, err := LoadZone("America/New_York")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		newZone(loc)
	}
}
