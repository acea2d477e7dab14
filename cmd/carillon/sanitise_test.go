package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestControlCharactersAreShownNotObeyed(t *testing.T) {
	for _, c := range []struct{ name, in, line, lines string }{
		{"plain text", "grüße, 世界", "grüße, 世界", "grüße, 世界"},
		{"escape sequence", "\x1b[31mred", `\x1b[31mred`, `\x1b[31mred`},
		{"C1 control as a rune", "a\u009b31m", `a\x9b31m`, `a\x9b31m`},
		{"C1 control as a bare byte", "a\x9b31m", `a\x9b31m`, `a\x9b31m`},
		{"carriage return hides a line", "evil\rgood", `evil\rgood`, `evil\rgood`},
		{"newline and tab", "a\n\tb", `a\n\tb`, "a\n\tb"},
		{"bell, backspace, delete", "\a\b\x7f", `\x07\x08\x7f`, `\x07\x08\x7f`},
		{"text turned around", "a\u202egnp.exe", `a\u202egnp.exe`, `a\u202egnp.exe`},
		{"not UTF-8", "\xff\xfe", `\xff\xfe`, `\xff\xfe`},
		{"the replacement character itself", "\ufffd", "\ufffd", "\ufffd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.line, oneLine(c.in))
			assert.Equal(t, c.lines, manyLines(c.in))
		})
	}
}

func TestScreenWriterSeesThroughTheEdgesOfWrites(t *testing.T) {
	const text = "weiß\r\n世界 \x1b[2J\u009b and \xff end\r"
	whole := manyLines(strings.ReplaceAll(text, "\r\n", "\n"))
	for size := 1; size <= len(text); size++ {
		var got strings.Builder
		w := &screenWriter{w: &got}
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			written, err := w.Write([]byte(rest[:n]))
			require.NoError(t, err)
			require.Equal(t, n, written)
			rest = rest[n:]
		}
		require.NoError(t, w.Flush())
		assert.Equal(t, whole, got.String(), "in writes of %d bytes", size)
	}
}

func FuzzScreenWriterLetsNothingThrough(f *testing.F) {
	f.Add([]byte("\x1b]0;title\a"), 1)
	f.Add([]byte("\xc2\x9b2J\xe2\x80\xae"), 1)
	f.Add([]byte("\xe2\x80"), 2)
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		var got strings.Builder
		w := &screenWriter{w: &got}
		cut = max(0, min(cut, len(p)))
		_, err := w.Write(p[:cut])
		require.NoError(t, err)
		_, err = w.Write(p[cut:])
		require.NoError(t, err)
		require.NoError(t, w.Flush())
		require.True(t, utf8.ValidString(got.String()))
		for _, r := range got.String() {
			if r != '\n' && r != '\t' {
				require.False(t, dangerous(r), "%q", r)
			}
		}
	})
}
