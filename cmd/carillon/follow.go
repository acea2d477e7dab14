package main

import (
	"context"
	"errors"
	"time"

	"carillon/jobs"
)

// follower reads a run's state and output until the run has ended. It polls:
// events are a hint that may be lost, the hash and the log are not.
type follower struct {
	st    store
	id    string
	now   func() time.Time
	say   func(format string, args ...any)
	chunk func(jobs.LogChunk) error // nil: the output is not read
	// before and after are called with every state that was read: before and
	// after the output that was written up to then.
	before, after func(ctx context.Context, r jobs.Run)
	last          string // the last chunk's id

	silentSince time.Time // Redis has not answered since then; zero when it does
	complained  time.Time
	missing     int // reads in a row that did not find the run
}

const (
	pollFirst = 100 * time.Millisecond
	pollSlow  = 500 * time.Millisecond
	pollReply = 5 * time.Second // for one answer
	// complainEvery and giveUpAfter bound a Redis that does not answer: a
	// restart or a failover takes seconds, and nobody watches a terminal for
	// longer than that without a word.
	complainAfter = time.Second
	complainEvery = 10 * time.Second
	giveUpAfter   = 2 * time.Minute
	// missingReads is how often a run may be absent before it is gone: right
	// after a failover a replica may not have it yet.
	missingReads = 8
)

// follow returns the run in its final state, with all of its output read.
func (f *follower) follow(ctx context.Context) (jobs.Run, error) {
	wait := pollFirst
	for {
		run, news, err := f.look(ctx)
		if err := f.judge(ctx, err); err != nil {
			return run, err
		}
		if err == nil && run.Status.Final() {
			return run, nil
		}
		wait = min(wait*5/4, pollSlow)
		if news {
			wait = pollFirst
		}
		if err := pause(ctx, wait); err != nil {
			return run, err
		}
	}
}

// look reads the state first and the output second: a state that is final
// means that the output read after it is complete.
func (f *follower) look(ctx context.Context) (run jobs.Run, news bool, err error) {
	one, cancel := context.WithTimeout(ctx, pollReply)
	run, err = f.st.Run(one, f.id)
	cancel()
	if err != nil {
		return run, false, err
	}
	f.answered()
	if f.before != nil {
		f.before(ctx, run)
	}
	for n := 1; n > 0 && f.chunk != nil; news = news || n > 0 {
		if n, err = f.page(ctx); err != nil {
			return run, news, err
		}
	}
	if f.after != nil {
		f.after(ctx, run)
	}
	return run, news, nil
}

// page reads one page of the log, and says how many chunks it had.
func (f *follower) page(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, pollReply)
	defer cancel()
	chunks, err := f.st.ReadLog(ctx, f.id, f.last)
	if err != nil {
		return 0, err
	}
	for _, c := range chunks {
		if err := f.chunk(c); err != nil {
			return 0, err
		}
		f.last = c.ID
	}
	return len(chunks), nil
}

// judge decides whether an error ends the wait. One that may pass is reported
// and waited out.
func (f *follower) judge(ctx context.Context, err error) error {
	switch {
	case err == nil:
		f.missing = 0
		f.answered()
		return nil
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.Is(err, errOutput):
		return err
	case errors.Is(err, errNoRun):
		f.answered()
		f.missing++
		if f.missing < missingReads {
			return nil
		}
		return fail(exitNotFound, "run %q is no longer in Redis: it was flushed, restarted without its data, or the run is older than what is kept", f.id)
	case f.st.Hopeless(err):
		return fail(exitNoRedis, "Redis refuses: %w", err).withHint("the run goes on: %s", f.id)
	default:
		return f.silent(err)
	}
}

func (f *follower) answered() {
	if !f.silentSince.IsZero() && !f.complained.IsZero() {
		f.say("Redis answers again")
	}
	f.silentSince, f.complained = time.Time{}, time.Time{}
}

func (f *follower) silent(err error) error {
	now := f.now()
	if f.silentSince.IsZero() {
		f.silentSince = now
	}
	silence := now.Sub(f.silentSince)
	if silence >= giveUpAfter {
		return fail(exitNoRedis, "Redis has not answered for %s: %w", short(silence), err).
			withHint("the run goes on without this command: %s", f.id)
	}
	if silence >= complainAfter && now.Sub(f.complained) >= complainEvery {
		f.complained = now
		f.say("Redis does not answer; still waiting: %v", err)
	}
	return nil
}

// pause waits for d, or until ctx ends with its cause.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
