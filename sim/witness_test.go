package sim

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"carillon/jobs"
)

// witness sees what scripts were asked and what they answered, on the server's side of
// every fault, and every event. It knows what must never be answered, and counts
// what a campaign must have seen.
type witness struct {
	w *world

	mu       sync.Mutex
	claims   map[string]claimed
	epoch    int64
	states   map[string]jobs.State // of every run of this era, by the events
	attempts map[string]int
	sights   map[string]int
	triggers map[string]string // of this era: request -> run
}

const runKey = "{carillon}:run:"

type claimed struct {
	token string
	at    time.Time
}

func newWitness(w *world) *witness {
	return &witness{w: w, claims: map[string]claimed{}, states: map[string]jobs.State{}, attempts: map[string]int{}, sights: map[string]int{},
		triggers: map[string]string{}}
}

// forget begins a new era: the data is gone.
func (s *witness) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims, s.states, s.attempts, s.triggers = map[string]claimed{}, map[string]jobs.State{}, map[string]int{}, map[string]string{}
	if s.w.redisWentBack.Load() {
		s.epoch = 0 // it follows the clock
	}
}

func (s *witness) sight(what string) { s.sights[what]++ }

// saw looks at one call and its answer.
func (s *witness) saw(who string, cmd *command, reply any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, _ := strconv.Atoi(cmd.args[2])
	argv := cmd.args[3+keys:][1:] // without the prefix
	list, _ := reply.([]any)
	if err, bad := reply.(error); bad {
		switch word, _, _ := strings.Cut(err.Error(), " "); word {
		case "NOSCRIPT", "FORGOT", "REOPENED":
			s.sight(word)
		default:
			s.w.broken("I6", "%s: script %s failed: %v", who, cmd.script, err)
		}
		return
	}
	if leaderScripts[cmd.script] && len(list) > 0 {
		if list[0] != int64(1) {
			s.sight("fenced " + cmd.script)
		} else if argv[0] != cmd.holder {
			s.w.broken("I3", "%s: %s accepted the token %s while %q held the seat", who, cmd.script, argv[0], cmd.holder)
		}
	}
	switch cmd.script {
	case "claim":
		if len(list) < 3 {
			return
		}
		for v := list[3:]; len(v) >= 10; v = v[10:] {
			id, _ := v[0].(string)
			token, _ := v[1].(string)
			if had := s.claims[id]; had.token == token {
				s.sight("claim repeated")
			} else {
				s.claims[id] = claimed{token, time.Now()}
			}
		}
	case "finish":
		for i, answer := range list[:len(list)-1] {
			id, token, state := argv[2+9*i], argv[3+9*i], argv[4+9*i]
			if answer == "ok" && s.w.redis.m.HGet(runKey+id, "ended") == token {
				s.sight("finish said again, after something else had become of it")
			} else if answer == "ok" {
				s.mine(who, "finish as "+state, id, token)
			} else {
				s.sight(fmt.Sprint("finish ", answer))
			}
		}
	case "renew":
		for i, answer := range list {
			if id, token := argv[2+2*i], argv[3+2*i]; answer != "lost" {
				s.mine(who, "renew", id, token)
			} else {
				s.sight("renew lost")
			}
		}
	case "step", "undone":
		if reply == "ok" {
			s.mine(who, cmd.script, argv[0], argv[1])
		} else {
			s.sight(fmt.Sprint(cmd.script, " ", reply))
		}
	case "term":
		if len(list) == 3 && list[0] == int64(1) {
			epoch, _ := list[1].(int64)
			if epoch < s.epoch {
				s.w.broken("I3", "%s: the epoch went back from %d to %d", who, s.epoch, epoch)
			}
			s.epoch = epoch
		}
	}
}

// mine: what was accepted for a run must carry the token of its last claim.
func (s *witness) mine(who, what, id, token string) {
	last, known := s.claims[id]
	if known && last.token != token && last.at.Before(time.Now()) {
		s.w.broken("I3", "%s: %s of %s was accepted with the token %s; it was claimed with %s at %s", who, what, id, token, last.token, since(last.at))
	}
}

// follows is the state that an event puts its run in; "" if it says nothing of that.
func follows(e jobs.Event, from jobs.State) jobs.State {
	switch e.Type {
	case jobs.EventQueued, jobs.EventRunning, jobs.EventRetrying, jobs.EventSucceeded, jobs.EventFailed,
		jobs.EventCanceled, jobs.EventRollingBack, jobs.EventRolledBack, jobs.EventRollbackFailed:
		return jobs.State(e.Type)
	case jobs.EventReleased, jobs.EventParked, jobs.EventCrashed:
		if from == jobs.RollingBack {
			return from
		}
		return jobs.Queued
	}
	return ""
}

// heard follows every run through its states.
func (s *witness) heard(batch []jobs.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range batch {
		s.sight("event " + string(e.Type))
		if e.Run == "" || e.Type == jobs.EventSkipped {
			continue
		}
		from, known := s.states[e.Run]
		to := follows(e, from)
		switch {
		case to == "":
			continue
		case !known && s.w.era.Load() > 0 && (to == jobs.Running || to == jobs.RollingBack):
			s.sight("recalled") // its node knew it when Redis did not
		case s.w.era.Load() > 0 && from == jobs.Running && to == from:
			s.sight("recalled by a later attempt") // the node of an earlier one came first
		case !known && to != jobs.Queued:
			s.w.broken("I6", "%s is %s and was never queued", e.Run, to)
		case known && to == jobs.Queued && e.Type == jobs.EventQueued && from != jobs.Retrying:
			s.w.broken("I1", "%s was queued again: it is %s", e.Run, from)
		case known && !from.CanMove(to) && (from != jobs.RollingBack || to != from):
			s.w.broken("I6", "%s went from %s to %s (%s)", e.Run, from, to, e.Type)
		}
		if e.Type == jobs.EventFailed {
			for _, why := range []string{"outcome unknown", "quarantined", "no live node", "node gone"} {
				if strings.Contains(e.Error, why) {
					s.sight("failed: " + why)
				}
			}
		}
		s.states[e.Run] = to
	}
}
