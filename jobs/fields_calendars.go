package jobs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// calendarValue is a calendar while it is read.
type calendarValue struct {
	week   uint8
	yearly yearMask
	spans  []daySpan
	names  dayNames
	bad    bool // something is wrong with it, which may have been said elsewhere
}

var calendarShape = shape[calendarValue]{
	what: "a calendar",
	fields: []field[calendarValue]{
		{"dates", readDates},
		{"weekdays", readWeekdays},
		{"ics", readICS},
	},
}

const calendarExpected = "{dates: [2026-12-25, 12-25], weekdays: [sat, sun], ics: holidays.ics}, with one of the three at least"

// readCalendars reads the calendars that jobs may name. One with a mistake in it
// is known all the same, so that its jobs are not wrong too.
func readCalendars(d *decoder, e entry, f *fileValue) {
	entries, ok := d.mapping(e, "calendars.", "calendars by name, such as holidays: {dates: [12-25, 2027-03-26]}")
	if !ok {
		return
	}
	d.calendars = make(map[string]*Calendar, len(entries))
	if d.fileZone = f.schedule.Location; d.fileZone == nil {
		d.fileZone = time.UTC // its name is wrong, which is said
	}
	for _, item := range entries {
		if why := badName("calendar", item.key); why != "" {
			d.problem(item.at, "%s", why)
		}
		before := len(d.problems)
		var v calendarValue
		keys, ok := object(d, item, calendarShape.under(item), calendarExpected, &v)
		c := &Calendar{Name: item.key, Line: item.at.Line, days: newDaySet(v.week, v.yearly, v.spans)}
		c.labels, c.yearly = v.names.sorted()
		switch {
		case !ok || v.bad || len(d.problems) > before:
			d.badCalendars[c] = true
		case len(keys) == 0:
			d.problem(item.at, "%s holds no day; expected %s", item.path(), calendarExpected)
		case c.days.empty():
			d.problem(item.at, "%s holds no day: what it names is empty", item.path())
		}
		d.calendars[item.key] = c
		f.schedule.Calendars = append(f.schedule.Calendars, c)
	}
}

func readDates(d *decoder, e entry, v *calendarValue) {
	const expected = "a list of dates and ranges, such as [2026-12-25, 12-25, 2026-12-24..2027-01-02]"
	items, ok := d.list(e, expected)
	if ok && len(items) == 0 {
		d.problem(e.value, "%s is an empty list; expected %s", e.path(), expected)
	}
	for _, item := range items {
		if r, ok := d.dates(item); ok {
			r.addTo(&v.yearly, &v.spans)
		}
	}
}

// dates reads one item of a list of dates.
func (d *decoder) dates(e entry) (dateRange, bool) {
	n := d.resolve(e.value)
	if n.Kind == yaml.MappingNode && !foreignTag(n) {
		return d.fromTo(e)
	}
	text, ok := d.word(e, rangeExpected)
	if !ok {
		return dateRange{}, false
	}
	r, err := parseDates(text)
	if err != nil {
		d.problem(n, "%s is %s: %v", e.path(), quoted(text), err)
	}
	return r, err == nil
}

var fromToShape = shape[dateRange]{
	what: "a range of dates",
	fields: []field[dateRange]{
		{"from", func(d *decoder, e entry, r *dateRange) { r.from = d.date(e) }},
		{"to", func(d *decoder, e entry, r *dateRange) { r.to = d.date(e) }},
	},
}

// fromTo reads a range that is written as a mapping.
func (d *decoder) fromTo(e entry) (dateRange, bool) {
	const expected = "{from: 2026-12-24, to: 2027-01-02}"
	var r dateRange
	before := len(d.problems)
	keys, ok := object(d, e, fromToShape.under(e), expected, &r)
	for _, end := range fromToShape.keys() {
		if ok && !keys.has(end) {
			d.problem(e.at, "%s has no %s; expected %s", e.path(), end, expected)
		}
	}
	if !ok || len(d.problems) > before {
		return dateRange{}, false
	}
	if err := r.check(); err != nil {
		d.problem(e.at, "%s: %v", e.path(), err)
		return dateRange{}, false
	}
	return r, true
}

// date reads a single date; the zero date when it is wrong.
func (d *decoder) date(e entry) date {
	text, ok := d.word(e, dateExpected)
	if !ok {
		return date{}
	}
	at, err := parseDate(text)
	if err != nil {
		d.problem(d.resolve(e.value), "%s is %s: %v", e.path(), quoted(text), err)
	}
	return at
}

// weekdayKeys are in the order of weekday.
var weekdayKeys = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func readWeekdays(d *decoder, e entry, v *calendarValue) {
	const expected = "a list of mon, tue, wed, thu, fri, sat and sun"
	items, ok := d.list(e, expected)
	if ok && len(items) == 0 {
		d.problem(e.value, "%s is an empty list; expected %s", e.path(), expected)
	}
	for _, item := range items {
		name, ok := d.word(item, "one of mon, tue, wed, thu, fri, sat and sun")
		if !ok {
			continue
		}
		day := slices.Index(weekdayKeys, name)
		switch {
		case day < 0:
			d.problem(d.resolve(item.value), "%s is %s; expected one of mon, tue, wed, thu, fri, sat and sun%s", item.path(), quoted(name), weekdayHint(name))
		case v.week>>day&1 != 0:
			d.problem(d.resolve(item.value), "%s: %s is in the list twice", item.path(), name)
		default:
			v.week |= 1 << day
		}
	}
}

func weekdayHint(name string) string {
	lower := strings.ToLower(name)
	for _, known := range weekdayKeys {
		if strings.HasPrefix(lower, known) {
			return fmt.Sprintf("; did you mean %q?", known)
		}
	}
	if lower == "weekend" || lower == "weekends" {
		return "; the weekend is written [sat, sun]"
	}
	return ""
}

// readICS reads calendar files. Their paths begin at the folder of the schedule
// file, so that the two can be moved, and put into git, together.
func readICS(d *decoder, e entry, v *calendarValue) {
	const expected = "the path of a calendar file, such as holidays.ics, or a list of them"
	items := []entry{e}
	if n := d.resolve(e.value); n.Kind == yaml.SequenceNode {
		var ok bool
		if items, ok = d.list(e, expected); ok && len(items) == 0 {
			d.problem(e.value, "%s is an empty list; expected %s", e.path(), expected)
		}
	}
	var paths []string
	for _, item := range items {
		path, ok := d.word(item, expected)
		if !ok {
			continue
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(d.file), path)
		}
		if slices.Contains(paths, path) {
			d.problem(d.resolve(item.value), "%s: %s is in the list twice", item.path(), quoted(path))
			continue
		}
		paths = append(paths, path)
		if days := d.ics(item, path); days == nil {
			v.bad = true
		} else {
			v.spans = append(v.spans, days.spans...)
			for month, mask := range days.yearly {
				v.yearly[month] |= mask
			}
			v.names.merge(days.names)
		}
	}
}

// ics reads one calendar file, once for all calendars that name it. It is nil when
// something is wrong, which is said where the file is named.
func (d *decoder) ics(e entry, path string) *icsDays {
	at := d.resolve(e.value)
	days, known := d.icsRead[path]
	switch {
	case known:
		return days
	case len(d.files) >= maxICSFiles:
		d.problem(at, "%s: the schedule has more than %d calendar files", e.path(), maxICSFiles)
		return nil
	}
	d.files = append(d.files, path)
	d.icsRead[path] = nil
	data, err := ReadCalendarFile(path)
	if err != nil {
		d.problem(at, "%s: %v; the path of a calendar file begins at the folder of the schedule file", e.path(), err)
		return nil
	}
	days, errs := parseICS(data, d.fileZone, d.database)
	for _, err := range errs {
		d.problem(at, "%s: %s:%v", e.path(), path, err)
	}
	d.icsRead[path] = days
	return days
}

// ReadCalendarFile reads the content of a file that "calendars:" names: not much more
// than MaxCalendarFile, and nothing that would make it wait, as a pipe does.
func ReadCalendarFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, errors.Unwrap(err)) // what os says, without its "stat"
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", path)
	}
	return readFile(path, MaxCalendarFile)
}

// readOnly and readExclude read the calendars that decide on which days a job
// fires. An empty list takes those of the defaults away.
func readOnly(d *decoder, e entry, v *jobValue)    { d.calendarList(e, &v.job.Only) }
func readExclude(d *decoder, e entry, v *jobValue) { d.calendarList(e, &v.job.Exclude) }

// calendarList is nil when something is wrong with it, or with one of its
// calendars: nobody can then tell which days are meant.
func (d *decoder) calendarList(e entry, into *[]*Calendar) {
	const expected = "the name of a calendar that is declared under calendars:, or a list of them"
	items := []entry{e}
	if n := d.resolve(e.value); n.Kind == yaml.SequenceNode {
		items, _ = d.list(e, expected)
	}
	list, before, bad := make([]*Calendar, 0, len(items)), len(d.problems), false
	for _, item := range items {
		name, ok := d.word(item, expected)
		if !ok {
			continue
		}
		c, ok := d.calendars[name]
		bad = bad || d.badCalendars[c]
		switch {
		case !ok:
			d.unknownCalendar(item, name)
		case slices.Contains(list, c):
			d.problem(d.resolve(item.value), "%s: %s is in the list twice", item.path(), quoted(name))
		default:
			list = append(list, c)
		}
	}
	*into = list
	if len(list) == 0 || bad || len(d.problems) > before {
		*into = nil
	}
}

func (d *decoder) unknownCalendar(e entry, name string) {
	declared := sortedKeys(d.calendars)
	if len(declared) == 0 {
		d.problem(d.resolve(e.value), "%s: calendar %s is not declared; add it to the file, outside of jobs: calendars: {%s: {dates: [12-25]}}",
			e.path(), quoted(name), shortened(name))
		return
	}
	d.problem(d.resolve(e.value), "%s: calendar %s is not declared; declared: %s%s",
		e.path(), quoted(name), shortened(strings.Join(declared, ", ")), didYouMean(name, declared))
}

// daysOf is digestOfDays, once for each list of calendars of the file.
func (d *decoder) daysOf(calendars []*Calendar) string {
	names := calendarNames(calendars)
	digest, ok := d.days[names]
	if !ok {
		digest = digestOfDays(calendars)
		d.days[names] = digest
	}
	return digest
}

// silence reads ids of warnings.
func (d *decoder) silence(e entry, into *[]string) {
	const expected = `a list of ids of warnings, such as ["dst-touches"]`
	items, ok := d.list(e, expected)
	if !ok {
		return
	}
	known := lintIDs()
	ids := make([]string, 0, len(items))
	for _, item := range items {
		id, ok := d.word(item, "the id of a warning")
		switch {
		case !ok:
		case !slices.Contains(known, id):
			d.problem(d.resolve(item.value), "%s is %s, which is no id of a warning; expected one of %s%s",
				item.path(), quoted(id), strings.Join(known, ", "), didYouMean(id, known))
		case slices.Contains(ids, id):
			d.problem(d.resolve(item.value), "%s: %s is in the list twice", item.path(), quoted(id))
		default:
			ids = append(ids, id)
		}
	}
	*into = ids
}
