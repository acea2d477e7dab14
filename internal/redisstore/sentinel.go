package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// sentinelErrors says what a failed connection by sentinels means: "I do not know that
// master" is redis.Nil on their side, which would be read as "no such key" on ours.
type sentinelErrors struct{ *target }

func (h sentinelErrors) DialHook(next redis.DialHook) redis.DialHook {
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
		}
		return nil, err
	}
}

func (sentinelErrors) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (sentinelErrors) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// noSentinel finds out of a failed look for the master whether those asked are no
// Sentinels at all: a Redis does not know what it is asked. nil: no such thing. As long
// as one of them may yet be a Sentinel, it is waited for.
func (t *target) noSentinel(err error) error {
	plain := strings.Count(strings.ToLower(err.Error()), "unknown command 'sentinel'") + strings.Count(strings.ToLower(err.Error()), "unknown command `sentinel`")
	if plain == 0 {
		return nil
	}
	e := &Error{Op: "ask the sentinels", Class: Transient, Err: fmt.Errorf("%d of these %d addresses are no Sentinel, and no other one names a master", plain, len(t.sentinels)),
		Hint: "give those of Sentinels alone; a Redis by itself is redis://HOST:PORT"}
	if plain >= len(t.sentinels) {
		e.Class, e.Err = Fatal, errors.New("this is no Sentinel")
		e.Hint = "for the Redis that is there, give redis://" + t.sentinels[0]
	}
	return e
}
