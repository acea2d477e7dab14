package executor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// zombie reports whether a process has exited and waits to be reaped. A small
// machine has no ps, one that is no Linux no /proc.
func zombie(pid int) bool {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		_, state, _ := strings.Cut(string(stat), ") ")
		return strings.HasPrefix(state, "Z")
	}
	state, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.HasPrefix(strings.TrimSpace(string(state)), "Z")
}

// pids reads the process ids that a script wrote as "name=pid" words.
func pids(t *testing.T, out string, names ...string) []int {
	t.Helper()
	var list []int
	for _, name := range names {
		_, rest, ok := strings.Cut(out, name+"=")
		require.True(t, ok, "no %s in %q", name, out)
		pid, err := strconv.Atoi(strings.Fields(rest)[0])
		require.NoError(t, err)
		list = append(list, pid)
	}
	return list
}

func requireDead(t *testing.T, within time.Duration, list ...int) {
	t.Helper()
	for _, pid := range list {
		require.Eventually(t, func() bool { return !alive(pid) }, within, 5*time.Millisecond, "process %d lives", pid)
	}
}

func TestCommandKeepsTheOrderOfItsOutputs(t *testing.T) {
	r := begin(t, newActions(t, 0), script("echo one; echo two >&2; echo three; cat"))
	report := r.end(t)
	require.NoError(t, report.Err)
	requireCode(t, 0, report)
	assert.Equal(t, "one\ntwo\nthree\n", r.out.String())
}

func TestCommandPassesItsArgumentsUntouched(t *testing.T) {
	r := begin(t, newActions(t, 0), argv("printf", "%s|", "$HOME", "a b", "*", ";exit 1"))
	require.NoError(t, r.end(t).Err)
	assert.Equal(t, "$HOME|a b|*|;exit 1|", r.out.String())
}

func TestCommandReportsHowItEnded(t *testing.T) {
	for name, c := range map[string]struct {
		at   Attempt
		code int
		text string
	}{
		"exit status":                   {script("exit 3"), 3, "exit status 3"},
		"of a program":                  {argv("false"), 1, "exit status 1"},
		"killed by itself":              {script("kill -KILL $$"), 137, "killed by signal SIGKILL, not by carillon (out of memory?"},
		"crashed":                       {script("kill -SEGV $$"), 139, "killed by signal SIGSEGV: the program crashed"},
		"killed inside a script":        {script("sh -c 'kill -KILL $$'; exit $?"), 137, "a command in the script was killed by signal SIGKILL"},
		"not found inside a script":     {script("no-such-command-here"), 127, "the shell did not find a command"},
		"not found":                     {argv("no-such-command-here"), 127, `command "no-such-command-here" was not found in PATH (`},
		"no file of that name":          {argv("/no/such/file"), 127, "/no/such/file does not exist on this node"},
		"a directory":                   {argv("/tmp"), 126, "it is a directory"},
		"nothing":                       {argv(), -1, "empty command"},
		"text no process can be given":  {withParam(argv("true"), "day", "a\x00b"), -1, "CARILLON_PARAM_DAY contains a NUL byte"},
		"arguments beyond every bound":  {argv("true", strings.Repeat("x", 4<<20)), 126, "too long"},
		"user that does not exist":      {withUser(argv("true"), "nobody-of-this-name"), -1, `user "nobody-of-this-name" does not exist`},
		"directory that does not exist": {withDir(argv("true"), "/no/such/dir"), -1, "dir /no/such/dir does not exist on this node: create it"},
		"directory that is a file":      {withDir(argv("true"), "/etc/passwd"), -1, "dir /etc/passwd is a file"},
	} {
		t.Run(name, func(t *testing.T) {
			report := begin(t, newActions(t, 0), c.at).end(t)
			require.ErrorContains(t, report.Err, c.text)
			if c.code < 0 {
				require.Nil(t, report.ExitCode)
			} else {
				requireCode(t, c.code, report)
			}
		})
	}
}

func withParam(at Attempt, name, value string) Attempt {
	at.Claim.Params = map[string]string{name: value}
	return at
}

func withUser(at Attempt, user string) Attempt { at.Job.User = user; return at }

func withDir(at Attempt, dir string) Attempt { at.Job.Dir = dir; return at }

func TestCommandFindsItsProgramWhereItWillRun(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	writeFile(t, filepath.Join(dir, "greet"), "#!/bin/sh\necho hello from $(pwd)\n", 0o755)
	writeFile(t, filepath.Join(dir, "bin", "inner"), "#!/bin/sh\necho inner\n", 0o755)
	writeFile(t, filepath.Join(dir, "plain"), "#!/bin/sh\n", 0o644)
	writeFile(t, filepath.Join(dir, "headless"), "echo no first line\n", 0o755)
	writeFile(t, filepath.Join(dir, "lost"), "#!/no/such/interpreter\n", 0o755)
	a := newActions(t, 0)

	run := func(word, path string) (string, Report) {
		at := withDir(argv(word), dir)
		at.Job.Env = map[string]string{"PATH": path}
		r := begin(t, a, at)
		report := r.end(t)
		return r.out.String(), report
	}
	said, report := run("./greet", "/usr/bin:/bin")
	require.NoError(t, report.Err)
	assert.Equal(t, "hello from "+dir+"\n", said)
	said, report = run("inner", "bin:/usr/bin:/bin")
	require.NoError(t, report.Err, "a relative PATH is relative to the job's dir")
	assert.Equal(t, "inner\n", said)

	_, report = run("greet", "/usr/bin:/bin")
	requireCode(t, 127, report)
	require.ErrorContains(t, report.Err, "write ./greet")
	_, report = run("./plain", "/bin")
	requireCode(t, 126, report)
	require.ErrorContains(t, report.Err, "run chmod +x "+dir+"/plain")
	_, report = run("plain", dir)
	requireCode(t, 126, report)
	_, report = run("./headless", "/bin")
	requireCode(t, 126, report)
	require.ErrorContains(t, report.Err, "a first line like #!/bin/sh")
	_, report = run("./lost", "/bin")
	requireCode(t, 127, report)
	require.ErrorContains(t, report.Err, "first line (#!) names does not exist")
}

func TestCommandRunsAsAnotherUserOnlyUnderRoot(t *testing.T) {
	r := begin(t, newActions(t, 0), withUser(script("id -un; id -Gn; echo $USER $LOGNAME $HOME"), "nobody"))
	report := r.end(t)
	if os.Geteuid() != 0 {
		require.ErrorContains(t, report.Err, "this node does not run as root")
		return
	}
	require.NoError(t, report.Err)
	acc, refused := accountOf("nobody")
	require.Nil(t, refused)
	lines := strings.Split(r.out.String(), "\n")
	assert.Equal(t, "nobody", lines[0])
	assert.NotContains(t, strings.Fields(lines[1]), "root")
	assert.Equal(t, "nobody nobody "+acc.user.HomeDir, lines[2])
}

func TestCommandTimesOut(t *testing.T) {
	at := script("trap 'echo cleaning; exit 0' TERM; echo up; while :; do sleep 0.01; done")
	at.Part.Timeout = 200 * time.Millisecond
	r := begin(t, newActions(t, 0), at)
	report := r.end(t)
	require.ErrorIs(t, report.Err, ErrTimedOut)
	require.ErrorContains(t, report.Err, "timed out after 200ms: raise the timeout of the job")
	requireCode(t, 0, report)
	assert.Contains(t, r.out.String(), "cleaning", "TERM comes before KILL")
}

func TestCommandThatIgnoresTermDiesWithItsWholeGroup(t *testing.T) {
	r := begin(t, newActions(t, 100*time.Millisecond), script("trap '' TERM; sleep 60 & echo leader=$$ child=$!; wait; sleep 60"))
	r.said(t, "child=")
	r.cancel(ErrDraining)
	report := r.end(t)
	require.ErrorIs(t, report.Err, ErrDraining)
	requireCode(t, 137, report)
	requireDead(t, time.Second, pids(t, r.out.String(), "leader", "child")...)
}

func TestCommandGivesTheGraceToTheWholeGroup(t *testing.T) {
	// The shell dies of TERM at once; what it started needs a moment, and holds
	// no output to be noticed by.
	dir := t.TempDir()
	file := filepath.Join(dir, "cleaned")
	writeFile(t, filepath.Join(dir, "inner"), "#!/bin/sh\ntrap 'sleep 0.2; echo yes > cleaned; exit' TERM\n: > ready\nwhile :; do sleep 0.01; done\n", 0o755)
	at := withDir(script("./inner >/dev/null 2>&1 & until test -e ready; do sleep 0.01; done; echo up; while :; do sleep 0.01; done"), dir)
	r := begin(t, newActions(t, 10*time.Second), at)
	r.said(t, "up")
	r.cancel(ErrCanceled)
	report := r.end(t)
	require.ErrorIs(t, report.Err, ErrCanceled)
	require.FileExists(t, file)
}

func TestCommandEndsWithItsLeader(t *testing.T) {
	r := begin(t, newActions(t, 0), script("sleep 60 & echo child=$!"))
	start := time.Now()
	report := r.end(t)
	require.NoError(t, report.Err)
	assert.Less(t, time.Since(start), pipePatience, "a child that holds the output does not keep the run")
	requireDead(t, time.Second, pids(t, r.out.String(), "child")...)
}

func TestCommandDoesNotWaitForWhatLeftItsGroup(t *testing.T) {
	at := withDir(script("setsid sh -c 'echo child=$$ > pid; exec sleep 60' & until test -s pid; do sleep 0.01; done; cat pid"), t.TempDir())
	r := begin(t, newActions(t, 0), at)
	report := r.end(t)
	require.NoError(t, report.Err)
	assert.Contains(t, r.out.String(), "a process that left the command's group still holds its output")
	child := pids(t, r.out.String(), "child")
	assert.True(t, alive(child[0]), "it left on purpose")
	killGroup(child[0])
	requireDead(t, time.Second, child...)
}

func TestKillEndsTheGrace(t *testing.T) {
	a := newActions(t, time.Hour)
	at := script("trap '' TERM; echo up; while :; do sleep 0.01; done")
	r := begin(t, a, at)
	r.said(t, "up")
	r.cancel(ErrLeaseLost)
	a.Kill("somebody else's", at.Claim.Token)
	report := r.end(t)
	require.ErrorIs(t, report.Err, ErrLeaseLost)
	requireCode(t, 137, report)
}

func TestCommandDoesNotStartWhenAlreadyEnded(t *testing.T) {
	a := newActions(t, 0)
	file := filepath.Join(t.TempDir(), "touched")
	r := &running{out: &buffer{}}
	ctx, cancel := contextCause(t)
	cancel(ErrDraining)
	report := a.Run(ctx, new(argv("touch", file)), r.out)
	require.ErrorIs(t, report.Err, ErrDraining)
	require.NoFileExists(t, file)
}

func TestManyCommandsAtOnce(t *testing.T) {
	a := newActions(t, 0)
	var all []*running
	for i := range 100 {
		at := script("echo " + strconv.Itoa(i))
		at.Claim.Token = strconv.Itoa(i)
		at.Boot = "one-boot-of-many"
		all = append(all, begin(t, a, at))
	}
	for i, r := range all {
		require.NoError(t, r.end(t).Err)
		require.Equal(t, strconv.Itoa(i)+"\n", r.out.String())
	}
}
