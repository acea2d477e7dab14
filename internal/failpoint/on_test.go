//go:build failpoint

package failpoint

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheVariableNamesAPointAndAVisit(t *testing.T) {
	for text, want := range map[string]struct {
		point Point
		visit int64
		hang  bool
	}{
		"":                     {"", 1, false},
		"claimed":              {Claimed, 1, false},
		"step-done:3":          {StepDone, 3, false},
		"claimed:hang":         {Claimed, 1, true},
		"before-commit:3:hang": {BeforeCommit, 3, true},
	} {
		point, visit, hang, err := parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want.point, point, text)
		assert.Equal(t, want.visit, visit, text)
		assert.Equal(t, want.hang, hang, text)
	}
	for text, want := range map[string]string{
		"clamed":         `there is no point "clamed": write one of`,
		"claimed:":       "write a number above 0 behind the colon",
		"claimed:0":      "write a number above 0 behind the colon",
		"claimed:x":      "write a number above 0 behind the colon",
		":1":             `there is no point ""`,
		":hang":          `there is no point ""`,
		"claimed:hang:1": "write a number above 0 behind the colon",
		"claimed :1":     `there is no point "claimed "`,
	} {
		_, _, _, err := parse(text)
		assert.ErrorContains(t, err, want, text)
	}
}

func TestAVisitToAnotherPointIsNone(t *testing.T) {
	armed = Claimed
	left.Store(2)
	defer func() { armed = "" }()
	Hit(StepDone)
	Hit(Claimed)
	assert.Equal(t, int64(1), left.Load(), "one visit is left")
}
