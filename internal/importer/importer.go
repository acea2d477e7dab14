package importer

import (
	"bytes"
	"fmt"
	"strings"

	"carillon/jobs"
)

// Options is what the source does not say about itself.
type Options struct {
	File     string // what messages and the head of the result call the source
	Version  string // of carillon, for the head of the result; "" leaves it out
	Timezone string // of the host that ran the jobs; "" is not known, and UTC is written
	System   bool   // a crontab has a column with the user, as /etc/crontab has
	Dir      string // where cron started the commands of a crontab: the home of its user; "" is not known
}

// Result is what became of one source.
type Result struct {
	YAML       []byte // the schedule file; nil when there is not one job
	Jobs       int    // how many jobs it has
	Complaints []Complaint
}

// Incomplete counts the complaints about what is not in the result, or not all
// of it.
func (r *Result) Incomplete() int {
	n := 0
	for _, c := range r.Complaints {
		if c.Kind != Note {
			n++
		}
	}
	return n
}

// Kind says how much a complaint matters.
type Kind string

// The kinds of complaint.
const (
	Note    Kind = "note"     // all is there; something is worth knowing
	Part    Kind = "in part"  // the job is there, but something of it is not
	LeftOut Kind = "left out" // the entry is not there
)

// Complaint is one thing that is not after the import as it was before.
type Complaint struct {
	File    string
	Line    int    // from 1; 0 is the source as a whole
	Kind    Kind   //
	Found   string // what stands there, as it was written; may be ""
	Message string // what it became, or why it was left out
}

// String is "file:line: kind: found: message", the form editors jump to.
func (c Complaint) String() string {
	var b strings.Builder
	b.WriteString(c.File)
	if c.Line > 0 {
		fmt.Fprintf(&b, ":%d", c.Line)
	}
	fmt.Fprintf(&b, ": %s: ", c.Kind)
	if c.Found != "" {
		b.WriteString(shortened(c.Found) + ": ")
	}
	b.WriteString(c.Message)
	return b.String()
}

// shortened is a text of the source for a message: one line and not long.
func shortened(s string) string {
	const most = 100
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// maxSource is the largest source that is read.
const maxSource = jobs.MaxFileSize

// check refuses what is no text file, and a zone that is none.
func check(data []byte, opts Options) error {
	if opts.Timezone != "" {
		if _, err := jobs.LoadZone(opts.Timezone); err != nil {
			return fmt.Errorf("import %s: %w", opts.File, err)
		}
	}
	if len(data) > maxSource {
		return fmt.Errorf("import %s: larger than %d MiB; expected a text file", opts.File, maxSource>>20)
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return fmt.Errorf("import %s: line %d has a NUL character; expected a text file", opts.File, 1+bytes.Count(data[:i], []byte("\n")))
	}
	return nil
}
