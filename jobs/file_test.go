package jobs

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the expected messages in testdata")

func TestRejectedFilesSayWhy(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			s, err := Parse(filepath.Base(file), data)
			require.Nil(t, s)
			var bad *FileError
			require.ErrorAs(t, err, &bad)
			require.NotEmpty(t, bad.Problems)
			want := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				require.NoError(t, os.WriteFile(want, []byte(err.Error()+"\n"), 0o644))
			}
			expected, readErr := os.ReadFile(want)
			require.NoError(t, readErr)
			assert.Equal(t, string(expected), err.Error()+"\n")
			assert.NotContains(t, err.Error(), "hunter2", "a password in a message")
		})
	}
}
