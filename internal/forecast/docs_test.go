package forecast

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheExamplesOfCatchUp keeps the examples in docs/guarantees.md true.
func TestTheExamplesOfCatchUp(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "guarantees.md"))
	require.NoError(t, err)
	rows := regexp.MustCompile("(?m)^\\| `(schedule: .*)` \\| (.*) \\|$").FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(rows), 10)
	for _, row := range rows {
		s := parse(t, "jobs:\n  a: {"+row[1]+", run: echo}")
		var words []string
		for _, f := range Late(s.Jobs, noon.Add(-6*time.Hour), noon) {
			words = append(words, example(f))
		}
		assert.Equal(t, row[2], strings.Join(words, ", "), row[1])
	}
}

// example writes a fate as the document does: why a tick runs needs no words there.
func example(f Fate) string {
	ticks := f.Tick.Format("15:04")
	switch {
	case f.Count == 0:
		ticks += ".."
	case f.Count > 1:
		ticks += ".." + f.Until.Format("15:04")
	}
	text := ticks + " " + string(f.Outcome)
	if f.Outcome != Runs {
		text += " (" + f.Reason + ")"
	}
	return text
}
