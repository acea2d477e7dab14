package jobs

import (
	"maps"
	"slices"
	"strings"
)

// Marks say what each job of a schedule is, in digests alone: job -> the digest of
// its definition, a blank, and a shorter one of everything about it. A job that was
// renamed has a second entry, "@" and its old name. They tell in what the files of two
// nodes differ.
type Marks map[string]string

// MarksOf are the marks of a schedule.
func MarksOf(s *Schedule) Marks {
	marks := make(Marks, len(s.Jobs))
	byDefault := newJob()
	for _, j := range s.Jobs {
		mark := j.Digest + " " + digestOf(jobFormOf(j, &byDefault))[:8]
		marks[j.Name] = mark
		if j.RenamedFrom != "" {
			marks["@"+j.RenamedFrom] = mark
		}
	}
	return marks
}

// Difference is in what another schedule differs: names of jobs, sorted.
type Difference struct {
	Added     []string // only the other has them
	Removed   []string // the other does not have them
	Redefined []string // they execute something else
	Changed   []string // they execute the same, at other times or under other rules
}

// Compare says in what another schedule differs from this one.
func (m Marks) Compare(other Marks) Difference {
	var d Difference
	for _, name := range slices.Sorted(maps.Keys(other)) {
		mark := other[name]
		was, had := m[name]
		switch {
		case name[0] == '@':
		case !had:
			d.Added = append(d.Added, name)
		case definitionIn(mark) != definitionIn(was):
			d.Redefined = append(d.Redefined, name)
		case mark != was:
			d.Changed = append(d.Changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if _, has := other[name]; !has && name[0] != '@' {
			d.Removed = append(d.Removed, name)
		}
	}
	return d
}

func definitionIn(mark string) string {
	digest, _, _ := strings.Cut(mark, " ")
	return digest
}

// Strangers reports whether two schedules have no job in common, under any name
// that it had: files of two fleets, and not two versions of one.
func (m Marks) Strangers(other Marks) bool {
	theirs := other.Names()
	for _, name := range m.Names() {
		if _, common := slices.BinarySearch(theirs, name); common {
			return false
		}
	}
	return len(m) > 0 && len(other) > 0
}

// Names are all names that the jobs have or had, sorted.
func (m Marks) Names() []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, strings.TrimPrefix(name, "@"))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
