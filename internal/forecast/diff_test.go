package forecast

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/jobs"
)

const week = 7 * 24 * time.Hour

// diffLines writes what changed as a few lines, in the zone of each job.
func diffLines(d Diff) (out []string) {
	const layout = "02 15:04"
	for _, j := range d.Jobs {
		if j.Change == Unchanged {
			continue
		}
		job := j.New
		if job == nil {
			job = j.Old
		}
		line := string(j.Change) + " " + j.Name
		if len(j.Keys) > 0 {
			line += " [" + strings.Join(j.Keys, " ") + "]"
		}
		if j.Renamed != "" {
			line += " = " + j.Renamed
		}
		if !j.First.IsZero() {
			line += ", first " + j.First.In(job.Zone()).Format(layout)
		}
		if !j.Cut.IsZero() {
			line += ", cut at " + j.Cut.In(job.Zone()).Format(layout)
		}
		out = append(out, line)
		for _, list := range []struct {
			sign  string
			ticks []time.Time
		}{{"-", j.Removed}, {"+", j.Added}} {
			for _, t := range list.ticks {
				out = append(out, list.sign+t.In(job.Zone()).Format(layout))
			}
		}
		for _, m := range j.Moved {
			out = append(out, m.From.In(j.Old.Zone()).Format(layout)+" -> "+m.To.In(j.New.Zone()).Format(layout))
		}
	}
	return out
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name     string
		old, new string
		days     int // 2 by default
		want     []string
	}{
		{name: "nothing", old: `a: {schedule: "0 2 * * *", run: echo}`, new: `a: {run: echo, schedule: "0 2 * * *"}`},
		{name: "moved", old: `a: {schedule: "0 2 * * *", run: echo}`, new: `a: {schedule: "0 3 * * *", run: echo}`, want: []string{
			"retimed a, first 23 03:00", "23 02:00 -> 23 03:00", "24 02:00 -> 24 03:00"}},
		{name: "two of a day", old: `a: {schedule: "0 2,14 * * *", run: echo}`, new: `a: {schedule: "30 2,15 * * *", run: echo}`, days: 1, want: []string{
			"retimed a, first 22 15:30", "22 14:00 -> 22 15:30", "23 02:00 -> 23 02:30"}},
		{name: "one of two has no partner", old: `a: {schedule: "0 1,14 * * *", run: echo}`, new: `a: {schedule: "0 2 * * *", run: echo}`, days: 1, want: []string{
			"retimed a, first 23 02:00", "-22 14:00", "23 01:00 -> 23 02:00"}},
		{name: "two as near are no partner", old: `a: {schedule: "0 2 * * *", run: echo}`, new: `a: {schedule: "0 1,3 * * *", run: echo}`, days: 1, want: []string{
			"retimed a, first 23 01:00", "-23 02:00", "+23 01:00", "+23 03:00"}},
		{name: "another day is no partner", old: `a: {schedule: "0 2 23 * *", run: echo}`, new: `a: {schedule: "0 2 24 * *", run: echo}`, want: []string{
			"retimed a, first 24 02:00", "-23 02:00", "+24 02:00"}},
		{name: "what has passed today is no partner", old: `a: {schedule: "0 11 * * *", run: echo}`, new: `a: {schedule: "0 13 * * *", run: echo}`, days: 1, want: []string{
			"retimed a, first 22 13:00", "+22 13:00", "23 11:00 -> 23 13:00"}},
		{name: "over the edge", old: `a: {schedule: "0 11 * * *", run: echo}`, new: `a: {schedule: "30 12 * * *", run: echo}`, days: 1, want: []string{
			"retimed a, first 22 12:30", "+22 12:30", "23 11:00 -> 23 12:30"}},
		{name: "more of them", old: `a: {schedule: "0 2 * * *", run: echo}`, new: `a: {schedule: ["0 2 * * *", "0 4 * * *"], run: echo}`, want: []string{
			"retimed a, first 23 02:00", "+23 04:00", "+24 04:00"}},
		{name: "written in another way", old: `a: {schedule: "@daily", run: echo}`, new: `a: {schedule: "0 0 * * *", run: echo}`, want: []string{
			"retimed a, first 23 00:00"}},
		{name: "another zone", old: `a: {schedule: "0 2 * * *", timezone: Europe/Berlin, run: echo}`, new: `a: {schedule: "0 2 * * *", timezone: America/New_York, run: echo}`, want: []string{
			"retimed a, first 23 02:00", "23 02:00 -> 23 02:00", "24 02:00 -> 24 02:00"}},
		{name: "added", old: `a: {run: echo}`, new: "a: {run: echo}\n  b: {schedule: \"@daily\", run: echo b}", days: 1, want: []string{
			"added b, first 23 00:00", "+23 00:00"}},
		{name: "added beyond the time compared", old: `a: {run: echo}`, new: "a: {run: echo}\n  b: {schedule: \"0 0 1 12 *\", run: echo b}", want: []string{
			"added b, first 01 00:00"}},
		{name: "added, and disabled", old: `a: {run: echo}`, new: "a: {run: echo}\n  b: {schedule: \"@daily\", enabled: false, run: echo b}", want: []string{"added b"}},
		{name: "removed", old: "a: {run: echo}\n  b: {schedule: \"@daily\", run: echo b}", new: `a: {run: echo}`, days: 1, want: []string{
			"removed b, first 23 00:00", "-23 00:00"}},
		{name: "renamed", old: `old: {schedule: "@daily", run: echo}`, new: `new: {schedule: "@daily", run: echo}`, days: 1, want: []string{
			"added new = old, first 23 00:00", "+23 00:00", "removed old = new, first 23 00:00", "-23 00:00"}},
		{name: "two alike are no rename", old: `old: {schedule: "@monthly", run: echo}`, new: "n1: {schedule: \"@monthly\", run: echo}\n  n2: {schedule: \"@monthly\", run: echo}", want: []string{
			"added n1, first 01 00:00", "added n2, first 01 00:00", "removed old, first 01 00:00"}},
		{name: "disabled", old: `a: {schedule: "@daily", run: echo}`, new: `a: {schedule: "@daily", enabled: false, run: echo}`, days: 1, want: []string{
			"disabled a, first 23 00:00", "-23 00:00"}},
		{name: "enabled at another time", old: `a: {schedule: "@daily", enabled: false, run: echo}`, new: `a: {schedule: "0 1 * * *", run: echo}`, days: 1, want: []string{
			"enabled a, first 23 01:00", "+23 01:00"}},
		{name: "another command", old: `a: {schedule: "@daily", run: echo}`, new: `a: {schedule: "@daily", run: echo more, timeout: 5m}`, want: []string{
			"redefined a [run timeout]"}},
		{name: "both", old: `a: {schedule: "@daily", run: echo}`, new: `a: {schedule: "0 1 * * *", command: [echo]}`, days: 1, want: []string{
			"retimed a [command run], first 23 01:00", "23 00:00 -> 23 01:00"}},
		{name: "an endless number is cut", old: `a: {schedule: "0 3 1 1 *", run: echo}`, new: `a: {schedule: "* * * * *", run: echo}`, want: append(
			[]string{"retimed a, first 22 12:01, cut at 23 04:40"}, minutes("+", noon, 1000)...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			days := max(c.days, 1)
			if c.days == 0 {
				days = 2
			}
			old, edited := parse(t, "jobs:\n  "+c.old), parse(t, "jobs:\n  "+c.new)
			d := Compare(old, edited, noon, noon.AddDate(0, 0, days), 10)
			assert.Equal(t, c.want, diffLines(d))
		})
	}
}

func TestAFileWithoutAChangeIsAnEmptyDiff(t *testing.T) {
	base := "redis: {url: 'redis://a:1'}\njobs:\n  a: {schedule: '@daily', run: echo}"
	compare := func(edited string) Diff {
		return Compare(parse(t, base), parse(t, edited), noon, noon.Add(week), 1000)
	}
	same := compare("# another comment\ntimezone: UTC\n" + base)
	assert.True(t, same.Empty())
	other := compare("max_wait: 1m\n" + strings.Replace(base, "a:1", "b:1", 1))
	assert.False(t, other.Empty())
	assert.Equal(t, []string{"redis", "max_wait"}, other.Keys)
	zone := compare("timezone: Europe/Berlin\n" + base)
	assert.False(t, zone.Empty())
	assert.Empty(t, zone.Keys)
}

func minutes(sign string, after time.Time, n int) (out []string) {
	for i := range n {
		out = append(out, sign+after.Add(time.Duration(i+1)*time.Minute).Format("02 15:04"))
	}
	return out
}

func TestOnlyANewTimingRestartsAJob(t *testing.T) {
	old := parse(t, "jobs:\n  a: {schedule: '@daily', run: echo}\n  b: {schedule: '@daily', run: echo}\n  c: {run: echo}")
	edited := parse(t, "jobs:\n  a: {schedule: '@hourly', run: echo}\n  b: {schedule: '@daily', run: echo b}\n  d: {run: echo}")
	var names []string
	for _, j := range Compare(old, edited, noon, noon.Add(week), 1000).Jobs {
		if j.Restarts() {
			names = append(names, j.Name)
		}
	}
	assert.Equal(t, []string{"a"}, names)
}

// TestAppliedToTheOldTicksADiffGivesTheNewOnes is what makes a diff one.
func TestAppliedToTheOldTicksADiffGivesTheNewOnes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		old, edited := drawTimes(rt, "old"), drawTimes(rt, "new")
		from := noon.Add(time.Duration(rapid.IntRange(0, 7*86400).Draw(rt, "from")) * time.Second)
		until := from.Add(time.Duration(rapid.IntRange(0, 5*86400).Draw(rt, "for")) * time.Second)
		d := Compare(old, edited, from, until, rapid.SampledFrom([]int{1, 100_000}).Draw(rt, "limit"))
		seen := map[string]bool{}
		for _, j := range d.Jobs {
			require.False(rt, seen[j.Name])
			seen[j.Name] = true
			end := until
			if !j.Cut.IsZero() {
				require.True(rt, j.Cut.Before(until))
				end = j.Cut
			}
			set := map[time.Time]bool{}
			for _, tick := range between(old.Job(j.Name), from, end) {
				set[tick] = true
			}
			for _, tick := range j.Removed {
				require.True(rt, set[tick], "%s removes %s, which was not there", j.Name, tick)
				delete(set, tick)
			}
			for _, m := range j.Moved {
				require.True(rt, set[m.From] || m.From.After(end))
				delete(set, m.From)
			}
			for _, m := range j.Moved {
				if !m.To.After(end) {
					require.False(rt, set[m.To])
					set[m.To] = true
				}
			}
			for _, tick := range j.Added {
				require.False(rt, set[tick], "%s adds %s, which is there", j.Name, tick)
				set[tick] = true
			}
			got := make([]time.Time, 0, len(set))
			for tick := range set {
				got = append(got, tick)
			}
			slices.SortFunc(got, time.Time.Compare)
			require.Equal(rt, between(edited.Job(j.Name), from, end), got, j.Name)
		}
		for _, s := range []*jobs.Schedule{old, edited} {
			for _, job := range s.Jobs {
				require.True(rt, seen[job.Name])
			}
		}
	})
}

// TestACutDiffIsTheBeginningOfTheWholeOne checks that a tick that moves over the
// cut is neither added nor removed.
func TestACutDiffIsTheBeginningOfTheWholeOne(t *testing.T) {
	cut := false
	rapid.Check(t, func(rt *rapid.T) {
		old, edited := drawTimes(rt, "old"), drawTimes(rt, "new")
		until := noon.Add(time.Duration(rapid.IntRange(0, 20*86400).Draw(rt, "for")) * time.Second)
		limit := rapid.IntRange(1, 50).Draw(rt, "limit")
		for _, j := range Compare(old, edited, noon, until, 0).Jobs {
			if !j.ticksMayChange() {
				continue
			}
			part, whole := comparePair(j.Name, j.Old, j.New), comparePair(j.Name, j.Old, j.New)
			part.compareTicks(noon, until, limit)
			whole.compareTicks(noon, until, mostOfAJob)
			require.Zero(rt, whole.Cut)
			edge := until
			if !part.Cut.IsZero() {
				edge, cut = part.Cut, true
			}
			late := func(t time.Time) bool { return t.After(edge) }
			whole.Added, whole.Removed = slices.DeleteFunc(whole.Added, late), slices.DeleteFunc(whole.Removed, late)
			whole.Moved = slices.DeleteFunc(whole.Moved, func(m Move) bool { return late(m.From) && late(m.To) })
			require.Equal(rt, diffLines(Diff{Jobs: []JobDiff{whole}}), diffLines(Diff{Jobs: []JobDiff{uncut(part)}}))
		}
	})
	assert.True(t, cut)
}

func uncut(d JobDiff) JobDiff {
	d.Cut = time.Time{}
	return d
}

// between are the ticks of a job after from, up to and including until.
func between(job *jobs.Job, from, until time.Time) []time.Time {
	ticks := []time.Time{}
	next := source(job)
	for at, ok := next(from); ok && !at.After(until); at, ok = next(at) {
		ticks = append(ticks, at)
	}
	return ticks
}

func drawTimes(rt *rapid.T, what string) *jobs.Schedule {
	var text strings.Builder
	fmt.Fprintf(&text, "calendars:\n  off: {dates: [2026-11-%d..2026-11-28], weekdays: [sat]}\n", rapid.IntRange(22, 26).Draw(rt, what+"calendar"))
	text.WriteString("jobs:\n  always: {run: echo}\n")
	for _, name := range []string{"a", "b", "c"} {
		if !rapid.Bool().Draw(rt, what+name) {
			continue
		}
		draw := func(label string, words ...string) string { return rapid.SampledFrom(words).Draw(rt, what+name+label) }
		fmt.Fprintf(&text, "  %s: {run: echo, schedule: %q, timezone: %s, enabled: %s%s}\n", name,
			draw("schedule", "0 2 * * *", "0 3 * * *", "30 2,14 * * *", "0 * * * *", "5 * * * *", "*/20 * * * *", "@every 7m", "0 0 * * 1", "59 23 * * *", "0 0 29 2 *"),
			draw("zone", "UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago"), draw("enabled", "true", "true", "false"),
			draw("more", "", "", ", exclude: off", ", exclude: off, shift: next-business-day", ", start: 2026-11-25", ", end: 2026-11-25T12:30:00Z", ", at: 2026-11-24T02:00:00Z"))
	}
	s, err := jobs.Parse("schedule.yaml", []byte("version: 1\n"+text.String()))
	if err != nil {
		rt.Skip(err) // rules that do not go together
	}
	return s
}

// TestEveryFieldOfAJobIsCompared keeps the table of keys complete: a field is in it,
// or it is one of those that follow from the others or say when the job fires.
func TestEveryFieldOfAJobIsCompared(t *testing.T) {
	elsewhere := strings.Fields(`Name Line Places Enabled Digest Timing Followers Silence
		Specs Timezone Location At DST Offset Start End EveryN Only Exclude Shift`)
	job := reflect.TypeFor[jobs.Job]()
	for i := range job.NumField() {
		f := job.Field(i)
		if slices.Contains(elsewhere, f.Name) {
			continue
		}
		edited := reflect.New(job).Elem()
		change(t, edited.Field(i))
		assert.NotEmpty(t, changedKeys(&jobs.Job{}, edited.Addr().Interface().(*jobs.Job)), "a change of %s goes unnoticed", f.Name)
	}
}

// change makes v, which is zero, something else.
func change(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.Zero(v.Type().Key()), reflect.Zero(v.Type().Elem()))
	case reflect.Struct:
		for i := range v.NumField() {
			change(t, v.Field(i))
		}
	default:
		t.Fatalf("no other value of %s", v.Type())
	}
}
