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

// appendSpec appends a job's spec, in the order of lua/lib_run.lua.
func appendSpec(args []any, j *jobs.Job) []any {
	for _, v := range specOf(j) {
		args = append(args, v)
	}
	return args
}

func specOf(j *jobs.Job) [specWidth]string {
	every, followers, crashes, delivery, unroutable := "0", "", "", "", ""
	if j.EveryNode {
		every = "1"
	}
	if len(j.Followers) > 0 {
		followers = followersOf(j)
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
	return [specWidth]string{j.Name, j.Timing, strconv.Itoa(j.Priority), string(j.Overlap), strconv.Itoa(j.MaxRunning),
		j.Group, strconv.Itoa(j.GroupLimit), j.Digest, j.Route(), every, followers, crashes, delivery, unroutable}
}

// followersOf is the list that is stamped on a run, so that its end starts what the
// schedule said when it was made. The specs of followers hold their own followers; the
// schedule has no cycles.
func followersOf(j *jobs.Job) string {
	list := make([][2]any, len(j.Followers))
	for i, f := range j.Followers {
		list[i] = [2]any{string(f.After.When), specOf(f)}
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic(fmt.Sprintf("followers of %s: %v", j.Name, err)) // strings only
	}
	return string(b)
}
