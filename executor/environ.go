package executor

import (
	"maps"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"carillon/jobs"
)

// bootVar marks every process of a node with the node's boot id. The watcher
// finds by it what it was not told of.
const bootVar = "CARILLON_BOOT"

// runVar says which run a process belongs to.
const runVar = "CARILLON_RUN_ID"

// defaultPath is where commands are looked for when nothing says otherwise.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// passed are the variables of the node that its commands see. All others stay
// behind: a node's environment holds the address and password of its Redis.
var passed = []string{"PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME", "SHELL", "TMPDIR"}

// environ is the environment of an attempt's command, sorted: of host only what
// is passed, then what belongs to the account (nil: the node's own), then the
// job's own variables and secrets, and over them what carillon says of the run,
// which a job cannot change.
func environ(at Attempt, host []string, account *user.User) []string {
	env := map[string]string{"PATH": defaultPath}
	for _, kv := range host {
		name, value, ok := strings.Cut(kv, "=")
		if ok && (slices.Contains(passed, name) || strings.HasPrefix(name, "LC_")) {
			env[name] = value
		}
	}
	if account != nil {
		env["HOME"], env["USER"], env["LOGNAME"] = account.HomeDir, account.Username, account.Username
	}
	maps.Copy(env, at.Job.Env)
	maps.Copy(env, at.secrets.environ())
	maps.Copy(env, identity(at))

	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// identity is what a command is told of its run. A run that no tick started has
// an empty CARILLON_SCHEDULED_AT, so that scripts under "set -u" work.
func identity(at Attempt) map[string]string {
	scheduled := ""
	if !at.Claim.ScheduledAt.IsZero() {
		scheduled = at.Claim.ScheduledAt.UTC().Format(jobs.TickLayout)
	}
	env := map[string]string{
		bootVar:                 at.Boot,
		"CARILLON_JOB":          at.Job.Name,
		runVar:                  at.Claim.RunID,
		"CARILLON_SCHEDULED_AT": scheduled,
		"CARILLON_TRIGGER":      string(at.Claim.Trigger),
		"CARILLON_ATTEMPT":      strconv.Itoa(at.Claim.Attempt),
		"CARILLON_EPOCH":        strconv.FormatInt(at.Epoch, 10),
		"CARILLON_NODE":         at.Node,
		"CARILLON_STEP":         at.Part.Step,
	}
	if at.Part.Undo {
		env["CARILLON_ERROR"] = oneValue(at.Claim.Failure)
		env["CARILLON_FAILED_STEP"] = at.Claim.FailedAt
	}
	if up := at.Claim.Upstream; up != nil {
		env["CARILLON_UPSTREAM_JOB"] = up.Job
		env["CARILLON_UPSTREAM_RUN_ID"] = up.RunID
		env["CARILLON_UPSTREAM_STATUS"] = string(up.Status)
		env["CARILLON_UPSTREAM_ERROR"] = oneValue(up.Error)
	}
	for name, value := range at.Claim.Params {
		env["CARILLON_PARAM_"+strings.ToUpper(name)] = value
	}
	return env
}

// oneValue makes a variable's value of the text of an error. A NUL in it, from
// some program's output, would keep the command from being started.
func oneValue(text string) string { return strings.ReplaceAll(text, "\x00", "") }

// lookup is the value of a variable in an environment list, "" if it has none.
func lookup(env []string, name string) string {
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}
