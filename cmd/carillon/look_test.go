package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func TestLogsFollowUntilTheRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{page: 1, runs: map[string]jobs.Run{runID: {ID: runID, Status: jobs.Running}}}
		f.log = []jobs.LogChunk{chunk("1", 1, 0, "a\n"), chunk("2", 1, 2, "b\n"), chunk("3", 1, 4, "c\n")}
		s := newScreen(f)
		go func() {
			time.Sleep(3 * time.Second)
			writes(f, chunk("4", 1, 6, "d\n"))
			becomes(f, jobs.Run{Status: jobs.Succeeded})
		}()
		require.NoError(t, s.logs(t.Context(), f, runID, true))
		assert.Equal(t, "a\nb\nc\nd\n", s.out.String())
		assert.Empty(t, s.err.String())
	})
}

func TestLogsWithoutFollowShowWhatIsThere(t *testing.T) {
	f := &fakeStore{page: 2, runs: map[string]jobs.Run{runID: {ID: runID, Status: jobs.Running}}}
	f.log = []jobs.LogChunk{chunk("1", 1, 0, "a\n"), chunk("2", 1, 2, "b\n"), chunk("3", 1, 9, "c\n")}
	s := newScreen(f)
	require.NoError(t, s.logs(t.Context(), f, runID, false))
	assert.Equal(t, "a\nb\n... 5 bytes dropped ...\nc\n", s.out.String())

	s = newScreen(f)
	s.opts.output = formatJSON
	require.NoError(t, s.logs(t.Context(), f, runID, false))
	assert.JSONEq(t, `[{"attempt":1,"offset":0,"dropped":0,"data":"a\n"},{"attempt":1,"offset":2,"dropped":0,"data":"b\n"},
		{"attempt":1,"offset":9,"dropped":5,"data":"c\n"}]`, s.out.String())
}

func TestLogsOfASilentRunSaySo(t *testing.T) {
	f := &fakeStore{runs: map[string]jobs.Run{runID: {ID: runID, Status: jobs.Queued}}}
	s := newScreen(f)
	require.NoError(t, s.logs(t.Context(), f, runID, false))
	assert.Equal(t, "the run has written nothing yet (it is queued)\n", s.err.String())
}

func TestAnUnknownRunIsNotFound(t *testing.T) {
	s := newScreen(&fakeStore{})
	assert.Equal(t, exitNotFound, s.main(t.Context(), []string{"run", "hello@x", "--redis", "r:1"}))
	assert.Equal(t, "carillon: there is no run \"hello@x\"\n`carillon runs` lists what is kept; old runs are dropped\n", s.err.String())

	s = newScreen(&fakeStore{})
	assert.Equal(t, exitNotFound, s.main(t.Context(), []string{"logs", "hello", "--redis", "r:1", "-f"}))
	assert.Contains(t, s.err.String(), "`carillon runs --job hello` lists those of a job")
}

func TestWatchSaysWhenEventsMayBeMissing(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	f := &fakeStore{batches: []fakeBatch{
		{nil, true},
		{[]jobs.Event{{Seq: 1, At: at, Type: jobs.EventSucceeded, Run: "hello@1", Job: "hello", Node: "n1", Attempt: 1}}, false},
		{nil, true},
		{[]jobs.Event{{Seq: 9, At: at, Type: jobs.EventFailed, Run: "hello@2", Job: "hello", Node: "n1", Attempt: 2, Error: "exit\x1b[2J"}}, false},
	}}
	for format, want := range map[string]string{
		"table": "10:00:00.000Z  succeeded        hello@1  on n1\n" +
			"10:00:00.000Z  failed           hello@2  on n1  attempt 2  exit\\x1b[2J\n",
		"jsonl": `{"seq":1,"at":"2026-11-22T10:00:00.000Z","type":"succeeded","job":"hello","run":"hello@1","node":"n1","attempt":1}` + "\n" +
			`{"seq":9,"at":"2026-11-22T10:00:00.000Z","type":"failed","job":"hello","run":"hello@2","node":"n1","attempt":2,"error":"exit\u001b[2J"}` + "\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScreen(f)
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				time.Sleep(time.Second)
				cancel(errInterrupted)
			}()
			assert.Equal(t, exitInterrupted, s.main(ctx, []string{"watch", "--redis", "r:1", "-o", format}))
			assert.Equal(t, want, s.out.String())
			assert.Equal(t, "the connection was lost, or events came too fast: some may be missing here\n", s.err.String())
		})
	}
}

func TestEventLines(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for want, e := range map[string]jobs.Event{
		"10:00:00.000Z  leader           n1  epoch 7": {At: at, Type: jobs.EventLeader, Node: "n1", Epoch: 7},
		"10:00:00.000Z  missed           hello  2026-11-22T09:00:00Z to 2026-11-22T09:59:00Z  60 ticks  policy": {
			At: at, Type: jobs.EventMissed, Job: "hello", Tick: at.Add(-time.Hour), Until: at.Add(-time.Minute), Count: 60, Reason: "policy"},
		"10:00:00.000Z  skipped          hello  2026-11-22T10:00:00Z  overlap": {
			At: at, Type: jobs.EventSkipped, Job: "hello", Tick: at, Until: at, Count: 1, Reason: "overlap"},
		"10:00:00.000Z  skipped          hello  2026-11-22T10:00:00Z  overlap  in the way: hello@1": {
			At: at, Type: jobs.EventSkipped, Job: "hello", Run: "hello@1", Tick: at, Reason: "overlap"},
		"10:00:00.000Z  step             hello@1  drain":                    {At: at, Type: jobs.EventStep, Job: "hello", Run: "hello@1", Step: "drain"},
		"10:00:00.000Z  undone           hello@1":                           {At: at, Type: jobs.EventUndone, Job: "hello", Run: "hello@1", Step: jobs.SoleStep},
		"10:00:00.000Z  rollback_failed  hello@1  on n1  exit status 1":     {At: at, Type: jobs.EventRollbackFailed, Run: "hello@1", Node: "n1", Error: "exit status 1"},
		"10:00:00.000Z  paused           hello  by ann@here  disks":         {At: at, Type: jobs.EventPaused, Job: "hello", By: "ann@here", Reason: "disks"},
		"10:00:00.000Z  canceling        hello@1  by ann@here":              {At: at, Type: jobs.EventCancelAsked, Job: "hello", Run: "hello@1", By: "ann@here"},
		"10:00:00.000Z  backfill         hello  by ann@here  3 ticks":       {At: at, Type: jobs.EventBackfill, Job: "hello", By: "ann@here", Count: 3},
		"10:00:00.000Z  unroutable       hello@1  no live node serves zone": {At: at, Type: jobs.EventUnroutable, Run: "hello@1", Reason: "no live node serves zone"},
	} {
		assert.Equal(t, want, eventLine(e, false))
	}
	assert.Equal(t, `{"seq":0,"at":null,"type":"skipped","job":"hello","in_the_way":"hello@1"}`,
		string(compactJSON(viewEvent(jobs.Event{Type: jobs.EventSkipped, Job: "hello", Run: "hello@1"}))))
}

func TestRemarksOnNodes(t *testing.T) {
	assert.Equal(t, []string{"no live node: start one with `carillon up`"}, remarks(nil))
	assert.Empty(t, remarks([]jobs.Node{{Name: "a", Leader: true, Digest: "x"}, {Name: "b", Digest: "x"}}))
	assert.Equal(t, []string{
		"no leader at the moment: nothing is scheduled until a node takes the seat",
		"the nodes run 2 different schedules: x (a); y (a): compare the files, or wait for a roll-out to end",
		`2 nodes are named "a": give each its own --node`,
	}, remarks([]jobs.Node{{Name: "a", Digest: "x"}, {Name: "a", Digest: "y"}}))
	assert.Equal(t, []string{
		"the nodes run 2 different schedules: revision 8, y (b, c, d, e and 2 more); revision 7, x (a): compare the files, or wait for a roll-out to end",
	}, remarks([]jobs.Node{{Name: "a", Leader: true, Digest: "x", Revision: 7}, {Name: "b", Digest: "y", Revision: 8}, {Name: "c", Digest: "y", Revision: 8},
		{Name: "d", Digest: "y", Revision: 8}, {Name: "e", Digest: "y", Revision: 8}, {Name: "f", Digest: "y", Revision: 8}, {Name: "g", Digest: "y", Revision: 8}}))
	assert.Equal(t, []string{
		"the nodes run 2 revisions of one schedule: revision 8, x (b); revision 0, x (a): compare the files, or wait for a roll-out to end",
	}, remarks([]jobs.Node{{Name: "a", Leader: true, Digest: "x"}, {Name: "b", Digest: "x", Revision: 8}}))
	assert.Equal(t, []string{
		"the nodes run 3 versions of the file, with 2 different schedules: revision 2, y (c); revision 2, z (d); revision 1, y (b): compare the files, or wait for a roll-out to end",
	}, remarks([]jobs.Node{{Name: "b", Leader: true, Digest: "y", Revision: 1}, {Name: "c", Digest: "y", Revision: 2}, {Name: "d", Digest: "z", Revision: 2}}))
	now := time.Now()
	said := func(name, of string, ago time.Duration) jobs.Node {
		return jobs.Node{Name: name, Silent: of, SilentAt: now.Add(-ago), SeenAt: now}
	}
	hung := jobs.Node{Name: "h", Hangs: now}
	assert.Equal(t, []string{
		"a leads and decides no ticks, b, c of 5 find: read its log; `carillon doctor` says more",
		"the scheduler of h hangs: it executes runs and leads no more until it is restarted",
	}, remarks([]jobs.Node{{Name: "a", Boot: "1", Leader: true, SeenAt: now}, said("b", "a:1:7", time.Second), said("c", "a:1:7", 0),
		said("d", "a:1:7", 7*time.Second), said("e", "a:0:7", 0), hung}))
	assert.Empty(t, remarks([]jobs.Node{{Name: "a", Boot: "1", Leader: true, Zoneinfo: "2026f"}, {Name: "b", Zoneinfo: "2026f"}}))
	assert.Equal(t, []string{
		"the nodes compute times with different zone databases: 2026f (a, c), host 2025b (b), unknown (d): bring all to one version of carillon, with the same --zoneinfo",
	}, remarks([]jobs.Node{{Name: "a", Leader: true, Zoneinfo: "2026f"}, {Name: "b", Zoneinfo: "host 2025b"}, {Name: "c", Zoneinfo: "2026f"}, {Name: "d"}}))
	assert.Equal(t, []string{
		"the nodes elect with different lock Redises: 3:1a2b3c4d (a), none (b): give all of them the same --lock-redis",
	}, remarks([]jobs.Node{{Name: "a", Leader: true, Locks: "3:1a2b3c4d"}, {Name: "b"}, {Name: "c", NoLead: true, Locks: "5:00000000"}}))
}

func TestAddressesHideTheirPasswords(t *testing.T) {
	for raw, want := range map[string]string{
		"redis://10.0.0.5:6379/0":                    "10.0.0.5:6379",
		"redis://10.0.0.5:6379/3":                    "redis://10.0.0.5:6379/3",
		"redis://user:geheim@h:1/0":                  "redis://user:xxxxx@h:1/0",
		"redis://h:1?password=geheim":                "redis://h:1?password=xxxxx",
		"redis://user:gehe%zzim@h:1":                 "(an unreadable URL)",
		"redis+sentinel://:geheim@a:1,b:2/main/0":    "redis+sentinel://:xxxxx@a:1,b:2/main/0",
		"unix://user:geheim@/run/redis.sock?db=1":    "unix://user:xxxxx@/run/redis.sock?db=1",
		"rediss://:geheim@redis.example.com:6380/12": "rediss://:xxxxx@redis.example.com:6380/12",
	} {
		d := address{url: raw}
		assert.Equal(t, want, d.String())
		assert.NotContains(t, d.scrub("dial "+raw), "geheim", raw)
	}
	for _, scheme := range []string{"redis://", "redis+cluster://"} {
		said := "redis address " + scheme + ": expected redis://HOST:PORT or redis+cluster://HOST:PORT"
		assert.Equal(t, said, address{url: scheme}.scrub(said))
	}
	assert.Equal(t, "the password xxxxx is wrong", address{url: "redis://:geheim@h:1"}.scrub("the password geheim is wrong"))
}

func TestAScheduleIsCutOnANarrowTerminal(t *testing.T) {
	const long = "0 9 * * fri, every 2 weeks, only office, from 2026-11-27"
	assert.Equal(t, long, (&app{}).narrow(long), "nobody looks: nothing is cut")
	assert.Equal(t, long, (&app{width: 200}).narrow(long))
	assert.Equal(t, "0 9 * * fri, every 2 week…", (&app{width: 80}).narrow(long))
}

func TestPlansAreColouredByTheirSigns(t *testing.T) {
	lines := []string{"new against old", "", "+ a: added", "    - Mon", "~ b: retimed", "= 1 job unchanged", "-x", "odd\x1b[2J"}
	assert.Equal(t, "new against old\n\n+ a: added\n    - Mon\n~ b: retimed\n= 1 job unchanged\n-x\nodd\\x1b[2J\n", painted(lines, false))
	assert.Equal(t, "new against old\n\n\x1b[32m+ a: added\x1b[0m\n\x1b[31m    - Mon\x1b[0m\n\x1b[33m~ b: retimed\x1b[0m\n"+
		"\x1b[2m= 1 job unchanged\x1b[0m\n-x\nodd\\x1b[2J\n", painted(lines, true))
}

func TestTheCursorsThatADeploymentMoves(t *testing.T) {
	const rest = " to that moment: ticks that nobody has decided by then are skipped (schedule changed)."
	assert.Equal(t, "When the file is deployed, the cursor of a moves"+rest, restartWords([]string{"a"}))
	assert.Equal(t, "When the file is deployed, the cursors of a, b, c, d, e and 2 more move"+rest, restartWords(strings.Split("abcdefg", "")))
}

func TestRangesOfTicksRepeatNothing(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return v
	}
	for _, c := range [][3]string{
		{"2026-10-24T02:00:00+02:00", "2026-10-24T02:00:00+02:00", "Sat 2026-10-24 02:00:00 +02:00"},
		{"2026-10-24T02:00:00+02:00", "2026-10-24T05:00:00+02:00", "Sat 2026-10-24 02:00:00 .. 05:00:00 +02:00"},
		{"2026-10-23T02:00:00+02:00", "2026-10-24T02:00:00+02:00", "Fri 2026-10-23 02:00:00 .. Sat 2026-10-24 02:00:00 +02:00"},
		{"2026-10-24T02:00:00+02:00", "2026-10-25T04:00:00+01:00", "Sat 2026-10-24 02:00:00 +02:00 .. Sun 2026-10-25 04:00:00 +01:00"},
	} {
		assert.Equal(t, c[2], rangeWords(at(c[0]), at(c[1])))
	}
}
