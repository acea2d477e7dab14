package redistest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long a redis-server may take until it answers. A busy
// machine with two cores needs a second now and then.
const startTimeout = 15 * time.Second

// Real starts a redis-server on a free port of 127.0.0.1 and returns its URL.
// It keeps nothing on disk unless args (redis-server flags such as
// "--appendonly", "yes") say otherwise, and is killed when the test ends.
func Real(t testing.TB, args ...string) string {
	t.Helper()
	return StartReal(t, args...).URL()
}

// StartReal is Real for tests that hurt their server.
func StartReal(t testing.TB, args ...string) *Server {
	t.Helper()
	bin := binary(t)
	s, err := start(bin, t.TempDir(), args)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	t.Cleanup(s.Kill)
	return s
}

// StartSentinel starts a sentinel with this configuration file, which it rewrites.
func StartSentinel(t testing.TB, file string) *Server {
	t.Helper()
	bin := binary(t)
	var err error
	for range 4 { // somebody else may take the port
		s := &Server{bin: bin, dir: filepath.Dir(file), sentinel: file}
		if s.addr, err = freeAddr(); err != nil {
			break
		}
		if err = s.launch(); err == nil {
			t.Cleanup(s.Kill)
			return s
		}
		if !errors.Is(err, errExited) {
			break
		}
	}
	t.Fatalf("redistest: %v", err)
	return nil
}

// Server is one redis-server process. Its methods may be called from any
// goroutine; those that fail panic, since there is nothing a test could do.
type Server struct {
	bin  string
	dir  string
	addr string
	args []string

	sentinel string // the file of a sentinel

	mu      sync.Mutex
	proc    *process // nil while there is none
	stopped bool     // by Stop
}

// URL is redis://127.0.0.1:port/0. It stays the same over a Restart.
func (s *Server) URL() string { return "redis://" + s.addr + "/0" }

// Addr is 127.0.0.1:port.
func (s *Server) Addr() string { return s.addr }

// Stop freezes the process (SIGSTOP): connections stay open, nothing answers.
func (s *Server) Stop() { s.signal(syscall.SIGSTOP) }

// Cont lets a stopped process go on (SIGCONT).
func (s *Server) Cont() { s.signal(syscall.SIGCONT) }

// Kill ends the process (SIGKILL) and waits until it is gone. What was not
// persisted is lost. Killing a dead server is no error.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return
	}
	s.proc.kill()
	s.proc = nil
}

// Restart starts the process again on the same port and directory, after Kill
// or instead of it, and waits until it answers.
func (s *Server) Restart() {
	s.Kill()
	if err := s.launch(); err != nil {
		panic(fmt.Sprintf("redistest: restart: %v", err))
	}
}

// running is false when there is no process, and while it is stopped.
func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc != nil && !s.stopped
}

func (s *Server) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		panic(fmt.Sprintf("redistest: %v: the server is not running", sig))
	}
	if err := s.proc.cmd.Process.Signal(sig); err != nil {
		panic(fmt.Sprintf("redistest: %v: %v", sig, err))
	}
	s.stopped = sig == syscall.SIGSTOP
}

// binary finds redis-server, or ends the test.
func binary(t testing.TB) string {
	t.Helper()
	bin, err := findBinary()
	if err == nil {
		return bin
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("redistest: %v", err)
	}
	t.Skipf("redistest: %v", err)
	return ""
}

// Major is the version of the server that tests get, as far as the first dot: there are
// settings and commands that older ones do not have.
func Major(t testing.TB) int {
	t.Helper()
	out, err := exec.Command(binary(t), "--version").Output()
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	_, rest, _ := strings.Cut(string(out), "v=")
	number, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("redistest: no version in %q", out)
	}
	return major
}

func findBinary() (string, error) {
	if bin := os.Getenv("CARILLON_REDIS_SERVER"); bin != "" {
		return bin, nil
	}
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return "", errors.New("no redis-server here: apt-get install redis-server, or set CARILLON_REDIS_SERVER")
	}
	return bin, nil
}

// start launches a server on a free port. Between finding the port and binding
// it somebody else may take it, so it tries a few.
func start(bin, dir string, args []string) (*Server, error) {
	var err error
	for range 4 {
		s := &Server{bin: bin, dir: dir, args: args}
		if s.addr, err = freeAddr(); err != nil {
			return nil, err
		}
		if err = s.launch(); err == nil {
			return s, nil
		}
		if !errors.Is(err, errExited) {
			break
		}
	}
	return nil, err
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (s *Server) launch() error {
	host, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{
		"--bind", host, "--port", port, "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}, s.args...)
	if s.sentinel != "" {
		args = []string{s.sentinel, "--sentinel", "--bind", host, "--port", port}
	}
	p, err := spawn(s.bin, args, filepath.Join(s.dir, "redis.log"))
	if err != nil {
		return err
	}
	if err := p.waitReady(s.addr); err != nil {
		p.kill()
		return err
	}
	s.mu.Lock()
	s.proc, s.stopped = p, false
	s.mu.Unlock()
	return nil
}

// process is one running redis-server.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has been reaped
}

// spawn starts the process from a goroutine that keeps its thread until the
// process has ended: the kernel sends the parent-death signal when the thread
// that forked ends, and a test binary that is killed must leave no server.
func spawn(bin string, args []string, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(bin, args...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = dieWithParent()
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		defer out.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", bin, err)
	}
	return p, nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

var errExited = errors.New("redis-server ended at once")

// waitReady returns when the server answers PING, with PONG or with a demand
// for a password, and is not loading.
func (p *process) waitReady(addr string) error {
	deadline := time.After(startTimeout)
	for {
		answer, err := ping(addr)
		if err == nil && (strings.HasPrefix(answer, "+PONG") || strings.HasPrefix(answer, "-NOAUTH")) {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%w: %s", errExited, p.tail())
		case <-deadline:
			return fmt.Errorf("redis-server on %s does not answer after %v (%q, %v): %s", addr, startTimeout, answer, err, p.tail())
		case <-time.After(3 * time.Millisecond):
		}
	}
}

func (p *process) tail() string {
	b, _ := os.ReadFile(p.log)
	b = bytes.TrimSpace(b)
	return string(b[max(0, len(b)-600):])
}

func ping(addr string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}
