package jobs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parse is ParseSpec for expressions that must be good.
func parse(t testing.TB, expr string, loc *time.Location) *Spec {
	t.Helper()
	s, err := ParseSpec(expr, loc)
	require.NoError(t, err, expr)
	return s
}

// zoneNamed is LoadZone for names that must be good.
func zoneNamed(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := LoadZone(name)
	require.NoError(t, err)
	return loc
}

func TestParseSpecAccepts(t *testing.T) {
	const layout = "2006-01-02 15:04:05"
	// A Friday, so that weekdays in the answers are easy to tell.
	after := time.Date(2026, 5, 1, 10, 20, 30, 500_000_000, time.UTC)
	for _, c := range []struct{ expr, ticks string }{
		{"* * * * *", "2026-05-01 10:21:00, 2026-05-01 10:22:00"},
		{"* * * * * *", "2026-05-01 10:20:31, 2026-05-01 10:20:32"},
		{"*/20 * * * * *", "2026-05-01 10:20:40, 2026-05-01 10:21:00, 2026-05-01 10:21:20"},
		{"30 20 10 * * *", "2026-05-02 10:20:30, 2026-05-03 10:20:30"},
		{"5 4 * * *", "2026-05-02 04:05:00, 2026-05-03 04:05:00"},
		{"05 04 * * *", "2026-05-02 04:05:00, 2026-05-03 04:05:00"},
		{"  5\t4 * *   * \n", "2026-05-02 04:05:00"},
		{"0-10/5,30 10 * * *", "2026-05-01 10:30:00, 2026-05-02 10:00:00, 2026-05-02 10:05:00, 2026-05-02 10:10:00"},
		{"50/5 * * * *", "2026-05-01 10:50:00, 2026-05-01 10:55:00, 2026-05-01 11:50:00"},
		{"58/1 * * * *", "2026-05-01 10:58:00, 2026-05-01 10:59:00, 2026-05-01 11:58:00"},
		{"0 0 * * 5/1", "2026-05-02 00:00:00, 2026-05-08 00:00:00"},
		{"*/99 * * * *", "2026-05-01 11:00:00, 2026-05-01 12:00:00"},
		{"7/1000 * * * *", "2026-05-01 11:07:00, 2026-05-01 12:07:00"},
		{"*/60 */24 * * *", "2026-05-02 00:00:00, 2026-05-03 00:00:00"},
		{"0 0 1 JAN *", "2027-01-01 00:00:00"},
		{"0 0 1 jan,Jul-sEp *", "2026-07-01 00:00:00, 2026-08-01 00:00:00, 2026-09-01 00:00:00, 2027-01-01 00:00:00"},
		{"0 0 * * MON", "2026-05-04 00:00:00, 2026-05-11 00:00:00"},
		{"0 0 * * mon-Wed", "2026-05-04 00:00:00, 2026-05-05 00:00:00, 2026-05-06 00:00:00, 2026-05-11 00:00:00"},
		{"0 0 * * 0", "2026-05-03 00:00:00, 2026-05-10 00:00:00"},
		{"0 0 * * 7", "2026-05-03 00:00:00, 2026-05-10 00:00:00"},
		{"0 0 * * 5-7", "2026-05-02 00:00:00, 2026-05-03 00:00:00, 2026-05-08 00:00:00"},
		{"0 0 * * fri-sun", "2026-05-02 00:00:00, 2026-05-03 00:00:00, 2026-05-08 00:00:00"},
		{"0 0 * * SUN-mon", "2026-05-03 00:00:00, 2026-05-04 00:00:00, 2026-05-10 00:00:00"},
		{"0 0 * * 0-7", "2026-05-02 00:00:00, 2026-05-03 00:00:00, 2026-05-04 00:00:00"},
		{"0 0 * * 1-7/3", "2026-05-03 00:00:00, 2026-05-04 00:00:00, 2026-05-07 00:00:00"},
		{"0 0 * * 7-7", "2026-05-03 00:00:00, 2026-05-10 00:00:00"},
		{"0 0 * * 7,1", "2026-05-03 00:00:00, 2026-05-04 00:00:00, 2026-05-10 00:00:00"},
		{"0 0 ? * 1", "2026-05-04 00:00:00, 2026-05-11 00:00:00"},
		{"0 0 13 * ?", "2026-05-13 00:00:00, 2026-06-13 00:00:00"},
		{"0 0 31 * *", "2026-05-31 00:00:00, 2026-07-31 00:00:00, 2026-08-31 00:00:00, 2026-10-31 00:00:00"},
		{"0 0 29 2 *", "2028-02-29 00:00:00, 2032-02-29 00:00:00"},
		{"@hourly", "2026-05-01 11:00:00, 2026-05-01 12:00:00"},
		{"@daily", "2026-05-02 00:00:00, 2026-05-03 00:00:00"},
		{"@Midnight", "2026-05-02 00:00:00, 2026-05-03 00:00:00"},
		{" @weekly ", "2026-05-03 00:00:00, 2026-05-10 00:00:00"},
		{"@monthly", "2026-06-01 00:00:00, 2026-07-01 00:00:00"},
		{"@yearly", "2027-01-01 00:00:00, 2028-01-01 00:00:00"},
		{"@annually", "2027-01-01 00:00:00"},
		{"@every 90s", "2026-05-01 10:21:00, 2026-05-01 10:22:30"},
		{"@every  1h30m", "2026-05-01 10:30:00, 2026-05-01 12:00:00"},
		{"@every 1s", "2026-05-01 10:20:31"},
		{"@every 1h offset 5m", "2026-05-01 11:05:00, 2026-05-01 12:05:00"},
		{"@EVERY 90s OFFSET 1m 29s", "2026-05-01 10:20:59, 2026-05-01 10:22:29"},
		{"@every 1h offset 0s", "2026-05-01 11:00:00"},
		{"@every 1000ms", "2026-05-01 10:20:31"},

		// The day rule.
		{"0 0 13 * 5", "2026-05-08 00:00:00, 2026-05-13 00:00:00, 2026-05-15 00:00:00"},                       // either
		{"0 0 1-7 * 1", "2026-05-02 00:00:00, 2026-05-03 00:00:00, 2026-05-04 00:00:00, 2026-05-05 00:00:00"}, // either
		{"0 0 */2 * 1", "2026-05-11 00:00:00, 2026-05-25 00:00:00, 2026-06-01 00:00:00, 2026-06-15 00:00:00"}, // Mondays with an odd date
		{"0 0 13 * */2", "2026-06-13 00:00:00, 2026-08-13 00:00:00"},                                          // on Sun, Tue, Thu, Sat
		{"0 0 */28 2 1", "2027-02-01 00:00:00, 2038-02-01 00:00:00, 2044-02-01 00:00:00, 2044-02-29 00:00:00"},
		{"0 0 1-31 * 5", "2026-05-02 00:00:00, 2026-05-03 00:00:00"},
	} {
		s, err := ParseSpec(c.expr, nil)
		if !assert.NoError(t, err, c.expr) {
			continue
		}
		want := strings.Split(c.ticks, ", ")
		var got []string
		for at := after; len(got) < len(want); {
			next, ok := s.Next(at)
			require.True(t, ok, c.expr)
			got = append(got, next.Format(layout))
			at = next
		}
		assert.Equal(t, want, got, c.expr)
		assert.Equal(t, strings.Join(strings.Fields(c.expr), " "), s.String())
		assert.Equal(t, time.UTC, s.Location())
	}
}

func TestParseSpecRejects(t *testing.T) {
	const six = " (6 fields are second, minute, hour, day of month, month, day of week)"
	for _, c := range []struct{ expr, message string }{
		{"", `empty expression`},
		{" \n ", `empty expression`},
		{"*", `1 field: expected 5 (minute, hour, day of month, month, day of week) or 6 (seconds first)`},
		{"* * * *", `4 fields: expected 5`},
		{"0 0 12 * * ? 2026", `7 fields: expected 5`},
		{"5 4 * * * /usr/bin/backup", `6 fields: expected 5 (minute, hour, day of month, month, day of week) or 6 (seconds first); the year and the command are no part of it`},
		{"5 4 * * * ./backup.sh --full", `7 fields`},

		{"75 * * * *", `minute "75": expected 0-59`},
		{"60 * * * *", `minute "60": expected 0-59; the full one is 0`},
		{"0 24 * * *", `hour "24": expected 0-23; midnight is 0`},
		{"0 0 0 * *", `day of month "0": expected 1-31`},
		{"0 0 32 * *", `day of month "32": expected 1-31`},
		{"0 0 1 13 *", `month "13": expected 1-12 or JAN-DEC`},
		{"0 0 1 0 *", `month "0": expected 1-12 or JAN-DEC`},
		{"0 0 1 january *", `month "january": expected 1-12 or JAN-DEC; write JAN`},
		{"0 0 1 foo *", `month "foo": expected 1-12 or JAN-DEC`},
		{"0 0 * * 8", `day of week "8": expected 0-7 (0 and 7 are Sunday) or SUN-SAT`},
		{"0 0 * * Tues", `day of week "Tues": expected 0-7 (0 and 7 are Sunday) or SUN-SAT; write TUE`},
		{"0 0 * * 2026", `; there is no field for the year`},
		{"0 mon * * *", `hour "mon": expected 0-23`},
		{"H * * * *", `minute "H": H is spread by the job's name, and none is given`},
		{"90 0 * * * *", `second "90": expected 0-59` + six},
		{"* /5 * * * *", `minute "/5": expected a value before the step, such as */5` + six},
		{"75 25 * * *", `minute "75": expected 0-59; hour "25": expected 0-23`},

		{", * * * *", `minute ",": an empty list; expected 0-59`},
		{"* * ,, * *", `day of month ",,": an empty list; expected 1-31`},
		{"1,,2 * * * *", `minute "1,,2": an empty place in the list; remove one comma`},
		{"1, * * * *", `minute "1,": an empty place in the list`},
		{",1 * * * *", `minute ",1": an empty place in the list`},
		{"*-5 * * * *", `minute "*-5": expected nothing but a step, such as */5, after the *`},
		{"** * * * *", `minute "**": expected nothing but a step`},
		{"*5 * * * *", `minute "*5": expected nothing but a step`},
		{"+5 * * * *", `minute "+5": expected 0-59, without a sign`},
		{"-5 * * * *", `minute "-5": expected a range such as 1-4`},
		{"5- * * * *", `minute "5-": expected a range such as 1-4`},
		{"1-2-3 * * * *", `minute "1-2-3": expected a range such as 1-4`},
		{"--1 * * * *", `minute "--1": expected a range`},
		{"1--3 * * * *", `minute "1--3": expected a range`},
		{"-/5 * * * *", `minute "-/5": expected a range`},
		{"1.5 * * * *", `minute "1.5": expected 0-59`},
		{"0x10 * * * *", `minute "0x10": expected 0-59`},
		{"1_0 * * * *", `minute "1_0": expected 0-59`},
		{"010 * * * *", `minute "010": expected 0-59, without leading zeros`},
		{"00005 * * * *", `minute "00005": expected 0-59, without leading zeros`},
		{"99999999999999999999 * * * *", `minute "99999999999999999999": expected 0-59`},
		{"*/0 * * * *", `minute "*/0": expected a step of at least 1`},
		{"*/ * * * *", `minute "*/": expected a whole number of at least 1 as the step`},
		{"*/-1 * * * *", `minute "*/-1": expected a whole number of at least 1 as the step`},
		{"*/+5 * * * *", `minute "*/+5": expected a whole number of at least 1 as the step`},
		{"*/5/5 * * * *", `minute "*/5/5": expected a whole number of at least 1 as the step`},
		{"*/010 * * * *", `minute "*/010": expected the step without leading zeros`},
		{"*/18446744073709551615 * * * *", `expected a step of at most 1000000`},
		{"*/9999999 * * * *", `expected a step of at most 1000000`},
		{"/5 * * * *", `minute "/5": expected a value before the step, such as */5`},
		{"0 22-2 * * *", `hour "22-2": the range ends before it begins; expected two, such as 22-23,0-2`},
		{"0 0 * nov-feb *", `month "nov-feb": the range ends before it begins; expected two, such as 11-12,1-2`},
		{"0 0 * * fri-mon", `day of week "fri-mon": the range ends before it begins; expected two, such as 5-6,0-1`},
		{"0 0 * * 7-1", `day of week "7-1": the range ends before it begins`},
		{"? * * * *", `minute "?": "?" stands alone, for a day field left open; expected 0-59 or *`},
		{"0 0 ?/2 * *", `day of month "?/2": "?" stands alone, for a day field left open; expected 1-31 or *`},
		{"0 0 1,? * *", `day of month "1,?": "?" stands alone`},

		{"0 0 30 2 *", `can never fire: no date in 400 years is day of month "30" in month "2" on day of week "*"`},
		{"0 0 31 feb,apr,6,9,11 ?", `can never fire`},
		{"0 0 0 31 11 *", `can never fire`},

		{"@", `"@": expected @hourly, @daily`},
		{"@dayly", `"@dayly": did you mean "@daily"?`},
		{"@everyday", `"@everyday": did you mean "@daily"?`},
		{"@everyminute", `did you mean "* * * * *"?`},
		{"@reboot", `"@reboot": a cluster never boots; expected @hourly`},
		{"@fortnightly", `"@fortnightly": expected @hourly`},
		{"@daily 5", `"5" after @daily: expected nothing; for another time of day write five fields`},
		{"@every5m", `"@every5m": did you mean "@every 5m"?`},
		{"@every", `"@every": expected a duration after it, such as "@every 90s"`},
		{"@every 90", `@every "90": expected a unit, such as 90s or 90m`},
		{"@every 1d", `@every "1d": expected hours, minutes and seconds, such as 24h for a day`},
		{"@every soon", `@every "soon": expected a duration, such as 90s, 5m or 1h30m`},
		{"@every 0s", `@every "0s": expected at least 1s`},
		{"@every -1h", `@every "-1h": expected at least 1s`},
		{"@every 999ms", `@every "999ms": expected at least 1s`},
		{"@every 1.5s", `@every "1.5s": expected whole seconds`},
		{"@every offset 1s", `"@every": expected a duration after it`},
		{"@every 1h offset", `"@every 1h offset": expected a duration after offset, such as "@every 1h offset 5m"`},
		{"@every 1h offset 5", `@every offset "5": expected a unit, such as 5s or 5m`},
		{"@every 1h offset 1h", `@every offset "1h": expected at least 0s and less than the 1h of @every`},
		{"@every 1h offset -1s", `@every offset "-1s": expected at least 0s`},
		{"@every 1h offset 500ms", `@every offset "500ms": expected whole seconds`},
		{"@every 1h offset 1s offset 2s", `@every offset "1soffset2s": expected a duration`},
		{"@every 1h plus 1s", `@every "1hplus1s": expected a duration`},
		{"@every 9999999999h", `@every "9999999999h": expected a duration`},
		{"* * * * @daily", `day of week "@daily": expected`},

		{"TZ=", `"TZ=": a zone is no part of the expression; use timezone: Europe/Berlin`},
		{"TZ=UTC", `use timezone: UTC`},
		{"TZ=UTC * * * * *", `"TZ=UTC": a zone is no part of the expression; use timezone: UTC`},
		{"CRON_TZ=Asia/Tokyo 0 5 * * *", `use timezone: Asia/Tokyo`},
		{"tz=UTC 0 5 * * *", `use timezone: UTC`},
		{`"0 5 * * *"`, `found '"': the quotes have become part of the expression; write them once`},
		{`'0 5 * * *'`, `found '\'': the quotes have become part`},
		{"0 5\x00 * * *", `found '\x00': a character that no expression has`},
		{"0\u00a05 * * *", `found '\u00a0': an odd blank`},
		{"0 5\n* * *", `found '\n': an odd blank`},
		{"٣ * * * *", `a character that no expression has`},
		{"0 5 * * *\xff", `a character that no expression has`},
		{"0 0 – * *", `found '–'`},
		{strings.Repeat("1,", 600) + "1 * * * *", `expression of 1209 bytes: expected at most 1024`},
	} {
		s, err := ParseSpec(c.expr, nil)
		if assert.Error(t, err, c.expr) {
			assert.Contains(t, err.Error(), c.message, c.expr)
			assert.NotContains(t, err.Error(), "\n", c.expr)
		}
		assert.Nil(t, s, c.expr)
	}
}

func TestParseSpecRefusesTheHostsZone(t *testing.T) {
	_, err := ParseSpec("@daily", time.Local)
	require.ErrorContains(t, err, `time zone "Local"`)
}

func TestEveryFieldWrittenOutFits(t *testing.T) {
	list := func(lo, hi int) string {
		var out []string
		for n := lo; n <= hi; n++ {
			out = append(out, fmt.Sprint(n))
		}
		return strings.Join(out, ",")
	}
	expr := strings.Join([]string{list(0, 59), list(0, 59), list(0, 23), list(1, 31), list(1, 12), list(0, 7)}, " ")
	written := parse(t, expr, nil)
	starred := parse(t, "* * * * * *", nil)
	either := written.cal
	assert.True(t, either.either)
	either.either = false
	assert.Equal(t, starred.cal, either)
}

// Vixie's day rule looks at the first character of the field, so "*" in the
// middle of a list does not open it.
func TestDayRuleReadsTheFirstCharacter(t *testing.T) {
	for expr, either := range map[string]bool{
		"0 0 * * *": false, "0 0 1 * *": false, "0 0 * * 1": false, "0 0 1 * 1": true, "0 0 ? * 1": false, "0 0 1 * ?": false,
		"0 0 */2 * 1": false, "0 0 1 * */2": false, "0 0 *,1 * 1": false, "0 0 1,* * 1": true, "0 0 1/2 * 1": true, "0 0 */1 * 1": false,
	} {
		assert.Equal(t, either, parse(t, expr, nil).cal.either, expr)
	}
}

func TestWildcardReadsTheFirstCharacter(t *testing.T) {
	for expr, wildcard := range map[string]bool{
		"* * * * *": true, "*/5 2 * * *": true, "0 * * * *": true, "0 */2 * * *": true, "@hourly": true, "* 30 * * * *": true,
		"30 2 * * *": false, "* 30 2 * * *": false, "0-59 0-23 * * *": false, "1,* 2 * * *": false, "@daily": false, "@weekly": false,
	} {
		assert.Equal(t, wildcard, parse(t, expr, nil).wildcard, expr)
	}
}
