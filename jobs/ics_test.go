package jobs

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// icsFile is a file of events, each given as its lines in one text.
func icsFile(events ...string) []byte {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\n")
	for _, e := range events {
		b.WriteString("BEGIN:VEVENT\r\n" + strings.ReplaceAll(strings.TrimSpace(e), "\n", "\r\n") + "\r\nEND:VEVENT\r\n")
	}
	b.WriteString("END:VCALENDAR\r\n")
	return []byte(b.String())
}

// icsCalendar is the calendar of a file.
func icsCalendar(t *testing.T, data []byte, loc *time.Location) *Calendar {
	t.Helper()
	days, errs := parseICS(data, loc, EmbeddedZones())
	require.Empty(t, errs)
	c := &Calendar{days: newDaySet(0, days.yearly, days.spans)}
	c.labels, c.yearly = days.names.sorted()
	return c
}

// datesOf are the dates of a calendar in some years.
func datesOf(c *Calendar, from, to int) []string {
	var list []string
	for day := dayOf(from, 1, 1); day <= dayOf(to, 12, 31); day++ {
		if c.contains(day) {
			list = append(list, time.Unix(day*daySeconds, 0).UTC().Format(time.DateOnly))
		}
	}
	return list
}

func TestPublicHolidaysOfACity(t *testing.T) {
	data, err := os.ReadFile("testdata/ics/berlin.ics")
	require.NoError(t, err)
	c := icsCalendar(t, data, time.UTC)
	assert.Equal(t, []string{
		"2026-01-01", "2026-03-08", "2026-04-03", "2026-04-06", "2026-05-01", "2026-05-14", "2026-05-25",
		"2026-07-27", "2026-07-28", "2026-07-29", "2026-07-30", "2026-07-31", "2026-08-01", "2026-08-02", "2026-08-03", "2026-08-04",
		"2026-08-05", "2026-08-06", "2026-08-07", "2026-08-08", "2026-08-09",
		"2026-10-03", "2026-12-25", "2026-12-26", "2026-12-29", "2026-12-30",
	}, datesOf(c, 2026, 2026), "without the day that EXDATE takes away, and the event that is canceled")
	assert.Equal(t, []string{
		"2024-01-01", "2024-03-08", "2024-03-29", "2024-04-01", "2024-05-01", "2024-05-09", "2024-05-20", "2024-10-03", "2024-11-20", "2024-12-25", "2024-12-26",
	}, datesOf(c, 2024, 2024))
	assert.Equal(t, []string{"2150-01-01", "2150-03-08", "2150-05-01", "2150-10-03", "2150-12-25", "2150-12-26"}, datesOf(c, 2150, 2150),
		"one date of every year is for ever, another rule ends with 2100")
	assert.Contains(t, datesOf(c, 2100, 2100), "2100-11-17")

	assert.Equal(t, "Karfreitag", c.Label(dayOf(2026, 4, 3)))
	assert.Equal(t, "Weihnachten, beide Tage", c.Label(dayOf(2199, 12, 26)))
	assert.Equal(t, "Betriebsferien im Sommer; das Büro in der Gneisenaustraße bleibt geschlossen, ...", c.Label(dayOf(2026, 8, 9)), "folded within a letter")
	assert.Equal(t, "Buß- und Bettag", c.Label(dayOf(2027, 11, 17)))
	assert.Empty(t, c.Label(dayOf(2026, 4, 4)))
}

func TestEventsAreOnTheseDates(t *testing.T) {
	berlin, err := LoadZone("Europe/Berlin")
	require.NoError(t, err)
	for _, c := range []struct {
		name, event string
		want        []string
	}{
		{"a day", "DTSTART;VALUE=DATE:20260101", []string{"2026-01-01"}},
		{"a day without VALUE", "DTSTART:20260101", []string{"2026-01-01"}},
		{"the end is exclusive", "DTSTART;VALUE=DATE:20260101\nDTEND;VALUE=DATE:20260103", []string{"2026-01-01", "2026-01-02"}},
		{"an end that is the beginning", "DTSTART;VALUE=DATE:20260101\nDTEND;VALUE=DATE:20260101", []string{"2026-01-01"}},
		{"a duration of days", "DTSTART;VALUE=DATE:20260101\nDURATION:P2D", []string{"2026-01-01", "2026-01-02"}},
		{"a duration of weeks", "DTSTART;VALUE=DATE:20260101\nDURATION:P1W", []string{"2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05", "2026-01-06", "2026-01-07"}},
		{"a moment", "DTSTART:20260101T120000", []string{"2026-01-01"}},
		{"over midnight", "DTSTART:20260101T220000\nDTEND:20260102T010000", []string{"2026-01-01", "2026-01-02"}},
		{"until midnight", "DTSTART:20260101T220000\nDTEND:20260102T000000", []string{"2026-01-01"}},
		{"for hours", "DTSTART:20260101T220000\nDURATION:PT2H1S", []string{"2026-01-01", "2026-01-02"}},
		{"as its author wrote it", "DTSTART;TZID=America/New_York:20260101T200000\nDTEND;TZID=America/New_York:20260101T210000", []string{"2026-01-01"}},
		{"in UTC it is in the zone of the file", "DTSTART:20260101T233000Z\nDTEND:20260101T234500Z", []string{"2026-01-02"}},
		{"in a zone nobody knows", "DTSTART;TZID=Our Time:20260101T200000", []string{"2026-01-01"}},
		{"between zones", "DTSTART;TZID=Europe/Berlin:20260101T230000\nDTEND;TZID=America/New_York:20260101T220000", []string{"2026-01-01"}},
		{"a leap second", "DTSTART:20261231T235960\nDTEND:20261231T235960", []string{"2026-12-31"}},
		{"more dates", "DTSTART;VALUE=DATE:20260101\nRDATE;VALUE=DATE:20260105,20260107\nRDATE;VALUE=DATE:20260109\nEXDATE;VALUE=DATE:20260107",
			[]string{"2026-01-01", "2026-01-05", "2026-01-09"}},
		{"without its first", "DTSTART;VALUE=DATE:20260101\nRDATE;VALUE=DATE:20260105\nEXDATE;VALUE=DATE:20260101", []string{"2026-01-05"}},
		{"periods", "DTSTART:20260101T120000\nRDATE;VALUE=PERIOD:20260201T230000/PT2H,20260301T230000/20260302T000000", []string{"2026-01-01", "2026-02-01", "2026-02-02", "2026-03-01"}},
		{"exceptions by time", "DTSTART;TZID=Europe/Berlin:20260101T003000\nRRULE:FREQ=DAILY;COUNT=4\nEXDATE;TZID=Europe/Berlin:20260102T003000\nEXDATE:20260102T233000Z",
			[]string{"2026-01-01", "2026-01-04"}},
		{"a rule with an end", "DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=WEEKLY;UNTIL=20260115", []string{"2026-01-01", "2026-01-08", "2026-01-15"}},
		{"a rule with an end in UTC", "DTSTART;TZID=Europe/Berlin:20260105T003000\nRRULE:FREQ=WEEKLY;UNTIL=20260111T233000Z", []string{"2026-01-05", "2026-01-12"}},
		{"a rule with an end just before", "DTSTART;TZID=Europe/Berlin:20260105T003000\nRRULE:FREQ=WEEKLY;UNTIL=20260111T232959Z", []string{"2026-01-05"}},
		{"an evolved zone", "DTSTART;TZID=/freeassociation.sourceforge.net/Europe/Berlin:20260105T003000\nRRULE:FREQ=WEEKLY;UNTIL=20260111T233000Z", []string{"2026-01-05", "2026-01-12"}},
		{"a rule that counts", "DTSTART;VALUE=DATE:20260131\nRRULE:FREQ=MONTHLY;COUNT=3", []string{"2026-01-31", "2026-03-31", "2026-05-31"}},
		{"the first is one of them", "DTSTART;VALUE=DATE:20260102\nRRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=3", []string{"2026-01-02", "2026-01-05", "2026-01-12"}},
		{"the last working day of a month", "DTSTART;VALUE=DATE:20260130\nRRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=3", []string{"2026-01-30", "2026-02-27", "2026-03-31"}},
		{"thanksgiving, and the day after", "DTSTART;VALUE=DATE:20261126\nDTEND;VALUE=DATE:20261128\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;UNTIL=20281231",
			[]string{"2026-11-26", "2026-11-27", "2027-11-25", "2027-11-26", "2028-11-23", "2028-11-24"}},
		{"a leap day", "DTSTART;VALUE=DATE:20240229\nRRULE:FREQ=YEARLY", []string{"2020-02-29", "2024-02-29", "2028-02-29"}},
		{"in UTC with a rule", "DTSTART:20260101T233000Z\nRRULE:FREQ=DAILY;COUNT=2", []string{"2026-01-02", "2026-01-03"}},
		{"lower case", "dtstart;value=date:20260101\nrrule:freq=daily;count=2", []string{"2026-01-01", "2026-01-02"}},
		{"a colon in a parameter", "DTSTART;X-A=\"b:c;d,e\",f;VALUE=DATE:20260101", []string{"2026-01-01"}},
	} {
		assert.Equal(t, c.want, datesOf(icsCalendar(t, icsFile(c.event), berlin), 2020, 2030), c.name)
	}
}

func TestOneDateOfEveryYearIsForEver(t *testing.T) {
	for event, want := range map[string][]string{
		"DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY":                                               {"05-01"},
		"DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY;INTERVAL=1;WKST=SU;BYMONTH=5;BYMONTHDAY=1":     {"05-01"},
		"DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227\nRRULE:FREQ=YEARLY":                    {"12-24", "12-25", "12-26"},
		"DTSTART;VALUE=DATE:20261231\nDURATION:P2D\nRRULE:FREQ=YEARLY":                                 {"01-01", "12-31"},
		"DTSTART;TZID=Europe/Berlin:20261231T220000\nDURATION:PT4H\nRRULE:FREQ=YEARLY":                 {"01-01", "12-31"},
		"DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY;COUNT=300":                                     nil,
		"DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY;INTERVAL=2":                                    nil,
		"DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY;UNTIL=20990501":                                nil,
		"DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY\nEXDATE;VALUE=DATE:20270501":                   nil,
		"DTSTART;VALUE=DATE:20260227\nDURATION:P3D\nRRULE:FREQ=YEARLY":                                 nil,
		"DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY;BYMONTHDAY=1":                                  nil,
		"DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=-31":                      nil,
		"DTSTART:20260501T230000Z\nRRULE:FREQ=YEARLY":                                                  nil,
		"DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=MONTHLY;INTERVAL=12\nX-COMMENT:yearly by other words": nil,
	} {
		c := icsCalendar(t, icsFile(event), time.UTC)
		var got []string
		for _, d := range datesOf(c, 2201, 2201) {
			got = append(got, d[len("2201-"):])
		}
		assert.Equal(t, want, got, event)
	}
}

func TestOccurrencesOfTheirOwnReplaceThoseOfTheRule(t *testing.T) {
	master := "UID:a\nSUMMARY:Meeting\nDTSTART;TZID=Europe/Berlin:20260105T100000\nRRULE:FREQ=WEEKLY;COUNT=4"
	c := icsCalendar(t, icsFile(
		"UID:a\nSUMMARY:Moved\nRECURRENCE-ID;TZID=Europe/Berlin:20260112T100000\nDTSTART;TZID=Europe/Berlin:20260113T100000",
		master,
		"UID:a\nRECURRENCE-ID:20260119T090000Z\nSTATUS:CANCELLED\nDTSTART:20260119T090000Z",
		"UID:b\nRECURRENCE-ID:20260126T090000Z\nSUMMARY:Alone\nDTSTART:20260127T090000Z",
	), time.UTC)
	assert.Equal(t, []string{"2026-01-05", "2026-01-13", "2026-01-26", "2026-01-27"}, datesOf(c, 2026, 2026))
	assert.Equal(t, "Moved", c.Label(dayOf(2026, 1, 13)))
	assert.Equal(t, "Alone", c.Label(dayOf(2026, 1, 27)))
}

func TestWhatACalendarFileCannotSayIsAnErrorWithItsLine(t *testing.T) {
	event := func(lines string) string { return string(icsFile(lines)) }
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "1: the file is empty; expected BEGIN:VCALENDAR"},
		{"a page", "<!doctype html>\n<html>\n", "1: expected a property such as SUMMARY:New Year"},
		{"no calendar", "BEGIN:VCARD\nEND:VCARD\n", "1: BEGIN: expected VCALENDAR"},
		{"text before", "SUMMARY:x\nBEGIN:VCALENDAR\nEND:VCALENDAR\n", "1: SUMMARY: expected BEGIN:VCALENDAR"},
		{"no events", "BEGIN:VCALENDAR\nVERSION:2.0\nEND:VCALENDAR\n", "1: there is no event in the file"},
		{"the old version", "BEGIN:VCALENDAR\nVERSION:1.0\nEND:VCALENDAR\n", "2: VERSION: expected version 2.0 of iCalendar"},
		{"cut off", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101\n", "2: VEVENT does not end: the file is cut off"},
		{"crossed", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR\n", "3: END: it ends VCALENDAR, but the component of line 2 is VEVENT"},
		{"two encodings", "\xff\xfeB\x00", "1: the file is in UTF-16; save it as UTF-8"},
		{"an old encoding", event("SUMMARY:B\xfcro\nDTSTART:20260101"), "5: the line is not UTF-8; save the file as UTF-8"},
		{"a line without a colon", event("DTSTART:20260101\nrubbish"), "6: RUBBISH: expected a colon and a value after the name"},
		{"a line after a fold", event("SUMMARY:a\n b\n c\nDTSTART:soon"), `8: DTSTART: "SOON" is no date such as 20261225 and no time such as 20261225T090000`},
		{"a parameter", event("DTSTART;VALUE:20260101"), "5: DTSTART: expected a parameter such as ;VALUE=DATE"},
		{"a quote", event(`DTSTART;TZID="a:20260101`), "5: DTSTART: expected a colon and a value after the name"},
		{"no start", event("SUMMARY:x"), "4: the event has no DTSTART"},
		{"two starts", event("DTSTART:20260101\nDTSTART:20260102"), "6: DTSTART: the event has it already, in line 5"},
		{"no such day", event("DTSTART:20260230"), "5: DTSTART: there is no date 20260230"},
		{"no such time", event("DTSTART:20260201T250000"), "5: DTSTART: there is no time of day 250000"},
		{"another kind", event("DTSTART;VALUE=DATE:20260201T250000"), `5: DTSTART: "20260201T250000" is not of the kind VALUE=DATE`},
		{"a kind of its own", event("DTSTART;VALUE=TEXT:20260201"), "5: DTSTART: VALUE=TEXT; expected DATE or DATE-TIME"},
		{"ends first", event("DTSTART:20260201\nDTEND:20260131"), "6: DTEND: the event ends before it begins, in line 5"},
		{"mixed ends", event("DTSTART:20260201\nDTEND:20260201T120000"), "6: DTEND: one of DTSTART and DTEND is a date, the other has a time"},
		{"one end in UTC", event("DTSTART:20260201T110000\nDTEND:20260201T120000Z"), "6: DTEND: one of DTSTART and DTEND is in UTC, the other is not"},
		{"two ends", event("DTSTART:20260201\nDTEND:20260202\nDURATION:P1D"), "7: DURATION: the event has a DTEND too, in line 6"},
		{"no duration", event("DTSTART:20260201\nDURATION:P"), `6: DURATION: "P" is no duration of an event, such as P1D or PT2H`},
		{"a duration back", event("DTSTART:20260201\nDURATION:-P1D"), `6: DURATION: "-P1D" is no duration of an event, such as P1D or PT2H`},
		{"hours of a day", event("DTSTART:20260201\nDURATION:PT2H"), `6: DURATION: "PT2H" is no number of whole days, and the event has no time`},
		{"too long", event("DTSTART:00010101\nDTEND:99990101"), "4: the events up to this one are on more than 200000 days; write weekdays or ranges of dates instead"},
		{"an old exception", event("DTSTART:20260201\nEXRULE:FREQ=DAILY"), "6: EXRULE: it is no part of iCalendar any more; expected EXDATE"},
		{"from here on", event("UID:a\nDTSTART:20260201\nRRULE:FREQ=DAILY\nEND:VEVENT\nBEGIN:VEVENT\nUID:a\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260203\nDTSTART:20260204"),
			"11: RECURRENCE-ID: RANGE=THISANDFUTURE changes a recurrence from some day on; expected two events with a rule each"},
		{"an exception in UTC", event("DTSTART:20260201T100000\nRRULE:FREQ=DAILY;COUNT=2\nEXDATE:20260202T100000Z"), `7: EXDATE: "20260202T100000Z" is in UTC, and DTSTART is in no zone`},
		{"in a zone nobody knows", event("DTSTART;TZID=Our Time:20260201T100000\nEXDATE:20260202T100000Z"),
			`6: EXDATE: "20260202T100000Z" is in UTC, and DTSTART is not: zone "Our Time" is not in the time zone database`},
		{"a period", event("DTSTART:20260201T100000\nRDATE;VALUE=PERIOD:20260202T100000"), `6: RDATE: "20260202T100000" is no period such as 20261225T090000/PT2H`},
		{"a period back", event("DTSTART:20260201T100000\nRDATE;VALUE=PERIOD:20260202T100000/20260201T100000"), `6: RDATE: "20260202T100000/20260201T100000" ends before it begins`},
	} {
		_, errs := parseICS([]byte(c.text), time.UTC, EmbeddedZones())
		if assert.NotEmpty(t, errs, c.name) {
			assert.Equal(t, c.want, errs[0].Error(), c.name)
		}
	}
}

func TestRulesThatMeanNothingAreRefused(t *testing.T) {
	for rule, want := range map[string]string{
		"":                                            `"" is no part of a rule`,
		"COUNT=3":                                     `FREQ is ""; expected YEARLY, MONTHLY, WEEKLY or DAILY`,
		"FREQ=FORTNIGHTLY":                            `FREQ is "FORTNIGHTLY"; expected YEARLY, MONTHLY, WEEKLY or DAILY`,
		"FREQ=SECONDLY":                               "FREQ=SECONDLY recurs within a day; a calendar has whole days, so write FREQ=DAILY",
		"FREQ=DAILY;BYHOUR=1":                         "BYHOUR recurs within a day; a calendar has whole days",
		"FREQ=DAILY;BYEASTER=1":                       `"BYEASTER=1" is no part of a rule`,
		"FREQ=DAILY;FREQ=DAILY":                       "FREQ is given twice",
		"FREQ=DAILY;COUNT":                            "COUNT has no value",
		"FREQ=DAILY;COUNT=0":                          "COUNT is 0; expected at least 1",
		"FREQ=DAILY;COUNT=x":                          `"FREQ=DAILY;COUNT=X": strconv.Atoi: parsing "X": invalid syntax`,
		"FREQ=DAILY;INTERVAL=0":                       "INTERVAL is 0; expected 1 to 100000",
		"FREQ=DAILY;INTERVAL=1e9":                     `"FREQ=DAILY;INTERVAL=1E9": strconv.Atoi: parsing "1E9": invalid syntax`,
		"FREQ=DAILY;COUNT=1;UNTIL=20270101":           "COUNT and UNTIL are both given; expected one of them",
		"FREQ=DAILY;UNTIL=soon":                       `"SOON" is no date such as 20261225 and no time such as 20261225T090000`,
		"FREQ=MONTHLY;BYDAY=53MO":                     "BYDAY=53MO; expected at most the 5-th",
		"FREQ=MONTHLY;BYDAY=-53MO":                    "BYDAY=-53MO; expected at most the 5-th",
		"FREQ=YEARLY;BYMONTH=12;BYDAY=53MO":           "BYDAY=53MO; expected at most the 5-th",
		"FREQ=YEARLY;BYDAY=54MO":                      "BYDAY=54MO; expected at most the 53-th",
		"FREQ=YEARLY;BYDAY=0MO":                       `BYDAY has "0MO"; expected a weekday such as MO, or one of a month or year such as 1MO and -1FR`,
		"FREQ=WEEKLY;BYDAY=1MO":                       "BYDAY=1MO chooses one of a month or year, and FREQ is WEEKLY",
		"FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO":            "BYDAY=1MO chooses one of a year, and BYWEEKNO one of a week",
		"FREQ=MONTHLY;BYWEEKNO=1":                     "BYWEEKNO needs FREQ=YEARLY",
		"FREQ=MONTHLY;BYYEARDAY=1":                    "BYYEARDAY needs FREQ=YEARLY",
		"FREQ=WEEKLY;BYMONTHDAY=1":                    "BYMONTHDAY has no meaning with FREQ=WEEKLY",
		"FREQ=MONTHLY;BYSETPOS=1":                     "BYSETPOS needs another BY to choose from",
		"FREQ=YEARLY;BYMONTH=13":                      "bymonth must be between 1 and 12",
		"FREQ=YEARLY;BYMONTHDAY=0":                    "bymonthday must be between 1 and 31 or -1 and -31",
		"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30":          `"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30" comes on no day of any year`,
		"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=1": `"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=1" comes on no day of any year`,
		"FREQ=YEARLY;WKST=XX":                         `"FREQ=YEARLY;WKST=XX": undefined weekday: XX`,
		"FREQ=YEARLY;X=" + strings.Repeat("1", 5000):  "the rule has 5014 bytes; expected at most 4096",
	} {
		_, errs := parseICS(icsFile("DTSTART;VALUE=DATE:20260101\nRRULE:"+rule), time.UTC, EmbeddedZones())
		if assert.NotEmpty(t, errs, rule) {
			assert.Equal(t, "6: RRULE: "+want, errs[0].Error(), rule)
		}
	}
}

func TestCalendarFilesAreBounded(t *testing.T) {
	begin := time.Now()
	daily := "DTSTART;VALUE=DATE:19700101\nRRULE:FREQ=DAILY"
	_, errs := parseICS(icsFile(slices.Repeat([]string{daily}, 5000)...), time.UTC, EmbeddedZones())
	require.Len(t, errs, 1, "what follows is too much as well")
	require.ErrorContains(t, errs[0], "on more than 200000 days")
	_, errs = parseICS(icsFile(slices.Repeat([]string{"DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=YEARLY;INTERVAL=50"}, maxICSRules+1)...), time.UTC, EmbeddedZones())
	require.Len(t, errs, 1)
	require.ErrorContains(t, errs[0], "more than 2000 rules")
	never := "DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"
	_, errs = parseICS(icsFile(slices.Repeat([]string{never}, maxICSRules)...), time.UTC, EmbeddedZones())
	require.Len(t, errs, maxICSErrors)
	seldom := "DTSTART;VALUE=DATE:00010101\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"
	_, errs = parseICS(icsFile(slices.Repeat([]string{seldom}, maxICSRules)...), time.UTC, EmbeddedZones())
	require.Len(t, errs, 1)
	require.ErrorContains(t, errs[0], "more than 200000 years")
	_, errs = parseICS(make([]byte, MaxCalendarFile+1), time.UTC, EmbeddedZones())
	require.EqualError(t, errs[0], "1: the file is larger than 4 MiB; expected a calendar")
	require.Less(t, time.Since(begin), slack*20*time.Second)
}
