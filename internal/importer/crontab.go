package importer

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"carillon/jobs"
)

// A crontab is read as cronie reads it (load_entry in entry.c, load_env in env.c):
// line by line, each an environment setting, an entry, a comment or empty.
type crontab struct {
	draft
	lines    []string
	env      []variable // as it stands after the lines read so far
	comments []string   // read and not yet written above a job; "" is an empty line
	entries  []cronEntry
}

// A cronEntry is a job with what is decided when the whole file is read.
type cronEntry struct {
	job  *draftJob
	env  []variable
	home string
	zone string // "" is that of the host
	user bool   // the first word of its command is a name that users have
}

// Crontab makes a schedule of a crontab: of a user's own, or with opts.System of
// one with a column for the user. The error is about bytes that are no crontab at
// all; everything else is a complaint.
func Crontab(data []byte, opts Options) (*Result, error) {
	if err := check(data, opts); err != nil {
		return nil, err
	}
	c := &crontab{draft: draft{opts: opts, source: "the crontab " + shortened(opts.File)}}
	c.split(data)
	for i, line := range c.lines {
		c.line(i+1, line)
	}
	c.settle()
	c.tail = append(c.tail, c.comments...)
	return c.finish()
}

// SystemCrontab reports whether cron reads the file of that name as one with a
// column for the user: cron itself tells the two forms apart by their place.
func SystemCrontab(name string) bool {
	return name == "/etc/crontab" || path.Dir(name) == "/etc/cron.d"
}

// split makes lines of the file and takes care of what editors of other systems
// leave in it.
func (c *crontab) split(data []byte) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(data) > 0 && data[len(data)-1] != '\n' {
		c.complain(1+bytes.Count(data, []byte("\n")), Note, "", "the last line has no line break, and cron does not read such a line; it is imported all the same")
	}
	c.lines = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	returns := false
	for i, line := range c.lines {
		if strings.HasSuffix(line, "\r") {
			c.lines[i], returns = strings.TrimSuffix(line, "\r"), true
		}
	}
	if returns {
		c.complain(0, Note, "", "the lines end as on Windows; cron takes the carriage return for a part of the command, here it is taken off")
	}
}

// blanks are what cron skips between the parts of a line.
const blanks = " \t"

func (c *crontab) line(n int, line string) {
	line = strings.TrimLeft(line, blanks)
	switch {
	case strings.Trim(line, blanks+"\r\f\v") == "":
		c.comments = append(c.comments, "")
		return
	case line[0] == '#':
		if !utf8.ValidString(line) {
			line = fromLatin1(line)
		}
		c.comments = append(c.comments, line)
		return
	case !utf8.ValidString(line):
		c.complain(n, LeftOut, strings.ToValidUTF8(line, "?"), "the line is not UTF-8, which a schedule file is; save the crontab as UTF-8")
		return
	}
	if v, ok := readSetting(line); ok {
		v.line = n
		c.set(v)
		c.comments = append(c.comments, "") // what stood above it is not about the next entry
		return
	}
	if e, ok := c.entry(n, line); ok {
		e.job.above, c.comments = c.comments, nil
		c.describe(n, e.job)
		c.jobs = append(c.jobs, e.job)
		c.entries = append(c.entries, e)
		return
	}
	c.comments = append(c.comments, "")
}

// fromLatin1 reads bytes as the characters of ISO 8859-1, in which old crontabs
// have their comments.
func fromLatin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// entry reads a line with a command.
func (c *crontab) entry(n int, line string) (cronEntry, bool) {
	e := cronEntry{job: &draftJob{line: n, found: line, comment: fmt.Sprintf("line %d", n)}}
	fail := func(format string, args ...any) (cronEntry, bool) {
		c.complain(n, LeftOut, line, format, args...)
		return e, false
	}
	rest := line
	if strings.HasPrefix(rest, "-") {
		rest = strings.TrimLeft(rest[1:], blanks)
		c.complain(n, Note, "-", "cron did not log this job; carillon has no such switch")
	}
	t, rest, err := readWhen(rest)
	if err != nil {
		return fail("%v", err)
	}
	for _, note := range t.notes {
		c.complain(n, Note, line, "%s", note)
	}
	user := ""
	if c.opts.System {
		user, rest = cutWord(rest)
		if user, err = c.user(n, user); err != nil {
			return fail("%v", err)
		}
	}
	flags, rest := c.flags(n, rest)
	if rest == "" {
		return fail("there is no command")
	}
	if first, more := cutWord(rest); more != "" {
		e.user = usualUsers[first]
	}
	e.env = slices.Clone(c.env)
	zone := lookup(e.env, "CRON_TZ")
	if zone != "" {
		if _, err := jobs.LoadZone(strings.TrimPrefix(zone, ":")); err != nil {
			return fail("CRON_TZ: %v", err)
		}
		e.zone = strings.TrimPrefix(zone, ":")
	}

	command, input, given := cutInput(rest)
	if strings.TrimRight(command, blanks) == "" {
		return fail("there is no command before the %%")
	}
	switch {
	case given && input == "":
		c.complain(n, Note, "%", "it ends the command; nothing follows, so the standard input is empty, as it is here anyway")
	case given && !strings.HasSuffix(input, "\n"):
		c.complain(n, Note, "%", "what follows it is the standard input of the command; here it ends in a line break")
	case given:
		c.complain(n, Note, "%", `what follows it is the standard input of the command (a plain %% is written \%%)`)
	}
	if strings.Contains(rest, `\\`) {
		c.complain(n, Note, line, `two backslashes stay two, as with Debian's cron and cronie; FreeBSD's cron makes one of them`)
	}

	e.job.name = nameOf(command)
	e.job.set("schedule", quoted(t.expr))
	if flags['s'] {
		e.job.set("overlap", bare("skip"))
	}
	if user != "" {
		e.job.set("user", text(user))
	}
	e.job.pairs = append(e.job.pairs, action(command, input, lookup(e.env, "SHELL")))
	c.place(n, &e, command)
	return e, true
}

// place says where the command runs.
func (c *crontab) place(n int, e *cronEntry, command string) {
	if home := lookup(e.env, "HOME"); path.IsAbs(home) {
		e.home = home
	} else if c.opts.Dir == "" && relative.MatchString(command) {
		c.complain(n, Note, command, "the path is relative to the home of the user, where cron starts commands; give the job a dir:")
	}
}

// relative finds a program or script that is named by a relative path.
var relative = regexp.MustCompile(`^\.{0,2}[A-Za-z0-9_][A-Za-z0-9_.-]*/|^\.{1,2}/`)

// usualUsers are the names that stand in the sixth column of system crontabs.
var usualUsers = words("root daemon bin sys nobody www-data www apache nginx http postgres mysql redis mail news man backup list git ubuntu debian admin")

// cronNicknames are the names of whole expressions. The last two are FreeBSD's.
var cronNicknames = map[string]string{
	"@yearly": "@yearly", "@annually": "@annually", "@monthly": "@monthly", "@weekly": "@weekly",
	"@daily": "@daily", "@midnight": "@midnight", "@hourly": "@hourly",
	"@every_minute": "* * * * *", "@every_second": "* * * * * *",
}

// readWhen reads the five fields or the nickname at the beginning of an entry.
func readWhen(line string) (t timing, rest string, err error) {
	if strings.HasPrefix(line, "@") {
		name, rest := cutWord(line)
		expr, ok := cronNicknames[name]
		switch {
		case ok:
			return timing{expr: expr}, rest, nil
		case name == "@reboot":
			return t, "", fmt.Errorf("a cluster never boots, so nothing fires at the start of a host; that is for its service manager, such as a systemd unit (or trigger a job by hand: carillon trigger JOB)")
		}
		return t, "", fmt.Errorf("cron has no %q", name)
	}
	fields := make([]string, 5)
	rest = line
	for i := range fields {
		if fields[i], rest = cutWord(rest); fields[i] == "" {
			return t, "", fmt.Errorf("neither NAME=value nor five fields and a command: minute, hour, day of month, month, day of week, command")
		}
	}
	t, err = readVixie(fields)
	return t, rest, err
}

// cutWord takes the first word off a line, and the blanks behind it.
func cutWord(s string) (word, rest string) {
	i := strings.IndexAny(s, blanks)
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], blanks)
}

var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.@-]*\$?$`)

// user reads the sixth column. FreeBSD takes user:group/class there.
func (c *crontab) user(n int, word string) (string, error) {
	name, group, grouped := word, "", false
	if i := strings.IndexAny(word, ":/"); i > 0 {
		name, group, grouped = word[:i], word[i:], true
	}
	if !userName.MatchString(name) {
		return "", fmt.Errorf("expected the name of a user in the sixth column, found %q; is this the crontab of one user? then leave --system out", word)
	}
	if grouped {
		c.complain(n, Part, word, "the user becomes user: %s; %q is left out, a job has the groups of its user", name, group)
	}
	return name, nil
}

// flags reads the options that OpenBSD, FreeBSD and cronie take before a command.
func (c *crontab) flags(n int, rest string) (map[byte]bool, string) {
	known := map[byte]string{
		'n': "mail only when the command fails: carillon sends no mail, and shows what failed",
		'q': "no line in cron's log: carillon has no such switch",
		's': "one instance at a time: it becomes overlap: skip",
	}
	flags := map[byte]bool{}
	for {
		word, after := cutWord(rest)
		if len(word) != 2 || word[0] != '-' || known[word[1]] == "" {
			return flags, rest
		}
		flags[word[1]] = true
		c.complain(n, Note, word, "%s", known[word[1]])
		rest = after
	}
}
