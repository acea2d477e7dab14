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
