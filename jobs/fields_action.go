package jobs

import (
	"cmp"
	"slices"

	"gopkg.in/yaml.v3"
)

// actionKeys name what a job, a step or an undo may do.
var actionKeys = []string{"command", "run", "http", "func"}

// actionFields are the keys of an action, for a mapping that holds one.
func actionFields[T any](action func(*T) *Action) []field[T] {
	return []field[T]{
		{"command", func(d *decoder, e entry, v *T) { readCommand(d, e, action(v)) }},
		{"run", func(d *decoder, e entry, v *T) { readScript(d, e, action(v)) }},
		{"http", func(d *decoder, e entry, v *T) { readHTTP(d, e, action(v)) }},
		{"func", func(d *decoder, e entry, v *T) { readFunc(d, e, action(v)) }},
	}
}

// exactlyOne sees to it that a mapping has one of the keys that say what is
// done, and answers which.
func (d *decoder) exactlyOne(e entry, keys found, subject string, allowed []string) (entry, bool) {
	var given []entry
	for _, key := range allowed {
		if a, ok := keys.get(key); ok {
			given = append(given, a)
		}
	}
	switch len(given) {
	case 0:
		d.problem(e.at, "%s does nothing; expected one of %s", subject, joined(allowed, "or"))
		return entry{}, false
	case 1:
		return given[0], true
	}
	slices.SortFunc(given, func(a, b entry) int {
		return cmp.Or(a.at.Line-b.at.Line, a.at.Column-b.at.Column)
	})
	names := make([]string, len(given))
	for i, a := range given {
		names[i] = a.key
	}
	d.problem(given[1].at, "%s has %s; expected only one of %s", subject, joined(names, "and"), joined(allowed, "or"))
	return entry{}, false
}

const commandExpected = `a program and its arguments, such as ["./backup.sh", "--full"]`

func readCommand(d *decoder, e entry, a *Action) {
	a.Kind = ActionCommand
	if n := d.resolve(e.value); n.Kind == yaml.ScalarNode && !isNull(n) {
		d.problem(n, `%s is %s; expected %s; for a line of shell use run:`, e.path(), describe(n), commandExpected)
		return
	}
	items, ok := d.list(e, commandExpected)
	if !ok {
		return
	}
	if len(items) == 0 {
		d.problem(e.value, "%s is an empty list; expected %s", e.path(), commandExpected)
	}
	argv := make([]string, 0, len(items))
	for i, item := range items {
		read := d.text
		if i == 0 {
			read = d.word
		}
		if arg, ok := read(item, "a text"); ok {
			argv = append(argv, arg)
		}
	}
	a.Command = argv
}

func readScript(d *decoder, e entry, a *Action) {
	a.Kind = ActionRun
	a.Script, _ = d.word(e, "a shell script, such as ./report.sh --daily")
}

func readFunc(d *decoder, e entry, a *Action) {
	a.Kind = ActionFunc
	name, ok := d.word(e, "the name of a handler of this program")
	if !ok {
		return
	}
	for _, r := range name {
		if !plainNameRune(r) && r != '/' && r != ':' {
			d.problem(e.value, `%s %s has %q; the name of a handler has letters, digits and "_", ".", "-", "/", ":"`, e.path(), quoted(name), r)
			return
		}
	}
	a.Func = name
}
