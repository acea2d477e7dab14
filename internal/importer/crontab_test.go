package importer

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/jobs"
)

func TestCrontabsBecomeTheExpectedSchedules(t *testing.T) {
	for _, file := range sources(t, "crontab", ".user", ".system") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			opts := Options{File: filepath.Base(file), Version: "1.2.3", System: filepath.Ext(file) == ".system"}
			if opts.System {
				opts.Timezone = "Europe/Berlin"
			}
			r, err := Crontab(readFile(t, file), opts)
			require.NoError(t, err)
			golden(t, file, r)
		})
	}
}

func TestSettingsAreReadAsCronReadsThem(t *testing.T) {
	for line, want := range map[string]string{
		`A=b`:             "A|b",
		`A = b c `:        "A|b c",
		`A="b c "`:        "A|b c ",
		`A = 'b "c"'  `:   `A|b "c"`,
		`"A" = b`:         "A|b",
		`'A B'=c`:         "A B|c",
		`A=`:              "A|",
		`A=""`:            "A|",
		`A=b=c`:           "A|b=c",
		`A=b # c`:         "A|b # c",
		`A=$B`:            "A|$B",
		"A\t=\tb\t":       "A|b",
		`=b`:              "|b",
		`A b=c`:           "",
		`A="b" c`:         "",
		`A="b`:            "",
		`"A=b"=c`:         "",
		`A`:               "",
		`* * * * * A=b c`: "",
		`@daily A=b`:      "",
		`"A`:              "",
	} {
		v, ok := readSetting(line)
		got := ""
		if ok {
			got = v.name + "|" + v.value
		}
		assert.Equal(t, want, got, "%s", line)
	}
}

func TestThePercentSignEndsTheCommand(t *testing.T) {
	for line, want := range map[string][2]string{
		`date`:            {"date", ""},
		`date +\%F`:       {"date +%F", ""},
		`date +\%F\%T`:    {"date +%F%T", ""},
		`cat%a`:           {"cat", "a\n"},
		`cat%a%b`:         {"cat", "a\nb\n"},
		`cat%a%`:          {"cat", "a\n"},
		`cat%a%%`:         {"cat", "a\n\n"},
		`cat%`:            {"cat", ""},
		`cat%%`:           {"cat", "\n"},
		`cat%100\%`:       {"cat", "100%\n"},
		`cat%a\b`:         {"cat", "a\\b\n"},
		`grep '\.'`:       {`grep '\.'`, ""},
		`grep '\\.'`:      {`grep '\\.'`, ""},
		`cat\\%a`:         {`cat\\`, "a\n"}, // the backslashes guard each other
		`cat%a\\%b`:       {"cat", "a\\%b\n"},
		`cat\\\%a`:        {`cat\\%a`, ""},
		`echo a\`:         {`echo a\`, ""},
		`cat%a\`:          {"cat", "a\\\n"},
		`echo "it's $A"%`: {`echo "it's $A"`, ""},
	} {
		command, input, _ := cutInput(line)
		assert.Equal(t, want, [2]string{command, input}, "%s", line)
	}
}

// cronInput is child_process of cronie's do_command.c, statement by statement: the
// command and what is written to its standard input.
func cronInput(line string) (command, input string) {
	buf := append([]byte(line), 0)
	escaped := false
	in, p := 0, 0
	for ; buf[in] != 0; in, p = in+1, p+1 {
		ch := buf[in]
		if p != in {
			buf[p] = ch
		}
		if escaped {
			if ch == '%' {
				p--
				buf[p] = ch
			}
			escaped = false
			continue
		}
		if ch == '\\' {
			escaped = true
			continue
		}
		if ch == '%' {
			buf[in] = 0
			in++
			break
		}
	}
	command = string(buf[:p])
	var out strings.Builder
	newline := false
	escaped = false
	for ; in < len(buf) && buf[in] != 0; in++ {
		ch := buf[in]
		if escaped {
			if ch != '%' {
				out.WriteByte('\\')
			}
		} else if ch == '%' {
			ch = '\n'
		}
		if escaped = ch == '\\'; !escaped {
			out.WriteByte(ch)
			newline = ch != '\n'
		}
	}
	if escaped {
		out.WriteByte('\\')
	}
	if newline {
		out.WriteByte('\n')
	}
	return command, out.String()
}

func TestThePercentSignIsCronies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.StringOfN(rapid.SampledFrom([]rune(`ab%%\\ '"$`)), 0, 20, -1).Draw(t, "line")
		command, input, _ := cutInput(line)
		wantCommand, wantInput := cronInput(line)
		if command != wantCommand || input != wantInput {
			t.Fatalf("%q: got %q with %q, cron has %q with %q", line, command, input, wantCommand, wantInput)
		}
	})
}

// run does with a job what a node does: sh -c, or the argv.
func run(t require.TestingT, j *jobs.Job) string {
	argv := j.Action.Command
	if j.Action.Kind == jobs.ActionRun {
		argv = []string{"/bin/sh", "-c", j.Action.Script}
	}
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	require.NoError(t, err, "%q: %s", argv, out)
	return string(out)
}

func TestACommandGetsTheInputThatCronGaveIt(t *testing.T) {
	// A shell that no rule knows: it is only asked for -c.
	odd := filepath.Join(t.TempDir(), "oddsh")
	require.NoError(t, writeScript(odd, "#!/bin/sh\ntest \"$1\" = -c || exit 9\nexec /bin/sh -c \"$2\"\n"))
	shells := []string{"", "SHELL=/bin/sh\n", "SHELL=" + odd + "\n"}
	if bash, err := exec.LookPath("bash"); err == nil {
		shells = append(shells, "SHELL="+bash+"\n")
	}
	commands := []string{
		"cat",
		`cat; echo "it's" '$HOME' \\ $((1 + 1)) "\%"`,
		"{ cat; } | cat # a comment",
		`sh -c 'cat; echo "done"'`,
		"while IFS= read -r line; do printf '[\\%s]\\\\n' \"$line\"; done",
	}
	rapid.Check(t, func(t *rapid.T) {
		shell := rapid.SampledFrom(shells).Draw(t, "shell")
		command := rapid.SampledFrom(commands).Draw(t, "command")
		text := rapid.OneOf(
			rapid.StringOfN(rapid.SampledFrom([]rune("ab %%\\'\"$`!#&<>()é\t")), 0, 30, -1),
			rapid.SampledFrom([]string{"INPUT", "a%INPUT%INPUT2%b", "%%", " leading%\ttab", "$(date)%`date`%$HOME", "'\"'\"'", "-n", "", "a%"}),
		).Draw(t, "input")
		line := command + "%" + text
		r, err := Crontab([]byte(shell+"* * * * * "+line+"\n"), Options{File: "c", Timezone: "UTC"})
		require.NoError(t, err)
		require.Equal(t, 1, r.Jobs, "%v", r.Complaints)
		s, err := jobs.Parse("c", r.YAML)
		require.NoError(t, err)

		wantCommand, wantInput := cronInput(line)
		cmd := exec.Command("/bin/sh", "-c", wantCommand)
		cmd.Stdin = strings.NewReader(wantInput)
		want, err := cmd.CombinedOutput()
		require.NoError(t, err)
		if !strings.HasSuffix(wantInput, "\n") && wantInput != "" {
			t.Skip("an input that ends in a lone backslash gets a line break, and a note says so")
		}
		if got := run(t, s.Jobs[0]); got != string(want) {
			t.Fatalf("%q\ngot  %q\nwant %q\n%s", line, got, want, r.YAML)
		}
	})
}

func TestAnInputWithoutALastLineBreakIsNoted(t *testing.T) {
	r, err := Crontab([]byte("* * * * * cat%\\\n"), Options{File: "c", Timezone: "UTC"})
	require.NoError(t, err)
	assert.Equal(t, "\\\n", run(t, only(t, r)))
	assert.Contains(t, r.Complaints[len(r.Complaints)-1].Message, "here it ends in a line break")
}

func TestCommandsStayAsTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		command := rapid.StringMatching(`[!-$&-~]([ !-$&-~é\t]{0,60}[!-$&-~])?`).Draw(t, "command")
		r, err := Crontab([]byte("* * * * * "+command+"\n"), Options{File: "c", Timezone: "UTC"})
		require.NoError(t, err)
		if r.Jobs == 0 {
			t.Skip("an option of cron")
		}
		s, err := jobs.Parse("c", r.YAML)
		require.NoError(t, err)
		got := strings.TrimSuffix(s.Jobs[0].Action.Script, "\n")
		if !strings.HasSuffix(command, got) { // "-n cmd" has lost its option
			t.Fatalf("%q became %q\n%s", command, got, r.YAML)
		}
		if !strings.HasPrefix(command, "-") && got != command {
			t.Fatalf("%q became %q\n%s", command, got, r.YAML)
		}
	})
}

func TestNamesComeFromCommands(t *testing.T) {
	for command, want := range map[string]string{
		"/usr/local/bin/backup.sh --full":                                    "backup",
		"cd /srv/app && php artisan schedule:run >> /dev/null 2>&1":          "artisan-schedule:run",
		"test -x /usr/sbin/anacron || { cd / && run-parts /etc/cron.daily;}": "cron.daily",
		"[ -x /usr/bin/certbot ] && certbot renew":                           "certbot-renew",
		"PATH=/bin:$PATH FOO=1 nice -n 19 ionice -c3 /opt/reindex.py":        "reindex",
		"flock -n /tmp/x.lock /opt/run it":                                   "run-it",
		"sudo -u www-data /usr/bin/python3 /srv/manage.py clearsessions":     "manage-clearsessions",
		"bash -c 'source ~/.env; ./sync.sh'":                                 "sync",
		"timeout 5m curl -fsS https://example.com/ping":                      "curl",
		"docker exec web bin/console cache:clear":                            "docker-exec",
		"perl -e 'sleep int(rand(43200))' && certbot -q renew":               "certbot",
		`"/opt/my tools/run.sh" x`:                                           "my",
		"$HOME/bin/daily.job >> $HOME/tmp/out 2>&1":                          "daily.job",
		"true":                         "true",
		"[ -x ]":                       "[",
		"for f in *; do gzip $f; done": "gzip",
		"日本":                           "日本",
		"node /srv/jobs/report.js":     "report",
		"python -m compileall":         "compileall",
	} {
		assert.Equal(t, want, nameOf(command), "%s", command)
	}
	taken := names{}
	assert.Equal(t, []string{"a", "a-2", "a-3", "job", "job-2", "A-b"},
		[]string{taken.take("a"), taken.take("a"), taken.take("a-"), taken.take("日本"), taken.take(""), taken.take("A  b")})
	long := strings.Repeat("x", 80)
	assert.Equal(t, long[:64], taken.take(long))
	assert.Equal(t, long[:62]+"-2", taken.take(long))
}

func TestWhatIsNoCrontabIsRefused(t *testing.T) {
	_, err := Crontab([]byte("a\nb\x00c"), Options{File: "x.bin"})
	assert.EqualError(t, err, "import x.bin: line 2 has a NUL character; expected a text file")
	_, err = Crontab(make([]byte, maxSource+1), Options{File: "x.bin"})
	assert.ErrorContains(t, err, "larger than 4 MiB")
	_, err = Crontab([]byte("* * * * * x\n"), Options{File: "x", Timezone: "Europe/Belin"})
	assert.ErrorContains(t, err, `did you mean "Europe/Berlin"?`)
	r, err := Crontab(nil, Options{File: "empty"})
	require.NoError(t, err)
	assert.Zero(t, r.Jobs)
	assert.Nil(t, r.YAML)
}

func TestASystemCrontabIsRecognized(t *testing.T) {
	assert.True(t, SystemCrontab("/etc/crontab"))
	assert.True(t, SystemCrontab("/etc/cron.d/certbot"))
	assert.False(t, SystemCrontab("/etc/cron.daily/x"))
	assert.False(t, SystemCrontab("crontab"))
	r, err := Crontab([]byte("0 1 * * * root /bin/a\n0 2 * * * www-data /bin/b\n"), Options{File: "c", Timezone: "UTC", Dir: "/"})
	require.NoError(t, err)
	require.Len(t, r.Complaints, 1)
	assert.Contains(t, r.Complaints[0].Message, "import it with --system")
	r, err = Crontab([]byte("0 1 * * * /bin/a --now\n"), Options{File: "c", Timezone: "UTC", Dir: "/", System: true})
	require.NoError(t, err)
	require.Len(t, r.Complaints, 1)
	assert.Contains(t, r.Complaints[0].Message, "is this the crontab of one user?")
}

func FuzzCrontab(f *testing.F) {
	for _, file := range []string{"mistakes.user", "web-team.user", "windows.user", "shells.user", "cronie.system", "database.system"} {
		f.Add(readFile(f, filepath.Join("testdata", "crontab", file)), strings.HasSuffix(file, ".system"))
	}
	f.Add([]byte("* * * * * a%\x1b\n#\x80\xe2\x80\xa8\n"), false)
	f.Fuzz(func(t *testing.T, data []byte, system bool) {
		opts := Options{File: "crontab", Timezone: "UTC", System: system}
		if err := check(data, opts); err != nil {
			return
		}
		r, err := Crontab(data, opts)
		if err != nil {
			t.Fatal(err) // what it writes is always a schedule
		}
		for _, c := range r.Complaints {
			if c.Message == "" || c.Kind == "" {
				t.Fatalf("an empty complaint: %v", c)
			}
		}
		if r.Jobs > 0 {
			s, err := jobs.Parse("crontab", r.YAML)
			if err != nil || len(s.Jobs) != r.Jobs {
				t.Fatalf("%v\n%s", err, r.YAML)
			}
		}
	})
}
