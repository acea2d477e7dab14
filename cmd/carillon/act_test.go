package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon"
	"carillon/jobs"
)

func parse(t *testing.T, file string) *jobs.Schedule {
	t.Helper()
	s, err := jobs.Parse("schedule.yaml", []byte(file))
	require.NoError(t, err)
	return s
}

func TestPauseAndResumeSayWhatWas(t *testing.T) {
	f := &fakeStore{}
	s := newScreen(f)
	require.NoError(t, s.pauseJob(t.Context(), f, "hello", "disks"))
	require.NoError(t, s.pauseJob(t.Context(), f, "hello", "other"))
	require.NoError(t, s.resumeJob(t.Context(), f, "hello"))
	s.getenv = func(string) string { return "absent.yaml" } // no file, no opinion about the name
	require.NoError(t, s.resumeJob(t.Context(), f, "hello"))
	who := s.whoami()
	assert.Equal(t, "hello is paused: its ticks are skipped until `carillon resume hello`\n"+
		"hello was paused before, since 2026-11-22 09:30:00Z by "+who+": disks; that pause stays\n"+
		"hello goes on; it was paused since 2026-11-22 09:30:00Z by "+who+": disks\n"+
		"hello is not paused\n", s.err.String())
	assert.Empty(t, s.out.String())

	s = newScreen(f)
	s.opts.output = formatJSONL
	require.NoError(t, s.pauseJob(t.Context(), f, "hello", ""))
	assert.Equal(t, `{"job":"hello","changed":true,"paused":{"since":"2026-11-22T09:30:00.000Z","by":"`+who+`","note":""}}`+"\n", s.out.String())
}

func TestTicksOfABackfill(t *testing.T) {
	job := parse(t, `
version: 1
jobs: {hello: {schedule: "*/10 * * * *", run: "true"}}
`).Job("hello")
	at := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	ticks, all := ticksBetween(job, at, at.Add(20*time.Minute))
	assert.True(t, all)
	assert.Equal(t, []time.Time{at, at.Add(10 * time.Minute), at.Add(20 * time.Minute)}, ticks, "both ends are included")
	ticks, all = ticksBetween(job, at.Add(time.Second), at.Add(9*time.Minute))
	assert.True(t, all)
	assert.Empty(t, ticks)
	ticks, all = ticksBetween(job, at, at.Add((mostTicks-1)*10*time.Minute))
	assert.True(t, all)
	assert.Len(t, ticks, mostTicks)
	_, all = ticksBetween(job, at, at.Add(mostTicks*10*time.Minute))
	assert.False(t, all)

	f := &fakeStore{filled: jobs.BackfillReply{Queued: 2, Ran: 1}, paused: map[string]jobs.Pause{"hello": {Since: pausedAt}}}
	s := newScreen(f)
	s.opts.output = formatJSONL
	require.NoError(t, s.backfill(t.Context(), f, job, ticks[:3], false))
	assert.Equal(t, ticks[:3], f.ticks)
	assert.Equal(t, `{"job":"hello","ticks":3,"queued":2,"ran":1}`+"\n", s.out.String())
	assert.Equal(t, "2 ticks of hello queued, 1 ran before or wait already\n"+
		"hello is paused since 2026-11-22 09:30:00Z: the leader starts them when it is resumed\n", s.err.String())

	s, f.ticks = newScreen(f), nil
	require.NoError(t, s.backfill(t.Context(), f, job, nil, false))
	assert.Equal(t, "hello has no tick in that time\n", s.err.String())
	assert.Nil(t, f.ticks, "nothing is asked of Redis")
}

func TestBackfillsThatAreRefused(t *testing.T) {
	for want, r := range map[string]jobs.BackfillReply{
		"no leader has looked at the ticks of hello yet; nothing was queued\n": {Undecided: time.Unix(0, 0)},
		"the ticks of hello are decided up to 2026-11-22 09:30:00Z; a later one runs by itself, and nothing was queued\n" +
			"give --to 2026-11-22T09:30:00Z or earlier": {Undecided: pausedAt},
		"the ledger of hello is empty: nobody knows which of these ticks ran; nothing was queued\n--force runs them all the same": {TooOld: true},
		"the ledger of hello begins at 2026-11-22 09:30:00Z: nobody knows whether earlier ticks ran; nothing was queued\n" +
			"give --from 2026-11-22T09:30:00Z or later, or --force to run them all the same": {TooOld: true, Oldest: pausedAt},
		"at most 9 ticks of hello may wait, and with these there would be more; nothing was queued\n" +
			"wait until the leader has started some, or narrow --from and --to": {Full: 9},
	} {
		e := notBackfilled("hello", r)
		require.NotNil(t, e)
		assert.Equal(t, exitRefused, e.code)
		assert.Equal(t, want, e.Error()+"\n"+e.hint)
	}
	assert.Nil(t, notBackfilled("hello", jobs.BackfillReply{Queued: 1}))
}

func TestHealthOfThisHostsNode(t *testing.T) {
	made := carillon.DefaultNodeName()
	host := made[:strings.LastIndexByte(made, '-')]
	for _, c := range []struct {
		name, asked string
		want        bool
	}{
		{made, "", true}, {host, "", true}, {host + "-99", "", true}, {host + "-eu-1", "", false}, {host + "-", "", false},
		{"x" + host, "", false}, {"web-1", "web-1", true}, {"web-11", "web-1", false},
	} {
		n, err := pickNode([]jobs.Node{{Name: "other"}, {Name: c.name}}, c.asked)
		assert.Equal(t, c.want, err == nil, "%v", c)
		if err == nil {
			assert.Equal(t, c.name, n.Name)
		}
	}

	f := &fakeStore{nodes: []jobs.Node{{Name: "web-1", SeenAt: pausedAt}}}
	s := newScreen(f)
	assert.Equal(t, exitOK, s.main(t.Context(), []string{"healthcheck", "--node", "web-1", "--redis", "r:1", "-o", "jsonl"}))
	assert.Equal(t, `{"healthy":true,"node":"web-1","seen_at":"2026-11-22T09:30:00.000Z","reason":""}`+"\n", s.out.String())
	f.down = errors.New("LOADING")
	s = newScreen(f)
	assert.Equal(t, exitOther, s.main(t.Context(), []string{"healthcheck", "--node", "web-1", "--redis", "r:1"}))
	assert.Equal(t, "carillon: no Redis at r:1 (from --redis): LOADING\n", s.err.String())
}

func TestLabelsOfANode(t *testing.T) {
	got, err := parseLabels([]string{"zone=eu", "disk=ssd"})
	require.NoError(t, err)
	assert.Equal(t, "pool=gpu,disk=ssd,zone=eu", labelWords("gpu", got))
	assert.Empty(t, labelWords("", nil))
	for _, bad := range []string{"zone", "=eu", "zone=", "zone=a b", "pool=gpu", "node=n1"} {
		_, err := parseLabels([]string{bad})
		assert.Error(t, err, bad)
	}
	s := newScreen(nil)
	s.opts.output = formatJSONL
	require.NoError(t, s.showNodes([]jobs.Node{{Name: "n1", Pool: "gpu", Labels: got}, {Name: "n2"}}, nil))
	assert.Contains(t, s.out.String(), `"pool":"gpu","labels":{"disk":"ssd","zone":"eu"}`)
	assert.Contains(t, s.out.String(), `"pool":"","labels":{}`)
}
