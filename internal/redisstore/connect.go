package redisstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// The parameters of an address. Those of tlsParameters are ours, and go with
// rediss:// alone; the client library reads the others.
var (
	parameters    = []string{"db", "client_name", "conn_max_idle_time", "conn_max_lifetime"}
	tlsParameters = []string{"ca", "cert", "key", "server_name", "skip_verify"}
)

// target is where an address leads.
type target struct {
	*redis.Options
	sentinels []string // host:port; empty: Options has the address of Redis itself
	master    string   // what the sentinels call it
	nodes     []string // host:port of some nodes of a cluster; empty: it is none
	owner     *owner   // of the slot of our keys, in a cluster
}

// several: who has our data can change.
func (t *target) several() bool { return t.sentinels != nil || t.nodes != nil }

// name is the address for people, without credentials.
func (t *target) name() string {
	switch {
	case t.nodes != nil:
		return "the cluster of " + strings.Join(t.nodes, ",")
	case t.sentinels == nil:
		return t.Addr
	}
	return t.master + " of the sentinels " + strings.Join(t.sentinels, ",")
}

// parseURL reads an address. What it says of a bad one never has a password in it.
//
//	redis://[USER:PASSWORD@]HOST:PORT/DB
//	rediss://…?ca=FILE&cert=FILE&key=FILE&server_name=NAME
//	unix://[USER:PASSWORD@]/PATH?db=DB
//	redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/MASTER/DB
//	redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT
//	rediss+cluster://…?ca=FILE&cert=FILE&key=FILE&server_name=NAME
func parseURL(raw string) (*target, error) {
	if raw == "" {
		return nil, errors.New("redis address is empty: expected redis://HOST:PORT/DB")
	}
	if !strings.Contains(raw, "://") {
		raw = "redis://" + raw
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("redis address %s: "+format, append([]any{Redact(raw)}, args...)...)
	}
	malformed := bad("expected redis://[USER:PASSWORD@]HOST:PORT/DB, rediss://…, unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB or redis+cluster://HOST:PORT,HOST:PORT")
	u, err := url.Parse(raw)
	if err != nil {
		return nil, malformed // their words quote the URL
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, bad("what follows the ? cannot be read: expected NAME=VALUE&NAME=VALUE")
	}
	known := parameters
	secure := u.Scheme == "rediss" || u.Scheme == "rediss+cluster"
	if secure {
		known = slices.Concat(parameters, tlsParameters)
	}
	for name, values := range q {
		switch {
		case slices.Contains(known, name) && len(values) > 1:
			return nil, bad("parameter %s is there twice", name)
		case slices.Contains(known, name):
		case slices.Contains(tlsParameters, name):
			return nil, bad("parameter %s goes with rediss:// (TLS) alone", name)
		case strings.Contains(u.RawQuery, "@"): // perhaps the end of a password with a "?" in it
			return nil, malformed
		default:
			return nil, bad("unknown parameter %q: expected %s", name, strings.Join(known, ", "))
		}
	}
	if u.Scheme == "unix" && (u.Host != "" || len(u.Path) < 2 || strings.Contains(u.Path, "://")) {
		return nil, bad("expected the absolute path of a socket: unix:///PATH")
	}
	files := certificates{ca: q.Get("ca"), cert: q.Get("cert"), key: q.Get("key")}
	name := q.Get("server_name")
	for _, ours := range []string{"ca", "cert", "key", "server_name"} {
		q.Del(ours)
	}
	u.RawQuery = q.Encode()
	t := new(target)
	switch u.Scheme {
	case "redis+sentinel":
		if !t.takeSentinels(u) {
			return nil, malformed
		}
	case "redis+cluster", "rediss+cluster":
		if !t.takeNodes(u) {
			return nil, malformed
		}
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, malformed
	}
	if t.nodes != nil && o.DB != 0 {
		return nil, bad("a cluster has only database 0")
	}
	t.Options = o
	if o.TLSConfig == nil {
		return t, nil
	}
	o.TLSConfig.MinVersion = tls.VersionTLS12
	if t.nodes != nil {
		o.TLSConfig.ServerName = "" // each node has its own
	}
	if name != "" {
		o.TLSConfig.ServerName = name
	}
	if (files.cert == "") != (files.key == "") {
		return nil, bad("cert and key belong together: give both, or neither")
	}
	if err := files.use(o.TLSConfig); err != nil {
		return nil, err
	}
	return t, nil
}

// takeSentinels takes the sentinels and the name of the master off the URL, and
// leaves the address of a plain Redis.
func (t *target) takeSentinels(u *url.URL) (ok bool) {
	if t.sentinels, ok = hostsOf(u); !ok {
		return false
	}
	master, db, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	t.master = master
	u.Scheme, u.Host, u.Path = "redis", t.sentinels[0], "/"+db
	return master != ""
}

// takeNodes takes the nodes of a cluster off the URL, and leaves the address of a
// plain Redis.
func (t *target) takeNodes(u *url.URL) (ok bool) {
	if t.nodes, ok = hostsOf(u); !ok {
		return false
	}
	u.Scheme, u.Host = strings.TrimSuffix(u.Scheme, "+cluster"), t.nodes[0]
	return true
}

// hostsOf reads HOST:PORT,HOST:PORT.
func hostsOf(u *url.URL) (hosts []string, ok bool) {
	for _, host := range strings.Split(u.Host, ",") {
		name, port, found := strings.Cut(host, ":")
		if _, err := strconv.ParseUint(port, 10, 16); !found || name == "" || err != nil {
			return nil, false
		}
		hosts = append(hosts, net.JoinHostPort(name, port))
	}
	return hosts, true
}

// Redact returns an address without its password, and without the values of
// parameters that it does not know.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || astray(u) {
		// A password with a "/", "#", "?" or "%" in it takes the rest of the URL along.
		if at := strings.LastIndex(raw, "@"); at >= 0 {
			return "redis://***@" + raw[at+1:]
		}
		if err != nil {
			raw, _, _ = strings.Cut(raw, "?")
			return raw
		}
	}
	if u.Host == "" && u.Path == "" && u.User == nil && u.Opaque == "" && u.RawQuery == "" {
		return raw // a URL that is a scheme alone would lose its slashes
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		u.RawQuery = "xxxxx"
		return u.Redacted()
	}
	for name := range q {
		if !slices.Contains(parameters, name) && !slices.Contains(tlsParameters, name) {
			q.Set(name, "xxxxx")
			u.RawQuery = q.Encode()
		}
	}
	return u.Redacted()
}

// astray: an "@" stands where no password ends, so that one may have been read as
// something else.
func astray(u *url.URL) bool {
	elsewhere := u.Opaque + u.RawQuery + u.Fragment
	if u.Scheme != "unix" || strings.Contains(u.Path, "://") { // the path of a socket may have one
		elsewhere += u.Path
	}
	return strings.Contains(elsewhere, "@")
}

// certificates are the files of a TLS connection: "" where there is none.
type certificates struct {
	ca   string // who vouches for Redis; "": the CAs of the host
	cert string // what we show to Redis
	key  string

	mu   sync.Mutex
	last *tls.Certificate // the last good pair of cert and key
}

// use puts the files into a configuration. A file that cannot be used is Fatal.
func (c *certificates) use(config *tls.Config) error {
	if c.ca != "" {
		text, err := os.ReadFile(c.ca)
		if err != nil {
			return &Error{Op: "read ca of the Redis address", Class: Fatal, Err: err}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return &Error{Op: "read ca of the Redis address", Class: Fatal, Err: fmt.Errorf("%s: no certificate in PEM form there", c.ca)}
		}
	}
	if c.cert == "" {
		return nil
	}
	if _, err := c.load(); err != nil {
		return &Error{Op: "read cert and key of the Redis address", Class: Fatal, Err: err}
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.load() }
	return nil
}

// load reads cert and key, at every new connection: certificates are renewed while
// a node lives. While the files do not fit, the last good pair goes on.
func (c *certificates) load() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	switch {
	case err == nil:
		c.last = &pair
	case c.last == nil && !isPathError(err):
		return nil, fmt.Errorf("%s and %s: %w", c.cert, c.key, err)
	case c.last == nil:
		return nil, err // names its file
	}
	return c.last, nil
}

func isPathError(err error) bool {
	var path *os.PathError
	return errors.As(err, &path)
}

// honest applies the settings that keep go-redis honest: no retries of its own
// (they repeat mutating calls), deadlines from the context, no extra commands on
// connect and no lookups in the constructor.
func honest(o *redis.Options, io time.Duration, pool int) *redis.Options {
	o.Protocol = 2
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.MaxRetries = -1
	o.ContextTimeoutEnabled = true
	o.DialTimeout = io
	o.ReadTimeout = io
	o.WriteTimeout = io
	o.DialerRetries = 1
	o.PoolSize = pool
	o.PoolTimeout = io
	o.PipelinePoolSize = -1
	return o
}

func client(t *target, io time.Duration, pool int) *redis.Client {
	o := *t.Options
	honest(&o, io, pool)
	if t.owner != nil {
		o.Dialer = t.owner.connect
		c := redis.NewClient(&o)
		c.AddHook(slotErrors{t.owner})
		return c
	}
	if t.sentinels == nil {
		return redis.NewClient(&o)
	}
	c := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: t.master, SentinelAddrs: t.sentinels, Dialer: o.Dialer,
		Username: o.Username, Password: o.Password, DB: o.DB, ClientName: o.ClientName,
		Protocol: o.Protocol, DisableIdentity: o.DisableIdentity, MaxRetries: o.MaxRetries,
		ContextTimeoutEnabled: o.ContextTimeoutEnabled, DialTimeout: io, ReadTimeout: io, WriteTimeout: io, DialerRetries: o.DialerRetries,
		PoolSize: pool, PoolTimeout: io, PipelinePoolSize: o.PipelinePoolSize,
		ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime,
	})
	c.AddHook(sentinelErrors{t})
	return c
}
