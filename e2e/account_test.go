package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mark is one line of the witness file: an attempt that began.
type mark struct {
	run     string
	attempt int
	pid     int
	node    string
	at      time.Time
}

func (m mark) job() string { job, _, _ := strings.Cut(m.run, "@"); return job }

// marks reads the witness file.
func (f *fleet) marks() []mark {
	f.t.Helper()
	var list []mark
	for line := range strings.Lines(read(filepath.Join(f.dir, "witness"))) {
		if !strings.HasSuffix(line, "\n") {
			continue // still being written
		}
		w := strings.Fields(line)
		require.Len(f.t, w, 5, "a torn line in the witness file: %q", line)
		sec, nano, _ := strings.Cut(w[4], ".")
		list = append(list, mark{run: w[0], attempt: number(w[1]), pid: number(w[2]), node: w[3],
			at: time.Unix(int64(number(sec)), int64(number(nano)))})
	}
	return list
}

func (f *fleet) marksOf(run string) (list []mark) {
	for _, m := range f.marks() {
		if m.run == run {
			list = append(list, m)
		}
	}
	return list
}

// entry is a line of `carillon ledger -o json`.
type entry struct {
	Tick    time.Time
	Until   time.Time
	Outcome string
	Reason  string
	Run     string
	Count   int
}

// account is what became of one job's ticks, or the sum over several jobs.
type account struct {
	ticks, ran, late, skipped, missed int
	lost, twice                       int
	again                             int           // later attempts
	gap                               time.Duration // the longest between two starts
	lag                               time.Duration // the longest from a tick to its first start
	complaints                        []string
}

func (a *account) complain(format string, args ...any) {
	a.complaints = append(a.complaints, fmt.Sprintf(format, args...))
}

func (a *account) add(b account) {
	a.ticks += b.ticks
	a.ran += b.ran
	a.late += b.late
	a.skipped += b.skipped
	a.missed += b.missed
	a.lost += b.lost
	a.twice += b.twice
	a.again += b.again
	a.gap, a.lag = max(a.gap, b.gap), max(a.lag, b.lag)
	a.complaints = append(a.complaints, b.complaints...)
}

func accountHead() string {
	return fmt.Sprintf("%-22s %6s %6s %6s %7s %6s %5s %6s %7s %10s %10s",
		"", "ticks", "ran", "late", "skipped", "missed", "lost", "twice", "retried", "gap", "lag")
}

func (a account) row(name string) string {
	return fmt.Sprintf("%-22s %6d %6d %6d %7d %6d %5d %6d %7d %10v %10v",
		name, a.ticks, a.ran, a.late, a.skipped, a.missed, a.lost, a.twice, a.again,
		a.gap.Round(time.Millisecond), a.lag.Round(time.Millisecond))
}

// everySecond are the ticks of "* * * * * *" after from, up to and including to.
func everySecond(from, to time.Time) (ticks []time.Time) {
	for t := from.Truncate(time.Second).Add(time.Second); !t.After(to); t = t.Add(time.Second) {
		ticks = append(ticks, t.UTC())
	}
	return ticks
}

// settle ends a window of observation. It returns the last second of it: every
// tick up to then has been decided, and every run of those has ended.
func (f *fleet) settle(within time.Duration, jobs ...string) time.Time {
	f.t.Helper()
	end := f.now().Truncate(time.Second).Add(time.Second) // so that there is a tick in it
	f.settled(within, end, jobs...)
	return end
}

// settled waits until every tick up to end has been decided, and every run of
// those has ended.
func (f *fleet) settled(within time.Duration, end time.Time, jobs ...string) {
	f.t.Helper()
	ctx := context.Background()
	eventually(f.t, within, func() bool {
		h, err := f.rdb.HMGet(ctx, f.key("cursors"), jobs...).Result()
		if err != nil {
			return false
		}
		for _, v := range h {
			cursor, _ := v.(string)
			ms, _, _ := strings.Cut(cursor, " ")
			if int64(number(ms)) < end.UnixMilli() {
				return false
			}
		}
		return true
	}, "every tick up to %v is decided", end)
	eventually(f.t, within, func() bool {
		for _, job := range jobs {
			ids, err := f.rdb.SMembers(ctx, f.key("active:"+job)).Result()
			if err != nil {
				return false
			}
			for _, id := range ids {
				_, stamp, _ := strings.Cut(id, "@")
				if at, err := time.Parse(time.RFC3339, stamp); err != nil || !at.After(end) {
					return false
				}
			}
		}
		return true
	}, "every run up to %v has ended", end)
}

// audit holds the ticks of a job, the witness file and the ledger against each
// other.
func (f *fleet) audit(job string, ticks []time.Time) account {
	f.t.Helper()
	require.NotEmpty(f.t, ticks)
	a := account{ticks: len(ticks)}
	var ledger []entry
	f.query(&ledger, "ledger", job, "--limit", "100000")
	covered := map[int64][]entry{}
	for _, e := range ledger {
		if e.Until.IsZero() {
			e.Until = e.Tick
		}
		n := 0
		for _, t := range ticks {
			if !t.Before(e.Tick) && !t.After(e.Until) {
				covered[t.Unix()] = append(covered[t.Unix()], e)
				n++
			}
		}
		inside := !e.Tick.Before(ticks[0]) && !e.Until.After(ticks[len(ticks)-1])
		if inside && e.Count != 0 && e.Count != n {
			a.complain("%s: the entry counts %d ticks, there are %d: %+v", job, e.Count, n, e)
		}
	}
	starts := map[string][]mark{}
	var order []time.Time
	for _, m := range f.marks() {
		if m.job() == job {
			starts[m.run] = append(starts[m.run], m)
			order = append(order, m.at)
		}
	}
	for _, t := range ticks {
		a.tick(job, t, covered[t.Unix()], starts[job+"@"+t.Format("2006-01-02T15:04:05Z")])
	}
	sort.Slice(order, func(i, k int) bool { return order[i].Before(order[k]) })
	for i := 1; i < len(order); i++ {
		a.gap = max(a.gap, order[i].Sub(order[i-1]))
	}
	return a
}

// tick judges one tick by its ledger entries and its lines in the witness file.
func (a *account) tick(job string, t time.Time, entries []entry, lines []mark) {
	name := job + "@" + t.Format("15:04:05")
	seen := map[int]int{}
	for _, m := range lines {
		seen[m.attempt]++
		if m.attempt > 1 {
			a.again++
		}
	}
	for attempt, n := range seen {
		if n > 1 {
			a.twice++
			a.complain("%s: attempt %d began %d times: %v", name, attempt, n, lines)
		}
	}
	if len(entries) == 0 {
		a.lost++
		a.complain("%s: not in the ledger (%d lines in the witness file)", name, len(lines))
		return
	}
	if len(entries) > 1 {
		a.twice++
		a.complain("%s: %d entries in the ledger: %+v", name, len(entries), entries)
	}
	switch entries[0].Outcome {
	case "ran", "late":
		if entries[0].Outcome == "ran" {
			a.ran++
		} else {
			a.late++
		}
		if len(lines) == 0 {
			a.lost++
			a.complain("%s: the ledger says %s, nothing ran", name, entries[0].Outcome)
		} else {
			a.lag = max(a.lag, lines[0].at.Sub(t))
		}
	case "skipped", "missed":
		if entries[0].Outcome == "skipped" {
			a.skipped++
		} else {
			a.missed++
		}
		if entries[0].Reason == "" {
			a.complain("%s: %s for no reason", name, entries[0].Outcome)
		}
		if len(lines) > 0 {
			a.complain("%s: the ledger says %s, and yet it ran: %v", name, entries[0].Outcome, lines)
		}
	default:
		a.complain("%s: outcome %q", name, entries[0].Outcome)
	}
}

// balanced fails the test unless every tick has exactly one fate and what is
// said of it is true.
func (a account) balanced(t testing.TB) {
	t.Helper()
	assert.Zero(t, a.lost, "ticks lost")
	assert.Zero(t, a.twice, "ticks twice")
	assert.Equal(t, a.ticks, a.ran+a.late+a.skipped+a.missed, "ticks accounted for")
	if !assert.Empty(t, a.complaints) {
		t.Log(accountHead() + "\n" + a.row(""))
	}
}
