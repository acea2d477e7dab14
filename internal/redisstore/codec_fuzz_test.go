package redisstore

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// What is decoded and written again is decoded to the same.

func FuzzLedgerRoundTrip(f *testing.F) {
	f.Add("1763776800000 ran")
	f.Add("1763776800000 skipped 1763776801000 2 j@2026-11-22T02:00:00Z overlap: an earlier run is unfinished")
	f.Add("-1 missed 9223372036854775807 0 - ")
	f.Fuzz(func(t *testing.T, entry string) {
		e, err := decodeLedger("j", entry)
		if err != nil {
			require.Zero(t, e, "half an entry beside an error")
			return
		}
		// As lua/lib_ledger.lua writes it.
		run := e.RunID
		if run == "" {
			run = "-"
		}
		again, err := decodeLedger("j", fmt.Sprintf("%d %s %d %d %s %s", wireTime(e.Tick), e.Outcome, wireTime(e.Until), e.Count, run, e.Reason))
		require.NoError(t, err)
		require.Equal(t, e, again)
	})
}

func FuzzMessageRoundTrip(f *testing.F) {
	f.Add(`{"seq":1,"at":1763776800000,"events":[{"type":"queued","run":"j@x","tick":1763776800000}]}`)
	f.Add(`{"seq":-1,"at":-62135596800000,"events":[{},{"job":"a","run":"b@c","until":9223372036854775807}]}`)
	f.Fuzz(func(t *testing.T, payload string) {
		seq, events, err := decodeMessage(payload)
		if err != nil {
			require.Empty(t, events)
			return
		}
		m := message{Seq: seq}
		for _, e := range events {
			m.At = wireTime(e.At)
			m.Events = append(m.Events, wireEvent{Type: e.Type, Job: e.Job, Run: e.Run, Node: e.Node, Attempt: e.Attempt, Error: e.Error,
				Reason: e.Reason, Tick: wireTime(e.Tick), Until: wireTime(e.Until), Count: e.Count, Epoch: e.Epoch, Step: e.Step, By: e.By})
		}
		text, err := json.Marshal(m)
		require.NoError(t, err)
		seqAgain, again, err := decodeMessage(string(text))
		require.NoError(t, err)
		require.Equal(t, seq, seqAgain)
		require.Equal(t, events, again)
	})
}

// wireTime is a time as the store has it.
func wireTime(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return millis(at)
}

func FuzzRunIsReadTheSameTwice(f *testing.F) {
	f.Add("running", "7", "step:a", "1 succeeded 5", "step:b", "1 running 6", `{"a":"b"}`)
	f.Add("queued", "-1", "waits", "no live node", "rollback_error", "x", "")
	f.Fuzz(func(t *testing.T, status, number, one, value, two, other, params string) {
		h := map[string]string{"status": status, "attempt": number, "scheduled_at": number, "exit_code": number, "params": params}
		h[one], h[two] = value, other
		r, err := decodeRun("j@x", maps.Clone(h))
		for range 4 { // the order of a map is another each time
			again, errAgain := decodeRun("j@x", h)
			require.Equal(t, err, errAgain)
			require.Equal(t, r, again)
		}
		if err == nil {
			require.True(t, r.Status.Known())
			require.NotEmpty(t, r.Route)
		}
	})
}

func FuzzDecodeNode(f *testing.F) {
	f.Add("web-1", "8", "d1 d2", "a=b,c=d", "any pool:x", "disk", "ssd")
	f.Add("", "99999999999999999999", " ", "=,,=", "", "a/b", "")
	f.Fuzz(func(t *testing.T, boot, number, schedules, labels, routes, key, value string) {
		n := decodeNode("web-1", map[string]string{"boot": boot, "slots": number, "running": number, "seen_at": number, "started_at": number,
			"clock_offset_ms": number, "schedules": schedules, "labels": labels, "routes": routes})
		require.Equal(t, "web-1", n.Name)
		require.Equal(t, n.Labels, splitLabels(joinLabels(n.Labels)))
		if ms, err := strconv.ParseInt(number, 10, 32); err == nil {
			require.Equal(t, int(ms), n.Slots)
			require.Equal(t, time.Duration(ms)*time.Millisecond, n.ClockOffset)
		}
		if jobs.CheckLabel(key, value) == nil { // what a flag takes arrives
			set := map[string]string{key: value, "other": "x"}
			require.Equal(t, set, splitLabels(joinLabels(set)))
		}
	})
}
