package jobs

import "gopkg.in/yaml.v3"

// resolve follows aliases and pays for what is read. A mapping or list behind
// an alias is paid for each time, so a few lines of aliases of aliases cannot
// grow into gigabytes.
func (d *decoder) resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.spend(n, nodeCost(n))
	return n
}

// aliasBudget is how much a file may read beyond its own content. Ten thousand
// jobs that merge a base of twenty keys take a tenth of it.
const aliasBudget = 64 << 20

func nodeCost(n *yaml.Node) int { return 32 + len(n.Value) + 8*len(n.Content) }

// allow sets the budget for a document: reading it a few times over (keys are
// looked at more than once) and what aliases and defaults add. The document is
// weighed when the second part is used up, which it hardly ever is.
func (d *decoder) allow(doc *yaml.Node) { d.budget, d.unweighed = aliasBudget, doc }

func treeCost(n *yaml.Node) int {
	total := nodeCost(n)
	for _, c := range n.Content {
		total += treeCost(c)
	}
	return total
}

func (d *decoder) spend(at *yaml.Node, cost int) {
	d.budget -= cost
	if d.budget < 0 && d.unweighed != nil {
		d.budget += 4 * treeCost(d.unweighed)
		d.unweighed = nil
	}
	if d.budget < 0 && !d.spent {
		d.spent = true
		d.problem(at, "aliases and defaults expand to more than %d MiB; write less of it with anchors", aliasBudget>>20)
	}
}

// merged are the mappings that a merge key names.
func (d *decoder) merged(value *yaml.Node, merging []*yaml.Node) []*yaml.Node {
	n := d.resolve(value)
	list := []*yaml.Node{value}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	var bases []*yaml.Node
	for _, v := range list {
		base := d.resolve(v)
		switch {
		case d.spent:
			return nil
		case base.Kind != yaml.MappingNode:
			d.problem(v, "<< takes an alias of a mapping, such as <<: *base, or a list of them; found %s", describe(base))
		case contains(merging, base):
			d.problem(v, "<< merges a mapping into itself")
		default:
			bases = append(bases, base)
		}
	}
	return bases
}

func contains(nodes []*yaml.Node, n *yaml.Node) bool {
	for _, m := range nodes {
		if m == n {
			return true
		}
	}
	return false
}
