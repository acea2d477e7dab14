package redisstore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func TestDecodeLedgerRefusesWhatItCannotRead(t *testing.T) {
	for _, entry := range []string{"", "x ran", "1 ran 2", "1 skipped x 1 - r", "1 skipped 2 x - r"} {
		_, err := decodeLedger("j", entry)
		require.ErrorContains(t, err, "cannot read entry", entry)
	}
	e, err := decodeLedger("j", "1000 missed 5000 0 - window: older than 24h")
	require.NoError(t, err)
	require.Equal(t, jobs.LedgerEntry{Tick: time.UnixMilli(1000).UTC(), Until: time.UnixMilli(5000).UTC(), Outcome: jobs.OutcomeMissed,
		Reason: "window: older than 24h"}, e)
}

func TestDecodeRunRefusesAnUnknownStatus(t *testing.T) {
	_, err := decodeRun("j@x", map[string]string{"status": "exploded"})
	require.ErrorContains(t, err, "newer carillon")
	_, err = decodeRun("j@x", map[string]string{"status": "queued", "params": "{"})
	require.ErrorContains(t, err, "params")
}

func FuzzDecodeLedger(f *testing.F) {
	f.Add("1763776800000 ran")
	f.Add("1763776800000 skipped 1763776801000 2 j@2026-11-22T02:00:00Z overlap: an earlier run is unfinished")
	f.Add("1 missed 2 0 - window: older")
	f.Add("0  0 1  ")
	f.Fuzz(func(t *testing.T, entry string) {
		e, err := decodeLedger("j", entry)
		if err == nil && e.Count == 1 && e.RunID == "" && e.Reason == "" && e.Outcome == "" {
			t.Fatalf("%q was read as nothing", entry)
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add(`{"seq":1,"at":1763776800000,"events":[{"type":"queued","run":"j@x","tick":1763776800000}]}`)
	f.Add(`{"seq":-1,"at":9e99,"events":[{}]}`)
	f.Fuzz(func(t *testing.T, payload string) {
		seq, events, err := decodeMessage(payload)
		for _, e := range events {
			if err != nil || e.Seq != seq {
				t.Fatalf("%q: events with an error, or of another message", payload)
			}
		}
	})
}

func FuzzDecodeRun(f *testing.F) {
	f.Add("running", "1763776800000", "3", `{"a":"b"}`)
	f.Fuzz(func(t *testing.T, status, ms, number, params string) {
		r, err := decodeRun("j@x", map[string]string{"status": status, "queued_at": ms, "attempt": number, "exit_code": number, "params": params})
		if err == nil && !r.Status.Known() {
			t.Fatalf("status %q was taken", status)
		}
	})
}

func TestTextIsSafeForLuaAndPeople(t *testing.T) {
	require.Equal(t, "a\uFFFDb", text("a\xffb"))
	long := text(string(make([]byte, 5000)))
	require.LessOrEqual(t, len(long), 2003)
}
