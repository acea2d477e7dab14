package jobs

import (
	"bytes"
	"regexp"

	"gopkg.in/yaml.v3"
)

// Two thirds of the time that a long file takes are the YAML parser's. So a long
// file is cut between two jobs and its halves are parsed at once, each as a file
// of its own:
//
//	jobs:                 |
//	  first: ...          |  first: ...        (behind as many empty lines
//	  second: ...         |  second: ...        as stand before it)
//
// A cut in the wrong place (in a text or a list that goes on over several lines)
// leaves a half that is no YAML, or one of another shape. Then nothing of it
// counts and the file is parsed in one piece, as is every file with a mistake; so
// whether it was cut cannot be told from the nodes, nor from a message.

// worthCutting is from how many bytes on a second core is asked to help.
const worthCutting = 64 << 10

var (
	jobsLine = regexp.MustCompile(`(?m)^jobs:[ \t]*(?:#.*)?\n`)
	// firstJob is a key behind blank lines and comments, with what indents it.
	firstJob = regexp.MustCompile(`^(?:[ \t]*(?:#.*)?\n)*( +)\w`)
	// jobKey is how a line with a job goes on behind what indents it.
	jobKey = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*:[ \n]`)
)

// readYAMLInHalves is readYAML on two cores, for a file that is one document
// without a mistake and can be cut; else it is nil.
func readYAMLInHalves(data []byte) *yaml.Node {
	begin, indent := jobLines(data)
	if indent == 0 {
		return nil
	}
	at := nextJob(data, (begin+len(data))/2, indent)
	if at < 0 {
		return nil
	}
	return readCut(data, at, indent)
}

// jobLines is where the lines of the jobs begin, and how far each job is indented;
// 0 when that cannot be told or something follows the jobs.
func jobLines(data []byte) (begin, indent int) {
	for _, end := range []string{"\r", "\u0085", "\u2028", "\u2029"} {
		if bytes.Contains(data, []byte(end)) {
			return 0, 0 // the parser ends lines there too, and only \n is counted here
		}
	}
	head := jobsLine.FindIndex(data)
	if head == nil || bytes.Contains(data[:head[0]], []byte("%TAG")) {
		return 0, 0 // a directive says what tags mean, in both halves
	}
	begin = head[1]
	for rest := data[begin:]; len(rest) > 0; {
		if rest[0] != ' ' && rest[0] != '\n' && rest[0] != '#' {
			return 0, 0
		}
		_, rest, _ = bytes.Cut(rest, []byte{'\n'})
	}
	first := firstJob.FindSubmatchIndex(data[begin:])
	if first == nil {
		return 0, 0
	}
	return begin, first[3] - first[2]
}

// nextJob is where the first line behind from begins that looks like that of a
// job; -1 when there is none.
func nextJob(data []byte, from, indent int) int {
	line := append([]byte{'\n'}, bytes.Repeat([]byte{' '}, indent)...)
	for {
		i := bytes.Index(data[from:], line)
		if i < 0 {
			return -1
		}
		if from += i + 1; jobKey.Match(data[from+indent:]) {
			return from
		}
	}
}

// readCut parses what is before a place and what is behind it at once, and puts
// the two together if they fit.
func readCut(data []byte, at, indent int) *yaml.Node {
	above := bytes.Count(data[:at], []byte{'\n'})
	texts := [2][]byte{data[:at], append(bytes.Repeat([]byte{'\n'}, above), data[at:]...)}
	docs := [2]*yaml.Node{}
	inHalves(2, func(half, _, _ int) {
		if doc, next, err := readYAML(texts[half]); err == nil && next == nil {
			docs[half] = doc
		}
	})
	whole, rest := docs[0], docs[1]
	if !isBlockMapping(whole, 1) || !isBlockMapping(rest, indent+1) {
		return nil
	}
	top := whole.Content[0].Content
	key, jobs := top[len(top)-2], top[len(top)-1]
	if key.Value != "jobs" || jobs.Column != indent+1 || jobs.Kind != yaml.MappingNode || jobs.Style&yaml.FlowStyle != 0 {
		return nil
	}
	end := jobs
	for len(end.Content) > 0 {
		if key := end.Content[max(len(end.Content)-2, 0)]; end.Kind == yaml.MappingNode && key.Value == "" && key.Tag == "!!null" {
			return nil // a key without a text ("?"), whose value has the place of what comes next
		}
		end = end.Content[len(end.Content)-1]
	}
	if end.Line > above {
		return nil // a key without a value ("? a"), whose place is that of what comes next
	}
	jobs.Content = append(jobs.Content, rest.Content[0].Content...)
	return whole
}

// isBlockMapping reports whether a document is a mapping whose keys stand under
// each other in that column.
func isBlockMapping(doc *yaml.Node, column int) bool {
	if doc == nil || len(doc.Content) == 0 {
		return false
	}
	m := doc.Content[0]
	return m.Kind == yaml.MappingNode && m.Style&yaml.FlowStyle == 0 && len(m.Content) > 0 && m.Content[0].Column == column
}
