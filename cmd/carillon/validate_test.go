package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func TestHelpLintNamesEveryRule(t *testing.T) {
	text := lintHelp()
	for _, r := range jobs.LintRules() {
		require.Regexp(t, `(?m)^  `+r.ID+` +\S`, text)
		require.Contains(t, text, r.Meaning)
	}
}
