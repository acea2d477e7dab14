package jobs

import (
	"path"
	"slices"
	"strings"
)

// No message about a secret repeats a value of the file: somebody will write the
// secret itself where a reference belongs.

const (
	secretExpected = "a reference such as {file: /run/secrets/pg} or {env: PGPASSWORD}"
	maxSecrets     = 64
)

var secretShape = shape[Secret]{
	what: "a secret",
	fields: []field[Secret]{
		{"file", func(d *decoder, e entry, s *Secret) {
			if s.File = d.reference(e); s.File != "" && !path.IsAbs(s.File) {
				d.problem(d.resolve(e.value), "%s is not an absolute path; expected one such as /run/secrets/pg, in full, because no shell reads it", e.path())
			}
		}},
		{"env", func(d *decoder, e entry, s *Secret) {
			if s.Env = d.reference(e); s.Env != "" && badEnvName(s.Env) != "" {
				d.problem(d.resolve(e.value), `%s is not the name of a variable of the node; expected letters, digits and "_", not a digit first, and not CARILLON_`, e.path())
			}
		}},
	},
}

// reference reads a text that no message may show.
func (d *decoder) reference(e entry) string {
	if n := d.resolve(e.value); isPlain(n) {
		s, _ := d.word(e, secretExpected)
		return s
	}
	d.problem(d.resolve(e.value), "%s is %s; expected %s", e.path(), kindOf(d.resolve(e.value)), secretExpected)
	return ""
}

// readSecrets reads where the node finds the values, never the values.
func readSecrets(d *decoder, e entry, v *jobValue) {
	if n := d.resolve(e.value); isPlain(n) {
		d.problem(n, "secrets is a text; expected references by name, such as {PGPASSWORD: {file: /run/secrets/pg}}")
		return
	}
	entries, ok := d.mapping(e, "secrets.", "references by name, such as {PGPASSWORD: {file: /run/secrets/pg}}")
	if !ok {
		return
	}
	if len(entries) > maxSecrets {
		d.problem(e.at, "secrets has %d entries; expected at most %d", len(entries), maxSecrets)
		return
	}
	for _, item := range entries {
		if why := badEnvName(item.key); why != "" {
			d.problem(item.at, "secrets: %s", why)
			continue
		}
		if n := d.resolve(item.value); isPlain(n) {
			d.problem(n, "%s holds a value; a schedule file holds no secrets, only where the node finds them: expected %s", item.path(), secretExpected)
			continue
		}
		secret := Secret{Name: item.key}
		keys, ok := object(d, item, secretShape.under(item), secretExpected, &secret)
		if !ok {
			continue
		}
		if keys.has("file") == keys.has("env") {
			d.problem(item.at, "%s has %s; expected one of file and env", item.path(), map[bool]string{true: "both file and env", false: "neither file nor env"}[keys.has("file")])
		}
		v.job.Secrets = append(v.job.Secrets, secret)
	}
	slices.SortFunc(v.job.Secrets, func(a, b Secret) int { return strings.Compare(a.Name, b.Name) })
}
