package jobs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzParse: whatever the bytes, there is an answer: either a schedule that
// holds what its types promise, or problems in the order of the file.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range append(files, "../schedule.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("fuzz.yaml", data)
		if err != nil {
			checkProblems(t, data, err)
			return
		}
		again, err := Parse("again.yaml", data)
		if err != nil || again.Digest != s.Digest {
			t.Fatalf("read twice: %v, %s and %s", err, s.Digest, again.Digest)
		}
		checkSchedule(t, s)
	})
}

func checkProblems(t *testing.T, data []byte, err error) {
	var bad *FileError
	if !errors.As(err, &bad) || len(bad.Problems) == 0 {
		t.Fatalf("no problems in %v", err)
	}
	lines := strings.Count(strings.ReplaceAll(string(data), "\r", "\n"), "\n") + strings.Count(string(data), "\u2028") +
		strings.Count(string(data), "\u2029") + strings.Count(string(data), "\u0085") + 1
	for _, p := range bad.Problems {
		if p.Line < 1 || p.Column < 1 || p.Line > lines || p.Message == "" || p.File != "fuzz.yaml" {
			t.Fatalf("%+v in a file of %d lines", p, lines)
		}
	}
	if !slices.IsSortedFunc(bad.Problems, func(a, b Problem) int { return a.Line - b.Line }) {
		t.Fatalf("not in the order of the file:\n%v", err)
	}
}

func checkSchedule(t *testing.T, s *Schedule) {
	if len(s.Jobs) == 0 || len(s.Digest) != 16 {
		t.Fatalf("%+v", s)
	}
	for _, j := range s.Jobs {
		a := j.Action
		set := 0
		for _, is := range []bool{len(a.Command) > 0, a.Script != "", a.HTTP != nil, a.Func != ""} {
			if is {
				set++
			}
		}
		switch {
		case badName("job", j.Name) != "", s.Job(j.Name) != j:
			t.Fatalf("job name %q", j.Name)
		case set != 1, a.Kind == "":
			t.Fatalf("action %+v", a)
		case a.HTTP != nil && (a.HTTP.URL == "" || a.HTTP.Method == ""):
			t.Fatalf("request %+v", a.HTTP)
		case j.Retry.Attempts < 1, j.Retry.MaxBackoff < j.Retry.Backoff, j.Retry.Factor < 1:
			t.Fatalf("retry %+v", j.Retry)
		case j.Priority < 0, j.Priority > 9, j.Timeout < 0, j.CatchUp.Max < 1, j.CatchUp.Window <= 0:
			t.Fatalf("job %+v", j)
		}
		for _, p := range j.Params {
			if _, err := j.BindParams(map[string]string{p.Name: p.Default}); err != nil && !p.Required && !strings.Contains(err.Error(), "required") {
				t.Fatalf("its own default: %v", err)
			}
		}
	}
}

// largeFile is a schedule of n jobs as a team would write them.
func largeFile(n int) []byte {
	var b strings.Builder
	b.WriteString("version: 1\ntimezone: Europe/Berlin\ndefaults: {timeout: 10m, env: {LANG: C}}\njobs:\n")
	for i := range n {
		fmt.Fprintf(&b, `  job-%05d:
    description: The job number %d
    schedule: "%d %d * * *"
    run: ./report.sh --id %d
    env: {ID: %d, REGION: eu}
    retry: {attempts: 3, backoff: 10s}
    priority: %d
`, i, i, i%60, i/60%24, i, i, i%10)
	}
	return []byte(b.String())
}

// BenchmarkLoad10000 is the time from the text of ten thousand jobs to a
// checked schedule.
func BenchmarkLoad10000(b *testing.B) {
	data := largeFile(10_000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("large.yaml", data); err != nil {
			b.Fatal(err)
		}
	}
}
