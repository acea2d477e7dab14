package jobs

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRevisionIsReadAndInNoDigest(t *testing.T) {
	const rest = "jobs: {a: {schedule: \"@hourly\", run: echo}}"
	base, job := oneJob(t, rest)
	assert.Zero(t, base.Revision, "a file without one")
	for text, want := range map[string]int64{"0": 0, "1": 1, "20261122155800": 20261122155800, "9007199254740991": 1<<53 - 1} {
		s, j := oneJob(t, "revision: "+text+"\n"+rest)
		assert.Equal(t, want, s.Revision)
		assert.Equal(t, base.Digest, s.Digest, "two files that differ only in it play the same")
		assert.Equal(t, []string{job.Digest, job.Timing}, []string{j.Digest, j.Timing})
	}
	for _, text := range []string{"1.5", "9007199254740992", "v2", "'7'", "[7]", ""} {
		_, err := Parse("schedule.yaml", []byte("revision: "+text+"\n"+rest))
		require.ErrorContains(t, err, "a whole number from 0 to 9007199254740991", "%q", text)
	}
}
