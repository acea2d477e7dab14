package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"carillon/jobs"
)

// A job with every_node has one run for each live node. Their ids are that of the
// trigger, "@" and the node's name.

// startEverywhere waits for the runs that one trigger made.
func (a *app) startEverywhere(ctx context.Context, st store, req jobs.TriggerRequest, reply jobs.TriggerReply, w waitOptions) error {
	if reply.WaitsFor != "" {
		a.say("not started everywhere: %s is unfinished (overlap: %s)", reply.WaitsFor, req.Job.Overlap)
	}
	runs, err := runsUnder(ctx, st, req.Job.Name, reply.RunID)
	switch {
	case err != nil:
		return err
	case len(runs) == 0:
		return fail(exitNotFound, "the runs of %s are no longer in Redis", reply.RunID)
	case w.detach:
		ids := make([]string, len(runs))
		for i, r := range runs {
			ids[i] = r.ID
		}
		return outputFailed(a.detached(reply, ids))
	}
	a.say("queued %s on %s: %s", reply.RunID, count(len(runs), "node"), strings.Join(nodesOf(runs, reply.RunID), ", "))
	return a.keepAll(ctx, st, runs, reply.RunID, req.Reason, w)
}

// runsUnder finds the runs of every node that belong to one trigger or tick. What
// has not ended is found by the names of the nodes that live.
func runsUnder(ctx context.Context, st store, job, base string) ([]jobs.Run, error) {
	listed, err := st.Runs(ctx, runFilter{Job: job, Limit: latestRuns})
	if err != nil {
		return nil, err
	}
	nodes, err := st.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	var found []jobs.Run
	known := func(id string) bool { return slices.ContainsFunc(found, func(r jobs.Run) bool { return r.ID == id }) }
	for _, r := range listed {
		if strings.HasPrefix(r.ID, base+"@") {
			found = append(found, r)
		}
	}
	for _, n := range nodes {
		id := jobs.NodeRunID(base, n.Name)
		if known(id) {
			continue
		}
		switch r, err := st.Run(ctx, id); {
		case err == nil:
			found = append(found, r)
		case !errors.Is(err, errNoRun):
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b jobs.Run) int { return strings.Compare(a.ID, b.ID) })
	return found, nil
}

func nodesOf(runs []jobs.Run, base string) []string {
	names := make([]string, len(runs))
	for i, r := range runs {
		names[i] = strings.TrimPrefix(r.ID, base+"@")
	}
	return names
}

// keepAll waits for all of the runs, and ends the process like the worst of them.
func (a *app) keepAll(ctx context.Context, st store, runs []jobs.Run, base, reason string, w waitOptions) error {
	ctx, cancel := w.within(ctx)
	defer cancel()
	var screen sync.Mutex // one line at a time, whoever has it
	out, tty := a.jobOutput()
	names, errs := nodesOf(runs, base), make([]error, len(runs))
	var all sync.WaitGroup
	for i := range runs {
		all.Go(func() {
			say := func(format string, args ...any) {
				screen.Lock()
				defer screen.Unlock()
				a.say("%s: %s", names[i], fmt.Sprintf(format, args...))
			}
			lines := &lineWriter{w: out, mu: &screen, prefix: names[i] + " | "}
			v := vigil{id: runs[i].ID, reason: reason, say: say, view: &logView{out: logOutput(lines, tty), say: say}}
			run, err := a.keep(ctx, st, v)
			if flushed := lines.flush(); err == nil {
				err = outputFailed(flushed)
			}
			if err == nil {
				say("%s", fateWords(run))
			}
			if run.ID != "" {
				runs[i] = run
			}
			errs[i] = err
		})
	}
	all.Wait()
	return a.fates(runs, base, w, errs)
}

// fates is what the end of a wait for many runs comes to.
func (a *app) fates(runs []jobs.Run, base string, w waitOptions, errs []error) error {
	for _, err := range errs {
		switch {
		case errors.Is(err, errInterrupted):
			a.say("\ndetached; the runs go on: %s\n  carillon runs --job %s", base, runs[0].Job)
			return ended(exitInterrupted, "interrupted")
		case errors.Is(err, errWaitedEnough):
			unfinished := slices.DeleteFunc(slices.Clone(runs), func(r jobs.Run) bool { return r.Status.Final() })
			return fail(exitTimeout, "%s of %s have not ended after %s: %s; they go on",
				count(len(unfinished), "run"), base, w.timeout, strings.Join(nodesOf(unfinished, base), ", "))
		case err != nil:
			return err
		}
	}
	if a.opts.output != formatTable {
		var items []any
		for _, r := range runs {
			items = append(items, viewRun(r))
		}
		if err := a.list(items, &table{}); err != nil {
			return outputFailed(err)
		}
	}
	bad := 0
	for _, r := range runs {
		if r.Status != jobs.Succeeded {
			bad++
		}
		for _, line := range leftover(r) {
			a.say("%s", line)
		}
	}
	if bad > 0 {
		a.say("%d of %s did not succeed", bad, count(len(runs), "run"))
		return ended(exitRunFailed, "%d runs did not succeed", bad)
	}
	a.say("succeeded on %s", count(len(runs), "node"))
	return nil
}

// lineWriter writes whole lines with a prefix, so that several runs can share a
// stream.
type lineWriter struct {
	w      io.Writer
	mu     *sync.Mutex
	prefix string
	rest   []byte
}

// longestLine is kept of a line that does not end.
const longestLine = 64 << 10

func (l *lineWriter) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 && len(l.rest) < longestLine {
			return len(p), nil
		}
		if end < 0 {
			end = len(l.rest)
		}
		if err := l.line(l.rest[:end]); err != nil {
			return 0, err
		}
		l.rest = l.rest[min(end+1, len(l.rest)):]
	}
}

func (l *lineWriter) flush() error {
	if len(l.rest) == 0 {
		return nil
	}
	rest := l.rest
	l.rest = nil
	return l.line(rest)
}

func (l *lineWriter) line(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := fmt.Fprintf(l.w, "%s%s\n", l.prefix, b)
	return err
}
