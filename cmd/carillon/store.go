package main

import (
	"context"
	"errors"
	"time"

	"carillon/internal/redisstore"
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
	// Marks are what nodes say of the jobs of their schedules, by digest.
	Marks(ctx context.Context, digests []string) (map[string]jobs.Marks, error)
	ReadLog(ctx context.Context, runID, after string) ([]jobs.LogChunk, error)
	Watch(ctx context.Context, fn func(batch []jobs.Event, resync bool) error) error
	Trigger(ctx context.Context, req jobs.TriggerRequest) (jobs.TriggerReply, error)
	Backfill(ctx context.Context, job *jobs.Job, ticks []time.Time, by string, force bool) (jobs.BackfillReply, error)
	Cancel(ctx context.Context, id, by, reason string) (jobs.CancelAnswer, jobs.State, error)
	// ResumeRollback is false with the run's status when nothing is left to resume.
	ResumeRollback(ctx context.Context, id, by string) (bool, jobs.State, error)
	// Pause returns the pause in force; fresh is false when it is an earlier one.
	Pause(ctx context.Context, job, by, note string) (was jobs.Pause, fresh bool, err error)
	Resume(ctx context.Context, job, by string) (was jobs.Pause, paused bool, err error)
	Paused(ctx context.Context) (map[string]jobs.Pause, error)
	// Facts are what doctor judges by.
	Facts(ctx context.Context) (redisstore.Facts, error)
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
