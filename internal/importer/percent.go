package importer

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The "%" of a crontab (man 5 crontab; child_process in cronie's do_command.c).
// The first one without a backslash ends the command; what follows is its
// standard input, in which each further one is a line break. A backslash before
// a "%" goes away, any other stays.

// cutInput takes the standard input off a command line. given tells an input
// that is empty from none: both are empty to the command.
func cutInput(line string) (command, input string, given bool) {
	var b strings.Builder
	escaped := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case escaped && c == '%':
			command := strings.TrimSuffix(b.String(), `\`)
			b.Reset()
			b.WriteString(command + "%")
			escaped = false
		case escaped:
			b.WriteByte(c)
			escaped = false
		case c == '%':
			return b.String(), readInput(line[i+1:]), true
		default:
			escaped = c == '\\'
			b.WriteByte(c)
		}
	}
	return b.String(), "", false
}

// readInput is what cron writes to the command. Here, other than in the command
// itself, a backslash behind a backslash still guards the "%" that follows.
func readInput(text string) string {
	var b strings.Builder
	escaped, wantsNewline := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case escaped && c != '%':
			b.WriteByte('\\')
		case !escaped && c == '%':
			c = '\n'
		}
		if escaped = c == '\\'; !escaped {
			b.WriteByte(c)
			wantsNewline = c != '\n'
		}
	}
	if escaped {
		b.WriteByte('\\')
	}
	if wantsNewline {
		b.WriteByte('\n')
	}
	return b.String()
}

// plainShells take a script that begins with a redirection of their own input,
// as every descendant of the Bourne shell does.
var plainShells = []string{"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"}

// action is how a schedule file runs a command line of cron: SHELL -c LINE.
func action(command, input, shell string) pair {
	posix := shell == "" || shell == "/bin/sh"
	if input != "" {
		script := withInput(command, input)
		if !posix && !slices.Contains(plainShells, path.Base(shell)) {
			script = withInput("exec "+shellQuoted(shell)+" -c "+shellQuoted(command), input)
			posix = true
		}
		if !posix {
			return commandPair([]string{shell, "-c", script})
		}
		return pair{key: "run", value: value{form: scriptText, text: script}}
	}
	if posix {
		return pair{key: "run", value: script(command)}
	}
	return commandPair([]string{shell, "-c", command})
}

func commandPair(argv []string) pair { return pair{key: "command", value: texts(argv)} }

// withInput is a script whose first line hands it its standard input. Nothing in
// a quoted here-document means anything, and the command stays as it was, so
// neither needs an escape.
func withInput(command, input string) string {
	end := "INPUT"
	for n := 2; slices.Contains(strings.Split(input, "\n"), end); n++ {
		end = "INPUT" + strconv.Itoa(n)
	}
	if !strings.HasSuffix(input, "\n") {
		input += "\n"
	}
	return "exec <<'" + end + "'\n" + input + end + "\n" + command + "\n"
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)

// shellQuoted is a text as one word of a POSIX shell.
func shellQuoted(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
