package carillon

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"carillon/jobs"
)

// reloader follows the schedule file. It watches the folder, not the file:
// editors replace files, and Kubernetes swaps a link above them. Where watching
// does not work (some network file systems) it looks every half minute.
type reloader struct {
	node  *Node
	adopt func(*jobs.Schedule)

	seen    [sha256.Size]byte // of the content that was read last, good or bad
	missing bool
}

const (
	reloadSettle = 250 * time.Millisecond // an editor writes in several steps
	reloadPoll   = 30 * time.Second
)

// Run follows the file until ctx ends.
func (r *reloader) Run(ctx context.Context) error {
	path := r.node.opts.File
	r.seen = r.node.source
	r.look(false) // the file may have changed since New

	var changes <-chan fsnotify.Event
	var faults <-chan error
	if w, err := watchFolders(path); err != nil {
		r.node.log.Warn("the schedule file cannot be watched; looking every half minute", "file", path, "error", err)
	} else {
		defer w.Close()
		changes, faults = w.Events, w.Errors
	}
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

// watchFolders watches the file's folder, and the folder of what it links to.
func watchFolders(path string) (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	folders := []string{filepath.Dir(path)}
	if real, err := filepath.EvalSymlinks(path); err == nil && filepath.Dir(real) != folders[0] {
		folders = append(folders, filepath.Dir(real))
	}
	for _, f := range folders {
		if err := w.Add(f); err != nil {
			_ = w.Close()
			return nil, err
		}
	}
	return w, nil
}

// look reads the file and takes it over if it is new and good. asked says that
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
	sum := sha256.Sum256(data)
	if sum == r.seen && !asked {
		return
	}
	r.seen = sum
	current := r.node.definitions.current()
	s, err := jobs.Parse(path, data, jobs.WithZones(r.node.zones))
	if err == nil {
		err = checkFuncs(s, r.node.opts.Funcs)
	}
	switch {
	case err == nil && s.Digest == current.Digest:
		if asked {
			log.Info("reloaded: nothing changed", "file", path, "digest", s.Digest)
		}
	case err != nil:
		log.Error("the schedule file is bad; the old schedule stays in force", "file", path, "digest", current.Digest, "error", err)
	default:
		r.adopt(s)
		giveBack(s)
		log.Info("reloaded the schedule", "file", path, "jobs", len(s.Jobs), "digest", s.Digest, "was", current.Digest)
	}
}

// sourceSum identifies the content of a schedule file; zero when it cannot be read.
func sourceSum(path string) (sum [sha256.Size]byte) {
	if data, err := os.ReadFile(path); err == nil {
		sum = sha256.Sum256(data)
	}
	return sum
}
