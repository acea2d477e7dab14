package redisstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
	"carillon/jobs"
)

func TestErrorsAreClassified(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Class
	}{
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, Transient}, // perhaps us alone,
		{errors.New("LOADING Redis is loading the dataset in memory"), Loading},
		{errors.New("MASTERDOWN Link with MASTER is down"), Transient},
		{errors.New("CLUSTERDOWN The cluster is down"), Transient}, // a node that is cut off says it too
		{errors.New("TRYAGAIN Multiple keys request during rehashing of slot"), Transient},
		{errors.New("ASK 866 127.0.0.1:7001"), Transient},
		{errors.New("MOVED 866 127.0.0.1:7001"), Fatal}, // with redis://; a client of a cluster goes there
		{errors.New("UNBLOCKED force unblock"), Transient},
		{io.EOF, Transient},
		{context.DeadlineExceeded, Transient},
		{&net.DNSError{Name: "nowhere", IsNotFound: true}, Transient},
		{errors.New("OOM command not allowed when used memory > 'maxmemory'"), Degraded},
		{errors.New("READONLY You can't write against a read only replica."), Degraded},
		// Redis 6.2 wraps what a command in a script answers.
		{errors.New("ERR Error running script (call to f_37833dcb): @user_script:299: @user_script: 299: -READONLY You can't write against a read only replica."), Degraded},
		{errors.New("ERR Error running script (call to f_37833dcb): @user_script:3: @user_script: 3: -OOM command not allowed when used memory > 'maxmemory'."), Degraded},
		{errors.New("ERR Error running script (call to f_37833dcb): @user_script:1: @user_script: 1: Script attempted to access a non local key in a cluster node"), Transient},
		{errors.New("ERR Script attempted to access a non local key in a cluster node script: 37833dcb, on @user_script:1."), Transient},
		{errors.New("MISCONF Redis is configured to save RDB snapshots"), Degraded},
		{errors.New("NOAUTH Authentication required."), Fatal},
		{errors.New("WRONGPASS invalid username-password pair or user is disabled."), Fatal},
		{errors.New("ERR DB index is out of range"), Fatal},
		{errors.New("NOPERM this user has no permissions"), Fatal},
		{errors.New("something of ours"), Unclassified},
	} {
		err := fmt.Errorf("outer: %w", wrap("do it", c.err))
		require.Equal(t, c.want, ClassOf(err), "%v", c.err)
		require.ErrorContains(t, err, "do it")
		require.ErrorIs(t, err, c.err)
	}
	require.NoError(t, wrap("x", nil))
}

func TestAWrongRedisIsNamed(t *testing.T) {
	ctx := context.Background()
	secured := redistest.StartReal(t, "--requirepass", "secret")
	master := redistest.StartReal(t)
	host, port, err := net.SplitHostPort(master.Addr())
	require.NoError(t, err)
	replica := redistest.StartReal(t, "--replicaof", host, port)
	for _, c := range []struct {
		name, url string
		class     Class
		says      string
	}{
		{"no password", "redis://" + secured.Addr(), Fatal, "wants a password"},
		{"wrong password", "redis://:nope@" + secured.Addr(), Fatal, "password or user"},
		{"wrong database", "redis://" + master.Addr() + "/99", Fatal, "database number"},
		{"nobody there", "redis://127.0.0.1:1", Transient, "nothing listens there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(Options{URL: c.url})
			require.NoError(t, err)
			defer s.Close()
			err = s.Ping(ctx)
			require.Error(t, err)
			require.Equal(t, c.class, ClassOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "nope", "a password is never shown")
		})
	}
	t.Run("replica", func(t *testing.T) {
		s, err := Open(Options{URL: "redis://" + replica.Addr()})
		require.NoError(t, err)
		defer s.Close()
		require.Eventually(t, func() bool {
			err = s.CheckWritable(ctx)
			return ClassOf(err) == Degraded
		}, 10*time.Second, 50*time.Millisecond)
		require.ErrorContains(t, err, "read-only replica")
	})
}

// An older Redis answers all commands that a start needs but one. A node must not get
// as far as its first script, which would fail in the middle.
func TestAnOlderRedisIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					switch strings.ToLower(lines.Text()) {
					case "hello":
						_, _ = io.WriteString(c, "-ERR unknown command `hello`\r\n")
					case "ping":
						_, _ = io.WriteString(c, "+PONG\r\n")
					case "rpop":
						_, _ = io.WriteString(c, "-ERR wrong number of arguments for 'rpop' command\r\n")
					}
				}
			}()
		}
	}()
	s, err := Open(Options{URL: "redis://" + l.Addr().String()})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Ping(t.Context()))
	err = s.CheckWritable(t.Context())
	require.Equal(t, Fatal, ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "this server is older than Redis 6.2")
}

func TestBadAddressesAndNamespaces(t *testing.T) {
	for url, says := range map[string]string{
		"":                               "is empty",
		"http://x":                       "expected redis://",
		"redis://user:hunter2@h:port/0":  "expected redis://",
		"redis://:hunter2@127.0.0.1/abc": "expected redis://",
	} {
		_, err := Open(Options{URL: url})
		require.ErrorContains(t, err, says, url)
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err := Open(Options{URL: "redis://h", Namespace: "a}b"})
	require.ErrorContains(t, err, "namespace")
	require.Equal(t, "redis://u:xxxxx@h:1/0", Redact("redis://u:p@h:1/0"))
}

// A server of something else is named as that.
func TestAServerThatIsNoRedisIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_ = c.Close()
		}
	}()
	s, err := Open(Options{URL: "redis://" + l.Addr().String()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	require.Eventually(t, func() bool { // it may have hung up before it was read
		err := s.Ping(t.Context())
		return err != nil && strings.Contains(err.Error(), "what answers there does not speak as Redis does")
	}, 10*time.Second, 10*time.Millisecond)
}

// What failed is said once, however many functions pass it on.
func TestAnErrorNamesItsCallOnce(t *testing.T) {
	server := redistest.StartReal(t)
	s, err := Open(Options{URL: server.URL(), Namespace: "test", Node: "n1", Boot: "b1"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	require.NoError(t, s.SyncClock(t.Context()))
	j := job("j")
	tick := s.Now().Truncate(time.Second)
	server.Kill()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // one try
	for call, err := range map[string]error{
		"heartbeat": second(s.Heartbeat(ctx, jobs.Node{}, nil)),
		"adopt":     second(s.Adopt(ctx, "t", []*jobs.Job{j})),
		"commit":    second(s.Commit(ctx, "t", []jobs.Decision{ran(j, tick)})),
		"sweep":     second(s.Sweep(ctx, "t", false, nil)),
		"release":   s.Release(ctx, []jobs.Release{{RunID: "j@x", Token: "t"}}),
		"leave":     s.Leave(ctx),
	} {
		require.Error(t, err, call)
		require.LessOrEqual(t, strings.Count(err.Error(), call), 1, "%v", err)
	}
}

func second[T any](_ T, err error) error { return err }
