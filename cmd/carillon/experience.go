package main

import (
	"context"
	"slices"
	"time"

	"carillon/jobs"
)

// experience is what the runs and nodes of a Redis tell about the future: how
// long the runs of a job last, and how many can run at once.
type experience struct {
	durations map[string]time.Duration // by job; nil when no Redis was asked
	nodes     int                      // live ones
	slots     int                      // of all of them
}

// recentRuns is how many runs of a job tell how long the next one lasts.
const recentRuns = 20

// experience asks a Redis if there is one. That one which the file or the
// environment names does not answer is worth a word; with --redis it is an error.
func (a *app) experience(ctx context.Context, list []*jobs.Job) (x experience, err error) {
	demanded := a.opts.redis != ""
	patience := glancePatience
	if demanded {
		patience = replyPatience
	}
	addr, err := a.address()
	if err != nil {
		return x, err
	}
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	st, err := a.connectTo(ctx, addr, min(patience, pingPatience))
	if err == nil {
		defer func() { _ = st.Close() }()
		x, err = ask(ctx, st, list)
		err = storeFailed(ctx, err)
	}
	switch {
	case err == nil:
	case demanded || parent.Err() != nil:
		return x, err
	case !addr.embedded:
		a.say("without durations: %s", addr.scrub(err.Error()))
	}
	return x, nil
}

// ask reads the nodes and the durations of recent runs: of the latest of all jobs
// in one go, and then of the jobs that are not among them.
func ask(ctx context.Context, st store, list []*jobs.Job) (x experience, err error) {
	nodes, err := st.Nodes(ctx)
	if err != nil {
		return x, err
	}
	for _, n := range nodes {
		x.nodes++
		x.slots += n.Slots
	}
	latest, err := st.Runs(ctx, runFilter{Limit: latestRuns})
	if err != nil {
		return x, err
	}
	byJob := map[string][]time.Duration{}
	for _, r := range latest {
		note(byJob, r)
	}
	asked := 0
	for _, j := range list {
		if len(byJob[j.Name]) > 0 || asked == askedJobs {
			continue
		}
		asked++
		runs, err := st.Runs(ctx, runFilter{Job: j.Name, Limit: recentRuns})
		if err != nil {
			return x, err
		}
		for _, r := range runs {
			note(byJob, r)
		}
	}
	x.durations = make(map[string]time.Duration, len(byJob))
	for job, all := range byJob {
		slices.Sort(all)
		x.durations[job] = all[len(all)/2]
	}
	return x, nil
}

// note keeps how long a run lasted that went to its end. The runs come with the
// newest first.
func note(byJob map[string][]time.Duration, r jobs.Run) {
	ended := r.Status == jobs.Succeeded || r.Status == jobs.Failed
	if ended && !r.StartedAt.IsZero() && !r.FinishedAt.IsZero() && len(byJob[r.Job]) < recentRuns {
		byJob[r.Job] = append(byJob[r.Job], max(0, r.FinishedAt.Sub(r.StartedAt)))
	}
}
