package executor

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// watcherVar makes a copy of this program a watcher process: its value is the
// boot id of the node to watch.
const watcherVar = "CARILLON_WATCHER"

// init turns a copy of the program that newWatcher started into a watcher
// process. It has to be an init: the program is not ours, and its main must not
// run twice. It leaves without what os.Exit does first: under the race detector
// that takes a second, in which the node that lets it go would wait.
func init() {
	if boot := os.Getenv(watcherVar); boot != "" {
		syscall.Exit(watcherMain(boot))
	}
}

// watcherMain is the life of a watcher process. It has a session of its own and
// ignores what a terminal or a service manager sends to end a program, because
// it must be there after the node. What ends it is its standard input.
func watcherMain(boot string) int {
	info, err := os.Stdin.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		fmt.Fprintf(os.Stderr, "%s is set: carillon sets it for its own watcher process only; unset it\n", watcherVar)
		return 2
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGTSTP)
	nameProcess()
	closeInherited()
	line, err := newLifeline()
	if err != nil {
		say("cannot read from the node: %v", err)
		return 1
	}
	w := wards{groups: map[int]time.Time{}}
	for {
		data, err := line.receive(w.next())
		w.hear(data, time.Now())
		switch {
		case w.bye:
			killAll(w.groups)
			return 0
		case errors.Is(err, os.ErrDeadlineExceeded):
			for _, pgid := range w.overdue(time.Now()) {
				killGroup(pgid)
				say("killed process group %d: its node is stopped or lost its lease", pgid)
			}
		case err != nil:
			killAll(w.groups)
			strays := killBoot(boot)
			if len(w.groups)+strays > 0 {
				say("the node died: killed %d process groups it had running, and %d processes beside them", len(w.groups), strays)
			}
			return 0
		}
	}
}

func killAll(groups map[int]time.Time) {
	for pgid := range groups {
		killGroup(pgid)
	}
}

// lifeline is standard input: the pipe whose other end the node holds.
type lifeline struct {
	file *os.File
	buf  [16 << 10]byte
}

func newLifeline() (*lifeline, error) {
	if err := syscall.SetNonblock(0, true); err != nil {
		return nil, err
	}
	return &lifeline{file: os.NewFile(0, "lifeline")}, nil
}

// receive waits for the node's next words. The error is os.ErrDeadlineExceeded
// when until has passed and nothing has come: what already lies in the pipe then
// counts, however late this process looks. Any other error is the node's end.
func (l *lifeline) receive(until time.Time) ([]byte, error) {
	if err := l.file.SetReadDeadline(until); err != nil {
		return nil, err
	}
	n, err := l.file.Read(l.buf[:])
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return l.buf[:n], err
	}
	n, now := syscall.Read(0, l.buf[:])
	switch {
	case n > 0:
		return l.buf[:n], nil
	case now == syscall.EAGAIN || now == syscall.EINTR:
		return nil, err
	case now != nil:
		return nil, now
	default:
		return nil, os.ErrClosed // the end of the file, while the deadline passed
	}
}

// say tells the operator, on the node's standard error, what happened here. A
// terminal that hangs must not keep this process.
func say(format string, args ...any) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		fmt.Fprintf(os.Stderr, "carillon watcher %d: %s\n", os.Getpid(), fmt.Sprintf(format, args...))
	}()
	select {
	case <-said:
	case <-time.After(200 * time.Millisecond):
	}
}
