package main

import (
	"container/heap"
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
	hasSpec  bool // an empty expression is bad, not absent
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
		run: func(cmd *cobra.Command, args []string) error {
			o.hasSpec = cmd.Flags().Changed("spec")
			return a.next(o, args)
		},
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
	if o.hasSpec {
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
	var heads headHeap
	for i, v := range voices {
		if at, ok := v.next(from); ok {
			heads = append(heads, head{at: at, voice: i})
		}
	}
	heap.Init(&heads)
	var ticks []noted
	for len(ticks) < n && len(heads) > 0 {
		first := &heads[0]
		v := voices[first.voice]
		ticks = append(ticks, noted{at: first.at.In(v.loc), voice: v})
		if at, ok := v.next(first.at); ok {
			first.at = at
			heap.Fix(&heads, 0)
		} else {
			heap.Pop(&heads)
		}
	}
	return ticks
}

// head is the next tick of a voice, by its index.
type head struct {
	at    time.Time
	voice int
}

// headHeap is a container/heap of the voices' next ticks.
type headHeap []head

func (h headHeap) Len() int      { return len(h) }
func (h headHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h headHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].voice < h[j].voice
}

// Push and Pop belong to container/heap.
func (h *headHeap) Push(x any) { *h = append(*h, x.(head)) }

// Pop takes the last element.
func (h *headHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
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
