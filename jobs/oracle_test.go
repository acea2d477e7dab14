package jobs

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/big"
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
	second, minute, hour, month [64]bool
	dom, dow                    []dayRule
	wildcard, either            bool
	every, offset               int64
	loc                         *time.Location
	SpecOptions
	only, exclude dayRule // nil for none
}

// dayRule says whether a date is in a set; of the time only the date counts.
type dayRule func(time.Time) bool

// newOracle reads a good expression of five or six fields, or "@every".
func newOracle(expr string, o SpecOptions) *oracle {
	or := &oracle{SpecOptions: o, loc: o.Location}
	if or.loc == nil {
		or.loc = time.UTC
	}
	f := strings.Fields(expr)
	if strings.EqualFold(f[0], "@every") {
		d, _ := time.ParseDuration(f[1])
		or.every, or.offset = int64(d.Seconds()), int64(o.Offset.Seconds())
		if len(f) > 2 {
			d, _ = time.ParseDuration(f[3])
			or.offset = int64(d.Seconds())
		}
		return or
	}
	if len(f) == 5 {
		f = append([]string{"0"}, f...)
	}
	begins := func(i int, with string) bool { return strings.ContainsAny(f[i][:1], with) }
	or.wildcard = begins(1, "*") || begins(2, "*")
	or.either = !begins(3, "*?") && !begins(5, "*?")
	salts := []string{"second", "minute", "hour", "day of month", "month", "day of week"}
	lows, highs := []int{0, 0, 0, 1, 1, 0}, []int{59, 59, 23, 28, 12, 6}
	for i := range f {
		items := strings.Split(f[i], ",")
		for n, item := range items {
			if strings.HasPrefix(strings.ToUpper(item), "H") {
				items[n] = oracleSpread(item[1:], salts[i], o.Name, lows[i], highs[i])
			}
		}
		f[i] = strings.Join(items, ",")
	}
	or.second, or.minute, or.hour, or.month = oracleSet(f[0], 0, 59), oracleSet(f[1], 0, 59), oracleSet(f[2], 0, 23), oracleSet(f[4], 1, 12)
	for _, item := range strings.Split(f[3], ",") {
		or.dom = append(or.dom, oracleDay(strings.ToUpper(item)))
	}
	for _, item := range strings.Split(f[5], ",") {
		or.dow = append(or.dow, oracleWeekday(strings.ToUpper(item)))
	}
	return or
}

// oracleSpread writes H out as a list.
func oracleSpread(form, salt, name string, lo, hi int) string {
	sum := sha256.Sum256([]byte(salt + "\x00" + name))
	hash := new(big.Int).SetBytes(sum[:8])
	mod := func(n int) int { return int(new(big.Int).Mod(hash, big.NewInt(int64(n))).Int64()) }
	body, step, stepped := strings.Cut(form, "/")
	if body != "" {
		a, b, _ := strings.Cut(strings.Trim(body, "()"), "-")
		lo, hi = oracleNumber(a), oracleNumber(b)
		if salt == "day of week" && hi == 0 && lo > 0 {
			hi = 7
		}
	}
	size := hi - lo + 1
	if !stepped {
		return strconv.Itoa(lo + mod(size))
	}
	every, _ := strconv.Atoi(step)
	var all []string
	for v := lo + mod(min(every, size)); v <= hi; v += every {
		all = append(all, strconv.Itoa(v))
	}
	return strings.Join(all, ",")
}

func oracleNumber(s string) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	if i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(s)); i >= 0 {
		return i/3 + 1
	}
	return strings.Index("sunmontuewedthufrisat", strings.ToLower(s)) / 3
}

// oracleDay reads an item of day of month.
func oracleDay(item string) dayRule {
	body, workday := strings.CutSuffix(item, "W")
	var isDay dayRule
	switch before, fromEnd := strings.CutPrefix(body, "L"); {
	case fromEnd:
		n, _ := strconv.Atoi(strings.TrimPrefix(before, "-"))
		isDay = func(t time.Time) bool {
			last := t.AddDate(0, 0, n)
			return last.Month() == t.Month() && last.AddDate(0, 0, 1).Month() != t.Month()
		}
	case workday:
		n, _ := strconv.Atoi(body)
		isDay = func(t time.Time) bool { return t.Day() == n }
	default:
		set := oracleSet(item, 1, 31)
		return func(t time.Time) bool { return set[t.Day()] }
	}
	if !workday {
		return isDay
	}
	// Of the month's days from Monday to Friday the one with the least distance.
	return func(t time.Time) bool {
		var at, best time.Time
		first := t.AddDate(0, 0, 1-t.Day())
		for d := first; d.Month() == first.Month(); d = d.AddDate(0, 0, 1) {
			if isDay(d) {
				at = d
			}
		}
		if at.IsZero() {
			return false
		}
		for d := first; d.Month() == first.Month(); d = d.AddDate(0, 0, 1) {
			if d.Weekday() != time.Saturday && d.Weekday() != time.Sunday && (best.IsZero() || d.Sub(at).Abs() < best.Sub(at).Abs()) {
				best = d
			}
		}
		return best.Equal(t)
	}
}

// oracleWeekday reads an item of day of week.
func oracleWeekday(item string) dayRule {
	if day, n, found := strings.Cut(item, "#"); found {
		return func(t time.Time) bool {
			count := 0
			for d := t; d.Month() == t.Month(); d = d.AddDate(0, 0, -7) {
				count++
			}
			return int(t.Weekday()) == oracleNumber(day)%7 && strconv.Itoa(count) == n
		}
	}
	if day, found := strings.CutSuffix(item, "L"); found {
		return func(t time.Time) bool {
			return int(t.Weekday()) == oracleNumber(day)%7 && t.AddDate(0, 0, 7).Month() != t.Month()
		}
	}
	set := oracleSet(item, 0, 7)
	return func(t time.Time) bool { return set[t.Weekday()] }
}

func oracleSet(text string, first, last int) (set [64]bool) {
	for _, item := range strings.Split(text, ",") {
		body, stepText, stepped := strings.Cut(item, "/")
		lo, hi, step := first, last, 1
		if body != "*" && body != "?" {
			a, b, isRange := strings.Cut(body, "-")
			lo = oracleNumber(a)
			switch {
			case isRange:
				hi = oracleNumber(b)
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

// inFields reports whether the date is one that the fields name.
func (o *oracle) inFields(t time.Time) bool {
	if !o.month[t.Month()] {
		return false
	}
	anyOf := func(rules []dayRule) bool {
		return slices.ContainsFunc(rules, func(r dayRule) bool { return r(t) })
	}
	if o.either {
		return anyOf(o.dom) || anyOf(o.dow)
	}
	return anyOf(o.dom) && anyOf(o.dow)
}

// named reports whether the date is one that the fields and every_n name.
func (o *oracle) named(t time.Time) bool {
	if o.EveryN.N == 0 {
		return o.inFields(t)
	}
	day := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }
	from, at := day(o.Start.In(o.loc)), day(t)
	size := 24 * time.Hour
	if o.EveryN.Unit == EveryWeeks {
		size *= 7
		for from.Weekday() != time.Monday {
			from = from.AddDate(0, 0, -1)
		}
	}
	return !at.Before(from) && int64(at.Sub(from)/size)%int64(o.EveryN.N) == 0 && o.inFields(t)
}

// left reports whether the calendars leave the date.
func (o *oracle) left(t time.Time) bool {
	return (o.only == nil || o.only(t)) && (o.exclude == nil || !o.exclude(t))
}

// day reports whether the date is one to fire on.
func (o *oracle) day(t time.Time) bool {
	if !o.left(t) {
		return false
	}
	if o.named(t) {
		return true
	}
	step := map[Shift]int{ShiftNext: -1, ShiftPrevious: 1}[o.Shift]
	if step == 0 {
		return false
	}
	for n := 1; n <= 366; n++ {
		from := t.AddDate(0, 0, n*step)
		if o.left(from) {
			return false
		}
		if o.named(from) {
			return true
		}
	}
	return false
}

// matches reports whether the fields of a civil time match; its zone is ignored.
func (o *oracle) matches(t time.Time) bool {
	return o.second[t.Second()] && o.minute[t.Minute()] && o.hour[t.Hour()] && o.day(t)
}

// clock is the civil time that the clock shows at an instant, as a time in UTC.
func (o *oracle) clock(at int64) int64 {
	_, off := time.Unix(at, 0).In(o.loc).Zone()
	return at + int64(off)
}

// shown lists the instants within two days at which the clock shows a local time.
// No offset holds for less than six hours (TestTransitionsAreDaysApart).
func (o *oracle) shown(local int64) []int64 {
	var at []int64
	last := int64(math.MinInt64)
	for h := int64(-54); h <= 54; h += 6 {
		probe := local + h*3600
		t := local - (o.clock(probe) - probe)
		if t != last && o.clock(t) == local && !slices.Contains(at, t) {
			at = append(at, t)
		}
		last = t
	}
	slices.Sort(at)
	return at
}

// runAfter and twice are the policies, with the defaults of the kind of time.
func (o *oracle) runAfter() bool {
	return o.DST.Gap == DSTRunAfter || o.DST.Gap == "" && !o.wildcard
}

func (o *oracle) twice() bool {
	return o.DST.Overlap == DSTTwice || o.DST.Overlap == "" && o.wildcard
}

// fires is the rule.
func (o *oracle) fires(at int64) bool {
	if !o.Start.IsZero() && time.Unix(at, 0).Before(o.Start) || !o.End.IsZero() && time.Unix(at, 0).After(o.End) {
		return false
	}
	local := o.clock(at)
	if o.every > 0 {
		return ((at-o.offset)%o.every+o.every)%o.every == 0 && o.left(time.Unix(local, 0).UTC())
	}
	if o.matches(time.Unix(local, 0).UTC()) && (o.twice() || o.shown(local)[0] == at) {
		return true
	}
	if !o.runAfter() {
		return false
	}
	// A gap ends here: one of the local times that it swallowed may be due.
	for lost := o.clock(at-1) + 1; lost < local; lost++ {
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

// ticksOf is what the evaluator says of the same stretch.
func ticksOf(t require.TestingT, s *Spec, from, to int64) []int64 {
	var got []int64
	for at := time.Unix(from, 0); ; {
		next, ok := s.Next(at)
		if !ok || next.Unix() > to {
			return got
		}
		require.True(t, next.After(at), "%s in %s: %s after %s", s, s.Location(), next, at)
		got = append(got, next.Unix())
		at = next
	}
}

// requireTicks compares the evaluator with the oracle between two instants.
func requireTicks(t require.TestingT, expr string, o SpecOptions, or *oracle, from, to, step int64) {
	s, err := NewSpec(expr, o)
	if err != nil && strings.HasPrefix(err.Error(), "can never fire") {
		require.Empty(t, or.ticks(from, to, step), "%s %+v: %v", expr, o, err)
		return
	}
	require.NoError(t, err, expr)
	got, want := ticksOf(t, s, from, to), or.ticks(from, to, step)
	if !slices.Equal(want, got) {
		show := func(ticks []int64) string {
			var b strings.Builder
			for _, u := range ticks {
				fmt.Fprintf(&b, "\n  %s", time.Unix(u, 0).In(or.loc))
			}
			return b.String()
		}
		require.Fail(t, "ticks differ", "%s in %s with %+v\nwant:%s\ngot:%s", expr, or.loc, o, show(want), show(got))
	}
}

// everyDST is all combinations of the policies, and none.
var everyDST = []DST{{}, {DSTRunAfter, DSTOnce}, {DSTRunAfter, DSTTwice}, {DSTSkip, DSTOnce}, {DSTSkip, DSTTwice}}

// TestEveryTransitionOfEveryZone walks minute by minute over the clock changes
// of all zones from 1970 to 2037, for fixed and for wildcard times, with each of the
// four policies.
func TestEveryTransitionOfEveryZone(t *testing.T) {
	t.Parallel()
	since, until := dayNumber(1970, 1)*daySeconds, dayNumber(2038, 1)*daySeconds
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
			if n++; raced && n%4 != 0 {
				continue // CI walks over all of them without the race detector
			}
			change := max(before-after, after-before)
			local := time.Unix(at+before, 0).UTC()
			hour, dom, month, dow := local.Hour(), local.Day(), int(local.Month()), int(local.Weekday())
			wildcard := []string{
				"*/7 * * * *",
				fmt.Sprintf("*/20 %d * * *", hour),
				fmt.Sprintf("15 */2 * * %d", dow),
				"30 * ? * *",
				fmt.Sprintf("* %d * * %dL,%d#2", hour, dow, dow),
			}
			fixed := []string{
				"0-59/7 0-23 * * *",
				fmt.Sprintf("0,30 %d * * *", hour),
				fmt.Sprintf("15 0-23 %d %d *", dom, month),
				fmt.Sprintf("45 0-23/2 */2 * %d", (dow+6)%7),
				fmt.Sprintf("59 %d-23 %d * %d", hour, dom, (dow+1)%7),
				fmt.Sprintf("0-59 %d L,1 * *", hour),
			}
			for i, dst := range everyDST[1:] {
				o := SpecOptions{Location: loc, DST: dst}
				for _, expr := range []string{wildcard[(n+i)%len(wildcard)], fixed[(n+i)%len(fixed)]} {
					requireTicks(t, expr, o, newOracle(expr, o), at-change-2*3600, at+change+2*3600, 60)
				}
			}
		}
	}
	t.Logf("%d clock changes", n)
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

// drawItems adds to a drawn day field the items that differ from month to month.
func drawItems(t *rapid.T, label, field string, items []string) string {
	for range rapid.IntRange(0, 2).Draw(t, label+" more") {
		field += "," + rapid.SampledFrom(items).Draw(t, label+" item")
	}
	if rapid.Bool().Draw(t, label+" items alone") {
		if _, only, found := strings.Cut(field, ",L"); found {
			return "L" + only
		}
	}
	return field
}

var (
	drawnDayItems     = []string{"L", "L-1", "L-3", "L-30", "l-27w", "LW", "L-2W", "1W", "15W", "30W", "31w", "H", "H/9", "H(3-31)"}
	drawnWeekdayItems = []string{"L", "5L", "sunL", "0L", "7L", "WEDL", "FRI#1", "5#2", "0#5", "7#5", "MON#5", "H", "H/2", "H(FRI-SUN)"}
)

// drawDayFields draws day of month, month and day of week, with everything they may have.
func drawDayFields(t *rapid.T) string {
	return drawItems(t, "dom", drawField(t, "dom", 1, 31, ""), drawnDayItems) + " " + drawField(t, "month", 1, 12, drawMonths) + " " +
		drawItems(t, "dow", drawField(t, "dow", 0, 7, drawDays), drawnWeekdayItems[1:])
}

// drawSpecialExpr draws an expression that may have everything there is.
func drawSpecialExpr(t *rapid.T) string {
	hashed := func(field, label string) string {
		if rapid.IntRange(0, 4).Draw(t, label+" by hash") == 0 {
			return rapid.SampledFrom([]string{"H", "h", "H/7", "H(3-20)", "H(2-5)/2", "H/99", "30,H"}).Draw(t, label+" H")
		}
		return field
	}
	minute, hour := drawField(t, "minute", 0, 59, ""), drawField(t, "hour", 0, 23, "")
	expr := hashed(minute, "minute") + " " + strings.Replace(hashed(hour, "hour"), "30,", "3,", 1)
	if rapid.Bool().Draw(t, "any day") {
		return expr + " * * *"
	}
	return expr + " " + drawDayFields(t)
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
		o := SpecOptions{Location: loc, DST: rapid.SampledFrom(everyDST).Draw(t, "dst")}
		requireTicks(t, expr, o, newOracle(expr, o), from, at+rapid.Int64Range(0, 5400).Draw(t, "after"), 1)
	})
}

// TestAnyDays walks day by day, for the calendar and the day rule.
func TestAnyDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expr := "30 12 " + drawDayFields(t)
		s, err := NewSpec(expr, SpecOptions{Name: "a-job"})
		if err != nil {
			require.ErrorContains(t, err, "can never fire", expr)
		}
		o := newOracle(expr, SpecOptions{Name: "a-job"})
		start := time.Date(rapid.IntRange(1, 9990).Draw(t, "year"), 1, 1, 12, 30, 0, 0, time.UTC)
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
