package redisstore

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/internal/redistest"
)

func TestCommandLineOfAnAddress(t *testing.T) {
	for raw, want := range map[string]string{
		"redis://10.0.0.5":                             "redis-cli -h 10.0.0.5 -p 6379",
		"10.0.0.5:6380":                                "redis-cli -h 10.0.0.5 -p 6380",
		"redis://[::1]:6380/3":                         "redis-cli -h ::1 -p 6380 -n 3",
		"redis://:geheim99@db:6379/0":                  "redis-cli -h db -p 6379 --askpass",
		"redis://carillon:geheim99@db:6379":            "redis-cli -h db -p 6379 --user carillon --askpass",
		"redis://carillon%20x:geheim99@db":             "redis-cli -h db -p 6379 --user 'carillon x' --askpass",
		"rediss://db:6380":                             "redis-cli -h db -p 6380 --tls",
		"rediss://db:6380?server_name=r.example":       "redis-cli -h db -p 6380 --tls --sni r.example",
		"rediss://db:6380?skip_verify=true":            "redis-cli -h db -p 6380 --tls --insecure",
		"unix:///run/redis.sock?db=2":                  "redis-cli -s /run/redis.sock -n 2",
		"unix://u:geheim99@/run/my redis.sock":         "redis-cli -s '/run/my redis.sock' --user u --askpass",
		"redis+sentinel://:geheim99@a:26379,b:2/one/1": "redis-cli -h MASTER -p PORT --askpass -n 1 (MASTER and PORT: redis-cli -h a -p 26379 SENTINEL GET-MASTER-ADDR-BY-NAME one)",
		"redis+cluster://a:7000,b:7001":                "redis-cli -c -h a -p 7000 (a setting is changed on one node of the cluster: the same on the others)",
		"nonsense://":                                  "redis-cli",
	} {
		command, where := CommandLine(raw)
		if where != "" {
			command += " (" + where + ")"
		}
		assert.Equal(t, want, command, raw)
		assert.NotContains(t, command, "geheim99", raw)
	}
}

// redis-cli takes what it is given, in a shell.
func TestCommandLineReachesIt(t *testing.T) {
	if _, err := exec.LookPath("redis-cli"); err != nil {
		t.Skip("there is no redis-cli on this machine")
	}
	socket := t.TempDir() + "/my redis.sock"
	s := redistest.StartReal(t, "--unixsocket", socket)
	for _, raw := range []string{s.URL(), "unix://" + socket} {
		command, _ := CommandLine(raw)
		out, err := exec.Command("sh", "-c", command+" PING").CombinedOutput()
		require.NoError(t, err, "%s: %s", command, out)
		assert.Equal(t, "PONG", strings.TrimSpace(string(out)), command)
	}
}
