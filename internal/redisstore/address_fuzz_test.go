package redisstore

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzRedisAddress: an address is taken or refused with a sentence, and neither tells the
// password. It opens no file: what ca=, cert= and key= name is another test's.
func FuzzRedisAddress(f *testing.F) {
	for _, seed := range []string{
		"localhost:6379", "redis://h:1/0", "redis://h/99?db=1", "rediss://h?server_name=x", "rediss://h?skip_verify=true", "unix:///run/redis.sock?db=2",
		"redis+sentinel://a:1,b:2/main/3", "redis+cluster://a:1,b:2", "redis://h?conn_max_lifetime=1s", "redis://[::1]:6379/0", "redis://h:1/x", "http://h", "redis://%zz", "://",
		"redis://h?db=1&db=2", "redis://h?password=x", "unix://h/x",
	} {
		f.Add(seed, "secret-horse")
	}
	f.Add("redis://h:1/0", "p/a?s#s@w%rd")
	f.Fuzz(func(t *testing.T, raw, password string) {
		for _, file := range []string{"ca=", "cert=", "key="} {
			if decoded, err := url.QueryUnescape(raw); err != nil && strings.Contains(raw, "?") || strings.Contains(decoded, file) {
				return
			}
		}
		check := func(raw, secret string) {
			began := time.Now()
			target, err := parseURL(raw)
			require.Less(t, time.Since(began), 5*time.Second, "%q", raw)
			said := Redact(raw) + "\n"
			if err != nil {
				said += err.Error()
			} else {
				require.NotEmpty(t, target.name(), "%q", raw)
				said += target.name() + "\n"
				c := client(target, time.Second, 1) // connects to nobody
				require.NoError(t, c.Close())
			}
			if secret != "" {
				require.NotContains(t, said, secret, "%q", raw)
			}
		}
		check(raw, "")
		scheme, rest, found := strings.Cut(raw, "://")
		if found && len(password) >= 8 && !strings.Contains(raw, password) {
			check(scheme+"://user:"+url.QueryEscape(password)+"@"+rest, password)
			if !strings.Contains(rest, "@") {
				// As people write it who do not escape.
				check(scheme+"://user:"+password+"@"+rest, password)
			}
		}
	})
}
