package executor

import (
	"context"

	"carillon/jobs"
)

// Store is what the executor needs of Redis. Exchange, Renew and Release may be
// repeated after an error: they answer as they answered the first time.
type Store interface {
	Log
	// Exchange writes results and claims runs in one round trip. It does not
	// retry: the executor repeats the same request.
	Exchange(ctx context.Context, req jobs.ExchangeRequest) (jobs.ExchangeReply, error)
	// WaitBell blocks about a second at most; true means that a token was taken.
	WaitBell(ctx context.Context) (bool, error)
	// ReturnBell puts a token back.
	ReturnBell(ctx context.Context) error
	Renew(ctx context.Context, refs []jobs.LeaseRef) ([]jobs.RenewAnswer, error)
	Release(ctx context.Context, releases []jobs.Release) error
	// Down reports whether err proves that Redis itself is not serving, so that
	// nobody else can take a run away either.
	Down(err error) bool
}
