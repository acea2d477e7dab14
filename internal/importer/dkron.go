package importer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"carillon/jobs"
)

// Jobs of Dkron are read as version 4 keeps them (dkron/job.go): what GET /v1/jobs
// answers, or what was sent to POST /v1/jobs.

// dkronSource is an export while it is read.
type dkronSource struct {
	draft
	names names
	named map[string]string // Dkron's name -> ours
	zones bool              // some job runs in a zone whose clocks may change
	local bool              // some job runs in the zone of the server
	said  map[string]bool   // notes that are given once
}

// Dkron makes a schedule of an export: an array of jobs, one job, or several one
// behind the other. The error is about bytes that are no such thing.
func Dkron(data []byte, opts Options) (*Result, error) {
	if err := checkText(data, opts.File); err != nil {
		return nil, err
	}
	docs, err := readJSON(data)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w; expected what GET /v1/jobs of Dkron answers", opts.File, err)
	}
	d := &dkronSource{
		draft: draft{opts: opts, source: "the Dkron jobs in " + shortened(opts.File)},
		names: names{}, named: map[string]string{}, said: map[string]bool{},
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
		if name := job.get("name").text(); name != "" {
			d.named[name] = d.names.take(name)
		}
	}
	for _, job := range list {
		d.job(job)
	}
	d.settle()
	return d.finish()
}

// once gives a note the first time only.
func (d *dkronSource) once(j *draftJob, format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if !d.said[note] {
		d.said[note] = true
		d.complain(j.line, Note, j.found, "%s", note)
	}
}

func (d *dkronSource) job(t tree) {
	name := t.get("name").text()
	j := &draftJob{name: d.named[name], line: t.line(), found: "job " + strconv.Quote(name)}
	if name == "" {
		d.complain(j.line, LeftOut, "", "a job without a name")
		return
	}
	for _, read := range []func(tree, *draftJob) error{d.describe, d.when, d.rules, d.where, d.action} {
		if err := read(t, j); err != nil {
			d.complain(j.line, LeftOut, j.found, "%v", err)
			return
		}
	}
	d.jobs = append(d.jobs, j)
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

// when says what starts the job: another job, or a time.
func (d *dkronSource) when(t tree, j *draftJob) error {
	if parent := t.get("parent_job").text(); parent != "" {
		upstream, ok := d.named[parent]
		if !ok {
			return fmt.Errorf("it runs after %q, which is not in the export", parent)
		}
		j.set("after", value{form: inline, pairs: []pair{{key: "job", value: text(upstream)}}})
		if d.bounds(t, j, false) {
			d.complain(j.line, Part, j.found, "starts_at and expires_at are left out; a job that follows another has no bounds here")
		}
		return nil
	}
	expr := tilde(t.get("name").text(), t.get("schedule").text())
	if expr != t.get("schedule").text() {
		d.complain(j.line, Note, t.get("schedule").text(), "Dkron makes %q of it for this name, and so it is written; H would spread jobs as well", expr)
	}
	if expr == "" {
		return errors.New("it has neither a schedule nor a parent_job")
	}
	zone, expr := cutZone(expr)
	if zone == "" && !strings.HasPrefix(expr, "@") {
		zone = t.get("timezone").text()
	} else if zone == "" && t.get("timezone").text() != "" && slices.Contains(robfigNames, expr) {
		d.complain(j.line, Note, expr, "Dkron ignores the timezone beside it (%s), and so it is left out: it is in the zone of the server", t.get("timezone").text())
	}
	switch {
	case expr == "@manually":
		return nil
	case strings.HasPrefix(expr, "@at "):
		at, err := time.Parse(time.RFC3339, expr[len("@at "):])
		if err != nil {
			return fmt.Errorf("%q: expected an instant behind @at", expr)
		}
		j.set("at", quoted(at.Format(time.RFC3339Nano)))
		return within(t, at)
	}
	timing, err := d.timing(expr)
	if err != nil {
		return fmt.Errorf("schedule %q: %w", expr, err)
	}
	for _, note := range timing.notes {
		d.once(j, "%s", note)
	}
	j.set("schedule", quoted(timing.expr))
	if err := d.zone(j, zone, expr); err != nil {
		return err
	}
	d.bounds(t, j, true)
	return nil
}

// within sees to the bounds of a job of one instant, which bind it in Dkron and
// not here.
func within(t tree, at time.Time) error {
	from, to := bound(t.get("starts_at")), bound(t.get("expires_at"))
	if !from.IsZero() && at.Before(from) || !to.IsZero() && at.After(to) {
		return errors.New("its one instant is outside of starts_at and expires_at, so it never runs")
	}
	return nil
}

// timing reads what the scheduler of Dkron reads: six fields, and a few names.
func (d *dkronSource) timing(expr string) (timing, error) {
	if expr == "@minutely" {
		return timing{expr: "* * * * *"}, nil
	}
	if every, ok := strings.CutPrefix(expr, "@every "); ok {
		return everyTiming(every)
	}
	if strings.HasPrefix(expr, "@") {
		if slices.Contains(robfigNames, expr) {
			return timing{expr: expr}, nil
		}
		return timing{}, errors.New("Dkron does not know that name")
	}
	fields := strings.Fields(expr)
	if len(fields) != 6 {
		return timing{}, fmt.Errorf("%d fields; Dkron takes six, seconds first", len(fields))
	}
	t, err := readRobfig(fields)
	t.expr = strings.TrimPrefix(t.expr, "0 ") // five fields begin at second 0
	return t, err
}

// zone writes the zone of an expression, and notes that of the server.
func (d *dkronSource) zone(j *draftJob, zone, expr string) error {
	if strings.HasPrefix(expr, "@every ") {
		return nil
	}
	if zone == "" || zone == "Local" {
		d.local = true
		return nil
	}
	if _, err := jobs.LoadZone(zone); err != nil {
		return err
	}
	d.zones = d.zones || changes(zone)
	if zone != d.fileZone() {
		j.set("timezone", text(zone))
	}
	return nil
}

func (d *draft) fileZone() string {
	if d.opts.Timezone != "" {
		return d.opts.Timezone
	}
	return "UTC"
}

// changes reports whether the clocks of a zone may change.
func changes(zone string) bool { return zone != "UTC" && !strings.HasPrefix(zone, "Etc/") }

// bounds reports whether a job has bounds, and writes them as start and end.
func (d *dkronSource) bounds(t tree, j *draftJob, write bool) bool {
	from, to := bound(t.get("starts_at")), bound(t.get("expires_at"))
	if !from.IsZero() && write {
		j.set("start", quoted(from.Add(time.Second-1).Truncate(time.Second).Format(time.RFC3339)))
	}
	if !to.IsZero() && write {
		j.set("end", quoted(to.Truncate(time.Second).Format(time.RFC3339)))
	}
	return !from.IsZero() || !to.IsZero()
}

func bound(t tree) time.Time {
	at, err := time.Parse(time.RFC3339, t.text())
	if err != nil || at.Year() <= 1 {
		return time.Time{}
	}
	return at.UTC()
}

// tilde is scheduleHash of Dkron's job.go: a "~" becomes the sum of the letters of
// the name, brought into the range of its field.
func tilde(name, expr string) string {
	if !strings.Contains(expr, "~") {
		return expr
	}
	hash := 0
	for _, c := range name {
		hash += int(c)
	}
	parts := strings.Split(expr, " ")
	field := 0
	for i, part := range parts {
		switch {
		case strings.HasPrefix(part, "@"):
			return expr
		case strings.HasPrefix(part, "TZ="), strings.HasPrefix(part, "CRON_TZ="):
			continue
		}
		n := hash % 60
		switch field {
		case 2:
			n = hash % 24
		case 3:
			n = hash%28 + 1
		case 4:
			n = hash%12 + 1
		case 5:
			n = hash % 7
		}
		parts[i] = strings.ReplaceAll(part, "~", strconv.Itoa(n))
		field++
	}
	return strings.Join(parts, " ")
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
