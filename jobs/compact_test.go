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
