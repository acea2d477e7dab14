package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/lmittmann/tint"

	"carillon/jobs"
)

// logKind is the value of --log.
type logKind string

const (
	logText logKind = "text"
	logJSON logKind = "json"
)

// String, Set and Type make logKind a flag value.
func (l *logKind) String() string { return string(*l) }

// Set accepts text or json.
func (l *logKind) Set(s string) error {
	switch k := logKind(s); k {
	case logText, logJSON:
		*l = k
		return nil
	}
	return fmt.Errorf("text or json")
}

// Type is the word for the value in help texts.
func (l *logKind) Type() string { return "text|json" }

// logger writes what a node says to stderr. A terminal is read as it scrolls
// and needs no date; a file is read much later.
func (a *app) logger(kind logKind) *slog.Logger {
	if kind == logJSON {
		return slog.New(slog.NewJSONHandler(a.stderr, nil))
	}
	layout := time.RFC3339
	if a.stderrTTY {
		layout = "15:04:05.000"
	}
	return slog.New(tint.NewTextHandler(a.stderr, &tint.Options{NoColor: !a.colours(a.stderrTTY), TimeFormat: layout}))
}

// eventLog writes events into a node's log. Every node hears of everything;
// each writes what concerns it, so that the logs of a fleet, put together, hold
// each event of a run once.
type eventLog struct {
	log     *slog.Logger
	node    string
	leader  func() string // who leads, asked after each gap
	leading bool          // this node, as far as the events tell
	started bool          // the first subscription is no news
}

func (l *eventLog) batch(events []jobs.Event, resync bool) error {
	if resync && l.started {
		l.log.Warn("events may be missing in this log: the connection was lost, or they came too fast")
	}
	l.started = true
	if resync {
		l.leading = l.leader() == l.node
	}
	for _, e := range events {
		switch e.Type {
		case jobs.EventLeader:
			l.leading = e.Node == l.node
		case jobs.EventResigned, jobs.EventDeposed:
			l.leading = l.leading && e.Node != l.node
		}
		if concerns(e, l.node, l.leading) {
			l.log.LogAttrs(context.Background(), eventLevel(e), eventTitle(e), eventAttrs(e)...)
		}
	}
	return nil
}

// concerns reports whether a node's log should have the event: what happened
// on it, what happens to the other nodes, and, for the leader, what happened on
// no node. Its own comings and goings, and what each node finds out by itself, it
// has in its log already.
func concerns(e jobs.Event, node string, leading bool) bool {
	switch e.Type {
	case jobs.EventLeader, jobs.EventResigned, jobs.EventNodeUp, jobs.EventNodeDown:
		return e.Node != node
	case jobs.EventReloaded, jobs.EventAmnesia, jobs.EventReplicasMissing, jobs.EventReplicasBack:
		return false
	}
	return e.Node == node || e.Node == "" && leading
}

// saidGoodbye: the node was stopped, and told the others.
func saidGoodbye(e jobs.Event) bool { return e.Type == jobs.EventNodeDown && e.Reason == "stopped" }

func eventLevel(e jobs.Event) slog.Level {
	if saidGoodbye(e) {
		return slog.LevelInfo
	}
	switch e.Type {
	case jobs.EventFailed, jobs.EventMissed, jobs.EventRollbackFailed, jobs.EventUnroutable:
		return slog.LevelError
	case jobs.EventRollingBack, jobs.EventRolledBack, jobs.EventCanceled, jobs.EventCancelAsked, jobs.EventPaused, jobs.EventSilent, jobs.EventDeposed:
		return slog.LevelWarn
	case jobs.EventCrashed, jobs.EventRetrying, jobs.EventSkipped, jobs.EventParked, jobs.EventReleased, jobs.EventSuperseded, jobs.EventNodeDown:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

func eventTitle(e jobs.Event) string {
	if saidGoodbye(e) {
		return "node was stopped"
	}
	switch e.Type {
	case jobs.EventNodeUp:
		return "node is up"
	case jobs.EventNodeDown:
		return "node is gone"
	case jobs.EventLeader:
		return "leads now"
	case jobs.EventSilent:
		return "this leader is silent, another node finds"
	case jobs.EventDeposed:
		return "this leader is deposed"
	case jobs.EventStep:
		return "step started"
	case jobs.EventUnroutable:
		return "no live node may take it"
	default:
		return strings.ReplaceAll(string(e.Type), "_", " ") // "rolled back"
	}
}

func eventAttrs(e jobs.Event) []slog.Attr {
	var attrs []slog.Attr
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	number := func(key string, value int64) {
		if value != 0 {
			attrs = append(attrs, slog.Int64(key, value))
		}
	}
	way := inTheWay(e)
	if e.Run != "" && way == "" {
		text("run", e.Run)
	} else {
		text("job", e.Job)
	}
	text("step", e.Step)
	text("by", e.By)
	text("node", e.Node)
	number("attempt", int64(e.Attempt))
	text("tick", tickRange(e))
	number("count", int64(e.Count))
	number("epoch", e.Epoch)
	if !saidGoodbye(e) {
		text("reason", e.Reason)
	}
	text("in_the_way", way)
	text("error", e.Error)
	return attrs
}
