package jobs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// oracle says by brute force which instants are ticks. It is written from the
// rules alone, with package time, and shares nothing with the evaluator.
type oracle struct {
	second, minute, hour, dom, month, dow [64]bool
	wildcard, either                      bool
	loc                                   *time.Location
}

// newOracle reads a good expression of five or six fields.
func newOracle(expr string, loc *time.Location) *oracle {
	f := strings.Fields(expr)
	if len(f) == 5 {
		f = append([]string{"0"}, f...)
	}
	begins := func(i int, with string) bool { return strings.ContainsAny(f[i][:1], with) }
	return &oracle{
		second: oracleSet(f[0], 0, 59), minute: oracleSet(f[1], 0, 59), hour: oracleSet(f[2], 0, 23),
		dom: oracleSet(f[3], 1, 31), month: oracleSet(f[4], 1, 12), dow: oracleSet(f[5], 0, 7),
		wildcard: begins(1, "*") || begins(2, "*"),
		either:   !begins(3, "*?") && !begins(5, "*?"),
		loc:      loc,
	}
}

func oracleSet(text string, first, last int) (set [64]bool) {
	number := func(s string) int {
		if n, err := strconv.Atoi(s); err == nil {
			return n
		}
		if i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(s)); i >= 0 {
			return i/3 + 1
		}
		return strings.Index("sunmontuewedthufrisat", strings.ToLower(s)) / 3
	}
	for _, item := range strings.Split(text, ",") {
		body, stepText, stepped := strings.Cut(item, "/")
		lo, hi, step := first, last, 1
		if body != "*" && body != "?" {
			a, b, isRange := strings.Cut(body, "-")
			lo = number(a)
			switch {
			case isRange:
				hi = number(b)
			case !stepped:
				hi = lo
			}
		}
		if stepped {
			step, _ = strconv.Atoi(stepText)
			if hi == 7 && last == 7 && !strings.Contains(body, "-") {
				hi = 6 // "*" and "n/" end with Saturday
			}
		}
		for v := lo; v <= hi; v += step {
			set[v] = true
		}
	}
	if last == 7 {
		set[0] = set[0] || set[7]
	}
	return set
}

// day reports whether the date matches.
func (o *oracle) day(t time.Time) bool {
	if !o.month[t.Month()] {
		return false
	}
	dom, dow := o.dom[t.Day()], o.dow[t.Weekday()]
	if o.either {
		return dom || dow
	}
	return dom && dow
}

// matches reports whether the fields of a civil time match; its zone is ignored.
func (o *oracle) matches(t time.Time) bool {
	return o.second[t.Second()] && o.minute[t.Minute()] && o.hour[t.Hour()] && o.day(t)
}

// offset is the zone's offset at an instant.
func (o *oracle) offset(at int64) int64 {
	_, off := time.Unix(at, 0).In(o.loc).Zone()
	return int64(off)
}

// shown lists the instants within two days at which the clock shows a local time.
func (o *oracle) shown(local int64) []int64 {
	var at []int64
	for h := int64(-54); h <= 54; h++ {
		t := local - o.offset(local+h*3600)
		if t+o.offset(t) == local && !slices.Contains(at, t) {
			at = append(at, t)
		}
	}
	slices.Sort(at)
	return at
}

// fires is the rule.
func (o *oracle) fires(at int64) bool {
	local := at + o.offset(at)
	if o.matches(time.Unix(local, 0).UTC()) && (o.wildcard || o.shown(local)[0] == at) {
		return true
	}
	if o.wildcard {
		return false
	}
	// A gap ends here: one of the local times that it swallowed may be due.
	for lost := at - 1 + o.offset(at-1) + 1; lost < local; lost++ {
		if o.matches(time.Unix(lost, 0).UTC()) && len(o.shown(lost)) == 0 {
			return true
		}
	}
	return false
}

// ticks walks from one instant (exclusive) to another (inclusive).
func (o *oracle) ticks(from, to, step int64) []int64 {
	var out []int64
	for at := from + step; at <= to; at += step {
		if o.fires(at) {
			out = append(out, at)
		}
	}
	return out
}

// requireTicks compares the evaluator with the oracle between two instants.
func requireTicks(t require.TestingT, expr string, loc *time.Location, from, to, step int64) {
	s, err := ParseSpec(expr, loc)
	require.NoError(t, err, expr)
	var got []int64
	for at := time.Unix(from, 0); ; {
		next, ok := s.Next(at)
		if !ok || next.Unix() > to {
			break
		}
		require.True(t, next.After(at), "%s in %s: %s after %s", expr, loc, next, at)
		got = append(got, next.Unix())
		at = next
	}
	want := newOracle(expr, loc).ticks(from, to, step)
	if !slices.Equal(want, got) {
		show := func(ticks []int64) string {
			var b strings.Builder
			for _, u := range ticks {
				fmt.Fprintf(&b, "\n  %s", time.Unix(u, 0).In(loc))
			}
			return b.String()
		}
		require.Fail(t, "ticks differ", "%s in %s\nwant:%s\ngot:%s", expr, loc, show(want), show(got))
	}
}

// TestEveryTransitionOfEveryZone walks minute by minute over the clock changes
// of all zones that are live or may be asked about: 1970 to 2045.
func TestEveryTransitionOfEveryZone(t *testing.T) {
	since, until := dayNumber(1970, 1)*daySeconds, dayNumber(2045, 1)*daySeconds
	seen := map[string]bool{} // links, and zones that differ before 1970 only
	n := 0
	for name := range strings.Lines(zoneNameList) {
		loc := zoneNamed(t, strings.TrimSpace(name))
		z := zoneOf(loc)
		for i := 1; i < z.wrap; i++ {
			at, before, after := z.spans[i].start, z.spans[i-1].off, z.spans[i].off
			if at < since || at >= until || before%60 != 0 || after%60 != 0 {
				continue
			}
			if key := fmt.Sprint(at, before, after); seen[key] {
				continue
			} else {
				seen[key] = true
			}
			change := max(before-after, after-before)
			local := time.Unix(at+before, 0).UTC()
			hour, dom, month, dow := local.Hour(), local.Day(), int(local.Month()), int(local.Weekday())
			expr := []string{
				"*/7 * * * *",
				"0-59/7 0-23 * * *",
				fmt.Sprintf("0,30 %d * * *", hour),
				fmt.Sprintf("*/20 %d * * *", hour),
				fmt.Sprintf("15 0-23 %d %d *", dom, month),
				fmt.Sprintf("15 */2 * * %d", dow),
				fmt.Sprintf("45 0-23/2 */2 * %d", (dow+6)%7),
				fmt.Sprintf("59 %d-23 %d * %d", hour, dom, (dow+1)%7),
				"30 * ? * *",
			}[n%9]
			n++
			requireTicks(t, expr, loc, at-change-2*3600, at+change+2*3600, 60)
		}
	}
	require.Greater(t, n, 1000)
}

// drawItem draws one field that is written in any of the ways the grammar has.
func drawField(t *rapid.T, label string, lo, hi int, names string) string {
	value := func(v int) string {
		if names != "" && rapid.Bool().Draw(t, label+" by name") {
			if v < 7 || hi != 7 {
				return rapid.SampledFrom([]func(string) string{strings.ToUpper, strings.ToLower}).Draw(t, label+" case")(names[(v-lo)*3 : (v-lo)*3+3])
			}
		}
		return strconv.Itoa(v)
	}
	item := func(i int) string {
		l := fmt.Sprintf("%s %d", label, i)
		step := ""
		if rapid.Bool().Draw(t, l+" stepped") {
			step = fmt.Sprintf("/%d", rapid.IntRange(1, hi+10).Draw(t, l+" step"))
		}
		switch rapid.IntRange(0, 3).Draw(t, l+" form") {
		case 0:
			return "*" + step
		case 1:
			a := rapid.IntRange(lo, hi).Draw(t, l+" from")
			b := rapid.IntRange(a, hi).Draw(t, l+" to")
			return value(a) + "-" + value(b) + step
		default:
			v := rapid.IntRange(lo, hi).Draw(t, l)
			if hi == 7 && v == 7 {
				step = "" // "7/2": nobody knows
			}
			return value(v) + step
		}
	}
	if rapid.IntRange(0, 2).Draw(t, label+" open") == 0 {
		return "*"
	}
	items := make([]string, rapid.IntRange(1, 3).Draw(t, label+" items"))
	for i := range items {
		items[i] = item(i)
	}
	return strings.Join(items, ",")
}

const (
	drawMonths = "janfebmaraprmayjunjulaugsepoctnovdec"
	drawDays   = "sunmontuewedthufrisat"
)

// drawExpr draws an expression of five or six fields that can fire.
func drawExpr(t *rapid.T) string {
	return rapid.Custom(func(t *rapid.T) string {
		var f []string
		if rapid.IntRange(0, 3).Draw(t, "with seconds") == 0 {
			f = append(f, drawField(t, "second", 0, 59, ""))
		}
		f = append(f, drawField(t, "minute", 0, 59, ""), drawField(t, "hour", 0, 23, ""))
		if rapid.Bool().Draw(t, "any day") {
			f = append(f, "*", "*", "*")
		} else {
			f = append(f, drawField(t, "dom", 1, 31, ""), drawField(t, "month", 1, 12, drawMonths), drawField(t, "dow", 0, 7, drawDays))
		}
		return strings.Join(f, " ")
	}).Filter(func(expr string) bool {
		_, err := ParseSpec(expr, nil)
		return err == nil || !strings.Contains(err.Error(), "can never fire")
	}).Draw(t, "expr")
}

// drawTransition draws a zone and one of its transitions, from the first ones,
// which are odd to the second, to some behind the end of the table.
func drawTransition(t *rapid.T) (loc *time.Location, at int64) {
	names := strings.Fields(zoneNameList)
	loc, err := LoadZone(rapid.SampledFrom(names).Draw(t, "zone"))
	require.NoError(t, err)
	spans := zoneOf(loc).spans
	at = spans[rapid.IntRange(min(1, len(spans)-1), len(spans)-1).Draw(t, "transition")].start
	if at >= cycleStart {
		at += cycleSeconds * rapid.Int64Range(0, 3).Draw(t, "cycles")
	}
	return loc, at
}

// TestAnyExpressionAtAnyTransition walks second by second.
func TestAnyExpressionAtAnyTransition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loc, at := drawTransition(t)
		expr := drawExpr(t)
		from := at - rapid.Int64Range(0, 5400).Draw(t, "before")
		requireTicks(t, expr, loc, from, at+rapid.Int64Range(0, 5400).Draw(t, "after"), 1)
	})
}

// TestAnyDays walks day by day, for the calendar and the day rule.
func TestAnyDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expr := "30 12 " + drawField(t, "dom", 1, 31, "") + " " + drawField(t, "month", 1, 12, drawMonths) + " " + drawField(t, "dow", 0, 7, drawDays)
		s, err := ParseSpec(expr, nil)
		if err != nil {
			require.ErrorContains(t, err, "can never fire", expr)
		}
		o := newOracle(expr, time.UTC)
		start := time.Date(rapid.IntRange(1, 9970).Draw(t, "year"), 1, 1, 12, 30, 0, 0, time.UTC)
		at := start.Add(-time.Second)
		for day := start; day.Year() < start.Year()+9; day = day.AddDate(0, 0, 1) {
			if !o.day(day) {
				continue
			}
			require.NotNil(t, s, "%s is said never to fire, but does on %s", expr, day)
			got, ok := s.Next(at)
			require.True(t, ok)
			require.Equal(t, day, got, "%s after %s", expr, at)
			at = got
		}
	})
}
