package redisstore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// What a schedule file means when it says nothing is written in three places: the
// file's reader, this package (which leaves it out of runs) and the scripts (which
// then take their own). They are one.
func TestDefaultsAreTheSameInTheFileTheStoreAndTheScripts(t *testing.T) {
	s, err := jobs.Parse("test.yaml", []byte("version: 1\njobs: {a: {run: \"true\"}}\n"))
	require.NoError(t, err)
	j, lua := s.Jobs[0], constants(t)
	require.Equal(t, defaultMaxWait, s.MaxWait)
	require.Equal(t, defaultCrashRetries, j.CrashRetries)
	require.EqualValues(t, defaultCrashRetries, lua["CRASHES"])
	require.Equal(t, defaultUnroutable, j.UnroutableAfter)
	require.EqualValues(t, defaultUnroutable.Milliseconds(), lua["UNROUTABLE_MS"])
	require.EqualValues(t, historyCap, lua["HISTORY_CAP"])
	require.EqualValues(t, specWidth, lua["SPEC_WIDTH"])
	require.EqualValues(t, nodeLive.Milliseconds(), lua["LIVE_MS"])

	// An ordinary job leaves everything out that a run need not carry.
	spec := specOf(j)
	require.Equal(t, []any{"", "", "", ""}, spec[followersAt:], "followers, crash retries, delivery, unroutable")
	require.Equal(t, jobs.AnyRoute, spec[8])
}
