// Package examples runs the examples, so that what they show stays true. They
// are programs for people: they take real seconds, and this test does too.
package examples

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

func TestQuickstart(t *testing.T) {
	t.Parallel()
	out := run(t, "sh", "quickstart/run.sh")
	assert.Contains(t, out, "all as the README says")
}

func TestRollback(t *testing.T)  { asTheReadmeSays(t, "rollback") }
func TestRetries(t *testing.T)   { asTheReadmeSays(t, "retries") }
func TestEveryNode(t *testing.T) { asTheReadmeSays(t, "every-node") }
func TestFollowOn(t *testing.T)  { asTheReadmeSays(t, "follow-on") }

func asTheReadmeSays(t *testing.T, example string) {
	t.Helper()
	t.Parallel()
	out := run(t, "sh", example+"/run.sh")
	assert.Contains(t, out, example+": all as the README says")
}

func TestEmbed(t *testing.T) {
	t.Parallel()
	out := run(t, "go", "run", "./embed")
	assert.Contains(t, out, "ticks, each ran once")
}

func TestEmbedOnARedis(t *testing.T) {
	t.Parallel()
	out := run(t, "go", "run", "./embed", "-redis", redistest.Real(t), "-ticks", "3")
	assert.Contains(t, out, "ticks, each ran once")
}

// run runs a program in this folder and returns what it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	lookAtSources(t)
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.WaitDelay = 10 * time.Second // for what it started itself
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// lookAtSources looks at every source file. The examples are built by programs
// that these tests start, of which the go command knows nothing: after a change
// of the library it would answer from its cache. It does notice the files that a
// test looked at.
func lookAtSources(t *testing.T) {
	t.Helper()
	require.NoError(t, filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && slices.Contains([]string{".go", ".lua", ".mod", ".sh", ".yaml"}, filepath.Ext(path)) {
			_, err = os.Stat(path)
		}
		return err
	}))
}
