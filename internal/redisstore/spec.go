package redisstore

import (
	"encoding/json"
	"fmt"
	"strconv"

	"carillon/jobs"
)

// specWidth is SPEC_WIDTH of lua/lib_run.lua: what the scripts need to know of a
// job, in strings.
const specWidth = 14

// appendSpec appends a job's spec, in the order of lua/lib_run.lua. Its followers go
// as one JSON text.
func appendSpec(args []any, j *jobs.Job) []any {
	spec := specOf(j)
	if list, ok := spec[followersAt].([][2]any); ok {
		b, err := json.Marshal(list)
		if err != nil {
			panic(fmt.Sprintf("followers of %s: %v", j.Name, err)) // strings only
		}
		spec[followersAt] = string(b)
	}
	return append(args, spec[:]...)
}

// followersAt is where a spec has its followers.
const followersAt = 10

// specOf is a spec; its followers are "" or the list that is stamped on a run, so
// that its end starts what the schedule said when it was made. The specs of followers
// hold their own followers; the schedule has no cycles.
func specOf(j *jobs.Job) [specWidth]any {
	every, crashes, delivery, unroutable := "0", "", "", ""
	if j.EveryNode {
		every = "1"
	}
	var followers any = ""
	if len(j.Followers) > 0 {
		list := make([][2]any, len(j.Followers))
		for i, f := range j.Followers {
			list[i] = [2]any{string(f.After.When), specOf(f)}
		}
		followers = list
	}
	// What is as by default is not written into every run.
	if j.CrashRetries != 0 && j.CrashRetries != defaultCrashRetries {
		crashes = strconv.Itoa(j.CrashRetries)
	}
	if j.Delivery == jobs.DeliverAtMostOnce {
		delivery = string(j.Delivery)
	}
	if j.UnroutableAfter != 0 && j.UnroutableAfter != defaultUnroutable {
		unroutable = strconv.FormatInt(j.UnroutableAfter.Milliseconds(), 10)
	}
	return [specWidth]any{j.Name, j.Timing, strconv.Itoa(j.Priority), string(j.Overlap), strconv.Itoa(j.MaxRunning),
		j.Group, strconv.Itoa(j.GroupLimit), j.Digest, j.Route(), every, followers, crashes, delivery, unroutable}
}
