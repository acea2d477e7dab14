package main

import (
	"fmt"
	"strings"

	"carillon/jobs"
)

// eventLine is one event for a reader: when, what, of which run, job or node,
// and what else is known.
func eventLine(e jobs.Event, colours bool) string {
	what := eventColour(e.Type).wrap(fmt.Sprintf("%-15s", e.Type), colours)
	words := append([]string{eventSubject(e)}, eventDetails(e)...)
	at := e.At.UTC().Format("15:04:05.000Z")
	return strings.TrimRight(at+"  "+what+"  "+oneLine(strings.Join(words, "  ")), " ")
}

func eventSubject(e jobs.Event) string {
	switch {
	case inTheWay(e) != "":
		return e.Job
	case e.Run != "":
		return e.Run
	case e.Job != "":
		return e.Job
	default:
		return e.Node
	}
}

// inTheWay is the run that kept a tick or a follow-on run from becoming one: a
// skipped event names it where others name the run they are about.
func inTheWay(e jobs.Event) string {
	if e.Type != jobs.EventSkipped {
		return ""
	}
	return e.Run
}

func eventDetails(e jobs.Event) []string {
	var words []string
	if e.Node != "" && (e.Run != "" || e.Job != "") {
		words = append(words, "on "+e.Node)
	}
	if e.Step != "" && e.Step != jobs.SoleStep {
		words = append(words, e.Step)
	}
	if e.By != "" {
		words = append(words, "by "+e.By)
	}
	if e.Attempt > 1 {
		words = append(words, fmt.Sprintf("attempt %d", e.Attempt))
	}
	if ticks := tickRange(e); ticks != "" {
		words = append(words, ticks)
	}
	if e.Count > 1 {
		words = append(words, fmt.Sprintf("%d ticks", e.Count))
	}
	if e.Epoch != 0 {
		words = append(words, fmt.Sprintf("epoch %d", e.Epoch))
	}
	for _, s := range []string{e.Reason, e.Error} {
		if s != "" {
			words = append(words, s)
		}
	}
	if way := inTheWay(e); way != "" {
		words = append(words, "in the way: "+way)
	}
	return words
}

// tickRange names the ticks of an event; the id of a run says its tick already.
func tickRange(e jobs.Event) string {
	first := e.Tick.UTC().Format(jobs.TickLayout)
	switch {
	case e.Tick.IsZero():
		return ""
	case e.Until.After(e.Tick):
		return first + " to " + e.Until.UTC().Format(jobs.TickLayout)
	case e.Run != "" && inTheWay(e) == "":
		return ""
	default:
		return first
	}
}

func eventColour(t jobs.EventType) colour {
	switch t {
	case jobs.EventSucceeded:
		return green
	case jobs.EventFailed, jobs.EventMissed, jobs.EventCrashed, jobs.EventRollbackFailed, jobs.EventUnroutable, jobs.EventSilent:
		return red
	case jobs.EventRollingBack, jobs.EventRolledBack, jobs.EventCanceled, jobs.EventCancelAsked, jobs.EventPaused:
		return yellow
	case jobs.EventRetrying, jobs.EventSkipped, jobs.EventParked, jobs.EventReleased, jobs.EventSuperseded, jobs.EventNodeDown, jobs.EventResigned, jobs.EventDeposed, jobs.EventReplicasMissing:
		return yellow
	case jobs.EventRunning, jobs.EventLeader, jobs.EventNodeUp, jobs.EventReloaded, jobs.EventResumed, jobs.EventUndone, jobs.EventRenamed, jobs.EventReplicasBack:
		return cyan
	default:
		return plain
	}
}
