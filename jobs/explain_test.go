package jobs

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The reasons for which our words are not cronstrue's.
const (
	eitherDay = `it is either day, not both; "and on Friday" is read as Friday the 13th`
	bothDays  = `it is both days; a comma is read as either`
	unevenly  = "the steps do not go round: the last one of the hour, day, year or week is shorter"
	beyond    = "a step beyond the range leaves the first value only"
	wholeHour = `"at 09:00" is the minute; it is the hour from then on`
	times     = "the times of day say it shorter, and do not name one that is not a tick"
	theMinute = `it is one minute of one hour; "between 09:00 and 09:00" is none, "between 09:00 and 09:59" too much`
	everyDay  = "one of two days that are alternatives is every day"
	theMonths = `"every 3 months" is read as once in three months; it is every such day of each of them`
	mixedDays = `it is every Monday, and one Friday of the month; "the Monday of the month" is none`
)

// ourWords are the expressions of which cronstrue says what is not so, or less.
var ourWords = map[string]struct{ words, reason string }{
	"*/7 * * * *":    {"Every 7 minutes, starting at 0 minutes past the hour", unevenly},
	"*/25 * * * *":   {"At 0, 25, and 50 minutes past the hour", unevenly},
	"*/40 * * * *":   {"At 0 and 40 minutes past the hour", unevenly},
	"*/45 * * * *":   {"At 0 and 45 minutes past the hour", unevenly},
	"*/7 * * * * *":  {"Every 7 seconds, starting at 0 seconds past the minute", unevenly},
	"*/45 * * * * *": {"At 0 and 45 seconds past the minute", unevenly},
	"0 */5 * * *":    {"On the hour, every 5 hours, starting at 00:00", unevenly},
	"0 */7 * * *":    {"At 00:00, 07:00, 14:00 and 21:00", unevenly},
	"0 0 * */5 *":    {"At 00:00, only in January, June, and November", unevenly},
	"0 0 * */7 *":    {"At 00:00, only in January and August", unevenly},
	"0 0 * * */2":    {"At 00:00, only on Sunday, Tuesday, Thursday, and Saturday", unevenly},
	"0 0 * * */3":    {"At 00:00, only on Sunday, Wednesday, and Saturday", unevenly},

	"0 0 * */2 *": {"At 00:00, only in January, March, May, July, September, and November", theMonths},
	"0 0 * */3 *": {"At 00:00, only in January, April, July, and October", theMonths},
	"0 0 * */4 *": {"At 00:00, only in January, May, and September", theMonths},
	"0 0 * */6 *": {"At 00:00, only in January and July", theMonths},
	"0 0 1 */3 *": {"At 00:00, on day 1 of the month, only in January, April, July, and October", theMonths},
	"0 0 1 */6 *": {"At 00:00, on day 1 of the month, only in January and July", theMonths},
	"0 0 1 1/3 *": {"At 00:00, on day 1 of the month, only in January, April, July, and October", theMonths},

	"*/60 * * * *": {"Every hour", beyond},
	"*/90 * * * *": {"Every hour", beyond},
	"0 */24 * * *": {"At 00:00", beyond},
	"0 0 */40 * *": {"At 00:00, on day 1 of the month", beyond},
	"0 0 1 */12 *": {"At 00:00, on day 1 of the month, only in January", beyond},

	"30 9,12-14 * * *":  {"At 30 minutes past the hour, at 09:00 through 09:59 and 12:00 through 14:59", wholeHour},
	"* 9,17 * * *":      {"Every minute, at 09:00 through 09:59 and 17:00 through 17:59", wholeHour},
	"*/15 9,17 * * *":   {"Every 15 minutes, at 09:00 through 09:59 and 17:00 through 17:59", wholeHour},
	"0 0/5 14,18 * * ?": {"Every 5 minutes, at 14:00 through 14:59 and 18:00 through 18:59", wholeHour},
	"0-10 9,17 * * *":   {"Minutes 0 through 10 past the hour, at 09:00 through 09:59 and 17:00 through 17:59", wholeHour},
	"0,20,40 9,13,17 * * *": {"At 0, 20, and 40 minutes past the hour, at 09:00 through 09:59, 13:00 through 13:59, and 17:00 through 17:59",
		wholeHour},

	"0,30 9 * * *":       {"At 09:00 and 09:30", times},
	"0,30 9,17 * * *":    {"At 09:00, 09:30, 17:00 and 17:30", times},
	"0 10,44 14 ? 3 WED": {"At 14:10 and 14:44, only on Wednesday, only in March", times},
	"15 30 9,17 * * *":   {"At 09:30:15 and 17:30:15", times},
	"* 0 9 * * *":        {"Every second, at 09:00", theMinute},
	"*/10 0 9 * * *":     {"Every 10 seconds, at 09:00", theMinute},
	"*/10 30 9 * * *":    {"Every 10 seconds, at 09:30", theMinute},
	"0,30 15 9 * * *":    {"At 0 and 30 seconds past the minute, at 09:15", theMinute},
	"0-10 30 9 * * *":    {"Seconds 0 through 10 past the minute, at 09:30", theMinute},

	"0 0 13 * 5":         {"At 00:00, on day 13 of the month, or on Friday", eitherDay},
	"0 0 1 * 1":          {"At 00:00, on day 1 of the month, or on Monday", eitherDay},
	"0 0 1 * MON":        {"At 00:00, on day 1 of the month, or on Monday", eitherDay},
	"0 0 1,15 * 3":       {"At 00:00, on day 1 and 15 of the month, or on Wednesday", eitherDay},
	"0 0 1-7 * 1":        {"At 00:00, between day 1 and 7 of the month, or on Monday", eitherDay},
	"0 0 13 * 1-5":       {"At 00:00, on day 13 of the month, or on Monday through Friday", eitherDay},
	"0 0 1,15 * MON-FRI": {"At 00:00, on day 1 and 15 of the month, or on Monday through Friday", eitherDay},
	"0 0 1 1 1":          {"At 00:00, on day 1 of the month, or on Monday, only in January", eitherDay},
	"0 0 1/2 * 1":        {"At 00:00, every 2 days in a month, or on Monday", eitherDay},
	"0 0 L * 5":          {"At 00:00, on the last day of the month, or on Friday", eitherDay},
	"0 9 1 * 5L":         {"At 09:00, on day 1 of the month, or on the last Friday of the month", eitherDay},
	"0 0 1-31 * 5":       {"At 00:00", everyDay},
	"0 0 */2 * 1-5":      {"At 00:00, every 2 days in a month, only on Monday through Friday", bothDays},
	"0 9 */2 * 5#2":      {"At 09:00, every 2 days in a month, only on the second Friday of the month", bothDays},
	"0 0 1 * */2":        {"At 00:00, on day 1 of the month, only on Sunday, Tuesday, Thursday, and Saturday", bothDays},
	"0 0 1,15 6 */3":     {"At 00:00, on day 1 and 15 of the month, only on Sunday, Wednesday, and Saturday, only in June", bothDays},
	"0 0 * * 1,5#2":      {"At 00:00, only on Monday and on the second Friday of the month", mixedDays},
}

// wordsOf are the words for an expression of the job "backup".
func wordsOf(t *testing.T, expr string) string {
	t.Helper()
	s, err := NewSpec(expr, SpecOptions{Name: "backup"})
	require.NoError(t, err, expr)
	return s.Explain()
}

// TestOurWordsAreCronstrues compares with the words of a library that many know.
func TestOurWordsAreCronstrues(t *testing.T) {
	data, err := os.ReadFile("testdata/cronstrue.golden")
	require.NoError(t, err)
	compared := 0
	ours := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		expr, theirs, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok {
			require.True(t, strings.HasPrefix(line, "#"), line)
			continue
		}
		compared++
		want := theirs
		if differs, ok := ourWords[expr]; ok {
			want, ours[expr] = differs.words, true
			assert.NotEqual(t, theirs, want, "%s: no difference to list", expr)
			assert.NotEmpty(t, differs.reason, expr)
		}
		assert.Equal(t, want, wordsOf(t, expr), expr)
	}
	assert.Greater(t, compared, 300)
	assert.Len(t, ours, len(ourWords), "a listed difference is not in the golden file")
}

// TestWordsThatCronstrueLacks are about what only we read.
func TestWordsThatCronstrueLacks(t *testing.T) {
	for expr, want := range map[string]string{
		"0 0 L-3W * *":          "At 00:00, on the weekday nearest the day 3 days before the last of the month",
		"0 0 1,15W,L * *":       "At 00:00, on day 1, the weekday nearest day 15, and the last day of the month",
		"0 0 L,1-5 * *":         "At 00:00, on day 1 through 5 and the last day of the month",
		"0 0 15W,LW * *":        "At 00:00, on the weekday nearest day 15 and the last weekday of the month",
		"0 0 L-1,L * *":         "At 00:00, on the day 1 day before the last and the last day of the month",
		"0 0 */10,L * *":        "At 00:00, every 10 days in a month, and on the last day of the month",
		"0 0 * * MON#1,FRIL":    "At 00:00, on the first Monday and last Friday of the month",
		"0 0 * * 1-3,FRIL":      "At 00:00, only on Monday through Wednesday and on the last Friday of the month",
		"0 0 5,* * 1":           "At 00:00",
		"0 0 * * 0,7":           "At 00:00, only on Sunday",
		"0 0 * * 0-7":           "At 00:00, Sunday through Saturday",
		"0 0 * * 0-7/7":         "At 00:00, only on Sunday",
		"0 0 * * 0-0":           "At 00:00, only on Sunday",
		"5-5 2 * * *":           "At 02:05",
		"*/15,5-10 * * * *":     "Every 15 minutes and minutes 5 through 10 past the hour",
		"0 */6,9 * * *":         "On the hour, every 6 hours and at 09:00",
		"0,1,2,3,4,5,6 9 * * *": "At 0, 1, 2, 3, 4, 5, and 6 minutes past the hour, between 09:00 and 09:59",

		"H H * * *":           "At 16:52, with the minute and the hour chosen by the job's name",
		"H/15 * * * *":        "Every 15 minutes, starting at 7 minutes past the hour, with the minute chosen by the job's name",
		"H(0-29)/10 * * * *":  "Every 10 minutes, minutes 2 through 29 past the hour, with the minute chosen by the job's name",
		"H(0-29) 9-17 * * *":  "At 22 minutes past the hour, between 09:00 and 17:59, with the minute chosen by the job's name",
		"H,30 * * * *":        "At 30 and 52 minutes past the hour, with the minute chosen by the job's name",
		"H H H * *":           "At 16:52, on day 22 of the month, with the minute, the hour and the day of month chosen by the job's name",
		"H H H/7 * *":         "At 16:52, every 7 days in a month, between day 1 and 28 of the month, with the minute, the hour and the day of month chosen by the job's name",
		"H H * H(1-3) H(1-5)": "At 16:52, only on Wednesday, only in March, with the minute, the hour, the month and the day of week chosen by the job's name",
		"0 0 * * H/2":         "At 00:00, only on Monday, Wednesday, and Friday, with the day of week chosen by the job's name",
		"H * * * * *":         "At 3 seconds past the minute, with the second chosen by the job's name",
		"h/1 h * * *":         "Every minute between 16:00 and 16:59, with the minute and the hour chosen by the job's name",
		"0 0 H,L * *":         "At 00:00, on day 22 and the last day of the month, with the day of month chosen by the job's name",

		"@every 1s":            "Every second, at whole multiples since 1970-01-01 00:00 UTC",
		"@every 90s":           "Every 90 seconds, at whole multiples since 1970-01-01 00:00 UTC",
		"@every 1h":            "Every hour, at whole multiples since 1970-01-01 00:00 UTC",
		"@EVERY 25h 5s":        "Every 25 hours and 5 seconds, at whole multiples since 1970-01-01 00:00 UTC",
		"@Daily":               "At 00:00",
		"@every 1h offset 5m":  "Every hour, 5 minutes after whole multiples since 1970-01-01 00:00 UTC",
		"@every 90s offset 1s": "Every 90 seconds, 1 second after whole multiples since 1970-01-01 00:00 UTC",
	} {
		assert.Equal(t, want, wordsOf(t, expr), expr)
	}
}

// TestSameWordsSameTicks holds the words against what they are about: expressions
// that are put into the same words have the same set of ticks.
func TestSameWordsSameTicks(t *testing.T) {
	minutes := strings.Fields("* */1 */2 */7 */15 0/15 0-59/15 */45 0,45 0-59 0 5 5/15 5/55 0,30 1-10 1-10/3 1-1 */90 0,30-40 *,5")
	hours := strings.Fields("* 9 9,17 9-17 */2 0/2 0-23/2 1/2 */5 */7 0,7,14,21 0-23 9-10 9,12-14 */24")
	doms := strings.Fields("* ? 1 1,15 */2 1/2 1-31/2 1-7 1-31 5,*")
	months := strings.Fields("* 1 */5 1,6,11 1/5 */3 */12 1-12")
	dows := strings.Fields("* ? 1 0 7 SUN 0-6 1-7 1-5 */2 0,2,4,6 */3 1,3 3,1 5-7 FRI-SUN")
	said := map[string]*Spec{}
	compare := func(expr string) {
		s, err := ParseSpec(expr, nil)
		require.NoError(t, err, expr)
		words := s.Explain()
		require.NotEmpty(t, words)
		other, ok := said[words]
		if !ok {
			said[words] = s
			return
		}
		a, b := s.cal, other.cal
		if everyDayOf(a) && everyDayOf(b) {
			a.dom, a.dow, a.either, b.dom, b.dow, b.either = 0, 0, false, 0, 0, false
		}
		if a.dom == b.dom && a.dow == b.dow && (oneDayOpen(a) && oneDayOpen(b)) {
			a.either, b.either = false, false
		}
		require.Equal(t, a, b, "%q and %q: %s", s, other, words)
	}
	for _, m := range minutes {
		for _, h := range hours {
			compare(m + " " + h + " * * *")
		}
	}
	for _, dom := range doms {
		for _, month := range months {
			for _, dow := range dows {
				compare("30 2 " + dom + " " + month + " " + dow)
			}
		}
	}
	for _, second := range minutes {
		for _, m := range minutes {
			compare(second + " " + m + " 9 * * *")
			compare(second + " " + m + " * * * *")
		}
	}
	assert.Greater(t, len(said), 900)
}

const allMonthDays, allWeekdays = 1<<32 - 2, 1<<7 - 1

func oneDayOpen(c calendar) bool { return !c.either && (c.dom == allMonthDays || c.dow == allWeekdays) }

// everyDayOf reports that no day of a month is left out.
func everyDayOf(c calendar) bool {
	if c.either {
		return c.dom == allMonthDays || c.dow == allWeekdays
	}
	return c.dom == allMonthDays && c.dow == allWeekdays
}

// TestEveryExpressionHasWords draws from the whole grammar.
func TestEveryExpressionHasWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expr := drawExpr(t)
		s, err := ParseSpec(expr, nil)
		require.NoError(t, err)
		requireWords(t, s)
	})
}

func requireWords(t require.TestingT, s *Spec) {
	words := s.Explain()
	require.NotEmpty(t, words, s)
	require.Regexp(t, `^[A-Z][a-z0-9]*( |$)`, words, s)
	require.NotContains(t, words, "  ", s)
	require.NotContains(t, words, ", ,", s)
	require.NotContains(t, words, "%!", s)
	require.NotRegexp(t, `(,| and| or| through| on| at)$`, words, s)
	require.LessOrEqual(t, len(words), 20*maxExpr, fmt.Sprint(s))
}

func FuzzExplain(f *testing.F) {
	for expr := range ourWords {
		f.Add(expr)
	}
	for _, expr := range []string{"H H(8-17)/2 L-3W,1 * FRI#2,5L", "@every 1h offset 5m"} {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		s, err := NewSpec(expr, SpecOptions{Name: "backup"})
		if err != nil {
			return
		}
		requireWords(t, s)
	})
}
