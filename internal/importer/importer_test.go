package importer

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// golden compares what a source became, the schedule and the complaints, with the
// file beside it.
func golden(t *testing.T, source string, r *Result) {
	t.Helper()
	got := string(r.YAML)
	if r.YAML != nil {
		s, err := jobs.Parse(source, r.YAML)
		require.NoError(t, err)
		require.Len(t, s.Jobs, r.Jobs)
		got += "\n"
	}
	for _, c := range r.Complaints {
		got += "# > " + c.String() + "\n"
	}
	file := strings.TrimSuffix(source, filepath.Ext(source)) + ".golden.yaml"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "go test ./internal/importer -update rewrites %s", file)
}

// sources are the files of a folder of testdata with one of the extensions.
func sources(t *testing.T, dir string, extensions ...string) []string {
	t.Helper()
	var list []string
	for _, ext := range extensions {
		found, err := filepath.Glob(filepath.Join("testdata", dir, "*"+ext))
		require.NoError(t, err)
		list = append(list, found...)
	}
	require.NotEmpty(t, list)
	return list
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	return data
}

// only is the one job that a source became.
func only(t *testing.T, r *Result) *jobs.Job {
	t.Helper()
	require.Equal(t, 1, r.Jobs, "%v", r.Complaints)
	s, err := jobs.Parse("import", r.YAML)
	require.NoError(t, err)
	return s.Jobs[0]
}

func TestComplaintsReadLikeACompilers(t *testing.T) {
	assert.Equal(t, "crontab:12: left out: @reboot x: a cluster never boots",
		Complaint{File: "crontab", Line: 12, Kind: LeftOut, Found: "@reboot \t x", Message: "a cluster never boots"}.String())
	assert.Equal(t, "crontab: note: no zone", Complaint{File: "crontab", Kind: Note, Message: "no zone"}.String())
}

func writeScript(name, text string) error { return os.WriteFile(name, []byte(text), 0o755) }
