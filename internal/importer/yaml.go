package importer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The writer knows the little of YAML that a schedule file needs, and takes care
// of how it looks: people read and keep what comes out. It writes no text that it
// is not sure about without quotes.

// A value is a piece of a schedule file.
type value struct {
	form  form
	text  string  // of a scalar
	items []value // of a list
	pairs []pair  // of a mapping
}

type form int

const (
	plainText  form = iota // quoted where YAML needs it
	quotedText             // always in double quotes, as schedules are
	scriptText             // several lines, or one that quotes would make ugly, as a block
	bareWord               // as it is: numbers, durations, the words of the file format
	listing                // [a, b], or one item a line where that gets long
	mapping                // one key a line
	inline                 // {a: b}
)

// A pair is one key of a mapping, with a word to the reader behind its value.
type pair struct {
	key     string
	value   value
	comment string
}

func text(s string) value   { return value{form: plainText, text: s} }
func quoted(s string) value { return value{form: quotedText, text: s} }
func script(s string) value { return value{form: scriptText, text: s} }
func bare(s string) value   { return value{form: bareWord, text: s} }

func texts(list []string) value {
	v := value{form: listing}
	for _, s := range list {
		v.items = append(v.items, text(s))
	}
	return v
}

const (
	commentColumn = 28  // where comments behind values begin, when there is room
	longLine      = 100 // a list of more characters is written one item a line
)

// writeYAML writes the pairs of a mapping at a depth of that many blanks.
func writeYAML(b *strings.Builder, pairs []pair, depth int) {
	for _, p := range pairs {
		var line strings.Builder
		line.WriteString(strings.Repeat(" ", depth) + scalar(p.key) + ":")
		rest := p.value.write(&line, depth)
		head := line.String()
		if p.comment != "" {
			if rest != "" || !strings.Contains(head, "\n") {
				head += strings.Repeat(" ", max(1, commentColumn-utf8.RuneCountInString(head))) + "# " + p.comment
			}
		}
		b.WriteString(head + "\n" + rest)
	}
}

// write adds a value behind its key and answers the lines that follow.
func (v value) write(line *strings.Builder, depth int) (rest string) {
	switch v.form {
	case mapping:
		var b strings.Builder
		writeYAML(&b, v.pairs, depth+2)
		return b.String()
	case listing:
		if flow := v.flow(); v.oneLine() && len(flow) <= longLine {
			line.WriteString(" " + flow)
			return ""
		}
		var b strings.Builder
		for _, item := range v.items {
			var one strings.Builder
			one.WriteString(strings.Repeat(" ", depth+2) + "-")
			if item.form == plainText && strings.Contains(item.text, "\n") {
				item.form = scriptText
			}
			more := item.write(&one, depth+2)
			b.WriteString(one.String() + "\n" + more)
		}
		return b.String()
	case scriptText:
		if head, body, ok := block(v.text, depth+2); ok {
			line.WriteString(" " + head)
			return body
		}
	}
	line.WriteString(" " + v.flow())
	return ""
}

// oneLine reports whether no scalar of a list has several lines.
func (v value) oneLine() bool {
	return !slices.ContainsFunc(v.items, func(item value) bool { return strings.Contains(item.text, "\n") })
}

// flow is a value within a line.
func (v value) flow() string {
	var parts []string
	switch v.form {
	case listing:
		for _, item := range v.items {
			parts = append(parts, inFlow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case mapping, inline:
		for _, p := range v.pairs {
			parts = append(parts, inFlow(text(p.key))+": "+inFlow(p.value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case quotedText:
		return doubleQuoted(v.text)
	case bareWord:
		return v.text
	}
	return scalar(v.text)
}

// plainInFlow are the texts that mean themselves between brackets too, where a few
// more characters mean something and blanks are hard to read.
var plainInFlow = regexp.MustCompile(`^([A-Za-z0-9_./@%+=$()~^-]|:[A-Za-z0-9/])+$`)

// inFlow is a value between brackets.
func inFlow(v value) string {
	s := v.flow()
	if v.form == plainText && s == v.text && !plainInFlow.MatchString(s) {
		return quotes(v.text)
	}
	return s
}

var (
	// plain are the texts that mean themselves: the first character is no sign of
	// YAML, and no blank stands beside a colon or before a "#".
	plain = regexp.MustCompile(`^(-?[A-Za-z0-9_/.(=+$^\\][!-~]*|--[a-z][!-~]*)( [!-~]+)*$`)
	// notPlain are those among them that mean something else: words and numbers of
	// YAML 1.1, dates, sexagesimal numbers, and what a colon makes a key of.
	notPlain = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|[-+.]?[0-9][-+0-9_.,:exobinft]*|[-+]?\.(inf|nan)|=|\.+|---.*|[0-9]{4}-[0-9]{1,2}-.*)$|:( |$)| #`)
)

// scalar is a text as one scalar of a line.
func scalar(s string) string {
	if plain.MatchString(s) && !notPlain.MatchString(s) {
		return s
	}
	return quotes(s)
}

// quotes puts a text into the quotes that need fewer escapes.
func quotes(s string) string {
	if strings.ContainsAny(s, `"\`) && !strings.Contains(s, "\n") && printable(s) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return doubleQuoted(s)
}

// printable reports whether every character may stand in a YAML file as it is,
// and is visible.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' || invisible(r)
	})
}

// invisible are the characters that the file format refuses or that a reader
// cannot see: controls, line separators, byte order marks, marks that reorder text.
func invisible(r rune) bool {
	return r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffe || r == 0xffff ||
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == utf8.RuneError
}

func doubleQuoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || invisible(r):
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// block is a text as a literal block, where nothing needs an escape. It is not
// for texts that are fine on the line, nor for those that begin with a blank or
// have characters that cannot stand in a file.
func block(s string, depth int) (head, body string, ok bool) {
	oneLine := !strings.Contains(s, "\n")
	switch {
	case s == "" || s[0] == ' ' || s[0] == '\t' || s[0] == '\n':
		return "", "", false
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || invisible(r) }) || !utf8.ValidString(s):
		return "", "", false
	case oneLine && (scalar(s)[0] != '\'' || !strings.Contains(s, "'")):
		return "", "", false
	}
	head = "|-"
	switch trimmed := strings.TrimRight(s, "\n"); {
	case len(trimmed)+1 == len(s):
		head = "|"
	case len(trimmed) < len(s):
		head = "|+"
	}
	var b strings.Builder
	for _, line := range strings.Split(strings.TrimSuffix(s, "\n"), "\n") {
		if line != "" {
			b.WriteString(strings.Repeat(" ", depth) + line)
		}
		b.WriteByte('\n')
	}
	return head, b.String(), true
}

// writeComment writes one comment; "" is an empty line.
func writeComment(b *strings.Builder, comment string, depth int) {
	if comment == "" {
		b.WriteByte('\n')
		return
	}
	b.WriteString(strings.TrimRight(strings.Repeat(" ", depth)+visible(comment), " \t") + "\n")
}

// visible shows what cannot stand in a comment, and keeps it on one line.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t' || r >= ' ' && !invisible(r):
			b.WriteRune(r)
		case r == '\r':
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
