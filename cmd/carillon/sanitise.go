package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// What a job prints, names or fails with is the job's to choose. On a terminal
// such bytes can move the cursor, retitle the window or answer for the user,
// so there they are shown instead of obeyed.

// dangerous reports whether r may act on a terminal instead of being seen on
// it: C0 and C1 controls, DEL, and the marks that reorder text.
func dangerous(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 ||
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// shown is how a dangerous rune looks when it is shown instead.
func shown(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	default:
		return fmt.Sprintf(`\u%04x`, r)
	}
}

// oneLine makes s safe for one line of text or one cell of a table.
func oneLine(s string) string { return sanitised(s, "") }

// manyLines makes s safe for the screen but keeps its lines and tabs.
func manyLines(s string) string { return sanitised(s, "\n\t") }

func sanitised(s, keep string) string {
	if !needsSanitising(s, keep) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case dangerous(r) && !strings.ContainsRune(keep, r):
			b.WriteString(shown(r))
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

func needsSanitising(s, keep string) bool {
	if !utf8.ValidString(s) {
		return true
	}
	return strings.ContainsFunc(s, func(r rune) bool { return dangerous(r) && !strings.ContainsRune(keep, r) })
}

// screenWriter shows a stream of a job's output on a terminal. A rune, or a
// carriage return and its newline, may be cut by the edge of a write, so it
// keeps an unfinished end for the next one.
type screenWriter struct {
	w    io.Writer
	rest []byte
}

func (s *screenWriter) Write(p []byte) (int, error) {
	b := append(s.rest, p...)
	end := len(b) - unfinished(b)
	s.rest = append([]byte(nil), b[end:]...)
	return len(p), s.put(b[:end])
}

// Flush writes an end that never got finished.
func (s *screenWriter) Flush() error {
	b := s.rest
	s.rest = nil
	return s.put(b)
}

func (s *screenWriter) put(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	// The carriage return of a CRLF says nothing that the newline does not.
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	_, err := io.WriteString(s.w, manyLines(text))
	return err
}

// unfinished counts the bytes at the end of b that the next write may complete.
func unfinished(b []byte) int {
	if len(b) > 0 && b[len(b)-1] == '\r' {
		return 1
	}
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}
