package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/adhocore/gronx"
	netresearch "github.com/netresearch/go-cron"
	"github.com/robfig/cron/v3"

	"carillon/jobs"
)

// nextRows are the expressions of BenchmarkNext: common ones, then the dearest.
// Those with calendars leave out the weekends and a few holidays a year, which no
// peer can.
var nextRows = []struct {
	name, expr string
	calendars  bool
}{
	{"minutely", "* * * * *", false},
	{"office", "*/5 9-17 * * 1-5", false},
	{"daily", "30 2 * * *", false},
	{"monthly", "0 0 1 * *", false},
	{"29-Feb", "0 0 29 2 *", false},
	{"last-workday", "0 0 LW * *", false},
	{"fifth-Friday", "0 0 * * FRI#5", false},
	{"daily-calendars", "30 2 * * *", true},
	{"29-Feb-calendars", "0 0 29 2 *", true},
	{"last-workday-calendars", "0 0 LW * *", true},
}

// nextZones are one without transitions, one with two a year by rule, one whose
// clocks change by half an hour, and one whose clocks follow Ramadan, by a list
// until 2087. BenchmarkNext of package jobs takes the dearest zone of all.
var nextZones = []string{"UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"}

// nextEngine answers a function for the next time of an expression, or why there
// is none.
type nextEngine func(expr string, loc *time.Location) (func(time.Time) time.Time, error)

func nextOfCarillon(expr string, loc *time.Location) (func(time.Time) time.Time, error) {
	s, err := jobs.ParseSpec(expr, loc)
	return nextOfSpec(s), err
}

func nextOfSpec(s *jobs.Spec) func(time.Time) time.Time {
	return func(t time.Time) time.Time {
		t, _ = s.Next(t)
		return t
	}
}

// nextWithCalendars takes the Spec from a file: there is no other way to have
// calendars.
func nextWithCalendars(expr string, loc *time.Location) (func(time.Time) time.Time, error) {
	s, err := jobs.Parse("bench.yaml", fmt.Appendf(nil, `
calendars:
  weekend: {weekdays: [sat, sun]}
  holidays: {dates: [01-01, 05-01, 12-24..12-26, 2027-03-26, 2028-04-14, 2029-03-30]}
jobs:
  job: {schedule: %q, timezone: %s, exclude: [weekend, holidays], run: "true"}
`, expr, loc))
	if err != nil {
		return nil, err
	}
	return nextOfSpec(s.Jobs[0].Specs[0]), nil
}

func nextOfRobfig(expr string, loc *time.Location) (func(time.Time) time.Time, error) {
	s, err := cron.ParseStandard(expr)
	return func(t time.Time) time.Time { return s.Next(t.In(loc)) }, err
}

func nextOfNetresearch(expr string, loc *time.Location) (func(time.Time) time.Time, error) {
	s, err := netresearch.FullParser().Parse(expr)
	return func(t time.Time) time.Time { return s.Next(t.In(loc)) }, err
}

func nextOfGronx(expr string, loc *time.Location) (func(time.Time) time.Time, error) {
	next := func(t time.Time) time.Time {
		t, err := gronx.NextTickAfter(expr, t.In(loc), false)
		if err != nil {
			panic(err) // it was asked before
		}
		return t
	}
	_, err := gronx.NextTickAfter(expr, time.Date(2026, 1, 1, 0, 0, 0, 0, loc), false)
	return next, err
}

// BenchmarkNext computes the next time, over and over for a hundred years, beside
// three cron engines. What an engine cannot read is skipped, and says so.
func BenchmarkNext(b *testing.B) {
	engines := []struct {
		name string
		next nextEngine
	}{{"carillon", nextOfCarillon}, {"robfig", nextOfRobfig}, {"netresearch", nextOfNetresearch}, {"gronx", nextOfGronx}}
	for _, zone := range nextZones {
		loc, err := jobs.LoadZone(zone)
		check(b, err)
		for _, row := range nextRows {
			for _, engine := range engines {
				if row.calendars {
					if engine.name != "carillon" {
						continue
					}
					engine.next = nextWithCalendars
				}
				b.Run(zone+"/"+row.name+"/"+engine.name, func(b *testing.B) {
					next, err := engine.next(row.expr, loc)
					if err != nil {
						b.Skipf("%s does not read %q: %v", engine.name, row.expr, err)
					}
					start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
					end := start.AddDate(100, 0, 0)
					at := start
					b.ReportAllocs()
					for b.Loop() {
						if at = next(at); at.After(end) || at.IsZero() {
							at = start
						}
					}
				})
			}
		}
	}
}
