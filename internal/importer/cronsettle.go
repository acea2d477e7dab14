package importer

import (
	"slices"
	"strconv"
	"time"

	"carillon/jobs"
)

// settle decides what the whole file must be known for: names, the zone, and what
// all jobs have in common.
func (c *crontab) settle() {
	c.guessForm()
	taken := names{}
	for i := range c.entries {
		c.entries[i].job.name = taken.take(c.entries[i].job.name)
	}
	c.settleZone()
	c.defaults = append(c.defaults,
		pair{"overlap", bare("allow"), "cron starts a job while its last run still goes on; skip is safer"},
		pair{"catch_up", bare("skip"), "cron runs nothing late; latest makes up for what was missed"})
	c.settleDir()
	c.settleEnv()
}

// guessForm has a word with whoever gave a system crontab for a user's.
func (c *crontab) guessForm() {
	if c.opts.System || len(c.entries) == 0 {
		return
	}
	for _, e := range c.entries {
		if !e.user {
			return
		}
	}
	c.complain(c.entries[0].job.line, Note, c.entries[0].job.found,
		"every command begins with the name of a user, as in /etc/crontab and /etc/cron.d; if this is such a file, import it with --system")
}

func (c *crontab) settleZone() {
	zone, comment := c.opts.Timezone, ""
	common := len(c.entries) > 0
	for _, e := range c.entries {
		common = common && e.zone == c.entries[0].zone
	}
	switch {
	case common && c.entries[0].zone != "":
		zone, comment = c.entries[0].zone, "CRON_TZ of the crontab"
	case zone == "":
		zone, comment = "UTC", "not known: cron used the zone of its host; import with --timezone ZONE"
		if len(c.entries) > 0 {
			c.complain(0, Note, "", "a crontab runs in the time zone of its host, and nothing says which that was: UTC IS ASSUMED. Give --timezone, such as --timezone Europe/Berlin, unless the host is on UTC")
		}
	}
	c.zone = pair{"timezone", text(zone), comment}
	for _, e := range c.entries {
		if e.zone != "" && e.zone != zone {
			e.job.set("timezone", text(e.zone))
		}
	}
}

// settleDir writes where commands start, once if it is the same for all.
func (c *crontab) settleDir() {
	for i := range c.entries {
		if c.entries[i].home == "" {
			c.entries[i].home = c.opts.Dir
		}
	}
	common := len(c.entries) > 0
	unknown := false
	for _, e := range c.entries {
		common = common && e.home == c.entries[0].home
		unknown = unknown || e.home == ""
	}
	if unknown {
		c.complain(0, Note, "", "cron starts commands in the home of their user, carillon in the folder its node was started in; --dir DIR writes a dir: for all jobs")
	}
	if common && c.entries[0].home != "" {
		c.defaults = append(c.defaults, pair{"dir", text(c.entries[0].home), "where cron started the commands"})
		return
	}
	for _, e := range c.entries {
		if e.home != "" {
			e.job.set("dir", text(e.home))
		}
	}
}

// settleEnv writes the variables: those that all jobs have in common once.
func (c *crontab) settleEnv() {
	common := c.commonEnv()
	if len(common) > 0 {
		c.defaults = append(c.defaults, pair{key: "env", value: environment(common)})
	}
	for _, e := range c.entries {
		own := slices.DeleteFunc(slices.Clone(e.env), func(v variable) bool {
			return forCron(v.name) || slices.Contains(common, v)
		})
		if len(own) > 0 {
			e.job.set("env", environment(own))
		}
		if n, err := strconv.Atoi(lookup(e.env, "RANDOM_DELAY")); err == nil && n > 0 {
			e.job.set("jitter", bare(jobs.DurationText(time.Duration(n)*time.Minute)))
		}
	}
}

// commonEnv are the settings that hold for every entry.
func (c *crontab) commonEnv() []variable {
	if len(c.entries) == 0 {
		return nil
	}
	common := slices.DeleteFunc(slices.Clone(c.entries[0].env), func(v variable) bool { return forCron(v.name) })
	for _, e := range c.entries {
		common = slices.DeleteFunc(common, func(v variable) bool { return !slices.Contains(e.env, v) })
	}
	return common
}

func environment(env []variable) value {
	v := value{form: mapping}
	for _, e := range env {
		v.pairs = append(v.pairs, pair{key: e.name, value: text(e.value)})
	}
	return v
}
