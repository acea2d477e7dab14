package jobs

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawInstant draws an instant between the years 1 and 9999, not only whole seconds.
func drawInstant(t *rapid.T) time.Time {
	sec := rapid.OneOf(
		rapid.Int64Range(firstInstant, endInstant-1),
		rapid.Int64Range(1_500_000_000, 2_500_000_000),
	).Draw(t, "instant")
	return time.Unix(sec, rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
}

// TestNextIsTheFirstTick checks, far apart where no oracle can walk: each tick is
// later than the one before, is a tick by the rules, and is also what any
// instant in between answers.
func TestNextIsTheFirstTick(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loc, _ := drawTransition(t)
		at := drawInstant(t)
		expr, options := drawExpr(t), SpecOptions{Location: loc, Name: "a-job"}
		o := newOracle(expr, options)
		if rapid.Bool().Draw(t, "with everything") {
			expr = drawSpecialExpr(t)
			options, o = drawOptions(t, expr, options, at.Unix())
		}
		s, err := NewSpec(expr, options)
		if err != nil {
			require.ErrorContains(t, err, "can never fire")
			return
		}
		for range 5 {
			next, ok := s.Next(at)
			if !ok {
				require.True(t, at.Year() > 9900 || !options.End.IsZero() || options.Only != nil || options.Exclude != nil)
				return
			}
			require.True(t, next.After(at), "%s in %s: %s after %s", expr, loc, next, at)
			require.Zero(t, next.Nanosecond())
			require.True(t, o.fires(next.Unix()), "%s in %s: %s is no tick", expr, loc, next.In(loc))
			between := at.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(at))-1).Draw(t, "between")))
			again, ok := s.Next(between)
			require.True(t, ok)
			require.Equal(t, next, again, "%s in %s after %s", expr, loc, between)
			at = next
		}
	})
}

// TestListEqualsMerge: the ticks of a job are those of its expressions, whatever
// filters them, and its instants, each once.
func TestListEqualsMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loc, from := drawTransition(t)
		to := from + 2*daySeconds
		job := &Job{Name: "a-job"}
		want := map[int64]bool{}
		o, _ := drawOptions(t, "0 0 * * *", SpecOptions{Location: loc}, from)
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			// No seconds: a merge of 100,000 ticks proves no more.
			expr := "0 " + strings.Join([]string{drawField(t, "minute", 0, 59, ""), drawField(t, "hour", 0, 23, "")}, " ") + " * * *"
			s, err := NewSpec(expr, o)
			if err != nil {
				require.ErrorContains(t, err, "can never fire")
				continue
			}
			job.Specs = append(job.Specs, s)
			for _, at := range ticksOf(t, s, from, to) {
				want[at] = true
			}
		}
		minutes := rapid.SliceOfNDistinct(rapid.Int64Range(-10, 2*24*60+10), 0, 20, rapid.ID[int64]).Draw(t, "instants")
		slices.Sort(minutes)
		for _, m := range minutes {
			at := from - from%60 + m*60
			job.At = append(job.At, time.Unix(at, 0).UTC())
			if at > from && at <= to {
				want[at] = true
			}
		}
		got := map[int64]bool{}
		for at := time.Unix(from, 0); ; {
			next, ok := job.Next(at)
			if !ok || next.Unix() > to {
				break
			}
			require.True(t, next.After(at))
			require.Equal(t, time.UTC, next.Location())
			got[next.Unix()] = true
			at = next
		}
		require.Equal(t, want, got)
	})
}

// TestAgreesWithRobfigInUTC: away from clock changes, Sundays called 7 and stars
// with a step in the day fields, expressions mean what they mean elsewhere.
func TestAgreesWithRobfigInUTC(t *testing.T) {
	parser := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	check := func(t require.TestingT, expr string, at time.Time) {
		s, err := ParseSpec(expr, time.UTC)
		require.NoError(t, err)
		theirs, err := parser.Parse("TZ=UTC " + expr)
		require.NoError(t, err)
		for range 20 {
			want := theirs.Next(at)
			if want.IsZero() {
				return // more than five years away
			}
			got, ok := s.Next(at)
			require.True(t, ok)
			require.Equal(t, want.Unix(), got.Unix(), "%s after %s: want %s, got %s", expr, at, want, got)
			at = got
		}
	}
	for name := range descriptors {
		check(t, name, time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC))
	}
	rapid.Check(t, func(t *rapid.T) {
		fields := strings.Fields(drawExpr(t))
		n := len(fields)
		for _, i := range []int{n - 3, n - 1} {
			if strings.Contains(fields[i], "*") {
				fields[i] = "*"
			}
		}
		if strings.ContainsAny(fields[n-1], "7") {
			fields[n-1] = "1-5"
		}
		expr := strings.Join(fields, " ")
		if _, err := ParseSpec(expr, nil); err != nil {
			t.Skip("changed into one that never fires")
		}
		check(t, expr, time.Unix(rapid.Int64Range(0, 4_000_000_000).Draw(t, "after"), 0).UTC())
	})
}

// TestParseSpecStandsAnything: no text makes it panic or hang, and what it
// accepts fires, in order.
func TestParseSpecStandsAnything(t *testing.T) {
	pieces := []string{"*", "?", "/", "-", ",", "0", "7", "31", "59", "60", "010", "L", "W", "#", "H", "H(", ")", "~", "L-", "15W", "FRI#", " offset ", "jan", "SUN", " ", "  ", "\t", "\n", "\x00", "@", "@every ", "@daily", "TZ=", "1h", "+", "é", "\xff"}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 24).Draw(t, "pieces"), "")
		requireSane(t, text)
		requireSane(t, rapid.String().Draw(t, "text"))
	})
}

// requireSane checks what holds for any text at all.
func requireSane(t require.TestingT, text string) {
	loc, err := LoadZone("America/New_York")
	require.NoError(t, err)
	s, err := NewSpec(text, SpecOptions{Location: loc, Name: "a-job"})
	if err != nil {
		require.Nil(t, s)
		require.NotContains(t, err.Error(), "not understood", "%q got past the checks", text)
		return
	}
	at := time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC)
	for range 3 {
		next, ok := s.Next(at)
		if !ok { // "@every 290y" has one tick and then no other
			require.Positive(t, s.every, "%q", text)
			return
		}
		require.True(t, next.After(at), "%q", text)
		at = next
	}
	again, err := NewSpec(s.String(), SpecOptions{Location: loc, Name: "a-job"})
	require.NoError(t, err, "%q: what String gives can be parsed", text)
	require.Equal(t, *s, *again)
}

func TestSpecsAreShared(t *testing.T) {
	s := parse(t, "*/5 * * * *", zoneNamed(t, "America/New_York"))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			at := time.Unix(1_700_000_000, 0)
			for range 1000 {
				at, _ = s.Next(at)
			}
			if _, err := LoadZone("Asia/Tokyo"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestZoneNameListIsSorted(t *testing.T) {
	names := strings.Fields(zoneNameList)
	require.True(t, slices.IsSorted(names), "the first of equals is offered")
	require.Greater(t, len(names), 500)
}
