package jobs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// zoneNameList is every name of the embedded database, one a line.
var zoneNameList = strings.Join(ZoneNames(), "\n") + "\n"

// The constant, the file and its index agree.
func TestEmbeddedDatabase(t *testing.T) {
	first, _, _ := strings.Cut(embedded, "\n")
	assert.True(t, strings.HasPrefix(first, "tz database "+ZoneinfoVersion+", by zic"), "ZoneinfoVersion is %s, and the file begins with %q", ZoneinfoVersion, first)
	assert.Equal(t, ZoneinfoVersion, EmbeddedZones().Version())
	assert.Regexp(t, release, ZoneinfoVersion)

	names := ZoneNames()
	assert.Greater(t, len(names), 590)
	assert.True(t, slices.IsSorted(names))
	assert.Len(t, slices.Compact(slices.Clone(names)), len(names))
	for _, name := range []string{"UTC", "Etc/UTC", "Europe/Berlin", "US/Eastern", "EST5EDT", "Asia/Calcutta", "America/Argentina/ComodRivadavia"} {
		assert.Contains(t, names, name)
	}
	for _, name := range names {
		require.NoError(t, checkZoneName(name))
		zoneNamed(t, name)
		b, err := readEmbedded(name)
		require.NoError(t, err)
		require.Equal(t, "TZif", string(b[:4]), name)
		require.Equal(t, byte('\n'), b[len(b)-1], name)
	}
	// The zones lie back to back, and nothing else does.
	index, data := embeddedIndex()
	var end int
	for line := range strings.Lines(index) {
		var offset, length int
		if n, _ := fmt.Sscanf(line, "%s %d %d", new(string), &offset, &length); n == 3 && offset >= end {
			require.Equal(t, end, offset, line)
			end += length
		}
	}
	assert.Len(t, data, end)
	assert.Less(t, len(embedded), 300<<10)
}

// transitions are those of a zone in a range of years: when, and the offset from then on.
func transitions(t *testing.T, zone string, from, to int) []string {
	z := zoneOf(zoneNamed(t, zone))
	var list []string
	for _, sp := range z.spans[1:] {
		if at := time.Unix(sp.start, 0).UTC(); at.Year() >= from && at.Year() <= to {
			list = append(list, change(at, int(sp.off)))
		}
	}
	return list
}

func change(at time.Time, offset int) string {
	return at.UTC().Format("2006-01-02T15:04:05Z ") + time.Unix(0, 0).In(time.FixedZone("", offset)).Format("-07:00")
}

// sunday is the n-th Sunday of a month, or with 0 the last one, at midnight.
func sunday(year int, month time.Month, n int) time.Time {
	if n == 0 {
		return sunday(year, month+1, 1).AddDate(0, 0, -7)
	}
	first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	return first.AddDate(0, 0, (7-int(first.Weekday()))%7+7*(n-1))
}

// What the laws of countries with a yearly rule say, for all the years that they
// have said it and those to come.
func TestZonesThatChangeEveryYear(t *testing.T) {
	type rule struct {
		month  time.Month
		sunday int           // 0 is the last
		at     time.Duration // of that day, UTC
		offset time.Duration // from then on
	}
	const h = time.Hour
	// 2000/78/EC: 01:00 UTC everywhere.
	eu := func(standard time.Duration) []rule {
		return []rule{{time.March, 0, h, standard + h}, {time.October, 0, h, standard}}
	}
	// The Energy Policy Act of 2005: 02:00 of the local clock.
	us := func(standard time.Duration) []rule {
		return []rule{{time.March, 2, 2*h - standard, standard + h}, {time.November, 1, h - standard, standard}}
	}
	for _, c := range []struct {
		zone     string
		from, to int
		rules    []rule // in the order of the year
	}{
		{"Europe/London", 1997, 2037, eu(0)},
		{"Europe/Lisbon", 1997, 2037, eu(0)},
		{"Europe/Dublin", 1997, 2037, eu(0)}, // winter time is what Irish law calls the exception
		{"Europe/Berlin", 1996, 2037, eu(h)},
		{"Europe/Paris", 1996, 2037, eu(h)},
		{"Europe/Warsaw", 1996, 2037, eu(h)},
		{"Europe/Athens", 1996, 2037, eu(2 * h)},
		{"Europe/Helsinki", 1996, 2037, eu(2 * h)},
		{"Atlantic/Azores", 1997, 2037, eu(-h)},
		{"Europe/Chisinau", 2022, 2037, eu(2 * h)}, // with the EU since 2022, known since 2026b
		{"America/New_York", 2007, 2037, us(-5 * h)},
		{"America/Toronto", 2007, 2037, us(-5 * h)},
		{"America/Chicago", 2007, 2037, us(-6 * h)},
		{"America/Denver", 2007, 2037, us(-7 * h)},
		{"America/Los_Angeles", 2007, 2037, us(-8 * h)},
		{"America/New_York", 1987, 2006, []rule{{time.April, 1, 7 * h, -4 * h}, {time.October, 0, 6 * h, -5 * h}}},
		{"America/New_York", 1976, 1986, []rule{{time.April, 0, 7 * h, -4 * h}, {time.October, 0, 6 * h, -5 * h}}},
		// The day before, for Greenwich.
		{"Australia/Sydney", 2008, 2037, []rule{{time.April, 1, -8 * h, 10 * h}, {time.October, 1, -8 * h, 11 * h}}},
		{"Australia/Adelaide", 2008, 2037, []rule{{time.April, 1, -7*h - 30*time.Minute, 9*h + 30*time.Minute}, {time.October, 1, -7*h - 30*time.Minute, 10*h + 30*time.Minute}}},
		{"Australia/Lord_Howe", 2008, 2037, []rule{{time.April, 1, -9 * h, 10*h + 30*time.Minute}, {time.October, 1, -8*h - 30*time.Minute, 11 * h}}},
		{"Pacific/Auckland", 2008, 2037, []rule{{time.April, 1, -10 * h, 12 * h}, {time.September, 0, -10 * h, 13 * h}}},
		{"Pacific/Chatham", 2008, 2037, []rule{{time.April, 1, -10 * h, 12*h + 45*time.Minute}, {time.September, 0, -10 * h, 13*h + 45*time.Minute}}},
	} {
		var want []string
		for year := c.from; year <= c.to; year++ {
			for _, r := range c.rules {
				want = append(want, change(sunday(year, r.month, r.sunday).Add(r.at), int(r.offset/time.Second)))
			}
		}
		assert.Equal(t, want, transitions(t, c.zone, c.from, c.to), c.zone)
	}
}

// Decisions of governments. A release that changes one of the past is wrong; one
// that changes one of the future is what releases are for.
func TestZonesThatChangeNowAndThen(t *testing.T) {
	for _, c := range []struct {
		zone     string
		from, to int
		want     []string
	}{
		{"Asia/Tokyo", 1970, 2037, nil},
		{"Asia/Kolkata", 1970, 2037, nil},
		{"America/Phoenix", 1970, 2037, nil},
		{"Pacific/Honolulu", 1970, 2037, nil},
		{"Asia/Kathmandu", 1970, 2037, []string{"1985-12-31T18:30:00Z +05:45"}},
		{"Asia/Singapore", 1970, 2037, []string{"1981-12-31T16:00:00Z +08:00"}},
		{"Asia/Pyongyang", 1970, 2037, []string{"2015-08-14T15:00:00Z +08:30", "2018-05-04T15:00:00Z +09:00"}},
		{"Pacific/Kiritimati", 1990, 2037, []string{"1994-12-31T10:00:00Z +14:00"}},
		{"Pacific/Kwajalein", 1990, 2037, []string{"1993-08-21T12:00:00Z +12:00"}}, // went without the 21st
		{"Pacific/Apia", 2011, 2012, []string{
			"2011-04-02T14:00:00Z -11:00", "2011-09-24T14:00:00Z -10:00", "2011-12-30T10:00:00Z +14:00", // and without the 30th
			"2012-03-31T14:00:00Z +13:00", "2012-09-29T14:00:00Z +14:00"}},
		{"Europe/Moscow", 2011, 2037, []string{"2011-03-26T23:00:00Z +04:00", "2014-10-25T22:00:00Z +03:00"}},
		{"America/Caracas", 2000, 2037, []string{"2007-12-09T07:00:00Z -04:30", "2016-05-01T07:00:00Z -04:00"}},
		{"Europe/Istanbul", 2016, 2037, []string{"2016-03-27T01:00:00Z +03:00"}},
		{"America/Sao_Paulo", 2018, 2037, []string{"2018-02-18T02:00:00Z -03:00", "2018-11-04T03:00:00Z -02:00", "2019-02-17T02:00:00Z -03:00"}},
		{"Asia/Tehran", 2022, 2037, []string{"2022-03-21T20:30:00Z +04:30", "2022-09-21T19:30:00Z +03:30"}},
		{"America/Mexico_City", 2022, 2037, []string{"2022-04-03T08:00:00Z -05:00", "2022-10-30T07:00:00Z -06:00"}},
		{"Asia/Amman", 2022, 2037, []string{"2022-02-24T22:00:00Z +03:00"}},
		{"Asia/Almaty", 2005, 2037, []string{"2024-02-29T18:00:00Z +05:00"}},
		{"America/Asuncion", 2024, 2037, []string{"2024-03-24T03:00:00Z -04:00", "2024-10-06T04:00:00Z -03:00"}},
		// For a month the mountain time was another name for the central time.
		{"America/Ojinaga", 2022, 2022, []string{"2022-03-13T09:00:00Z -06:00"}},
		// 2025b: Aysén stays at -03.
		{"America/Coyhaique", 2024, 2037, []string{"2024-04-07T03:00:00Z -04:00", "2024-09-08T04:00:00Z -03:00"}},
		// 2026b, 2026c, 2026e: British Columbia, Alberta with the Northwest
		// Territories, and Manitoba stay at daylight saving time.
		{"America/Vancouver", 2026, 2037, []string{"2026-03-08T10:00:00Z -07:00"}},
		{"America/Edmonton", 2026, 2037, []string{"2026-03-08T09:00:00Z -06:00"}},
		{"America/Yellowknife", 2026, 2037, []string{"2026-03-08T09:00:00Z -06:00"}},
		{"America/Winnipeg", 2026, 2037, []string{"2026-03-08T08:00:00Z -05:00"}},
		// 2026c: Morocco is back at UTC, the year round, Ramadan or not.
		{"Africa/Casablanca", 2026, 2037, []string{"2026-02-15T02:00:00Z +00:00", "2026-03-22T02:00:00Z +01:00", "2026-09-20T01:00:00Z +00:00"}},
		// 2026f: Cuba skips the winter of 2026.
		{"America/Havana", 2026, 2027, []string{"2026-03-08T05:00:00Z -04:00", "2027-11-07T05:00:00Z -05:00"}},
	} {
		assert.Equal(t, c.want, transitions(t, c.zone, c.from, c.to), c.zone)
	}
}

// lyingFolder is a database in which Berlin has Tokyo's time, and which has no
// Coyhaique, as of before 2025b.
func lyingFolder(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	tokyo, err := readEmbedded("Asia/Tokyo")
	require.NoError(t, err)
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "Europe"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Europe", "Berlin"), tokyo, 0o644))
	return dir
}

// The host is asked only by those who say so.
func TestHostZones(t *testing.T) {
	dir := lyingFolder(t, map[string]string{"tzdata.zi": "# version 2024b\n# redo posix_only\n", "leapseconds": "# no zone"})
	t.Setenv("ZONEINFO", dir)
	host, err := HostZones()
	require.NoError(t, err)
	assert.Equal(t, "host 2024b", host.Version())

	const file = "timezone: Europe/Berlin\njobs: {a: {schedule: '0 12 * * *', run: echo}, b: {run: echo}}"
	for _, c := range []struct {
		zones    *Zones
		zoneinfo string
		noon     string
	}{
		{host, "host 2024b", "2026-07-01T03:00:00Z"},
		{EmbeddedZones(), ZoneinfoVersion, "2026-07-01T10:00:00Z"},
	} {
		s, err := Parse("s.yaml", []byte(file), WithZones(c.zones))
		require.NoError(t, err)
		assert.Equal(t, c.zoneinfo, s.Zoneinfo)
		noon, _ := s.Job("a").Next(time.Date(2026, 6, 30, 20, 0, 0, 0, time.UTC))
		assert.Equal(t, c.noon, noon.Format(time.RFC3339))
		loc, err := c.zones.Load("Europe/Berlin")
		require.NoError(t, err)
		assert.Same(t, loc, s.Job("a").Zone(), "loaded once")
		assert.Same(t, loc, s.Job("b").Zone(), "also of a job without a schedule")
	}
	s, err := Parse("s.yaml", []byte(file))
	require.NoError(t, err)
	assert.Equal(t, ZoneinfoVersion, s.Zoneinfo, "the default")

	utc, err := host.Load("UTC")
	require.NoError(t, err)
	assert.Same(t, time.UTC, utc)
	for name, message := range map[string]string{
		"America/Coyhaique": `time zone "America/Coyhaique": not in the database of this host (` + dir + `, of version 2024b), but in the embedded one (` + ZoneinfoVersion + `)`,
		"Europe":            `time zone "Europe": unknown`,
		"Europe/Berln":      `did you mean "Europe/Berlin"?`,
		"leapseconds":       `time zone "leapseconds": what the database has under this name is no zone`,
		"Local":             `every host would read`,
		"../Berlin":         `unknown`,
	} {
		loc, err := host.Load(name)
		if assert.Error(t, err, name) {
			assert.Contains(t, err.Error(), message)
		}
		assert.Nil(t, loc)
	}
}

func TestVersionOfTheHost(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"Debian":   {map[string]string{"tzdata.zi": "# version 2025b\nR d 1916"}, "host 2025b"},
		"macOS":    {map[string]string{"+VERSION": "2024a\n"}, "host 2024a"},
		"changed":  {map[string]string{"tzdata.zi": "# version 2025b-dirty\n"}, "host 2025b-dirty"},
		"silent":   {nil, "host"},
		"nonsense": {map[string]string{"tzdata.zi": "# version \x1b[2J\n", "+VERSION": strings.Repeat("9", 4000)}, "host"},
	} {
		t.Setenv("ZONEINFO", lyingFolder(t, c.files))
		z, err := OpenZones("host")
		require.NoError(t, err)
		assert.Equal(t, c.want, z.Version(), name)
	}
}

func TestOpenZones(t *testing.T) {
	t.Setenv("ZONEINFO", filepath.Join(t.TempDir(), "none"))
	for _, source := range []string{"", "embedded"} {
		z, err := OpenZones(source)
		require.NoError(t, err)
		assert.Same(t, EmbeddedZones(), z)
	}
	_, err := OpenZones("hots")
	assert.EqualError(t, err, `zoneinfo "hots": expected embedded or host; did you mean "host"?`)
	_, err = OpenZones("host")
	assert.ErrorContains(t, err, "$ZONEINFO names "+os.Getenv("ZONEINFO")+", which is no folder")

	a, b := filepath.Join(t.TempDir(), "a"), t.TempDir()
	z, err := hostZones("", []string{a, b})
	require.NoError(t, err)
	assert.Equal(t, "host", z.Version())
	_, err = hostZones("", []string{a, a + "b"})
	assert.EqualError(t, err, fmt.Sprintf("this host has no zone database: there is none of %s, %sb; install its package tzdata, or use the zones that are embedded", a, a))
}

// The script makes a database that is read as the embedded one is, and twice the
// same.
func TestZoneinfoScript(t *testing.T) {
	const source = "/usr/share/zoneinfo/tzdata.zi"
	version := folderVersion(filepath.Dir(source))
	if _, err := exec.LookPath("zic"); err != nil || version == "" {
		t.Skip("needs zic, and " + source)
	}
	build := func(version string) (string, string, error) {
		file := filepath.Join(t.TempDir(), "zoneinfo.dat")
		cmd := exec.Command("sh", "../scripts/zoneinfo.sh", version, source)
		cmd.Env = append(os.Environ(), "OUT="+file)
		said, err := cmd.CombinedOutput()
		data, _ := os.ReadFile(file)
		return string(data), string(said), err
	}
	made, said, err := build(version)
	require.NoError(t, err, said)
	assert.Contains(t, said, "version "+version)
	index, data, _ := strings.Cut(made, "\n\n")
	assert.True(t, strings.HasPrefix(index, "tz database "+version+", by "))
	assert.NotContains(t, index, "\nFactory ")
	berlin, err := readZone(index, data, "Europe/Berlin")
	require.NoError(t, err)
	_, err = time.LoadLocationFromTZData("Europe/Berlin", berlin)
	require.NoError(t, err)

	again, said, err := build(version)
	require.NoError(t, err, said)
	assert.True(t, made == again, "the same bytes")

	_, said, err = build("1999a")
	require.Error(t, err)
	assert.Contains(t, said, source+" is version "+version+", not 1999a")
}
