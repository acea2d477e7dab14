// Package proctest gives tests real processes: carillon as its users have it, built
// once and started as often as they like.
//
// It is test support and promises nothing to anyone else. It reports errors instead of
// failing tests: a storm that goes on for half an hour has other ideas of what is worth
// an end than a test of one line.
package proctest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one started program, whose two outputs go to files: a pipe would tie its
// end to that of its watcher and its commands.
type Process struct {
	Name    string
	Cmd     *exec.Cmd
	Out     string // path of what it wrote to stdout
	Err     string // path of what it wrote to stderr
	Started time.Time
	Done    chan struct{} // closed when it was reaped
}

// Build builds a command of ours, with the race detector if $CARILLON_E2E_RACE asks
// for it.
func Build(program, pkg string, flags ...string) error {
	args := append([]string{"build", "-o", program}, flags...)
	if os.Getenv("CARILLON_E2E_RACE") != "" {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// Start starts a program in a folder, in our environment without what changes
// carillon and with env. It dies when the test binary is killed.
func Start(dir, name string, env []string, program string, args ...string) (*Process, error) {
	LookAtSources()
	p := &Process{Name: name, Cmd: exec.Command(program, args...), Done: make(chan struct{})}
	stdout, err := os.CreateTemp(dir, name+".out.*")
	if err != nil {
		return nil, err
	}
	stderr, err := os.CreateTemp(dir, name+".err.*")
	if err != nil {
		stdout.Close()
		return nil, err
	}
	p.Out, p.Err = stdout.Name(), stderr.Name()
	p.Cmd.Dir = dir
	p.Cmd.Env = append(Environment(), env...)
	p.Cmd.Stdout, p.Cmd.Stderr = stdout, stderr
	p.Cmd.SysProcAttr = dieWithParent()
	began := make(chan error, 1)
	// The kernel sends the parent-death signal when the thread that forked ends.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.Done)
		p.Started = time.Now()
		err := p.Cmd.Start()
		stdout.Close()
		stderr.Close()
		began <- err
		if err == nil {
			_ = p.Cmd.Wait() // how it ended is in its state
		}
	}()
	return p, <-began
}

// Pid is the process id.
func (p *Process) Pid() int { return p.Cmd.Process.Pid }

// Kill ends the process as a power cut would, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill() // it may have ended by itself
	<-p.Done
}

// Alive says whether it has not ended yet.
func (p *Process) Alive() bool {
	select {
	case <-p.Done:
		return false
	default:
		return true
	}
}

// Stdout is what it wrote so far.
func (p *Process) Stdout() string { return read(p.Out) }

// Stderr is what it wrote so far.
func (p *Process) Stderr() string { return read(p.Err) }

// Unsound is the place in a process' words at which it crashed, or at which the race
// detector in it has found something; "" when there is none.
func Unsound(stderr string) string {
	for _, words := range []string{"panic: ", "fatal error: ", "WARNING: DATA RACE"} {
		if at := strings.Index(stderr, words); at >= 0 {
			return stderr[at:min(len(stderr), at+4000)]
		}
	}
	return ""
}

// Living reports whether a process runs; a zombie does not.
func Living(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat := read(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if stat == "" {
		return runtime.GOOS != "linux"
	}
	after := strings.TrimSpace(stat[strings.LastIndexByte(stat, ')')+1:])
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

// Environment is ours without anything that changes what carillon does.
func Environment() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, "CARILLON_"), name == "KUBERNETES_SERVICE_HOST", name == "INVOCATION_ID", name == "SYSTEMD_EXEC_PID":
		default:
			env = append(env, kv)
		}
	}
	return env
}

// LookAtSources makes the results of the calling package depend on the code they are
// about. The go command remembers a test that passed until a file changes that the
// test has looked at, and of what TestMain built it knows nothing. The package's
// folder is one below the top.
var LookAtSources = sync.OnceFunc(func() {
	_ = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is gone: no file to depend on
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".." {
			return fs.SkipDir
		}
		switch filepath.Ext(path) {
		case ".go", ".lua", ".mod", ".txt":
			_, _ = os.Stat(path) // to have looked is enough
		}
		return nil
	})
})

func read(path string) string {
	b, _ := os.ReadFile(path) // what is not there yet is empty
	return string(b)
}
