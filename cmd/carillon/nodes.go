package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

func (a *app) nodesCommand() *cobra.Command {
	return a.command(spec{
		use:   "nodes",
		short: "List the live nodes and who leads",
		example: `  carillon nodes
  carillon nodes -o json | jq -r '.[] | select(.leader).node'`,
		args: noArgs,
		run: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), func(st store) error { return a.nodes(cmd.Context(), st) })
		},
	})
}

func (a *app) nodes(ctx context.Context, st store) error {
	nodes, err := st.Nodes(ctx)
	if err != nil {
		return err
	}
	var marks map[string]jobs.Marks
	if digests := digestsOf(nodes); len(digests) > 1 {
		if marks, err = st.Marks(ctx, digests); err != nil {
			return err
		}
	}
	differ := differencesOf(nodes, marks)
	if err := a.showNodes(nodes, differ); err != nil {
		return outputFailed(err)
	}
	for _, remark := range append(remarks(nodes), driftRemarks(nodes, differ)...) {
		a.say("%s", remark)
	}
	return nil
}

func (a *app) showNodes(nodes []jobs.Node, differ map[string]drift) error {
	now := a.now()
	t := &table{head: []string{"NODE", "LEADER", "RUNNING", "SCHEDULE", "SEEN", "CLOCK", "VERSION", "LABELS"}}
	var items []any
	for _, n := range nodes {
		view := viewNode(n)
		if d, differs := differ[n.Digest]; differs {
			view.Differs = viewDrift(d)
		}
		items = append(items, view)
		t.add(n.Name, yesNo(n.Leader), fmt.Sprintf("%d/%d", n.Running, n.Slots), orDash(n.Digest),
			ago(n.SeenAt, now), fmt.Sprintf("%+dms", n.ClockOffset.Milliseconds()), orDash(n.Version), orDash(labelWords(n.Pool, n.Labels)))
		if n.Leader {
			t.paint(1, green)
		}
	}
	return a.list(items, t)
}

// remarks are what an operator should see in a list of nodes at first sight.
func remarks(nodes []jobs.Node) []string {
	if len(nodes) == 0 {
		return []string{"no live node: start one with `carillon up`"}
	}
	var out []string
	leaders := 0
	names := map[string]int{}
	for _, n := range nodes {
		if n.Leader {
			leaders++
		}
		names[n.Name]++
	}
	if leaders == 0 {
		out = append(out, "no leader at the moment: nothing is scheduled until a node takes the seat")
	}
	out = append(out, silenceRemarks(nodes)...)
	if note := scheduleRemark(nodes); note != "" {
		out = append(out, note)
	}
	if note := zoneinfoRemark(nodes); note != "" {
		out = append(out, note)
	}
	if note := lockRemark(nodes); note != "" {
		out = append(out, note)
	}
	for _, n := range nodes {
		if names[n.Name] > 1 {
			out = append(out, fmt.Sprintf("%d nodes are named %q: give each its own --node", names[n.Name], n.Name))
			names[n.Name] = 0
		}
	}
	return out
}

// silenceRemarks name a leader that decides nothing, and nodes that hang.
func silenceRemarks(nodes []jobs.Node) (out []string) {
	for _, leader := range nodes {
		if names := accusers(leader, nodes); len(names) > 0 {
			out = append(out, fmt.Sprintf("%s leads and decides no ticks, %s of %d find: read its log; `carillon doctor` says more", oneLine(leader.Name), some(names), len(nodes)-1))
		}
		if !leader.Hangs.IsZero() {
			out = append(out, fmt.Sprintf("the scheduler of %s hangs: it executes runs and leads no more until it is restarted", oneLine(leader.Name)))
		}
	}
	return out
}

// accusers are the nodes that find a leader silent.
func accusers(leader jobs.Node, nodes []jobs.Node) (names []string) {
	for _, n := range nodes {
		if n.FindsSilent(leader) {
			names = append(names, oneLine(n.Name))
		}
	}
	return names
}

// scheduleRemark says which nodes have which schedule, when they differ. The
// revision is named when it is part of the difference.
func scheduleRemark(nodes []jobs.Node) string {
	type version struct {
		revision int64
		digest   string
	}
	having := map[version][]string{}
	digests, revisions := map[string]bool{}, map[int64]bool{}
	for _, n := range nodes {
		v := version{n.Revision, n.Digest}
		having[v] = append(having[v], oneLine(n.Name))
		digests[n.Digest], revisions[n.Revision] = true, true
	}
	if len(having) < 2 {
		return ""
	}
	versions := slices.SortedFunc(maps.Keys(having), func(a, b version) int { // the newest first
		return cmp.Or(cmp.Compare(b.revision, a.revision), cmp.Compare(a.digest, b.digest))
	})
	var parts []string
	for _, v := range versions {
		what := orDash(v.digest)
		if len(revisions) > 1 {
			what = fmt.Sprintf("revision %d, %s", v.revision, what)
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", what, some(having[v])))
	}
	what := fmt.Sprintf("%d different schedules", len(digests))
	switch {
	case len(digests) == 1:
		what = fmt.Sprintf("%d revisions of one schedule", len(revisions))
	case len(having) > len(digests):
		what = fmt.Sprintf("%d versions of the file, with %s", len(having), what)
	}
	return "the nodes run " + what + ": " + strings.Join(parts, "; ") + ": compare the files, or wait for a roll-out to end"
}

// some names a few of many.
func some(names []string) string {
	const few = 4
	if len(names) <= few+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

// lockRemark says which nodes have which list of lock Redises, when they differ.
// Those that never lead need none.
func lockRemark(nodes []jobs.Node) string {
	s := spread(electors(nodes), lockWords)
	if s == "" {
		return ""
	}
	return "the nodes elect with different lock Redises: " + oneLine(s) + ": give all of them the same --lock-redis"
}

func electors(nodes []jobs.Node) []jobs.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n jobs.Node) bool { return n.NoLead })
}

// lockWords are for people: how many lock Redises, and which list.
func lockWords(n jobs.Node) string { return cmp.Or(n.Locks, "none") }

// zoneinfoRemark says which nodes have which zone database, when they differ: a
// new leader may then fire a job at another hour than the old one. A node from
// before there was a choice does not say.
func zoneinfoRemark(nodes []jobs.Node) string {
	having := map[string][]string{}
	for _, n := range nodes {
		database := oneLine(cmp.Or(n.Zoneinfo, "unknown"))
		having[database] = append(having[database], oneLine(n.Name))
	}
	if len(having) < 2 {
		return ""
	}
	var parts []string
	for _, database := range slices.Sorted(maps.Keys(having)) {
		parts = append(parts, database+" ("+strings.Join(having[database], ", ")+")")
	}
	return "the nodes compute times with different zone databases: " + strings.Join(parts, ", ") +
		": bring all to one version of carillon, with the same --zoneinfo"
}
