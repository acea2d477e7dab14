package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	redsyncredis "github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"

	"carillon/leader"
)

// voters are the lock Redises: independent of each other, and of the data, which
// may be on one of them.
type voters struct {
	clients []*redis.Client
	names   []string
	digest  string
}

// mostVoters keeps an election to a handful of answers.
const mostVoters = 9

// parseVoters reads the addresses of the lock Redises. What it says of bad ones
// never has a password in it.
func parseVoters(urls []string) (targets []*target, digest string, err error) {
	if n := len(urls); n == 0 {
		return nil, "", nil
	} else if n < 3 || n%2 == 0 || n > mostVoters {
		return nil, "", fmt.Errorf("%d lock Redises: expected 3, 5, 7 or 9: more than half of them must live, so %s", n, map[bool]string{
			true:  "one more of an even number only adds what can fail",
			false: "with fewer than 3 none may fail, and many make elections slow",
		}[n%2 == 0])
	}
	var names []string
	for _, raw := range urls {
		t, err := parseURL(raw)
		if err != nil {
			return nil, "", fmt.Errorf("lock Redis: %w", err)
		}
		if t.sentinels != nil || t.nodes != nil {
			return nil, "", fmt.Errorf("lock Redis: %s: sentinels and clusters fail over to a replica that may not have heard of the lock; name single Redises", Redact(raw))
		}
		name := t.Addr + "/" + strconv.Itoa(t.DB)
		if slices.Contains(names, name) {
			return nil, "", fmt.Errorf("lock Redis: %s is there twice; it would have two votes", name)
		}
		targets, names = append(targets, t), append(names, name)
	}
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(names, " ")))
	return targets, fmt.Sprintf("%d:%s", len(urls), hex.EncodeToString(sum[:4])), nil
}

// CheckLockRedis says what is wrong with a list of lock Redises.
func CheckLockRedis(urls []string) error {
	_, _, err := parseVoters(urls)
	return err
}

func (s *Store) openVoters() error {
	targets, digest, err := parseVoters(s.opts.LockRedis)
	if err != nil {
		return err
	}
	s.voters.digest = digest
	for _, t := range targets {
		if s.opts.Dialer != nil {
			t.Dialer = s.opts.Dialer
		}
		s.voters.clients = append(s.voters.clients, client(t, 2*time.Second, 8))
		s.voters.names = append(s.voters.names, t.name())
	}
	return nil
}

func (v *voters) close() error {
	var errs []error
	for _, c := range v.clients {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// LockList names the list of lock Redises: how many, and a digest of their
// addresses in any order; "" when the lock is on the Redis of the data. Nodes with
// different lists hold different elections.
func (s *Store) LockList() string { return s.voters.digest }

// PingLocks asks each lock Redis whether it serves us: nil for one that does.
func (s *Store) PingLocks(ctx context.Context) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	answers := make([]chan error, len(s.voters.clients))
	for i, c := range s.voters.clients {
		answers[i] = make(chan error, 1)
		go func() {
			// As the election does it: a reader's rights are not enough.
			answers[i] <- wrap("use the lock Redis at "+s.voters.names[i], c.Del(ctx, s.keys.probe()).Err())
		}()
	}
	all := make(map[string]error, len(answers))
	for i, ch := range answers {
		all[s.voters.names[i]] = <-ch
	}
	return all
}

// PingLocks is the same for somebody who is no node. The error is about the list.
func PingLocks(ctx context.Context, urls []string, namespace string) (map[string]error, error) {
	if len(urls) == 0 {
		return nil, nil
	}
	// The address of the data is not used: nothing connects before it is asked.
	s, err := Open(Options{URL: urls[0], LockRedis: urls, Namespace: namespace})
	if err != nil {
		return nil, err
	}
	answers := s.PingLocks(ctx)
	return answers, s.Close()
}

// Quorum is the election over the lock Redises; nil when there are none.
func (s *Store) Quorum() leader.Quorum {
	if len(s.voters.clients) == 0 {
		return nil
	}
	return quorum{s}
}

// quorum is the Store as leader.Quorum sees it.
type quorum struct{ store *Store }

func (q quorum) Pools() []redsyncredis.Pool {
	pools := make([]redsyncredis.Pool, len(q.store.voters.clients))
	for i, c := range q.store.voters.clients {
		pools[i] = goredis.NewPool(c)
	}
	return pools
}

func (q quorum) LockName() string { return q.store.keys.lock() }

func (q quorum) Propose(ctx context.Context, i int, token string, floor int64) (granted bool, known int64, err error) {
	return q.vote(ctx, i, token, 0, floor)
}

func (q quorum) Record(ctx context.Context, i int, token string, epoch int64) (granted bool, known int64, err error) {
	return q.vote(ctx, i, token, epoch, 0)
}

func (q quorum) vote(ctx context.Context, i int, token string, epoch, floor int64) (bool, int64, error) {
	s := q.store
	op := "ask the lock Redis at " + s.voters.names[i]
	reply, err := s.evalSeeing(ctx, s.voters.clients[i], nil, voteScript, []string{s.keys.probe(), s.keys.lock(), s.keys.lockEpoch()},
		[]any{token, epoch, floor})
	if err != nil {
		return false, 0, wrap(op, err)
	}
	r, ok := reply.([]any)
	if !ok || len(r) != 2 {
		return false, 0, fmt.Errorf("%s: unexpected reply %v", op, reply)
	}
	return toInt(r[0]) == 1, toInt(r[1]), nil
}

func (q quorum) InstallAt(ctx context.Context, token, node string, epoch int64, ttl time.Duration) (leader.Installed, error) {
	s := q.store
	reply, err := s.eval(ctx, installScript, []string{s.keys.probe(), s.keys.leader(), s.keys.term(), s.keys.events(), s.keys.sequence()},
		token, node, epoch, ttl.Milliseconds())
	if err != nil {
		return leader.Installed{}, fmt.Errorf("install the token: %w", err)
	}
	r, ok := reply.([]any)
	switch {
	case ok && len(r) == 2 && toInt(r[0]) == 1:
		return leader.Installed{OK: true, Since: fromMillis(toInt(r[1]))}, nil
	case ok && len(r) == 3:
		return leader.Installed{Epoch: toInt(r[1]), Holder: toString(r[2])}, nil
	}
	return leader.Installed{}, fmt.Errorf("install the token: unexpected reply %v", reply)
}

// Prolong is one try on the connections of the lock: whoever asks knows how often
// to ask again.
func (q quorum) Prolong(ctx context.Context, token string, ttl time.Duration) (bool, error) {
	return q.onLeader(ctx, "renew the leader's token", prolongScript, token, ttl.Milliseconds())
}

func (q quorum) Uninstall(ctx context.Context, token string) (bool, error) {
	return q.onLeader(ctx, "remove the leader's token", uninstallScript, token)
}

func (q quorum) onLeader(ctx context.Context, op string, sc *script, args ...any) (bool, error) {
	s := q.store
	reply, err := s.evalSeeing(ctx, s.lead, nil, sc, []string{s.keys.probe(), s.keys.leader()}, args)
	if err != nil {
		return false, wrap(op, err)
	}
	return toInt(reply) == 1, nil
}
