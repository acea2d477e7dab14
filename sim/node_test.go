package sim

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"carillon"
	"carillon/internal/lab"
	"carillon/jobs"
)

// member is a node of the cluster through all its lives.
type member struct {
	w      *world
	name   string
	labels map[string]string
	skew   atomic.Int64

	mu      sync.Mutex
	current *life
	lives   int
	version int // of the schedule file on its disk
}

// life is one process.
type life struct {
	member    *member
	number    int
	port      *port
	node      *carillon.Node
	cancel    context.CancelFunc
	schedules chan *jobs.Schedule
	dead      chan struct{} // closed when the process is killed
	gone      chan struct{} // closed when Run has returned
	err       error         // of Run

	mu      sync.Mutex
	killed  bool
	told    bool // to end
	frozen  bool
	changed chan struct{} // closed at the next change of frozen
}

func (l *life) name() string { return fmt.Sprintf("%s/%d", l.member.name, l.number) }

func (l *life) isDead() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.killed }

func (l *life) state() (frozen bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frozen, l.changed
}

// freeze stops the process, or lets it go on.
func (l *life) freeze(on bool) {
	l.port.set(func() { l.port.frozen = on })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen != on {
		l.frozen = on
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// boot starts the node unless it lives.
func (m *member) boot() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current != nil || m.w.closed.Load() {
		return
	}
	m.lives++
	l := &life{member: m, number: m.lives, schedules: make(chan *jobs.Schedule, 4), dead: make(chan struct{}), gone: make(chan struct{}),
		changed: make(chan struct{})}
	l.port = newPort(m.w, l.name(), l)
	n, err := carillon.New(carillon.Options{
		Schedule: m.w.files[m.version], Funcs: map[string]carillon.Func{"work": m.w.work(l)},
		Redis: "redis://127.0.0.1:6379/0", Node: m.name, Slots: 4, Labels: m.labels,
		LeaderTTL: m.w.p.ttl, Lease: m.w.p.lease, Drain: 2 * time.Second, Grace: time.Second,
		Logger: slog.New(&voice{w: m.w, who: l.name()}),
	})
	if err != nil {
		panic(err)
	}
	l.node = n
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	m.current = l
	m.w.log("%s starts", l.name())
	m.w.lives.Go(func() {
		defer close(l.gone)
		l.err = n.Run(lab.With(ctx, lab.Lab{Dialer: l.port.dial, Schedules: l.schedules,
			Skew: func() time.Duration { return time.Duration(m.skew.Load()) }}))
		l.port.cut(true)
		m.ended(l)
	})
}

// ended is what a supervisor does when a process ends by itself.
func (m *member) ended(l *life) {
	l.mu.Lock()
	expected := l.killed || l.told
	l.mu.Unlock()
	if expected {
		return
	}
	m.w.log("%s ended by itself: %v", l.name(), l.err)
	m.leave(l)
	m.w.after(time.Second, m.boot)
}

func (m *member) leave(l *life) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current == l {
		m.current = nil
	}
}

// living is the node's process, or nil.
func (m *member) living() *life {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current
}

// deploy puts a version of the file on the node's disk, and has it reloaded.
func (m *member) deploy(version int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version == version {
		return
	}
	m.version = version
	if m.current != nil {
		m.w.log("%s gets version %d of the schedule", m.current.name(), version+1)
		select {
		case m.current.schedules <- m.w.files[version]:
		default:
		}
	}
}

// crash kills a process: nothing of it goes on, nothing it sent is on its way. It is
// started again after a while.
func (w *world) crash(l *life, down time.Duration) {
	if l == nil { // the operator has no process
		return
	}
	l.mu.Lock()
	if l.killed {
		l.mu.Unlock()
		return
	}
	l.killed = true
	close(l.dead)
	l.mu.Unlock()
	w.log("%s is killed", l.name())
	l.port.cut(true)
	l.cancel()
	l.member.leave(l)
	w.after(down, l.member.boot)
}

// stop tells a process to end, as SIGTERM does.
func (w *world) stop(l *life, down time.Duration) {
	l.mu.Lock()
	l.told = true
	l.mu.Unlock()
	w.log("%s is told to end", l.name())
	l.cancel()
	w.lives.Go(func() {
		<-l.gone
		w.log("%s has ended: %v", l.name(), l.err)
		l.member.leave(l)
		w.after(down, l.member.boot)
	})
}

// voice takes what a node logs into the log of the seed.
type voice struct {
	w     *world
	who   string
	attrs []slog.Attr
}

func (v *voice) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (v *voice) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	add := func(a slog.Attr) bool { text += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true }
	for _, a := range v.attrs {
		add(a)
	}
	r.Attrs(add)
	v.w.log("  %s: %s", v.who, text)
	return nil
}

func (v *voice) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &voice{w: v.w, who: v.who, attrs: append(append([]slog.Attr(nil), v.attrs...), attrs...)}
}

func (v *voice) WithGroup(string) slog.Handler { return v }
