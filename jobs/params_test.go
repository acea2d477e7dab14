package jobs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func paramJob(t *testing.T) *Job {
	t.Helper()
	_, j := oneJob(t, `
jobs:
  backup:
    run: echo
    params:
      day: {pattern: '^\d{4}-\d\d-\d\d$', default: ""}
      table: {pattern: "[a-z]+|all"}
      level: {default: "3"}
`)
	return j
}

func TestBindParamsFillsInDefaults(t *testing.T) {
	bound, err := paramJob(t).BindParams(map[string]string{"table": "orders"})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"day": "", "table": "orders", "level": "3"}, bound)

	bound, err = paramJob(t).BindParams(map[string]string{"table": "all", "day": "2026-01-31", "level": ""})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"day": "2026-01-31", "table": "all", "level": ""}, bound)

	bound, err = paramJob(t).BindParams(map[string]string{"table": "all", "day": ""})
	require.NoError(t, err, "the empty default may also be given")
	assert.Empty(t, bound["day"])
}

func TestBindParamsRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		given map[string]string
		want  string
	}{
		{"missing", nil, `job "backup": param "table" is required: give it as table=VALUE`},
		{"undeclared", map[string]string{"table": "a", "dya": "1"},
			`job "backup": param "dya" is not declared; declared: day, table, level; did you mean "day"?`},
		{"several", map[string]string{"x": "1", "day": "today"},
			`job "backup": param "x" is not declared; declared: day, table, level; param "day": "today" does not match the pattern ^\d{4}-\d\d-\d\d$; param "table" is required: give it as table=VALUE`},
		{"part of a value", map[string]string{"table": "orders; rm -rf /"},
			`job "backup": param "table": "orders; rm -rf /" does not match the pattern [a-z]+|all`},
		{"a last line break", map[string]string{"table": "orders\n"},
			`job "backup": param "table": "orders\n" does not match the pattern [a-z]+|all`},
		{"empty", map[string]string{"table": ""},
			`job "backup": param "table": "" does not match the pattern [a-z]+|all`},
		{"NUL", map[string]string{"table": "a", "level": "a\x00"},
			`job "backup": param "level": the value is not text (UTF-8 without NUL)`},
		{"long", map[string]string{"table": "a", "level": strings.Repeat("x", 5000)},
			`job "backup": param "level": the value has 5000 bytes; at most 4096 are allowed`},
	} {
		t.Run(c.name, func(t *testing.T) {
			bound, err := paramJob(t).BindParams(c.given)
			assert.Nil(t, bound)
			var bad *ParamError
			require.ErrorAs(t, err, &bad)
			assert.EqualError(t, err, c.want)
		})
	}
}

func TestBindParamsOfAJobWithoutAny(t *testing.T) {
	_, j := oneJob(t, "jobs: {a: {run: echo}}")
	bound, err := j.BindParams(nil)
	require.NoError(t, err)
	assert.Nil(t, bound)
	_, err = j.BindParams(map[string]string{"x": "1"})
	require.EqualError(t, err, `job "a": param "x" is not declared; the job declares no params`)
}

func TestBindParamsByTypeAndEnum(t *testing.T) {
	_, j := oneJob(t, `
jobs:
  a:
    run: echo
    params:
      count: {type: integer, default: "1"}
      rate: {type: number, default: ""}
      dry: {type: boolean, default: "false"}
      level: {enum: [low, high, "0"], default: low}
      even: {type: integer, pattern: "-?[0-9]*[02468]", enum: [2, 4], default: "2"}
`)
	for param, values := range map[string][]string{
		"count": {"0", "-1", "42", "9223372036854775807"},
		"rate":  {"", "0", "-0.5", "1e6", "1.25E-3", "42"},
		"dry":   {"true", "false"},
		"level": {"low", "high", "0"},
		"even":  {"2", "4"},
	} {
		for _, value := range values {
			bound, err := j.BindParams(map[string]string{param: value})
			require.NoError(t, err)
			assert.Equal(t, value, bound[param])
		}
	}
	for given, want := range map[[2]string]string{
		{"count", ""}:                     `"" is not an integer; expected digits such as 42, without a leading zero`,
		{"count", "1.0"}:                  `"1.0" is not an integer; expected digits such as 42, without a leading zero`,
		{"count", "010"}:                  `"010" is not an integer; expected digits such as 42, without a leading zero`,
		{"count", "+1"}:                   `"+1" is not an integer; expected digits such as 42, without a leading zero`,
		{"count", " 1"}:                   `" 1" is not an integer; expected digits such as 42, without a leading zero`,
		{"count", "1\n"}:                  `"1\n" is not an integer; expected digits such as 42, without a leading zero`,
		{"count", "9223372036854775808"}:  `"9223372036854775808" is out of range; expected an integer of 64 bits`,
		{"count", "-9223372036854775809"}: `"-9223372036854775809" is out of range; expected an integer of 64 bits`,
		{"rate", "NaN"}:                   `"NaN" is not a number; expected one such as 42, -0.5 or 1e6, without a leading zero`,
		{"rate", "Inf"}:                   `"Inf" is not a number; expected one such as 42, -0.5 or 1e6, without a leading zero`,
		{"rate", "0x1p3"}:                 `"0x1p3" is not a number; expected one such as 42, -0.5 or 1e6, without a leading zero`,
		{"rate", ".5"}:                    `".5" is not a number; expected one such as 42, -0.5 or 1e6, without a leading zero`,
		{"rate", "1e999"}:                 `"1e999" is out of range; expected a number of 64 bits`,
		{"dry", "yes"}:                    `"yes" is not a boolean; did you mean true?`,
		{"dry", "TRUE"}:                   `"TRUE" is not a boolean; did you mean true?`,
		{"dry", "maybe"}:                  `"maybe" is not a boolean; expected true or false`,
		{"level", "hihg"}:                 `"hihg" is none of low, high, 0; did you mean "high"?`,
		{"level", ""}:                     `"" is none of low, high, 0`,
		{"even", "6"}:                     `"6" is none of 2, 4`,
	} {
		bound, err := j.BindParams(map[string]string{given[0]: given[1]})
		assert.Nil(t, bound)
		assert.EqualError(t, err, `job "a": param "`+given[0]+`": `+want)
	}
}

func TestALongEnumIsCutInItsMessage(t *testing.T) {
	p := Param{Name: "n", Enum: strings.Split(strings.Repeat("x,", 99)+"x", ",")}
	assert.Equal(t, "is none of x, x, x, x, x, x, x, x, x, x, x, x, ... (100 values)", p.mismatch("y"))
}
