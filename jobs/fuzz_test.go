package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func FuzzParseSpec(f *testing.F) {
	for _, seed := range []string{
		"* * * * *", "*/5 9-17 * * MON-FRI", "0 30 2 1,15 JAN-mar ?", "0 0 29 2 *", "0 0 30 2 *", "0 0 */28 2 1", "59/15 * * * *", "*/99 * * * *",
		"@daily", "@every 90s", "@every -1s", "@every 1.5s", "@every 2562047h", "@reboot", "@", "",
		"TZ=", "TZ=UTC", "CRON_TZ=Asia/Tokyo * * * * *", "*-5 * * * *", ",", ", * * * *", "1,,2 * * * *", "+5 * * * *", "00005 * * * *", "0 0 * * 5-7", "0 0 * * 0-7/2",
		"0 0 L * *", "0 0 L-3,LW,L-3W,15W,1 * *", "0 0 * * 5L,FRIL,5#2,FRI#5", "0 0 L-30 2 *", "0 0 31W 2 *", "0 0 * * L", "0 0 W * *", "0 0 32W * *", "0 0 * * FRI#6", "0 0 L-3-3 * #",
		"H H * * *", "H(0-29)/10 h(9-17) H H H(MON-FRI)", "H(30-10) * * * *", "H/0 * * * *", "H( * * * *", "H() * * * *", "H(0-29 * * * *", "0~59 * * * *", "H/99 H/99 H/99 H/99 H/99 H/99",
		"@every 1h offset 5m", "@every 1h offset", "@every offset 1h", "@every 1h offset 1h", "@every 1s offset 999ms", "@every 2562047h offset 2562046h",
		"0 22-2 * * *", "* * * * 1-2-3", "* * * * */0", "* * * * */9223372036854775807", "0 0 L * *", "\x00", "٣ * * * *", "* * * * *\xff", "0 2 * * *",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { requireSane(t, text) })
}

// FuzzNewSpec reads texts with everything else that decides when they fire, and
// looks at the ticks from all sides.
func FuzzNewSpec(f *testing.F) {
	f.Add("0 9 LW * FRI#2", "a-job", int64(1_800_000_000), uint16(0), int32(0), int32(0), byte(0))
	f.Add("H * * * *", "", int64(1_700_000_000), uint16(0xffff), int32(1), int32(1_000_000), byte(0x41))
	f.Add("@every 7h offset 1h", "x", int64(-1), uint16(0x1234), int32(-50_000_000), int32(0), byte(0x7f))
	f.Add("*/20 2 */7 3 SUN#2", "x", int64(1_741_500_000), uint16(0xbeef), int32(0), int32(0), byte(0x13))
	calendars := append([]*Calendar{{Name: "empty"}, {Name: "ages", days: newDaySet(0, yearMask{}, []daySpan{{-2_000, 500_000}})}}, benchCalendars...)
	zones := strings.Fields(zoneNameList)
	f.Fuzz(func(t *testing.T, text, name string, at int64, choice uint16, start, length int32, lists byte) {
		loc, err := LoadZone(zones[int(choice)%len(zones)])
		require.NoError(t, err)
		o := SpecOptions{Location: loc, Name: name, DST: everyDST[int(choice)/16%len(everyDST)], Offset: time.Duration(lists%3) * time.Minute}
		if start != 0 {
			o.Start = time.Unix(at, 0).Add(time.Duration(start) * time.Second)
		}
		if length != 0 {
			o.End = time.Unix(at, 0).Add(time.Duration(start) * time.Second).Add(time.Duration(length) * time.Second)
		}
		if n := int(choice >> 12); n != 0 {
			o.EveryN = EveryN{n, []EveryUnit{EveryWeeks, EveryDays}[n%2]}
		}
		for i, c := range calendars {
			if lists>>i&1 != 0 {
				o.Exclude = append(o.Exclude, c)
			} else if lists>>(i+4)&1 != 0 {
				o.Only = append(o.Only, c)
			}
		}
		o.Shift = []Shift{ShiftNone, ShiftNext, ShiftPrevious}[int(choice)/128%3]
		begin := time.Now()
		s, err := NewSpec(text, o)
		if err != nil {
			require.NotContains(t, err.Error(), "not understood", "%q got past the checks", text)
			return
		}
		job := &Job{Name: name, Specs: []*Spec{s}, Jitter: time.Duration(choice) * time.Second}
		_ = checkJitter(job)
		from := time.Unix(at, 0)
		for range 4 {
			next, ok := s.Next(from)
			if !ok {
				break
			}
			require.True(t, next.After(from), "%q: %s after %s", text, next, from)
			require.True(t, o.Start.IsZero() || !next.Before(o.Start), "%q: %s is before the start", text, next)
			require.True(t, o.End.IsZero() || !next.After(o.End), "%q: %s is after the end", text, next)
			same, ok := s.Next(next.Add(-1))
			require.True(t, ok && same.Equal(next), "%q: %s, but just before it %s", text, next, same)
			require.LessOrEqual(t, len(s.Notes(from, next)), maxNotes+1)
			from = next
		}
		require.Less(t, time.Since(begin), slack*5*time.Second, "%q %+v", text, o)
	})
}
