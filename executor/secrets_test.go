package executor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func variables(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

func TestSecretsAreReadOnTheNode(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, text, 0o600)
		return path
	}
	node := variables(map[string]string{"TOKEN": "a token\n", "EMPTY": "", "LONG": strings.Repeat("x", maxSecret+1)})
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for name, c := range map[string]struct {
		secret jobs.Secret
		value  string
		text   string
	}{
		"a file":                  {jobs.Secret{File: write("plain", "hunter22")}, "hunter22", ""},
		"with a line end":         {jobs.Secret{File: write("line", "hunter22\n")}, "hunter22", ""},
		"of another system":       {jobs.Secret{File: write("dos", "hunter22\r\n")}, "hunter22", ""},
		"only one of them":        {jobs.Secret{File: write("two", " hunter22\n\n")}, " hunter22\n", ""},
		"a variable, as it is":    {jobs.Secret{Env: "TOKEN"}, "a token\n", ""},
		"no file":                 {jobs.Secret{File: dir + "/none"}, "", "secret S: file " + dir + "/none does not exist on this node: create it, or mend the job's secrets"},
		"an empty file":           {jobs.Secret{File: write("empty", "\n")}, "", "is empty on this node: write the value into it"},
		"a folder":                {jobs.Secret{File: dir}, "", "is no regular file"},
		"a pipe that nobody ends": {jobs.Secret{File: pipe}, "", "is no regular file"},
		"a file of anything":      {jobs.Secret{File: write("big", strings.Repeat("x", maxSecret+1))}, "", "is longer than 64 KiB"},
		"no variable":             {jobs.Secret{Env: "NONE"}, "", "secret S: variable NONE is not set in the environment of this node: set it where the node is started, or mend the job's secrets"},
		"an empty variable":       {jobs.Secret{Env: "EMPTY"}, "", "variable EMPTY is empty"},
		"a variable of anything":  {jobs.Secret{Env: "LONG"}, "", "is longer than 64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			c.secret.Name = "S"
			s, err := readSecrets([]jobs.Secret{c.secret}, node)
			if c.text != "" {
				require.ErrorContains(t, err, c.text)
				return
			}
			require.NoError(t, err)
			require.Equal(t, map[string]string{"S": c.value}, s.values)
		})
	}
	s, err := readSecrets(nil, node)
	require.NoError(t, err)
	require.Nil(t, s)
	require.Equal(t, "text", s.redact("text"))
	_, err = readSecrets([]jobs.Secret{{Name: "A", Env: "NO"}, {Name: "B", File: dir + "/no"}}, node)
	require.ErrorContains(t, err, "secret A: variable NO")
	require.ErrorContains(t, err, "; secret B: file ", "all at once")
}

func TestEveryLineOfASecretIsOne(t *testing.T) {
	s, err := readSecrets([]jobs.Secret{{Name: "KEY", Env: "KEY"}, {Name: "PIN", Env: "PIN"}},
		variables(map[string]string{"KEY": "-----BEGIN KEY-----\r\n  MIIEabcd\nx1\n\n-----END KEY-----\n", "PIN": "123"}))
	require.NoError(t, err)
	assert.Equal(t, "the key is *** in x1", s.redact("the key is MIIEabcd in x1"), "a line of two bytes occurs by chance")
	assert.Equal(t, "pin 123", s.redact("pin 123"), "so does a value of three")
	assert.Equal(t, "***", s.redact("-----BEGIN KEY-----\r\n  MIIEabcd\nx1\n\n-----END KEY-----"))
}

func withSecret(t *testing.T, job *jobs.Job, value string) *jobs.Job {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	writeFile(t, path, value+"\n", 0o600)
	job.Secrets = []jobs.Secret{{Name: "PGPASSWORD", File: path}}
	return job
}

func TestSecretsStayOutOfOutputAndErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := withSecret(t, release(), "hunter22")
		job.Steps[0].Retry = jobs.Retry{Attempts: 2}
		store := newFakeStore(claimOf(1))
		h := startJob(store, 1, job, func(_ context.Context, _ Attempt, out io.Writer) error {
			for _, c := range "with hunter22 and hunter2" {
				fmt.Fprint(out, string(c))
			}
			return fmt.Errorf("log in with hunter22: no")
		})
		time.Sleep(time.Second)
		h.end(t)
		results, _ := store.snapshot()
		require.Len(t, results, 1)
		assert.Equal(t, `step "drain": log in with ***: no`, results[0].Error)
		assert.Equal(t, "--- step drain, try 1 of 2 ---\nwith *** and ***\n"+
			"--- step \"drain\": log in with ***: no: trying again in 0s ---\n"+
			"--- step drain, try 2 of 2 ---\nwith *** and ***", store.logged())
		assert.EqualValues(t, len(store.logged()), results[0].OutputBytes)
	})
}

func TestACommandGetsItsSecrets(t *testing.T) {
	store := newFakeStore(claimOf(1))
	job := withSecret(t, &jobs.Job{Name: "j", Digest: "d", Action: jobs.Action{Kind: jobs.ActionRun,
		Script: `echo "length ${#PGPASSWORD}, value $PGPASSWORD"; printf hunt; sleep 0.1; echo er22; exit 3`}}, "hunter22")
	h := startJob(store, 1, job, nil)
	require.Eventually(t, func() bool { r, _ := store.snapshot(); return len(r) == 1 }, 10*time.Second, time.Millisecond)
	h.end(t)
	results, _ := store.snapshot()
	assert.Equal(t, "exit status 3", results[0].Error)
	assert.Equal(t, "length 8, value ***\n***\n", store.logged())
}

func TestAnAnswerThatBreaksOffInASecret(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", bodyKept-5)+"hunter22"+"and more")
	})
	out := &buffer{}
	report := newActions(t, 0).Run(t.Context(), new(request(jobs.HTTPRequest{URL: url})), NewRedactor(out, "hunter22"))
	require.NoError(t, report.Err)
	assert.Contains(t, out.String(), "xxx***\ncarillon: of a longer answer")
	assert.NotContains(t, out.String(), "hunt")
}

func TestAMissingSecretFailsTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := release()
		job.Secrets = []jobs.Secret{{Name: "PGPASSWORD", File: "/no/such/file"}}
		d := &diary{}
		r, store := settled(t, job, claimOf(1), d)
		assert.Equal(t, jobs.Failed, r.Status)
		assert.Equal(t, "drain", r.FailedStep)
		assert.Equal(t, "secret PGPASSWORD: file /no/such/file does not exist on this node: create it, or mend the job's secrets", r.Error)
		assert.Empty(t, recordsOf(store))
		assert.Empty(t, d.did())

		r, _ = settled(t, job, undoing("migrate", "drain"), d)
		assert.Equal(t, jobs.RollbackFailed, r.Status)
		assert.Equal(t, "migrate", r.FailedStep)
		assert.Contains(t, r.Error, "does not exist on this node: create it, or mend the job's secrets; left to undo by hand, in this order: migrate, drain")
		assert.Empty(t, d.did())
	})
}

func TestAFileThatTheNodeMayNotRead(t *testing.T) {
	if os.Geteuid() == 0 {
		_, why := secretFile("/proc/self/mem")
		require.NotEmpty(t, why, "root may read everything that can be read")
		return
	}
	path := filepath.Join(t.TempDir(), "secret")
	writeFile(t, path, "hunter22", 0)
	_, why := secretFile(path)
	require.Contains(t, why, "may not be read by the node: let its user read the file")
}
