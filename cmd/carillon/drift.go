package main

import (
	"slices"
	"strings"

	"carillon/jobs"
)

// drift is in what the schedule of some nodes differs from that of the leader, or,
// while nobody leads, of the node with the newest revision.
type drift struct {
	from string // that node
	jobs.Difference
	foreign bool // they have no job in common
}

// digestsOf are the schedules that nodes have, each once.
func digestsOf(nodes []jobs.Node) []string {
	var list []string
	for _, n := range nodes {
		if n.Digest != "" && !slices.Contains(list, n.Digest) {
			list = append(list, n.Digest)
		}
	}
	return list
}

// differencesOf compares the schedules of nodes, by digest. One of which nothing is
// known is not in it, nor is the one that the others are compared with.
func differencesOf(nodes []jobs.Node, marks map[string]jobs.Marks) map[string]drift {
	var from *jobs.Node
	for i := range nodes {
		n := &nodes[i]
		if n.Leader || from == nil || !from.Leader && n.Revision > from.Revision {
			from = n
		}
	}
	if from == nil || marks[from.Digest] == nil {
		return nil
	}
	differ := map[string]drift{}
	for digest, theirs := range marks {
		if digest != from.Digest {
			mine := marks[from.Digest]
			differ[digest] = drift{from.Name, mine.Compare(theirs), mine.Strangers(theirs)}
		}
	}
	return differ
}

// driftRemarks name the jobs in which the schedules of nodes differ.
func driftRemarks(nodes []jobs.Node, differ map[string]drift) []string {
	var out []string
	for _, digest := range digestsOf(nodes) {
		d, differs := differ[digest]
		if !differs {
			continue
		}
		var names []string
		for _, n := range nodes {
			if n.Digest == digest {
				names = append(names, oneLine(n.Name))
			}
		}
		out = append(out, "compared with "+oneLine(d.from)+", the schedule of "+some(names)+" "+driftWords(d))
	}
	return out
}

func driftWords(d drift) string {
	if d.foreign {
		return "has no job in common: two fleets share this namespace; give one of them its own --namespace"
	}
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"has also", d.Added}, {"lacks", d.Removed}, {"executes something else in", d.Redefined}, {"has another time or rule for", d.Changed}} {
		if len(p.names) > 0 {
			safe := make([]string, len(p.names))
			for i, name := range p.names {
				safe[i] = oneLine(name)
			}
			parts = append(parts, p.what+" "+some(safe))
		}
	}
	if len(parts) == 0 {
		return "has the same jobs, and differs outside of them"
	}
	return strings.Join(parts, "; ")
}
