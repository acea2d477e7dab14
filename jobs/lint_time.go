package jobs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// These rules look at when a job fires: at the clock changes, at zones, and at
// ticks that are far away or past.

// clockChange is one change of a zone's clocks: at an instant, from one offset to
// another.
type clockChange struct{ at, before, after int64 }

// lintYears is how far ahead clock changes are worth a warning.
const lintYears = 2

// clockChanges are the changes of a zone in the coming years.
func (l *linter) clockChanges(loc *time.Location) []clockChange {
	if known, ok := l.changes[loc]; ok {
		return known
	}
	var list []clockChange
	z := zoneOf(loc)
	limit := l.now.AddDate(lintYears, 0, 0).Unix()
	for c := z.at(l.now.Unix()); z.end(c) < limit; {
		change := clockChange{at: z.end(c), before: z.spans[c.i].off}
		c = z.next(c)
		if change.after = z.spans[c.i].off; change.after != change.before {
			list = append(list, change)
		}
	}
	l.changes[loc] = list
	return list
}

// lintDSTTouches is silent about times whose hour is left open ("*/30 * * * *"):
// that they follow the clock is what everybody expects.
func lintDSTTouches(l *linter, j *Job) {
	for i, s := range j.Specs {
		f, ok := written(s)
		if !ok && s.every > 0 || ok && f.hour[0] == '*' {
			continue
		}
		gap, overlap := j.DST.Gap == "", j.DST.Overlap == ""
		var said []string
		for _, c := range l.clockChanges(s.loc) {
			switch {
			case c.after > c.before && gap:
				if words := gapWords(s, c); words != "" {
					gap, said = false, append(said, words)
				}
			case c.after < c.before && overlap:
				if words := overlapWords(s, c); words != "" {
					overlap, said = false, append(said, words)
				}
			}
		}
		if len(said) > 0 {
			l.warnSpec(i, "the clock changes of %s touch %s: %s; say what is meant with dst: {gap: run-after or skip, overlap: once or twice}, or name a time that always exists once",
				s.loc, quoted(s.String()), strings.Join(said, ", "))
		}
	}
}

// gapWords say what becomes of a time that the clock leaves out, or "".
func gapWords(s *Spec, c clockChange) string {
	local, ok := s.cal.next(c.at + c.before)
	if !ok || local >= c.at+c.after {
		return ""
	}
	clock, date := localWords(local)
	if s.skip {
		return fmt.Sprintf("%s does not exist on %s and is left out", clock, date)
	}
	if tick, ok := s.Next(time.Unix(c.at-1, 0)); !ok || tick.Unix() != c.at {
		return "" // it begins later, or is over
	}
	if own, _ := s.cal.next(c.at + c.after); own == c.at+c.after {
		return "" // one with the tick that is there anyway: every hour that exists has one
	}
	then, _ := localWords(c.at + c.after)
	return fmt.Sprintf("%s does not exist on %s and fires at %s", clock, date, then)
}

// overlapWords say what becomes of a time that the clock shows twice, or "".
func overlapWords(s *Spec, c clockChange) string {
	local, ok := s.cal.next(c.at + c.after)
	if !ok || local >= c.at+c.before {
		return ""
	}
	if tick, ok := s.Next(time.Unix(local-c.before-1, 0)); !ok || tick.Unix() != local-c.before {
		return ""
	}
	clock, date := localWords(local)
	if !s.once {
		return fmt.Sprintf("%s comes twice on %s and fires both times", clock, date)
	}
	return fmt.Sprintf("%s comes twice on %s and fires the first time", clock, date)
}

// localWords are the clock and the date of a local time.
func localWords(local int64) (clock, date string) {
	t := time.Unix(local, 0).UTC()
	return t.Format("15:04"), t.Format(time.DateOnly)
}

func lintOver(l *linter, j *Job) {
	if !j.Enabled || !j.Ticks() {
		return
	}
	if _, ok := j.Next(l.now); ok {
		return
	}
	why := "no tick is left"
	switch {
	case len(j.Only)+len(j.Exclude) > 0 && (j.End.IsZero() || j.End.After(l.now)):
		why = "its calendars leave it no day"
	case len(j.Specs) == 0:
		why = "every instant of at: is past"
	case !j.End.IsZero() && !j.End.After(l.now):
		why = "its end: is past"
	}
	l.warn("it never fires again: %s; take it out, or keep it with enabled: false", why)
}

// lintEveryNAllWeek finds "every second week" without a weekday.
func lintEveryNAllWeek(l *linter, j *Job) {
	if j.EveryN.N < 2 || j.EveryN.Unit != EveryWeeks {
		return
	}
	for i, s := range j.Specs {
		if allDays(s) {
			l.warnSpec(i, "%s has no day, and every_n: %d counts weeks: it fires on all seven days of one week in %d; name a weekday, or count days with every_n: {days: %d}",
				quoted(s.String()), j.EveryN.N, j.EveryN.N, 7*j.EveryN.N)
		}
	}
}

// lintShiftMerges finds a shift that has nowhere to go: on every day there is a
// tick already, and two that meet are one.
func lintShiftMerges(l *linter, j *Job) {
	if j.Shift == ShiftNone || j.EveryN.N > 1 {
		return
	}
	for i, s := range j.Specs {
		if allDays(s) {
			l.warnSpec(i, "%s fires on every day, so that a tick that shift: %s moves meets the one of that day, and they are one: shift changes nothing; leave it out, or name a day",
				quoted(s.String()), j.Shift)
		}
	}
}

// allDays reports an expression that leaves all its days open.
func allDays(s *Spec) bool {
	if f, ok := written(s); ok {
		return anyValue(f.dom) && anyValue(f.month) && anyValue(f.dow)
	}
	name := strings.ToLower(s.String())
	return name == "@hourly" || name == "@daily" || name == "@midnight"
}

func lintNeverSoon(l *linter, j *Job) {
	if !j.Enabled {
		return
	}
	tick, ok := j.Next(l.now)
	if ok && tick.After(l.now.AddDate(lintYears, 0, 0)) {
		l.warn("it does not fire before %s; if it was meant to fire sooner, `carillon next %s` shows what it does",
			tick.In(j.Zone()).Format(lintDay), j.Name)
	}
}

func lintEveryDrifts(l *linter, j *Job) {
	for i, s := range j.Specs {
		if s.every < 3600 || daySeconds%s.every == 0 || s.every%daySeconds == 0 {
			continue
		}
		var next []string
		for after := l.now; len(next) < 4; {
			tick, ok := s.Next(after)
			if !ok {
				break
			}
			next, after = append(next, tick.In(s.loc).Format(lintTick)), tick
		}
		l.warnSpec(i, "%s does not divide a day, so that it fires at other times each day (next: %s); for fixed times name the hours, such as \"0 */6 * * *\"",
			quoted(s.String()), strings.Join(next, ", "))
	}
}

func lintEveryEpoch(l *linter, j *Job) {
	for i, s := range j.Specs {
		if s.every == 0 || s.every%daySeconds != 0 || j.Offset != 0 || strings.Contains(strings.ToLower(s.String()), "offset") {
			continue
		}
		_, off := l.now.In(s.loc).Zone()
		if s.every == daySeconds && off == 0 && len(l.clockChanges(s.loc)) == 0 {
			continue // midnight, as anybody would guess
		}
		next, ok := s.Next(l.now)
		if !ok {
			continue
		}
		local := next.In(s.loc)
		instead := fmt.Sprintf("0 0 * * *\" and every_n: {days: %d}", s.every/daySeconds)
		switch s.every {
		case daySeconds:
			instead = `0 0 * * *"`
		case 7 * daySeconds:
			instead = `0 0 * * MON"`
		}
		l.warnSpec(i, "%s counts from 1970-01-01 00:00 UTC, a Thursday, whatever the zone: it fires next on %s; for a time of day and a day of your own write \"%s, or an offset",
			quoted(s.String()), local.Format(lintTick+" -07:00"), instead)
	}
}

// lintDailyWithoutZone speaks once, of the first such job: what is missing is one
// line of the file.
func lintDailyWithoutZone(l *linter) {
	if l.schedule.ZoneAt.Line != 0 {
		return
	}
	var first *Job
	spec, more := 0, 0
	for _, j := range l.jobsNotSilent() {
		if j.Places.Zone.Line != 0 {
			continue
		}
		for i, s := range j.Specs {
			if name := s.String(); name[0] != '@' || s.every > 0 || strings.EqualFold(name, "@hourly") {
				continue
			}
			if first == nil {
				first, spec = j, i
			} else {
				more++
			}
			break
		}
	}
	if first == nil {
		return
	}
	others := ""
	if more > 0 {
		others = fmt.Sprintf(", and that of %d other %s,", more, plural(more, "job"))
	}
	l.job = first
	l.warnSpec(spec, "the midnight of %s%s is midnight in UTC, because no zone is named; write timezone: at the top of the file, UTC too if it is meant",
		quoted(first.Specs[spec].String()), others)
}

// jobsNotSilent are the jobs that do not silence the rule.
func (l *linter) jobsNotSilent() []*Job {
	var list []*Job
	for _, j := range l.schedule.Jobs {
		if !slices.Contains(j.Silence, l.rule.id) {
			list = append(list, j)
		}
	}
	return list
}

// signedZone are the zones whose names count west of Greenwich (POSIX).
var signedZone = regexp.MustCompile(`^Etc/GMT([+-])([1-9]\d?)$`)

// placesWithDST are the zones that are often meant by the abbreviations that the
// tz database keeps without daylight saving.
var placesWithDST = map[string]string{"EST": "America/New_York", "MST": "America/Denver"}

func lintFixedZone(l *linter) {
	if at := l.schedule.ZoneAt; at.Line != 0 {
		l.warnZone(at, l.schedule.Timezone)
	}
	for _, j := range l.jobsNotSilent() {
		if j.Places.Zone.Line != 0 {
			l.job = j
			l.warnZone(j.Places.Zone, j.Timezone)
		}
	}
}

func (l *linter) warnZone(at Place, name string) {
	if place, ok := placesWithDST[name]; ok {
		l.warnAt(at, "%s has no daylight saving: it is one offset all year; for the clocks of a place name it, such as %s", name, place)
		return
	}
	if m := signedZone.FindStringSubmatch(name); m != nil {
		sign := "+"
		if m[1] == "+" {
			sign = "-"
		}
		l.warnAt(at, "%s is UTC%s%s: in these names the sign is the other way round (POSIX); for the clocks of a place name it, such as Europe/Berlin", name, sign, m[2])
	}
}
