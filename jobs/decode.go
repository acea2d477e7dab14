package jobs

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// A decoder walks the nodes of one file and collects every problem it meets.
// It never stops at the first: whoever mends a file wants the whole list.
//
// yaml.v3 could decode into structs, but it then names Go types, knows no
// columns, takes 010 for 8 and stops at what it cannot read. The walker asks
// the nodes for the text as it was written.
type decoder struct {
	file     string
	job      string // the job being read, for the messages
	problems []Problem

	budget    int        // what is left for aliases to expand to
	unweighed *yaml.Node // the document, until its own weight is in the budget
	spent     bool       // the budget ran out; said once

	places   map[string]string // key -> the mapping it belongs to, for hints
	database *Zones
	zones    map[string]zoneAnswer
	specs    map[specKey]*Spec

	calendars    map[string]*Calendar // by name; those with a mistake too
	badCalendars map[*Calendar]bool
	days         map[string]string   // calendarNames -> digestOfDays
	fileZone     *time.Location      // in which the calendar files are read
	files        []string            // the calendar files that are named
	icsRead      map[string]*icsDays // what was found in them; nil: something wrong
}

// zoneAnswer is what the zone database said. The error is kept too: finding the name
// that was meant takes a while, and a generated file may repeat the mistake in
// every job.
type zoneAnswer struct {
	loc *time.Location
	err error
}

func newDecoder(file string) *decoder {
	return &decoder{
		file: file, places: keyPlaces(), database: EmbeddedZones(), zones: map[string]zoneAnswer{}, specs: map[specKey]*Spec{},
		days: map[string]string{}, icsRead: map[string]*icsDays{}, badCalendars: map[*Calendar]bool{},
	}
}

func (d *decoder) problem(at *yaml.Node, format string, args ...any) {
	d.problemAt(at.Line, at.Column, format, args...)
}

func (d *decoder) problemAt(line, column int, format string, args ...any) {
	d.problems = append(d.problems, Problem{
		File: d.file, Line: max(line, 1), Column: max(column, 1), Job: d.job, Message: fmt.Sprintf(format, args...),
	})
}

// An entry is one key of a mapping with its value, aliases resolved.
type entry struct {
	key    string
	prefix string // where the mapping sits: "retry." or ""
	at     *yaml.Node
	value  *yaml.Node
}

// path is how a message names the key: "retry.attempts".
func (e entry) path() string { return e.prefix + e.key }

// A field is one key that a mapping may have: its name and how its value is
// read into a T. Fields are read in the order of their table, not of the file.
type field[T any] struct {
	key  string
	read func(d *decoder, e entry, into *T)
}

// A shape is everything a mapping may contain.
type shape[T any] struct {
	what   string // for messages: "a job", "retry"
	prefix string // of the paths of its keys
	fields []field[T]
}

func (s *shape[T]) keys() []string {
	names := make([]string, len(s.fields))
	for i, f := range s.fields {
		names[i] = f.key
	}
	return names
}

// under is the shape of a mapping that may stand in several places, with its
// keys named after the one it stands in: "steps[1].retry.attempts".
func (s *shape[T]) under(e entry) *shape[T] {
	if e.prefix == "" && len(s.prefix) == len(e.key)+1 && strings.HasPrefix(s.prefix, e.key) {
		return s
	}
	there := *s
	there.prefix = strings.TrimPrefix(e.path(), defaultsShape.prefix) + "."
	return &there
}

// found is what a mapping did contain, so that relations between keys can be
// checked where they were written. An unknown key counts as the known one it
// was probably meant to be: "comand" is wrong once, not also a missing command.
type found []entry

func (f found) get(key string) (entry, bool) {
	for i := range f {
		if f[i].key == key {
			return f[i], true
		}
	}
	return entry{}, false
}

func (f found) has(key string) bool { _, ok := f.get(key); return ok }

// object reads a mapping of that shape into a value. expected completes the
// message when the value is no mapping at all.
func object[T any](d *decoder, e entry, s *shape[T], expected string, into *T) (found, bool) {
	entries, ok := d.mapping(e, s.prefix, expected)
	if !ok {
		return nil, false
	}
	known := found(entries[:0]) // in place: only those that are known
	var meant found
	for _, e := range entries {
		if s.knows(e.key) {
			known = append(known, e)
			continue
		}
		guess, hint := d.hintForKey(e, s.keys())
		d.problem(e.at, "unknown key %s in %s%s", quoted(e.key), s.what, hint)
		if guess != "" {
			meant = append(meant, entry{key: guess, prefix: e.prefix, at: e.at, value: e.value})
		}
	}
	for i := range s.fields {
		if e, ok := known.get(s.fields[i].key); ok {
			s.fields[i].read(d, e, into)
		}
	}
	for _, e := range meant {
		if !known.has(e.key) {
			known = append(known, e)
		}
	}
	return known, true
}

func (s *shape[T]) knows(key string) bool {
	for i := range s.fields {
		if s.fields[i].key == key {
			return true
		}
	}
	return false
}

// mapping lists the entries of a mapping: merge keys (<<) applied, duplicates
// reported, keys as text.
func (d *decoder) mapping(e entry, prefix, expected string) ([]entry, bool) {
	n := d.resolve(e.value)
	if n.Kind != yaml.MappingNode || foreignTag(n) {
		d.mismatch(e, expected)
		return nil, false
	}
	return d.entries(n, prefix, nil), true
}

// entries does the work of mapping; merging holds the mappings around, because
// a mapping may name itself in its own merge key.
func (d *decoder) entries(n *yaml.Node, prefix string, merging []*yaml.Node) []entry {
	list := make([]entry, 0, len(n.Content)/2)
	at := d.index(len(n.Content))
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		keyNode, value := n.Content[i], n.Content[i+1]
		key := d.resolve(keyNode)
		switch {
		case d.spent:
			return list
		case key.Kind != yaml.ScalarNode:
			d.problem(keyNode, "%s cannot be a key; expected a name", kindOf(key))
		case key.Tag == "!!merge":
			merges = append(merges, value)
		default:
			if first, ok := at.find(list, key.Value); ok {
				d.problem(keyNode, "duplicate key %s; first given in line %d", quoted(key.Value), first.at.Line)
				continue
			}
			at.add(key.Value, len(list))
			list = append(list, entry{key: key.Value, prefix: prefix, at: keyNode, value: value})
		}
	}
	if len(merges) > 0 {
		merging = append(merging, n)
	}
	for _, m := range merges {
		for _, base := range d.merged(m, merging) {
			for _, e := range d.entries(base, prefix, merging) {
				// What the mapping says itself wins; of several bases the first.
				if _, ok := at.find(list, e.key); !ok {
					at.add(e.key, len(list))
					list = append(list, e)
				}
			}
		}
	}
	return list
}

// keyIndex finds keys of a mapping: by looking along short ones, with a map in
// long ones, such as the one that holds all jobs.
type keyIndex struct{ byKey map[string]int }

func (d *decoder) index(content int) keyIndex {
	if content < 64 {
		return keyIndex{}
	}
	return keyIndex{byKey: make(map[string]int, content/2)}
}

func (x keyIndex) find(list []entry, key string) (entry, bool) {
	if x.byKey == nil {
		return found(list).get(key)
	}
	i, ok := x.byKey[key]
	if !ok {
		return entry{}, false
	}
	return list[i], true
}

func (x keyIndex) add(key string, i int) {
	if x.byKey != nil {
		x.byKey[key] = i
	}
}

// list are the items of a sequence, as entries named like "command[0]".
func (d *decoder) list(e entry, expected string) ([]entry, bool) {
	n := d.resolve(e.value)
	if n.Kind != yaml.SequenceNode || foreignTag(n) {
		d.mismatch(e, expected)
		return nil, false
	}
	items := make([]entry, len(n.Content))
	for i, v := range n.Content {
		items[i] = entry{key: e.key + "[" + strconv.Itoa(i) + "]", prefix: e.prefix, at: v, value: v}
	}
	return items, true
}

// mismatch reports a value of the wrong kind.
func (d *decoder) mismatch(e entry, expected string) {
	n := d.resolve(e.value)
	if isNull(n) {
		d.problem(e.at, "%s has no value; expected %s", e.path(), expected)
		return
	}
	if foreignTag(n) {
		d.problem(n, "%s has the tag %s, which means nothing here; expected %s", e.path(), n.Tag, expected)
		return
	}
	d.problem(n, "%s is %s; expected %s", e.path(), describe(n), expected)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// isPlain reports a single value that is there.
func isPlain(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && !isNull(n) }

// foreignTag reports a tag such as !secret or !!binary that asks for a meaning
// this file format does not have.
func foreignTag(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle == 0 {
		return false
	}
	switch n.Tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!map", "!!seq", "!!null":
		return false
	}
	return true
}

// describe says what a node is: "a list", "the text \"x\"".
func describe(n *yaml.Node) string {
	switch {
	case isNull(n):
		return "no value"
	case n.Kind != yaml.ScalarNode:
		return kindOf(n)
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + shortened(n.Value)
	case n.Tag == "!!bool":
		return "the boolean " + n.Value
	}
	return "the text " + quoted(n.Value)
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a value"
}

// quoted is a text for a message: quoted, escaped and not long.
func quoted(s string) string { return fmt.Sprintf("%q", shortened(s)) }

func shortened(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
