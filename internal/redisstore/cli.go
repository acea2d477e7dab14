package redisstore

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// CommandLine is how redis-cli reaches the Redis of an address, and where to look for
// what it cannot say: "" for nowhere. It asks for a password where there is one, and
// never has it.
func CommandLine(raw string) (command, where string) {
	t, err := parseURL(raw)
	if err != nil {
		return "redis-cli", ""
	}
	words := []string{"redis-cli"}
	add := func(more ...string) {
		for _, w := range more {
			words = append(words, shellWord(w))
		}
	}
	switch {
	case t.sentinels != nil:
		add("-h", "MASTER", "-p", "PORT")
		where = "MASTER and PORT: " + hostWords(t.sentinels[0]) + " SENTINEL GET-MASTER-ADDR-BY-NAME " + shellWord(t.master)
	case t.nodes != nil:
		words = append(words, "-c", strings.TrimPrefix(hostWords(t.nodes[0]), "redis-cli "))
		where = "a setting is changed on one node of the cluster: the same on the others"
	case t.Network == "unix":
		add("-s", t.Addr)
	default:
		words = []string{hostWords(t.Addr)}
	}
	if t.Username != "" {
		add("--user", t.Username)
	}
	if t.Password != "" {
		add("--askpass")
	}
	if t.TLSConfig != nil {
		add("--tls")
		var q url.Values
		if u, err := url.Parse(raw); err == nil {
			q = u.Query()
		}
		for _, f := range [][2]string{{"ca", "--cacert"}, {"cert", "--cert"}, {"key", "--key"}, {"server_name", "--sni"}} {
			if v := q.Get(f[0]); v != "" {
				add(f[1], v)
			}
		}
		if t.TLSConfig.InsecureSkipVerify {
			add("--insecure")
		}
	}
	if t.DB != 0 {
		add("-n", strconv.Itoa(t.DB))
	}
	return strings.Join(words, " "), where
}

func hostWords(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "redis-cli"
	}
	return "redis-cli -h " + shellWord(host) + " -p " + shellWord(port)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// shellWord writes a word so that a shell takes it for one.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
