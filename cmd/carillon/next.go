package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carillon/internal/forecast"
	"carillon/jobs"
)

type nextOptions struct {
	count     int
	hasCount  bool // it was given, and is no default that --until outdoes
	from      string
	until     string
	late      time.Duration
	hasLate   bool
	spec      specOptions
	needsSpec []string // the flags that were given and only mean something with --spec
}

// specOptions are the flags that stand for what a job would say beside its
// expression.
type specOptions struct {
	expr       string
	given      bool // an empty expression is bad, not absent
	timezone   string
	name       string
	dstGap     string
	dstOverlap string
}

// specFlags are the flags that go with --spec only.
var specFlags = []string{"timezone", "name", "dst-gap", "dst-overlap"}

func (a *app) nextCommand() *cobra.Command {
	var o nextOptions
	cmd := a.command(spec{
		use:      "next [JOB...]",
		short:    "Show what fires next; needs no Redis",
		computes: true,
		long: `Show the next ticks: of all enabled jobs, of the named ones, or of any expression.
The note says what a change of the clocks or a calendar does to a tick, and when a
tick with jitter starts. --count is the number of ticks shown in all, soonest first,
however many jobs there are.

With --late it shows what a node that starts now would do about the ticks of an
outage: which it runs, which it skips or misses, and why. That takes for granted
that the outage found all earlier ticks decided, no run unfinished and no job paused.`,
		example: `  carillon next                          # the next 10 ticks of all jobs
  carillon next backup --until 2026-12-01T00:00:00Z
  carillon next --spec "30 2 * * *" --timezone America/New_York --from 2027-03-12T00:00:00Z
  carillon next --spec "H H(0-5) * * *" --name backup   # where H puts a job of that name
  carillon next --late 6h                # what starting after six hours of outage would run
  carillon next backup -o json`,
		run: func(cmd *cobra.Command, args []string) error {
			o.hasCount, o.hasLate = cmd.Flags().Changed("count"), cmd.Flags().Changed("late")
			o.spec.given = cmd.Flags().Changed("spec")
			o.needsSpec = slices.DeleteFunc(slices.Clone(specFlags), func(name string) bool { return !cmd.Flags().Changed(name) })
			return a.next(o, args)
		},
		complete: a.completeJobs,
	})
	f := cmd.Flags()
	f.IntVarP(&o.count, "count", "n", 10, "show `N` ticks in all")
	f.StringVar(&o.from, "from", "", "show what fires after `TIME`, RFC 3339 (default now)")
	f.StringVar(&o.until, "until", "", "show what fires up to `TIME`, RFC 3339, however much it is")
	f.DurationVar(&o.late, "late", 0, "show what a node that starts after an outage of this `DURATION` would run")
	f.StringVar(&o.spec.expr, "spec", "", "show this `EXPRESSION` instead of the jobs of the file")
	f.StringVar(&o.spec.timezone, "timezone", "", "read --spec in this `ZONE`, such as Europe/Berlin (default UTC)")
	f.StringVar(&o.spec.name, "name", "", "the job `NAME` that spreads the H of --spec")
	f.StringVar(&o.spec.dstGap, "dst-gap", "", "what --spec does with a time that does not exist: `run-after|skip`")
	f.StringVar(&o.spec.dstOverlap, "dst-overlap", "", "what --spec does with a time that comes twice: `once|twice`")
	a.completeWith(cmd, "dst-gap", string(jobs.DSTRunAfter), string(jobs.DSTSkip))
	a.completeWith(cmd, "dst-overlap", string(jobs.DSTOnce), string(jobs.DSTTwice))
	a.completeFlag(cmd, "timezone", completeZones)
	for _, name := range []string{"from", "until", "late", "spec", "name"} {
		a.completeFlag(cmd, name, cobra.NoFileCompletions)
	}
	return cmd
}

// completeWith offers the few values of a flag.
func (a *app) completeWith(cmd *cobra.Command, flag string, values ...string) {
	a.completeFlag(cmd, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

const maxNext = 100_000

func (a *app) next(o nextOptions, names []string) error {
	const hint = "see `carillon next --help`"
	if o.count < 1 || o.count > maxNext {
		return fail(exitUsage, "--count %d: expected 1 to %d", o.count, maxNext).withHint(hint)
	}
	from, until := a.now(), time.Time{}
	var err error
	if o.from != "" {
		if from, err = parseTime("--from", o.from); err != nil {
			return err
		}
	}
	if o.hasLate {
		return a.late(o, from, names)
	}
	if o.until != "" {
		if until, err = parseTime("--until", o.until); err != nil {
			return err
		}
		if until.Before(from) {
			return fail(exitUsage, "--until %s is before %s, where the ticks begin", o.until, from.Format(time.RFC3339)).withHint(hint)
		}
		if !o.hasCount {
			o.count = maxNext
		}
	}
	voices, err := a.voices(o, names)
	if err != nil {
		return err
	}
	sources := make([]forecast.Source, len(voices))
	for i, v := range voices {
		sources[i] = v.next
	}
	ticks := forecast.Merge(sources, from, until, o.count)
	if len(ticks) == maxNext && o.until != "" && !o.hasCount {
		a.say("these are the first %d: give a nearer --until, or --from the last of them", maxNext)
	}
	if len(ticks) == 0 {
		a.say("nothing fires")
	}
	return a.showTicks(voices, ticks)
}

// voice is one source of ticks in `next`: a job, or an expression.
type voice struct {
	job    string
	loc    *time.Location
	next   forecast.Source
	starts func(tick time.Time) time.Time // nil: not in time
	notes  func(after, tick time.Time) []string
}

func (a *app) voices(o nextOptions, names []string) ([]voice, error) {
	if o.spec.given {
		if len(names) > 0 {
			return nil, fail(exitUsage, "--spec stands instead of jobs: drop it, or %q", strings.Join(names, " "))
		}
		return a.specVoice(o.spec)
	}
	if len(o.needsSpec) > 0 {
		return nil, fail(exitUsage, "--%s goes with --spec; a job has what the file says", o.needsSpec[0])
	}
	s, err := a.schedule()
	if err != nil {
		return nil, err
	}
	chosen, err := a.chosen(s, names)
	if err != nil {
		return nil, err
	}
	voices := make([]voice, len(chosen))
	for i, job := range chosen {
		voices[i] = jobVoice(job)
	}
	return voices, nil
}

// chosen are the jobs with ticks that are meant by the names: each once, or,
// without names, all that are enabled.
func (a *app) chosen(s *jobs.Schedule, names []string) ([]*jobs.Job, error) {
	var chosen []*jobs.Job
	if len(names) == 0 {
		for _, job := range s.Jobs {
			if job.Enabled && job.Ticks() {
				chosen = append(chosen, job)
			}
		}
		return chosen, nil
	}
	for _, name := range names {
		job, err := jobIn(s, name)
		switch {
		case err != nil:
			return nil, err
		case slices.Contains(chosen, job):
		case !job.Ticks():
			a.say("%s has no schedule: it runs when %s", job.Name, startedBy(job))
		default:
			chosen = append(chosen, job)
		}
	}
	return chosen, nil
}

// startedBy is what starts a job without ticks, after "when".
func startedBy(job *jobs.Job) string {
	if job.After == nil {
		return "it is triggered"
	}
	return job.After.Job + " has run (" + string(job.After.When) + "), or it is triggered"
}

func (a *app) specVoice(o specOptions) ([]voice, error) {
	loc, err := a.location(o.timezone)
	if err != nil {
		return nil, err
	}
	options := jobs.SpecOptions{Location: loc, Name: o.name}
	if options.DST.Gap, err = oneOf("--dst-gap", o.dstGap, jobs.DSTRunAfter, jobs.DSTSkip); err != nil {
		return nil, err
	}
	if options.DST.Overlap, err = oneOf("--dst-overlap", o.dstOverlap, jobs.DSTOnce, jobs.DSTTwice); err != nil {
		return nil, err
	}
	sp, err := jobs.NewSpec(o.expr, options)
	if err != nil {
		e := fail(exitSchedule, "--spec %q: %w", o.expr, err)
		if onlyWantsName(o.expr, options) {
			return nil, e.withHint(nameHint)
		}
		return nil, e
	}
	atOnce := func(tick time.Time) time.Time { return tick }
	return []voice{{loc: options.Location, next: sp.Next, starts: atOnce, notes: sp.Notes}}, nil
}

// nameHint is what to do about an expression that onlyWantsName.
const nameHint = "--name JOB says which job's H it is"

// onlyWantsName reports whether all that is wrong with an expression is that it
// has an H and no name.
func onlyWantsName(expr string, options jobs.SpecOptions) bool {
	if options.Name != "" {
		return false
	}
	options.Name = "any"
	_, err := jobs.NewSpec(expr, options)
	return err == nil
}

// oneOf reads the value of a flag that has two; "" is the default.
func oneOf[T ~string](flag, text string, a, b T) (T, error) {
	switch v := T(text); v {
	case "", a, b:
		return v, nil
	default:
		return "", fail(exitUsage, "%s %q: expected %s or %s", flag, text, a, b)
	}
}

func jobVoice(job *jobs.Job) voice {
	return voice{job: job.Name, loc: job.Zone(), next: job.Next, starts: job.Starts, notes: func(after, tick time.Time) []string {
		var words []string
		if !job.Enabled {
			words = append(words, "disabled")
		}
		words = append(words, job.Notes(after, tick)...)
		if starts := job.Starts(tick); !starts.Equal(tick) {
			words = append(words, "starts "+timeOfDay(starts.In(job.Zone()), tick.In(job.Zone()))+" (jitter)")
		}
		return words
	}}
}

// timeOfDay is the time of day of t, with its date when that is not the day of beside.
func timeOfDay(t, beside time.Time) string {
	if t.YearDay() == beside.YearDay() && t.Year() == beside.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}

// tickLayout is a tick in a table: the weekday says as much as the date.
const tickLayout = "Mon 2006-01-02 15:04:05 -07:00"

func (a *app) showTicks(voices []voice, ticks []forecast.Tick) error {
	now := a.now()
	t := &table{head: []string{"AT", "IN", "JOB", "NOTE"}}
	var items []any
	for _, k := range ticks {
		v := voices[k.Source]
		at, note := k.At.In(v.loc), strings.Join(v.notes(k.Previous, k.At), "; ")
		view := tickView{Job: v.job, At: stamp(at), Note: note}
		if v.starts != nil {
			starts := stamp(v.starts(k.At).In(v.loc))
			view.StartsAt = &starts
		}
		items = append(items, view)
		in := ""
		if k.At.After(now) {
			in = short(k.At.Sub(now))
		}
		t.add(at.Format(tickLayout), orDash(in), orDash(v.job), note)
		t.paint(3, yellow)
	}
	return a.list(items, t)
}
