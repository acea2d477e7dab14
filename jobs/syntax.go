package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// parse makes nodes of the text, or records why that is impossible. An
// unquoted schedule is recorded, quoted, and read again, so that the other
// problems of the file are found in the same pass.
func (d *decoder) parse(data []byte) *yaml.Node {
	if !d.checkBytes(data) {
		return nil
	}
	if len(data) >= worthCutting {
		if doc := readYAMLInHalves(data); doc != nil {
			return d.onlyDocument(doc, nil)
		}
	}
	// One round per unquoted value; a file of nothing else is not read to the end.
	for range 20 {
		doc, next, err := readYAML(data)
		if err == nil {
			return d.onlyDocument(doc, next)
		}
		mended, ok := d.unquoted(data, err)
		if !ok {
			d.syntaxProblem(data, err)
			return nil
		}
		data = mended
	}
	return nil
}

// readYAML reads the first document, and the beginning of a second one. A file
// without any gives nil.
func readYAML(data []byte) (doc, next *yaml.Node, err error) {
	defer func() {
		// The parser is not ours; whatever it trips over is a bad file, not a
		// dead node.
		if r := recover(); r != nil {
			doc, next, err = nil, nil, fmt.Errorf("the YAML parser failed: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := dec.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	}
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
		return &first, nil, nil
	case err != nil:
		return nil, nil, err
	}
	return &first, &second, nil
}

// onlyDocument is the content of the one document a file may have.
func (d *decoder) onlyDocument(doc, next *yaml.Node) *yaml.Node {
	if next != nil {
		d.problem(next, "a second document begins here (---); expected one, because a file is one schedule")
	}
	if doc == nil || len(doc.Content) == 0 || isNull(doc.Content[0]) && doc.Content[0].Value == "" {
		d.problemAt(1, 1, `the file is empty; expected at least "jobs:" with one job`)
		return nil
	}
	return doc.Content[0]
}

// checkBytes refuses what is not a text file, with the place.
func (d *decoder) checkBytes(data []byte) bool {
	switch {
	case len(data) > MaxFileSize:
		d.problemAt(1, 1, "the file is larger than %d MiB; expected a schedule", MaxFileSize>>20)
		return false
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		d.problemAt(1, 1, "the file is in UTF-16; save it as UTF-8")
		return false
	}
	for i, line := 0, 1; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			d.problemAt(line, columnAt(data, i), "the byte 0x%02X is not UTF-8; save the file as UTF-8", data[i])
			return false
		case r == '\n':
			line++
		case r < ' ' && r != '\t' && r != '\r', r == 0x7f, r >= 0x80 && r < 0xa0 && r != 0x85, r == 0xfeff && i > 0, r == 0xfffe, r == 0xffff:
			d.problemAt(line, columnAt(data, i), "the character U+%04X does not belong into a text file; remove it", r)
			return false
		}
		i += size
	}
	return true
}

// columnAt is the column of a byte, in characters.
func columnAt(data []byte, i int) int {
	start := bytes.LastIndexByte(data[:i], '\n') + 1
	return utf8.RuneCount(data[start:i]) + 1
}

// unknownAnchor is how the parser begins its complaint about *name.
const unknownAnchor = "unknown anchor"

var libraryPlace = regexp.MustCompile(`^yaml: (?:line \d+: )?`)

// syntaxWords is the parser's complaint without its line, which is often that
// of the block around the mistake.
func syntaxWords(err error) string { return libraryPlace.ReplaceAllString(err.Error(), "") }

// culprit is the line (from 0) on which the parser gives up: the last line of
// the shortest beginning of the file that it refuses with the same words.
func culprit(lines []string, err error) int {
	words := syntaxWords(err)
	n := sort.Search(len(lines), func(i int) bool {
		_, _, err := readYAML([]byte(strings.Join(lines[:i+1], "")))
		return err != nil && syntaxWords(err) == words
	})
	return min(n, len(lines)-1)
}

var (
	// A value that begins with * or @ and is followed by nothing else:
	// "schedule: */5 * * * *", "- @daily".
	bareValue = regexp.MustCompile(`^(\s*(?:-\s+)*(?:([\w.-]+)\s*:\s+)?)([*@][^"'\r\n]*?)(\s+#.*)?(\r?\n)?$`)
	// The same inside of {} or [].
	bareInFlow = regexp.MustCompile(`[\[{,:]\s*([*@])`)
	cronish    = regexp.MustCompile(`^(\*[\s/,*0-9]|\*$|@(every|hourly|daily|midnight|weekly|monthly|yearly|annually)\b)`)
)

// unquoted looks for the most common mistake of schedule files: an expression
// without quotes. It answers the text with the quotes in place.
func (d *decoder) unquoted(data []byte, err error) ([]byte, bool) {
	lines := strings.SplitAfter(string(data), "\n")
	at := culprit(lines, err)
	m := bareValue.FindStringSubmatch(lines[at])
	if m == nil {
		return nil, false
	}
	lead, key, value := m[1], m[2], m[3]
	schedule := key == "schedule" || cronish.MatchString(value)
	if !schedule && strings.HasPrefix(syntaxWords(err), unknownAnchor) {
		return nil, false // it looks like an alias and probably is one
	}
	if schedule {
		d.problemAt(at+1, utf8.RuneCountInString(lead)+1, "quote the schedule: %q, because in YAML a bare %c means something else", value, value[0])
	} else {
		d.problemAt(at+1, utf8.RuneCountInString(lead)+1, "quote the value: %q, because in YAML a bare %c means something else", value, value[0])
	}
	lines[at] = lead + "'" + value + "'" + m[4] + m[5]
	return []byte(strings.Join(lines, "")), true
}

// syntaxProblem records what the parser said, where, with the lines around.
func (d *decoder) syntaxProblem(data []byte, err error) {
	lines := strings.SplitAfter(string(data), "\n")
	if len(lines) > 1 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	at := culprit(lines, err)
	line := strings.TrimRight(lines[at], "\r\n")
	column := utf8.RuneCountInString(line) - utf8.RuneCountInString(strings.TrimLeft(line, " \t")) + 1
	words := syntaxWords(err)
	hint := syntaxHint(words, line)
	if tab := strings.IndexByte(line[:len(line)-len(strings.TrimLeft(line, " \t"))], '\t'); tab >= 0 {
		column, hint = tab+1, "a tab indents this line; use spaces"
	} else if m := bareInFlow.FindStringSubmatchIndex(line); m != nil && cronish.MatchString(line[m[2]:]) {
		column, hint = utf8.RuneCountInString(line[:m[2]])+1, "quote the schedule: a bare * or @ means something else in YAML"
	}
	if hint != "" {
		hint = "; " + hint
	}
	d.problemAt(at+1, column, "not valid YAML: %s%s\n%s", words, hint, excerpt(lines, at))
}

// syntaxHint translates the parser's words for the mistakes that are made most.
func syntaxHint(words, line string) string {
	switch {
	case strings.HasPrefix(words, "mapping values are not allowed"):
		if strings.Count(line, ": ") > 1 {
			return `quote a value that contains ": "`
		}
		return "the line is indented deeper than its neighbours, or the line before lacks its colon"
	case strings.HasPrefix(words, "found character that cannot start any token"):
		return "quote a value that begins with one of @ ` % *"
	case strings.HasPrefix(words, unknownAnchor):
		return "define it with & before it is used, or quote a value that begins with *"
	case strings.HasPrefix(words, "did not find expected node content"):
		return "there is a comma too many, or a value is missing"
	case strings.HasPrefix(words, "found unexpected end of stream"):
		return "a quote or a bracket that is opened here or later is never closed"
	case strings.HasPrefix(words, "did not find expected key"), strings.HasPrefix(words, "did not find expected '-' indicator"):
		return "the line is not indented like its neighbours, or a quote ends too early"
	}
	return ""
}

// excerpt shows three lines with the culprit marked.
func excerpt(lines []string, at int) string {
	var b strings.Builder
	from := max(0, min(at-1, len(lines)-3))
	for i := from; i < min(from+3, len(lines)); i++ {
		mark := ' '
		if i == at {
			mark = '>'
		}
		text := strings.ReplaceAll(strings.TrimRight(lines[i], "\r\n"), "\t", "→   ")
		fmt.Fprintf(&b, "  %c %4d | %s\n", mark, i+1, shortened(text))
	}
	return strings.TrimRight(b.String(), "\n")
}
