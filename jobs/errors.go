package jobs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a schedule file.
type Problem struct {
	File    string // as given to Load or Parse
	Line    int    // from 1
	Column  int    // from 1, in characters
	Job     string // "" outside of a job
	Message string // what is wrong; what was expected; what it may have meant
}

// String is "file:line:column: job "name": message", the form editors jump to.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Job != "" {
		fmt.Fprintf(&b, "job %q: ", p.Job)
	}
	b.WriteString(p.Message)
	return b.String()
}

// FileError is everything that is wrong with one schedule file, in the order of
// the file. There is at least one problem.
type FileError struct {
	Problems []Problem
	Files    []string // as Schedule.Files, as far as they were looked for
}

// Error prints one problem a line; a YAML syntax error adds lines of context.
func (e *FileError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxProblems bounds a report: a generated file with one mistake per job would
// otherwise print thousands of lines.
const maxProblems = 1000

// newFileError sorts the problems, drops repeats (an anchor that is wrong is
// wrong once, however many jobs use it) and cuts the list.
func newFileError(problems []Problem) *FileError {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column)
	})
	type place struct {
		line, column int
		message      string
	}
	seen := make(map[place]bool, len(problems))
	kept := problems[:0]
	for _, p := range problems {
		at := place{p.Line, p.Column, p.Message}
		if !seen[at] {
			seen[at] = true
			kept = append(kept, p)
		}
	}
	if len(kept) > maxProblems {
		last := kept[maxProblems]
		kept = append(kept[:maxProblems], Problem{
			File: last.File, Line: last.Line, Column: last.Column,
			Message: fmt.Sprintf("from here on there are more problems; mend these %d first", maxProblems),
		})
	}
	return &FileError{Problems: kept}
}
