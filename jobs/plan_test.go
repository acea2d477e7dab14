package jobs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func lifeSchedule(t *testing.T) *Schedule {
	t.Helper()
	s, err := Load("testdata/life.good.yaml")
	require.NoError(t, err)
	return s
}

func TestPlanOfSteps(t *testing.T) {
	j := lifeSchedule(t).Job("release")
	plan := j.Plan()
	require.Len(t, plan, 3)
	names := []string{plan[0].Name, plan[1].Name, plan[2].Name}
	assert.Equal(t, []string{"drain", "migrate", "announce"}, names)
	require.NotNil(t, plan[0].Undo)
	assert.Equal(t, 10*time.Second, plan[0].Undo.Timeout)
	assert.Equal(t, 5, plan[0].Undo.Retry.Attempts)
	assert.Zero(t, plan[0].Undo.Retry.Backoff)
	assert.Equal(t, 5*time.Minute, plan[1].Timeout)
	assert.Equal(t, []int{75}, plan[1].Retry.On)
	assert.Nil(t, plan[2].Undo)
	assert.Equal(t, 1, plan[0].Retry.Attempts, "the tries of the defaults are the job's, not the step's")
	var kinds []ActionKind
	for _, a := range j.Actions() {
		kinds = append(kinds, a.Kind)
	}
	assert.Equal(t, []ActionKind{ActionHTTP, ActionHTTP, ActionCommand, ActionRun, ActionFunc}, kinds)
}

func TestPlanOfOneAction(t *testing.T) {
	j := lifeSchedule(t).Job("one")
	plan := j.Plan()
	require.Len(t, plan, 1)
	assert.Equal(t, SoleStep, plan[0].Name)
	assert.Equal(t, "./switch.sh on", plan[0].Action.Script)
	require.NotNil(t, plan[0].Undo)
	assert.Equal(t, "./switch.sh off", plan[0].Undo.Action.Script)
	assert.Equal(t, 1, plan[0].Retry.Attempts, "tries within the attempt")
	assert.Zero(t, plan[0].Timeout, "the attempt's is the job's")
	assert.Len(t, j.Actions(), 2)
}

func TestFollowersAreFilledIn(t *testing.T) {
	s := lifeSchedule(t)
	names := func(j *Job) (list []string) {
		for _, f := range j.Followers {
			assert.Same(t, s.Job(f.Name), f)
			list = append(list, f.Name)
		}
		return list
	}
	assert.Equal(t, []string{"then", "alas"}, names(s.Job("release")), "in file order, and without the one that rests")
	assert.Equal(t, []string{"anyway"}, names(s.Job("then")))
	assert.Empty(t, names(s.Job("anyway")))
	assert.Equal(t, &After{Job: "then", When: WhenDone}, s.Job("anyway").After)
	assert.Equal(t, WhenSuccess, s.Job("then").After.When)
}

func TestFileWideValuesOfALife(t *testing.T) {
	s := lifeSchedule(t)
	assert.Equal(t, 90*time.Second, s.MaxWait)
	assert.Equal(t, map[string]int{"db": 2, "lone": 1}, s.Groups)
	assert.Equal(t, 2, s.Job("then").GroupLimit)
	assert.Equal(t, 1, s.Job("alas").GroupLimit)
	assert.Zero(t, s.Job("wide").GroupLimit)

	bare, j := oneJob(t, "jobs: {a: {run: echo}}")
	assert.Equal(t, 10*time.Minute, bare.MaxWait)
	assert.Equal(t, 10*time.Minute, j.UnroutableAfter)
	assert.Equal(t, 3, j.CrashRetries)
	assert.Equal(t, OnLostKill, j.OnLost)
	assert.Equal(t, DeliverAtLeastOnce, j.Delivery)
	assert.Nil(t, j.After)
	assert.Nil(t, j.Undo)
	assert.Empty(t, j.Steps)
}
