package redisstore

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon/jobs"
)

// Watch calls fn with every batch of events until ctx ends or fn returns an
// error. resync is true with the first call after each subscription and after a
// gap in the sequence: what happened before may have been missed, and the hashes
// say how things stand.
func (s *Store) Watch(ctx context.Context, fn func(batch []jobs.Event, resync bool) error) error {
	var last int64
	var failed error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := s.receive(ctx, s.keys.events(), func(payload string, subscribed bool) {
		if subscribed {
			last = 0
			if failed = fn(nil, true); failed != nil {
				cancel()
			}
			return
		}
		seq, batch, err := decodeMessage(payload)
		if err != nil {
			s.log.Warn("an event could not be read", "error", err)
			return
		}
		gap := last != 0 && seq != last+1
		last = seq
		if failed = fn(batch, gap); failed != nil {
			cancel()
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// receive subscribes to a channel and calls fn for each subscription (payload
// "", subscribed true) and each message, until ctx ends. It reconnects for ever.
// The loop is ours because the library's channel stalls for a minute when its
// reader is slow, and hides reconnects.
func (s *Store) receive(ctx context.Context, channel string, fn func(payload string, subscribed bool)) error {
	pause := 50 * time.Millisecond
	var spoke time.Time
	for ctx.Err() == nil {
		err := s.receiveOnce(ctx, channel, func(payload string, subscribed bool) {
			pause = 50 * time.Millisecond
			fn(payload, subscribed)
		})
		if ctx.Err() != nil {
			return nil
		}
		if ClassOf(wrap("subscribe", err)) == Fatal && time.Since(spoke) > 5*time.Second {
			spoke = time.Now()
			s.log.Error("cannot subscribe", "channel", channel, "error", wrap("subscribe", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Second)
	}
	return nil
}

// silence is how long a subscription may be quiet before it is asked for a sign
// of life.
const silence = 5 * time.Second

func (s *Store) receiveOnce(ctx context.Context, channel string, fn func(payload string, subscribed bool)) error {
	ps := s.sub.Subscribe(ctx, channel)
	defer ps.Close()
	stop := context.AfterFunc(ctx, func() { _ = ps.Close() })
	defer stop()
	pinged := false
	for {
		m, err := ps.ReceiveTimeout(ctx, silence)
		if err != nil {
			var timeout net.Error
			if (errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded)) && !pinged && ctx.Err() == nil {
				pinged = true
				if err := ps.Ping(ctx); err != nil {
					return err
				}
				continue
			}
			return err
		}
		pinged = false
		switch m := m.(type) {
		case *redis.Subscription:
			fn("", true)
		case *redis.Message:
			fn(m.Payload, false)
		}
	}
}
