package leader_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	redsyncredis "github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
	"carillon/leader"
)

// testSeat is a Seat as the store makes one, in small: the lock, the term and
// a channel for the hint.
type testSeat struct {
	pool   *redis.Client
	client *redis.Client
	ns     string

	lockLink *redistest.Link // of the lock's connections
	link     *redistest.Link // of all others

	vacant   chan struct{}
	resigned chan string // tokens that were given back

	mu        sync.Mutex
	afterLock func() // called once when the lock was taken, before Install
}

// newSeat connects to a server. Its listener for hints, if deaf is false, ends
// with the test.
func newSeat(t testing.TB, dial redistest.DialFunc, addr, ns string, deaf bool) *testSeat {
	t.Helper()
	s := &testSeat{
		ns:       ns,
		lockLink: redistest.NewLink(dial),
		link:     redistest.NewLink(dial),
		vacant:   make(chan struct{}, 1),
		resigned: make(chan string, 100),
	}
	connect := func(l *redistest.Link) *redis.Client {
		c := redis.NewClient(&redis.Options{
			Addr: addr, Dialer: l.Dial, DialTimeout: time.Second, DialerRetries: 1,
			MaxRetries: -1, ContextTimeoutEnabled: true, PoolSize: 2,
			ReadTimeout: time.Second, WriteTimeout: time.Second,
			Protocol: 2, DisableIdentity: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		return c
	}
	s.pool, s.client = connect(s.lockLink), connect(s.link)
	if deaf {
		return s
	}
	sub := connect(redistest.NewLink(dial)).Subscribe(context.Background(), s.key("control"))
	_, err := sub.Receive(context.Background()) // the subscription is in place
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			msg, err := sub.ReceiveMessage(context.Background())
			if err != nil {
				return // closed
			}
			select {
			case s.vacant <- struct{}{}:
			default:
			}
			_ = msg
		}
	}()
	t.Cleanup(func() { _ = sub.Close(); <-done })
	return s
}

func (s *testSeat) key(name string) string { return "{" + s.ns + "}:" + name }

func (s *testSeat) Pool() redsyncredis.Pool { return goredis.NewPool(s.pool) }
func (s *testSeat) LockKey() string         { return s.key("leader") }

var installScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0, now} end
local old = tonumber(redis.call('HGET', KEYS[2], 'epoch') or '0')
local epoch = math.max(old + 1, now)
redis.call('HSET', KEYS[2], 'epoch', string.format('%.0f', epoch), 'node', ARGV[2])
return {epoch, now}`)

func (s *testSeat) Install(ctx context.Context, token, node string) (int64, time.Time, error) {
	s.mu.Lock()
	hook := s.afterLock
	s.afterLock = nil
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	r, err := installScript.Run(ctx, s.client, []string{s.LockKey(), s.key("term")}, token, node).Int64Slice()
	if err != nil {
		return 0, time.Time{}, err
	}
	if r[0] == 0 {
		return 0, time.Time{}, leader.ErrFenced
	}
	return r[0], time.UnixMilli(r[1]), nil
}

func (s *testSeat) Holder(ctx context.Context) (string, time.Duration, error) {
	var token *redis.StringCmd
	var ttl *redis.DurationCmd
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		token, ttl = p.Get(ctx, s.LockKey()), p.PTTL(ctx, s.LockKey())
		return nil
	})
	if err == redis.Nil {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	return token.Val(), ttl.Val(), nil
}

func (s *testSeat) Resigned(ctx context.Context, token, node string) error {
	s.resigned <- token
	return s.client.Publish(ctx, s.key("control"), "vacant").Err()
}

func (s *testSeat) Vacancies() <-chan struct{} { return s.vacant }

// write is a leader's write as every script does it: refused unless the lock
// holds the token.
func (s *testSeat) write(ctx context.Context, token, value string) error {
	ok, err := writeScript.Run(ctx, s.client, []string{s.LockKey(), s.key("data")}, token, value).Int()
	if err != nil {
		return err
	}
	if ok == 0 {
		return leader.ErrFenced
	}
	return nil
}

var writeScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[2])
return 1`)

// tcp dials as go-redis would.
func tcp(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}
