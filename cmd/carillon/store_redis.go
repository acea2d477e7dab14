package main

import (
	"context"
	"errors"
	"fmt"

	"carillon/internal/redisstore"
	"carillon/jobs"
)

// redisStore binds the commands to the real store.
type redisStore struct{ *redisstore.Store }

func openRedis(addr address, namespace string) (store, error) {
	st, err := redisstore.Open(redisstore.Options{URL: addr.url, Namespace: namespace})
	if err != nil {
		return nil, err
	}
	return redisStore{st}, nil
}

// Ping checks that Redis serves us. Its error is what went wrong and what to
// do; the address is the caller's to name.
func (s redisStore) Ping(ctx context.Context) error {
	err := s.Store.Ping(ctx)
	var e *redisstore.Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Hint == "":
		return e.Err
	default:
		return fmt.Errorf("%w: %s", e.Err, e.Hint)
	}
}

// Run returns one run; errNoRun when there is none of that id.
func (s redisStore) Run(ctx context.Context, id string) (jobs.Run, error) {
	run, err := s.Store.Run(ctx, id)
	if errors.Is(err, redisstore.ErrNotFound) {
		return run, fmt.Errorf("%w: %s", errNoRun, id)
	}
	return run, err
}

// Runs returns runs, the newest first.
func (s redisStore) Runs(ctx context.Context, f runFilter) ([]jobs.Run, error) {
	return s.Store.Runs(ctx, redisstore.RunFilter{Job: f.Job, Status: f.Status, Limit: f.Limit})
}

// ResumeRollback lets a failed rollback go on; errNoRun when there is no such run.
func (s redisStore) ResumeRollback(ctx context.Context, id, by string) (bool, jobs.State, error) {
	resumed, state, err := s.Store.ResumeRollback(ctx, id, by)
	if errors.Is(err, redisstore.ErrNotFound) {
		return false, state, fmt.Errorf("%w: %s", errNoRun, id)
	}
	return resumed, state, err
}

// Hopeless reports whether the configuration is what is wrong.
func (s redisStore) Hopeless(err error) bool { return redisstore.ClassOf(err) == redisstore.Fatal }
