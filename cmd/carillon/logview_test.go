package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func TestLogViewShowsEveryByteOnceAndMarksWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		name      string
		chunks    []jobs.LogChunk
		out, said string
	}{
		{"in order", []jobs.LogChunk{chunk("1", 1, 0, "a\n"), chunk("2", 1, 2, "b\n")}, "a\nb\n", ""},
		{"a gap", []jobs.LogChunk{chunk("1", 1, 0, "head\n"), chunk("2", 1, 100, "tail\n")}, "head\n... 95 bytes dropped ...\ntail\n", ""},
		{"a gap in mid line", []jobs.LogChunk{chunk("1", 1, 0, "hea"), chunk("2", 1, 10, "il\n")}, "hea\n... 7 bytes dropped ...\nil\n", ""},
		{"a gap at the beginning", []jobs.LogChunk{chunk("1", 1, 10, "x\n")}, "... 10 bytes dropped ...\nx\n", ""},
		{"sent twice", []jobs.LogChunk{chunk("1", 1, 0, "abc"), chunk("2", 1, 0, "abc"), chunk("3", 1, 3, "d\n")}, "abcd\n", ""},
		{"overlapping", []jobs.LogChunk{chunk("1", 1, 0, "abc"), chunk("2", 1, 1, "bcde\n")}, "abcde\n", ""},
		{"two attempts", []jobs.LogChunk{chunk("1", 1, 0, "one"), chunk("2", 2, 0, "two\n")}, "one\ntwo\n", "--- attempt 2 ---\n"},
		{"only the second attempt wrote", []jobs.LogChunk{chunk("1", 2, 0, "two\n")}, "two\n", "--- attempt 2 ---\n"},
		{"an attempt that was replaced still writes", []jobs.LogChunk{
			chunk("1", 1, 0, "a\n"), chunk("2", 2, 0, "b\n"), chunk("3", 1, 2, "c\n"),
		}, "a\nb\nc\n", "--- attempt 2 ---\n--- attempt 1 ---\n"},
		{"nothing but an empty chunk", []jobs.LogChunk{chunk("1", 1, 0, "")}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, said bytes.Buffer
			v := &logView{out: &out, say: func(f string, args ...any) { fmt.Fprintf(&said, f+"\n", args...) }}
			for _, k := range c.chunks {
				require.NoError(t, v.chunk(k))
			}
			require.NoError(t, v.close())
			assert.Equal(t, c.out, out.String())
			assert.Equal(t, c.said, said.String())
		})
	}
}

func TestATerminalGetsShownBytesAndAClosedLineAPipeGetsRawOnes(t *testing.T) {
	const wild = "\x1b[31mno newline"
	var tty, pipe strings.Builder
	for w, out := range map[*strings.Builder]bool{&tty: true, &pipe: false} {
		v := &logView{out: logOutput(w, out), say: func(string, ...any) {}}
		require.NoError(t, v.chunk(chunk("1", 1, 0, wild)))
		require.NoError(t, v.close())
	}
	assert.Equal(t, `\x1b[31mno newline`+"\n", tty.String())
	assert.Equal(t, wild, pipe.String())
}
