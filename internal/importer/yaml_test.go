package importer

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"carillon/jobs"
)

func TestTextsLookAsPeopleWriteThem(t *testing.T) {
	for s, want := range map[string]string{
		"./backup.sh --full":    "./backup.sh --full",
		"a: b":                  `"a: b"`,
		"a:b":                   "a:b",
		"a:":                    `"a:"`,
		"a #b":                  `"a #b"`,
		"a#b":                   "a#b",
		"yes":                   `"yes"`,
		"NULL":                  `"NULL"`,
		"0755":                  `"0755"`,
		"1.5e3":                 `"1.5e3"`,
		"1:30":                  `"1:30"`,
		"2026-01-02":            `"2026-01-02"`,
		"0x1F":                  `"0x1F"`,
		"-":                     `"-"`,
		"- a":                   `"- a"`,
		"-c":                    "-c",
		"--full":                "--full",
		"---":                   `"---"`,
		"":                      `""`,
		" a":                    `" a"`,
		"a ":                    `"a "`,
		"a  b":                  `"a  b"`,
		`say "hello"`:           `say "hello"`,
		`"hello"`:               `'"hello"'`,
		`"it's"`:                `'"it''s"'`,
		"*":                     `"*"`,
		"[a]":                   `"[a]"`,
		"é":                     `"é"`,
		"a\tb":                  `"a\tb"`,
		"a\x1b\u2028\ufeffb":    `"a\u001B\u2028\uFEFFb"`,
		"[ -x /a ] && /a":       `"[ -x /a ] && /a"`,
		"test -f /a || touch a": "test -f /a || touch a",
	} {
		require.Equal(t, want, scalar(s), "%q", s)
	}
}

func TestEveryTextIsReadAsItWasWritten(t *testing.T) {
	alphabet := []rune("ab01 -:#'\"\\%\n\n\t,[]{}&*!|>?@`~=.é日😀\u0085\u2028\ufeff\x1b\x7f\r\u202e")
	words := []string{"yes", "~", "null", ".inf", "1e3", "0o7", "1_000", "2026-11-22", "<<", "=", "...", "--- a", "a: b", "- a", "? a", ": a", "#", "a #b", "''", "|", "> x\ny"}
	gen := rapid.OneOf(rapid.StringOfN(rapid.SampledFrom(alphabet), 0, 30, -1), rapid.SampledFrom(words))
	rapid.Check(t, func(t *rapid.T) {
		a, b, c, key := gen.Draw(t, "text"), gen.Draw(t, "script"), gen.Draw(t, "item"), gen.Draw(t, "key")
		comment := visible(gen.Draw(t, "comment"))
		var out strings.Builder
		writeComment(&out, "# "+comment, 0)
		writeYAML(&out, []pair{
			{"text", text(a), comment},
			{"script", script(b), ""},
			{"quoted", quoted(a), comment},
			{"flow", value{form: inline, pairs: []pair{{key: key, value: text(c)}}}, ""},
			{"list", texts([]string{c, a, b}), ""},
			{"deep", value{form: mapping, pairs: []pair{{"script", script(a), ""}, {"list", texts([]string{b, strings.Repeat("x", longLine)}), ""}}}, ""},
			{"end", bare("1"), ""},
		}, 0)
		var got struct {
			Text, Script, Quoted string
			Flow                 map[string]string
			List                 []string
			Deep                 struct {
				Script string
				List   []string
			}
			End int
		}
		require.NoError(t, yaml.Unmarshal([]byte(out.String()), &got), "%s", out.String())
		require.Equal(t, []string{a, b, a, c, c, a, b, a, b}, []string{
			got.Text, got.Script, got.Quoted, got.Flow[key], got.List[0], got.List[1], got.List[2], got.Deep.Script, got.Deep.List[0],
		}, "%s", out.String())
		require.Equal(t, 1, got.End)
		require.True(t, utf8.ValidString(out.String()))
		// The file format has its own idea of what a text file is.
		_, err := jobs.Parse("x", []byte(out.String()))
		require.NotContains(t, err.Error(), "does not belong into a text file")
	})
}

func TestBigSourcesAreReadOrRefused(t *testing.T) {
	r, err := Crontab([]byte("A=1\n"+strings.Repeat("B=2\n0 1 * * * /bin/x\n", 3_000)), Options{File: "c", Timezone: "UTC", Dir: "/"})
	require.NoError(t, err)
	require.Equal(t, 3_000, r.Jobs)
	r, err = Crontab([]byte(strings.Repeat("0 0 31 2 * /bin/x\n", 3_000)), Options{File: "c", Timezone: "UTC", Dir: "/"})
	require.NoError(t, err)
	require.Equal(t, 0, r.Jobs)
	require.Equal(t, 3_000, r.Incomplete())
	_, err = Crontab([]byte(strings.Repeat("* * * * * "+strings.Repeat("x", 3_000)+"\n", 1_390)), Options{File: "c", Timezone: "UTC", Dir: "/"})
	require.ErrorContains(t, err, "split it")
}
