package jobs

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInWhatTwoSchedulesDiffer(t *testing.T) {
	marks := func(text string) Marks {
		s, err := Parse("schedule.yaml", []byte(text))
		require.NoError(t, err)
		return MarksOf(s)
	}
	a := marks(`{jobs: {same: {run: echo}, command: {run: a}, time: {schedule: "@hourly", run: echo}, gone: {run: echo}, old: {run: echo}}}`)
	b := marks(`{jobs: {same: {run: echo}, command: {run: b}, time: {schedule: "@daily", run: echo}, new: {renamed_from: old, run: echo}, more: {run: echo}}}`)
	assert.Equal(t, Difference{Added: []string{"more", "new"}, Removed: []string{"gone", "old"}, Redefined: []string{"command"}, Changed: []string{"time"}}, a.Compare(b))
	assert.Equal(t, Difference{}, a.Compare(a))
	assert.Equal(t, Difference{Changed: []string{"p"}}, marks(`{jobs: {p: {run: echo}}}`).Compare(marks(`{jobs: {p: {run: echo, priority: 9}}}`)))

	assert.False(t, a.Strangers(b))
	one, other := marks(`{jobs: {old: {run: echo}}}`), marks(`{jobs: {new: {renamed_from: old, run: echo}}}`)
	assert.False(t, one.Strangers(other), "one job under two names")
	assert.False(t, other.Strangers(one))
	assert.True(t, one.Strangers(marks(`{jobs: {new: {run: echo}}}`)))
	assert.False(t, one.Strangers(nil), "not known is no stranger")
}
