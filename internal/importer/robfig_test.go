package importer

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/jobs"
)

// goRule is the rule of robfig/cron by brute force: the sets and star bits that
// its parser makes of an expression, and a walk over days. Its own Next is not the
// reference where the clocks change: it is slow there, and trips over some zones.
type goRule struct {
	set *cron.SpecSchedule
	loc *time.Location
}

func newGoRule(t require.TestingT, expr string, options cron.ParseOption, loc *time.Location) goRule {
	s, err := cron.NewParser(options | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(expr)
	require.NoError(t, err)
	set, ok := s.(*cron.SpecSchedule)
	require.True(t, ok)
	return goRule{set, loc}
}

func has(set uint64, value int) bool { return set&(1<<value) != 0 }

func (r goRule) day(t time.Time) bool {
	dom, dow := has(r.set.Dom, t.Day()), has(r.set.Dow, int(t.Weekday()))
	if has(r.set.Dom, 63) || has(r.set.Dow, 63) {
		return has(r.set.Month, int(t.Month())) && dom && dow
	}
	return has(r.set.Month, int(t.Month())) && (dom || dow)
}

func (r goRule) next(after time.Time, n int, end time.Time) []time.Time {
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
		// Each instant whose local time matches: what is skipped does not fire,
		// what comes twice fires twice.
		for t := begin; t.Before(stop) && len(ticks) < n; t = t.Add(time.Minute) {
			l := t.In(r.loc)
			if !has(r.set.Hour, l.Hour()) || !has(r.set.Minute, l.Minute()) {
				continue
			}
			for s := range 60 {
				if at := t.Add(time.Duration(s) * time.Second); has(r.set.Second, s) && at.After(after) && len(ticks) < n {
					ticks = append(ticks, at)
				}
			}
		}
	}
	return ticks
}

// drawGoField draws a field in the forms that robfig/cron reads, odd ones included.
func drawGoField(low, high int, names ...string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		value := func(v int) string {
			if len(names) > 0 && rapid.Bool().Draw(t, "named") {
				return names[v-low]
			}
			return rapid.SampledFrom([]string{"", "", "0", "+"}).Draw(t, "before") + fmt.Sprint(v)
		}
		item := func() string {
			lo := rapid.IntRange(low, high).Draw(t, "low")
			hi := rapid.IntRange(lo, high).Draw(t, "high")
			step := rapid.SampledFrom([]string{"", "", "", "/1", "/2", "/03", "/7", "/90"}).Draw(t, "step")
			switch rapid.IntRange(0, 7).Draw(t, "form") {
			case 0:
				return "*" + step
			case 1:
				return "?" + step
			case 2:
				return "*-5" + step
			case 3, 4, 5:
				return value(lo) + step
			}
			return value(lo) + "-" + value(hi) + step
		}
		items := []string{item()}
		for range rapid.IntRange(0, 2).Draw(t, "more") {
			items = append(items, rapid.SampledFrom([]string{"", item()}).Draw(t, "item"))
		}
		return strings.Join(items, ",")
	})
}

func TestEveryExpressionFiresAsRobfigsFires(t *testing.T) {
	months := strings.Fields("jan FEB Mar apr may jun jul aug sep oct nov dec")
	days := strings.Fields("sun MON Tue wed thu fri sat")
	second, minute, hour, dom := drawGoField(0, 59), drawGoField(0, 59), drawGoField(0, 23), drawGoField(1, 31)
	month, dow := drawGoField(1, 12, months...), drawGoField(0, 6, days...)
	rapid.Check(t, func(t *rapid.T) {
		five := fmt.Sprintf("%s %s %s %s %s", minute.Draw(t, "minute"), hour.Draw(t, "hour"), dom.Draw(t, "dom"), month.Draw(t, "month"), dow.Draw(t, "dow"))
		zone := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York"}).Draw(t, "zone")
		prefix := rapid.SampledFrom([]string{"", "TZ=" + zone + " ", "CRON_TZ=" + zone + "  "}).Draw(t, "prefix")
		expr, options, result := five, cron.ParseOption(0), (*Result)(nil)
		if rapid.Bool().Draw(t, "dkron") {
			expr, options = second.Draw(t, "second")+" "+five, cron.Second
			result = imported(t, Dkron, dkronJob(prefix+expr, zone))
		} else {
			result = imported(t, Kubernetes, cronJob(prefix+expr, zone, prefix == ""))
		}
		if result.Jobs == 0 {
			require.Contains(t, result.Complaints[len(result.Complaints)-1].Message, "can never fire", "%s", expr)
			return
		}
		s, err := jobs.Parse("c", result.YAML)
		require.NoError(t, err)
		loc, err := time.LoadLocation(zone)
		require.NoError(t, err)
		rule := newGoRule(t, expr, options, loc)
		sameTicks(t, s.Jobs[0], expr, 3, rule.next)

		// And the library itself, where it can be relied on.
		rule.set.Location = time.UTC
		at := starts[0]
		if zone == "UTC" {
			for range 20 {
				want := rule.set.Next(at)
				got, ok := s.Jobs[0].Next(at)
				if !ok || want.IsZero() || want.Year() > at.Year()+4 {
					break
				}
				require.True(t, got.Equal(want), "%s became %s: after %s it is %s, expected %s", expr, specs(s.Jobs[0]), at, got, want)
				at = got
			}
		}
	})
}

// What the importer writes about the changing of the clocks is what the library
// itself does.
func TestTheLibrarySkipsGapsAndFiresTwice(t *testing.T) {
	for _, expr := range []string{"30 2 * * *", "0 2 * * *", "30 1 * * *", "0 1 * * *", "15 */2 * * *", "*/15 * * * *", "@hourly", "@daily", "59 1-3 * * *", "5 0 * * 0"} {
		for _, zone := range []string{"Europe/Berlin", "America/New_York"} {
			loc, err := time.LoadLocation(zone)
			require.NoError(t, err)
			set, err := cron.ParseStandard("TZ=" + zone + " " + expr)
			require.NoError(t, err)
			j := only(t, imported(t, Kubernetes, cronJob(expr, zone, true)))
			for _, start := range starts {
				at := start
				for range comparedTicks {
					want := set.Next(at)
					got, ok := j.Next(at)
					require.True(t, ok)
					require.True(t, got.Equal(want), "%s in %s: after %s it is %s, expected %s", expr, zone, at.In(loc), got.In(loc), want.In(loc))
					at = got
				}
			}
		}
	}
}

func imported(t require.TestingT, read func([]byte, Options) (*Result, error), source any) *Result {
	data, err := json.Marshal(source)
	require.NoError(t, err)
	r, err := read(data, Options{File: "c"})
	require.NoError(t, err)
	return r
}

func dkronJob(schedule, zone string) any {
	return map[string]any{"name": "j", "schedule": schedule, "timezone": zone, "executor": "shell", "executor_config": map[string]string{"command": "true"}}
}

func cronJob(schedule, zone string, withZone bool) any {
	spec := map[string]any{
		"schedule":    schedule,
		"jobTemplate": map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"command": []string{"true"}}}}}}},
	}
	if withZone {
		spec["timeZone"] = zone
	}
	return map[string]any{"kind": "CronJob", "metadata": map[string]string{"name": "j"}, "spec": spec}
}

func TestExportsAndManifestsFireAsTheirSourceDoes(t *testing.T) {
	compared := 0
	compare := func(file string, r *Result, exprOf func(name string) (expr string), options cron.ParseOption) {
		s, err := jobs.Parse(file, r.YAML)
		require.NoError(t, err)
		for _, j := range s.Jobs {
			expr := exprOf(j.Name)
			if expr == "" || strings.HasPrefix(expr, "@every") || len(j.Specs) == 0 || !j.Start.IsZero() {
				continue
			}
			_, expr = cutZone(expr)
			if expr == "@minutely" {
				expr = "0 * * * * *"
			}
			rule := newGoRule(t, expr, options, zoneOf(j))
			sameTicks(t, j, file+": "+expr, 12, rule.next)
			compared++
		}
	}
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York"} {
		for _, file := range sources(t, "dkron", ".json") {
			data := readFile(t, file)
			r, err := Dkron(data, Options{File: file, Timezone: zone})
			require.NoError(t, err)
			var list []map[string]any
			if json.Unmarshal(data, &list) != nil {
				list = []map[string]any{{}}
				require.NoError(t, json.Unmarshal(data, &list[0]))
			}
			compare(file, r, func(name string) string {
				for _, job := range list {
					if job["name"] == name && job["parent_job"] == nil {
						return strings.ReplaceAll(job["schedule"].(string), "0 ~ ~/6", "0 54 6/6")
					}
				}
				return ""
			}, cron.Second)
		}
		for _, file := range sources(t, "k8s", "shop.yaml", ".json") {
			r, err := Kubernetes(readFile(t, file), Options{File: filepath.Base(file), Timezone: zone})
			require.NoError(t, err)
			exprs := map[string]string{"nightly-report": "30 1 * * 1-5", "shop-cleanup": "0 0 */2 * 1", "blog-cleanup": "15 */6 * * *", "hello": "* * * * *"}
			compare(file, r, func(name string) string { return exprs[name] }, 0)
		}
	}
	require.GreaterOrEqual(t, compared, 30)
}

func TestDkronSpreadsByTheSumOfTheName(t *testing.T) {
	// The letter "j" is 106; the letters of "spread-me" add up to 894.
	for _, c := range []struct{ name, expr, want string }{
		{"j", "~ ~ ~ ~ ~ ~", "46 46 10 23 11 1"},
		{"spread-me", "0 ~ ~/6 * * *", "0 54 6/6 * * *"},
		{"x", "@every 1m", "@every 1m"},
		{"j", "TZ=Asia/Tokyo ~ 0 ~ * * *", "TZ=Asia/Tokyo 46 0 10 * * *"},
		{"j", "0 0 0 * * *", "0 0 0 * * *"},
	} {
		require.Equal(t, c.want, tilde(c.name, c.expr))
	}
}

func TestAnAtOfDkronFiresOnce(t *testing.T) {
	j := only(t, imported(t, Dkron, dkronJob("@at 2027-01-02T15:04:00+06:00", "")))
	at, ok := j.Next(starts[0])
	require.True(t, ok)
	require.True(t, at.Equal(time.Date(2027, 1, 2, 9, 4, 0, 0, time.UTC)))
	_, ok = j.Next(at)
	require.False(t, ok)
}

func TestEveryBecomesWholeSeconds(t *testing.T) {
	for text, want := range map[string]string{"90s": "@every 90s", "1h30m": "@every 1h30m", "1500ms": "@every 1s", "10ms": "@every 1s", "1m0.9s": "@every 1m", "-5m": "@every 1s", "+5m": "@every 5m"} {
		got, err := everyTiming(text)
		require.NoError(t, err)
		require.Equal(t, want, got.expr, text)
		s, err := cron.ParseStandard("@every " + text)
		require.NoError(t, err)
		every := s.(cron.ConstantDelaySchedule).Delay
		ours, err := jobs.ParseSpec(got.expr, nil)
		require.NoError(t, err)
		first, _ := ours.Next(time.Unix(0, 0))
		require.Equal(t, every, first.Sub(time.Unix(0, 0)), text)
	}
	_, err := everyTiming("often")
	require.ErrorContains(t, err, "no duration")
}
