package jobs

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// synonyms are the words that people bring along from other schedulers.
var synonyms = map[string]string{
	"cron": "schedule", "cronexpr": "schedule", "when": "schedule", "every": "schedule", "spec": "schedule",
	"cmd": "command", "exec": "command", "argv": "command", "args": "command", "shell": "run", "script": "run",
	"environment": "env", "environ": "env", "envs": "env", "tz": "timezone", "location": "timezone", "zone": "timezone",
	"retries": "retry", "max_attempts": "attempts", "tries": "attempts", "max_retries": "attempts", "delay": "backoff",
	"multiplier": "factor", "cwd": "dir", "workdir": "dir", "working_dir": "dir", "working_directory": "dir", "directory": "dir",
	"concurrency": "overlap", "concurrency_policy": "overlap", "misfire": "catch_up", "catchup_window": "catch_up",
	"parameters": "params", "disabled": "enabled", "suspend": "enabled", "desc": "description", "name": "description",
	"regex": "pattern", "regexp": "pattern", "match": "pattern", "status": "expect", "expected": "expect", "data": "body",
	"webhook": "http", "request": "http", "handler": "func", "function": "func", "username": "user", "run_as": "user",
	"addr": "url", "address": "url", "uri": "url", "verb": "method",
	"stages": "steps", "tasks": "steps", "rollback": "undo", "compensate": "undo", "revert": "undo", "depends_on": "after", "needs": "after",
	"follows": "after", "upstream": "job", "condition": "when", "labels": "nodes", "selector": "nodes", "node_selector": "nodes",
	"all_nodes": "every_node", "max_concurrency": "max_running", "max_parallel": "max_running", "mutex": "group", "lock": "group",
	"once": "at", "run_at": "at", "date": "dates", "days": "weekdays", "ical": "ics", "file": "ics", "from": "start", "until": "end", "start_date": "start",
	"end_date": "end", "not_before": "start", "not_after": "end", "splay": "jitter", "random_delay": "jitter", "every_weeks": "every_n",
	"daylight_saving": "dst", "holidays": "exclude", "except": "exclude", "blackout": "exclude", "ignore": "silence", "nolint": "silence",
	"exit_codes": "on", "choices": "enum", "values": "enum", "one_of": "enum", "kind": "type", "path": "file", "variable": "env",
}

// keyPlaces says which mapping each key belongs to, for a key that stands at
// the wrong depth. A key of several mappings is named with the first.
func keyPlaces() map[string]string {
	places := map[string]string{}
	add := func(what string, keys []string) {
		for _, k := range keys {
			if _, ok := places[k]; !ok {
				places[k] = what
			}
		}
	}
	add("a job and of defaults", defaultsShape.keys())
	add("a job", jobShape.keys())
	add("the file, outside of jobs", fileShape.keys())
	add("retry", retryShape.keys())
	add("catch_up", catchUpShape.keys())
	add("http", httpShape.keys())
	add("a param", paramShape.keys())
	add("a step", stepShape.keys())
	add("after", afterShape.keys())
	add("a group", groupShape.keys())
	add("a secret", secretShape.keys())
	add("a calendar", calendarShape.keys())
	add("dst", dstShape.keys())
	return places
}

// hintForKey completes the message about an unknown key: what it probably
// meant, where it belongs, or at least what is known here. The guess is "" when
// there is none.
func (d *decoder) hintForKey(e entry, known []string) (guess, hint string) {
	guess, ok := Nearest(e.key, known)
	for _, k := range known {
		if synonyms[strings.ToLower(e.key)] == k {
			guess, ok = k, true
		}
	}
	if ok {
		return guess, fmt.Sprintf("; did you mean %q?", guess)
	}
	if place, ok := d.places[e.key]; ok {
		return "", fmt.Sprintf("; %s is a key of %s: is it indented as it should be?", e.key, place)
	}
	hint = "; expected one of " + strings.Join(known, ", ")
	if e.prefix == "" && isJob(e.value) && known[len(known)-1] == "jobs" {
		hint += "; jobs are written under jobs:"
	}
	return "", hint
}

// isJob reports whether a value looks like a job: it has an action.
func isJob(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i < len(n.Content); i += 2 {
		switch n.Content[i].Value {
		case "command", "run", "http", "func", "steps":
			return true
		}
	}
	return false
}
