package importer

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"carillon/jobs"
)

// A variable is an environment setting of a crontab.
type variable struct {
	name, value string
	line        int
}

// lookup is the value of a variable, "" without one.
func lookup(env []variable, name string) string {
	for _, v := range env {
		if v.name == name {
			return v.value
		}
	}
	return ""
}

// readSetting reads NAME = value as load_env does: blanks around the "=" go away,
// as do those behind an unquoted value; name and value may each stand in quotes of
// one kind, which keep blanks and end the line. Nothing is expanded. ok is false
// for a line that cron goes on to read as an entry.
func readSetting(line string) (v variable, ok bool) {
	const space = " \t\r\f\v"
	rest := line
	if q := rest[0]; q == '"' || q == '\'' {
		end := strings.IndexByte(rest[1:], q)
		if end < 0 || strings.Contains(rest[1:1+end], "=") {
			return v, false
		}
		v.name, rest = rest[1:1+end], rest[end+2:]
	} else {
		end := strings.IndexAny(rest, space+"=")
		if end < 0 {
			return v, false
		}
		v.name, rest = rest[:end], rest[end:]
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, space), "=")
	if !ok {
		return v, false
	}
	rest = strings.TrimLeft(rest, space)
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		v.value = strings.TrimRight(rest, space)
		return v, true
	}
	value, after, closed := strings.Cut(rest[1:], rest[:1])
	if !closed || strings.Trim(after, space) != "" {
		return v, false
	}
	v.value = value
	return v, true
}

// mailSettings are for cron's mail, which nobody sends here.
var mailSettings = words("MAILTO MAILFROM CONTENT_TYPE CONTENT_TRANSFER_ENCODING")

// set takes a setting over for the entries below it, with a word about those that
// do not become a variable of the jobs.
func (c *crontab) set(v variable) {
	found := v.name + "=" + v.value
	switch {
	case mailSettings[v.name]:
		if v.name == "MAILTO" && v.value != "" {
			c.complain(v.line, Note, found, "cron mails what jobs print; carillon keeps it (carillon logs) and sends no mail")
		}
		return
	case v.name == "LOGNAME", v.name == "USER":
		c.complain(v.line, Note, found, "cron ignores it too: both are the user whom the job runs as")
		return
	case v.name == "MLS_LEVEL", v.name == "XDG_SESSION_CLASS":
		c.complain(v.line, Part, found, "a setting for cron itself that has no counterpart; it is left out")
		return
	case v.name == "TZ" && v.value != "":
		c.complain(v.line, Note, found, "it is the zone that commands see, as with Debian's cron and cronie; schedules stay in the zone of the host (only CRON_TZ changes that)")
	case v.name == "HOME" && !path.IsAbs(v.value):
		c.complain(v.line, Part, found, "cron starts commands there, but it is no absolute path; give the jobs a dir:")
	case v.name == "RANDOM_DELAY":
		if n, err := strconv.Atoi(v.value); err != nil || n < 0 || n > 24*60 {
			c.complain(v.line, Note, found, "cron takes a number of minutes up to 1440 and ignores this")
			return
		} else if n > 0 {
			c.complain(v.line, Note, found, "cron delays all jobs by one random part of it; here jitter: %s delays each run by its own", jobs.DurationText(time.Duration(n)*time.Minute))
		}
	case strings.ContainsAny(v.value, "$`"):
		c.complain(v.line, Note, v.name, "cron expands nothing in a value, so $ and ` stay as they are")
	}
	if name := v.name; !forCron(name) && !legalVariable(name) {
		c.complain(v.line, Part, name, "%s; the variable is left out", whyIllegal(name))
		return
	}
	if i := slices.IndexFunc(c.env, func(old variable) bool { return old.name == v.name }); i >= 0 {
		c.env[i] = v
		return
	}
	c.env = append(c.env, v)
}

// forCron are the settings that change how a job is written and are no variable
// of it.
func forCron(name string) bool { return name == "CRON_TZ" || name == "RANDOM_DELAY" }

func legalVariable(name string) bool { return whyIllegal(name) == "" }

// whyIllegal says why the file format does not take the name of a variable, or "".
func whyIllegal(name string) string {
	if strings.HasPrefix(strings.ToUpper(name), "CARILLON_") {
		return "names that begin with CARILLON_ are set by carillon"
	}
	for i, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return `the name of a variable has letters, digits and "_", and no digit first`
		}
	}
	if name == "" {
		return "the name of the variable is empty"
	}
	return ""
}
