package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"carillon/internal/forecast"
	"carillon/jobs"
)

type backfillOptions struct {
	from, to string
	force    bool
	dryRun   bool
}

func (a *app) backfillCommand() *cobra.Command {
	var o backfillOptions
	cmd := a.command(spec{
		use:   "backfill JOB",
		short: "Run past ticks of a job that did not run",
		long: `Run the ticks of a job from --from to --to, both included, that did not run. A tick
has the id it would have had: what ran is not run again. The leader starts them one
after the other, and beside each other with overlap: allow. Ticks older than the
job's ledger are refused without --force: nobody knows whether they ran.

--dry-run lists the ticks instead, those that ran among them, and needs no Redis.`,
		example: `  carillon backfill backup --from 2026-11-20T00:00:00Z --to 2026-11-22T00:00:00Z --dry-run
  carillon backfill backup --from 2026-11-20T00:00:00Z --to 2026-11-22T00:00:00Z
  carillon runs --job backup --status queued`,
		args:     exactlyOne("one job"),
		complete: a.completeOneJob,
		run: func(cmd *cobra.Command, args []string) error {
			job, ticks, err := a.pastTicks(args[0], o)
			if err != nil {
				return err
			}
			if o.dryRun {
				return a.previewTicks(job, ticks)
			}
			return a.withStore(cmd.Context(), func(st store) error { return a.backfill(cmd.Context(), st, job, ticks, o.force) })
		},
	})
	cmd.Flags().StringVar(&o.from, "from", "", "the first `TIME`, RFC 3339")
	cmd.Flags().StringVar(&o.to, "to", "", "the last `TIME`, RFC 3339")
	cmd.Flags().BoolVar(&o.force, "force", false, "take ticks that are older than the ledger: they may have run")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only list the ticks")
	for _, name := range []string{"from", "to"} {
		a.completeFlag(cmd, name, cobra.NoFileCompletions)
	}
	return cmd
}

// mostTicks is how many ticks one backfill takes at most.
const mostTicks = 10_000

// pastTicks are the ticks of the job that the flags mean.
func (a *app) pastTicks(name string, o backfillOptions) (*jobs.Job, []time.Time, error) {
	const hint = "see `carillon backfill --help`"
	if o.from == "" || o.to == "" {
		return nil, nil, fail(exitUsage, "backfill needs --from and --to").withHint(hint)
	}
	from, err := parseTime("--from", o.from)
	if err != nil {
		return nil, nil, err
	}
	to, err := parseTime("--to", o.to)
	if err != nil {
		return nil, nil, err
	}
	if to.Before(from) {
		return nil, nil, fail(exitUsage, "--to %s is before --from %s", o.to, o.from).withHint(hint)
	}
	s, err := a.schedule()
	if err != nil {
		return nil, nil, err
	}
	job, err := jobIn(s, name)
	if err != nil {
		return nil, nil, err
	}
	if !job.Ticks() {
		return nil, nil, fail(exitRefused, "%s has no schedule: there are no ticks to run", name).
			withHint("`carillon trigger %s` starts it", name)
	}
	ticks, all := ticksBetween(job, from, to)
	if !all {
		return nil, nil, fail(exitRefused, "%s has more than %d ticks from %s to %s", name, mostTicks, o.from, o.to).
			withHint("narrow --from and --to: the %d-th tick is at %s", mostTicks, ticks[mostTicks-1].Format(time.RFC3339))
	}
	return job, ticks, nil
}

func parseTime(flag, text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fail(exitUsage, "%s %q: expected a time such as 2026-11-22T02:00:00Z", flag, text)
	}
	return t, nil
}

// ticksBetween returns the ticks from one time to another, both included; all is
// false when there are more than mostTicks.
func ticksBetween(job *jobs.Job, from, to time.Time) (ticks []time.Time, all bool) {
	at, ok := job.Next(from.Add(-time.Nanosecond))
	for ; ok && !at.After(to); at, ok = job.Next(at) {
		if len(ticks) == mostTicks {
			return ticks, false
		}
		ticks = append(ticks, at)
	}
	return ticks, true
}

// previewTicks lists what a backfill is about. Which of the ticks ran only Redis
// knows, and it sorts them out when it is asked.
func (a *app) previewTicks(job *jobs.Job, ticks []time.Time) error {
	v := voice{job: job.Name, loc: job.Zone(), notes: job.Notes} // jitter is for ticks that come in time
	list := make([]forecast.Tick, len(ticks))
	for i, at := range ticks {
		list[i] = forecast.Tick{At: at, Previous: at.Add(-time.Second)}
		if i > 0 {
			list[i].Previous = ticks[i-1]
		}
	}
	if err := a.showTicks([]voice{v}, list); err != nil {
		return err
	}
	a.say("%s of %s; those that ran before would not run again", count(len(ticks), "tick"), job.Name)
	return nil
}

type backfillView struct {
	Job    string `json:"job"`
	Ticks  int    `json:"ticks"`
	Queued int    `json:"queued"`
	Ran    int    `json:"ran"` // before, or they wait already
}

func (a *app) backfill(ctx context.Context, st store, job *jobs.Job, ticks []time.Time, force bool) error {
	var reply jobs.BackfillReply
	if len(ticks) == 0 {
		a.say("%s has no tick in that time", job.Name)
	} else {
		var err error
		if reply, err = st.Backfill(ctx, job, ticks, a.whoami(), force); err != nil {
			return err
		}
		if e := notBackfilled(job.Name, reply); e != nil {
			return e
		}
		a.say("%s of %s queued, %d ran before or wait already", count(reply.Queued, "tick"), job.Name, reply.Ran)
	}
	if reply.Queued > 0 {
		if p, paused := a.pauseOf(ctx, st, job.Name); paused {
			a.say("%s is paused %s: the leader starts them when it is resumed", job.Name, pauseWords(p))
		} else if job.Overlap != jobs.OverlapAllow {
			a.say("the leader starts them one after the other")
		}
	}
	return outputFailed(a.one(backfillView{Job: job.Name, Ticks: len(ticks), Queued: reply.Queued, Ran: reply.Ran}, wordless))
}

// notBackfilled says why nothing was queued; nil when it was.
func notBackfilled(job string, r jobs.BackfillReply) *exitError {
	switch {
	case !r.Undecided.IsZero() && r.Undecided.Unix() <= 0:
		return fail(exitRefused, "no leader has looked at the ticks of %s yet; nothing was queued", job)
	case !r.Undecided.IsZero():
		return fail(exitRefused, "the ticks of %s are decided up to %s; a later one runs by itself, and nothing was queued", job, moment(r.Undecided)).
			withHint("give --to %s or earlier", r.Undecided.UTC().Format(time.RFC3339))
	case r.TooOld && r.Oldest.IsZero():
		return fail(exitRefused, "the ledger of %s is empty: nobody knows which of these ticks ran; nothing was queued", job).
			withHint("--force runs them all the same")
	case r.TooOld:
		return fail(exitRefused, "the ledger of %s begins at %s: nobody knows whether earlier ticks ran; nothing was queued", job, moment(r.Oldest)).
			withHint("give --from %s or later, or --force to run them all the same", r.Oldest.UTC().Format(time.RFC3339))
	case r.Full > 0:
		return fail(exitRefused, "at most %d ticks of %s may wait, and with these there would be more; nothing was queued", r.Full, job).
			withHint("wait until the leader has started some, or narrow --from and --to")
	default:
		return nil
	}
}

// pauseOf is the pause of a job, as far as Redis tells at once: it is a remark.
func (a *app) pauseOf(ctx context.Context, st store, job string) (jobs.Pause, bool) {
	ctx, cancel := context.WithTimeout(ctx, glancePatience)
	defer cancel()
	pauses, err := st.Paused(ctx)
	if err != nil {
		return jobs.Pause{}, false
	}
	p, paused := pauses[job]
	return p, paused
}
