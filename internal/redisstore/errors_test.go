package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

func TestErrorsAreClassified(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Class
	}{
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, Down},
		{errors.New("LOADING Redis is loading the dataset in memory"), Down},
		{errors.New("MASTERDOWN Link with MASTER is down"), Down},
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
	replica := redistest.StartReal(t, "--replicaof", host+" "+port)
	for _, c := range []struct {
		name, url string
		class     Class
		says      string
	}{
		{"no password", "redis://" + secured.Addr(), Fatal, "wants a password"},
		{"wrong password", "redis://:nope@" + secured.Addr(), Fatal, "password or user"},
		{"wrong database", "redis://" + master.Addr() + "/99", Fatal, "database number"},
		{"nobody there", "redis://127.0.0.1:1", Down, "nothing listens there"},
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
