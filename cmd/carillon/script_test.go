package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"carillon/internal/redistest"
)

// The scripts type what a user types and read what a user reads. Those in
// testdata/script/plain need nothing, those in embedded start nodes on an
// embedded server of their own, those in redis use a redis-server.

func TestMain(m *testing.M) {
	redistest.SideBySide(8)
	testscript.Main(m, map[string]func(){"carillon": main})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	runScripts(t, "plain", nil)
}

func TestScriptsWithAnEmbeddedServer(t *testing.T) {
	t.Parallel()
	runScripts(t, "embedded", nil)
}

func TestScriptsWithARedis(t *testing.T) {
	t.Parallel()
	open := redistest.Real(t)
	locked := redistest.Real(t, "--requirepass", "geheim")
	replica := redistest.Real(t, append([]string{"--replicaof"}, strings.Split(hostPort(open), ":")...)...)
	evicts := redistest.Real(t, "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
	keeps := redistest.Real(t, "--appendonly", "yes")
	looker := redistest.Real(t,
		"--user", "looker", "on", ">word", "~*", "&*", "+@all", "-info", "-config", "-scan", "-acl",
		"--user", "reader", "on", ">word", "~*", "&*", "+@read", "+@connection", "+info", "+time", "+acl")
	runScripts(t, "redis", map[string]string{"REDIS": open, "OPEN": hostPort(open), "LOCKED": hostPort(locked), "REPLICA": replica,
		"EVICTS": evicts, "KEEPS": keeps, "LOOKER": hostPort(looker)})
}

// The same commands say the same in a Redis Cluster, and doctor looks at the node of it
// that has the fleet.
func TestScriptsInACluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "--appendonly", "yes")
	runScriptFiles(t, []string{"redis/life.txt", "redis/pause.txt", "redis/real.txt", "cluster/doctor.txt"}, map[string]string{"REDIS": c.URL()})
}

func hostPort(url string) string {
	return strings.TrimSuffix(strings.TrimPrefix(url, "redis://"), "/0")
}

func runScripts(t *testing.T, dir string, env map[string]string) {
	files, err := filepath.Glob("testdata/script/" + dir + "/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", dir, err)
	}
	for i := range files {
		files[i] = strings.TrimPrefix(filepath.ToSlash(files[i]), "testdata/script/")
	}
	runScriptFiles(t, files, env)
}

func runScriptFiles(t *testing.T, files []string, env map[string]string) {
	paths := make([]string, len(files))
	for i, file := range files {
		paths[i] = "testdata/script/" + file
	}
	testscript.Run(t, testscript.Params{
		Files:               paths,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			// No script may meet a server that happens to run on this machine.
			port, err := freePort()
			e.Setenv("EMBEDDED", "127.0.0.1:"+port)
			e.Setenv("CARILLON_NAMESPACE", regexp.MustCompile(`[^A-Za-z0-9]`).ReplaceAllString(e.WorkDir[len(e.WorkDir)-12:], "-"))
			// A program under the race detector sleeps for a second before it ends
			// well, and the scripts run a hundred of them.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			for name, value := range env {
				e.Setenv(name, value)
			}
			return err
		},
		// [dryrun]: Redis 7.0 and newer have ACL DRYRUN.
		Condition: func(cond string) (bool, error) {
			if cond != "dryrun" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return redistest.Major(t) >= 7, nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":      exits,
			"eventually": eventually,
			"field":      field,
			"liar":       liar,
			"signal":     sendSignal,
		},
	})
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// exits runs a command and checks its exit code: exits CODE COMMAND...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	got := 0
	var exit *exec.ExitError
	err := ts.Exec(args[1], args[2:]...)
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, expected %s", got, args[0])
	}
}

// eventually repeats a command until it succeeds and its stdout matches:
// eventually REGEXP COMMAND...
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually REGEXP COMMAND...")
	}
	want := regexp.MustCompile(`(?m)` + args[0])
	for deadline := time.Now().Add(time.Minute); ; {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("still no %q (%v)", args[0], err)
		}
	}
}

// field puts a field of the JSON object on stdout into a variable: field NAME KEY.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: field NAME KEY")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
	value, ok := object[args[1]].(string)
	if !ok {
		ts.Fatalf("no text under %q", args[1])
	}
	ts.Setenv(args[0], value)
}

// liar makes a zone database in which Berlin is at Greenwich: liar FOLDER.
func liar(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: liar FOLDER")
	}
	// RFC 9636: a header with the six counts, and one type of local time.
	zone := "TZif" + strings.Repeat("\x00", 16) + strings.Repeat("\x00", 16) + "\x00\x00\x00\x01\x00\x00\x00\x04" + "\x00\x00\x00\x00\x00\x00" + "LIE\x00"
	folder := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Join(folder, "Europe"), 0o755))
	ts.Check(os.WriteFile(filepath.Join(folder, "Europe", "Berlin"), []byte(zone), 0o644))
	ts.Check(os.WriteFile(filepath.Join(folder, "tzdata.zi"), []byte("# version 1999a\n"), 0o644))
}

var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}

// sendSignal does what testscript's kill does, for the signals it does not know:
// signal NAME WORD sends it to the background command with that argument.
func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal TERM|HUP WORD")
	}
	for _, cmd := range ts.BackgroundCmds() {
		if slices.Contains(cmd.Args, args[1]) {
			ts.Check(cmd.Process.Signal(signals[args[0]]))
			return
		}
	}
	ts.Fatalf("no background command has the argument %q", args[1])
}
