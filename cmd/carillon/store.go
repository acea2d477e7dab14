package main

import (
	"context"
	"errors"

	"carillon/jobs"
)

// store is what the commands need of a Redis. Errors that mean "there is no
// such run" satisfy errors.Is(err, errNoRun).
type store interface {
	Ping(ctx context.Context) error
	Run(ctx context.Context, id string) (jobs.Run, error)
	Runs(ctx context.Context, filter runFilter) ([]jobs.Run, error)
	Ledger(ctx context.Context, job string, limit int) ([]jobs.LedgerEntry, error)
	Nodes(ctx context.Context) ([]jobs.Node, error)
	ReadLog(ctx context.Context, runID, after string) ([]jobs.LogChunk, error)
	Watch(ctx context.Context, fn func(batch []jobs.Event, resync bool) error) error
	Trigger(ctx context.Context, req jobs.TriggerRequest) (jobs.TriggerReply, error)
	// Hopeless reports whether err stays as long as nobody mends something:
	// a wrong password, say, in contrast to a Redis that restarts.
	Hopeless(err error) bool
	Close() error
}

// runFilter narrows a list of runs; the zero filter lists all.
type runFilter struct {
	Job    string
	Status jobs.State
	Limit  int
}

var errNoRun = errors.New("no such run")
