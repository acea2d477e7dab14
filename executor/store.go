package executor

import (
	"context"

	"carillon/jobs"
)

// Store is what the executor needs of Redis. Exchange, Renew, Release, Step and
// Undone may be repeated after an error: they answer as they answered the first
// time.
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
	// Step records that a step is about to start and puts its undo on the run's
	// rollback list, once. held is false when the token does not hold the run: the
	// step must not start.
	Step(ctx context.Context, r jobs.StepRecord) (held bool, err error)
	// Undone takes the undo of a step, which has succeeded, off the rollback list.
	// held is false when the token does not hold the run.
	Undone(ctx context.Context, runID, token, step string) (held bool, err error)
	// Cancels are the ids of runs that somebody called off, wherever they are. One
	// that gets lost is made good by the answer to the next renewal.
	Cancels() <-chan string
	// ServesNobody reports whether err proves that nobody else can take a run away
	// either: Redis itself says that it serves nobody.
	ServesNobody(ctx context.Context, err error) bool
}
