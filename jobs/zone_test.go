package jobs

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The table must tell the offset that package time tells, in every zone, around
// every transition and anywhere between the years 1 and 9999.
func TestZoneTableAgreesWithPackageTime(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name := range strings.Lines(zoneNameList) {
		loc := zoneNamed(t, strings.TrimSpace(name))
		z := zoneOf(loc)
		check := func(instant int64) {
			_, want := time.Unix(instant, 0).In(loc).Zone()
			c := z.at(instant)
			if got := z.spans[c.i].off; got != int64(want) {
				t.Fatalf("%s: offset at %s is %d, want %d", loc, time.Unix(instant, 0).UTC(), got, want)
			}
			if start := z.spans[c.i].start + c.shift; instant < start || instant >= z.end(c) {
				t.Fatalf("%s: the span of %d is from %d to %d", loc, instant, start, z.end(c))
			}
		}
		for i := range z.spans {
			if i > 0 && z.spans[i].start <= z.spans[i-1].start {
				t.Fatalf("%s: spans out of order at %d", loc, i)
			}
			if i == 0 || i%7 != 0 && i > z.wrap { // the rules repeat; so need not the test
				continue
			}
			check(z.spans[i].start - 1)
			check(z.spans[i].start)
		}
		for range 200 {
			check(firstInstant + random.Int64N(endInstant-firstInstant))
		}
		// December is where package time itself has a quirk, see newZone.
		for year := 2036; year < 2110; year++ {
			check(dayNumber(year, 12)*daySeconds + 29*daySeconds + random.Int64N(3*daySeconds))
		}
		// Behind the table the rules of 400 years before hold.
		for _, far := range []int64{cycleSeconds, 10 * cycleSeconds} {
			for i := z.wrap + 1; i < len(z.spans); i += 111 {
				check(z.spans[i].start + far - 1)
				check(z.spans[i].start + far)
			}
		}
	}
}

// The fixed times rely on it: clock changes never come so close to each other
// that a local time lost in a gap comes back in the repetition after it.
func TestTransitionsAreDaysApart(t *testing.T) {
	for name := range strings.Lines(zoneNameList) {
		loc := zoneNamed(t, strings.TrimSpace(name))
		spans := zoneOf(loc).spans
		for i := 2; i < len(spans); i++ {
			assert.GreaterOrEqual(t, spans[i].start-spans[i-1].start, int64(2*daySeconds), "%s at %s", loc, time.Unix(spans[i].start, 0).UTC())
		}
	}
}

func TestLoadZone(t *testing.T) {
	for name := range strings.Lines(zoneNameList) {
		name = strings.TrimSpace(name)
		loc := zoneNamed(t, name)
		assert.Equal(t, name, loc.String())
		assert.Same(t, loc, zoneNamed(t, name), "loaded once")
		assert.Same(t, zoneOf(loc), zoneOf(loc), "tabulated once")
	}
	assert.Same(t, time.UTC, zoneNamed(t, "UTC"))
}

func TestLoadZoneRejects(t *testing.T) {
	const expected = `expected a name of the zone database, such as "Europe/Berlin" or "UTC"`
	for _, c := range []struct{ name, message string }{
		{"", `time zone "": expected a name such as "Europe/Berlin" or "UTC"`},
		{"Local", `time zone "Local": every host would read the schedule in its own zone`},
		{"local", `time zone "local": every host would`},
		{"localtime", `time zone "localtime": every host would`},
		{"posixrules", `every host would`},
		{"right/Europe/Berlin", `time zone "right/Europe/Berlin": expected the name without "right/"`},
		{"posix/UTC", `expected the name without "posix/"`},
		{"Europe/Berln", `time zone "Europe/Berln": unknown; did you mean "Europe/Berlin"?`},
		{"Europe/Brelin", `did you mean "Europe/Berlin"?`},
		{"europe/berlin", `did you mean "Europe/Berlin"?`},
		{"EUROPE/BERLIN ", `did you mean "Europe/Berlin"?`},
		{"Berlin", `did you mean "Europe/Berlin"?`},
		{"New York", `did you mean "America/New_York"?`},
		{"America/New York", `did you mean "America/New_York"?`},
		{"US/New_York", `did you mean "America/New_York"?`},
		{"Europe/Tokyo", `did you mean "Asia/Tokyo"?`},
		{"Asia/Sanghai", `did you mean "Asia/Shanghai"?`},
		{"Asia/Kolkatta", `did you mean "Asia/Kolkata"?`},
		{"America/Los_Angelos", `did you mean "America/Los_Angeles"?`},
		{"utc", `did you mean "UTC"?`},
		{"PST", `time zone "PST": unknown; ` + expected},
		{"CEST", `time zone "CEST": unknown; ` + expected},
		{"Mars/Olympus_Mons", expected},
		{"UTC+2", `a fixed offset is "Etc/GMT-2" (its sign is reversed)`},
		{"GMT-05:00", `a fixed offset is "Etc/GMT+5" (its sign is reversed)`},
		{"+02:00", `a fixed offset is "Etc/GMT-2" (its sign is reversed)`},
		{"../../etc/passwd", expected},
		{"/etc/localtime", expected},
		{"Europe/", expected},
		{"Europe", expected},
		{"zone.tab", expected},
		{"Europe/Berlin\x00", `time zone "Europe/Berlin\x00": unknown`},
		{"Zürich", expected},
		{strings.Repeat("Europe/", 1000), `time zone of 7000 bytes: ` + expected},
	} {
		loc, err := LoadZone(c.name)
		if assert.Error(t, err, "%q", c.name) {
			assert.Contains(t, err.Error(), c.message)
		}
		assert.Nil(t, loc)
	}
}

// A location that LoadZone did not make works too, without being remembered:
// two of one name need not be the same zone.
func TestForeignLocations(t *testing.T) {
	_ = zoneNamed(t, "Europe/Berlin")
	fake := time.FixedZone("Europe/Berlin", -3*3600)
	got, ok := parse(t, "0 12 * * *", fake).Next(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC))
	require.True(t, ok)
	assert.Equal(t, "2026-07-01T15:00:00Z", got.Format(time.RFC3339))

	data, err := readEmbedded("America/New_York")
	require.NoError(t, err)
	loaded, err := time.LoadLocationFromTZData("America/New_York", data)
	require.NoError(t, err)
	got, ok = parse(t, "30 2 * * *", loaded).Next(time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC))
	require.True(t, ok)
	assert.Equal(t, "2026-03-08T07:00:00Z", got.Format(time.RFC3339))
}

func TestMistakesAreCounted(t *testing.T) {
	words := []string{"alpha", "alpine", "beta"}
	assert.Equal(t, "alpha", nearest("alhpa", words, 1), "swapped letters are one mistake")
	assert.Equal(t, "beta", nearest("bta", words, 1))
	assert.Equal(t, "", nearest("gamma", words, 1))
	assert.Equal(t, "a", nearest("c", []string{"b", "a"}, 1), "the first in the alphabet of equals")
	assert.Equal(t, "", nearest("x", nil, 3))
	assert.Equal(t, 3, mistakes("", "abc"))
	assert.Equal(t, 3, mistakes("kitten", "sitting"))
}
