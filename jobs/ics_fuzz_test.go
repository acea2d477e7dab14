package jobs

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// FuzzICS: whatever the bytes, there are days, within bounds and each with its
// name, or errors that name a line of the file.
func FuzzICS(f *testing.F) {
	f.Add([]byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTIMEZONE\r\nTZID:Our Time\r\nBEGIN:STANDARD\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n" +
		"BEGIN:VEVENT\r\nSUMMARY:One\\, t\r\n wo\r\nDTSTART;TZID=\"Our Time\":20260101T100000\r\nRRULE:FREQ=DAILY;UNTIL=20260105T090000Z\r\n" +
		"BEGIN:VALARM\r\nTRIGGER:-PT15M\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"))
	for _, event := range []string{
		"DTSTART:20260101T220000Z\nDURATION:PT2H\nRRULE:FREQ=DAILY;UNTIL=20260301T000000Z\nEXDATE:20260102T220000Z",
		"DTSTART;TZID=Our Time:20260105\nRRULE:FREQ=MONTHLY;BYDAY=-1MO,2TU;BYSETPOS=1,-1;WKST=SU;INTERVAL=3;COUNT=9",
		"DTSTART:20260101\nRRULE:FREQ=YEARLY;BYWEEKNO=1,53,-1;BYDAY=MO\nRDATE;VALUE=PERIOD:20260101T000000/P1D",
		"UID:a\nRECURRENCE-ID:20260101\nDTSTART:20260102\nRRULE:FREQ=YEARLY;BYYEARDAY=1,-1,366",
		"DTSTART:20240229\nDURATION:P3W\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1",
	} {
		f.Add(icsFile(event))
	}
	berlin, err := LoadZone("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		days, errs := parseICS(data, berlin, EmbeddedZones())
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, err := range errs {
			var at icsError
			if !errors.As(err, &at) || at.line < 1 || at.line > lines || at.why == "" {
				t.Fatalf("%v in a file of %d lines", err, lines)
			}
		}
		if len(errs) > maxICSErrors || (days == nil) != (len(errs) > 0) {
			t.Fatalf("%d errors, days %v", len(errs), days != nil)
		}
		if days == nil {
			return
		}
		total := int64(0)
		for _, s := range days.spans {
			if s.last < s.first {
				t.Fatalf("span %v", s)
			}
			total += s.last - s.first + 1
		}
		if total > maxICSDays {
			t.Fatalf("%d days", total)
		}
		c := &Calendar{days: newDaySet(0, days.yearly, days.spans)}
		c.labels, c.yearly = days.names.sorted()
		first, last := dayNumber(firstYear, 1), dayNumber(lastYear+1, 1)-1
		for _, l := range c.labels {
			if day := int64(l.day); day >= first && day <= last && (!c.contains(day) || c.Label(day) != l.text) {
				t.Fatalf("day %d is named %q and is not in the calendar", day, l.text)
			}
		}
		for _, l := range c.yearly {
			if !c.Contains(2024, time.Month(l.month), int(l.day)) {
				t.Fatalf("%d-%d is named %q and is not in the calendar", l.month, l.day, l.text)
			}
		}
	})
}
