package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

// waitOptions say how long a command waits for a run that it started or moved on.
type waitOptions struct {
	detach  bool
	timeout time.Duration
}

func (a *app) waitFlags(cmd *cobra.Command, w *waitOptions, detach string) {
	cmd.Flags().BoolVar(&w.detach, "detach", false, detach)
	cmd.Flags().DurationVar(&w.timeout, "timeout", 0, "wait no longer than `DURATION`; the run goes on (exit 7)")
	a.completeFlag(cmd, "timeout", cobra.NoFileCompletions)
}

func (w *waitOptions) check() error {
	if w.timeout < 0 {
		return fail(exitUsage, "--timeout %s: expected a duration above 0", w.timeout)
	}
	return nil
}

var errWaitedEnough = errors.New("the wait timed out")

// within bounds the wait; its end is errWaitedEnough.
func (w *waitOptions) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if w.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, w.timeout, errWaitedEnough)
}

// vigil is one run that somebody waits for.
type vigil struct {
	id     string
	goesOn string // what does, when the wait ends before the run
	say    func(format string, args ...any)
	view   *logView // nil: its output is not shown
	from   string   // the last chunk of output that is no news
	reason string   // the user's own, which is no news
	waits  string   // what was said about its wait
	last   jobs.Run // how it stood when the wait began
}

// stop is how to end a run that is not being ended already.
func (v vigil) stop() string {
	if v.view == nil {
		return ""
	}
	return "\n  carillon cancel " + v.id
}

// keep waits for the end of the run, shows its output and tells what happens.
func (a *app) keep(ctx context.Context, st store, v vigil) (jobs.Run, error) {
	tell := &teller{say: v.say, st: st, now: a.now, since: a.now(), reason: v.reason, waits: v.waits, last: v.last}
	f := &follower{st: st, id: v.id, now: a.now, say: v.say, before: tell.before, after: tell.after, last: v.from}
	if v.view == nil {
		return f.follow(ctx)
	}
	f.chunk = v.view.chunk
	run, err := f.follow(ctx)
	if closing := v.view.close(); err == nil {
		err = closing
	}
	return run, err
}

// keepOne is keep for the one run a command is about, with the words for a wait
// that ended early.
func (a *app) keepOne(ctx context.Context, st store, v vigil, w waitOptions) (jobs.Run, error) {
	ctx, cancel := w.within(ctx)
	defer cancel()
	v.say = a.say
	run, err := a.keep(ctx, st, v)
	switch {
	case errors.Is(err, errInterrupted):
		a.say("\ndetached; %s: %s\n  carillon logs -f %s\n  carillon run %s%s", v.goesOn, v.id, v.id, v.id, v.stop())
		return run, ended(exitInterrupted, "interrupted")
	case errors.Is(err, errWaitedEnough):
		return run, fail(exitTimeout, "%s has not ended after %s (it is %s); %s", v.id, w.timeout, orUnknown(run.Status), strings.Replace(v.goesOn, "the run", "it", 1)).
			withHint("`carillon logs -f %s` watches it", v.id)
	}
	return run, err
}

func orUnknown(s jobs.State) string {
	if s == "" {
		return "queued or running"
	}
	return stateWords(s)
}

// fate says how the run ended, and ends the process like it.
func (a *app) fate(run jobs.Run) error {
	if err := a.sayFate(run); err != nil {
		return err
	}
	if run.Status == jobs.Succeeded {
		return nil
	}
	return ended(exitRunFailed, "the run %s", stateWords(run.Status))
}

// sayFate says how the run ended: in words, and with a data format as the run.
func (a *app) sayFate(run jobs.Run) error {
	a.say("%s", fateWords(run))
	for _, line := range leftover(run) {
		a.say("%s", line)
	}
	if a.opts.output == formatTable {
		return nil
	}
	return outputFailed(a.one(viewRun(run), nil))
}

func fateWords(run jobs.Run) string {
	words := stateWords(run.Status)
	undone := run.Status == jobs.RolledBack || run.Status == jobs.RollbackFailed // which may have been resumed days later
	if d := run.FinishedAt.Sub(run.StartedAt); !run.StartedAt.IsZero() && d >= 0 && !undone {
		words += " in " + short(d)
	}
	if run.Attempt > 1 {
		words += fmt.Sprintf(" (attempt %d)", run.Attempt)
	}
	if run.Error != "" {
		words += ": " + oneLine(run.Error)
	}
	return words
}

// leftover says what a failed rollback leaves to do.
func leftover(run jobs.Run) []string {
	if run.Status != jobs.RollbackFailed {
		return nil
	}
	lines := []string{"mend what kept the undo from working, then: carillon rollback " + run.ID}
	if len(run.Rollback) > 0 && !strings.Contains(run.Error, "left to undo") {
		lines = append([]string{"left to undo, in this order: " + oneLine(stepNames(run.Rollback))}, lines...)
	}
	return lines
}
