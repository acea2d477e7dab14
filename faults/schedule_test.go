package faults

import (
	"fmt"
	"strings"
)

// kind is one kind of job of the storm, and what may be expected of its runs.
type kind struct {
	name     string
	of20     int      // so many of twenty jobs
	text     string   // the job; TAKE, WITNESS and HTTP are replaced
	everyone bool     // every tick runs: nothing of the schedule is in its way
	alone    bool     // two runs of it never run beside each other
	once     bool     // a run starts at most once
	fails    bool     // its runs end as failed
	steps    []string // the steps of a run, in order
	undone   bool     // its runs end as rolled_back
	replaced bool     // a later tick may cancel a run
	upstream bool     // a job follows it
	second   int      // it falls due every so many seconds
}

// kinds are the jobs of the storm. All of them are due every second or every few, and
// no tick is ever too old to be caught up.
var kinds = []kind{
	{name: "plain", of20: 7, everyone: true, second: 1,
		text: `overlap: allow, command: [WITNESS, take=150ms]`},
	{name: "first", of20: 1, everyone: true, second: 1, upstream: true,
		text: `overlap: allow, command: [WITNESS, take=50ms]`},
	{name: "skip", of20: 2, alone: true, second: 1,
		text: `overlap: skip, command: [WITNESS, alone, take=400ms]`},
	{name: "queue", of20: 1, alone: true, second: 1,
		text: `overlap: queue, command: [WITNESS, alone, take=1200ms]`},
	{name: "replace", of20: 1, alone: true, replaced: true, second: 1,
		text: `overlap: replace, command: [WITNESS, alone, take=1500ms]`},
	{name: "flaky", of20: 2, everyone: true, second: 1,
		text: `overlap: allow, retry: {attempts: 3, backoff: 200ms}, command: [WITNESS, take=100ms, fail=first]`},
	{name: "broken", of20: 1, everyone: true, second: 1, fails: true,
		text: `overlap: allow, retry: {attempts: 2, backoff: 200ms}, command: [WITNESS, take=50ms, fail=always]`},
	{name: "once", of20: 2, everyone: true, second: 1, once: true,
		text: `overlap: allow, delivery: at-most-once, command: [WITNESS, take=200ms]`},
	{name: "http", of20: 1, everyone: true, second: 1,
		text: `overlap: allow, nodes: {network: ours}, http: {method: POST, url: "HTTP"}`},
	{name: "long", of20: 1, everyone: true, second: 5, // longer than a lease: another attempt may begin while it lasts
		text: `overlap: allow, command: [WITNESS, take=7s]`},
	{name: "lone", of20: 1, alone: true, second: 1, // so that a run is in the way nearly always
		text: `overlap: skip, catch_up: latest, command: [WITNESS, alone, take=7s]`},
	{name: "steps", of20: 1, everyone: true, second: 3, steps: []string{"a", "b", "c"},
		text: `overlap: allow, steps: [` + step("a", "") + `, ` + step("b", "") + `, ` + step("c", "") + `]`},
	{name: "undone", of20: 1, everyone: true, second: 3, steps: []string{"a", "b", "c"}, undone: true,
		text: `overlap: allow, steps: [` + step("a", "") + `, ` + step("b", "") + `, ` + step("c", ", fail=c") + `]`},
}

func step(name, more string) string {
	return `{name: ` + name + `, command: [WITNESS, take=100ms` + more + `], undo: {command: [WITNESS, undo, take=50ms]}}`
}

// job is one job of the storm.
type job struct {
	kind
	name     string
	follower string // the job that follows it, "" without one
	offset   int    // the first second of a minute at which it falls due
}

// compose writes a schedule of so many jobs.
func compose(n int, witness, dir, url string) (text string, jobs []job) {
	var all []kind
	for _, k := range kinds {
		for range k.of20 {
			all = append(all, k)
		}
	}
	words := strings.NewReplacer("WITNESS", fmt.Sprintf("%q, %q", witness, dir), "HTTP", url)
	var b strings.Builder
	b.WriteString("defaults: {catch_up: {policy: all, window: 24h, max: 10000}}\njobs:\n")
	for i := range n {
		// So that a small schedule has one of each too.
		k := all[i%len(all)]
		if i < len(kinds) {
			k = kinds[i]
		}
		j := job{kind: k, name: fmt.Sprintf("%s-%03d", k.name, i)}
		when := "* * * * * *"
		if k.second > 1 {
			j.offset = i % k.second
			when = fmt.Sprintf("%d/%d * * * * *", j.offset, k.second)
		}
		fmt.Fprintf(&b, "  %s: {schedule: %q, priority: %d, %s}\n", j.name, when, i%10, words.Replace(k.text))
		if k.upstream {
			j.follower = fmt.Sprintf("next-%03d", i)
			fmt.Fprintf(&b, "  %s: {after: {job: %s, when: done}, overlap: allow, %s}\n", j.follower, j.name, words.Replace(`command: [WITNESS, take=50ms]`))
		}
		jobs = append(jobs, j)
	}
	fmt.Fprintf(&b, "  %s: {%s}\n", byHand.name, words.Replace(byHand.text))
	return b.String(), jobs
}
