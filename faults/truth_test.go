package faults

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

// line is one line of a witness (see witness/main.go): something that a job did,
// whatever Redis says.
type line struct {
	end     bool
	run     string
	attempt int
	pid     int
	node    string
	boot    string
	step    string // jobs.SoleStep where the job has none
	undo    bool
	at      time.Time
	last    string // of a begin: who is beside it; of an end: ok or failed
}

// truth is what all witnesses wrote.
type truth struct {
	begins []line               // in the order of time
	of     map[string][]line    // all lines of a run, in the order of time
	lastOf map[string]time.Time // the last begin of each process, by boot id
}

// readTruth reads the files of all witnesses.
func readTruth(dir string) (*truth, error) {
	files, err := filepath.Glob(filepath.Join(dir, "witness-*"))
	if err != nil {
		return nil, err
	}
	tr := &truth{of: map[string][]line{}, lastOf: map[string]time.Time{}}
	var all []line
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for raw := range strings.Lines(string(text)) {
			if !strings.HasSuffix(raw, "\n") {
				continue // still being written
			}
			l, err := parseLine(raw)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, l)
		}
	}
	slices.SortStableFunc(all, func(a, b line) int { return a.at.Compare(b.at) })
	for _, l := range all {
		tr.of[l.run] = append(tr.of[l.run], l)
		if !l.end {
			tr.begins = append(tr.begins, l)
			tr.lastOf[l.boot] = l.at
		}
	}
	return tr, nil
}

func parseLine(raw string) (l line, err error) {
	w := strings.Fields(raw)
	if len(w) != 10 || w[0] != "begin" && w[0] != "end" {
		return l, fmt.Errorf("a torn line: %q", raw)
	}
	l = line{end: w[0] == "end", run: w[1], node: w[4], boot: w[5], step: w[6], undo: w[7] == "undo", last: w[9]}
	ns, err := strconv.ParseInt(w[8], 10, 64)
	l.at = time.Unix(0, ns)
	var err2, err3 error
	l.attempt, err2 = strconv.Atoi(w[2])
	l.pid, err3 = strconv.Atoi(w[3])
	return l, cmp.Or(err, err2, err3)
}

// silence is the longest time between from and to in which nothing began, and when it
// began.
func (tr *truth) silence(from, to time.Time) (longest time.Duration, since time.Time) {
	last := from
	i, _ := slices.BinarySearchFunc(tr.begins, from, func(l line, t time.Time) int { return l.at.Compare(t) })
	look := func(t time.Time) {
		if t.Sub(last) > longest {
			longest, since = t.Sub(last), last
		}
		last = t
	}
	for ; i < len(tr.begins) && tr.begins[i].at.Before(to); i++ {
		look(tr.begins[i].at)
	}
	look(to)
	return longest, since
}

// listen starts the server that http jobs ask. It is a witness too.
func listen(t testing.TB, dir string) (url string) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(dir, "witness-http"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	var mu sync.Mutex
	say := func(r *http.Request, event, last string) error {
		mu.Lock()
		defer mu.Unlock()
		line := fmt.Sprintln(event, r.Header.Get("Carillon-Run-Id"), r.Header.Get("Carillon-Attempt"), 0, "http", "-", jobs.SoleStep, "run", time.Now().UnixNano(), last)
		if _, err := file.WriteString(line); err != nil {
			return err
		}
		return file.Sync()
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := say(r, "begin", "-")
		if err == nil {
			select {
			case <-r.Context().Done(): // whoever asked is gone
				return
			case <-time.After(100 * time.Millisecond):
			}
			err = say(r, "end", "ok")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		file.Close()
	})
	return s.URL
}

// processesOf lists the witnesses that live and belong to a node, by boot id. The
// kernel keeps what they were started with.
func processesOf(program string, want func(node, boot string) bool) (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil // not Linux: nobody can say
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		args, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || !strings.HasPrefix(string(args), program+"\x00") {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err != nil {
			continue
		}
		var node, boot string
		for kv := range strings.SplitSeq(string(env), "\x00") {
			if v, ok := strings.CutPrefix(kv, "CARILLON_NODE="); ok {
				node = v
			}
			if v, ok := strings.CutPrefix(kv, "CARILLON_BOOT="); ok {
				boot = v
			}
		}
		if want(node, boot) {
			pids = append(pids, pid)
		}
	}
	return pids
}
