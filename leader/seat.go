package leader

import (
	"context"
	"log/slog"
	"time"

	redsyncredis "github.com/go-redsync/redsync/v4/redis"
)

// Seat is what an Elector needs of the store. The store and the lock are one
// Redis: the scripts that check a token must see the lock itself.
type Seat interface {
	// Pool is the connection of the lock. It must not repeat commands by
	// itself and must respect the deadline of a context.
	Pool() redsyncredis.Pool
	// LockKey is the name of the lock.
	LockKey() string
	// Install makes the holder of token known as the leader, if the lock holds
	// it, and returns the epoch of its term, higher than any before, and the
	// store's time. The error is ErrFenced if the lock does not hold token.
	Install(ctx context.Context, token, node string) (epoch int64, since time.Time, err error)
	// Holder returns the token in the lock and how long it still lives; "" when
	// the seat is vacant, a negative time when the lock would never expire.
	Holder(ctx context.Context) (token string, ttl time.Duration, err error)
	// Resigned tells the other nodes that the seat is vacant.
	Resigned(ctx context.Context, token, node string) error
	// Vacancies receives when the seat may have become vacant. It is a hint:
	// it may come for nothing, and it may not come. Buffered.
	Vacancies() <-chan struct{}
}

// DefaultTTL is how long a seat outlives the last renewal.
const DefaultTTL = 5 * time.Second

// Config says who stands for election.
type Config struct {
	Node   string        // the node's name
	Boot   string        // unique to this process; made up when empty
	TTL    time.Duration // of the lock, at least a few hundred milliseconds; 0 means DefaultTTL
	Logger *slog.Logger  // nil: silent

	// Yield, if set, is asked whether another node should lead instead of this
	// one, and answers with a reason, or with "" for no. A follower asks before
	// it takes a vacant seat, at least once a second while it holds back, and
	// says since when it finds the seat vacant; a leader asks every two seconds,
	// with the zero time, and resigns for a reason. Whoever answers decides when
	// the patience ends. It may look things up, and gives up when ctx ends; not
	// to know is no reason.
	Yield func(ctx context.Context, vacant time.Time) (why string)
}
