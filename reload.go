package carillon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"carillon/jobs"
)

// reloader follows the schedule file, and the calendar files that it names. It
// watches folders, not files: editors replace files, and Kubernetes swaps a link
// above them. Where watching does not work (some network file systems) it looks
// every half minute.
type reloader struct {
	node  *Node
	adopt func(*jobs.Schedule)

	seen    [sha256.Size]byte // of the content that was read last, good or bad
	files   []string          // the calendar files that it names
	missing bool

	watcher *fsnotify.Watcher // nil where that does not work
	watched map[string]bool   // folders
}

const (
	reloadSettle = 250 * time.Millisecond // an editor writes in several steps
	reloadPoll   = 30 * time.Second
)

// Run follows the files until ctx ends.
func (r *reloader) Run(ctx context.Context) error {
	path := r.node.opts.File
	var changes <-chan fsnotify.Event
	var faults <-chan error
	if w, err := fsnotify.NewWatcher(); err != nil {
		r.node.log.Warn("the schedule file cannot be watched; looking every half minute", "file", path, "error", err)
	} else {
		defer w.Close()
		r.watcher, r.watched = w, map[string]bool{}
		changes, faults = w.Events, w.Errors
	}
	r.seen, r.files = r.node.source, r.node.definitions.current().Files
	r.watch()
	r.look(false) // something may have changed since New
	poll := time.NewTicker(reloadPoll)
	defer poll.Stop()
	settle := time.NewTimer(time.Hour)
	settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.node.reload:
			r.look(true)
		case <-changes:
			settle.Reset(reloadSettle)
		case err := <-faults:
			r.node.log.Warn("watching the schedule file", "error", err)
			settle.Reset(reloadSettle)
		case <-settle.C:
			r.look(false)
		case <-poll.C:
			r.look(false)
		}
	}
}

// takeOver is the reload of a simulation: schedules come as they are.
func takeOver(ctx context.Context, schedules <-chan *jobs.Schedule, adopt func(*jobs.Schedule)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-schedules:
			adopt(s)
		}
	}
}

// watch watches the folder of each file, and the folder of what it links to.
func (r *reloader) watch() {
	if r.watcher == nil {
		return
	}
	for _, path := range append([]string{r.node.opts.File}, r.files...) {
		folders := []string{filepath.Dir(path)}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			folders = append(folders, filepath.Dir(real))
		}
		for _, folder := range folders {
			if r.watched[folder] {
				continue
			}
			if err := r.watcher.Add(folder); err != nil {
				r.node.log.Warn("a file of the schedule cannot be watched; looking every half minute", "file", path, "error", err)
				continue
			}
			r.watched[folder] = true
		}
	}
}

// look reads the files and takes them over if they are new and good. asked says that
// somebody waits for a word even when nothing changed.
func (r *reloader) look(asked bool) {
	log, path := r.node.log, r.node.opts.File
	data, err := os.ReadFile(path)
	if err != nil {
		if !r.missing || asked {
			what := "the schedule file cannot be read; the old schedule stays in force"
			if errors.Is(err, fs.ErrNotExist) {
				what = "the schedule file vanished; the old schedule stays in force"
			}
			log.Error(what, "file", path, "error", err)
		}
		r.missing = true
		return
	}
	if r.missing {
		r.missing = false
		log.Info("the schedule file is back", "file", path)
	}
	if contentSum(data, r.files) == r.seen && !asked {
		return
	}
	current := r.node.definitions.current()
	s, err := r.parse(data)
	r.watch()
	if err == nil {
		err = checkFuncs(s, r.node.opts.Funcs)
	}
	switch {
	case err == nil && s.Digest == current.Digest && s.Revision == current.Revision && s.Heartbeat == current.Heartbeat:
		if asked {
			log.Info("reloaded: nothing changed", "file", path, "digest", s.Digest)
		}
	case err != nil:
		log.Error("the schedule file is bad; the old schedule stays in force", "file", path, "digest", current.Digest, "error", err)
	default:
		r.adopt(s)
		giveBack(s)
		log.Info("reloaded the schedule", "file", path, "jobs", len(s.Jobs), "digest", s.Digest, "was", current.Digest,
			"revision", s.Revision)
	}
}

// parse reads the schedule and remembers what it was read from. The sum is taken
// before, so that a change while reading is noticed afterwards; which calendar
// files are in it, only reading tells.
func (r *reloader) parse(data []byte) (*jobs.Schedule, error) {
	for {
		r.seen = contentSum(data, r.files)
		s, err := jobs.Parse(r.node.opts.File, data, jobs.WithZones(r.node.zones))
		var files []string
		if bad := (*jobs.FileError)(nil); errors.As(err, &bad) {
			files = bad.Files
		} else if err == nil {
			files = s.Files
		}
		if slices.Equal(files, r.files) {
			return s, err
		}
		r.files = files
	}
}

// sourceSum identifies the content of a schedule file; zero when it cannot be read.
func sourceSum(path string) (sum [sha256.Size]byte) {
	if data, err := os.ReadFile(path); err == nil {
		sum = contentSum(data, nil)
	}
	return sum
}

// contentSum identifies the content of a schedule file and of the calendar files
// that belong to it. A calendar file that cannot be read is a content of its own.
func contentSum(schedule []byte, calendars []string) [sha256.Size]byte {
	sum := sha256.Sum256(schedule)
	for _, path := range calendars {
		h := sha256.New()
		h.Write(sum[:])
		if data, err := jobs.ReadCalendarFile(path); err != nil {
			fmt.Fprintf(h, "error: %v", err)
		} else {
			part := sha256.Sum256(data)
			h.Write(part[:])
		}
		h.Sum(sum[:0])
	}
	return sum
}
