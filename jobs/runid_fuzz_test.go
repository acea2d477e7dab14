package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A run id names one job and, of a tick, one instant: it is what makes a tick run
// once.
func FuzzRunID(f *testing.F) {
	f.Add("backup", "web-1", int64(1763776800), int64(1763776801))
	f.Add("a.b-c_d", "manual-0197", int64(-62167219200), int64(253402300799))
	f.Add("x@2026", "@", int64(0), int64(-1))
	f.Fuzz(func(t *testing.T, name, rest string, at, other int64) {
		for _, id := range []string{name, rest, name + "@" + rest} {
			if job, ok := JobOf(id); ok {
				require.True(t, strings.HasPrefix(id, job+"@"), id)
				require.NotContains(t, job, "@")
			}
		}
		if badName("job", name) != "" {
			return
		}
		const years = 253402300800 // as many seconds as there are until 10000
		tick, next := time.Unix(at%years, 999_999_999), time.Unix(other%years, 0)
		id := TickRunID(name, tick)
		ids := map[string]bool{id: true}
		if tick.Unix() == next.Unix() {
			require.Equal(t, id, TickRunID(name, next.In(time.FixedZone("", 3600))), "the zone and the fraction are not in it")
		} else {
			ids[TickRunID(name, next)] = true
			require.Len(t, ids, 2, "two ticks, one id")
		}
		if year := tick.UTC().Year(); year >= 0 {
			back, err := time.Parse(TickLayout, strings.TrimPrefix(id, name+"@"))
			require.NoError(t, err)
			require.Equal(t, tick.Unix(), back.Unix())
		}
		known := len(ids)
		ids[ManualRunID(name, rest)], ids[AfterRunID(name, id)], ids[NodeRunID(id, rest)] = true, true, true
		require.Len(t, ids, known+3, "each kind of run has ids of its own")
		for id := range ids {
			job, ok := JobOf(id)
			require.True(t, ok, id)
			require.Equal(t, name, job)
		}
	})
}
