package redisstore

import (
	"errors"
	"fmt"
	"strings"
)

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
