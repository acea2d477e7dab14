package importer

import (
	"fmt"
	"strings"
)

// The grammar of cron is the one of Vixie's, as cronie 1.7 and Debian's cron 3.0
// read it (get_range in their entry.c; man 5 crontab). Where the two differ, what
// both accept with one meaning is translated, the rest is an error that says how
// they differ.

// A timing is an expression for a schedule file.
type timing struct {
	expr  string
	notes []string
}

var vixieFields = [5]*timeField{&minuteField, &hourField, &dayField, &monthField, &weekdayField}

// readVixie reads the five fields of a crontab line.
func readVixie(fields []string) (timing, error) {
	var t timing
	clean := make([]string, len(vixieFields))
	for i, f := range vixieFields {
		items := strings.Split(fields[i], ",")
		for j, item := range items {
			read, note, err := f.vixieItem(item)
			if err != nil {
				return t, err
			}
			if note != "" {
				t.notes = append(t.notes, note)
			}
			items[j] = read
		}
		clean[i] = strings.Join(items, ",")
	}
	t.expr = strings.Join(clean, " ")
	return t, nil
}

// vixieItem reads one item of a list: *, n, n-m, the first and the last with a
// step, and the random n~m.
func (f *timeField) vixieItem(item string) (clean, note string, err error) {
	body, step, stepped := strings.Cut(item, "/")
	if item != "" && body == "" {
		return "", "", fmt.Errorf("%s %q: that looks like the command; is one of the five fields missing?", f.name, item)
	}
	if stepped {
		if step, err = f.steps(item, step); err != nil {
			return "", "", err
		}
	}
	if body == "*" {
		return "*" + step, "", nil
	}
	if lo, hi, random := strings.Cut(body, "~"); random {
		if stepped {
			return "", "", fmt.Errorf("%s %q: cron takes no step behind a random value", f.name, item)
		}
		return f.random(item, lo, hi)
	}
	loText, hiText, isRange := strings.Cut(body, "-")
	lo, written, err := f.value(loText)
	switch {
	case err != nil:
		return "", "", err
	case !isRange && stepped:
		return "", "", fmt.Errorf("%s %q: a step behind a single number; Debian's cron and cronie refuse it, older ones read %s, some read %s-%d%s: write the one that is meant",
			f.name, item, written, written, f.last(), step)
	case !isRange:
		return written, "", nil
	}
	hi, writtenHi, err := f.value(hiText)
	switch {
	case err != nil:
		return "", "", err
	case lo > hi && hi == 0 && f == &weekdayField && !stepped:
		return written + "-" + writtenSunday(hiText), fmt.Sprintf("%s %q: cronie reads it as far as Sunday, and so it is written; Debian's cron takes it for an empty range", f.name, item), nil
	case lo > hi && stepped:
		return "", "", fmt.Errorf("%s %q: the range ends before it begins, so cron never fires for it", f.name, item)
	case lo > hi:
		return "", "", fmt.Errorf("%s %q: the range ends before it begins, so cron never fires for it; probably meant: %d-%d,%d-%d",
			f.name, item, lo, f.last(), f.min, hi)
	}
	return written + "-" + writtenHi + step, "", nil
}

// writtenSunday is the Sunday at the end of a range: by its name, or as a 7.
func writtenSunday(text string) string {
	if strings.Trim(text, "0") == "" {
		return "7"
	}
	return text
}

// random is cronie's n~m: a value that cron draws each time it reads the file.
func (f *timeField) random(item, loText, hiText string) (clean, note string, err error) {
	lo, hi := f.min, f.max
	if loText != "" {
		if lo, _, err = f.value(loText); err != nil {
			return "", "", err
		}
	}
	if hiText != "" {
		if hi, _, err = f.value(hiText); err != nil {
			return "", "", err
		}
	}
	if lo > hi {
		return "", "", fmt.Errorf("%s %q: the range ends before it begins", f.name, item)
	}
	clean = fmt.Sprintf("H(%d-%d)", lo, hi)
	if loText == "" && hiText == "" && f != &dayField {
		clean = "H"
	}
	return clean, fmt.Sprintf("%s %q: cron draws a new value each time it reads the file; %s keeps one, chosen by the name of the job", f.name, item, clean), nil
}

// last is the greatest value to offer: Saturday, where 7 is another Sunday.
func (f *timeField) last() int {
	if f == &weekdayField {
		return 6
	}
	return f.max
}
