package jobs

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// tree writes nodes with everything that the decoder looks at.
func tree(n *yaml.Node) string {
	var s strings.Builder
	var walk func(n *yaml.Node, depth int)
	walk = func(n *yaml.Node, depth int) {
		fmt.Fprintf(&s, "%*d:%d kind %d style %d %s %q", depth, n.Line, n.Column, n.Kind, n.Style, n.Tag, n.Value)
		if n.Anchor != "" {
			fmt.Fprintf(&s, " &%s", n.Anchor)
		}
		if n.Alias != nil {
			fmt.Fprintf(&s, " *%d:%d", n.Alias.Line, n.Alias.Column)
		}
		s.WriteByte('\n')
		for _, c := range n.Content {
			walk(c, depth+1)
		}
	}
	walk(n, 1)
	return s.String()
}

// everyCut compares the nodes of a text in one piece with those from every place
// where it might be cut. It returns at how many of them that succeeded.
func everyCut(t *testing.T, data []byte) (cuts int) {
	begin, indent := jobLines(data)
	if indent == 0 {
		return 0
	}
	doc, next, err := readYAML(data)
	want := ""
	for at := nextJob(data, begin, indent); at >= 0; at = nextJob(data, at, indent) {
		got := readCut(data, at, indent)
		if got == nil {
			continue
		}
		require.NoError(t, err, "cut at %d", at)
		require.Nil(t, next)
		if want == "" {
			want = tree(doc)
		}
		require.Equal(t, want, tree(got), "cut at %d", at)
		cuts++
	}
	return cuts
}

func TestWhereverAFileIsCutItIsTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		cuts int
	}{
		"one line each":        {"jobs:\n a: {run: x}\n b: {run: y}\n c: {run: z}\n", 2},
		"behind other keys":    {"version: 1\njobs: # all of them\n\n  # first\n  a:\n    run: x\n  # second\n  b:\n    run: y\n", 1},
		"a script":             {"jobs:\n  a:\n    run: |\n      b: no job\n     \n  b: {run: y}\n", 1},
		"a script at the edge": {"jobs:\n  a:\n    run: |1\n     b: no job\n  b: {run: y}\n", 1},
		"a quoted text":        {"jobs:\n  a: {run: \"x\n  b: no job\"}\n  c: {run: y}\n", 1},
		"another quoted text":  {"jobs:\n  a: {run: 'x\n  b: no job\n  '}\n", 0},
		"a flow mapping":       {"jobs:\n  a: {run: x,\n  env: {A: b}}\n  c: {run: y}\n", 1},
		"a list at the edge":   {"jobs:\n  a:\n  - x\n  b:\n  - y\n", 1},
		"an anchor across":     {"jobs:\n  a: &a {run: x}\n  b: *a\n  c: *a\n", 0},
		"anchors on each side": {"jobs:\n  a: &a {run: x}\n  b: &a {run: y}\n  c: *a\n", 1},
		"an anchor given anew": {"jobs:\n  a: &a {run: x}\n  b: {<<: *a}\n  c: &a {run: y}\n  d: *a\n", 1},
		"keys behind the jobs": {"jobs:\n  a: {run: x}\n  b: {run: y}\nversion: 1\n", 0},
		"jobs in a text":       {"description: |\njobs:\n  a: {run: x}\n  b: {run: y}\n", 1},
		"twice the same job":   {"jobs:\n  a: {run: x}\n  a: {run: y}\n", 1},
		"a second document":    {"jobs:\n  a: {run: x}\n  b: {run: y}\n---\n", 0},
		"a mistake above":      {"jobs:\n  a: {run: x\n  b: {run: y}\n", 0},
		"a mistake below":      {"jobs:\n  a: {run: x}\n  b: }\n", 0},
		"jobs in a line":       {"jobs: {a: {run: x},\n  b: {run: y}}\n", 0},
		"lines that end in CR": {"jobs:\r\n  a: {run: x}\r\n  b: {run: y}\r\n", 0},
		"tags with a meaning":  {"%TAG !! tag:example.org,2000:\n---\njobs:\n  a: {run: !!str x}\n  b: {run: !!str y}\n", 0},
		"other directives":     {"%YAML 1.1\n---\njobs:\n  a: {run: x}\n  b: {run: y}\n", 1},
		"a text of blanks":     {"jobs:\n  a: |+\n      \n  b: >2+\n\n\n  c: |\n   x\n# edge\n\n  d: y\n", 3},
		"keys of two lines":    {"jobs:\n  z: x\n  ? a\n  b: x\n  ? [y,\n  c: z]\n  : y\n  d: &d\n  e: *d\n", 1},
		"a key, no value":      {"jobs:\n  a:\n    ? x\n  b:\n  - y\n  -\n  c: !!str\n  d:\n", 2},
		"no key, no value":     {"jobs:\n  0:\n  ?\n  a: x\n  b:\n    ?\n  c: x\n", 1},
		"indented less":        {"jobs:\n  a: x\n y: x\n  b: x\n", 0},
		"a tab":                {"jobs:\n  a: x\n\tb: x\n  c: x\n", 0},
		"jobs in quotes":       {"x: 'a\njobs:\n  a: x\n  b: y\n'\njobs:\n  a: x\n  b: y\n  c: z\n", 0},
		"no jobs":              {"version: 1\n", 0},
		"a text over a line":   {"jobs:\n  a: {run: x}\n  b: {run: \"é\u2028\"}\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.cuts, everyCut(t, []byte(c.text)))
		})
	}
	data, err := os.ReadFile("../schedule.yaml")
	require.NoError(t, err)
	assert.NotZero(t, everyCut(t, data))
	text := []byte(longFile(1500))
	require.Greater(t, len(text), worthCutting)
	assert.NotNil(t, readYAMLInHalves(text))
}

// FuzzCut: where a text can be cut, its nodes do not depend on where.
func FuzzCut(f *testing.F) {
	f.Add([]byte(longFile(10)))
	f.Add([]byte("jobs:\n  a: {run: \"x\n  b: no job\"}\n  c: {run: |\n    y\n  }\n"))
	f.Add([]byte("a: &a {<<: *b}\njobs:\n  a: *a\n  b:\n  - >\n   x\n  c: 'y\n\n  d: z'\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !newDecoder("f.yaml").checkBytes(data) {
			return
		}
		everyCut(t, data)
	})
}
