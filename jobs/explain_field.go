package jobs

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// What a field of an expression says, item by item, for the words about it. The
// expression has been accepted already, so nothing here can be wrong; the
// evaluator needs sets of values, words need to know how they were written.

type wordKind int

const (
	wordAll         wordKind = iota // *, ?
	wordValue                       // lo
	wordSpan                        // lo-hi
	wordEvery                       // from lo to the end of the field, by step
	wordEverySpan                   // lo-hi/step
	wordLastDay                     // L, or lo days before it
	wordNearest                     // the weekday nearest day lo
	wordNearestLast                 // the weekday nearest the last day, or lo days before it
	wordLastOfDay                   // the last weekday lo of the month
	wordNthOfDay                    // weekday lo for the step-th time in the month
)

// wordItem is one item of a list.
type wordItem struct {
	kind         wordKind
	lo, hi, step int
	start        bool // of wordEvery: it does not go round, so say where it starts
}

// wordField is one field.
type wordField struct {
	field  *cronField
	open   bool // begins with "*" or "?", which decides how the day fields go together
	hashed bool // the job's name has chosen a value of it
	items  []wordItem
}

// wordFieldOf reads a field of an accepted expression. What H has become is taken
// from the set of the field's plain values.
func wordFieldOf(f *cronField, text string, set uint64) wordField {
	w := wordField{field: f, open: isOpen(text)}
	texts := strings.Split(text, ",")
	for _, item := range texts {
		if isHashed(item) {
			w.hashed = true
		}
	}
	for _, item := range texts {
		special, ok := f.specialItem(item)
		switch {
		case ok:
			w.items = append(w.items, special)
		case !w.hashed:
			w.items = append(w.items, f.wordItems(item)...)
		case len(texts) == 1:
			w.items = f.hashedItems(item, set)
		}
	}
	if w.hashed && len(texts) > 1 {
		w.items = append(valuesOf(set), w.items...)
	}
	if slices.ContainsFunc(w.items, func(i wordItem) bool { return i.kind == wordAll }) {
		w.items = []wordItem{{kind: wordAll}}
	}
	if strings.Trim(text, "0123456789,") == "" {
		slices.SortStableFunc(w.items, func(a, b wordItem) int { return a.lo - b.lo })
	}
	var unique []wordItem
	for _, item := range w.items {
		if f == &weekdayField && item.kind != wordSpan && item.kind != wordEverySpan {
			item.lo %= 7 // Sunday has two numbers
		}
		if !slices.Contains(unique, item) {
			unique = append(unique, item)
		}
	}
	w.items = unique
	return w
}

// fewValues is how many values of an uneven step are named one by one; of a step
// of months up to fewMonths: "every 3 months" would be read as once in three.
const (
	fewValues = 4
	fewMonths = 6
)

// wordItems reads one item. It is several where a step leaves so few values that
// naming them says more: "*/45" is minutes 0 and 45, not "every 45 minutes".
func (f *cronField) wordItems(text string) []wordItem {
	body, stepText, stepped := strings.Cut(text, "/")
	item := wordItem{lo: f.min, hi: f.last(), step: 1}
	if stepped {
		item.step, _ = strconv.Atoi(stepText)
	}
	lo, hi, isRange := strings.Cut(body, "-")
	switch whole := body == "*" || body == "?"; {
	case whole && item.step == 1:
		return []wordItem{{kind: wordAll}}
	case whole:
	case isRange:
		item.lo, item.hi = f.number(lo), f.number(hi)
		if f == &weekdayField && item.hi == 0 && item.lo > 0 {
			item.hi = 7
		}
		if f == &weekdayField && item.lo == 0 {
			item.hi = min(item.hi, 6) // 7 is the Sunday that it began with
		}
	default:
		item.lo = f.number(lo)
		if stepped && f == &weekdayField {
			item.lo %= 7
		}
		if !stepped {
			item.hi = item.lo
		}
	}
	fromFirst := !isRange && item.lo == f.min
	switch count := (item.hi-item.lo)/item.step + 1; {
	case count == 1:
		return []wordItem{{kind: wordValue, lo: item.lo}}
	case item.step == 1:
		item.kind = wordSpan
	case fromFirst && (f.uneven(item.step) && count <= fewValues || f == &monthField && count <= fewMonths):
		values := make([]wordItem, count)
		for i := range values {
			values[i] = wordItem{kind: wordValue, lo: item.lo + i*item.step}
		}
		return values
	case isRange || !fromFirst && f.names != nil:
		item.kind = wordEverySpan // "every 2 months, March through December"
	default:
		item.kind, item.start = wordEvery, !fromFirst || f.uneven(item.step)
	}
	return []wordItem{item}
}

// isHashed reports an item with a value that the job's name chooses.
func isHashed(item string) bool { return item[0] == 'H' || item[0] == 'h' }

// hashedItems reads an item that begins with H and is the whole field.
func (f *cronField) hashedItems(text string, set uint64) []wordItem {
	_, hi, step, err := f.hashed(text)
	first := bits.TrailingZeros64(set)
	switch {
	case err == nil && step == 1:
		return []wordItem{{kind: wordSpan, lo: first, hi: hi, step: 1}}
	case err != nil || step == 0 || f.names != nil || first+step > hi:
		return valuesOf(set)
	}
	item := wordItem{kind: wordEvery, lo: first, hi: hi, step: step, start: first != f.min || f.uneven(step)}
	if strings.Contains(text, "(") || f == &domField {
		item.kind = wordEverySpan
	}
	return []wordItem{item}
}

// valuesOf are the values of a set, one by one.
func valuesOf(set uint64) []wordItem {
	var items []wordItem
	for ; set != 0; set &= set - 1 {
		items = append(items, wordItem{kind: wordValue, lo: bits.TrailingZeros64(set)})
	}
	return items
}

// uneven reports that the last value a step leaves is not a whole step before the
// first: "*/7" is 4 minutes short at the end of each hour. Months have 28 to 31
// days, so no step is even there, and "in a month" says it.
func (f *cronField) uneven(step int) bool {
	return f != &domField && (f.last()-f.min+1)%step != 0
}

// specialItem reads the items that only a day field has.
func (f *cronField) specialItem(text string) (wordItem, bool) {
	upper := strings.ToUpper(text)
	switch f {
	case &domField:
		body, nearest := strings.CutSuffix(upper, "W")
		if before, last := strings.CutPrefix(body, "L"); last {
			days, _ := strconv.Atoi(strings.TrimPrefix(before, "-"))
			if nearest {
				return wordItem{kind: wordNearestLast, lo: days}, true
			}
			return wordItem{kind: wordLastDay, lo: days}, true
		}
		if nearest {
			day, _ := strconv.Atoi(body)
			return wordItem{kind: wordNearest, lo: day}, true
		}
	case &weekdayField:
		if day, nth, ok := strings.Cut(upper, "#"); ok {
			n, _ := strconv.Atoi(nth)
			return wordItem{kind: wordNthOfDay, lo: f.number(day), step: n}, true
		}
		if day, ok := strings.CutSuffix(upper, "L"); ok {
			return wordItem{kind: wordLastOfDay, lo: f.number(day)}, true
		}
	}
	return wordItem{}, false
}

// number reads a number or a name that is known to be good.
func (f *cronField) number(text string) int {
	if i := slices.Index(f.names, strings.ToLower(text)); i >= 0 {
		return f.min + i
	}
	n, _ := strconv.Atoi(text)
	return n
}

// all reports that the field leaves its values open.
func (w wordField) all() bool { return w.items[0].kind == wordAll }

// zero reports that the field is 0 and nothing else.
func (w wordField) zero() bool {
	return len(w.items) == 1 && w.items[0].kind == wordValue && w.items[0].lo == 0
}

// values reports that the field is one or more plain values.
func (w wordField) values() bool {
	return !slices.ContainsFunc(w.items, func(i wordItem) bool { return i.kind != wordValue })
}

// one reports that the field is a single value.
func (w wordField) one() bool { return len(w.items) == 1 && w.values() }

// steps reports that an item of the field has a step.
func (w wordField) steps() bool { return hasSteps(w.items) }

func hasSteps(items []wordItem) bool {
	return slices.ContainsFunc(items, func(i wordItem) bool { return i.kind == wordEvery || i.kind == wordEverySpan })
}

// full reports that every value of the field is in it, however it was written.
func (w wordField) full() bool {
	in := map[int]bool{}
	for _, i := range w.items {
		switch i.kind {
		case wordAll:
			return true
		case wordValue:
			in[i.lo] = true
		case wordSpan, wordEvery, wordEverySpan:
			for v := i.lo; v <= i.hi; v += i.step {
				in[v] = true
			}
		}
	}
	if w.field == &weekdayField {
		in[0] = in[0] || in[7]
		delete(in, 7)
	}
	return len(in) == w.field.last()-w.field.min+1
}
