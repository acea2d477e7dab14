package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	redsyncredis "github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"

	"carillon/jobs"
	"carillon/leader"
)

// Pool is the lock's view of Redis: a client of its own, so that a renewal never
// waits behind other work.
func (s *Store) Pool() redsyncredis.Pool { return goredis.NewPool(s.lead) }

// LockKey is the key of the leader's lock. Its value is the term's token.
func (s *Store) LockKey() string { return s.keys.leader() }

// Install begins the term of token, which must hold the lock: leader.ErrFenced
// otherwise. The epoch is greater than every epoch before it.
func (s *Store) Install(ctx context.Context, token, node string) (epoch int64, since time.Time, err error) {
	reply, err := s.eval(ctx, termScript,
		[]string{s.keys.probe(), s.keys.leader(), s.keys.term(), s.keys.events(), s.keys.sequence()}, token, node)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("begin the term: %w", err)
	}
	r, ok := reply.([]any)
	if !ok || len(r) < 2 {
		return 0, time.Time{}, fmt.Errorf("begin the term: unexpected reply %v", reply)
	}
	if toInt(r[0]) != 1 {
		return 0, time.Time{}, fmt.Errorf("begin the term: the lock is held by %q: %w", toString(r[1]), leader.ErrFenced)
	}
	return toInt(r[1]), fromMillis(toInt(r[2])), nil
}

// Holder returns the token that holds the lock and how long it will without a
// renewal; "" when the seat is vacant.
func (s *Store) Holder(ctx context.Context) (token string, ttl time.Duration, err error) {
	pipe := s.lead.Pipeline()
	get := pipe.Get(ctx, s.keys.leader())
	pttl := pipe.PTTL(ctx, s.keys.leader())
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return "", 0, wrap("read the leader's lock", err)
	}
	if errors.Is(get.Err(), redis.Nil) {
		return "", 0, nil
	}
	return get.Val(), max(pttl.Val(), 0), nil
}

// Resigned tells the others that the seat is vacant.
func (s *Store) Resigned(ctx context.Context, token, node string) error {
	if err := s.cmd.Publish(ctx, s.keys.control(), controlVacant).Err(); err != nil {
		return wrap("announce the vacant seat", err)
	}
	return s.Announce(ctx, jobs.Event{Type: jobs.EventResigned, Node: node})
}

// Vacancies rings when a leader said that it resigned. It is a hint: ReceiveControl
// feeds it, and a message may be lost.
func (s *Store) Vacancies() <-chan struct{} { return s.vacant }

// The messages of the control channel.
const (
	controlVacant = "vacant"
	controlCancel = "cancel " // and the id of a run
)

// ReceiveControl listens to the control channel until ctx ends.
func (s *Store) ReceiveControl(ctx context.Context) error {
	return s.receive(ctx, s.keys.control(), func(payload string, _ bool) {
		if id, ok := strings.CutPrefix(payload, controlCancel); ok {
			select {
			case s.cancels <- id:
			default: // the next renewal says it too
			}
			return
		}
		if payload != controlVacant && payload != "" {
			return
		}
		// After a gap the seat may have become vacant unheard.
		select {
		case s.vacant <- struct{}{}:
		default:
		}
	})
}

// Announce publishes an event that no script publishes.
func (s *Store) Announce(ctx context.Context, e jobs.Event) error {
	body, err := json.Marshal(wireEvent{Type: e.Type, Job: e.Job, Run: e.Run, Node: e.Node, Reason: e.Reason, Error: e.Error})
	if err != nil {
		return fmt.Errorf("announce %s: %w", e.Type, err)
	}
	_, err = s.eval(ctx, announceScript, []string{s.keys.probe(), s.keys.events(), s.keys.sequence()}, string(body))
	return err
}

// Leader returns who holds the seat now; false when nobody does.
func (s *Store) Leader(ctx context.Context) (jobs.Leadership, bool, error) {
	pipe := s.cmd.Pipeline()
	get := pipe.Get(ctx, s.keys.leader())
	term := pipe.HMGet(ctx, s.keys.term(), "epoch", "node", "since", "token")
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return jobs.Leadership{}, false, wrap("read the leader", err)
	}
	if get.Err() != nil {
		return jobs.Leadership{}, false, nil
	}
	v := term.Val()
	l := jobs.Leadership{Token: get.Val()}
	if len(v) == 4 && toString(v[3]) == l.Token {
		l.Epoch, l.Node, l.Since = toInt(v[0]), toString(v[1]), fromMillis(toInt(v[2]))
	}
	return l, true, nil
}
