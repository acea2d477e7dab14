package jobs

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// What is bound can be stored, handed over in the environment and bound again,
// and fits what the file asks for.
func FuzzBindParams(f *testing.F) {
	s, err := Parse("s.yaml", []byte(`
jobs:
  all:
    run: echo
    params:
      text: {}
      day: {pattern: '\d{4}-\d\d-\d\d', default: ""}
      table: {pattern: "a|[b-z]+", required: true}
      count: {type: integer, default: 3}
      share: {type: number, default: 0.5}
      dry: {type: boolean, default: false}
      where: {enum: [here, there], default: here}
  none: {run: echo}
`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("table", "orders", "day", "2026-01-31")
	f.Add("table", "a", "count", "9223372036854775808")
	f.Add("table", "a", "share", "1e400")
	f.Add("table", "a", "dry", "Yes")
	f.Add("text", "a\x00b\xff", "tabel", strings.Repeat("x", 5000))
	f.Fuzz(func(t *testing.T, name, value, other, another string) {
		given := map[string]string{name: value, other: another}
		for _, j := range s.Jobs {
			bound, err := j.BindParams(given)
			if err != nil {
				var refused *ParamError
				require.True(t, errors.As(err, &refused), err)
				require.NotEmpty(t, refused.Problems)
				require.Less(t, len(err.Error()), 4000, "an error that nobody reads")
				continue
			}
			require.Len(t, bound, len(j.Params))
			for _, p := range j.Params {
				v, ok := bound[p.Name]
				require.True(t, ok, p.Name)
				require.True(t, utf8.ValidString(v) && !strings.ContainsRune(v, 0) && len(v) <= maxParamValue, "%q", v)
				if g, ok := given[p.Name]; ok {
					require.Equal(t, g, v)
				} else {
					require.Equal(t, p.Default, v)
				}
			}
			again, err := j.BindParams(bound)
			require.NoError(t, err)
			require.Equal(t, bound, again)
		}
	})
}
