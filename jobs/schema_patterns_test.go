package jobs

import (
	"fmt"
	"slices"
	"strings"
)

// The patterns of schedule.schema.json for expressions are too long to be read, so
// they are put together here, from the grammar, and compared.

// anyCase matches words however they are written; ECMA 262 has no flag for that
// within a pattern.
func anyCase(words ...string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte('|')
		}
		for _, r := range w {
			if lower := strings.ToLower(string(r)); lower != strings.ToUpper(lower) {
				fmt.Fprintf(&b, "[%s%s]", strings.ToUpper(lower), lower)
			} else {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

// cronPattern matches five or six fields.
func cronPattern() string {
	const (
		sixty = `[0-5]?[0-9]`
		hour  = `([01]?[0-9]|2[0-3])`
		dom   = `(0?[1-9]|[12][0-9]|3[01])`
		step  = `(/(0?[1-9]|[1-9][0-9]{1,5}|1000000))?`
		blank = `[ \t]+`
	)
	month := `(0?[1-9]|1[0-2]|` + anyCase(monthField.names...) + `)`
	dow := `(0?[0-7]|` + anyCase(weekdayField.names...) + `)`
	list := func(value string, special ...string) string {
		plain := fmt.Sprintf(`(\*|%[1]s(-%[1]s)?|[Hh](\(%[1]s-%[1]s\))?)%[2]s`, value, step)
		item := "(" + strings.Join(append([]string{plain}, special...), "|") + ")"
		return item + "(," + item + ")*"
	}
	day := func(list string) string { return `(\?|` + list + ")" }
	return `^\s*(` + list(sixty) + blank + `)?` + strings.Join([]string{
		list(sixty), list(hour),
		day(list(dom, `[Ll](-(0?[1-9]|[12][0-9]|30))?[Ww]?`, dom+`[Ww]`)),
		list(month),
		day(list(dow, dow+`([Ll]|#0?[1-5])`)),
	}, blank) + `\s*$`
}

// cronNamePattern matches a named schedule.
func cronNamePattern() string {
	names := make([]string, 0, len(descriptors))
	for name := range descriptors {
		names = append(names, name)
	}
	slices.Sort(names)
	return `^\s*(` + anyCase(names...) + `)\s*$`
}

// everyPattern matches "@every": a duration may have blanks in it.
func everyPattern() string {
	const duration = `[-+]?[ \t]*[0-9.][0-9.nums \th]*[smh]`
	return `^\s*` + anyCase("@every") + `[ \t]+` + duration + `([ \t]+` + anyCase("offset") + `[ \t]+([-+]?0|` + duration + `))?\s*$`
}
