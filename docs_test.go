package carillon_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon"
	"carillon/executor"
	"carillon/internal/redisstore"
	"carillon/internal/redistest"
	"carillon/jobs"
)

// These tests keep what the documents say true.

// documents are the files a reader may land on.
func documents(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		list = append(list, found...)
	}
	require.Contains(t, list, "README.md")
	require.Contains(t, list, filepath.Join("docs", "guarantees.md"))
	return list
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(b)
}

// declared reports whether a Go or Lua file declares the name.
func declared(t *testing.T, file, name string) bool {
	t.Helper()
	if strings.HasSuffix(file, ".lua") {
		return regexp.MustCompile(`(?m)^(local )?function ` + regexp.QuoteMeta(name) + `\(`).MatchString(read(t, file))
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.Name == name {
				return true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.Name == name {
						return true
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.Name == name {
							return true
						}
					}
				}
			}
		}
	}
	return false
}

// place is `path/file.go` or `path/file.go:Name` in a document.
var place = regexp.MustCompile("`([\\w./-]+\\.(?:go|lua|yaml))(?::(\\w+))?`")

func TestTheWalkLeadsSomewhere(t *testing.T) {
	named := 0
	for _, m := range place.FindAllStringSubmatch(read(t, "docs/walk.md"), -1) {
		if !assert.FileExists(t, m[1]) || m[2] == "" {
			continue
		}
		named++
		assert.True(t, declared(t, m[1], m[2]), "%s does not declare %s", m[1], m[2])
	}
	assert.Greater(t, named, 40)
}

// TestNamedPlacesExist is the same for the places that other documents name.
func TestNamedPlacesExist(t *testing.T) {
	for _, doc := range documents(t) {
		for _, m := range place.FindAllStringSubmatch(read(t, doc), -1) {
			if !strings.Contains(m[1], "/") && m[2] == "" {
				continue // a bare file name may be the reader's own
			}
			if assert.FileExists(t, m[1], doc) && m[2] != "" {
				assert.True(t, declared(t, m[1], m[2]), "%s: %s does not declare %s", doc, m[1], m[2])
			}
		}
	}
}

// proof is `folder: TestName`, a test that a document names as a proof.
var proof = regexp.MustCompile("`(?:([\\w/.]+): )?((?:Test|Benchmark|Fuzz)[A-Z]\\w+)`")

func TestNamedTestsExist(t *testing.T) {
	tests := map[string][]string{} // name -> folders
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range declaration.FindAllStringSubmatch(read(t, path), -1) {
			tests[m[1]] = append(tests[m[1]], filepath.ToSlash(filepath.Dir(path)))
		}
		return nil
	})
	require.NoError(t, err)
	named := 0
	for _, doc := range documents(t) {
		for _, m := range proof.FindAllStringSubmatch(read(t, doc), -1) {
			named++
			folders := tests[m[2]]
			if assert.NotEmpty(t, folders, "%s names %s, which does not exist", doc, m[2]) && m[1] != "" {
				assert.Contains(t, folders, m[1], "%s: where is %s?", doc, m[2])
			}
		}
	}
	assert.Greater(t, named, 40)
}

// TestEveryFaultHasItsTest: the page of the faults has each number once and in order, and each
// has a proof, or says why one machine cannot have the fault.
func TestEveryFaultHasItsTest(t *testing.T) {
	const faults = 52
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| (.*) \| (.*) \| (.*) \|$`).FindAllStringSubmatch(read(t, "docs/faults.md"), -1)
	require.Len(t, rows, faults)
	for i, row := range rows {
		assert.Equal(t, fmt.Sprint(i+1), row[1])
		assert.NotEmpty(t, row[2])
		assert.NotEmpty(t, row[3])
		if !strings.Contains(row[4], "One machine cannot") {
			for _, m := range proof.FindAllStringSubmatch(row[4], -1) {
				assert.NotEmpty(t, m[1], "fault %d: in which folder is %s?", i+1, m[2])
			}
			assert.Regexp(t, proof, row[4], "fault %d has no proof", i+1)
		}
	}
}

func TestLinksLeadToFiles(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)
	for _, doc := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			target := filepath.Join(filepath.Dir(doc), m[1])
			_, err := os.Stat(target)
			assert.NoError(t, err, "%s links to %s", doc, m[1])
		}
	}
}

// blocks returns the fenced blocks of a language.
func blocks(text, language string) []string {
	var list []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

func TestTheReadmesScheduleIsValid(t *testing.T) {
	list := blocks(read(t, "README.md"), "yaml")
	require.NotEmpty(t, list)
	for _, block := range list {
		s, err := jobs.Parse("README.md", []byte(block))
		require.NoError(t, err, block)
		require.NotEmpty(t, s.Jobs)
		assert.Empty(t, s.Lint(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)), "who copies it should not be warned")
	}
}

// TestThePageOnTimeIsTrue holds the tables of docs/schedule.md against the evaluator.
func TestThePageOnTimeIsTrue(t *testing.T) {
	page := read(t, "docs/schedule.md")
	for _, block := range blocks(page, "yaml") {
		_, err := jobs.Parse("docs/schedule.md", []byte(block))
		require.NoError(t, err, block)
	}
	check := func(spec interface {
		Next(time.Time) (time.Time, bool)
	}, after time.Time, want, what string) {
		for _, text := range strings.Split(want, ",") {
			next, ok := spec.Next(after)
			require.True(t, ok, what)
			at := next.In(after.Location())
			layout := "2006-01-02 15:04"
			if strings.Count(text, ":") == 2 {
				layout += ":05"
			}
			if strings.ContainsAny(text[len(text)-5:], "+-") && after.Location() != time.UTC {
				layout += " -0700"
			}
			assert.Equal(t, strings.TrimSpace(text), at.Format(layout), what)
			after = next.In(after.Location())
		}
	}
	plain := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\d{4}-[^|]+) \\|").FindAllStringSubmatch(page, -1)
	require.Greater(t, len(plain), 15)
	for _, m := range plain {
		spec, err := jobs.ParseSpec(m[1], nil)
		require.NoError(t, err, m[1])
		check(spec, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), m[2], m[1])
	}
	zone, err := jobs.LoadZone("America/New_York")
	require.NoError(t, err)
	changes := regexp.MustCompile("(?s)ticks in America/New_York after ([0-9: -]+) \\|\n\\|[-|]+\n(.*?)\n\n").FindAllStringSubmatch(page, -1)
	require.Len(t, changes, 2)
	for _, table := range changes {
		after, err := time.ParseInLocation("2006-01-02 15:04", table[1], zone)
		require.NoError(t, err)
		rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `([^`]+)` \\| ([^|]+) \\|$").FindAllStringSubmatch(table[2], -1)
		require.Len(t, rows, 4)
		for _, m := range rows {
			o := jobs.SpecOptions{Location: zone}
			switch m[2] {
			case "run-after", "skip":
				o.DST.Gap = jobs.DSTGap(m[2])
			default:
				o.DST.Overlap = jobs.DSTOverlap(m[2])
			}
			spec, err := jobs.NewSpec(m[1], o)
			require.NoError(t, err)
			check(spec, after, m[3], m[1]+" "+m[2])
		}
	}
	days := regexp.MustCompile("(?s)in 2027, `payroll` above .*?\n\n").FindString(page)
	payroll, err := jobs.Parse("docs/schedule.md", []byte(blocks(page, "yaml")[1]))
	require.NoError(t, err)
	job := payroll.Job("payroll")
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\d{4}[0-9: -]+) \|`).FindAllStringSubmatch(days, -1) {
		want = append(want, m[1])
	}
	require.Len(t, want, 4)
	check(job, time.Date(2027, 1, 1, 0, 0, 0, 0, job.Zone()), strings.Join(want, ","), "payroll")
}

func TestTheReadmesCodeIsTheExample(t *testing.T) {
	list := blocks(read(t, "README.md"), "go")
	require.Len(t, list, 1)
	var want []string
	for _, line := range strings.Split(read(t, "example_test.go"), "\n") {
		want = append(want, strings.TrimSpace(line))
	}
	at := 0
	for _, line := range strings.Split(strings.TrimSpace(list[0]), "\n") {
		line = strings.TrimSpace(line)
		next := slices.Index(want[at:], line)
		require.GreaterOrEqual(t, next, 0, "example_test.go has no line %q after its line %d", line, at)
		at += next + 1
	}
}

// TestNamedTargetsExist checks `make X` in the documents against the Makefile.
func TestNamedTargetsExist(t *testing.T) {
	makefile := read(t, "Makefile")
	for _, doc := range documents(t) {
		for _, m := range regexp.MustCompile("(?m)(?:^|`|# ?|[A-Z]+=\\d+ )make ([a-z-]+)").FindAllStringSubmatch(read(t, doc), -1) {
			assert.Regexp(t, `(?m)^`+m[1]+`:`, makefile, "%s: make %s", doc, m[1])
		}
	}
}

// TestTheReadmeCountsTheJobs: what it shows of "carillon up" is of the file beside it.
func TestTheReadmeCountsTheJobs(t *testing.T) {
	s, err := jobs.Load("schedule.yaml")
	require.NoError(t, err)
	assert.Contains(t, read(t, "README.md"), fmt.Sprintf("schedule.yaml: %d jobs, digest ", len(s.Jobs)))
}

// TestSomeNumbersOfTheDocuments compares defaults that several documents name.
func TestSomeNumbersOfTheDocuments(t *testing.T) {
	page := read(t, "docs/redis.md")
	require.Equal(t, 32<<10, executor.HeadBytes)
	require.Equal(t, 224<<10, executor.TailBytes)
	assert.Contains(t, page, "first 32 KiB and last 224 KiB")
	assert.Contains(t, page, "`--leader-ttl`, 5 seconds")
	assert.Equal(t, 5*time.Second, carillon.DefaultLeaderTTL)
	assert.Equal(t, 15*time.Second, carillon.DefaultLeaderGrace)
	guarantees := read(t, "docs/guarantees.md")
	assert.Equal(t, 30*time.Second, carillon.DefaultLease)
	assert.Contains(t, guarantees, "the lease, 30 seconds")
	assert.Equal(t, 30*time.Second, carillon.DefaultDrain)
	assert.Contains(t, guarantees, "the drain time, 30 seconds")
	assert.Equal(t, 10*time.Second, executor.DefaultGrace)
	assert.Contains(t, guarantees, "the grace, 10 seconds")
}

// TestLeastPrivilege runs a fleet as the Redis user that docs/redis.md tells an
// operator to make: Redis must refuse nothing, and nothing on the line may be
// more than is needed.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`(?m)^ACL SETUSER .*$`).FindString(read(t, "docs/redis.md"))
	require.NotEmpty(t, line)
	ctx := context.Background()
	url := redistest.Real(t)
	opts, err := redis.ParseURL(url)
	require.NoError(t, err)
	root := redis.NewClient(opts)
	t.Cleanup(func() { _ = root.Close() })
	var words []any
	for _, w := range strings.Fields(line) {
		words = append(words, w)
	}
	require.NoError(t, root.Do(ctx, words...).Err())
	require.NoError(t, root.ConfigResetStat(ctx).Err())
	address := strings.Replace(url, "redis://", "redis://carillon:PASSWORD@", 1)

	mended := filepath.Join(t.TempDir(), "mended")
	text := strings.ReplaceAll(`
version: 1
jobs:
  beat: {schedule: "* * * * * *", catch_up: all, func: beat}
  say: {run: "for i in 1 2 3 4; do head -c 150000 /dev/zero | tr '\\0' x; sleep 0.3; done"}
  again: {retry: {attempts: 2, backoff: 100ms}, run: '[ "$CARILLON_ATTEMPT" -gt 1 ]'}
  back: {steps: [{name: one, run: "true", undo: {run: "true"}}, {name: two, run: "false", undo: {run: '[ -e MENDED ]'}}]}
  long: {run: "sleep 60"}
`, "MENDED", mended)
	more := text + "  elsewhere: {func: beat}\n"
	var log lines
	var rec recorder
	start := func(name, text string) (*carillon.Node, func()) {
		return up(t, carillon.Options{Redis: address, Node: name, Schedule: schedule(t, text), LeaderTTL: time.Second, Lease: time.Second,
			Funcs: map[string]carillon.Func{"beat": rec.handler(name)}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	}
	a, stopA := start("a", text)
	reader, err := redisstore.Open(redisstore.Options{URL: address})
	require.NoError(t, err)
	t.Cleanup(func() { _ = reader.Close() })
	run := func(n *carillon.Node, job string) jobs.Run {
		t.Helper()
		id, err := n.Trigger(ctx, job, nil)
		require.NoError(t, err)
		var r jobs.Run
		require.Eventually(t, func() bool {
			r, err = reader.Run(ctx, id)
			return err == nil && r.Status.Final()
		}, 20*time.Second, 20*time.Millisecond)
		return r
	}
	require.Equal(t, jobs.Succeeded, run(a, "say").Status)
	require.Equal(t, jobs.Succeeded, run(a, "again").Status)

	// Acting.
	stuck := run(a, "back")
	require.Equal(t, jobs.RollbackFailed, stuck.Status)
	require.NoError(t, os.WriteFile(mended, nil, 0o600))
	resumed, _, err := reader.ResumeRollback(ctx, stuck.ID, "me")
	require.NoError(t, err)
	require.True(t, resumed)
	long, err := a.Trigger(ctx, "long", nil)
	require.NoError(t, err)
	_, _, err = reader.Cancel(ctx, long, "me", "")
	require.NoError(t, err)
	for id, want := range map[string]jobs.State{stuck.ID: jobs.RolledBack, long: jobs.Canceled} {
		require.Eventually(t, func() bool {
			r, err := reader.Run(ctx, id)
			return err == nil && r.Status == want
		}, 20*time.Second, 20*time.Millisecond)
	}
	_, _, err = reader.Pause(ctx, "beat", "me", "")
	require.NoError(t, err)
	_, err = reader.Paused(ctx)
	require.NoError(t, err)
	_, _, err = reader.Resume(ctx, "beat", "me")
	require.NoError(t, err)
	_, err = reader.Backfill(ctx, a.Schedule().Job("beat"), []time.Time{time.Now().Truncate(time.Second).Add(-time.Hour)}, "me", true)
	require.NoError(t, err)

	// Runs that only the other node can execute; a change of leader.
	b, _ := start("b", more)
	for range 3 {
		run(b, "elsewhere")
	}
	before := len(rec.snapshot())
	stopA()
	require.Eventually(t, func() bool { return len(rec.snapshot()) > before+2 }, 15*time.Second, 20*time.Millisecond)

	// Looking.
	runs, err := reader.Runs(ctx, redisstore.RunFilter{})
	require.NoError(t, err)
	require.NotEmpty(t, runs)
	_, err = reader.Runs(ctx, redisstore.RunFilter{Job: "beat"})
	require.NoError(t, err)
	_, err = reader.Ledger(ctx, "beat", 10)
	require.NoError(t, err)
	_, err = reader.Nodes(ctx)
	require.NoError(t, err)
	_, err = reader.ReadLog(ctx, runs[0].ID, "")
	require.NoError(t, err)

	refused, err := root.Do(ctx, "ACL", "LOG").Slice()
	require.NoError(t, err)
	require.Empty(t, refused, "Redis refused something")
	require.False(t, log.has("NOPERM"))

	// What only rare events call stands in the scripts.
	allowed := map[string]bool{}
	for _, m := range regexp.MustCompile(`\+([a-z]+(?:\|[a-z]+)?)`).FindAllStringSubmatch(line, -1) {
		allowed[m[1]] = false
	}
	for _, command := range scripted(t) {
		_, ok := allowed[command]
		assert.True(t, ok, "a script calls %s, which the line does not allow", command)
		allowed[command] = true
	}
	stats, err := root.Info(ctx, "commandstats").Result()
	require.NoError(t, err)
	for command, used := range allowed {
		whole, _, _ := strings.Cut(command, "|") // Redis 6.2 does not count subcommands
		assert.True(t, used || strings.Contains(stats, "cmdstat_"+command+":") || strings.Contains(stats, "cmdstat_"+whole+":"), "the line allows %s, which nothing used", command)
	}
}

// scripted returns the commands that the scripts call, in lower case.
func scripted(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("internal/redisstore/lua/*.lua")
	require.NoError(t, err)
	var list []string
	for _, file := range files {
		for _, m := range regexp.MustCompile(`(?:redis\.call|variadic)\('([A-Z]+)'`).FindAllStringSubmatch(read(t, file), -1) {
			list = append(list, strings.ToLower(m[1]))
		}
	}
	require.NotEmpty(t, list)
	return list
}
