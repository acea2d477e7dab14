package jobs

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

var label = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,63}$`)

const labelRule = `expected 1 to 63 letters, digits, "_", "." and "-"`

// maxLabels bounds what a job asks of a node: its labels become part of keys.
const maxLabels = 16

// CheckLabel says what is wrong with a label of a node, if anything: the rules
// for a node's own labels are those of the schedule file.
func CheckLabel(key, value string) error {
	switch {
	case key == "pool":
		return errors.New(`label "pool" is reserved; a pool has a key (and a flag) of its own`)
	case key == "node":
		return errors.New(`label "node" is reserved for the route of one node; choose another name`)
	case !label.MatchString(key):
		return fmt.Errorf("label %s: %s", quoted(key), labelRule)
	case !label.MatchString(value):
		return fmt.Errorf("label %s has the value %s: %s", key, quoted(value), labelRule)
	}
	return nil
}

// CheckPool says what is wrong with the name of a pool, if anything.
func CheckPool(name string) error {
	if !label.MatchString(name) {
		return fmt.Errorf("pool %s: %s", quoted(name), labelRule)
	}
	return nil
}

// readNodes reads the labels that a node must have.
func readNodes(d *decoder, e entry, v *jobValue) {
	const expected = "labels that a node must have, such as {zone: eu}"
	entries, ok := d.mapping(e, e.path()+".", expected)
	switch {
	case !ok:
		return
	case len(entries) == 0:
		d.problem(e.value, "%s is empty; expected %s", e.path(), expected)
	case len(entries) > maxLabels:
		d.problem(e.at, "%s has %d labels; expected at most %d", e.path(), len(entries), maxLabels)
		return
	}
	v.job.Nodes = make(map[string]string, len(entries))
	for _, item := range entries {
		value, ok := d.word(item, "the value of the label")
		if !ok {
			continue
		}
		if err := CheckLabel(item.key, value); err != nil {
			d.problem(item.at, "%s: %v", e.path(), err)
			continue
		}
		v.job.Nodes[item.key] = value
	}
}

func readPool(d *decoder, e entry, v *jobValue) {
	s, ok := d.word(e, "the name of a pool of nodes")
	if !ok {
		return
	}
	if err := CheckPool(s); err != nil {
		d.problem(d.resolve(e.value), "%v", err)
		return
	}
	v.job.Pool = s
}

// shortestUnroutable is more than a node needs to come back from a restart; with
// less, an update of the only node of a pool would fail its runs.
const shortestUnroutable = 10 * time.Second

func readUnroutableAfter(d *decoder, e entry, v *jobValue) {
	if t, ok := d.duration(e, shortestUnroutable, maxDuration, ""); ok {
		v.job.UnroutableAfter = t
	}
}

// groupValue is a group while it is read.
type groupValue struct{ limit int }

var groupShape = shape[groupValue]{
	what: "a group",
	fields: []field[groupValue]{
		{"limit", func(d *decoder, e entry, g *groupValue) {
			if n, ok := d.integer(e, 1, 1000); ok {
				g.limit = n
			}
		}},
	},
}

// readGroups reads the groups that jobs may name. One with a mistake in it is
// known all the same, so that its jobs are not wrong too.
func readGroups(d *decoder, e entry, f *fileValue) {
	entries, ok := d.mapping(e, "groups.", "groups by name, such as database: {limit: 1}")
	if !ok {
		return
	}
	f.schedule.Groups = make(map[string]int, len(entries))
	for _, item := range entries {
		if why := badName("group", item.key); why != "" {
			d.problem(item.at, "%s", why)
		}
		g := groupValue{limit: 1}
		_, _ = object(d, item, groupShape.under(item), "{limit: 1}, or {} for that", &g)
		f.schedule.Groups[item.key] = g.limit
	}
}

func readGroup(d *decoder, e entry, v *jobValue) {
	name, ok := d.word(e, "the name of a group that is declared under groups:")
	if !ok {
		return
	}
	limit, ok := v.schedule.Groups[name]
	v.job.Group, v.job.GroupLimit = name, limit
	if ok {
		return
	}
	declared := sortedKeys(v.schedule.Groups)
	if len(declared) == 0 {
		d.problem(d.resolve(e.value), "group %s is not declared; add it to the file, outside of jobs: groups: {%s: {limit: 1}}", quoted(name), shortened(name))
		return
	}
	d.problem(d.resolve(e.value), "group %s is not declared; declared: %s%s", quoted(name), strings.Join(declared, ", "), didYouMean(name, declared))
}
