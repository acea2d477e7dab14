package jobs

import (
	"slices"
	"time"

	"gopkg.in/yaml.v3"
)

var retryShape = shape[Retry]{
	what: "retry", prefix: "retry.",
	fields: []field[Retry]{
		{"attempts", func(d *decoder, e entry, r *Retry) {
			if n, ok := d.integer(e, 1, 1000); ok {
				r.Attempts = n
			}
		}},
		{"backoff", func(d *decoder, e entry, r *Retry) {
			if v, ok := d.duration(e, time.Millisecond, maxDuration, "at once"); ok {
				r.Backoff = v
			}
		}},
		{"factor", func(d *decoder, e entry, r *Retry) {
			if v, ok := d.decimal(e, 1, 100); ok {
				r.Factor = v
			}
		}},
		{"max_backoff", func(d *decoder, e entry, r *Retry) {
			if v, ok := d.duration(e, time.Millisecond, maxDuration, ""); ok {
				r.MaxBackoff = v
			}
		}},
		{"on", func(d *decoder, e entry, r *Retry) {
			codes, ok := d.exitCodes(e)
			if ok && len(codes) == 0 {
				d.problem(e.value, "%s is an empty list; expected exit codes such as [1, 75] (leave it out for all but not_on)", e.path())
			}
			r.On = codes
		}},
		{"not_on", func(d *decoder, e entry, r *Retry) { r.NotOn, _ = d.exitCodes(e) }},
	},
}

// readRetry reads the policy of a job, a step or an undo into what stands
// there already: the defaults.
func readRetry(d *decoder, e entry, r *Retry) {
	s := retryShape.under(e)
	keys, ok := object(d, e, s, "{attempts: 3, backoff: 10s}; attempts counts the first one", r)
	if !ok {
		return
	}
	if r.MaxBackoff < r.Backoff {
		d.problem(e.value, "%smax_backoff %s is less than %sbackoff %s; raise the one or lower the other",
			s.prefix, DurationText(r.MaxBackoff), s.prefix, DurationText(r.Backoff))
	}
	notOn, written := keys.get("not_on")
	if !written && keys.has("on") {
		// Whoever names 127 here means it, whatever the defaults say.
		r.NotOn = slices.DeleteFunc(slices.Clone(r.NotOn), func(code int) bool { return slices.Contains(r.On, code) })
		return
	}
	whose := ""
	if !keys.has("on") {
		whose = " of the defaults"
	}
	for _, code := range r.NotOn {
		if written && slices.Contains(r.On, code) {
			d.problem(notOn.value, "%s has %d, which %son%s has too; another try is worth it or it is not", notOn.path(), code, s.prefix, whose)
		}
	}
}

// exitCodes reads exit codes of a process: one, or a list.
func (d *decoder) exitCodes(e entry) ([]int, bool) {
	items := []entry{e}
	if n := d.resolve(e.value); n.Kind != yaml.ScalarNode || isNull(n) {
		list, ok := d.list(e, "exit codes such as [1, 75]")
		if !ok {
			return nil, false
		}
		items = list
	}
	codes := make([]int, 0, len(items))
	for _, item := range items {
		code, ok := d.integer(item, 1, 255)
		if !ok {
			return nil, false
		}
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return slices.Compact(codes), true
}

// checkCodes refuses exit codes where there is no process to have one.
func (d *decoder) checkCodes(keys found, actions []Action) {
	retry, ok := keys.get("retry")
	if !ok || !withoutProcess(actions) {
		return
	}
	entries, _ := d.mapping(retry, retryShape.under(retry).prefix, "")
	for _, key := range []string{"on", "not_on"} {
		if k, ok := found(entries).get(key); ok {
			d.problem(k.at, "%s has no effect on %s; it is for command and run", k.path(), kinds(actions))
		}
	}
}
