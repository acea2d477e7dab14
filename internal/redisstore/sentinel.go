package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// sentinelErrors says what a failed connection by sentinels means.
//
// "I do not know that master" is redis.Nil on their side, which would be read as "no
// such key" on ours. And a master that refuses connections proves that nobody gets
// through only as long as most sentinels name no other one: a node that hears of a dead
// master from a sentinel on its side of a cut must not let its leases stand still, while
// the other side has a new master and gives its runs to somebody else.
type sentinelErrors struct {
	*target
	client redis.Options

	mu        sync.Mutex
	asked     time.Time
	refused   string // the address that was asked about
	confirmed bool
}

func (h *sentinelErrors) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		switch {
		case err == nil:
			return conn, nil
		case errors.Is(err, redis.Nil):
			return nil, &Error{Op: "ask the sentinels", Class: Transient, Err: fmt.Errorf("no master %q", h.master),
				Hint: "is the name after the address of the sentinels the one that they monitor?"}
		case h.noSentinel(err) != nil:
			return nil, h.noSentinel(err)
		case ClassOf(err) == Down && !h.confirm(ctx, err):
			return nil, notDown("connect to "+h.name(), err)
		}
		return nil, err
	}
}

func (*sentinelErrors) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (*sentinelErrors) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// confirm asks all sentinels, at most a few times a second, whether the address that
// refused us is the master. Most of them have to say so.
func (h *sentinelErrors) confirm(ctx context.Context, err error) bool {
	var op *net.OpError
	if !errors.As(err, &op) || op.Addr == nil {
		return false
	}
	refused := op.Addr.String()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refused == refused && time.Since(h.asked) < 3*lookPause {
		return h.confirmed
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	says := make(chan bool, len(h.sentinels))
	for _, addr := range h.sentinels {
		go func() { says <- h.names(ctx, addr, refused) }()
	}
	votes := 0
	for range h.sentinels {
		if <-says {
			votes++
		}
	}
	h.asked, h.refused, h.confirmed = time.Now(), refused, 2*votes > len(h.sentinels)
	return h.confirmed
}

// names asks a sentinel whether the master has this address.
func (h *sentinelErrors) names(ctx context.Context, sentinel, address string) bool {
	o := redis.Options{Addr: sentinel, Dialer: h.client.Dialer}
	c := redis.NewSentinelClient(honest(&o, askPatience, 1))
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })() // a context does not end a read
	master, err := c.GetMasterAddrByName(ctx, h.master).Result()
	if err != nil || len(master) != 2 {
		return false
	}
	named := net.JoinHostPort(master[0], master[1])
	if named == address {
		return true
	}
	resolved, err := net.ResolveTCPAddr("tcp", named) // a sentinel may know names
	return err == nil && resolved.String() == address
}
