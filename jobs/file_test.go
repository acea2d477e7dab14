package jobs

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReferenceScheduleLoads(t *testing.T) {
	s, err := Load("../schedule.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, s.Jobs)
}
