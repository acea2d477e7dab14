package executor

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// sendPatience is how long a message to the watcher process may block. Its
	// pipe has room for thousands, so one that blocks means that it is stuck.
	sendPatience = 250 * time.Millisecond
	// relaunchAfter is the pause before another try when a watcher process died
	// young, or could not be started.
	relaunchAfter = time.Second
	// farewell is how long the watcher process may take to leave.
	farewell = 2 * time.Second
)

// Watcher is this node's end of its watcher process: a copy of the program that
// outlives the node by a moment and kills what the node leaves behind. It is
// told of every process group, of its deadline and of its end. When it dies it
// is replaced, and the new one is told everything again.
type Watcher struct {
	boot   string
	logger *slog.Logger

	mu     sync.Mutex
	groups map[int]time.Time // deadline by process group; zero: none
	proc   *watcherProcess   // nil while there is none that listens
	closed bool

	closing chan struct{}
	minded  chan struct{} // closed when mind has returned
}

// watcherProcess is one life of the watcher process.
type watcherProcess struct {
	cmd  *exec.Cmd
	pipe *os.File // the lifeline; that it closes is how the process learns of our death
	born time.Time
}

// newWatcher starts the watcher process of the node with that boot id.
func newWatcher(boot string, logger *slog.Logger) (*Watcher, error) {
	if boot == "" {
		return nil, errors.New("start the watcher: this node has no boot id")
	}
	proc, err := launch(boot)
	if err != nil {
		return nil, fmt.Errorf("start the watcher, without which commands would outlive a killed node: %w", err)
	}
	w := &Watcher{boot: boot, logger: logger, groups: map[int]time.Time{}, proc: proc,
		closing: make(chan struct{}), minded: make(chan struct{})}
	go w.mind(proc)
	return w, nil
}

// launch starts a watcher process. It gets the whole environment, because the
// program may need it to load, but not the mark of a job that started this
// node: that job's watcher must not take ours for a part of the job.
func launch(boot string) (*watcherProcess, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	path, err := selfPath()
	if err != nil {
		write.Close()
		return nil, err
	}
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, bootVar+"=") {
			env = append(env, kv)
		}
	}
	cmd := &exec.Cmd{
		Path:        path,
		Args:        []string{"carillon-watcher", strconv.Itoa(os.Getpid())},
		Env:         append(env, watcherVar+"="+boot, "GOMAXPROCS=1"),
		Dir:         "/",
		Stdin:       read,
		Stderr:      os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		write.Close()
		return nil, err
	}
	return &watcherProcess{cmd: cmd, pipe: write, born: time.Now()}, nil
}

// Watch announces a process group and when to kill it unless that is extended;
// a zero deadline is none.
func (w *Watcher) Watch(pgid int, deadline time.Time) { w.Extend(deadline, pgid) }

// Extend moves the deadline of process groups.
func (w *Watcher) Extend(deadline time.Time, pgids ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var text []byte
	now := time.Now()
	for _, pgid := range pgids {
		w.groups[pgid] = deadline
		text = appendLease(text, pgid, deadline, now)
	}
	w.send(text)
}

// Done says that a process group is dead. It comes before the leader is reaped,
// so that the watcher never knows an id that has been given to another.
func (w *Watcher) Done(pgid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.groups, pgid)
	w.send(appendDone(nil, pgid))
}

// Close lets the watcher process go. It kills only groups that are not done.
func (w *Watcher) Close() {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.closed = true
	proc := w.proc
	w.send(appendBye(nil))
	close(w.closing)
	w.mu.Unlock()
	if proc != nil {
		late := time.AfterFunc(farewell, func() { proc.cmd.Process.Kill() })
		defer late.Stop()
	}
	<-w.minded
}

// send writes to the watcher process. A process that does not take it is killed:
// mind replaces it. Its pipe stays open until it is dead, or it would take us
// for dead.
func (w *Watcher) send(text []byte) {
	if w.proc == nil {
		return // the next one is told all
	}
	_ = w.proc.pipe.SetWriteDeadline(time.Now().Add(sendPatience))
	if _, err := w.proc.pipe.Write(text); err != nil {
		w.proc.cmd.Process.Kill()
		w.proc = nil
	}
}

// mind waits for the end of the watcher process and replaces it, until Close.
func (w *Watcher) mind(proc *watcherProcess) {
	defer close(w.minded)
	for {
		err := proc.cmd.Wait()
		proc.pipe.Close()
		w.mu.Lock()
		w.proc = nil
		closed := w.closed
		w.mu.Unlock()
		if closed {
			return
		}
		w.logger.Error("the watcher process died; starting another", "pid", proc.cmd.Process.Pid, "how", proc.cmd.ProcessState, "err", err)
		young := time.Since(proc.born) < relaunchAfter
		if proc = w.relaunch(young); proc == nil {
			return
		}
	}
}

// relaunch starts watcher processes until one starts, and tells it all groups.
// It returns nil when the watcher was closed.
func (w *Watcher) relaunch(wait bool) *watcherProcess {
	for {
		if wait && !pause(w.closing, relaunchAfter) {
			return nil
		}
		proc, err := launch(w.boot)
		if err == nil {
			w.introduce(proc)
			return proc
		}
		w.logger.Error("the watcher process cannot be started: if this node is killed now, its commands live on", "err", err)
		wait = true
	}
}

// introduce makes proc the one that listens and tells it what it must know.
func (w *Watcher) introduce(proc *watcherProcess) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proc = proc
	var text []byte
	now := time.Now()
	for pgid, deadline := range w.groups {
		text = appendLease(text, pgid, deadline, now)
	}
	if w.closed {
		text = appendBye(text)
	}
	w.send(text)
}
