package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"carillon/jobs"
)

type triggerOptions struct {
	job       string
	params    []string
	detach    bool
	timeout   time.Duration
	reason    string
	requestID string
}

// triggerFlagNames are the flags that mean something only with a job.
var triggerFlagNames = []string{"param", "detach", "timeout", "reason", "request-id"}

func (a *app) triggerFlags(cmd *cobra.Command, o *triggerOptions) {
	cmd.Flags().StringArrayVar(&o.params, "param", nil, "give a parameter, `NAME=VALUE`; may be repeated")
	cmd.Flags().BoolVar(&o.detach, "detach", false, "do not wait: print the run id and nothing else")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "wait no longer than `DURATION`; the run goes on (exit 7)")
	cmd.Flags().StringVar(&o.reason, "reason", "", "say `WHY`, for the record")
	cmd.Flags().StringVar(&o.requestID, "request-id", "", "two triggers with one `ID` within 24 h start one run")
	jobOf := func(args []string) string {
		if len(args) > 0 {
			return args[0]
		}
		return o.job
	}
	mustComplete(cmd, "param", a.completeParams(jobOf))
	for _, name := range []string{"timeout", "reason", "request-id"} {
		mustComplete(cmd, name, cobra.NoFileCompletions)
	}
}

func (a *app) triggerCommand() *cobra.Command {
	var o triggerOptions
	cmd := a.command(spec{
		use:   "trigger JOB",
		short: "Start a run now, stream its output, exit with its fate",
		long: `Start a run now. It needs no leader, only a live node to execute it. The output
goes to stdout as it comes, what happens goes to stderr. Exit 0 when the run
succeeded, 6 when it failed, 7 when --timeout ended the wait, 8 when an unfinished
run is in the way. Ctrl-C ends the wait, not the run.
` + "`carillon --trigger JOB`" + ` is the same.`,
		example: `  carillon trigger backup
  carillon --trigger backup --param day=2026-11-22 --reason "disk was full"
  id=$(carillon trigger backup --detach)
  carillon trigger backup --request-id deploy-1234 --timeout 10m`,
		args:     exactlyOne("one job"),
		complete: a.completeOneJob,
		run: func(cmd *cobra.Command, args []string) error {
			o.job = args[0]
			return a.trigger(cmd.Context(), o)
		},
	})
	a.triggerFlags(cmd, &o)
	return cmd
}

// trigger starts a run and, unless it is detached, waits for its end.
func (a *app) trigger(ctx context.Context, o triggerOptions) error {
	req, err := a.triggerRequest(o)
	if err != nil {
		return err
	}
	return a.withStore(ctx, func(st store) error {
		reply, err := st.Trigger(ctx, req)
		if err != nil {
			return err
		}
		if reply.InTheWay != "" {
			return fail(exitRefused, "%s is unfinished, and %s has overlap: skip; nothing was started", reply.InTheWay, o.job).
				withHint("`carillon logs -f %s` watches that run", reply.InTheWay)
		}
		if reply.Repeated {
			a.say("request %s was made before; this is its run: %s", o.requestID, reply.RunID)
		}
		if o.detach {
			return outputFailed(a.detached(reply))
		}
		return a.await(ctx, st, req, reply, o.timeout)
	})
}

const maxRequestID = 128

// triggerRequest checks all that can be known without Redis.
func (a *app) triggerRequest(o triggerOptions) (jobs.TriggerRequest, error) {
	const hint = "see `carillon trigger --help`"
	if o.timeout < 0 {
		return jobs.TriggerRequest{}, fail(exitUsage, "--timeout %s: expected a duration above 0", o.timeout).withHint(hint)
	}
	if len(o.requestID) > maxRequestID || o.requestID != oneLine(o.requestID) {
		return jobs.TriggerRequest{}, fail(exitUsage, "--request-id: expected at most %d printable characters", maxRequestID).withHint(hint)
	}
	if !utf8.ValidString(o.reason) {
		return jobs.TriggerRequest{}, fail(exitUsage, "--reason: expected text in UTF-8").withHint(hint)
	}
	s, err := a.schedule()
	if err != nil {
		return jobs.TriggerRequest{}, err
	}
	job, err := jobIn(s, o.job)
	if err != nil {
		return jobs.TriggerRequest{}, err
	}
	given, err := parseParams(o.params)
	if err != nil {
		return jobs.TriggerRequest{}, err
	}
	params, err := job.BindParams(given)
	if err != nil {
		return jobs.TriggerRequest{}, &exitError{code: exitUsage, err: err}
	}
	if !job.Enabled {
		a.say("%s is disabled: its schedule rests, but it can be triggered", job.Name)
	}
	unique, err := uuid.NewV7()
	if err != nil {
		return jobs.TriggerRequest{}, fmt.Errorf("make a run id: %w", err)
	}
	return jobs.TriggerRequest{
		Job: job, Params: params, Unique: unique.String(), RequestID: o.requestID,
		Reason: o.reason, By: whoami(a.getenv, a.hostname),
	}, nil
}

// parseParams reads NAME=VALUE words. A name given twice is a mistake: one of
// the values would be ignored.
func parseParams(words []string) (map[string]string, error) {
	params := map[string]string{}
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok || name == "" {
			return nil, fail(exitUsage, "--param %q: expected NAME=VALUE", w)
		}
		if _, twice := params[name]; twice {
			return nil, fail(exitUsage, "--param %s is given twice", name)
		}
		params[name] = value
	}
	return params, nil
}

type detachedView struct {
	ID       string `json:"id"`
	Repeated bool   `json:"repeated"`
}

func (a *app) detached(reply jobs.TriggerReply) error {
	return a.one(detachedView{ID: reply.RunID, Repeated: reply.Repeated}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, reply.RunID)
		return err
	})
}

var errWaitedEnough = errors.New("the wait timed out")

// await streams the run's output and tells on stderr what happens to it. With a
// data format stdout belongs to the final state, and the output goes to stderr.
func (a *app) await(ctx context.Context, st store, req jobs.TriggerRequest, reply jobs.TriggerReply, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, errWaitedEnough)
		defer cancel()
	}
	out := logOutput(a.stdout, a.stdoutTTY)
	if a.opts.output != formatTable {
		out = logOutput(a.stderr, a.stderrTTY)
	}
	view := &logView{out: out, say: a.say}
	tell := &teller{say: a.say, st: st, now: a.now, since: a.now(), reason: req.Reason}
	a.say("queued %s", reply.RunID)
	f := &follower{st: st, id: reply.RunID, now: a.now, say: a.say, chunk: view.chunk, before: tell.before, after: tell.after}
	run, err := f.follow(ctx)
	if closing := view.close(); err == nil {
		err = closing
	}
	switch {
	case errors.Is(err, errInterrupted):
		a.say("\ndetached; the run goes on: %s\n  carillon logs -f %s\n  carillon run %s", reply.RunID, reply.RunID, reply.RunID)
		return ended(exitInterrupted, "interrupted")
	case errors.Is(err, errWaitedEnough):
		return fail(exitTimeout, "%s has not ended after %s (it is %s); it goes on", reply.RunID, timeout, orUnknown(run.Status)).
			withHint("`carillon logs -f %s` watches it", reply.RunID)
	case err != nil:
		return err
	}
	return a.fate(run)
}

func orUnknown(s jobs.State) string {
	if s == "" {
		return "queued or running"
	}
	return string(s)
}

// fate says how the run ended, and ends the process like it.
func (a *app) fate(run jobs.Run) error {
	a.say("%s", fateWords(run))
	if a.opts.output != formatTable {
		if err := a.one(viewRun(run), nil); err != nil {
			return outputFailed(err)
		}
	}
	if run.Status == jobs.Succeeded {
		return nil
	}
	return ended(exitRunFailed, "the run %s", run.Status)
}

func fateWords(run jobs.Run) string {
	words := string(run.Status)
	if d := run.FinishedAt.Sub(run.StartedAt); !run.StartedAt.IsZero() && d >= 0 {
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
