package redisstore

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

// tlsURL puts an address for addr together; pairs are names and values.
func tlsURL(addr string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return "rediss://:hunter2@" + addr + "/0?" + q.Encode()
}

func TestTLSWithAnOwnCAAndAClientCertificate(t *testing.T) {
	ctx := context.Background()
	ca, other := redistest.NewCA(t), redistest.NewCA(t)
	cert, key := ca.Issue(t, "node")
	strange, strangeKey := other.Issue(t, "node")
	addr, _ := redistest.StartTLS(t, ca, "--requirepass", "hunter2")

	good := []string{"ca", ca.File, "cert", cert, "key", key, "server_name", "redis.test"}
	s, err := Open(Options{URL: tlsURL(addr, good...)})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Ping(ctx))
	require.NoError(t, s.CheckWritable(ctx))
	require.Equal(t, addr, s.Addr())

	believing, err := Open(Options{URL: tlsURL(addr, "skip_verify", "true", "cert", cert, "key", key, "client_name", "believer")})
	require.NoError(t, err)
	defer believing.Close()
	require.NoError(t, believing.Ping(ctx), "any certificate")
	require.Contains(t, s.cmd.ClientList(ctx).Val(), "name=believer ")

	for _, c := range []struct{ name, url, says string }{
		{"another CA", tlsURL(addr, "ca", other.File, "cert", cert, "key", key, "server_name", "redis.test"), "the certificate of this Redis is not what ca= and server_name="},
		{"the CAs of the host", tlsURL(addr, "cert", cert, "key", key, "server_name", "redis.test"), "the certificate of this Redis is not what ca= and server_name="},
		{"another name", tlsURL(addr, "ca", ca.File, "cert", cert, "key", key), "the certificate of this Redis is not what ca= and server_name="},
		{"no client certificate", tlsURL(addr, "ca", ca.File, "server_name", "redis.test"), "cert= and key="},
		{"a strange client certificate", tlsURL(addr, "ca", ca.File, "cert", strange, "key", strangeKey, "server_name", "redis.test"), "cert= and key="},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(Options{URL: c.url})
			require.NoError(t, err)
			defer s.Close()
			// The alert of a server that refuses us can be lost with the connection.
			require.Eventually(t, func() bool {
				err = s.Ping(ctx)
				return ClassOf(err) == Fatal
			}, 20*time.Second, 10*time.Millisecond, "%v", err)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestARenewedClientCertificateIsShown(t *testing.T) {
	ctx := context.Background()
	ca, other := redistest.NewCA(t), redistest.NewCA(t)
	cert, key := other.Issue(t, "node")
	addr, _ := redistest.StartTLS(t, ca, "--requirepass", "hunter2")
	s, err := Open(Options{URL: tlsURL(addr, "ca", ca.File, "cert", cert, "key", key, "server_name", "redis.test")})
	require.NoError(t, err)
	defer s.Close()
	require.Error(t, s.Ping(ctx), "a certificate of another CA")

	freshCert, freshKey := ca.Issue(t, "node")
	require.NoError(t, os.Rename(freshCert, cert))
	require.Error(t, s.Ping(ctx), "half of the files: the earlier pair goes on")
	require.NoError(t, os.Rename(freshKey, key))
	require.NoError(t, s.Ping(ctx))
}

func TestUnixSockets(t *testing.T) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "sock") //nolint:usetesting // a socket's path has at most 107 bytes
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "redis.sock")
	server := redistest.StartReal(t, "--unixsocket", socket, "--requirepass", "hunter2")

	s, err := Open(Options{URL: "unix://:hunter2@" + socket + "?db=1"})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.cmd.Set(ctx, "where", "here", 0).Err())
	require.Equal(t, socket, s.Addr())
	over, err := Open(Options{URL: "redis://:hunter2@" + server.Addr() + "/1"})
	require.NoError(t, err)
	defer over.Close()
	require.Equal(t, "here", over.cmd.Get(ctx, "where").Val(), "database 1 of the same server")

	none, err := Open(Options{URL: "unix://:hunter2@" + socket + ".gone"})
	require.NoError(t, err)
	defer none.Close()
	err = none.Ping(ctx)
	require.Equal(t, Transient, ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "there is no such socket")
	require.NotContains(t, err.Error(), "hunter2")

	wrong, err := Open(Options{URL: "unix://:hunter3@" + socket})
	require.NoError(t, err)
	defer wrong.Close()
	err = wrong.Ping(ctx)
	require.Equal(t, Fatal, ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "password or user")
}

func TestBadParametersOfAnAddress(t *testing.T) {
	ca := redistest.NewCA(t)
	cert, key := ca.Issue(t, "node")
	_, otherKey := redistest.NewCA(t).Issue(t, "node")
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for _, c := range []struct {
		url   string
		says  string
		class Class
	}{
		{"redis://:hunter2@h:1?tls=yes", `unknown parameter "tls": expected db, client_name, conn_max_idle_time, conn_max_lifetime`, Unclassified},
		{"redis://h:1?password=hunter2", `unknown parameter "password": expected db`, Unclassified},
		{tlsURL("h:1", "casert", "x"), "conn_max_lifetime, ca, cert, key, server_name, skip_verify", Unclassified},
		{"redis://:hunter2@h:1?ca=x", "parameter ca goes with rediss:// (TLS) alone", Unclassified},
		{"rediss://:hunter2@h:1?ca=x&ca=y", "parameter ca is there twice", Unclassified},
		{"redis://:hunter2@h:1?db=one", "expected redis://", Unclassified},
		{"redis://:hunter2@h:1?password=hunter2%", "what follows the ? cannot be read", Unclassified},
		{tlsURL("h:1", "cert", cert), "cert and key belong together", Unclassified},
		{"unix://:hunter2@run/redis.sock", "the absolute path of a socket", Unclassified},
		{"unix://:hunter2@", "the absolute path of a socket", Unclassified},
		{"redis+sentinel://:hunter2@a:1,b:2", "redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB", Unclassified},
		{"redis+sentinel://:hunter2@a:1,b:x/main", "redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB", Unclassified},
		{"redis+sentinel://:hunter2@a:1,b/main", "redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB", Unclassified},
		{"redis+sentinel://:hunter2@a,b:1/main", "redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB", Unclassified},
		{"redis://h:x?password=hunter2", "expected redis://", Unclassified},
		{"redis+sentinel://:hunter2@a:1,,b/main", "redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB", Unclassified},
		{"redis+sentinel://:hunter2@a:1/main/one", "redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB", Unclassified},
		{"redis+sentinel://:hunter2@a:1/main?ca=x", "parameter ca goes with rediss:// (TLS) alone", Unclassified},
		{tlsURL("h:1", "ca", missing), missing + ": no such file", Fatal},
		{tlsURL("h:1", "ca", key), key + ": no certificate in PEM form there", Fatal},
		{tlsURL("h:1", "cert", missing, "key", key), missing + ": no such file", Fatal},
		{tlsURL("h:1", "cert", cert, "key", missing), missing + ": no such file", Fatal},
		{tlsURL("h:1", "cert", cert, "key", otherKey), cert + " and " + otherKey + ": tls: private key does not match public key", Fatal},
	} {
		_, err := Open(Options{URL: c.url})
		require.ErrorContains(t, err, c.says, c.url)
		require.Equal(t, c.class, ClassOf(err), c.url)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestAddressesOfSentinels(t *testing.T) {
	target, err := parseURL("redis+sentinel://u:hunter2@a:1,b:26379/main/3")
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:26379"}, target.sentinels)
	require.Equal(t, "main", target.master)
	require.Equal(t, 3, target.DB)
	require.Equal(t, "u", target.Username)
	require.Equal(t, "hunter2", target.Password)
	require.Equal(t, "main of the sentinels a:1,b:26379", target.name())
}

func TestRedactedAddresses(t *testing.T) {
	for raw, want := range map[string]string{
		"redis://u:hunter2@h:1/0":                         "redis://u:xxxxx@h:1/0",
		"rediss://u:hunter2@h:1?ca=/ca.pem&server_name=n": "rediss://u:xxxxx@h:1?ca=/ca.pem&server_name=n",
		"redis://h:1?db=1&password=hunter2":               "redis://h:1?db=1&password=xxxxx",
		"redis://h:1?password=hunter2%":                   "redis://h:1?xxxxx",
		"unix://u:hunter2@/run/redis.sock?db=1":           "unix://u:xxxxx@/run/redis.sock?db=1",
		"redis+sentinel://:hunter2@a:1,b:2/main/0":        "redis+sentinel://:xxxxx@a:1,b:2/main/0",
		"redis://u/hunter2@h:1":                           "redis://***@h:1",
		"redis://u:hunter2/x@h:1":                         "redis://***@h:1",
		"redis://u:hunt%er2@h:1":                          "redis://***@h:1",
		"redis+cluster://":                                "redis+cluster://",
	} {
		require.Equal(t, want, Redact(raw))
	}
}
