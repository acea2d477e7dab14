package leader

import (
	"context"
	"log/slog"
	"time"

	redsyncredis "github.com/go-redsync/redsync/v4/redis"
)

// Seat is what an Elector needs of the store. The store and the lock are one
// Redis, unless there is a Quorum: the scripts that check a token must see the
// lock itself, or what the winner of the lock installed in its place.
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

// Quorum is what an Elector needs when the lock is not on the Redis of the data
// but on several others that know nothing of each other. Who has the lock on
// most of them has won, and installs the token on the Redis of the data, where
// the scripts check it as they would check the lock.
type Quorum interface {
	// Pools are the connections of the lock Redises: an odd number, in the same
	// order always. As for Seat.Pool.
	Pools() []redsyncredis.Pool
	// LockName is the name of the lock on each of them. It is not the name of
	// what is installed: the Redis of the data may be one of them.
	LockName() string

	// Propose asks lock Redis i for an epoch above floor and above all that it
	// has heard of. granted is false when its lock does not hold token; known is
	// then the highest epoch that it has heard of.
	Propose(ctx context.Context, i int, token string, floor int64) (granted bool, known int64, err error)
	// Record tells lock Redis i the epoch of token's term. granted is false when
	// its lock does not hold token, or when it has heard of an epoch as high, of
	// another token; known is then the highest that it has heard of.
	Record(ctx context.Context, i int, token string, epoch int64) (granted bool, known int64, err error)

	// InstallAt makes token the one that scripts accept, for ttl, if epoch is
	// higher than that of the token that was installed last.
	InstallAt(ctx context.Context, token, node string, epoch int64, ttl time.Duration) (Installed, error)
	// Prolong lets the installed token live for ttl from now. It returns false
	// when another one is installed, or none.
	Prolong(ctx context.Context, token string, ttl time.Duration) (held bool, err error)
	// Uninstall removes the token. It returns false when it was not there.
	Uninstall(ctx context.Context, token string) (removed bool, err error)
}

// Installed is the outcome of Quorum.InstallAt.
type Installed struct {
	OK    bool
	Since time.Time // when OK: on the store's clock
	// When not OK: the epoch that was installed last, and the token that is
	// installed, "" when it has expired or was removed.
	Epoch  int64
	Holder string
}

// DefaultTTL is how long a seat outlives the last renewal.
const DefaultTTL = 5 * time.Second

// Config says who stands for election.
type Config struct {
	Node   string        // the node's name
	Boot   string        // unique to this process; made up when empty
	TTL    time.Duration // of the lock, at least a few hundred milliseconds; 0 means DefaultTTL
	Logger *slog.Logger  // nil: silent

	// Quorum, if set, holds the lock; Seat.Pool and Seat.Install are not used then.
	Quorum Quorum

	// Yield, if set, is asked whether another node should lead instead of this
	// one, and answers with a reason, or with "" for no. A follower asks before
	// it takes a vacant seat, at least once a second while it holds back, and
	// says since when it finds the seat vacant; a leader asks every two seconds,
	// with the zero time, and resigns for a reason. Whoever answers decides when
	// the patience ends. It may look things up, and gives up when ctx ends; not
	// to know is no reason.
	Yield func(ctx context.Context, vacant time.Time) (why string)
}
