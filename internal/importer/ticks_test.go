package importer

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/jobs"
)

// cronRule is cron's own rule by brute force, from man 5 crontab and the main
// loop of cronie's cron.c. It shares nothing with the importer nor the evaluator.
type cronRule struct {
	minute, hour, dom, month, dow [64]bool
	domStar, dowStar, wild        bool
	loc                           *time.Location
}

func newCronRule(t require.TestingT, expr string, loc *time.Location) cronRule {
	if full, ok := map[string]string{
		"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
		"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *", "@every_minute": "*/1 * * * *",
	}[expr]; ok {
		expr = full
	}
	f := strings.Fields(expr)
	require.Len(t, f, 5, expr)
	star := func(s string) bool { return s[0] == '*' }
	r := cronRule{
		minute: cronSet(f[0], 0, 59), hour: cronSet(f[1], 0, 23), dom: cronSet(f[2], 1, 31), month: cronSet(f[3], 1, 12), dow: cronSet(f[4], 0, 7),
		domStar: star(f[2]), dowStar: star(f[4]), wild: star(f[0]) || star(f[1]), loc: loc,
	}
	r.dow[0] = r.dow[0] || r.dow[7]
	return r
}

func cronSet(text string, low, high int) (set [64]bool) {
	number := func(s string) int {
		if n, err := strconv.Atoi(s); err == nil {
			return n
		}
		if i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(s)); i >= 0 && high == 12 {
			return i/3 + 1
		}
		return strings.Index("sunmontuewedthufrisat", strings.ToLower(s)) / 3
	}
	for _, item := range strings.Split(text, ",") {
		body, stepText, stepped := strings.Cut(item, "/")
		a, b, isRange := strings.Cut(body, "-")
		lo, hi, step := low, high, 1
		if body != "*" {
			lo = number(a)
			if hi = lo; isRange {
				hi = number(b)
			}
		}
		if stepped {
			step = number(stepText)
		} else if lo > hi && hi == 0 {
			hi = 7 // fri-sun
		}
		for v := lo; v <= hi; v += step {
			set[v] = true
		}
	}
	return set
}

func (r *cronRule) day(t time.Time) bool {
	dom, dow := r.dom[t.Day()], r.dow[t.Weekday()]
	if r.domStar || r.dowStar {
		return r.month[t.Month()] && dom && dow
	}
	return r.month[t.Month()] && (dom || dow)
}

// matches is find_jobs for one minute of a wall clock, given as if it were UTC.
func (r *cronRule) matches(wall time.Time) bool {
	return r.minute[wall.Minute()] && r.hour[wall.Hour()] && r.day(wall)
}

// wall is what the clocks of the zone show, as if it were UTC.
func (r *cronRule) wall(t time.Time) time.Time {
	l := t.In(r.loc)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
}

// next lists the ticks after an instant: n of them, or those until the end.
func (r *cronRule) next(after time.Time, n int, end time.Time) []time.Time {
	var ticks []time.Time
	l := after.In(r.loc)
	for y, m, d := l.Date(); len(ticks) < n; d++ {
		begin, stop := time.Date(y, m, d, 0, 0, 0, 0, r.loc), time.Date(y, m, d+1, 0, 0, 0, 0, r.loc)
		if begin.After(end) {
			break
		}
		if !r.day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC)) {
			continue
		}
		found := r.evenDay
		if stop.Sub(begin) != 24*time.Hour {
			found = r.oddDay
		}
		for _, t := range found(begin, stop) {
			if t.After(after) && len(ticks) < n {
				ticks = append(ticks, t)
			}
		}
	}
	return ticks
}

// evenDay is a day on which the clocks do nothing special.
func (r *cronRule) evenDay(begin, _ time.Time) (ticks []time.Time) {
	if !r.day(begin) {
		return nil
	}
	for h := range 24 {
		for m := range 60 {
			if r.hour[h] && r.minute[m] {
				ticks = append(ticks, begin.Add(time.Duration(h)*time.Hour+time.Duration(m)*time.Minute))
			}
		}
	}
	return ticks
}

// oddDay is the main loop of cron over a day on which the clocks change: it
// follows a virtual clock that jumps and waits. A job that several missed minutes
// call for in one round is in cron's queue once.
func (r *cronRule) oddDay(begin, stop time.Time) (ticks []time.Time) {
	virtual := r.wall(begin).Add(-time.Minute)
	for t := begin; t.Before(stop); t = t.Add(time.Minute) {
		wall := r.wall(t)
		fires := false
		switch diff := wall.Sub(virtual) / time.Minute; {
		case diff == 1:
			virtual = wall
			fires = r.matches(wall)
		case diff > 1: // the clocks went forward: wildcard jobs now, fixed ones that were skipped too
			fires = r.wild && r.matches(wall)
			for virtual.Before(wall) {
				virtual = virtual.Add(time.Minute)
				fires = fires || !r.wild && r.matches(virtual)
			}
		default: // the clocks went back: wildcard jobs only, until the virtual time is caught up with
			fires = r.wild && r.matches(wall)
		}
		if fires {
			ticks = append(ticks, t)
		}
	}
	return ticks
}

const comparedTicks = 100

// starts are where comparisons begin: at a quiet time and right before the clocks
// change in Europe and in America.
var starts = []time.Time{
	time.Date(2026, 1, 15, 11, 30, 0, 0, time.UTC),
	time.Date(2026, 3, 8, 5, 0, 0, 0, time.UTC),
	time.Date(2026, 3, 28, 23, 0, 0, 0, time.UTC),
	time.Date(2026, 10, 24, 23, 0, 0, 0, time.UTC),
	time.Date(2026, 11, 1, 4, 0, 0, 0, time.UTC),
	time.Date(2096, 2, 20, 0, 0, 0, 0, time.UTC),
}

// sameTicks holds the next hundred ticks of an imported job against those of a
// rule: all of them from the first start, those of a few years from the others.
func sameTicks(t require.TestingT, j *jobs.Job, what string, years int, next func(after time.Time, n int, end time.Time) []time.Time) {
	for i, start := range starts {
		if i > 0 {
			years = min(years, 2)
		}
		want := next(start, comparedTicks, start.AddDate(years, 0, 0))
		at := start
		for i, tick := range want {
			got, ok := j.Next(at)
			require.True(t, ok, "%s: there is no tick %d after %s", what, i+1, at)
			if !got.Equal(tick) {
				require.Failf(t, "another tick", "%s became %s: tick %d after %s is %s, expected %s", what, specs(j), i+1, start, got.In(zoneOf(j)), tick.In(zoneOf(j)))
			}
			at = got
		}
	}
}

func specs(j *jobs.Job) string {
	var list []string
	for _, s := range j.Specs {
		list = append(list, s.String())
	}
	return strings.Join(list, " and ") + " in " + j.Timezone
}

func zoneOf(j *jobs.Job) *time.Location {
	loc, err := time.LoadLocation(j.Timezone)
	if err != nil {
		panic(err)
	}
	return loc
}

// entryOf splits a line of a crontab the simplest way there is.
func entryOf(line string) (expr string) {
	f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "-"))
	if f[0][0] == '@' {
		return f[0]
	}
	return strings.Join(f[:5], " ")
}

func TestCrontabsFireAsCronFires(t *testing.T) {
	compared, seen := 0, map[string]bool{}
	for _, file := range sources(t, "crontab", ".user", ".system") {
		data := readFile(t, file)
		lines := strings.Split(string(data), "\n")
		for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"} {
			r, err := Crontab(data, Options{File: file, Timezone: zone, System: filepath.Ext(file) == ".system"})
			require.NoError(t, err)
			s, err := jobs.Parse(file, r.YAML)
			require.NoError(t, err)
			for _, j := range s.Jobs {
				line := lines[lineOf(t, string(r.YAML), j)-1]
				expr := entryOf(line)
				if strings.Contains(expr, "~") {
					continue // drawn by lot
				}
				compared++
				key := expr + " in " + j.Timezone
				if seen[key] {
					continue
				}
				seen[key] = true
				years := 9 // a hundred ticks of all but the yearly ones
				if j.Timezone == "UTC" {
					years = 450 // and of 29 February
				}
				rule := newCronRule(t, expr, zoneOf(j))
				sameTicks(t, j, file+": "+line, years, rule.next)
			}
		}
	}
	require.Greater(t, compared, 120, "the corpus is too small to mean anything")
}

// lineOf reads the line of the source behind the name of a job.
func lineOf(t require.TestingT, yaml string, j *jobs.Job) int {
	line := strings.Split(yaml, "\n")[j.Line-1]
	_, number, ok := strings.Cut(line, "# line ")
	require.True(t, ok, line)
	n, err := strconv.Atoi(number)
	require.NoError(t, err)
	return n
}

// drawField draws a field of a crontab in the forms that cron reads.
func drawField(low, high int, names ...string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		value := func(v int) string {
			if len(names) > 0 && rapid.IntRange(0, 3).Draw(t, "named") == 0 && v-low < len(names) {
				return names[v-low]
			}
			return strings.Repeat("0", rapid.IntRange(0, 3).Draw(t, "zeros")) + strconv.Itoa(v)
		}
		item := func() string {
			lo := rapid.IntRange(low, high).Draw(t, "low")
			hi := rapid.IntRange(lo, high).Draw(t, "high")
			step := rapid.SampledFrom([]string{"", "", "/1", "/2", "/03", "/7", "/40", "/99999"}).Draw(t, "step")
			switch rapid.IntRange(0, 4).Draw(t, "form") {
			case 0:
				return "*" + step
			case 1, 2:
				return value(lo)
			}
			from, to := value(lo), value(hi)
			if strings.TrimLeft(to, "0123456789") != "" && hi == 7 {
				to = "7"
			}
			return from + "-" + to + step
		}
		items := []string{item()}
		for range rapid.IntRange(0, 2).Draw(t, "more") {
			items = append(items, item())
		}
		return strings.Join(items, ",")
	})
}

func TestEveryExpressionFiresAsCronFires(t *testing.T) {
	months := strings.Fields("jan FEB Mar apr may jun jul aug sep oct nov dec")
	days := strings.Fields("sun MON Tue wed thu fri sat")
	minute, hour, dom := drawField(0, 59), drawField(0, 23), drawField(1, 31)
	month, dow := drawField(1, 12, months...), drawField(0, 7, days...)
	rapid.Check(t, func(t *rapid.T) {
		expr := fmt.Sprintf("%s %s %s %s %s", minute.Draw(t, "minute"), hour.Draw(t, "hour"), dom.Draw(t, "dom"), month.Draw(t, "month"), dow.Draw(t, "dow"))
		zone := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York"}).Draw(t, "zone")
		r, err := Crontab([]byte(expr+" /bin/true\n"), Options{File: "c", Timezone: zone})
		require.NoError(t, err)
		if r.Jobs == 0 {
			require.Contains(t, r.Complaints[len(r.Complaints)-1].Message, "can never fire", "%s", expr)
			return
		}
		s, err := jobs.Parse("c", r.YAML)
		require.NoError(t, err)
		rule := newCronRule(t, expr, zoneOf(s.Jobs[0]))
		sameTicks(t, s.Jobs[0], expr, 3, rule.next)
	})
}
