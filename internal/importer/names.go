package importer

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// A crontab has no names for its jobs. They are made from the commands: the
// program, or what a wrapper or an interpreter runs, and its first word when that
// is a subcommand. Names are unique, stable for a file, and made to be changed.

// names hands out each name once. It counts how often a name was asked for.
type names map[string]int

const longestName = 64

// take is the name, with a number behind it if it is taken.
func (taken names) take(name string) string {
	name = legalName(name)
	unique := name
	for taken[unique] > 0 {
		taken[name]++
		tail := fmt.Sprintf("-%d", taken[name])
		unique = strings.TrimRight(name[:min(len(name), longestName-len(tail))], "-_.") + tail
	}
	taken[unique]++
	return unique
}

// legalName replaces what the name of a job may not have.
func legalName(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-':
			b.WriteRune(r)
		case !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-_.")
	if len(name) > longestName {
		name = strings.TrimRight(name[:longestName], "-_.")
	}
	if name == "" {
		return "job"
	}
	return name
}

var (
	// separators end a simple command; only the first that does something counts.
	separators = regexp.MustCompile(`&&|\|\||[;|&]`)
	assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
	subcommand = regexp.MustCompile(`^[a-z][a-z0-9:_-]{1,23}$`)
	// flagValue are the flags of wrappers that take the next word with them.
	flagValue = regexp.MustCompile(`^-[ucngswE]$`)

	// preludes do nothing that a job is named for.
	preludes = words("cd test [ [[ . source export set umask ulimit sleep true : for while until if case select")
	// openers stand before a command.
	openers = words("do then else ! { (")
	// wrappers run the rest of their line.
	wrappers = words("nice ionice sudo doas su runuser setpriv timeout flock setlock lockrun nohup time exec env chronic cronic setsid stdbuf command taskset chrt systemd-cat")
	// interpreters run the file that is their first argument.
	interpreters = words("sh bash dash ksh zsh python python2 python3 perl ruby php node nodejs java Rscript lua tclsh run-parts")
	extensions   = words(".sh .bash .py .pl .rb .php .js .jar .R .lua .tcl")
)

func words(s string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(s) {
		set[w] = true
	}
	return set
}

// nameOf makes a name of a command line.
func nameOf(command string) string {
	first := ""
	// Quotes are not looked at: a name is a guess.
	for _, part := range separators.Split(command, 32) {
		argv := strings.Fields(part)
		if name := nameOfSimple(argv); name != "" {
			return name
		}
		if first == "" && len(argv) > 0 {
			first = path.Base(argv[0])
		}
	}
	return first
}

func nameOfSimple(argv []string) string {
	for len(argv) > 0 && (openers[argv[0]] || assignment.MatchString(argv[0])) {
		argv = argv[1:]
	}
	if len(argv) == 0 || preludes[argv[0]] {
		return ""
	}
	program := path.Base(strings.Trim(argv[0], `"'(){}`))
	rest := argv[1:]
	switch {
	case wrappers[program]:
		for i, arg := range rest {
			if i > 0 && flagValue.MatchString(rest[i-1]) || strings.HasPrefix(arg, "-") || !isProgram(program, i, arg) {
				continue
			}
			return nameOfSimple(rest[i:])
		}
	case interpreters[program]:
		for i, arg := range rest {
			switch {
			case arg == "-c" || arg == "-lc" || arg == "-m":
				return nameOfSimple(unquotedWords(rest[i+1:]))
			case arg == "-e" || arg == "-r": // a line of its language
				return ""
			case !strings.HasPrefix(arg, "-"):
				return withSubcommand(arg, rest[i+1:])
			}
		}
	}
	return withSubcommand(program, rest)
}

// isProgram tells what a wrapper runs from its own arguments: a time limit, a
// lock file, a variable.
func isProgram(wrapper string, i int, arg string) bool {
	switch {
	case assignment.MatchString(arg):
		return false
	case strings.Trim(arg, "0123456789smhd.") == "":
		return false
	case wrapper == "flock" || wrapper == "setlock" || wrapper == "lockrun":
		return i > 0 && !strings.HasSuffix(arg, ".lock") && !strings.HasPrefix(arg, "/var/lock") && !strings.HasPrefix(arg, "/run/") && !strings.HasPrefix(arg, "/var/run/") && !strings.HasSuffix(arg, ".lck") && !strings.HasSuffix(arg, ".pid")
	}
	return true
}

// unquotedWords takes the quotes off the beginning and the end of a script.
func unquotedWords(argv []string) []string {
	return strings.Fields(strings.Trim(strings.Join(argv, " "), `"'`))
}

// withSubcommand is the name of a program with its first argument, when that
// reads like a word of its language: certbot renew, artisan schedule:run.
func withSubcommand(program string, rest []string) string {
	name := path.Base(strings.Trim(program, `"'(){}`))
	if ext := path.Ext(name); extensions[ext] && len(ext) < len(name) {
		name = strings.TrimSuffix(name, ext)
	}
	if len(rest) > 0 && subcommand.MatchString(rest[0]) {
		name += "-" + rest[0]
	}
	return strings.Trim(name, "-_./$")
}
