package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

type nextOptions struct {
	count    int
	from     string
	spec     string
	timezone string
}

func (a *app) nextCommand() *cobra.Command {
	var o nextOptions
	cmd := a.command(spec{
		use:   "next [JOB...]",
		short: "Show what fires next; needs no Redis",
		long: `Show the next ticks: of all enabled jobs, of the named ones, or of any expression.
--count is the number of ticks shown in all, soonest first, however many jobs there are.`,
		example: `  carillon next                          # the next 10 ticks of all jobs
  carillon next backup --count 3
  carillon next --spec "30 2 * * *" --timezone Europe/Berlin --from 2026-03-28T00:00:00Z
  carillon next backup -o json`,
		run:      func(_ *cobra.Command, args []string) error { return a.next(o, args) },
		complete: a.completeJobs,
	})
	cmd.Flags().IntVarP(&o.count, "count", "n", 10, "show `N` ticks in all")
	cmd.Flags().StringVar(&o.from, "from", "", "show what fires after `TIME`, RFC 3339 (default now)")
	cmd.Flags().StringVar(&o.spec, "spec", "", "show this `EXPRESSION` instead of the jobs of the file")
	cmd.Flags().StringVar(&o.timezone, "timezone", "", "read --spec in this `ZONE`, such as Europe/Berlin (default UTC)")
	return cmd
}

const maxNext = 100_000

func (a *app) next(o nextOptions, names []string) error {
	if o.count < 1 || o.count > maxNext {
		return fail(exitUsage, "--count %d: expected 1 to %d", o.count, maxNext).withHint("see `carillon next --help`")
	}
	from := a.now()
	if o.from != "" {
		var err error
		if from, err = time.Parse(time.RFC3339, o.from); err != nil {
			return fail(exitUsage, "--from %q: expected a time such as 2026-11-22T02:00:00Z", o.from).withHint("see `carillon next --help`")
		}
	}
	voices, err := a.voices(o, names)
	if err != nil {
		return err
	}
	return a.showTicks(merge(voices, from, o.count))
}

// voice is one source of ticks in `next`: a job, or an expression.
type voice struct {
	job  string
	loc  *time.Location
	note string
	next func(after time.Time) (time.Time, bool)
}

func (a *app) voices(o nextOptions, names []string) ([]voice, error) {
	if o.spec != "" {
		if len(names) > 0 {
			return nil, fail(exitUsage, "--spec stands instead of jobs: drop it, or %q", strings.Join(names, " "))
		}
		return specVoice(o)
	}
	if o.timezone != "" {
		return nil, fail(exitUsage, "--timezone is the zone of --spec; a job has the zone of the file")
	}
	s, err := a.schedule()
	if err != nil {
		return nil, err
	}
	chosen := s.Jobs
	if len(names) > 0 {
		chosen = nil
		for _, name := range names {
			job, err := jobIn(s, name)
			if err != nil {
				return nil, err
			}
			if !slices.Contains(chosen, job) {
				chosen = append(chosen, job)
			}
		}
	}
	var voices []voice
	for _, job := range chosen {
		v := jobVoice(job)
		switch {
		case len(job.Specs) == 0 && len(names) > 0:
			a.say("%s has no schedule: it runs when it is triggered", job.Name)
		case job.Enabled || len(names) > 0:
			voices = append(voices, v)
		}
	}
	return voices, nil
}

func specVoice(o nextOptions) ([]voice, error) {
	loc := time.UTC
	if o.timezone != "" {
		var err error
		if loc, err = time.LoadLocation(o.timezone); err != nil || loc == time.Local {
			return nil, fail(exitUsage, "--timezone %q: expected a zone such as UTC or Europe/Berlin", o.timezone)
		}
	}
	sp, err := jobs.ParseSpec(o.spec, loc)
	if err != nil {
		return nil, fail(exitSchedule, "--spec %q: %w", o.spec, err)
	}
	return []voice{{loc: loc, next: sp.Next}}, nil
}

func jobVoice(job *jobs.Job) voice {
	v := voice{job: job.Name, loc: zoneOf(job), next: job.Next}
	if !job.Enabled {
		v.note = "disabled"
	}
	return v
}

// zoneOf is the zone a job's times are shown in. The file was validated with
// the same database, so the name is known.
func zoneOf(job *jobs.Job) *time.Location {
	if len(job.Specs) > 0 {
		return job.Specs[0].Location()
	}
	return time.UTC
}

type noted struct {
	at    time.Time
	voice voice
}

// merge takes the first n ticks of all voices after from, soonest first; at one
// instant in the order of the voices.
func merge(voices []voice, from time.Time, n int) []noted {
	heads := make([]time.Time, len(voices))
	alive := make([]bool, len(voices))
	for i, v := range voices {
		heads[i], alive[i] = v.next(from)
	}
	var ticks []noted
	for len(ticks) < n {
		best := -1
		for i := range voices {
			if alive[i] && (best < 0 || heads[i].Before(heads[best])) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		ticks = append(ticks, noted{at: heads[best].In(voices[best].loc), voice: voices[best]})
		heads[best], alive[best] = voices[best].next(heads[best])
	}
	return ticks
}

func (a *app) showTicks(ticks []noted) error {
	now := a.now()
	t := &table{head: []string{"AT", "IN", "JOB", "NOTE"}}
	var items []any
	for _, k := range ticks {
		items = append(items, tickView{Job: k.voice.job, At: stamp(k.at), Note: k.voice.note})
		in := ""
		if k.at.After(now) {
			in = short(k.at.Sub(now))
		}
		t.add(k.at.Format("Mon 2006-01-02 15:04:05 -07:00"), orDash(in), orDash(k.voice.job), k.voice.note)
	}
	if len(ticks) == 0 {
		a.say("nothing fires")
	}
	return a.list(items, t)
}
