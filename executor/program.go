package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"

	"carillon/jobs"
)

// The exit codes that shells use for commands which did not start.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// program is a command that is ready to be started.
type program struct {
	path    string   // of the file
	argv    []string // argv[0] as the job wrote it
	env     []string
	dir     string
	account *account // nil: the node's own
}

// startError is a command that could not be started, with the exit code a shell
// would give.
type startError struct {
	code  int // 0: none
	text  string
	cause error // nil, or errShort
}

func (e *startError) Error() string { return e.text }
func (e *startError) Unwrap() error { return e.cause }

func (e *startError) report() Report {
	if e.code == 0 {
		return Report{Err: e}
	}
	return Report{ExitCode: &e.code, Err: e}
}

// prepare finds out what has to be started for an attempt, and what stands in
// its way, so that the operator reads a sentence and not an error number.
func prepare(at Attempt, host []string) (*program, *startError) {
	p := &program{dir: at.Job.Dir}
	var who *user.User
	if at.Job.User != "" {
		acc, err := accountOf(at.Job.User)
		if err != nil {
			return nil, err
		}
		if acc != nil {
			p.account, who = acc, acc.user
		}
	}
	p.env = environ(at, host, who)
	if err := checkText(p.env); err != nil {
		return nil, err
	}
	if err := checkDir(p.dir); err != nil {
		return nil, err
	}
	if at.Part.Action.Kind == jobs.ActionRun {
		p.path, p.argv = "/bin/sh", []string{"sh", "-c", at.Part.Action.Script}
		return p, nil
	}
	p.argv = at.Part.Action.Command
	if len(p.argv) == 0 {
		return nil, &startError{text: fmt.Sprintf("%s has an empty command: give it a program", at.Part.name())}
	}
	path, err := find(p.argv[0], lookup(p.env, "PATH"), p.dir)
	if err != nil {
		return nil, err
	}
	p.path = path
	return p, nil
}

// checkText refuses what no process can be given.
func checkText(env []string) *startError {
	for _, kv := range env {
		if strings.ContainsRune(kv, 0) {
			name, _, _ := strings.Cut(kv, "=")
			return &startError{text: fmt.Sprintf("the value of %s contains a NUL byte, which no process can be given: mend the param, env or secret", name)}
		}
	}
	return nil
}

func checkDir(dir string) *startError {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &startError{text: fmt.Sprintf("dir %s does not exist on this node: create it, or mend the job's dir", dir)}
	case err != nil:
		return &startError{text: fmt.Sprintf("dir %s cannot be used: %s", dir, reason(err))}
	case !info.IsDir():
		return &startError{text: fmt.Sprintf("dir %s is a file, not a directory: mend the job's dir", dir)}
	}
	return nil
}

// find is the absolute path of a command's file: of the name itself when it
// contains a slash, otherwise of the first executable file of that name in the
// PATH the command will see. What is relative is so to dir, where the command
// will be.
func find(name, path, dir string) (string, *startError) {
	if strings.Contains(name, "/") {
		file, err := executable(dir, name)
		if err != nil {
			return "", unusable(name, file, err)
		}
		return file, nil
	}
	var refused *startError
	for _, folder := range filepath.SplitList(path) {
		if folder == "" {
			continue
		}
		file, err := executable(dir, filepath.Join(folder, name))
		if err == nil {
			return file, nil
		}
		if refused == nil && !missing(err) {
			refused = unusable(name, file, err)
		}
	}
	if refused != nil {
		return "", refused
	}
	text := fmt.Sprintf("command %q was not found in PATH (%s): install it on this node, or give its full path", name, path)
	if _, err := executable(dir, name); err == nil {
		text = fmt.Sprintf("command %q was not found in PATH (%s), but the job's directory has it: write ./%s", name, path, name)
	}
	return "", &startError{code: exitNotFound, text: text}
}

var (
	errIsDirectory   = errors.New("it is a directory")
	errNotExecutable = errors.New("it is not executable")
)

// executable makes file absolute and says why it could not be executed, as far
// as its mode tells.
func executable(dir, file string) (string, error) {
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return file, err
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return file, err
	case info.IsDir():
		return file, errIsDirectory
	case info.Mode()&0o111 == 0:
		return file, errNotExecutable
	}
	return file, nil
}

func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// unusable is the sentence for a file that executable refused.
func unusable(name, file string, err error) *startError {
	switch {
	case missing(err):
		return &startError{code: exitNotFound, text: fmt.Sprintf("command %q: %s does not exist on this node: install it, or mend the job's command or dir", name, file)}
	case errors.Is(err, errNotExecutable):
		return &startError{code: exitNotExecutable, text: fmt.Sprintf("command %q: %s is not executable: run chmod +x %s on this node", name, file, file)}
	default:
		return &startError{code: exitNotExecutable, text: fmt.Sprintf("command %q: %s cannot be executed: %s", name, file, reason(err))}
	}
}

// notStarted is the sentence for a start that the kernel refused although
// everything looked right.
func notStarted(p *program, err error) *startError {
	code := func(n int, format string, args ...any) *startError {
		return &startError{code: n, text: fmt.Sprintf("start %s: ", p.path) + fmt.Sprintf(format, args...)}
	}
	short := func(text string) *startError {
		return &startError{text: fmt.Sprintf("start %s: %s", p.path, text), cause: errShort}
	}
	switch {
	case errors.Is(err, syscall.ENOENT):
		return code(exitNotFound, "the program that its first line (#!) names does not exist on this node: install it, or mend the line (a file from Windows ends it with a carriage return)")
	case errors.Is(err, syscall.ENOEXEC):
		return code(exitNotExecutable, "this machine cannot run such a file: a script needs a first line like #!/bin/sh, a binary must be built for this machine")
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		if p.account != nil {
			return code(exitNotExecutable, "permission denied: user %q may not execute it, or not enter the job's directory", p.account.user.Username)
		}
		return code(exitNotExecutable, "permission denied: check the modes of the file, of the folders above it, and whether its disk is mounted noexec")
	case errors.Is(err, syscall.ETXTBSY):
		return code(exitNotExecutable, "the file is being written: replace it by renaming a new one over it")
	case errors.Is(err, syscall.E2BIG):
		return code(exitNotExecutable, "arguments and environment are too long for this system: pass large data in a file")
	case errors.Is(err, syscall.EAGAIN) && p.account != nil: // the others of this node go on
		return code(0, "there is no process left for user %q: raise the limit (ulimit -u, pids.max), or find out what holds them", p.account.user.Username)
	case errors.Is(err, syscall.EAGAIN):
		return short("this node has no process left for its user: raise the limit (ulimit -u, TasksMax, pids.max), or lower --slots")
	case errors.Is(err, syscall.ENOMEM):
		return short("this node is out of memory: lower --slots, or give it more")
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return short("this node has too many open files: raise the limit (ulimit -n, LimitNOFILE), or lower --slots")
	default:
		return code(0, "%s", reason(err))
	}
}

// reason is the innermost text of an error of the operating system: the path
// and the name of the call are said elsewhere.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
