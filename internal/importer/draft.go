package importer

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"carillon/jobs"
)

// A draft is a schedule file in the making.
type draft struct {
	opts       Options
	source     string // for the head: `the crontab "x"`
	head       []string
	zone       pair // timezone:
	defaults   []pair
	jobs       []*draftJob
	tail       []string // comments behind the last job
	complaints []Complaint
	said       map[string]bool // notes that are given once
	zones      bool            // some job is in a zone whose clocks may change
}

// A draftJob is one job in the making.
type draftJob struct {
	name    string
	line    int      // of the source
	found   string   // what stands there, for complaints and the comment at the end
	above   []string // comments above it; "" is an empty line
	comment string   // behind its name
	pairs   []pair
}

// set adds a key.
func (j *draftJob) set(key string, v value) { j.pairs = append(j.pairs, pair{key: key, value: v}) }

func (j *draftJob) has(key string) bool {
	return slices.ContainsFunc(j.pairs, func(p pair) bool { return p.key == key })
}

func (j *draftJob) drop(key string) {
	j.pairs = slices.DeleteFunc(j.pairs, func(p pair) bool { return p.key == key })
}

func (d *draft) complain(line int, kind Kind, found, format string, args ...any) {
	d.complaints = append(d.complaints, Complaint{
		File: d.opts.File, Line: line, Kind: kind, Found: found, Message: fmt.Sprintf(format, args...),
	})
}

// once gives a note about the first job that it is true of.
func (d *draft) once(j *draftJob, format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if d.said == nil {
		d.said = map[string]bool{}
	}
	if !d.said[note] {
		d.said[note] = true
		d.complain(j.line, Note, j.found, "%s", note)
	}
}

// readInto adds a job that some readers take from a tree, or leaves it out when one
// of them cannot. Then nothing is said any more of what is there in part.
func (d *draft) readInto(j *draftJob, t tree, readers ...func(tree, *draftJob) error) {
	before := len(d.complaints)
	for _, read := range readers {
		if err := read(t, j); err != nil {
			mine := slices.DeleteFunc(d.complaints[before:], func(c Complaint) bool { return c.Kind == Part })
			d.complaints = d.complaints[:before+len(mine)]
			d.complain(j.line, LeftOut, j.found, "%v", err)
			return
		}
	}
	d.jobs = append(d.jobs, j)
}

// finish writes the draft and asks jobs.Parse about it. What it refuses is taken
// out, job by job, until it refuses nothing: a migration that stops at one odd
// line helps nobody.
func (d *draft) finish() (*Result, error) {
	d.noteSecrets()
	for len(d.jobs) > 0 {
		data := d.yaml()
		if len(data) > jobs.MaxFileSize {
			return nil, fmt.Errorf("import %s: its %d jobs make a schedule of more than %d MiB, which is the most there is; split it",
				d.opts.File, len(d.jobs), jobs.MaxFileSize>>20)
		}
		_, err := jobs.Parse("the import", data)
		if err == nil {
			return &Result{YAML: data, Jobs: len(d.jobs), Complaints: d.sorted()}, nil
		}
		var bad *jobs.FileError
		if !errors.As(err, &bad) || !d.takeOut(bad) {
			return nil, fmt.Errorf("import %s: what was written is no schedule, which is a mistake of carillon: %w", d.opts.File, err)
		}
	}
	return &Result{Complaints: d.sorted()}, nil
}

var secretName = regexp.MustCompile(`(?i)passw|secret|token|api_?key|private_?key|credential`)

// noteSecrets has a word about variables that look like secrets, each name once.
// Their values are in the source already, and are written; no message has them.
func (d *draft) noteSecrets() {
	seen := map[string]bool{}
	note := func(line int, pairs []pair) {
		for _, p := range pairs {
			if p.key != "env" {
				continue
			}
			for _, v := range p.value.pairs {
				if secretName.MatchString(v.key) && v.value.text != "" && !seen[v.key] {
					seen[v.key] = true
					d.complain(line, Note, "env "+v.key, "it looks like a secret, and stands in the schedule as it stood in the source; secrets: {%s: {file: /run/secrets/...}} reads it on the node", v.key)
				}
			}
		}
	}
	note(0, d.defaults)
	for _, j := range d.jobs {
		note(j.line, j.pairs)
	}
}

// takeOut removes the jobs that were refused. It reports false when there are none.
func (d *draft) takeOut(bad *jobs.FileError) bool {
	refused := map[string]string{}
	for _, p := range bad.Problems {
		if p.Job != "" && refused[p.Job] == "" {
			refused[p.Job] = p.Message
		}
	}
	before := len(d.jobs)
	mended := false
	var above []string // of jobs that are taken out: what was written above them stays
	kept := d.jobs[:0]
	for _, j := range d.jobs {
		why := refused[j.name]
		if why != "" && j.has("jitter") && strings.Contains(why, "jitter") {
			j.drop("jitter")
			d.complain(j.line, Part, j.found, "without its random delay, which is longer than the time between two of its ticks")
			why, mended = "", true
		}
		if why != "" {
			if strings.HasPrefix(why, "after.job is ") {
				why = "the job that it runs after is left out"
			}
			d.complain(j.line, LeftOut, j.found, "%s", why)
			above = append(append(above, j.above...), "") // not about the next one
			continue
		}
		j.above = append(above, j.above...)
		above = nil
		kept = append(kept, j)
	}
	d.jobs = kept
	d.tail = append(above, d.tail...)
	return mended || len(kept) < before
}

// sorted are the complaints in the order of the source.
func (d *draft) sorted() []Complaint {
	slices.SortStableFunc(d.complaints, func(a, b Complaint) int { return a.Line - b.Line })
	return d.complaints
}

// yaml writes the draft.
func (d *draft) yaml() []byte {
	var b strings.Builder
	by := "carillon"
	if d.opts.Version != "" {
		by += " " + d.opts.Version
	}
	writeComment(&b, "# Imported from "+d.source+" by "+by+".", 0)
	for _, line := range d.head {
		writeComment(&b, line, 0)
	}
	b.WriteString("version: 1\n\n")
	writeYAML(&b, []pair{d.zone}, 0)
	if len(d.defaults) > 0 {
		b.WriteByte('\n')
		writeYAML(&b, []pair{{key: "defaults", value: value{form: mapping, pairs: d.defaults}}}, 0)
	}
	b.WriteString("\njobs:\n")
	for _, j := range d.jobs {
		b.WriteByte('\n')
		writeComments(&b, j.above, 2)
		line := "  " + scalar(j.name) + ":"
		if j.comment != "" {
			line += strings.Repeat(" ", max(1, commentColumn-len(line))) + "# " + visible(j.comment)
		}
		b.WriteString(line + "\n")
		writeYAML(&b, inOrder(j.pairs), 4)
	}
	if len(d.tail) > 0 {
		b.WriteByte('\n')
		writeComments(&b, d.tail, 2)
	}
	d.writeLeftOut(&b)
	return []byte(b.String())
}

// writeComments writes a run of comments without empty lines at its ends.
func writeComments(b *strings.Builder, comments []string, depth int) {
	empty := func(c string) bool { return c == "" }
	first := slices.IndexFunc(comments, func(c string) bool { return !empty(c) })
	if first < 0 {
		return
	}
	comments = comments[first:]
	for empty(comments[len(comments)-1]) {
		comments = comments[:len(comments)-1]
	}
	for _, c := range slices.CompactFunc(comments, func(a, b string) bool { return empty(a) && empty(b) }) {
		writeComment(b, c, depth)
	}
}

// writeLeftOut ends the file with what is not in it.
func (d *draft) writeLeftOut(b *strings.Builder) {
	title := "\n# ---- What could not be imported ----\n"
	for _, c := range d.sorted() {
		if c.Kind == Note {
			continue
		}
		b.WriteString(title + "#\n")
		title = ""
		writeComment(b, fmt.Sprintf("# line %d, %s: %s", c.Line, c.Kind, shortened(c.Found)), 0)
		writeComment(b, "#   "+c.Message, 0)
	}
}

// keyOrder is how the keys of a job are read best: what it is for, when it runs,
// under which rules, where, and what it does.
var keyOrder = strings.Fields("description enabled schedule at timezone start end jitter after " +
	"catch_up overlap timeout retry nodes every_node user dir env command run http")

func inOrder(pairs []pair) []pair {
	ordered := slices.Clone(pairs)
	slices.SortStableFunc(ordered, func(a, b pair) int {
		return slices.Index(keyOrder, a.key) - slices.Index(keyOrder, b.key)
	})
	return ordered
}
