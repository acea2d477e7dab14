package jobs

import (
	"slices"
	"strings"
	"time"
)

// These rules look at what comes together: jobs at one minute, runs of one job,
// jobs and what they name.

const (
	crowd    = 40 // so many jobs at one minute are worth a word
	lintWeek = 7 * 24 * 60
)

// lintCrowdedMinute counts jobs, not ticks, and leaves out those that fire in
// every minute anyway and those whose ticks jitter spreads.
func lintCrowdedMinute(l *linter) {
	var candidates []*Job
	for _, j := range l.jobsNotSilent() {
		if j.Enabled && j.Ticks() && j.Jitter == 0 {
			candidates = append(candidates, j)
		}
	}
	if len(candidates) < crowd {
		return
	}
	from := l.now.Truncate(time.Minute).Add(time.Minute)
	counts := make([]int, lintWeek)
	minutes := make([]uint64, lintWeek)
	fires := func(j *Job) bool {
		clear(minutes)
		j.Mark(from, minutes)
		return slices.Contains(minutes, 0)
	}
	for _, j := range candidates {
		if !fires(j) {
			continue
		}
		for i, m := range minutes {
			if m != 0 {
				counts[i]++
			}
		}
	}
	peak := 0
	for i, n := range counts {
		if n > counts[peak] {
			peak = i
		}
	}
	if counts[peak] < crowd {
		return
	}
	at := from.Add(time.Duration(peak) * time.Minute)
	var names []string
	for _, j := range candidates {
		if fires(j) && minutes[peak] != 0 {
			if names = append(names, j.Name); len(names) == 3 {
				break
			}
		}
	}
	l.warn("%d jobs fire at %s (%s, ...), the most in one minute of the coming week; spread them with H, such as \"H 2 * * *\", or with jitter:; `carillon load` shows which",
		counts[peak], at.In(l.schedule.Location).Format(lintTick+" MST"), strings.Join(names, ", "))
}

// shortestGap is the shortest time between two of the job's next ticks, as far as
// a short look shows. It is 0 when there are no two.
func shortestGap(j *Job, after time.Time) time.Duration {
	const ticks = 50
	var gap time.Duration
	last, ok := j.Next(after)
	for range ticks {
		if !ok {
			break
		}
		var tick time.Time
		if tick, ok = j.Next(last); ok {
			if d := tick.Sub(last); gap == 0 || d < gap {
				gap = d
			}
			last = tick
		}
	}
	return gap
}

func lintTimeoutExceedsInterval(l *linter, j *Job) {
	if j.Overlap != OverlapAllow || j.MaxRunning > 0 || j.Timeout == 0 {
		return
	}
	gap := shortestGap(j, l.now)
	if gap == 0 || j.Timeout <= gap {
		return
	}
	l.warn("a run may last %s (timeout) and the next one begins after %s: with overlap: allow up to %d of them run at once; bound them with max_running:, or shorten the timeout",
		DurationText(j.Timeout), DurationText(gap), (j.Timeout+gap-1)/gap)
}

// lintRetryOutlastsInterval counts the waits alone: how long the tries last is
// not in the file.
func lintRetryOutlastsInterval(l *linter, j *Job) {
	if j.Overlap != OverlapSkip || j.Retry.Attempts < 2 || !j.Ticks() {
		return
	}
	var waits time.Duration
	for failures := 1; failures < j.Retry.Attempts && waits < maxDuration; failures++ {
		waits += j.Retry.wait(failures)
	}
	gap := shortestGap(j, l.now)
	if gap == 0 || waits <= gap {
		return
	}
	l.warn("%d attempts wait %s in all, and the next tick comes after %s: ticks in between are skipped (overlap: skip); try less often, or choose overlap: queue to run once more afterwards",
		j.Retry.Attempts, DurationText(waits.Round(time.Millisecond)), DurationText(gap))
}

func lintCatchUpMax(l *linter, j *Job) {
	if j.CatchUp.Policy != CatchUpAll || !j.Ticks() {
		return
	}
	at := l.now.Add(-j.CatchUp.Window)
	for range j.CatchUp.Max + 1 {
		tick, ok := j.Next(at)
		if !ok || tick.After(l.now) {
			return // all of them run
		}
		at = tick
	}
	l.warn("catch_up: all, but the window of %s holds more ticks than max, %d: after a long outage only the newest %d run; raise max, or shorten the window to what it covers",
		DurationText(j.CatchUp.Window), j.CatchUp.Max, j.CatchUp.Max)
}

func lintAfterDisabled(l *linter, j *Job) {
	if !j.Enabled || j.After == nil {
		return
	}
	if up := l.schedule.Job(j.After.Job); up != nil && !up.Enabled {
		l.warn("it follows %s, which is disabled: it starts only when somebody triggers that job", up.Name)
	}
}

func lintUnusedCalendar(l *linter) {
	used := map[*Calendar]bool{}
	for _, j := range l.schedule.Jobs {
		for _, c := range j.Only {
			used[c] = true
		}
		for _, c := range j.Exclude {
			used[c] = true
		}
	}
	for _, c := range l.schedule.Calendars {
		if !used[c] {
			l.warnAt(Place{max(c.Line, 1), 1}, "no job names the calendar %s in only: or exclude:; take it out, or use it", quoted(c.Name))
		}
	}
}
