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
	t, err := robfigTiming(expr, "Dkron", 6, "six, seconds first")
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
	return d.inZone(j, zone)
}

// inZone writes the zone of a job, unless it is the file's.
func (d *draft) inZone(j *draftJob, zone string) error {
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
