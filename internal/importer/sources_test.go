package importer

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func TestDkronExportsBecomeTheExpectedSchedules(t *testing.T) {
	for _, file := range sources(t, "dkron", ".json") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			r, err := Dkron(readFile(t, file), Options{File: filepath.Base(file), Version: "1.2.3"})
			require.NoError(t, err)
			golden(t, file, r)
		})
	}
}

func TestManifestsBecomeTheExpectedSchedules(t *testing.T) {
	for _, file := range sources(t, "k8s", "shop.yaml", ".json") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			r, err := Kubernetes(readFile(t, file), Options{File: filepath.Base(file), Version: "1.2.3"})
			require.NoError(t, err)
			golden(t, file, r)
		})
	}
}

func TestWhatIsNoExportIsRefused(t *testing.T) {
	for data, want := range map[string]string{
		`[{"name": "a"`: "import x: line 1: not valid JSON: unexpected EOF; expected what GET /v1/jobs of Dkron answers",
		"[\n\n{]":       "import x: line 3: not valid JSON: ",
		"[1]":           "import x: line 1: expected a job of Dkron",
		"\"x\"":         "import x: line 1: expected a job of Dkron",
		"a: b":          "import x: line 1: not valid JSON",
		"\x00":          "import x: line 1 has a NUL character; expected a text file",
	} {
		_, err := Dkron([]byte(data), Options{File: "x"})
		assert.ErrorContains(t, err, want, "%q", data)
	}
	for data, want := range map[string]string{
		"a: b\n---\n- c":                    "import x: line 3: expected a manifest",
		"a: [":                              "import x: not valid YAML: line 1",
		"{{- if .x }}\nkind: a\n{{- end }}": "render it first, such as with helm template",
		"just words":                        "import x: line 1: expected a manifest",
	} {
		_, err := Kubernetes([]byte(data), Options{File: "x"})
		assert.ErrorContains(t, err, want, "%q", data)
	}
	for _, read := range []func([]byte, Options) (*Result, error){Dkron, Kubernetes} {
		r, err := read(nil, Options{File: "x"})
		require.NoError(t, err)
		assert.Zero(t, r.Jobs)
	}
}

func TestKubernetesExpandsVariables(t *testing.T) {
	env := map[string]string{"A": "1", "B": "$(A)", "EMPTY": ""}
	for s, want := range map[string]string{
		"$(A)":      "1",
		"x$(A)y$(A": "x1y$(A",
		"$$(A)":     "$(A)",
		"$$$(A)":    "$1",
		"$(B)":      "$(A)",
		"$(C)$A":    "$(C)$A",
		"$(EMPTY)":  "",
		"echo $$":   "echo $",
		"$":         "$",
		"$(":        "$(",
	} {
		got, _ := expand(s, env)
		assert.Equal(t, want, got, "%s", s)
	}
}

func TestDkronSplitsCommandsWithoutAShell(t *testing.T) {
	type split struct {
		argv []string
		cut  string
	}
	for line, want := range map[string]split{
		`a b  c`:            {[]string{"a", "b", "c"}, ""},
		`a 'b c' "d \"e\""`: {[]string{"a", "b c", `d "e"`}, ""},
		`a\ b ''`:           {[]string{"a b", ""}, ""},
		`a'b'"c"`:           {[]string{"abc"}, ""},
		`a > b`:             {[]string{"a"}, "> b"},
		`a 2>&1`:            {[]string{"a"}, ">&1"},
		`a x>y`:             {[]string{"a", "x"}, ">y"},
		`a | b`:             {[]string{"a"}, "| b"},
		`a ";" b`:           {[]string{"a", ";", "b"}, ""},
		`a '\' b`:           {[]string{"a", `\`, "b"}, ""},
		`a "$HOME"`:         {[]string{"a", "$HOME"}, ""},
	} {
		argv, cut, err := shellWords(line)
		require.NoError(t, err, line)
		assert.Equal(t, want, split{argv, cut}, "%s", line)
	}
	for _, line := range []string{`a "b`, `a 'b`, `a \`, "a `b`", `a $(b)`} {
		_, _, err := shellWords(line)
		assert.Error(t, err, line)
	}
}

// fuzzed holds what every reader promises of any bytes at all.
func fuzzed(t *testing.T, data []byte, read func([]byte, Options) (*Result, error)) {
	r, err := read(data, Options{File: "f", Timezone: "UTC"})
	if err != nil {
		if strings.Contains(err.Error(), "mistake of carillon") {
			t.Fatal(err)
		}
		return
	}
	if r.Jobs == 0 {
		return
	}
	s, err := jobs.Parse("f", r.YAML)
	if err != nil || len(s.Jobs) != r.Jobs {
		t.Fatalf("%v\n%s", err, r.YAML)
	}
}

func FuzzDkron(f *testing.F) {
	f.Add(readFile(f, filepath.Join("testdata", "dkron", "export.json")))
	f.Add(readFile(f, filepath.Join("testdata", "dkron", "single.json")))
	f.Add([]byte(`{"name":"\u0000","schedule":"@at 0001-01-01T00:00:00Z","executor":"http","executor_config":{"url":"http://\n","method":"get","headers":"[\":\"]","timeout":"-1"},"tags":{"":":1"}}`))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzed(t, data, Dkron) })
}

func FuzzKubernetes(f *testing.F) {
	f.Add(readFile(f, filepath.Join("testdata", "k8s", "shop.yaml")))
	f.Add(readFile(f, filepath.Join("testdata", "k8s", "kubectl.json")))
	f.Add([]byte("kind: List\nitems: &a\n- {kind: CronJob, metadata: {name: -}, spec: &s {<<: *s, schedule: '@every 1ns'}}\n- *a\n"))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzed(t, data, Kubernetes) })
}

func TestTwoJobsOfOneNameAreOne(t *testing.T) {
	r, err := Dkron([]byte(`[{"name":"a","schedule":"@daily","executor":"shell","executor_config":{"command":"x"}},
{"name":"a","schedule":"@hourly","executor":"shell","executor_config":{"command":"y"}}]`), Options{File: "x", Timezone: "UTC"})
	require.NoError(t, err)
	assert.Equal(t, "@daily", only(t, r).Specs[0].String())
	assert.Equal(t, `x:2: left out: job "a": there is another job of that name above`, r.Complaints[len(r.Complaints)-1].String())
}

func TestSecretsAreNotedAndNeverPrinted(t *testing.T) {
	r, err := Crontab([]byte("DB_PASSWORD=geheim$1\nA-TOKEN=geheim\n0 1 * * * x\n"), Options{File: "x", Timezone: "UTC", Dir: "/"})
	require.NoError(t, err)
	var said []string
	for _, c := range r.Complaints {
		said = append(said, c.String())
	}
	all := strings.Join(said, "\n")
	assert.Contains(t, all, "x: note: env DB_PASSWORD: it looks like a secret")
	assert.NotContains(t, all, "geheim")
	assert.Equal(t, "geheim$1", only(t, r).Env["DB_PASSWORD"])
}

func TestOfAJobThatIsLeftOutNothingIsThereInPart(t *testing.T) {
	for _, c := range []struct {
		source string
		read   func([]byte, Options) (*Result, error)
	}{
		{`[{"name":"a","schedule":"@hourly","ephemeral":true,"executor":"kafka"}]`, Dkron},
		{`{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"a"},"spec":{"schedule":"@hourly",
"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"i"},{"name":"b","image":"i"}]}}}}}}`, Kubernetes},
	} {
		r, err := c.read([]byte(c.source), Options{})
		require.NoError(t, err)
		kinds := map[Kind]int{}
		for _, said := range r.Complaints {
			kinds[said.Kind]++
		}
		assert.Equal(t, 1, kinds[LeftOut], c.source)
		assert.Zero(t, kinds[Part], c.source)
	}
}
