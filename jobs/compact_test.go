package jobs

import (
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Moving a schedule changes nothing of it, and every job of it is moved.
func TestCompactChangesNothing(t *testing.T) {
	data, err := os.ReadFile("../schedule.yaml")
	require.NoError(t, err)
	s, err := Parse("schedule.yaml", data)
	require.NoError(t, err)
	before := make([]*Job, len(s.Jobs))
	copy(before, s.Jobs)
	for _, j := range s.Jobs {
		j.Followers = nil // they are found after the move
	}
	compact(s)
	for i, j := range s.Jobs {
		require.Equal(t, *before[i], *j, j.Name)
		require.NotSame(t, before[i], j)
		require.Equal(t, j.Digest, definitionDigest(j))
		for k := range j.Specs {
			require.NotSame(t, before[i].Specs[k], j.Specs[k])
		}
	}
}

// Jobs with the same expression and the same options around it share one Spec.
func TestJobsShareTheirSpecs(t *testing.T) {
	s, err := Parse("s.yaml", []byte(`
calendars: {a: {weekdays: [sat]}, b: {weekdays: [sun]}}
jobs:
  one:   {run: echo, schedule: ["0 2 * * *", "@every 5m"], timezone: Europe/Berlin, exclude: [a, b]}
  two:   {run: echo, schedule: ["@every 5m", "0 2 * * *"], timezone: Europe/Berlin, exclude: [a, b]}
  zone:  {run: echo, schedule: "0 2 * * *", exclude: [a, b]}
  days:  {run: echo, schedule: "0 2 * * *", timezone: Europe/Berlin, exclude: b}
  only:  {run: echo, schedule: "0 2 * * *", timezone: Europe/Berlin, only: [a, b]}
  shift: {run: echo, schedule: "0 2 * * *", timezone: Europe/Berlin, exclude: [a, b], shift: next-business-day}
  start: {run: echo, schedule: "0 2 * * *", timezone: Europe/Berlin, exclude: [a, b], start: 2026-01-01}
  end:   {run: echo, schedule: "0 2 * * *", timezone: Europe/Berlin, exclude: [a, b], end: 2026-01-01}
  every: {run: echo, schedule: "0 2 * * *", timezone: Europe/Berlin, exclude: [a, b], start: 2026-01-01, every_n: 2}
  dst:   {run: echo, schedule: "0 2 * * *", timezone: Europe/Berlin, exclude: [a, b], dst: {gap: skip}}
  hash:  {run: echo, schedule: "H 2 * * *"}
  hash2: {run: echo, schedule: "H 2 * * *"}
  off:   {run: echo, schedule: "@every 5m", timezone: Europe/Berlin, exclude: [a, b], offset: 1m}
`))
	require.NoError(t, err)
	require.Same(t, s.Job("one").Specs[0], s.Job("two").Specs[1])
	require.Same(t, s.Job("one").Specs[1], s.Job("two").Specs[0])
	specs := map[*Spec]bool{}
	for _, j := range s.Jobs {
		for _, spec := range j.Specs {
			specs[spec] = true
		}
	}
	require.Len(t, specs, 13)
}

// compact walks jobs by reflection: what it cannot set must not be in them.
func TestCompactCanSetEverything(t *testing.T) {
	seen := map[reflect.Type]bool{reflect.TypeFor[Spec](): true, reflect.TypeFor[Calendar](): true, reflect.TypeFor[time.Time](): true,
		reflect.TypeFor[time.Location](): true} // taken whole
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				require.True(t, typ.Field(i).IsExported(), "%s.%s", typ, typ.Field(i).Name)
				walk(typ.Field(i).Type)
			}
		}
	}
	walk(reflect.TypeFor[Job]())
}
