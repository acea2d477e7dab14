package jobs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
)

// schedule.schema.json and the strict decoder are two descriptions of one
// language. These tests hold them together.

const schemaFile = "../schedule.schema.json"

// schemaText is the schema as a value, and compiled.
func loadSchema(t *testing.T) (map[string]any, *jsonschema.Schema) {
	t.Helper()
	data, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	return doc.(map[string]any), compileSchema(t, doc)
}

func compileSchema(t *testing.T, doc any) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertVocabs()
	require.NoError(t, c.AddResource("schedule.schema.json", doc))
	s, err := c.Compile("schedule.schema.json")
	require.NoError(t, err)
	return s
}

// beyondSchema are the rejected files whose faults no JSON Schema can express.
var beyondSchema = map[string]string{
	"brace.bad.yaml":         noYAML,
	"colon.bad.yaml":         noYAML,
	"comma.bad.yaml":         noYAML,
	"comment.bad.yaml":       noYAML,
	"control.bad.yaml":       noYAML,
	"indent.bad.yaml":        noYAML,
	"latin1.bad.yaml":        noYAML,
	"quote.bad.yaml":         noYAML,
	"tab.bad.yaml":           noYAML,
	"unquoted-flow.bad.yaml": noYAML,
	"unquoted.bad.yaml":      noYAML,
	"anchor.bad.yaml":        noYAML,
	"empty.bad.yaml":         "nothing in it, so nothing is wrong",
	"two-documents.bad.yaml": "each of them is good",
	"duplicates.bad.yaml":    "JSON has no key twice",
	"merge.bad.yaml":         "what a merge key may be is not part of the result",
	"groupless.bad.yaml":     "a name that is declared elsewhere",
	"calendarless.bad.yaml":  "a name that is declared elsewhere",
	"renamed.bad.yaml":       "names that other jobs have",
}

const noYAML = "no YAML, which the editor says"

func TestSchemaAndDecoderAgreeOnFiles(t *testing.T) {
	_, schema := loadSchema(t)
	listed := map[string]bool{}
	for _, file := range scheduleFiles(t) {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		value, why := asEditorsDo(data)
		if why == nil {
			why = schema.Validate(value)
		} else {
			why = nil // an editor underlines it, the schema never sees it
		}
		name := filepath.Base(file)
		if !strings.HasSuffix(name, ".bad.yaml") {
			assert.NoError(t, why, file)
			continue
		}
		reason, beyond := beyondSchema[name]
		if beyond {
			listed[name] = true
			assert.NoError(t, why, "%s is listed as beyond the schema (%s), and is rejected", name, reason)
			assert.NotEmpty(t, reason)
		} else {
			assert.Error(t, why, "%s is rejected by the decoder only", name)
		}
	}
	for name := range beyondSchema {
		assert.True(t, listed[name], "%s is listed and does not exist", name)
	}
}

// TestScheduleNamesItsSchema is the line that editors look for.
func TestScheduleNamesItsSchema(t *testing.T) {
	data, err := os.ReadFile("../schedule.yaml")
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(data), "\n")
	name, ok := strings.CutPrefix(first, "# yaml-language-server: $schema=")
	require.True(t, ok, first)
	assert.FileExists(t, filepath.Join("..", name))
	assert.Equal(t, filepath.Clean(schemaFile), filepath.Join("..", name))
}

// TestSchemaAcceptsWhatTheDocumentsShow reads the schedules in the documents.
func TestSchemaAcceptsWhatTheDocumentsShow(t *testing.T) {
	_, schema := loadSchema(t)
	block := regexp.MustCompile("(?ms)^```ya?ml\n(.*?)^```$")
	shown := 0
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/adr/*.md", "../examples/*/*.md"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, m := range block.FindAllStringSubmatch(string(data), -1) {
				if _, err := Parse(file, []byte(m[1])); err != nil {
					continue // a part of a file
				}
				shown++
				value, err := asEditorsDo([]byte(m[1]))
				require.NoError(t, err)
				assert.NoError(t, schema.Validate(value), "%s:\n%s", file, m[1])
			}
		}
	}
	assert.Positive(t, shown)
}

// scheduleFiles are the schedules of the repository, good and bad.
func scheduleFiles(t *testing.T) []string {
	t.Helper()
	files := []string{"../schedule.yaml"}
	for _, pattern := range []string{"testdata/*.yaml", "../examples/*/schedule.yaml"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		files = append(files, found...)
	}
	return files
}

// asEditorsDo makes a JSON value of YAML in the way of the YAML support of
// editors: numbers, booleans and nothing are what YAML 1.2 says, all else is text,
// aliases and merge keys are resolved.
func asEditorsDo(data []byte) (any, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); err == nil {
		return nil, fmt.Errorf("two documents")
	}
	return asJSON(doc.Content[0], 0)
}

func asJSON(n *yaml.Node, depth int) (any, error) {
	if depth > 100 {
		return nil, fmt.Errorf("too deep")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return asJSON(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			v, err := asJSON(c, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		return mappingAsJSON(n, depth)
	}
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int", "!!float":
		if i, ok := new(big.Int).SetString(strings.TrimLeft(n.Value, "+"), 0); ok {
			return json.Number(i.String()), nil
		}
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), nil
		}
	}
	return n.Value, nil
}

func mappingAsJSON(n *yaml.Node, depth int) (any, error) {
	m := map[string]any{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		v, err := asJSON(value, depth+1)
		if err != nil {
			return nil, err
		}
		if key.Tag != "!!merge" {
			m[key.Value] = v
			continue
		}
		bases, ok := v.([]any)
		if !ok {
			bases = []any{v}
		}
		for _, base := range bases {
			from, _ := base.(map[string]any)
			for k, v := range from {
				if _, own := m[k]; !own && !hasKey(n, k) {
					m[k] = v
				}
			}
		}
	}
	return m, nil
}

func hasKey(n *yaml.Node, key string) bool {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

// TestSchemaKnowsEveryKey compares the keys of every mapping of a file, both ways.
func TestSchemaKnowsEveryKey(t *testing.T) {
	doc, _ := loadSchema(t)
	for where, keys := range map[string][]string{
		"":                                 fileShape.keys(),
		"properties/redis":                 redisShape.keys(),
		"properties/heartbeat":             heartbeatShape.keys(),
		"definitions/group":                groupShape.keys(),
		"definitions/calendar":             calendarShape.keys(),
		"definitions/dateRange":            fromToShape.keys(),
		"definitions/defaults":             defaultsShape.keys(),
		"definitions/job":                  jobShape.keys(),
		"definitions/job/properties/after": afterShape.keys(),
		"definitions/job/properties/every_n/anyOf/2": everyNShape.keys(),
		"definitions/dst":             dstShape.keys(),
		"definitions/retry":           retryShape.keys(),
		"definitions/catchUp/anyOf/1": catchUpShape.keys(),
		"definitions/http":            httpShape.keys(),
		"definitions/step":            stepShape.keys(),
		"definitions/undo":            undoShape.keys(),
		"definitions/param":           paramShape.keys(),
		"definitions/secret":          secretShape.keys(),
	} {
		var at any = doc
		for _, part := range strings.FieldsFunc(where, func(r rune) bool { return r == '/' }) {
			switch v := at.(type) {
			case map[string]any:
				at = v[part]
			case []any:
				i, _ := strconv.Atoi(part)
				at = v[i]
			}
		}
		m, ok := at.(map[string]any)
		require.True(t, ok, where)
		assert.ElementsMatch(t, keys, sortedKeys(m["properties"].(map[string]any)), where)
		assert.Equal(t, false, m["additionalProperties"], where)
	}
	definitions := doc["definitions"].(map[string]any)
	enum := func(name string) (list []string) {
		for _, v := range definitions[name].(map[string]any)["enum"].([]any) {
			list = append(list, v.(string))
		}
		return list
	}
	assert.Equal(t, ZoneNames(), enum("zone"), "the zones under definitions.zone of schedule.schema.json")
	assert.Equal(t, lintIDs(), enum("lint"), "the ids under definitions.lint of schedule.schema.json")
}

// TestSchemaIsAHelp is about what an editor shows: each key says what it is, and
// its examples and its default are good ones.
func TestSchemaIsAHelp(t *testing.T) {
	doc, _ := loadSchema(t)
	definitions := doc["definitions"].(map[string]any)
	examples := 0
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if list, ok := v.([]any); ok {
			for i, item := range list {
				walk(fmt.Sprintf("%s/%d", path, i), item)
			}
		}
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		if ref, ok := m["$ref"].(string); ok {
			_, ok = definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
			require.True(t, ok, "%s: %s leads nowhere", path, ref)
			for key := range m {
				// Draft-07 ignores what stands beside a $ref, but for such words.
				assert.Contains(t, []string{"$ref", "description", "default", "examples"}, key, path)
			}
		}
		properties, _ := m["properties"].(map[string]any)
		if m["additionalProperties"] == false {
			for key, p := range properties {
				text, _ := p.(map[string]any)["description"].(string)
				if ref, ok := p.(map[string]any)["$ref"].(string); ok && text == "" {
					text, _ = definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)["description"].(string)
				}
				assert.Greater(t, len(text), 10, "%s/%s has no description", path, key)
			}
		}
		given, _ := m["examples"].([]any)
		if def, ok := m["default"]; ok {
			given = append(slices.Clone(given), def)
		}
		if len(given) > 0 && strings.HasPrefix(path, "#/") && !strings.HasSuffix(path, "/properties") {
			part := compileSchema(t, map[string]any{
				"$schema": doc["$schema"], "definitions": definitions, "allOf": []any{m},
			})
			for _, example := range given {
				examples++
				assert.NoError(t, part.Validate(example), "%s: %v", path, example)
			}
		}
		for key, v := range m {
			if key != "examples" && key != "enum" && key != "default" && key != "const" {
				walk(path+"/"+key, v)
			}
		}
	}
	walk("#", doc)
	assert.Greater(t, examples, 100)
	for name, v := range definitions {
		if name == "weekday" {
			continue
		}
		assert.NotEmpty(t, v.(map[string]any)["description"], name)
	}
}

// TestSchemaPatternsOfExpressions compares the long patterns with their parts.
func TestSchemaPatternsOfExpressions(t *testing.T) {
	doc, _ := loadSchema(t)
	definitions := doc["definitions"].(map[string]any)
	for name, want := range map[string]string{"cron": cronPattern(), "cronName": cronNamePattern(), "every": everyPattern()} {
		assert.Equal(t, want, definitions[name].(map[string]any)["pattern"], name)
	}
	cron, name, every := regexp.MustCompile(cronPattern()), regexp.MustCompile(cronNamePattern()), regexp.MustCompile(everyPattern())
	matches := func(expr string) bool {
		return cron.MatchString(expr) || name.MatchString(expr) || every.MatchString(expr)
	}
	t.Run("good ones", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			expr := drawExpr(t)
			require.True(t, matches(expr), expr)
		})
		data, err := os.ReadFile("testdata/cronstrue.golden")
		require.NoError(t, err)
		good := []string{
			"H H * * *", "h(1-5)/2 H/3 H(1-28) h(jan-MAR) H(FRI-SUN)", "0 0 L-3W,L,15w,LW * *", "0 0 * * fril,5#2,SUN#05", " 0\t0 * * * ", "0 0 * * *\n",
			"@EVERY 1h 30m OFFSET 5 m", "@every 1.5h", "@every +90s", "@every 1h offset 0", "@every .5m", "@Midnight ", "59 59 23 31 12 7", "00 00 00 01 01 00",
			"*/1000000 * * * *", "0 0 ? * ?",
		}
		for line := range strings.Lines(string(data)) {
			if expr, _, ok := strings.Cut(line, "\t"); ok {
				good = append(good, expr)
			}
		}
		for _, expr := range good {
			_, err := NewSpec(expr, SpecOptions{Name: "x"})
			require.NoError(t, err, expr)
			assert.True(t, matches(expr), expr)
		}
	})
	t.Run("bad ones", func(t *testing.T) {
		for _, expr := range []string{
			"", " ", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 0 *", "* * * 13 *", "* * * * 8", "* * * *", "* * * * * * *",
			"*/0 * * * *", "*/ * * * *", "1- * * * *", ", * * * *", "1,, * * * *", "*5 * * * *", "010 * * * *", "? * * * *", "* * * january *",
			"* * * * fritag", "* * * * L", "* * W * *", "* * L-31 * *", "* * 32W * *", "* * * * 5#6", "* * * * #2", "H(5) * * * *", "H() * * * *", "H-5 * * * *",
			"@dayly", "@reboot", "@every", "@every five minutes", "@every 1d", "@every 1h offset", "TZ=UTC * * * * *", "* * * * * root", "5 4 * * sun,", "* * L/2 * *",
			"0 0 * * * 2027", "~ * * * *", "*/1000001 * * * *",
		} {
			_, err := NewSpec(expr, SpecOptions{Name: "x"})
			require.Error(t, err, expr)
			assert.False(t, matches(expr), expr)
		}
	})
}

// beyondWords are messages of the decoder about what no JSON Schema can express.
var beyondWords = regexp.MustCompile(strings.Join([]string{
	`which is no job of this file`, `is the job itself`, `is the job's own name`, `is a job of this file`, `only one job can go on`, `closes a circle`, `is not declared`, // names that are declared elsewhere
	`is in env too`, `is taken; first given`, `in the list twice`, `given twice`, // the same thing in two places, or in two spellings
	`does not match the pattern`, `is none of `, `error parsing regexp`, `is not a URL`, // what a text means
	`calendar file`, `holds no day`, // what is in other files
	`outside of the years 1 to 9999`, `give both a year, or none`,
	`can never fire`, `ends before it begins`, `before it begins on`, `is smaller than|is longer than|is less than|is before start|less than`, // two values together
	`which .*on has too`, `has too; another try`,
	`ticks up to 1m late run`, `expected .*[hms] to .*[hms]`, `expected whole seconds`, `expected at least 1s`, // how long a duration is
}, "|"))

// timeKeys is a good file with the keys that say when a job fires, in all their
// forms.
const timeKeys = `
timezone: Europe/Berlin
calendars:
  holidays: {dates: [2026-12-25, 12-26, 2026-12-28..2027-01-02, 12-24..01-02, {from: 2027-03-01, to: 2027-03-05}, {from: 02-29, to: 03-01}]}
  weekends: {weekdays: [sat, sun]}
  both: {dates: [01-01], weekdays: [mon]}
silence: [uneven-step]
defaults: {dst: {gap: skip}, jitter: 5s, exclude: weekends, shift: next-business-day}
jobs:
  instants: {at: [2027-01-01T00:00:00Z, "2027-01-02T00:00:00+01:00"], run: "true"}
  instant: {at: 2027-01-01T00:00:00-05:30, run: "true", jitter: 1m}
  every: {schedule: "@every 1h", offset: 5m, run: "true", only: both, start: 2026-01-01, end: "2026-12-31T00:00:00Z", exclude: []}
  fortnight: {schedule: 0 9 * * FRI, every_n: 2, start: 2027-01-01, run: "true", silence: [dst-touches, over]}
  thirds: {schedule: ["H H * * *", "@every 2h"], every_n: 3 days, start: 2027-01-01, end: 2028-02-29, run: "true"}
  mapped: {schedule: "@daily", every_n: {weeks: 3}, start: "2027-01-01T12:00:00Z", run: "true", dst: {overlap: twice}}
  days: {schedule: "@daily", every_n: {days: 1}, start: 2027-01-01, run: "true", jitter: 0, offset: 0}
  shifted: {schedule: 0 0 L * *, exclude: [holidays, weekends], shift: previous-business-day, dst: {gap: run-after, overlap: once}, run: "true"}
`

// TestSchemaAndDecoderAgreeOnVariants takes good files apart and puts them together
// wrongly: keys left out, keys that nobody knows, values of other types and sizes.
// What the decoder rejects and the schema accepts must be beyond it; the other way
// round there is no excuse.
func TestSchemaAndDecoderAgreeOnVariants(t *testing.T) {
	t.Parallel()
	doc, schema := loadSchema(t)
	good := []string{timeKeys}
	for _, file := range scheduleFiles(t) {
		if !strings.HasSuffix(file, ".bad.yaml") {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			good = append(good, string(data))
		}
	}
	var variants []string
	for _, text := range good {
		_, err := Parse("testdata/good.yaml", []byte(text))
		require.NoError(t, err)
		value, err := asEditorsDo([]byte(text))
		require.NoError(t, err)
		variants = append(variants, variantsOf(t, value)...)
		variants = append(variants, withMoreKeys(t, value.(map[string]any), doc["definitions"].(map[string]any))...)
	}
	n := 1500
	if testing.Short() || raced { // CI tries them without the race detector too
		n = 300
	}
	if os.Getenv("SCHEMA_VARIANTS") == "all" {
		n = len(variants)
	}
	random := rand.New(rand.NewPCG(4, 2026))
	random.Shuffle(len(variants), func(i, j int) { variants[i], variants[j] = variants[j], variants[i] })
	agreed := map[bool]int{}
	for _, text := range variants[:min(n, len(variants))] {
		compareVerdicts(t, schema, text, agreed)
	}
	t.Logf("%d variants: both accept %d, both reject %d", len(variants), agreed[true], agreed[false])
	assert.Greater(t, agreed[true], n/50)
	assert.Greater(t, agreed[false], n/4)
}

func compareVerdicts(t *testing.T, schema *jsonschema.Schema, text string, agreed map[bool]int) {
	t.Helper()
	_, err := Parse("testdata/variant.yaml", []byte(text))
	value, yamlErr := asEditorsDo([]byte(text))
	require.NoError(t, yamlErr, text)
	invalid := schema.Validate(value)
	if (err == nil) == (invalid == nil) {
		agreed[err == nil]++
		return
	}
	if err == nil {
		t.Errorf("the decoder accepts, the schema rejects:\n%s\n%v", text, invalid)
		return
	}
	var bad *FileError
	require.ErrorAs(t, err, &bad)
	for _, p := range bad.Problems {
		if !beyondWords.MatchString(p.Message) {
			t.Errorf("the schema accepts, the decoder rejects:\n%s\n%s", text, p.Message)
		}
	}
}

// TestSchemaAndDecoderAgreeOnParts looks at each job of the rejected files alone: in
// a whole file one fault would hide the others.
func TestSchemaAndDecoderAgreeOnParts(t *testing.T) {
	_, schema := loadSchema(t)
	agreed := map[bool]int{}
	for _, file := range scheduleFiles(t) {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		value, err := asEditorsDo(data)
		whole, ok := value.(map[string]any)
		if err != nil || !ok {
			continue
		}
		if all, ok := whole["jobs"].(map[string]any); ok {
			for name, job := range all {
				part := maps.Clone(whole)
				part["jobs"] = map[string]any{name: job}
				alone := map[string]any{"jobs": part["jobs"]}
				for _, v := range []any{part, alone} {
					text, err := json.Marshal(v)
					require.NoError(t, err)
					compareVerdicts(t, schema, string(text), agreed)
				}
			}
		}
		for key, v := range whole {
			text, err := json.Marshal(map[string]any{key: v, "jobs": map[string]any{"x": map[string]any{"run": "true"}}})
			require.NoError(t, err)
			compareVerdicts(t, schema, string(text), agreed)
		}
	}
	assert.Greater(t, agreed[false], 200)
}

// withMoreKeys are the jobs of a file, and its defaults, each with one more key,
// which has a value that the schema gives as an example.
func withMoreKeys(t *testing.T, whole, definitions map[string]any) []string {
	t.Helper()
	examples := func(p map[string]any) []any {
		list, ok := p["examples"].([]any)
		if ref, isRef := p["$ref"].(string); !ok && isRef {
			list, _ = definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)["examples"].([]any)
		}
		if enum, ok := p["enum"].([]any); ok {
			list = append(slices.Clone(list), enum...)
		}
		if p["type"] == "boolean" {
			list = append(slices.Clone(list), true, false)
		}
		if def, ok := p["default"]; ok {
			list = append(slices.Clone(list), def)
		}
		return list
	}
	var texts []string
	extend := func(doc, in map[string]any, shape string) {
		for key, p := range definitions[shape].(map[string]any)["properties"].(map[string]any) {
			if _, ok := in[key]; ok {
				continue
			}
			for _, example := range examples(p.(map[string]any)) {
				in[key] = example
				text, err := json.Marshal(doc)
				require.NoError(t, err)
				texts = append(texts, string(text))
			}
			delete(in, key)
		}
	}
	jobs := whole["jobs"].(map[string]any)
	for _, name := range sortedKeys(jobs) {
		part := maps.Clone(whole)
		part["jobs"] = map[string]any{name: jobs[name]}
		extend(part, jobs[name].(map[string]any), "job")
	}
	if defaults, ok := whole["defaults"].(map[string]any); ok {
		extend(whole, defaults, "defaults")
	}
	slices.Sort(texts) // a map has no order, and the choice of variants has one
	return texts
}

// odd are values to put where others were.
var odd = []any{
	nil, true, false, json.Number("0"), json.Number("1"), json.Number("-1"), json.Number("1.5"), json.Number("1000000000"),
	"", " ", "x", "0", "0s", "10m", "2026-12-24", "* * * * *", "@every 1h", "skip", []any{}, []any{"x"}, []any{json.Number("3")}, map[string]any{}, map[string]any{"x": "y"},
}

// variantsOf are the texts of a value with one thing changed.
func variantsOf(t *testing.T, whole any) []string {
	t.Helper()
	var texts []string
	add := func() {
		text, err := json.Marshal(whole)
		require.NoError(t, err)
		texts = append(texts, string(text))
	}
	add()
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, key := range sortedKeys(v) {
				was := v[key]
				delete(v, key)
				add()
				for _, other := range []string{key + "x", strings.ToUpper(key), "a b", "CARILLON_X"} {
					v[other] = was
					add()
					delete(v, other)
				}
				for _, o := range odd {
					v[key] = o
					add()
				}
				v[key] = []any{was}
				add()
				v[key] = []any{was, was}
				add()
				if s, ok := was.(string); ok {
					for _, other := range []string{strings.ToUpper(s), s + "x", " " + s} {
						v[key] = other
						add()
					}
				}
				v[key] = was
				walk(was)
			}
			v["unheard_of"] = "x"
			add()
			delete(v, "unheard_of")
		case []any:
			for i, was := range v {
				for _, o := range odd {
					v[i] = o
					add()
				}
				v[i] = was
				walk(was)
			}
		}
	}
	walk(whole)
	return texts
}
