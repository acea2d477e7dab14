package importer

import (
	"fmt"
	"strconv"
	"strings"

	"carillon/jobs"
)

// Jobs of Dkron are read as version 4 keeps them (dkron/job.go): what GET /v1/jobs
// answers, or what was sent to POST /v1/jobs.

// dkronSource is an export while it is read.
type dkronSource struct {
	draft
	names names
	named map[string]string // Dkron's name -> ours
	read  map[string]bool   // by Dkron's name
	local bool              // some job runs in the zone of the server
}

// Dkron makes a schedule of an export: an array of jobs, one job, or several one
// behind the other. The error is about bytes that are no such thing.
func Dkron(data []byte, opts Options) (*Result, error) {
	if err := check(data, opts); err != nil {
		return nil, err
	}
	docs, err := readJSON(data)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w; expected what GET /v1/jobs of Dkron answers", opts.File, err)
	}
	d := &dkronSource{
		draft: draft{opts: opts, source: "the Dkron jobs in " + shortened(opts.File)},
		names: names{}, named: map[string]string{}, read: map[string]bool{},
	}
	var list []tree
	for _, doc := range docs {
		if doc.isList() {
			list = append(list, doc.items()...)
		} else {
			list = append(list, doc)
		}
	}
	for _, job := range list {
		if !job.isObject() {
			return nil, fmt.Errorf("import %s: line %d: expected a job of Dkron, such as {\"name\": \"report\", \"schedule\": \"@daily\", ...}", opts.File, job.line())
		}
		if name := job.get("name").text(); name != "" && d.named[name] == "" {
			d.named[name] = d.names.take(name)
		}
	}
	for _, job := range list {
		d.job(job)
	}
	d.settle()
	return d.finish()
}

func (d *dkronSource) job(t tree) {
	name := t.get("name").text()
	j := &draftJob{name: d.named[name], line: t.line(), found: "job " + strconv.Quote(name)}
	switch {
	case name == "":
		d.complain(j.line, LeftOut, "", "a job without a name")
		return
	case d.read[name]:
		d.complain(j.line, LeftOut, j.found, "there is another job of that name above")
		return
	}
	d.read[name] = true
	d.readInto(j, t, d.describe, d.when, d.rules, d.where, d.action)
}

// describe keeps what only people read.
func (d *dkronSource) describe(t tree, j *draftJob) error {
	if name := t.get("name").text(); name != j.name {
		j.comment = "in Dkron " + shortened(name)
	}
	if name := t.get("displayname").text(); name != "" && name != t.get("name").text() {
		j.set("description", text(name))
	}
	owner := strings.TrimSpace(t.get("owner").text() + " " + mail(t.get("owner_email").text()))
	if owner != "" {
		j.above = append(j.above, "# owner: "+shortened(owner))
	}
	for _, m := range t.get("metadata").members() {
		j.above = append(j.above, "# "+shortened(m.key+": "+m.value.text()))
	}
	if t.get("disabled").isTrue() {
		j.set("enabled", bare("false"))
	}
	return nil
}

func mail(address string) string {
	if address == "" {
		return ""
	}
	return "<" + address + ">"
}

// rules are those for overlaps, failures and the end of the job.
func (d *dkronSource) rules(t tree, j *draftJob) error {
	switch policy := t.get("concurrency").text(); policy {
	case "", "allow":
	case "forbid":
		j.set("overlap", bare("skip"))
	default:
		return fmt.Errorf("concurrency %q: expected allow or forbid", policy)
	}
	if retries := t.get("retries").text(); retries != "" && retries != "0" {
		n, err := strconv.Atoi(retries)
		if err != nil || n < 0 {
			return fmt.Errorf("retries %q: expected a number", retries)
		}
		if n > 999 {
			d.complain(j.line, Part, j.found, "%d retries become 999, which is the most there is here", n)
			n = 999
		}
		// CalculateExponentialBackoff: half a second, times the attempt and the
		// logarithm of the time that went by. A second, and no growth, is near.
		j.set("retry", value{form: inline, pairs: []pair{
			{key: "attempts", value: number(n + 1)}, {key: "backoff", value: bare("1s")}, {key: "factor", value: number(1)}, {key: "not_on", value: value{form: listing}},
		}})
	}
	if t.get("ephemeral").isTrue() {
		d.complain(j.line, Part, j.found, "Dkron deletes it after its first success (ephemeral); here it goes on")
	}
	for _, m := range t.get("processors").members() {
		d.once(j, "the processor %q is left out; carillon keeps the output itself (carillon logs)", m.key)
	}
	return nil
}

// where says on which nodes it runs. Dkron runs a job on every node that has its
// tags, unless a tag ends in a count: "web:1".
func (d *dkronSource) where(t tree, j *draftJob) error {
	count := -1 // all
	var labels []pair
	for _, m := range t.get("tags").members() {
		label, many, counted := strings.Cut(m.value.text(), ":")
		if counted && !strings.Contains(many, ":") {
			n, err := strconv.Atoi(many)
			if err != nil || n < 1 {
				return fmt.Errorf("tag %s: %q counts no node, so Dkron never runs it", m.key, m.value.text())
			}
			if count < 0 || n < count {
				count = n
			}
		}
		if err := jobs.CheckLabel(m.key, label); err != nil {
			return fmt.Errorf("tag %w", err)
		}
		labels = append(labels, pair{key: m.key, value: text(label)})
	}
	if len(labels) > 0 {
		j.set("nodes", value{form: inline, pairs: labels})
		d.once(j, "tags become nodes: with the same labels; start the nodes with them: carillon up --label KEY=VALUE")
	}
	switch {
	case count < 0:
		j.set("every_node", bare("true"))
		d.once(j, "without a count, such as %q, Dkron runs it on every node at once, and so it is written: every_node: true", "web:1")
	case count > 1:
		d.complain(j.line, Part, j.found, "Dkron runs it on %d nodes at once; here it runs on one", count)
	}
	return nil
}

// settle decides what the whole export must be known for.
func (d *dkronSource) settle() {
	zone, comment := d.fileZone(), ""
	if d.opts.Timezone == "" && d.local {
		comment = "not known: Dkron used the zone of its servers; import with --timezone ZONE"
		d.complain(0, Note, "", "jobs without a timezone run in that of the Dkron servers, and nothing says which that was: UTC IS ASSUMED. Give --timezone, such as --timezone Europe/Berlin, unless they are on UTC")
	}
	d.draft.zone = pair{"timezone", text(zone), comment}
	d.defaults = []pair{
		{"overlap", bare("allow"), "Dkron starts a job while its last run still goes on; skip is safer"},
		{"catch_up", bare("skip"), "Dkron runs nothing late; latest makes up for what was missed"},
	}
	if d.zones || changes(zone) {
		d.defaults = append(d.defaults, robfigDST())
	}
}

// robfigDST is what the Go library does when the clocks change.
func robfigDST() pair {
	return pair{
		key: "dst",
		value: value{form: inline, pairs: []pair{
			{key: "gap", value: bare("skip")}, {key: "overlap", value: bare("twice")},
		}},
		comment: "what the source does; without it a time of day fires once on every day",
	}
}
