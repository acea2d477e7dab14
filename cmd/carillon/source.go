package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"carillon/jobs"
)

// Which schedule and which Redis: the flag wins, then the environment, then
// the file, then the default.

// path is the schedule file's path, and whether anybody named it.
func (a *app) path() (path string, named bool) {
	if a.opts.file != "" {
		return a.opts.file, true
	}
	if env := a.getenv("CARILLON_FILE"); env != "" {
		return env, true
	}
	return defaultFile, false
}

func (a *app) namespace() string {
	if a.opts.namespace != "" {
		return a.opts.namespace
	}
	if env := a.getenv("CARILLON_NAMESPACE"); env != "" {
		return env
	}
	return defaultNamespace
}

// schedule loads the schedule file; its errors end the process with exit 3.
func (a *app) schedule() (*jobs.Schedule, error) {
	path, _ := a.path()
	s, err := a.load(path)
	if err != nil {
		return nil, a.scheduleFailed(err)
	}
	return s, nil
}

// scheduleFailed puts an error of loading the schedule file into words.
func (a *app) scheduleFailed(err error) *exitError {
	path, named := a.path()
	return loadFailed(path, named, err)
}

// loadFailed is scheduleFailed of any file; named says that somebody named it.
func loadFailed(path string, named bool, err error) *exitError {
	var bad *jobs.FileError
	var classified *exitError
	switch {
	case errors.As(err, &classified): // the zones, not the file
		return classified
	case errors.As(err, &bad):
		e := fail(exitSchedule, "%s: %s", path, count(len(bad.Problems), "problem"))
		e.problems = bad.Problems
		return e
	case errors.Is(err, fs.ErrNotExist) && !named:
		return fail(exitSchedule, "there is no schedule.yaml in this directory: give -f FILE or set $CARILLON_FILE")
	case errors.Is(err, fs.ErrNotExist):
		return fail(exitSchedule, "schedule file %s: no such file", path)
	default:
		return &exitError{code: exitSchedule, err: err}
	}
}

// address is a Redis and why it is that one.
type address struct {
	url      string
	embedded bool   // nobody named one: the development server
	origin   string // "--redis", "$CARILLON_REDIS" or "redis.url of FILE"
}

// address finds the Redis. The file is read only when it is asked for its
// opinion, so that a broken one does not stop `runs --redis URL`.
func (a *app) address() (address, error) {
	if addr, ok := a.givenAddress(); ok {
		return addr, nil
	}
	path, named := a.path()
	if _, err := os.Stat(path); err != nil && !named {
		return a.embeddedAddress()
	}
	s, err := a.load(path)
	if err != nil {
		return address{}, a.scheduleFailed(err).withHint("the file is read for its redis.url: mend it, or give --redis")
	}
	if s.Redis != "" {
		return address{url: s.Redis, origin: "redis.url of " + path}, nil
	}
	return a.embeddedAddress()
}

// givenAddress is the address of the command line or the environment.
func (a *app) givenAddress() (address, bool) {
	if a.opts.redis != "" {
		return address{url: withScheme(a.opts.redis), origin: "--redis"}, true
	}
	if env := a.getenv("CARILLON_REDIS"); env != "" {
		return address{url: withScheme(env), origin: "$CARILLON_REDIS"}, true
	}
	return address{}, false
}

// givenLocks are the lock Redises of the command line or the environment.
func (a *app) givenLocks(flags []string) []string {
	if len(flags) > 0 {
		return withSchemes(flags)
	}
	if env := a.getenv("CARILLON_LOCK_REDIS"); env != "" {
		return withSchemes(strings.Split(env, ","))
	}
	return nil
}

func withSchemes(list []string) []string {
	urls := make([]string, len(list))
	for i, s := range list {
		urls[i] = withScheme(strings.TrimSpace(s))
	}
	return urls
}

func (a *app) embeddedAddress() (address, error) {
	if _, _, err := net.SplitHostPort(a.opts.embedded); err != nil {
		return address{}, fail(exitUsage, "--embedded %q: expected HOST:PORT, such as %s", a.opts.embedded, defaultEmbedded)
	}
	return address{url: "redis://" + a.opts.embedded + "/0", embedded: true, origin: "the embedded server"}, nil
}

// withScheme lets a bare host:port stand for a URL, as redis-cli users type it.
func withScheme(s string) string {
	if strings.Contains(s, "://") {
		return s
	}
	return "redis://" + s
}

// String is the address without its password, as short as it stays clear.
func (d address) String() string {
	u, err := url.Parse(d.url)
	switch {
	case err != nil:
		return "(an unreadable URL)"
	case u.Host == "" && u.Path == "" && u.User == nil && u.RawQuery == "":
		return d.url // nothing but a scheme
	case u.Scheme == "redis" && u.User == nil && (u.Path == "" || u.Path == "/" || u.Path == "/0") && u.RawQuery == "":
		return u.Host
	default:
		q := u.Query()
		for _, name := range secretQueries {
			if q.Has(name) {
				q.Set(name, "xxxxx")
				u.RawQuery = q.Encode()
			}
		}
		return u.Redacted()
	}
}

// secretQueries are the parameters of a Redis URL that nobody should read.
var secretQueries = []string{"password", "sentinel_password"}

// scrub takes the password out of an error that quotes the URL.
func (d address) scrub(text string) string {
	text = strings.ReplaceAll(text, d.url, d.String())
	for _, secret := range d.secrets() {
		text = strings.ReplaceAll(text, secret, "xxxxx")
	}
	return text
}

// secrets are the passwords in the address. Very short ones are left out: to
// replace every "a" of a sentence hides nothing and says nothing.
func (d address) secrets() []string {
	u, err := url.Parse(d.url)
	if err != nil {
		return nil
	}
	var found []string
	if u.User != nil {
		pw, _ := u.User.Password()
		found = append(found, pw)
	}
	for _, name := range secretQueries {
		found = append(found, u.Query().Get(name))
	}
	return slices.DeleteFunc(found, func(s string) bool { return len(s) < 4 })
}

const (
	pingPatience  = 3 * time.Second
	replyPatience = 15 * time.Second
)

// connect opens the store and makes sure that something answers, so that a
// command fails with one clear sentence and not in the middle of its work.
func (a *app) connect(ctx context.Context) (store, error) {
	addr, err := a.address()
	if err != nil {
		return nil, err
	}
	return a.connectTo(ctx, addr, pingPatience)
}

func (a *app) connectTo(ctx context.Context, addr address, patience time.Duration) (store, error) {
	st, err := a.open(addr, a.namespace())
	if err != nil {
		return nil, fail(exitUsage, "%s", addr.scrub(err.Error()))
	}
	pingCtx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := st.Ping(pingCtx); err != nil {
		_ = st.Close()
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, noRedis(addr, err)
	}
	return st, nil
}

func noRedis(addr address, err error) *exitError {
	why := addr.scrub(err.Error())
	if strings.HasPrefix(addr.url, "rediss") && errors.Is(err, context.DeadlineExceeded) {
		why += ", or does not speak TLS: then it is redis://" // it waits for the end of what it takes for a command
	}
	switch {
	case addr.embedded && errors.Is(err, syscall.ECONNREFUSED):
		return fail(exitNoRedis, "no Redis at %s, the embedded server's address: start `carillon up`, or give --redis / $CARILLON_REDIS / redis.url", addr)
	case addr.embedded:
		return fail(exitNoRedis, "no Redis at %s, the embedded server's address: %s", addr, why)
	default:
		return fail(exitNoRedis, "no Redis at %s (from %s): %s", addr, addr.origin, why)
	}
}

// withStore runs fn with a store that answers, and turns what goes wrong with
// it later into the right exit code.
func (a *app) withStore(ctx context.Context, fn func(st store) error) error {
	st, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	return storeFailed(ctx, fn(st))
}

// storeFailed classifies what a store answered: an exitError stays what it is,
// an interruption is not Redis's fault, the rest is.
func storeFailed(ctx context.Context, err error) error {
	var e *exitError
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.Is(err, errOutput):
		return err
	default:
		return fail(exitNoRedis, "%w", err)
	}
}

// errOutput marks a failed write to stdout, to tell it from a failed read.
var errOutput = errors.New("writing the output")

func outputFailed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errOutput, err)
}

// jobIn finds a job of the schedule, or says which one may have been meant.
func jobIn(s *jobs.Schedule, name string) (*jobs.Job, error) {
	if job := s.Job(name); job != nil {
		return job, nil
	}
	if job := s.Formerly(name); job != nil {
		return nil, fail(exitNotFound, "%s has no job %q: it is called %s now", s.Path, name, job.Name)
	}
	e := fail(exitNotFound, "%s has no job %q%s", s.Path, name, didYouMean("", name, jobNames(s)))
	return nil, e.withHint("`carillon jobs` lists them all")
}

func jobNames(s *jobs.Schedule) []string {
	names := make([]string, len(s.Jobs))
	for i, j := range s.Jobs {
		names[i] = j.Name
	}
	return names
}
