package importer

import (
	"regexp"
	"strings"
	"unicode"
)

// describe makes a description of the comment right above an entry, when it reads
// like one: one to three lines of prose about this entry alone. All other
// comments stay comments.
func (c *crontab) describe(n int, j *draftJob) {
	if c.headsGroup(n) {
		return
	}
	first := len(j.above)
	var lines []string
	for first > 0 {
		comment := j.above[first-1]
		line := strings.TrimSpace(strings.TrimLeft(comment, "#"))
		if strings.HasPrefix(comment, "##") || !prose(line) {
			break
		}
		lines = append([]string{line}, lines...)
		first--
	}
	description := strings.Join(lines, " ")
	if len(lines) == 0 || len(lines) > 3 || len(description) > 160 {
		return
	}
	j.above = j.above[:first]
	j.set("description", text(description))
}

// headsGroup reports whether the line behind an entry is another entry, so that
// the comment above is probably about both.
func (c *crontab) headsGroup(n int) bool {
	return n < len(c.lines) && looksLikeEntry(strings.TrimLeft(c.lines[n], blanks))
}

var (
	ruler     = regexp.MustCompile(`^[-=*#~_+.|]{2,}|[-=*#~_+.|]{3,}$`)
	columns   = regexp.MustCompile(`(?i)^(m|min|mins?|minutes?)[ \t]+(h|hr|hours?)[ \t]`)
	shellLike = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\s*=`)
)

// prose tells a sentence from a heading, a drawing, a line that was switched off.
func prose(line string) bool {
	return strings.ContainsFunc(line, unicode.IsLetter) && printable(line) &&
		!ruler.MatchString(line) && !columns.MatchString(line) && !shellLike.MatchString(line) && !looksLikeEntry(line)
}

// looksLikeEntry reports whether cron could run the line.
func looksLikeEntry(line string) bool {
	if line == "" || line[0] == '#' {
		return false
	}
	_, rest, err := readWhen(line)
	return rest != "" && (err == nil || strings.HasPrefix(line, "@reboot"))
}
