package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"carillon/jobs"
)

type triggerOptions struct {
	waitOptions
	job       string
	params    []string
	reason    string
	requestID string
}

// triggerFlagNames are the flags that mean something only with a job.
var triggerFlagNames = []string{"param", "detach", "timeout", "reason", "request-id"}

func (a *app) triggerFlags(cmd *cobra.Command, o *triggerOptions) {
	cmd.Flags().StringArrayVar(&o.params, "param", nil, "give a parameter, `NAME=VALUE`; may be repeated")
	a.waitFlags(cmd, &o.waitOptions, "do not wait: print the run id and nothing else")
	cmd.Flags().StringVar(&o.reason, "reason", "", "say `WHY`, for the record")
	cmd.Flags().StringVar(&o.requestID, "request-id", "", "two triggers with one `ID` within 24 h start one run")
	jobOf := func(args []string) string {
		if len(args) > 0 {
			return args[0]
		}
		return o.job
	}
	a.completeFlag(cmd, "param", a.completeParams(jobOf))
	for _, name := range []string{"reason", "request-id"} {
		a.completeFlag(cmd, name, cobra.NoFileCompletions)
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
run is in the way or the job is paused. Ctrl-C ends the wait, not the run.
A job with every_node gets a run on each live node that serves it; every line of
their output begins with the node's name.
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
	return a.withStore(ctx, func(st store) error { return a.start(ctx, st, req, o.waitOptions) })
}

// start makes the run of a request and, unless it is detached, waits for its end.
func (a *app) start(ctx context.Context, st store, req jobs.TriggerRequest, w waitOptions) error {
	reply, err := st.Trigger(ctx, req)
	if err != nil {
		return err
	}
	if e := refusal(req.Job, reply); e != nil {
		return e
	}
	if reply.Repeated {
		a.say("request %s was made before; this is its run: %s", req.RequestID, reply.RunID)
	}
	if req.Job.EveryNode {
		return a.startEverywhere(ctx, st, req, reply, w)
	}
	if w.detach {
		return outputFailed(a.detached(reply, nil))
	}
	return a.await(ctx, st, req, reply, w)
}

// refusal says why nothing was started; nil when something was.
func refusal(job *jobs.Job, reply jobs.TriggerReply) *exitError {
	switch {
	case reply.Paused != nil:
		return fail(exitRefused, "%s is paused %s; nothing was started", job.Name, pauseWords(*reply.Paused)).
			withHint("`carillon resume %s` ends the pause", job.Name)
	case reply.InTheWay != "":
		why := strings.TrimPrefix(reply.Why, "overlap: ")
		return fail(exitRefused, "nothing was started: %s (overlap: %s); in the way is %s", why, job.Overlap, reply.InTheWay).
			withHint("`carillon logs -f %s` watches that run", reply.InTheWay)
	case reply.Nobody:
		return fail(exitRefused, "%s has every_node, and no live node serves %s; nothing was started", job.Name, routeWords(job.Route())).
			withHint("`carillon nodes` lists the live nodes and their labels")
	default:
		return nil
	}
}

const maxRequestID = 128

// triggerRequest checks all that can be known without Redis.
func (a *app) triggerRequest(o triggerOptions) (jobs.TriggerRequest, error) {
	const hint = "see `carillon trigger --help`"
	if err := o.check(); err != nil {
		return jobs.TriggerRequest{}, err
	}
	if len(o.requestID) > maxRequestID || o.requestID != oneLine(o.requestID) {
		return jobs.TriggerRequest{}, fail(exitUsage, "--request-id: expected at most %d printable characters", maxRequestID).withHint(hint)
	}
	if err := checkText("--reason", o.reason); err != nil {
		return jobs.TriggerRequest{}, err
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
	req, err := a.newRequest(job, params, o.reason)
	req.RequestID = o.requestID
	return req, err
}

func (a *app) newRequest(job *jobs.Job, params map[string]string, reason string) (jobs.TriggerRequest, error) {
	unique, err := uuid.NewV7()
	if err != nil {
		return jobs.TriggerRequest{}, fmt.Errorf("make a run id: %w", err)
	}
	return jobs.TriggerRequest{Job: job, Params: params, Unique: unique.String(), Reason: reason, By: a.whoami()}, nil
}

func (a *app) whoami() string { return whoami(a.getenv, a.hostname) }

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

// checkText refuses what could not be read again.
func checkText(flag, text string) error {
	if !utf8.ValidString(text) {
		return fail(exitUsage, "%s: expected text in UTF-8", flag)
	}
	return nil
}

type detachedView struct {
	ID       string   `json:"id"`
	Repeated bool     `json:"repeated"`
	Runs     []string `json:"runs,omitempty"` // of a job with every_node
}

// detached prints the run's id and nothing else; of a job with every_node the id
// of each node's run.
func (a *app) detached(reply jobs.TriggerReply, runs []string) error {
	return a.one(detachedView{ID: reply.RunID, Repeated: reply.Repeated, Runs: runs}, func(w io.Writer) error {
		if len(runs) == 0 {
			runs = []string{reply.RunID}
		}
		_, err := fmt.Fprintln(w, strings.Join(runs, "\n"))
		return err
	})
}

// jobOutput is where a job's output goes. With a data format stdout belongs to the
// final state, and the output goes to stderr.
func (a *app) jobOutput() (w io.Writer, tty bool) {
	if a.opts.output != formatTable {
		return a.stderr, a.stderrTTY
	}
	return a.stdout, a.stdoutTTY
}

// await streams the run's output and tells on stderr what happens to it.
func (a *app) await(ctx context.Context, st store, req jobs.TriggerRequest, reply jobs.TriggerReply, w waitOptions) error {
	v := vigil{
		id: reply.RunID, goesOn: "the run goes on", reason: req.Reason,
		view: &logView{out: logOutput(a.jobOutput()), say: a.say},
	}
	if reply.WaitsFor != "" {
		a.say("queued %s; it waits for the end of %s", reply.RunID, reply.WaitsFor)
		v.waits = turnWords("waits for " + reply.WaitsFor)
	} else {
		a.say("queued %s", reply.RunID)
	}
	run, err := a.keepOne(ctx, st, v, w)
	if err != nil {
		return err
	}
	return a.fate(run)
}
