package redisstore

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// record breaks this node's record of Redis when Redis refuses everybody: it loads its
// data set, or takes no write because its disk is full. It still tells the time then, but
// no node can renew a lease, so that afterwards all of them look expired.
type record struct{ clock *clock }

func (r record) look(err error) {
	if err == nil || errors.Is(err, redis.Nil) {
		return
	}
	if class, _ := classify(err); class == Loading || isDiskFull(err) {
		r.clock.interrupt()
	}
}

func isDiskFull(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if strings.HasPrefix(answered(err), "MISCONF") {
			return true
		}
	}
	return false
}

func (r record) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r record) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		r.look(err)
		return err
	}
}

func (r record) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		r.look(err)
		return err
	}
}
