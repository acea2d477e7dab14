package importer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"carillon/jobs"
)

// CronJobs of Kubernetes are read as their API has them (batch/v1, and v1beta1
// before it): manifests of one or several documents, or what
// "kubectl get cronjobs -o yaml" or "-o json" prints.

// k8sSource is a manifest while it is read.
type k8sSource struct {
	draft
	cronJobs []tree
	names    names
	named    map[string]int // how many CronJobs have that name, in different namespaces
	local    bool           // some job is in the zone of the controller
}

// Kubernetes makes a schedule of the CronJobs of a manifest. What else is in it
// is skipped with a note. The error is about bytes that are no manifest.
func Kubernetes(data []byte, opts Options) (*Result, error) {
	if err := check(data, opts); err != nil {
		return nil, err
	}
	docs, err := readManifest(data)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", opts.File, err)
	}
	k := &k8sSource{
		draft: draft{opts: opts, source: "the CronJobs in " + shortened(opts.File)},
		names: names{}, named: map[string]int{},
	}
	for _, doc := range docs {
		if doc.given() && !doc.isObject() {
			return nil, fmt.Errorf("import %s: line %d: expected a manifest with its apiVersion and kind", opts.File, doc.line())
		}
		k.collect(doc)
	}
	for _, c := range k.cronJobs {
		k.named[c.get("metadata", "name").text()]++
	}
	for _, c := range k.cronJobs {
		k.job(c)
	}
	k.settle()
	return k.finish()
}

// readManifest reads JSON where it is JSON, and else YAML.
func readManifest(data []byte) ([]tree, error) {
	if looksLikeJSON(data) {
		if docs, err := readJSON(data); err == nil {
			return docs, nil
		}
	}
	docs, err := readYAML(data)
	if err != nil && strings.Contains(string(data), "{{") {
		err = fmt.Errorf("%w; this is a template: render it first, such as with helm template", err)
	}
	return docs, err
}

// collect finds the CronJobs of a document: itself, or the items of a list.
func (k *k8sSource) collect(doc tree) {
	kind := doc.get("kind").text()
	switch {
	case !doc.given():
	case kind == "CronJob":
		k.cronJobs = append(k.cronJobs, doc)
	case strings.HasSuffix(kind, "List"):
		for _, item := range doc.get("items").items() {
			if kind == "CronJobList" && item.get("kind").text() == "" {
				k.cronJobs = append(k.cronJobs, item) // the API leaves it out there
			} else {
				k.collect(item)
			}
		}
	case kind == "":
		k.complain(doc.line(), LeftOut, "", "an object without a kind: is no manifest")
	default:
		k.complain(doc.line(), Note, kind+" "+doc.get("metadata", "name").text(), "only CronJobs become jobs; it is skipped")
	}
}

func (k *k8sSource) job(t tree) {
	name, namespace := t.get("metadata", "name").text(), t.get("metadata", "namespace").text()
	if name == "" {
		name = strings.TrimSuffix(t.get("metadata", "generateName").text(), "-")
	}
	full := name
	if namespace != "" {
		full = namespace + "/" + name
	}
	unique := name
	if k.named[name] > 1 && namespace != "" {
		unique = namespace + "-" + name
	}
	j := &draftJob{name: k.names.take(unique), line: t.line(), found: "CronJob " + full, above: []string{"# CronJob " + shortened(full)}}
	if about := t.get("metadata", "annotations", "kubernetes.io/description").text(); about != "" {
		j.set("description", text(about))
	} else if about := t.get("metadata", "annotations", "description").text(); about != "" {
		j.set("description", text(about))
	}
	k.readInto(j, t.get("spec"), k.when, k.rules, k.attempts, k.pod)
}

// when reads schedule, timeZone and suspend.
func (k *k8sSource) when(spec tree, j *draftJob) error {
	zone, expr := cutZone(spec.get("schedule").text())
	if expr == "" {
		return errors.New("it has no schedule")
	}
	if own := spec.get("timeZone").text(); own != "" {
		if zone != "" {
			return fmt.Errorf("it has two zones, %s in its schedule and timeZone %s; Kubernetes refuses that", zone, own)
		}
		zone = own
	}
	t, err := robfigTiming(expr, "Kubernetes", 5, "five")
	if err != nil {
		return fmt.Errorf("schedule %q: %w", expr, err)
	}
	for _, note := range t.notes {
		k.once(j, "%s", note)
	}
	j.set("schedule", quoted(t.expr))
	switch {
	case strings.HasPrefix(expr, "@every "):
	case zone == "" || zone == "Local":
		k.local = true
	default:
		if err := k.inZone(j, zone); err != nil {
			return err
		}
	}
	if spec.get("suspend").isTrue() {
		j.set("enabled", bare("false"))
	}
	return nil
}

// rules reads concurrencyPolicy and startingDeadlineSeconds.
func (k *k8sSource) rules(spec tree, j *draftJob) error {
	switch policy := spec.get("concurrencyPolicy").text(); policy {
	case "", "Allow":
	case "Forbid":
		j.set("overlap", bare("skip"))
		k.once(j, "concurrencyPolicy Forbid becomes overlap: skip; Kubernetes starts the run that it held back when the earlier one ends in time, as overlap: queue does")
	case "Replace":
		j.set("overlap", bare("replace"))
	default:
		return fmt.Errorf("concurrencyPolicy %q: expected Allow, Forbid or Replace", policy)
	}
	deadline := spec.get("startingDeadlineSeconds")
	if !deadline.given() {
		k.once(j, "without startingDeadlineSeconds Kubernetes starts the last missed run however late; here up to 24h late, unless catch_up: says more")
		return nil
	}
	seconds, err := strconv.Atoi(deadline.text())
	if err != nil || seconds < 0 {
		return fmt.Errorf("startingDeadlineSeconds %q: expected a number", deadline.text())
	}
	window := time.Duration(min(seconds, maxWindow)) * time.Second
	switch {
	case seconds < 60:
		window = time.Minute
		k.complain(deadline.line(), Note, "startingDeadlineSeconds: "+deadline.text(), "a run that is up to a minute late always starts; it becomes a window of 1m")
	case seconds > maxWindow:
		k.complain(deadline.line(), Note, "startingDeadlineSeconds: "+deadline.text(), "it becomes a window of 31 days, which is the longest")
	}
	j.set("catch_up", value{form: inline, pairs: []pair{{key: "policy", value: bare("latest")}, {key: "window", value: bare(jobs.DurationText(window))}}})
	return nil
}

// maxWindow is the longest catch_up.window, in seconds.
const maxWindow = 31 * 24 * 60 * 60

// defaultBackoffLimit is what Kubernetes takes when a Job says nothing.
const defaultBackoffLimit = 6

// attempts reads what the Job of a run says about failures and time.
func (k *k8sSource) attempts(spec tree, j *draftJob) error {
	job := spec.get("jobTemplate", "spec")
	if limit := job.get("backoffLimit"); limit.given() {
		n, err := strconv.Atoi(limit.text())
		if err != nil || n < 0 {
			return fmt.Errorf("backoffLimit %q: expected a number", limit.text())
		}
		if n > 999 {
			k.complain(limit.line(), Part, "backoffLimit: "+limit.text(), "it becomes 1000 attempts, which is the most there is here")
			n = 999
		}
		if n != defaultBackoffLimit {
			j.set("retry", k8sRetry(n+1))
		}
	}
	if limit := job.get("activeDeadlineSeconds"); limit.given() {
		n, err := strconv.Atoi(limit.text())
		if err != nil || n < 1 {
			return fmt.Errorf("activeDeadlineSeconds %q: expected a number of at least 1", limit.text())
		}
		j.set("timeout", bare(jobs.DurationText(time.Duration(n)*time.Second)))
		k.once(j, "activeDeadlineSeconds bounds all attempts together in Kubernetes; here timeout: bounds each of them")
	}
	for _, key := range []string{"parallelism", "completions"} {
		if n := job.get(key); n.given() && n.text() != "1" {
			k.complain(n.line(), Part, key+": "+n.text(), "a run is one process here")
		}
	}
	for _, key := range []string{"podFailurePolicy", "successPolicy"} {
		if p := job.get(key); p.given() {
			k.complain(p.line(), Part, key, "it is left out; retry.on and retry.not_on choose by exit code")
		}
	}
	return nil
}

// k8sRetry is how Kubernetes tries again: after 10s, twice as long each time, at
// most 6 minutes, whatever the exit code.
func k8sRetry(attempts int) value {
	if attempts == 1 {
		return value{form: inline, pairs: []pair{{key: "attempts", value: number(1)}}}
	}
	return value{form: inline, pairs: []pair{
		{key: "attempts", value: number(attempts)}, {key: "backoff", value: bare("10s")}, {key: "factor", value: number(2)},
		{key: "max_backoff", value: bare("6m")}, {key: "not_on", value: value{form: listing}},
	}}
}

// settle decides what the whole manifest must be known for.
func (k *k8sSource) settle() {
	zone, comment := k.fileZone(), ""
	if k.opts.Timezone == "" && k.local {
		comment = "not known: Kubernetes used the zone of its controller, mostly UTC; import with --timezone ZONE"
		k.complain(0, Note, "", "CronJobs without a timeZone run in that of the controller, and nothing says which that is: UTC IS ASSUMED, as it is in most clusters. Give --timezone, such as --timezone Europe/Berlin, if it is not")
	}
	k.draft.zone = pair{"timezone", text(zone), comment}
	k.defaults = []pair{
		{"overlap", bare("allow"), "the default of concurrencyPolicy; skip is safer"},
		{"retry", k8sRetry(defaultBackoffLimit + 1), ""},
	}
	k.head = append(k.head, "#", "# Their images are not run: the commands run on the nodes of carillon, which must have", "# what the images had.")
	if k.zones || changes(zone) {
		k.defaults = append(k.defaults, robfigDST())
	}
}
