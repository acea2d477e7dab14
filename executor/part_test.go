package executor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func TestNamesOfParts(t *testing.T) {
	for _, c := range []struct {
		part        Part
		name, title string
	}{
		{Part{}, "the job", ""},
		{Part{Step: jobs.SoleStep}, "the job", ""},
		{Part{Step: jobs.SoleStep, Undo: true}, "the undo", "undo"},
		{Part{Step: "drain"}, `step "drain"`, "step drain"},
		{Part{Step: "drain", Undo: true}, `the undo of step "drain"`, "undo drain"},
	} {
		assert.Equal(t, c.name, c.part.name())
		if c.title != "" {
			assert.Equal(t, c.title, title(c.part, 1, 1))
			assert.Equal(t, c.title+", try 2 of 3", title(c.part, 2, 3))
		}
	}
}

func TestWhatARollbackLeavesToDo(t *testing.T) {
	assert.Equal(t, "x", byHand("x", nil))
	assert.Equal(t, "x; left to undo by hand: a (carillon rollback tries it again)", byHand("x", []string{"a"}))
	assert.Equal(t, "x; left to undo by hand, in this order: b, a (carillon rollback tries them again)", byHand("x", []string{"b", "a"}))
}

func TestWhatATimeoutIs(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&timedOut{whose: `step "drain"`, after: time.Minute})
	err := cutShort(ctx)
	require.ErrorIs(t, err, ErrTimedOut)
	require.False(t, errors.Is(err, ErrCanceled))
	require.EqualError(t, err, `timed out after 1m0s: raise the timeout of step "drain", or find out what it waits for`)
}

func TestAMarkHasALineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memoryLog{}
		out := NewOutput(log, "run", 1)
		out.Mark("one")
		out.Write([]byte("a\n"))
		out.Mark("two")
		out.Write([]byte("b"))
		out.Mark("three")
		written, kept := out.Close(t.Context())
		out.Mark("too late")
		text := ""
		for _, c := range log.chunks {
			text += string(c.Data)
		}
		require.Equal(t, "one\na\ntwo\nb\nthree\n", text)
		require.EqualValues(t, len(text), written)
		require.Equal(t, written, kept)
	})
}

// A step that was given back between its record and its start is recorded again
// by the next attempt, and resumes there.
func TestARunResumesWhereItStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		claim := claimOf(1)
		claim.Step = 2
		d := &diary{}
		r, store := settled(t, release(), claim, d)
		require.Equal(t, jobs.Succeeded, r.Status)
		require.Equal(t, []string{"restart"}, d.did())
		require.Equal(t, []string{"2 restart false"}, recordsOf(store))

		claim.Step = 3 // all of them have succeeded, and nobody could say so
		r, _ = settled(t, release(), claim, d)
		require.Equal(t, jobs.Succeeded, r.Status)
		require.Equal(t, []string{"restart"}, d.did())
	})
}
