package jobs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAJobInOneParagraph(t *testing.T) {
	berlin := zoneNamed(t, "Europe/Berlin")
	day := func(d int) time.Time { return time.Date(2027, 1, d, 8, 0, 0, 0, time.UTC) }
	specs := func(o SpecOptions, exprs ...string) []*Spec {
		var list []*Spec
		for _, expr := range exprs {
			s, err := NewSpec(expr, o)
			require.NoError(t, err)
			list = append(list, s)
		}
		return list
	}
	inBerlin := SpecOptions{Location: berlin}
	for name, c := range map[string]struct {
		job  Job
		want string
	}{
		"by hand": {Job{Enabled: true}, "It has no schedule: it runs when it is started by hand."},
		"resting": {Job{Specs: specs(SpecOptions{}, "@daily"), CatchUp: CatchUp{Policy: CatchUpSkip}},
			"At 00:00, in UTC. A time that nobody was there for runs up to 1 minute late, and then no more. " +
				"The job rests (enabled: false): it runs only when it is started by hand."},
		"two kinds of time": {Job{Enabled: true, Specs: specs(inBerlin, "30 2 * * *", "*/20 * * * *", "@every 1h"), CatchUp: CatchUp{CatchUpAll, 36 * time.Hour, 5}},
			"At 02:30; and every 20 minutes; and every hour, at whole multiples since 1970-01-01 00:00 UTC, in Europe/Berlin. " +
				`When the clocks change, a time that does not exist runs right after the gap, and one that comes twice runs the first time only ("30 2 * * *"). ` +
				`When the clocks change, a time that does not exist is left out, and one that comes twice runs both times ("*/20 * * * *"). ` +
				"Of the times that nobody was there for, the newest 5 of the last 36 hours run late."},
		"instants": {Job{Enabled: true, Timezone: "UTC", At: []time.Time{day(1), day(2)}, CatchUp: CatchUp{Policy: CatchUpLatest, Window: time.Hour}},
			"Once at 2027-01-01T08:00:00Z and 2027-01-02T08:00:00Z. Of the times that nobody was there for, the newest of the last 1 hour runs late."},
		"many instants": {Job{Enabled: true, Timezone: "UTC", At: []time.Time{day(1), day(2), day(3), day(4), day(5), day(6), day(7)}, CatchUp: CatchUp{Policy: CatchUpSkip}},
			"Once at 2027-01-01T08:00:00Z, 2027-01-02T08:00:00Z, 2027-01-03T08:00:00Z, 2027-01-04T08:00:00Z, 2027-01-05T08:00:00Z and 2 more. " +
				"A time that nobody was there for runs up to 1 minute late, and then no more."},
		"follows": {Job{Enabled: true, After: &After{Job: "backup", When: WhenFailure}},
			"It follows each run of backup that has failed or was rolled back."},
		"follows too": {Job{Enabled: true, Specs: specs(SpecOptions{}, "@hourly"), After: &After{Job: "backup", When: WhenSuccess}, CatchUp: CatchUp{Policy: CatchUpSkip}},
			"Every hour, in UTC. It also follows each run of backup that has succeeded. " +
				"A time that nobody was there for runs up to 1 minute late, and then no more."},
		"everything": {
			Job{
				Enabled: true, Specs: specs(SpecOptions{}, "0 9 * * FRI"), Timezone: "UTC", Jitter: 90 * time.Second,
				Start: day(1), End: day(31), EveryN: EveryN{2, EveryWeeks},
				Only: []*Calendar{{Name: "term"}}, Exclude: []*Calendar{{Name: "holidays"}, {Name: "weekends"}}, Shift: ShiftNext,
				CatchUp: CatchUp{Policy: CatchUpSkip},
			},
			"At 09:00, only on Friday, in UTC. " +
				"Of the weeks only every 2nd counts, from the week (Monday to Sunday) of 2027-01-01 on. Only on days of term. " +
				"Not on days of holidays or weekends. What falls on another day moves to the next day that is left, at the same time. " +
				"Not before 2027-01-01T08:00:00Z. Not after 2027-01-31T08:00:00Z. " +
				"Each run starts up to 90 seconds after its time, a delay that the job's name and the tick decide. " +
				"A time that nobody was there for runs up to 1 minute late, and then no more."},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, c.job.Explain()) })
	}
}

func TestFieldsInNormalForm(t *testing.T) {
	for expr, want := range map[string]string{
		"* * * * *":                  "* * * * *",
		"@weekly":                    "0 0 * * Sun",
		"0 5 4 ? jan-MAR,12 *":       "5 4 * Jan-Mar,Dec *",
		"30 0/15 9-17/2 1/2 */2 1/3": "30 0-59/15 9-17/2 1-31/2 Jan,Mar,May,Jul,Sep,Nov Mon-Sat/3",
		"05,5,1 */30 L,L-3,LW,15W,L-3W * 7,FRI-SUN,5L,MON#2": "1,5 0 L,L-3,LW,15W,L-3W * Sun,Fri-Sun,FriL,Mon#2",
		"*/45 3/7 * * *":   "0,45 3-23/7 * * *",
		"H H(0-5) H/9 * *": "52 4 3-28/9 * *",
		"@every 1h":        "",
	} {
		s, err := NewSpec(expr, SpecOptions{Name: "backup"})
		require.NoError(t, err, expr)
		var got []string
		for _, f := range s.Fields() {
			got = append(got, f.Value)
		}
		assert.Equal(t, want, strings.Join(got, " "), expr)
	}
}

// TestTheNormalFormMeansTheSame reads what Fields writes.
func TestTheNormalFormMeansTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expr := drawExpr(t)
		s, err := ParseSpec(expr, nil)
		require.NoError(t, err)
		var texts []string
		for _, f := range s.Fields() {
			texts = append(texts, f.Value)
		}
		normal := strings.Join(texts, " ")
		again, err := ParseSpec(normal, nil)
		require.NoError(t, err, "%s from %s", normal, expr)
		a, b := s.cal, again.cal
		if b.either { // the values that "*/20" leaves have no star
			a.either = true
		}
		require.Equal(t, a, b, "%s from %s", normal, expr)
		require.False(t, s.Kind() == KindFixed && again.Kind() == KindWildcard, "%s from %s", normal, expr)
	})
}

func TestKindOfTime(t *testing.T) {
	for expr, want := range map[string]SpecKind{"30 2 * * *": KindFixed, "*/5 2 * * *": KindWildcard, "@hourly": KindWildcard, "@daily": KindFixed, "@every 5m": KindEvery} {
		s, err := ParseSpec(expr, nil)
		require.NoError(t, err)
		assert.Equal(t, want, s.Kind(), expr)
	}
}

func TestTheNextClockChangeThatTouches(t *testing.T) {
	from := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct{ expr, zone, want string }{
		{"30 2 * * *", "Europe/Berlin", "02:30 does not exist on 2027-03-28 and fires at 03:00"},
		{"30 2 * 6-12 *", "Europe/Berlin", "02:30 comes twice on 2027-10-31 and fires the first time"},
		{"*/30 2 * 6-12 *", "Europe/Berlin", "02:00 comes twice on 2027-10-31 and fires both times"},
		{"*/30 2 * * *", "Europe/Berlin", "02:00 does not exist on 2027-03-28 and is left out"},
		{"30 4 * * *", "Europe/Berlin", ""},
		{"30 2 * * *", "UTC", ""},
		{"30 2 * * MON", "Europe/Berlin", ""},
		{"@every 1s", "Europe/Berlin", ""},
	} {
		s, err := ParseSpec(c.expr, zoneNamed(t, c.zone))
		require.NoError(t, err)
		assert.Equal(t, c.want, s.NextClockChange(from, from.AddDate(2, 0, 0)), fmt.Sprint(c))
	}
	for _, o := range []SpecOptions{
		{Exclude: []*Calendar{weekend}},
		{Start: time.Date(2028, 12, 1, 0, 0, 0, 0, time.UTC)},
		{End: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)},
		{DST: DST{Gap: DSTSkip}, End: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)},
	} {
		o.Location = zoneNamed(t, "Europe/Berlin")
		s, err := NewSpec("30 2 * * *", o)
		require.NoError(t, err)
		assert.Empty(t, s.NextClockChange(from, from.AddDate(2, 0, 0)), fmt.Sprint(o))
	}
	s, err := NewSpec("30 2 * * *", SpecOptions{Location: zoneNamed(t, "Europe/Berlin"), DST: DST{Gap: DSTSkip, Overlap: DSTTwice}})
	require.NoError(t, err)
	assert.Equal(t, "02:30 does not exist on 2027-03-28 and is left out", s.NextClockChange(from, from.AddDate(2, 0, 0)))
	assert.Equal(t, "a time that does not exist is left out, and one that comes twice runs both times", s.ExplainClocks())
}
