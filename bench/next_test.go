package bench

import (
	"testing"
	"time"

	"github.com/adhocore/gronx"
	"github.com/robfig/cron/v3"

	"carillon/jobs"
)

// BenchmarkNext computes the next time, over and over for a hundred years,
// beside the two cron engines that most Go programs use.
func BenchmarkNext(b *testing.B) {
	robfig := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	engines := []struct {
		name string
		next func(b *testing.B, expr string, loc *time.Location) func(time.Time) time.Time
	}{
		{"carillon", func(b *testing.B, expr string, loc *time.Location) func(time.Time) time.Time {
			s, err := jobs.ParseSpec(expr, loc)
			check(b, err)
			return func(t time.Time) time.Time {
				t, _ = s.Next(t)
				return t
			}
		}},
		{"robfig", func(b *testing.B, expr string, loc *time.Location) func(time.Time) time.Time {
			s, err := robfig.Parse(expr)
			check(b, err)
			return func(t time.Time) time.Time { return s.Next(t.In(loc)) }
		}},
		{"gronx", func(b *testing.B, expr string, loc *time.Location) func(time.Time) time.Time {
			return func(t time.Time) time.Time {
				t, err := gronx.NextTickAfter(expr, t.In(loc), false)
				check(b, err)
				return t
			}
		}},
	}
	for _, zone := range []string{"UTC", "America/New_York"} {
		loc, err := time.LoadLocation(zone)
		check(b, err)
		for _, e := range []struct{ name, expr string }{
			{"minutely", "* * * * *"},
			{"office", "*/5 9-17 * * 1-5"},
			{"daily", "30 2 * * *"},
			{"monthly", "0 0 1 * *"},
			{"29-Feb", "0 0 29 2 *"},
		} {
			for _, engine := range engines {
				b.Run(zone+"/"+e.name+"/"+engine.name, func(b *testing.B) {
					next := engine.next(b, e.expr, loc)
					start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
					end := start.AddDate(100, 0, 0)
					at := start
					b.ReportAllocs()
					for b.Loop() {
						if at = next(at); at.After(end) {
							at = start
						}
					}
				})
			}
		}
	}
}
