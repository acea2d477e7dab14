package executor

import "slices"

// matcher finds any of several texts in a stream, byte by byte: the automaton of
// Aho and Corasick. Its states are the beginnings of the texts; state 0 is the
// empty one. It is not changed once it is built, so many may use one.
type matcher struct {
	nodes []matchNode
	first [256]int32 // the states of one byte, by the byte; 0: no text begins so
}

// matchNode is one state: a beginning of one of the texts.
type matchNode struct {
	child, sibling int32 // 0: none
	fail           int32 // the longest other beginning that this one ends with
	depth          int32 // its length
	match          int32 // length of the longest whole text that it ends with; 0: none
	by             byte  // its last byte
}

func newMatcher(texts []string) *matcher {
	m := &matcher{nodes: make([]matchNode, 1)}
	for _, text := range texts {
		m.add(text)
	}
	m.link()
	return m
}

func (m *matcher) add(text string) {
	at := int32(0)
	for _, c := range []byte(text) {
		next := m.childOf(at, c)
		if next == 0 {
			next = int32(len(m.nodes))
			m.nodes = append(m.nodes, matchNode{sibling: m.nodes[at].child, depth: m.nodes[at].depth + 1, by: c})
			m.nodes[at].child = next
			if at == 0 {
				m.first[c] = next
			}
		}
		at = next
	}
	m.nodes[at].match = m.nodes[at].depth
}

// link finds, level by level, where each state goes on when its text does not.
func (m *matcher) link() {
	var level []int32
	for c := m.nodes[0].child; c != 0; c = m.nodes[c].sibling {
		level = append(level, c)
	}
	for len(level) > 0 {
		var deeper []int32
		for _, at := range level {
			for c := m.nodes[at].child; c != 0; c = m.nodes[c].sibling {
				fail := m.step(m.nodes[at].fail, m.nodes[c].by)
				m.nodes[c].fail = fail
				m.nodes[c].match = max(m.nodes[c].match, m.nodes[fail].match)
				deeper = append(deeper, c)
			}
		}
		level = deeper
	}
}

// childOf is the state after a byte that goes on with the text; 0: none does.
func (m *matcher) childOf(at int32, c byte) int32 {
	if at == 0 {
		return m.first[c]
	}
	next := m.nodes[at].child
	for next != 0 && m.nodes[next].by != c {
		next = m.nodes[next].sibling
	}
	return next
}

// step is the state after one more byte: the longest beginning of a text that
// the stream ends with now.
func (m *matcher) step(at int32, c byte) int32 {
	for {
		if next := m.childOf(at, c); next != 0 || at == 0 {
			return next
		}
		at = m.nodes[at].fail
	}
}

// distinct is the texts that have at least that many bytes, each once.
func distinct(texts []string, least int) []string {
	texts = slices.DeleteFunc(slices.Clone(texts), func(t string) bool { return len(t) < least })
	slices.Sort(texts)
	return slices.Compact(texts)
}
