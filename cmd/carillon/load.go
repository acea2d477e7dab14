package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"carillon/internal/forecast"
	"carillon/jobs"
)

type loadOptions struct {
	days     int
	from     string
	timezone string
}

func (a *app) loadCommand() *cobra.Command {
	var o loadOptions
	cmd := a.command(spec{
		use:      "load [JOB...]",
		short:    "Show how many runs start in each hour of the coming week",
		computes: true,
		long: `Draw how many runs start in each hour of the coming days, and name the minute with
the most, the jobs that meet in it, and those that H would spread. What is counted are
the ticks of the enabled jobs, or of the named ones, each at the time its jitter gives
it; not the runs that follow others or are started by hand. A job of every_node counts
once.
It needs no Redis. When one answers, the middle duration of each job's recent runs
tells how many would run at once, and whether the live nodes have slots for them.`,
		example: `  carillon load
  carillon load --days 31 --timezone America/New_York
  carillon load --from 2027-03-28T00:00:00Z --days 1   # a day when clocks change
  carillon load backup report --redis redis://10.0.0.5:6379/0
  carillon load -o json`,
		run:      func(cmd *cobra.Command, args []string) error { return a.showLoad(cmd.Context(), o, args) },
		complete: a.completeJobs,
	})
	cmd.Flags().IntVar(&o.days, "days", 7, "look `N` days ahead")
	cmd.Flags().StringVar(&o.from, "from", "", "begin with the hour of `TIME`, RFC 3339 (default now)")
	cmd.Flags().StringVar(&o.timezone, "timezone", "", "show hours of this `ZONE`, such as Europe/Berlin (default: that of the file)")
	for _, name := range []string{"days", "from"} {
		a.completeFlag(cmd, name, cobra.NoFileCompletions)
	}
	a.completeFlag(cmd, "timezone", completeZones)
	return cmd
}

const maxLoadDays = 366

func (a *app) showLoad(ctx context.Context, o loadOptions, names []string) error {
	if o.days < 1 || o.days > maxLoadDays {
		return fail(exitUsage, "--days %d: expected 1 to %d", o.days, maxLoadDays).withHint("see `carillon load --help`")
	}
	at := a.now()
	if o.from != "" {
		var err error
		if at, err = parseTime("--from", o.from); err != nil {
			return err
		}
	}
	s, err := a.schedule()
	if err != nil {
		return err
	}
	chosen, err := jobsOf(s, names)
	if err != nil {
		return err
	}
	loc := s.Location
	if o.timezone != "" {
		zones, err := a.zones()
		if err != nil {
			return err
		}
		if loc, err = zones.Load(o.timezone); err != nil {
			return fail(exitUsage, "--timezone: %w", err)
		}
	}
	from := hourOf(at, loc)
	d := forecast.NewDensity(chosen, from, int(from.AddDate(0, 0, o.days).Sub(from)/time.Minute))
	x, err := a.experience(ctx, d.Ticking)
	if err != nil {
		return err
	}
	l := newLoad(d, loc, x)
	return a.one(viewLoad(l), func(w io.Writer) error {
		return writeLoad(w, l, a.heatMarks())
	})
}

// jobsOf are the named jobs, or all of them.
func jobsOf(s *jobs.Schedule, names []string) ([]*jobs.Job, error) {
	if len(names) == 0 {
		return s.Jobs, nil
	}
	var chosen []*jobs.Job
	for _, name := range names {
		job, err := jobIn(s, name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(chosen, job) {
			chosen = append(chosen, job)
		}
	}
	return chosen, nil
}

// hourOf is when the hour on the clock of a zone began.
func hourOf(now time.Time, loc *time.Location) time.Time {
	now = now.In(loc).Truncate(time.Minute)
	return now.Add(-time.Duration(now.Minute()) * time.Minute)
}

// load is what is shown.
type load struct {
	density  *forecast.Density
	loc      *time.Location
	hours    []forecast.Hour
	peak     int // minute
	starts   int // in it
	meeting  []*jobs.Job
	advice   []forecast.Advice
	atOnce   *forecast.AtOnce // nil: no durations are known
	nodes    int
	slots    int
	busiest  forecast.Hour
	quietest []int // hours of the day
}

func newLoad(d *forecast.Density, loc *time.Location, x experience) load {
	l := load{density: d, loc: loc, hours: d.Hours(loc), advice: d.Advise(), nodes: x.nodes, slots: x.slots}
	if l.peak, l.starts = d.Peak(); l.starts > 0 {
		l.meeting = d.In(l.peak)
	}
	if x.durations != nil {
		e := d.EstimateAtOnce(x.durations, x.nodes)
		l.atOnce = &e
	}
	var ofDay [24]int
	for _, h := range l.hours {
		if h.Starts > l.busiest.Starts {
			l.busiest = h
		}
		ofDay[h.Begin.Hour()] += h.Starts
	}
	l.quietest = quietest(ofDay[:], 3)
	return l
}

// quietest are the n positions with the least counts, in their own order.
func quietest(counts []int, n int) []int {
	order := make([]int, len(counts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return counts[a] - counts[b] })
	order = order[:n]
	slices.Sort(order)
	return order
}

type loadView struct {
	From     stamp          `json:"from"`
	Until    stamp          `json:"until"`
	Timezone string         `json:"timezone"`
	Jobs     int            `json:"jobs"`
	Ticks    int            `json:"ticks"`
	Hours    []loadHourView `json:"hours"`
	Peak     *loadPeakView  `json:"peak"`     // null: nothing fires
	Busiest  *loadHourView  `json:"busiest"`  // null: nothing fires
	Quietest []int          `json:"quietest"` // hours of the day with the fewest starts
	Suggest  []adviceView   `json:"suggest"`
	AtOnce   *atOnceView    `json:"at_once"` // null: no durations are known
}

type loadHourView struct {
	Hour  stamp `json:"hour"`
	Ticks int   `json:"ticks"`
}

type loadPeakView struct {
	Minute stamp    `json:"minute"`
	Ticks  int      `json:"ticks"`
	Jobs   []string `json:"jobs"`
}

type adviceView struct {
	Job      string `json:"job"`
	Schedule string `json:"schedule"` // to write instead
	Was      string `json:"was"`
	Why      string `json:"why"`
}

type atOnceView struct {
	Peak      int   `json:"peak"`
	Minute    stamp `json:"minute"`
	Jobs      int   `json:"jobs"`
	KnownJobs int   `json:"known_jobs"` // of which durations are known; the others count a second a run
	Nodes     int   `json:"nodes"`
	Slots     int   `json:"slots"`
}

func viewLoad(l load) loadView {
	d := l.density
	v := loadView{
		From: stamp(d.From.In(l.loc)), Until: stamp(d.At(len(d.Minutes)).In(l.loc)), Timezone: l.loc.String(),
		Jobs: len(d.Ticking), Ticks: d.Starts, Hours: []loadHourView{}, Quietest: l.quietest, Suggest: []adviceView{},
	}
	for _, h := range l.hours {
		v.Hours = append(v.Hours, loadHourView{stamp(h.Begin), h.Starts})
	}
	if l.starts > 0 {
		v.Peak = &loadPeakView{Minute: stamp(d.At(l.peak).In(l.loc)), Ticks: l.starts}
		for _, j := range l.meeting {
			v.Peak.Jobs = append(v.Peak.Jobs, j.Name)
		}
		v.Busiest = &loadHourView{stamp(l.busiest.Begin), l.busiest.Starts}
	}
	for _, g := range l.advice {
		v.Suggest = append(v.Suggest, adviceView{g.Job, g.Instead, g.Was, adviceWords(g, l.loc)})
	}
	if e := l.atOnce; e != nil {
		v.AtOnce = &atOnceView{e.Peak, stamp(e.Minute.In(l.loc)), e.Jobs, e.Known, l.nodes, l.slots}
	}
	return v
}

func adviceWords(g forecast.Advice, loc *time.Location) string {
	return fmt.Sprintf("%s at %s, where %d is usual", count(g.Starts, "start"), g.Minute.In(loc).Format("Mon 15:04"), g.Usual)
}
