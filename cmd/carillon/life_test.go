package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func steps(status ...jobs.State) []jobs.StepStatus {
	names := []string{"drain", "migrate", "restart"}
	var list []jobs.StepStatus
	for i, s := range status {
		list = append(list, jobs.StepStatus{Name: names[i], Status: s, StartedAt: time.Unix(int64(i), 0)})
	}
	return list
}

func TestTriggerTellsOfStepsAndTheirUndoing(t *testing.T) {
	s, code, _ := waiting(t, formatTable, 0, func(f *fakeStore, _ func()) {
		r := jobs.Run{Status: jobs.Running, Attempt: 1, Node: "n1", Steps: steps(jobs.Running)}
		becomes(f, r)
		time.Sleep(time.Second)
		r.Steps, r.Rollback = steps(jobs.Succeeded, jobs.Running), []string{"migrate", "drain"}
		becomes(f, r)
		time.Sleep(time.Second)
		r.Status, r.Error, r.Node = jobs.RollingBack, `step "migrate": exit status 3`, ""
		becomes(f, r)
		time.Sleep(3 * time.Second)
		f.set(func(f *fakeStore) { f.nodes = []jobs.Node{{Name: "n1", Slots: 2}} })
		r.Steps, r.Rollback = steps(jobs.Succeeded, jobs.RolledBack), []string{"drain"}
		becomes(f, r)
		time.Sleep(time.Second)
		r.Status, r.Error = jobs.RollbackFailed, r.Error+"; rollback: exit status 1"
		becomes(f, r)
	})
	assert.Equal(t, exitRunFailed, code)
	assert.Equal(t, `queued hello@manual-1
started on n1, attempt 1
step drain
step migrate
step "migrate": exit status 3; rolling back migrate, drain
waiting: no node is live; start one with `+"`carillon up`"+`
undone: migrate
rollback failed: step "migrate": exit status 3; rollback: exit status 1
left to undo, in this order: drain
mend what kept the undo from working, then: carillon rollback hello@manual-1
`, s.err.String())
}

func TestRollbackLinesBetweenTwoLooks(t *testing.T) {
	running := jobs.Run{Status: jobs.Running, Attempt: 1, Node: "n1", Steps: steps(jobs.Succeeded, jobs.Running)}
	for _, c := range []struct {
		name     string
		old, new jobs.Run
		want     []string
	}{
		{"a step is tried again", jobs.Run{Attempt: 1, Steps: []jobs.StepStatus{{Name: "drain", StartedAt: time.Unix(1, 0)}}},
			jobs.Run{Attempt: 2, Status: jobs.Running, Node: "n2", Steps: []jobs.StepStatus{{Name: "drain", StartedAt: time.Unix(9, 0)}}},
			[]string{"started on n2, attempt 2", "step drain"}},
		{"undone at once, the last first", running, jobs.Run{Status: jobs.RolledBack, Attempt: 1, Steps: steps(jobs.RolledBack, jobs.RolledBack)},
			[]string{"undone: migrate", "undone: drain"}},
		{"a job without steps", jobs.Run{Status: jobs.Running, Attempt: 1},
			jobs.Run{Status: jobs.RollingBack, Attempt: 1, Error: "boom", Rollback: []string{jobs.SoleStep}, Steps: []jobs.StepStatus{{Name: jobs.SoleStep}}},
			[]string{"boom; rolling back the job's own action"}},
		{"its undoing node was lost", jobs.Run{Status: jobs.RollingBack}, jobs.Run{Status: jobs.RollingBack}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, append(beginnings(c.old, c.new), endings(c.old, c.new, time.Now())...))
		})
	}
}

func TestTriggerSaysWhomItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{runs: map[string]jobs.Run{runID: {ID: runID, Status: jobs.Queued, Reason: "waits for hello@manual-0"}}}
		f.reply = jobs.TriggerReply{RunID: runID, WaitsFor: "hello@manual-0"}
		s := newScreen(f)
		go func() {
			time.Sleep(5 * time.Second)
			becomes(f, jobs.Run{Status: jobs.Queued, Reason: "waits for hello@manual-7"})
			time.Sleep(5 * time.Second)
			becomes(f, jobs.Run{Status: jobs.Canceled, Error: "canceled by ann@here"})
		}()
		err := s.start(t.Context(), f, jobs.TriggerRequest{Job: &jobs.Job{Name: "hello"}}, waitOptions{})
		assert.Equal(t, exitRunFailed, codeOf(err))
		assert.Equal(t, `queued hello@manual-1; it waits for the end of hello@manual-0
waiting: for the end of hello@manual-7
canceled: canceled by ann@here
`, s.err.String())
	})
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	job := &jobs.Job{Name: "hello", Overlap: jobs.OverlapSkip, Pool: "gpu", Nodes: map[string]string{"zone": "eu"}}
	for want, reply := range map[string]jobs.TriggerReply{
		"nothing was started: an earlier run is unfinished (overlap: skip); in the way is hello@1\n`carillon logs -f hello@1` watches that run": {
			InTheWay: "hello@1", Why: "overlap: an earlier run is unfinished"},
		"hello is paused since 2026-11-22 09:30:00Z by ann@here: disks; nothing was started\n`carillon resume hello` ends the pause": {
			Paused: &jobs.Pause{Since: pausedAt, By: "ann@here", Note: "disks"}},
		"hello has every_node, and no live node serves pool=gpu,zone=eu (`carillon up --pool gpu --label zone=eu`); nothing was started\n" +
			"`carillon nodes` lists the live nodes and their labels": {Nobody: true},
	} {
		e := refusal(job, reply)
		require.NotNil(t, e)
		assert.Equal(t, exitRefused, e.code)
		assert.Equal(t, want, e.Error()+"\n"+e.hint)
	}
	assert.Nil(t, refusal(job, jobs.TriggerReply{RunID: runID}))
}

// canceling runs cancel against a fake whose run ends as the test says.
func canceling(t *testing.T, answer jobs.CancelAnswer, from, to jobs.Run, o cancelOptions) (screen, *fakeStore, error) {
	t.Helper()
	from.ID, from.Job = runID, "hello"
	f := &fakeStore{answer: answer, runs: map[string]jobs.Run{runID: from}}
	s := newScreen(f)
	var err error
	synctest.Test(t, func(t *testing.T) {
		go func() {
			time.Sleep(2 * time.Second)
			becomes(f, to)
		}()
		err = s.cancel(t.Context(), f, runID, o)
		time.Sleep(3 * time.Second)
	})
	return s, f, err
}

func TestCancelWaitsAndSaysHowItEnded(t *testing.T) {
	running := jobs.Run{Status: jobs.Running, Attempt: 1, Node: "n1"}
	for _, c := range []struct {
		name     string
		answer   jobs.CancelAnswer
		from, to jobs.Run
		code     exitCode
		want     string
	}{
		{"running", jobs.CancelAsked, running, jobs.Run{Status: jobs.Canceled, Attempt: 1, Error: "canceled by ann@here"}, exitOK,
			"canceling hello@manual-1, which runs on n1\ncanceled: canceled by ann@here\n"},
		{"with something to undo", jobs.CancelRollback, jobs.Run{Status: jobs.Retrying, Attempt: 1, Rollback: []string{"drain"}},
			jobs.Run{Status: jobs.RolledBack, Attempt: 1, Error: "canceled by ann@here"}, exitOK,
			"hello@manual-1 is called off, and is rolled back now\nrolled back: canceled by ann@here\n"},
		{"undone already", jobs.CancelUndoing, jobs.Run{Status: jobs.RollingBack, Node: "n1"}, jobs.Run{Status: jobs.RolledBack}, exitOK,
			"hello@manual-1 is being rolled back already\nrolled back\n"},
		{"and the undo fails", jobs.CancelAsked, running, jobs.Run{Status: jobs.RollbackFailed, Attempt: 1, Rollback: []string{"drain"}}, exitRunFailed,
			"canceling hello@manual-1, which runs on n1\nrollback failed\nleft to undo, in this order: drain\n" +
				"mend what kept the undo from working, then: carillon rollback hello@manual-1\n"},
		{"too late", jobs.CancelAsked, running, jobs.Run{Status: jobs.Succeeded, Attempt: 1}, exitRefused,
			"canceling hello@manual-1, which runs on n1\nsucceeded\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f, err := canceling(t, c.answer, c.from, c.to, cancelOptions{reason: "wrong day"})
			assert.Equal(t, c.code, codeOf(err), "%v", err)
			assert.Equal(t, c.want, s.err.String())
			assert.Equal(t, []string{runID, s.whoami(), "wrong day"}, f.canceled)
			assert.Zero(t, f.reads, "the output is not what a canceller asked for")
			if c.code == exitRefused {
				assert.EqualError(t, err, "hello@manual-1 was not canceled: it succeeded before the cancel reached it")
			}
		})
	}
}

func TestCancelOfWhatHadEndedIsRefused(t *testing.T) {
	for state, want := range map[jobs.State]string{
		jobs.Succeeded:      "hello@manual-1 has ended already: it succeeded",
		jobs.Canceled:       "hello@manual-1 has ended already: it was canceled",
		jobs.RollbackFailed: "hello@manual-1 has ended already: it failed to roll back",
	} {
		_, _, err := canceling(t, jobs.CancelFinal, jobs.Run{Status: state}, jobs.Run{Status: state}, cancelOptions{})
		assert.Equal(t, exitRefused, codeOf(err))
		assert.EqualError(t, err, want)
	}
	s := newScreen(&fakeStore{})
	assert.Equal(t, exitNotFound, codeOf(s.cancel(t.Context(), &fakeStore{}, runID, cancelOptions{})))
}

func TestCancelAsData(t *testing.T) {
	running := jobs.Run{Status: jobs.Running, Attempt: 1, Node: "n1"}
	f := &fakeStore{answer: jobs.CancelAsked, runs: map[string]jobs.Run{runID: running}}
	s := newScreen(f)
	s.opts.output = formatJSONL
	require.NoError(t, s.cancel(t.Context(), f, runID, cancelOptions{waitOptions: waitOptions{detach: true}}))
	assert.Equal(t, `{"id":"hello@manual-1","answer":"asked","status":"running"}`+"\n", s.out.String())

	synctest.Test(t, func(t *testing.T) {
		err := s.cancel(t.Context(), f, runID, cancelOptions{waitOptions: waitOptions{timeout: time.Second}})
		assert.Equal(t, exitTimeout, codeOf(err))
		assert.EqualError(t, err, "hello@manual-1 has not ended after 1s (it is running); the cancel goes on")
	})
}

func TestRollbackShowsOnlyWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{resumed: true, page: 1, runs: map[string]jobs.Run{
			runID: {ID: runID, Status: jobs.RollbackFailed, Attempt: 2, Rollback: []string{"migrate", "drain"}}}}
		f.log = []jobs.LogChunk{chunk("1", 1, 0, "old"), chunk("2", 2, 0, "older")}
		s := newScreen(f)
		go func() {
			time.Sleep(time.Second)
			c := chunk("3", 2, 0, "new\n")
			c.Writer = "the undoing"
			writes(f, c)
			becomes(f, jobs.Run{Status: jobs.RolledBack, Attempt: 2})
		}()
		require.NoError(t, s.rollback(t.Context(), f, runID, waitOptions{}))
		assert.Equal(t, "new\n", s.out.String())
		assert.Equal(t, "rolling back hello@manual-1: migrate, drain\nrolled back (attempt 2)\n", s.err.String())
	})
}

func TestRollbackOfAnythingElseIsRefused(t *testing.T) {
	for state, want := range map[jobs.State]string{
		jobs.Succeeded:      "hello@manual-1 succeeded: there is no rollback to go on with",
		jobs.RolledBack:     "hello@manual-1 was rolled back: there is no rollback to go on with",
		jobs.RollbackFailed: "hello@manual-1: nothing is left to undo",
		jobs.Running:        "hello@manual-1 has not ended (it is running): only a rollback that failed is gone on with",
	} {
		f := &fakeStore{runs: map[string]jobs.Run{runID: {ID: runID, Status: state}}}
		err := newScreen(f).rollback(t.Context(), f, runID, waitOptions{})
		assert.Equal(t, exitRefused, codeOf(err))
		assert.EqualError(t, err, want)
	}
}

func TestRetryRemarks(t *testing.T) {
	job := &jobs.Job{Name: "hello", Digest: "new", EveryNode: true}
	assert.Equal(t, []string{
		"what hello@1 left is not undone; `carillon rollback hello@1` goes on with that",
		"the definition of hello has changed since that run; the new one is used",
		"the new run has no upstream run: its CARILLON_UPSTREAM_* are empty",
		"hello has every_node: it starts on each of them, not only where that run was",
	}, retryRemarks(job, jobs.Run{ID: "hello@1", Status: jobs.RollbackFailed, Digest: "old", Trigger: jobs.TriggerAfter}))
	assert.Empty(t, retryRemarks(&jobs.Job{Digest: "x"}, jobs.Run{Digest: "x", Status: jobs.Failed}))
}

const two = "hello@manual-1"

func everyNode(f *fakeStore, nodes ...string) {
	f.runs = map[string]jobs.Run{}
	for _, n := range nodes {
		id := jobs.NodeRunID(two, n)
		f.runs[id] = jobs.Run{ID: id, Job: "hello", Status: jobs.Queued}
		f.nodes = append(f.nodes, jobs.Node{Name: n, Slots: 1})
	}
	f.runs["hello@manual-0@n1"] = jobs.Run{ID: "hello@manual-0@n1", Job: "hello", Status: jobs.Succeeded}
	f.reply = jobs.TriggerReply{RunID: two}
}

func TestTriggerFollowsTheRunsOfAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{}
		everyNode(f, "n1", "n2")
		f.log = []jobs.LogChunk{chunk("1", 1, 0, "hello\nwor"), chunk("2", 1, 9, "ld")}
		s := newScreen(f)
		go func() {
			time.Sleep(time.Second)
			f.set(func(f *fakeStore) {
				f.runs[two+"@n1"] = jobs.Run{ID: two + "@n1", Job: "hello", Status: jobs.Succeeded, Attempt: 1, Node: "n1"}
			})
			time.Sleep(time.Second)
			f.set(func(f *fakeStore) {
				f.runs[two+"@n2"] = jobs.Run{ID: two + "@n2", Job: "hello", Status: jobs.Failed, Attempt: 1, Node: "n2", Error: "exit status 1"}
			})
		}()
		err := s.start(t.Context(), f, jobs.TriggerRequest{Job: &jobs.Job{Name: "hello", EveryNode: true}}, waitOptions{})
		assert.Equal(t, exitRunFailed, codeOf(err))
		assert.ElementsMatch(t, []string{"n1 | hello", "n1 | world", "n2 | hello", "n2 | world"}, lines(s.out.String()))
		assert.Equal(t, `queued hello@manual-1 on 2 nodes: n1, n2
n1: started on n1, attempt 1
n1: succeeded
n2: started on n2, attempt 1
n2: failed: exit status 1
1 of 2 runs did not succeed
`, s.err.String())
	})
}

func TestTheRunsOfAllNodesDetachedAndTimedOut(t *testing.T) {
	f := &fakeStore{}
	everyNode(f, "n1", "n2")
	req := jobs.TriggerRequest{Job: &jobs.Job{Name: "hello", EveryNode: true, Overlap: jobs.OverlapSkip}}
	s := newScreen(f)
	f.reply.WaitsFor = "hello@manual-0@n3"
	require.NoError(t, s.start(t.Context(), f, req, waitOptions{detach: true}))
	assert.Equal(t, two+"@n1\n"+two+"@n2\n", s.out.String())
	assert.Equal(t, "not started everywhere: hello@manual-0@n3 is unfinished (overlap: skip)\n", s.err.String())

	s = newScreen(f)
	s.opts.output = formatJSONL
	require.NoError(t, s.start(t.Context(), f, req, waitOptions{detach: true}))
	assert.Equal(t, `{"id":"hello@manual-1","repeated":false,"runs":["hello@manual-1@n1","hello@manual-1@n2"]}`+"\n", s.out.String())

	synctest.Test(t, func(t *testing.T) {
		err := newScreen(f).start(t.Context(), f, req, waitOptions{timeout: time.Second})
		assert.Equal(t, exitTimeout, codeOf(err))
		assert.EqualError(t, err, "2 runs of hello@manual-1 have not ended after 1s: n1, n2; they go on")
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			time.Sleep(time.Second)
			cancel(errInterrupted)
		}()
		s := newScreen(f)
		assert.Equal(t, exitInterrupted, codeOf(s.start(ctx, f, req, waitOptions{})))
		assert.Contains(t, s.err.String(), "\ndetached; the runs go on: hello@manual-1\n  carillon runs --job hello\n")
	})

	_, err := s.findRun(t.Context(), f, two)
	var e *exitError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "every node has its own: hello@manual-1@n1, hello@manual-1@n2", e.hint)
}

func TestLinesOfSeveralRunsStayWhole(t *testing.T) {
	s := newScreen(nil)
	w := &lineWriter{w: s.out, mu: new(sync.Mutex), prefix: "n1 | "}
	for _, p := range []string{"a", "b\n\nc\nd", "", "e"} {
		n, err := w.Write([]byte(p))
		require.NoError(t, err)
		assert.Len(t, p, n)
	}
	require.NoError(t, w.flush())
	require.NoError(t, w.flush())
	assert.Equal(t, "n1 | ab\nn1 | \nn1 | c\nn1 | de\n", s.out.String())

	long := make([]byte, longestLine+1)
	s.out.Reset()
	_, err := w.Write(long)
	require.NoError(t, err)
	assert.Len(t, s.out.Bytes(), len(long)+len("n1 | \n"), "a line that does not end is not kept for ever")
}

func TestARunShowsWhatIsLeftAndWhyItWaits(t *testing.T) {
	f := &fakeStore{runs: map[string]jobs.Run{runID: {
		ID: runID, Job: "hello", Status: jobs.RollbackFailed, Route: "zone=eu", CanceledBy: "ann@here",
		Steps: steps(jobs.Succeeded, jobs.Failed), Rollback: []string{"migrate", "drain"},
	}}}
	f.paused = map[string]jobs.Pause{"hello": {Since: pausedAt, By: "ann@here"}}
	s := newScreen(f)
	require.NoError(t, s.showRun(t.Context(), f, runID))
	assert.Equal(t, `run:         hello@manual-1
job:         hello
status:      rollback_failed
attempt:     0
priority:    0
route:       zone=eu
steps:       drain    succeeded    1970-01-01 00:00:00Z
             migrate  failed       1970-01-01 00:00:01Z
to undo:     migrate, drain
go on with:  carillon rollback hello@manual-1
canceled by: ann@here
job paused:  since 2026-11-22 09:30:00Z by ann@here
`, s.out.String())

	s = newScreen(f)
	f.paused = nil
	f.nodes = []jobs.Node{{Name: "n1", Boot: "b1", Slots: 1, Routes: []string{"any"}}}
	becomes(f, jobs.Run{Status: jobs.Queued, Route: "pool=gpu", Rollback: []string{"drain"}})
	require.NoError(t, s.showRun(t.Context(), f, runID))
	assert.Contains(t, s.out.String(), "to undo:     drain (if it fails)\nwaiting:     no live node serves pool=gpu (`carillon up --pool gpu`)\n")
}

func TestWhoServesARoute(t *testing.T) {
	n := jobs.Node{Boot: "b1", Routes: []string{"any", "zone=eu"}}
	for route, want := range map[string]bool{"": true, "any": true, "zone=eu": true, "node=b1": true, "node=b2": false, "pool=gpu": false} {
		assert.Equal(t, want, serves(n, route), route)
	}
	n.Slots, n.Running = 1, 1
	assert.Equal(t, "all 1 slot of 1 node are busy", waitsFor([]jobs.Node{n, {Slots: 9, Routes: []string{"any"}}}, "zone=eu"))
	assert.Contains(t, waitsFor([]jobs.Node{n}, "node=b2"), "its one node is gone")
}

func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }
