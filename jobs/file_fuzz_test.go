package jobs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
		checkWarnings(t, s)
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

// checkWarnings: a look at any schedule ends, and points into it.
func checkWarnings(t *testing.T, s *Schedule) {
	known := lintIDs()
	for _, w := range s.Lint(lintNow) {
		if w.Line < 1 || w.Column < 1 || w.Message == "" || !slices.Contains(known, w.ID) || w.Job != "" && s.Job(w.Job) == nil {
			t.Fatalf("%+v", w)
		}
	}
}

func checkSchedule(t *testing.T, s *Schedule) {
	if len(s.Jobs) == 0 || len(s.Digest) != 16 {
		t.Fatalf("%+v", s)
	}
	for _, j := range s.Jobs {
		switch {
		case badName("job", j.Name) != "", s.Job(j.Name) != j:
			t.Fatalf("job name %q", j.Name)
		case (len(j.Steps) > 0) == (j.Action.Kind != ""), len(j.Steps) > 0 && j.Undo != nil, len(j.Steps) > maxSteps:
			t.Fatalf("one action or steps: %+v", j)
		case j.Priority < 0, j.Priority > 9, j.Timeout < 0, j.CatchUp.Max < 1, j.CatchUp.Window <= 0:
			t.Fatalf("job %+v", j)
		case j.CrashRetries < 1, j.OnLost == "", j.Delivery == "", j.UnroutableAfter < shortestUnroutable:
			t.Fatalf("life of %+v", j)
		case j.MaxRunning != 0 && j.Overlap != OverlapAllow, (j.Group != "") != (j.GroupLimit > 0), j.GroupLimit != s.Groups[j.Group]:
			t.Fatalf("overlap of %+v", j)
		case j.EveryNode && (j.Group != "" || j.Overlap == OverlapQueue || j.Overlap == OverlapReplace):
			t.Fatalf("every node: %+v", j)
		case !j.Serves(j.Pool, j.Nodes), strings.ContainsAny(j.Pool, "=,"):
			t.Fatalf("route of %+v", j)
		}
		checkFollowers(t, s, j)
		checkTiming(t, s, j)
		names := map[string]bool{}
		for _, step := range j.Plan() {
			if names[step.Name] || badName("step", step.Name) != "" {
				t.Fatalf("step name %q", step.Name)
			}
			names[step.Name] = true
			if len(j.Steps) > 0 {
				checkRetry(t, step.Retry)
			}
			checkAction(t, step.Action)
			if step.Undo != nil {
				checkRetry(t, step.Undo.Retry)
				checkAction(t, step.Undo.Action)
			}
		}
		checkRetry(t, j.Retry)
		for _, secret := range j.Secrets {
			if _, both := j.Env[secret.Name]; both || badEnvName(secret.Name) != "" || (secret.File == "") == (secret.Env == "") {
				t.Fatalf("secret %+v", secret)
			}
		}
		for _, p := range j.Params {
			if _, err := j.BindParams(map[string]string{p.Name: p.Default}); err != nil && !p.Required && !strings.Contains(err.Error(), "required") {
				t.Fatalf("its own default: %v", err)
			}
		}
	}
}

// checkTiming: what decides when a job fires is there only where it means something.
func checkTiming(t *testing.T, s *Schedule, j *Job) {
	noBounds := j.Start.IsZero() && j.End.IsZero()
	switch {
	case len(j.Specs) == 0 && (!noBounds || j.Offset != 0 || j.EveryN.N != 0 || j.DST != (DST{}) || len(j.Only)+len(j.Exclude) > 0 || j.Shift != ShiftNone):
		t.Fatalf("nothing to bend: %+v", j)
	case j.EveryN.N != 0 && (j.Start.IsZero() || j.EveryN.N < 0 || j.EveryN.Unit == ""), !noBounds && !j.End.IsZero() && j.End.Before(j.Start):
		t.Fatalf("bounds of %+v", j)
	case j.Shift != ShiftNone && len(j.Only)+len(j.Exclude) == 0, j.Offset < 0, j.Offset%time.Second != 0:
		t.Fatalf("timing of %+v", j)
	case j.Jitter < 0, j.Jitter > 0 && !j.Ticks(), checkJitter(j) != nil:
		t.Fatalf("jitter of %+v", j)
	}
	for i, at := range j.At {
		if at.Location() != time.UTC || i > 0 && !at.After(j.At[i-1]) {
			t.Fatalf("instants of %+v", j)
		}
	}
	for _, c := range slices.Concat(j.Only, j.Exclude) {
		if !slices.Contains(s.Calendars, c) || c.days.empty() {
			t.Fatalf("calendar %+v", c)
		}
	}
	for _, id := range slices.Concat(j.Silence, s.Silence) {
		if !slices.Contains(lintIDs(), id) {
			t.Fatalf("silence %q", id)
		}
	}
}

func checkAction(t *testing.T, a Action) {
	set := 0
	for _, is := range []bool{len(a.Command) > 0, a.Script != "", a.HTTP != nil, a.Func != ""} {
		if is {
			set++
		}
	}
	if set != 1 || a.Kind == "" || a.HTTP != nil && (a.HTTP.URL == "" || a.HTTP.Method == "") {
		t.Fatalf("action %+v", a)
	}
}

func checkRetry(t *testing.T, r Retry) {
	if r.Attempts < 1 || r.MaxBackoff < r.Backoff || r.Factor < 1 {
		t.Fatalf("retry %+v", r)
	}
	for _, code := range r.NotOn {
		if code < 1 || code > 255 || slices.Contains(r.On, code) {
			t.Fatalf("retry %+v", r)
		}
	}
}

// checkFollowers: who follows exists and ends, and is known to whom it follows.
func checkFollowers(t *testing.T, s *Schedule, j *Job) {
	at := j
	for range s.Jobs {
		if at.After == nil {
			break
		}
		upstream := s.Job(at.After.Job)
		if upstream == nil || slices.Contains(upstream.Followers, at) != at.Enabled {
			t.Fatalf("%s follows %+v", at.Name, at.After)
		}
		at = upstream
	}
	if at.After != nil {
		t.Fatalf("%s follows itself", j.Name)
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
