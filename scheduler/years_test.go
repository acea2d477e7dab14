package scheduler

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

var (
	yearsFlag    = flag.Int("years", 40, "how many seeds TestYears plays")
	yearSeedFlag = flag.Uint64("year", 0, "play this seed of TestYears alone")
)

// TestYears plays years of schedules without a cluster: what a leader computes, on a
// clock that jumps from tick to tick. Leaders die, for seconds or for weeks, before or
// after what they committed, jobs change their times, and whole nights of the
// year have an hour more or less. Each tick must have exactly one fate.
func TestYears(t *testing.T) {
	if *yearSeedFlag != 0 {
		playYears(t, *yearSeedFlag)
		return
	}
	began, ticks, years := time.Now(), 0, 0.0
	for seed := uint64(1); seed <= uint64(*yearsFlag); seed++ {
		n, y := playYears(t, seed)
		ticks, years = ticks+n, years+y
		if t.Failed() {
			t.Fatalf("seed %d; again: go test ./scheduler -run TestYears -year %d", seed, seed)
		}
	}
	t.Logf("%d seeds: %.0f years, %d ticks, in %s", *yearsFlag, years, ticks, time.Since(began).Round(time.Millisecond))
}

// zonesOfYears have changes of an hour, of half an hour, at midnight, of a whole day,
// and none.
var zonesOfYears = []string{"America/New_York", "Europe/Berlin", "Asia/Beirut", "Africa/Cairo", "America/Havana", "Australia/Lord_Howe",
	"Pacific/Apia", "Atlantic/Azores", "America/Santiago", "UTC"}

var timesOfYears = []string{"0 2 * * *", "30 1 * * *", "0 0 * * *", "15 0,12 * * 0", "30 2 * * 6", "0 */6 * * *", "*/30 1-3 * * *", "0 12 29 2 *",
	"0 9 L * *", "@every 7h", "45 23 31 12 *", "0 3 1 * *", "*/40 * * * 1"}

// yearJob draws a job of a name, another one at each call.
func yearJob(r *rand.Rand, name string) string {
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	text := fmt.Sprintf("  %s: {func: work, schedule: %q", name, pick(timesOfYears))
	if !strings.Contains(text, "@every") {
		text += fmt.Sprintf(", timezone: %s, dst: {gap: %s, overlap: %s}", pick(zonesOfYears), pick([]string{"run-after", "skip"}), pick([]string{"once", "twice"}))
		if r.IntN(4) == 0 {
			text += ", jitter: 5m"
		}
	}
	text += fmt.Sprintf(", catch_up: {policy: %s, window: %s, max: %d}", pick([]string{"skip", "latest", "all"}), pick([]string{"1h", "24h", "720h"}), 1+r.IntN(20))
	if r.IntN(2) == 0 {
		text += ", overlap: allow"
	}
	return text + "}\n"
}

// decided is one entry of a ledger.
type decided struct {
	jobs.Decision
	at time.Time // when it was decided
}

// chapter is the time in which a job had one definition.
type chapter struct {
	job      *jobs.Job
	from, to time.Time // cursor at its beginning, and where the next one begins
	fates    []decided
}

// yearBooks are what Redis keeps, as far as a planner knows.
type yearBooks struct {
	r        *rand.Rand
	now      time.Time
	list     []*jobs.Job
	chapters map[string][]*chapter
	cursors  map[string]time.Time
}

// adopt is the first act of a term or of a reload.
func (b *yearBooks) adopt() jobs.Adopted {
	out := map[string]time.Time{}
	for _, job := range b.list {
		list := b.chapters[job.Name]
		if n := len(list); n == 0 || list[n-1].job.Timing != job.Timing {
			if n > 0 {
				list[n-1].to = b.now
			}
			b.chapters[job.Name] = append(list, &chapter{job: job, from: b.now})
			b.cursors[job.Name] = b.now
		} else {
			list[n-1].job = job
		}
		out[job.Name] = b.cursors[job.Name]
	}
	return jobs.Adopted{Cursors: out}
}

// commit decides as commit.lua does.
func (b *yearBooks) commit(ds []jobs.Decision) []jobs.Verdict {
	vs := make([]jobs.Verdict, 0, len(ds))
	busy := map[string]bool{}
	for _, d := range ds {
		name := d.Job.Name
		v := jobs.Verdict{Kind: jobs.VerdictRecorded}
		runs := d.Outcome == jobs.OutcomeRan || d.Outcome == jobs.OutcomeLate
		switch {
		case !d.Tick.After(b.cursors[name]):
			v = jobs.Verdict{Kind: jobs.VerdictDuplicate, Cursor: b.cursors[name]}
		case d.Until.After(b.now):
			v = jobs.Verdict{Kind: jobs.VerdictEarly, Wait: d.Until.Sub(b.now)}
		case busy[name], runs && d.Wait && b.r.IntN(5) == 0:
			busy[name] = true
			v.Kind = jobs.VerdictBusy
		default:
			if runs {
				v.Kind = jobs.VerdictRan
			}
			b.cursors[name] = d.Until
			c := b.chapters[name][len(b.chapters[name])-1]
			c.fates = append(c.fates, decided{d, b.now})
		}
		vs = append(vs, v)
	}
	return vs
}

// schedule draws a file; what is not in change stays as it was.
func (b *yearBooks) schedule(t *testing.T, texts []string) {
	s, err := jobs.Parse("years.yaml", []byte("version: 1\njobs:\n"+strings.Join(texts, "")))
	require.NoError(t, err, strings.Join(texts, ""))
	b.list = s.Jobs
}

// playYears plays one seed, and returns how many ticks there were in how many years.
func playYears(t *testing.T, seed uint64) (ticks int, years float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	b := &yearBooks{r: r, chapters: map[string][]*chapter{}, cursors: map[string]time.Time{}}
	b.now = time.Date(1972+r.IntN(64), time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), 0, time.UTC)
	end := b.now.Add(time.Duration(1+r.IntN(4)) * 365 * 24 * time.Hour)
	years = end.Sub(b.now).Hours() / 24 / 365
	var texts []string
	for i := range 3 + r.IntN(4) {
		texts = append(texts, yearJob(r, fmt.Sprintf("j%d", i)))
	}
	b.schedule(t, texts)
	a, err := newAgenda(b.list, b.adopt())
	require.NoError(t, err)

	trouble := func() time.Time { return b.now.Add(time.Duration(r.ExpFloat64() * float64(40*24*time.Hour))) }
	for event := trouble(); b.now.Before(end); {
		next, ok := a.next()
		if !ok || next.After(event) {
			b.now = later(b.now, event)
			switch r.IntN(3) {
			case 0: // another definition
				i := r.IntN(len(texts))
				texts[i] = yearJob(r, fmt.Sprintf("j%d", i))
				b.schedule(t, texts)
				require.NoError(t, a.update(b.list, b.adopt()))
			case 1: // the leader dies, and nobody leads for a while
				b.now = b.now.Add(time.Duration(r.ExpFloat64() * float64([]time.Duration{time.Second, time.Hour, 20 * 24 * time.Hour}[r.IntN(3)])))
				a, err = newAgenda(b.list, b.adopt())
				require.NoError(t, err)
			case 2: // it dies when a part of what it decided is committed
				if ok {
					b.now = later(b.now, next)
					ds := a.due(b.now)
					b.commit(ds[:r.IntN(len(ds)+1)])
				}
				a, err = newAgenda(b.list, b.adopt())
				require.NoError(t, err)
			}
			event = trouble()
			continue
		}
		b.now = later(b.now, next)
		if r.IntN(20) == 0 {
			b.now = b.now.Add(time.Duration(r.Int64N(int64(90 * time.Second))))
		}
		ds := a.due(b.now)
		require.NoError(t, a.settle(ds, b.commit(ds), b.now))
	}
	// In the end somebody leads, and has a few quiet hours.
	for quiet := b.now.Add(4 * time.Hour); ; {
		next, ok := a.next()
		if !ok || next.After(quiet) {
			break
		}
		b.now = later(b.now, next)
		ds := a.due(b.now)
		require.NoError(t, a.settle(ds, b.commit(ds), b.now))
	}
	for name, list := range b.chapters {
		for _, c := range list {
			ticks += c.check(t, fmt.Sprintf("seed %d, %s", seed, name), b.now)
		}
	}
	return ticks, years
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// check goes through the ticks of a chapter one by one.
func (c *chapter) check(t *testing.T, who string, end time.Time) (ticks int) {
	t.Helper()
	bad := func(format string, args ...any) { t.Errorf(who+": "+format, args...) }
	i := 0
	tick, ok := c.job.Next(c.from)
	for ; ok && i < len(c.fates); i++ {
		f := c.fates[i]
		if !f.Tick.Equal(tick) {
			bad("the next tick is %s, and what was decided is %s %s", tick, f.Tick, f.Outcome)
			return ticks
		}
		n := 0
		for ; ok && !tick.After(f.Until); tick, ok = c.job.Next(tick) {
			n++
		}
		ticks += n
		if f.Count != 0 && f.Count != n {
			bad("%s to %s are %d ticks, not %d", f.Tick, f.Until, n, f.Count)
		}
		late := f.at.Sub(c.job.Starts(f.Tick))
		switch {
		case late < 0:
			bad("%s was decided %s before its start", f.Tick, -late)
		case f.Outcome == jobs.OutcomeRan && late > jobs.LateAfter:
			bad("%s was %s late and is called in time", f.Tick, late)
		case f.Outcome == jobs.OutcomeMissed && f.at.Sub(c.job.Starts(f.Until)) <= SimplyLate:
			bad("%s was missed although it was late by less than a minute", f.Until)
		case f.Outcome == jobs.OutcomeLate && late > SimplyLate && (f.Job.CatchUp.Policy == jobs.CatchUpSkip || late > f.Job.CatchUp.Window):
			bad("%s ran %s late, beyond what its policy (%s, %s) allows", f.Tick, late, f.Job.CatchUp.Policy, f.Job.CatchUp.Window)
		}
	}
	if i < len(c.fates) {
		bad("decided beyond the last tick: %s", c.fates[i].Tick)
	}
	// What was due when the definition changed is told by a range of its own.
	if ok && c.to.IsZero() && c.job.Starts(tick).Before(end) {
		last := "nothing"
		if n := len(c.fates); n > 0 {
			last = c.fates[n-1].Until.String()
		}
		bad("%s was never decided; the last that was: %s", tick, last)
	}
	return ticks
}
