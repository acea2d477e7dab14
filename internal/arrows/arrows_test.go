// Package arrows holds the test that keeps the import arrows of the project.
// It is no promise to users: only packages outside of internal are.
//
// Two questions are asked of every import in every file, whatever its build
// tags. Of our own packages: may this package know that one? Of other people's:
// is this the package that speaks to that library? Both answers are tables in
// this file. A new package or a new library is a line here first, and a
// conversation about where it belongs.
//
// .golangci.yaml says the same to editors. This test is the one that counts.
package arrows

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	module = "carillon"
	root   = "carillon" // the library, by its import path
)

// ours says which of our packages a package may import. Tests may also import
// what they test and the test support.
var ours = map[string][]string{
	"carillon/jobs":   {},
	"carillon/leader": {},
	// They never import each other: they meet in Redis.
	"carillon/scheduler":           {"carillon/leader", "carillon/jobs", "carillon/internal/failpoint"},
	"carillon/executor":            {"carillon/jobs", "carillon/internal/failpoint"},
	"carillon/internal/failpoint":  {},                // the lines at which a test kills a node; empty functions otherwise
	"carillon/internal/lab":        {"carillon/jobs"}, // the world that the simulation puts around a node
	"carillon/internal/checker":    {},                // whether a schedule was kept, from what jobs wrote down themselves
	"carillon/internal/redisstore": {"carillon/leader", "carillon/jobs"},
	"carillon/internal/embedded":   {},
	"carillon/internal/console":    {}, // what one node shows over HTTP
	"carillon/internal/importer":   {"carillon/jobs"},
	root: {
		"carillon/executor", "carillon/internal/console", "carillon/internal/embedded", "carillon/internal/lab", "carillon/internal/redisstore",
		"carillon/jobs", "carillon/leader", "carillon/scheduler",
	},
	// It decides nothing itself: what is due it asks of the scheduler.
	"carillon/internal/forecast":  {"carillon/jobs", "carillon/scheduler"},
	"carillon/cmd/carillon":       {root, "carillon/internal/forecast", "carillon/internal/importer", "carillon/internal/redisstore", "carillon/jobs"},
	"carillon/internal/redistest": {},
	"carillon/internal/proctest":  {},
	"carillon/internal/arrows":    {},
	"carillon/e2e":                {everything},
	"carillon/faults":             {everything},
	"carillon/faults/*":           {}, // what the jobs of a storm execute
	"carillon/sim":                {everything},
	"carillon/examples":           {},
	"carillon/examples/*":         {root, "carillon/jobs"}, // what a user can import
}

// everything stands for every package of ours: for tests of the whole.
const everything = "*"

// support is what tests of any package may import.
var support = []string{"carillon/internal/redistest", "carillon/internal/embedded"}

// theirs says from which of our packages a library is imported. The longest
// prefix of an import path counts.
var theirs = map[string]speakers{
	"github.com/robfig/cron/v3":      {code: []string{"carillon/jobs"}, tests: true},
	"gopkg.in/yaml.v3":               {code: []string{"carillon/jobs", "carillon/internal/importer"}, tests: true}, // the importer reads manifests
	"github.com/teambition/rrule-go": {code: []string{"carillon/jobs"}},                                            // the recurrences of calendar files

	"github.com/redis/go-redis/v9":                      {code: []string{"carillon/internal/redisstore"}, tests: true},
	"github.com/go-redsync/redsync/v4":                  {code: []string{"carillon/leader"}},
	"github.com/go-redsync/redsync/v4/redis":            {code: []string{"carillon/leader", "carillon/internal/redisstore"}}, // the seam between them
	"github.com/go-redsync/redsync/v4/redis/goredis/v9": {code: []string{"carillon/internal/redisstore"}, tests: true},
	"github.com/alicebob/miniredis/v2":                  {code: []string{"carillon/internal/embedded", "carillon/internal/redistest"}, tests: true},

	"github.com/prometheus/client_golang": {code: []string{"carillon/internal/console"}, tests: true},
	"github.com/prometheus/common":        {tests: true},
	"github.com/prometheus/client_model":  {tests: true},

	"github.com/fsnotify/fsnotify": {code: []string{root}},
	"github.com/google/uuid":       {code: []string{root, "carillon/cmd/carillon"}}, // both start runs by hand
	"github.com/spf13/cobra":       {code: []string{"carillon/cmd/carillon"}},
	"github.com/spf13/pflag":       {code: []string{"carillon/cmd/carillon"}}, // cobra's own
	"github.com/lmittmann/tint":    {code: []string{"carillon/cmd/carillon"}},
	"golang.org/x/term":            {code: []string{"carillon/cmd/carillon"}},

	"github.com/stretchr/testify":                {tests: true},
	"pgregory.net/rapid":                         {tests: true},
	"github.com/rogpeppe/go-internal/testscript": {tests: true},
	"github.com/santhosh-tekuri/jsonschema/v6":   {tests: true},
	"go.uber.org/goleak":                         {code: []string{"carillon/internal/redistest"}, tests: true},
}

// speakers are those who may import a library.
type speakers struct {
	code  []string // packages, by import path
	tests bool     // and the tests of every package
}

// file is what the rules look at.
type file struct {
	path    string // from the top of the repository, with slashes
	pkg     string // import path of its folder
	imports []string
}

func (f file) test() bool { return strings.HasSuffix(f.path, "_test.go") }

func TestEveryImportFollowsTheArrows(t *testing.T) {
	files := sources(t, filepath.Join("..", ".."))
	require.Greater(t, len(files), 50, "the walk found too few files to mean anything")
	for _, f := range files {
		for _, problem := range problems(f) {
			t.Error(problem)
		}
	}
}

func TestEveryRuleIsStillNeeded(t *testing.T) {
	found := map[string]bool{}
	for _, f := range sources(t, filepath.Join("..", "..")) {
		for _, i := range f.imports {
			if name, ok := library(i); ok {
				found[name] = true
			}
		}
	}
	for name := range theirs {
		assert.True(t, found[name], "nothing imports %s any more: take it out of the table, and out of go.mod", name)
	}
}

func TestTheRulesSayWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name, path, pkg, imported string
		want                      string // "" when the import is fine
	}{
		{"the loops meet in Redis", "scheduler/due.go", "carillon/scheduler", "carillon/executor",
			"scheduler/due.go imports carillon/executor: carillon/scheduler may import only carillon/leader, carillon/jobs, carillon/internal/failpoint of our packages"},
		{"and so do their tests", "executor/x_test.go", "carillon/executor", "carillon/scheduler",
			"executor/x_test.go imports carillon/scheduler: carillon/executor may import only carillon/jobs, carillon/internal/failpoint of our packages, and its tests carillon/internal/redistest, carillon/internal/embedded"},
		{"values know nobody", "jobs/job.go", "carillon/jobs", "carillon/leader",
			"jobs/job.go imports carillon/leader: carillon/jobs may import none of our packages"},
		{"a test imports what it tests", "jobs/x_test.go", "carillon/jobs", "carillon/jobs", ""},
		{"a test has a Redis", "leader/x_test.go", "carillon/leader", "carillon/internal/redistest", ""},
		{"code has not", "leader/x.go", "carillon/leader", "carillon/internal/redistest",
			"leader/x.go imports carillon/internal/redistest: carillon/leader may import none of our packages"},
		{"nobody imports the binary's innards by accident", "node.go", "carillon", "carillon/cmd/carillon",
			"node.go imports carillon/cmd/carillon: carillon may import only "},
		{"examples are users", "examples/embed/main.go", "carillon/examples/embed", "carillon/internal/embedded",
			"examples/embed/main.go imports carillon/internal/embedded: carillon/examples/* may import only carillon, carillon/jobs of our packages"},
		{"the whole is tested from outside", "e2e/storm_test.go", "carillon/e2e", "carillon/internal/redisstore", ""},
		{"a new package", "metrics/x.go", "carillon/metrics", "carillon/jobs",
			"metrics/x.go: package carillon/metrics has no arrows yet: say in internal/arrows what it may import"},
		{"one package speaks to Redis", "scheduler/x.go", "carillon/scheduler", "github.com/redis/go-redis/v9",
			"scheduler/x.go imports github.com/redis/go-redis/v9: only carillon/internal/redisstore and tests may"},
		{"a package within a library", "executor/x.go", "carillon/executor", "github.com/redis/go-redis/v9/maintnotifications",
			"only carillon/internal/redisstore and tests may"},
		{"a test may look into Redis", "leader/x_test.go", "carillon/leader", "github.com/redis/go-redis/v9", ""},
		{"the lock", "internal/redisstore/x.go", "carillon/internal/redisstore", "github.com/go-redsync/redsync/v4",
			"only carillon/leader may"},
		{"the lock's connections", "internal/redisstore/x.go", "carillon/internal/redisstore", "github.com/go-redsync/redsync/v4/redis", ""},
		{"test libraries", "jobs/x.go", "carillon/jobs", "github.com/stretchr/testify/require",
			"jobs/x.go imports github.com/stretchr/testify/require: only tests may"},
		{"a library that nobody agreed on", "jobs/x.go", "carillon/jobs", "example.com/fast/yaml",
			"jobs/x.go imports example.com/fast/yaml: no package of ours speaks to it yet: say in internal/arrows which one does"},
		{"a library with a name that begins alike", "jobs/x.go", "carillon/jobs", "gopkg.in/yaml.v3x", "no package of ours speaks to it yet"},
		{"the standard library", "jobs/x.go", "carillon/jobs", "encoding/json", ""},
		{"C", "jobs/x.go", "carillon/jobs", "C", "jobs/x.go imports C: the binary is built without cgo"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := problems(file{path: c.path, pkg: c.pkg, imports: []string{c.imported}})
			if c.want == "" {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			assert.Contains(t, got[0], c.want)
		})
	}
}

// problems says what is wrong with the imports of one file, a sentence each.
func problems(f file) []string {
	name, allowed, known := arrows(f.pkg)
	if !known {
		return []string{fmt.Sprintf("%s: package %s has no arrows yet: say in internal/arrows what it may import", f.path, f.pkg)}
	}
	var found []string
	for _, i := range f.imports {
		switch {
		case i == "C":
			found = append(found, f.path+" imports C: the binary is built without cgo")
		case i == module || strings.HasPrefix(i, module+"/"):
			if !mayKnow(f, i, allowed) {
				found = append(found, fmt.Sprintf("%s imports %s: %s may import %s", f.path, i, name, ourWords(f, allowed)))
			}
		case !standard(i):
			lib, ok := library(i)
			if !ok {
				found = append(found, fmt.Sprintf("%s imports %s: no package of ours speaks to it yet: say in internal/arrows which one does", f.path, i))
				continue
			}
			if s := theirs[lib]; !slices.Contains(s.code, f.pkg) && (!s.tests || !f.test()) {
				found = append(found, fmt.Sprintf("%s imports %s: only %s may", f.path, i, s))
			}
		}
	}
	return found
}

// arrows finds the rule for a package: its own, or that of its parent's children.
func arrows(pkg string) (name string, allowed []string, ok bool) {
	if allowed, ok = ours[pkg]; ok {
		return pkg, allowed, true
	}
	name = path.Join(path.Dir(pkg), "*")
	allowed, ok = ours[name]
	return name, allowed, ok
}

func mayKnow(f file, imported string, allowed []string) bool {
	if slices.Contains(allowed, imported) || slices.Contains(allowed, everything) {
		return true
	}
	return f.test() && (imported == f.pkg || slices.Contains(support, imported))
}

func ourWords(f file, allowed []string) string {
	words := "none of our packages"
	if len(allowed) > 0 {
		words = "only " + strings.Join(allowed, ", ") + " of our packages"
	}
	if f.test() {
		words += ", and its tests " + strings.Join(support, ", ")
	}
	return words
}

func (s speakers) String() string {
	words := slices.Clone(s.code)
	if s.tests {
		words = append(words, "tests")
	}
	return strings.Join(words, " and ")
}

// standard reports whether an import is of the standard library, whose paths
// have no dot in their first element.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// library is the longest name in the table that an import belongs to.
func library(imported string) (name string, ok bool) {
	for prefix := range theirs {
		if (imported == prefix || strings.HasPrefix(imported, prefix+"/")) && len(prefix) > len(name) {
			name = prefix
		}
	}
	return name, name != ""
}

// sources reads the imports of every Go file of the module under top. Other
// modules and what the go command ignores are left out.
func sources(t *testing.T, top string) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != top && ignored(p, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		f := file{path: rel, pkg: path.Join(module, path.Dir(rel))}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: import %s: %w", rel, spec.Path.Value, err)
			}
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
		return nil
	})
	require.NoError(t, err)
	return files
}

func ignored(dir, name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "vendor" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
