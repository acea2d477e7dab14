package failpoint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// declared are the points of this package, by the name of their constant.
func declared(t *testing.T) map[string]Point {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, 0)
	require.NoError(t, err)
	points := map[string]Point{}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			points[v.Names[0].Name] = Point(strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`))
		}
		return true
	})
	return points
}

func TestAllAreAll(t *testing.T) {
	var want []Point
	for _, p := range declared(t) {
		want = append(want, p)
	}
	assert.ElementsMatch(t, want, All())
}

// A point that no line has would be a test of nothing.
func TestEveryPointIsALine(t *testing.T) {
	lines := map[string][]string{}
	for _, dir := range []string{"executor", "scheduler"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "failpoint" && s.Sel.Name != "Hit" {
						lines[s.Sel.Name] = append(lines[s.Sel.Name], fset.Position(s.Pos()).String())
					}
				}
				return true
			})
			return nil
		})
		require.NoError(t, err)
	}
	for name := range declared(t) {
		assert.NotEmpty(t, lines[name], "no line is %s", name)
	}
}
