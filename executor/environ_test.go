package executor

import (
	"os/user"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"carillon/jobs"
)

func TestEnvironPassesOnlyWhatIsListed(t *testing.T) {
	at := script("")
	at.Boot = "b1"
	at.Claim.Params = map[string]string{"day": "2026-11-22", "dry_run": ""}
	at.Job.Env = map[string]string{"PGHOST": "db1", "LANG": "de_DE.UTF-8", "CARILLON_RUN_ID": "forged"}
	host := []string{"PATH=/bin", "HOME=/root", "LANG=C", "LC_TIME=C", "CARILLON_REDIS=redis://:secret@db", "AWS_SECRET_ACCESS_KEY=s", "odd"}
	assert.Equal(t, []string{
		"CARILLON_ATTEMPT=1",
		"CARILLON_BOOT=b1",
		"CARILLON_EPOCH=7",
		"CARILLON_JOB=tidy",
		"CARILLON_NODE=n1",
		"CARILLON_PARAM_DAY=2026-11-22",
		"CARILLON_PARAM_DRY_RUN=",
		"CARILLON_RUN_ID=tidy@2026-11-22T02:00:00Z",
		"CARILLON_SCHEDULED_AT=2026-11-22T02:00:00Z",
		"CARILLON_STEP=job",
		"CARILLON_TRIGGER=schedule",
		"HOME=/root",
		"LANG=de_DE.UTF-8",
		"LC_TIME=C",
		"PATH=/bin",
		"PGHOST=db1",
	}, environ(at, host, nil))
}

func TestEnvironOfAnotherUser(t *testing.T) {
	env := environ(script(""), []string{"HOME=/root", "USER=root", "LOGNAME=root"}, &user.User{Username: "backup", HomeDir: "/var/backups"})
	assert.Contains(t, env, "HOME=/var/backups")
	assert.Contains(t, env, "USER=backup")
	assert.Contains(t, env, "LOGNAME=backup")
	assert.Contains(t, env, "PATH="+defaultPath, "a node without a PATH still finds commands")
}

func TestEnvironOfARunWithoutATick(t *testing.T) {
	at := script("")
	at.Claim.ScheduledAt = time.Time{}
	assert.Contains(t, environ(at, nil, nil), "CARILLON_SCHEDULED_AT=")
}

func TestEnvironOfAnUndo(t *testing.T) {
	at := script("")
	at.Claim.Failure, at.Claim.FailedAt = "exit\x00 status 1", "migrate"
	env := environ(at, nil, nil)
	for _, kv := range env {
		assert.NotContains(t, kv, "CARILLON_ERROR", "it is an undo's")
	}
	at.Part = Part{Step: "drain", Undo: true}
	env = environ(at, nil, nil)
	assert.Contains(t, env, "CARILLON_STEP=drain")
	assert.Contains(t, env, "CARILLON_FAILED_STEP=migrate")
	assert.Contains(t, env, "CARILLON_ERROR=exit status 1", "a NUL would keep it from being started")
}

func TestEnvironOfAFollowOnRun(t *testing.T) {
	at := script("")
	at.Claim.Trigger = jobs.TriggerAfter
	at.Claim.Upstream = &jobs.Upstream{Job: "backup", RunID: "backup@2026-11-22T02:00:00Z", Status: jobs.Failed, Error: "exit status 1"}
	env := environ(at, nil, nil)
	for _, kv := range []string{"CARILLON_TRIGGER=after", "CARILLON_UPSTREAM_JOB=backup", "CARILLON_UPSTREAM_RUN_ID=backup@2026-11-22T02:00:00Z",
		"CARILLON_UPSTREAM_STATUS=failed", "CARILLON_UPSTREAM_ERROR=exit status 1"} {
		assert.Contains(t, env, kv)
	}
	for _, trigger := range []jobs.Trigger{jobs.TriggerSchedule, jobs.TriggerManual, jobs.TriggerBackfill} {
		at.Claim.Trigger = trigger
		assert.Contains(t, environ(at, nil, nil), "CARILLON_TRIGGER="+string(trigger))
	}
}

func TestEnvironHasTheSecrets(t *testing.T) {
	at := script("")
	at.Job.Env = map[string]string{"PGHOST": "db1"}
	at.secrets = &secrets{values: map[string]string{"PGPASSWORD": "hunter22"}}
	assert.Contains(t, environ(at, nil, nil), "PGPASSWORD=hunter22")
}
