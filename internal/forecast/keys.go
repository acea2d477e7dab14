package forecast

import (
	"reflect"

	"carillon/jobs"
)

// keys are the keys of a job in the schedule file that have nothing to do with
// when its ticks are, each with what it says.
var keys = []struct {
	name string
	of   func(*jobs.Job) any
}{
	{"renamed_from", func(j *jobs.Job) any { return j.RenamedFrom }},
	{"description", func(j *jobs.Job) any { return j.Description }},
	{"command", func(j *jobs.Job) any { return j.Action.Command }},
	{"run", func(j *jobs.Job) any { return j.Action.Script }},
	{"http", func(j *jobs.Job) any { return j.Action.HTTP }},
	{"func", func(j *jobs.Job) any { return j.Action.Func }},
	{"undo", func(j *jobs.Job) any { return j.Undo }},
	{"steps", func(j *jobs.Job) any { return j.Steps }},
	{"env", func(j *jobs.Job) any { return j.Env }},
	{"dir", func(j *jobs.Job) any { return j.Dir }},
	{"user", func(j *jobs.Job) any { return j.User }},
	{"params", func(j *jobs.Job) any { return j.Params }},
	{"secrets", func(j *jobs.Job) any { return j.Secrets }},
	{"timeout", func(j *jobs.Job) any { return j.Timeout }},
	{"retry", func(j *jobs.Job) any { return j.Retry }},
	{"jitter", func(j *jobs.Job) any { return j.Jitter }},
	{"catch_up", func(j *jobs.Job) any { return j.CatchUp }},
	{"overlap", func(j *jobs.Job) any { return j.Overlap }},
	{"max_running", func(j *jobs.Job) any { return j.MaxRunning }},
	{"group", func(j *jobs.Job) any { return j.Group }},
	{"groups", func(j *jobs.Job) any { return j.GroupLimit }},
	{"priority", func(j *jobs.Job) any { return j.Priority }},
	{"pool", func(j *jobs.Job) any { return j.Pool }},
	{"nodes", func(j *jobs.Job) any { return j.Nodes }},
	{"every_node", func(j *jobs.Job) any { return j.EveryNode }},
	{"unroutable_after", func(j *jobs.Job) any { return j.UnroutableAfter }},
	{"crash_retries", func(j *jobs.Job) any { return j.CrashRetries }},
	{"on_lost", func(j *jobs.Job) any { return j.OnLost }},
	{"delivery", func(j *jobs.Job) any { return j.Delivery }},
	{"after", func(j *jobs.Job) any { return j.After }},
}

// changedKeys are the keys beside the timing that differ between two versions of a
// job, in the order of the table.
func changedKeys(old, edited *jobs.Job) []string {
	var changed []string
	for _, k := range keys {
		if !reflect.DeepEqual(k.of(old), k.of(edited)) {
			changed = append(changed, k.name)
		}
	}
	return changed
}

// changedFileKeys are the keys outside of jobs that differ and that no job shows:
// its zone, its group and its calendars are its own.
func changedFileKeys(old, edited *jobs.Schedule) []string {
	var changed []string
	if old.Redis != edited.Redis {
		changed = append(changed, "redis")
	}
	if old.MaxWait != edited.MaxWait {
		changed = append(changed, "max_wait")
	}
	return changed
}
