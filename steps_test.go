package carillon_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon"
	"carillon/jobs"
)

const release = `
version: 1
jobs:
  release:
    steps:
      - {name: drain, func: part, undo: {func: part}}
      - {name: migrate, func: part, undo: {func: part}}
      - {name: restart, func: part}
  report:
    after: {job: release, when: failure}
    func: part
`

// A whole life from the library: steps, their undos in reverse, and the job that follows.
func TestARunIsUndoneAndFollowed(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, opts carillon.Options) {
		var mu sync.Mutex
		var said []string
		opts.Node, opts.Schedule = "a", schedule(t, release)
		opts.Funcs = map[string]carillon.Func{"part": func(_ context.Context, run carillon.Run) error {
			mu.Lock()
			defer mu.Unlock()
			line := run.Step
			if run.Undo {
				line = fmt.Sprintf("undo %s after %s", run.Step, run.FailedStep)
			}
			if run.Upstream != nil {
				line = fmt.Sprintf("%s %s", run.Job, run.Upstream.Status)
			}
			said = append(said, line)
			if run.Step == "restart" {
				return errors.New("no")
			}
			return nil
		}}
		n, _ := up(t, opts)
		_, err := n.Trigger(context.Background(), "release", nil)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(said) == 6
		}, 10*time.Second, 10*time.Millisecond)
		require.Equal(t, []string{"drain", "migrate", "restart", "undo migrate after restart", "undo drain after restart",
			"report " + string(jobs.RolledBack)}, said)
	})
}
