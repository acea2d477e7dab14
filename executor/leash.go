package executor

import (
	"sync"
	"syscall"
	"time"
)

// leashes are the process groups that this node has running, by the token of
// their attempt. An attempt is known from before its command starts until
// before its leader is reaped, so a signal sent here meets the right group.
type leashes struct {
	mu      sync.Mutex
	held    map[string]*leash
	watcher *Watcher
	closed  bool
}

// leash holds one attempt's process group.
type leash struct {
	pgid     int       // 0 until the command has started
	deadline time.Time // zero: none
	lapsed   bool      // the deadline passed once: the watcher has killed the group
	killed   bool      // before it had started
}

// take announces an attempt that is about to start a command, and starts the
// watcher when it is the node's first.
func (l *leashes) take(at Attempt, newWatcher func() (*Watcher, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrDraining
	}
	if l.watcher == nil {
		w, err := newWatcher()
		if err != nil {
			return err
		}
		l.watcher = w
	}
	if l.held == nil {
		l.held = map[string]*leash{}
	}
	l.held[at.Claim.Token] = &leash{deadline: at.Deadline}
	return nil
}

// started says which process group the attempt has become. A node that is
// stopped in the instant between the start of a command and this cannot have it
// watched: the command then lives until the node goes on, or dies.
func (l *leashes) started(token string, pgid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held[token]
	held.pgid = pgid
	if held.killed {
		killGroup(pgid)
	}
	if l.closed {
		return
	}
	l.watcher.Watch(pgid, held.deadline)
}

// drop forgets an attempt and reports whether its deadline had passed. The
// group must be dead and its leader not yet reaped.
func (l *leashes) drop(token string) (overdue bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held[token]
	delete(l.held, token)
	if held.pgid != 0 && !l.closed {
		l.watcher.Done(held.pgid)
	}
	return held.overdue(time.Now())
}

func (h *leash) overdue(now time.Time) bool {
	return h.lapsed || !h.deadline.IsZero() && now.After(h.deadline)
}

func (l *leashes) extend(deadline time.Time, tokens []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var groups []int
	for _, token := range tokens {
		held := l.held[token]
		if held == nil {
			continue
		}
		held.lapsed = held.overdue(now)
		held.deadline = deadline
		if held.pgid != 0 {
			groups = append(groups, held.pgid)
		}
	}
	if len(groups) > 0 && !l.closed {
		l.watcher.Extend(deadline, groups...)
	}
}

func (l *leashes) kill(tokens []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, token := range tokens {
		held := l.held[token]
		switch {
		case held == nil:
		case held.pgid == 0:
			held.killed = true
		default:
			killGroup(held.pgid)
		}
	}
}

func (l *leashes) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	if l.watcher != nil {
		l.watcher.Close()
	}
}

// killGroup ends every process of a group. That there is none left is no error,
// nor is one that this node may not signal: it runs as somebody else by its own
// doing.
func killGroup(pgid int) { signalGroup(pgid, syscall.SIGKILL) }

func signalGroup(pgid int, sig syscall.Signal) {
	if pgid > 1 { // -1 would be every process there is
		syscall.Kill(-pgid, sig)
	}
}
