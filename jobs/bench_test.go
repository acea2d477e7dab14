package jobs

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkNext walks the ticks of an expression for a hundred years, over and
// over. To be at most 100 ns without allocation for the common expressions.
func BenchmarkNext(b *testing.B) {
	for _, zone := range []string{"UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"} {
		for _, expr := range []string{"* * * * *", "*/5 * * * *", "*/10 * * * * *", "0 9-17 * * MON-FRI", "30 2 * * *", "0 0 1 * *", "0 0 1 1 *", "0 0 13 * 5", "0 0 29 2 *", "*/30 1 29 2 *", "@every 90s"} {
			b.Run(fmt.Sprintf("%s/%s", zone, expr), func(b *testing.B) {
				s := parse(b, expr, zoneNamed(b, zone))
				start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
				end := start.AddDate(100, 0, 0)
				b.ReportAllocs()
				at := start
				for b.Loop() {
					if at, _ = s.Next(at); at.After(end) {
						at = start
					}
				}
			})
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
