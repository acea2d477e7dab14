package faults

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// page is docs/storm.md, or one section of it.
func page(t *testing.T, section string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/storm.md")
	require.NoError(t, err)
	_, after, ok := strings.Cut(string(text), "\n## "+section+"\n")
	require.True(t, ok, "docs/storm.md has a section %q", section)
	before, _, _ := strings.Cut(after, "\n## ")
	return before
}

// rows are the rows of a section's table, without its head.
func rows(t *testing.T, section string) (list [][]string) {
	t.Helper()
	for row := range strings.Lines(page(t, section)) {
		if !strings.HasPrefix(row, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		list = append(list, cells)
	}
	require.Greater(t, len(list), 2, section)
	return list[2:]
}

func TestDocumentedFaultsAreTheFaults(t *testing.T) {
	var want [][]string
	for _, f := range catalogue {
		want = append(want, []string{f.Name, f.Does, f.Costs.String()})
	}
	if !assert.Equal(t, want, rows(t, "The faults")) {
		for _, w := range want {
			fmt.Printf("| %s | %s | %s |\n", w[0], w[1], w[2])
		}
	}
}

// The published table has a row for each fault, and the command that made it.
func TestTheLastStormHadEveryFault(t *testing.T) {
	var had []string
	for _, r := range rows(t, "The last one") {
		require.Len(t, r, 8, "%v", r)
		had = append(had, r[0])
	}
	want := []string{calm}
	for _, f := range catalogue {
		want = append(want, f.Name)
	}
	assert.Equal(t, append(want, "all"), had)
	assert.Regexp(t, regexp.MustCompile(`(?m)^    make storm`), page(t, "The last one"))
}
