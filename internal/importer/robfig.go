package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"carillon/jobs"
)

// Kubernetes and Dkron read expressions with github.com/robfig/cron/v3: five
// fields the one, six the other (parser.go, v3.0.1). Its grammar is almost that
// of a schedule file, with a few texts that mean something else, found here:
//
//   - whether the day fields are joined by "and" or by "or" hangs on a star bit,
//     which "*/2" has lost and "1,*" has;
//   - "?" is another "*" in every field, and what follows it or "*" before a "/"
//     is not read at all;
//   - empty places in a list are skipped.

// readRobfig reads five or six fields.
func readRobfig(texts []string) (timing, error) {
	var t timing
	fields := []*timeField{&minuteField, &hourField, &dayField, &monthField, &goWeekdayField}
	if len(texts) == 6 {
		fields = append([]*timeField{&secondField}, fields...)
	}
	if len(texts) != len(fields) {
		return t, fmt.Errorf("%d fields; expected five", len(texts))
	}
	clean := make([]string, len(fields))
	starred := make([]bool, len(fields))
	for i, f := range fields {
		var err error
		if clean[i], starred[i], err = f.robfigField(texts[i]); err != nil {
			return t, err
		}
	}
	day, weekday := len(fields)-3, len(fields)-1
	and := starred[day] || starred[weekday]
	switch here := begins(clean[day], "*?") || begins(clean[weekday], "*?"); {
	case and && !here:
		for _, i := range []int{day, weekday} {
			if starred[i] {
				clean[i] = "*" // "1,*" is every day, and "and" for the other field
			}
		}
	case here && !and:
		for _, i := range []int{day, weekday} {
			if begins(clean[i], "*?") {
				clean[i] = fields[i].withoutStar(clean[i])
			}
		}
		t.notes = append(t.notes, fmt.Sprintf("day of month %q and day of week %q: for the source a day matches when either does, and so it is written; with %q it would be both",
			texts[day], texts[weekday], "*/n"))
	}
	t.expr = strings.Join(clean, " ")
	return t, nil
}

// robfigField reads one field. starred is the library's star bit.
func (f *timeField) robfigField(text string) (clean string, starred bool, err error) {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item == "" {
			continue
		}
		read, star, err := f.robfigItem(item)
		if err != nil {
			return "", false, err
		}
		starred = starred || star
		items = append(items, read)
	}
	if len(items) == 0 {
		return "", false, fmt.Errorf("%s %q: an empty list, so it never fires", f.name, text)
	}
	return strings.Join(items, ","), starred, nil
}

func (f *timeField) robfigItem(item string) (clean string, starred bool, err error) {
	body, step, stepped := strings.Cut(item, "/")
	if stepped {
		if step, err = f.steps(item, step); err != nil {
			return "", false, err
		}
	}
	loText, hiText, isRange := strings.Cut(body, "-")
	if loText == "*" || loText == "?" {
		if strings.Contains(hiText, "-") {
			return "", false, fmt.Errorf("%s %q: expected a range with one hyphen", f.name, item)
		}
		return "*" + step, step == "" || step == "/1", nil
	}
	lo, written, err := f.value(strings.TrimPrefix(loText, "+"))
	if err != nil || !isRange {
		return written + step, false, err
	}
	hi, writtenHi, err := f.value(strings.TrimPrefix(hiText, "+"))
	if err == nil && lo > hi {
		err = fmt.Errorf("%s %q: the range ends before it begins", f.name, item)
	}
	return written + "-" + writtenHi + step, false, err
}

// withoutStar writes the items that begin with a star as ranges.
func (f *timeField) withoutStar(text string) string {
	items := strings.Split(text, ",")
	for i, item := range items {
		if rest, ok := strings.CutPrefix(item, "*"); ok {
			items[i] = fmt.Sprintf("%d-%d%s", f.min, f.max, rest)
		}
	}
	return strings.Join(items, ",")
}

var robfigNames = []string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}

// robfigTiming reads an expression of a program that uses the library with so many
// fields and no more.
func robfigTiming(expr, program string, count int, takes string) (timing, error) {
	if every, ok := strings.CutPrefix(expr, "@every "); ok {
		return everyTiming(every)
	}
	if strings.HasPrefix(expr, "@") {
		if slices.Contains(robfigNames, expr) {
			return timing{expr: expr}, nil
		}
		return timing{}, fmt.Errorf("%s does not know that name", program)
	}
	fields := strings.Fields(expr)
	if len(fields) != count {
		return timing{}, fmt.Errorf("%d fields; %s takes %s", len(fields), program, takes)
	}
	return readRobfig(fields)
}

// everyTiming is the library's "@every": whole seconds, and at least one.
func everyTiming(text string) (timing, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return timing{}, fmt.Errorf("%q is no duration", text)
	}
	whole := max(d.Truncate(time.Second), time.Second)
	t := timing{expr: "@every " + text, notes: []string{"it counts from the start of the source; here it fires at whole multiples since 1970, the same on every node"}}
	if whole != d || strings.ContainsAny(text, " +-") {
		t.expr = "@every " + jobs.DurationText(whole)
	}
	return t, nil
}

// cutZone takes "CRON_TZ=Europe/Berlin " or "TZ=..." off an expression.
func cutZone(expr string) (zone, rest string) {
	for _, prefix := range []string{"CRON_TZ=", "TZ="} {
		if after, ok := strings.CutPrefix(expr, prefix); ok {
			zone, rest, _ = strings.Cut(after, " ")
			return zone, strings.TrimSpace(rest)
		}
	}
	return "", expr
}

func number(n int) value { return bare(strconv.Itoa(n)) }
