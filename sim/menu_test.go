package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"carillon/jobs"
)

// dish is a job of the menu: what the file says of it, and how it behaves.
type dish struct {
	name   string
	yaml   string // a flow mapping without its braces
	other  string // what another version of the file says; "" is the same
	always bool   // in every seed
	needs  string // another job

	short, long time.Duration // how long a part takes
	lingers     int           // in how many of a hundred it takes longer than a lease
	fails       int           // in how many of a hundred it fails
}

// alone: two runs of the job are never under way at once.
func (d *dish) alone() bool { return !strings.Contains(d.yaml, "overlap: allow") }

// steady: no version of the file changes when it ticks.
func (d *dish) steady() bool {
	times := func(yaml string) string { t, _, _ := strings.Cut(yaml, ", func"); return t }
	return d.other == "" || times(d.other) == times(d.yaml)
}

const ms = time.Millisecond

// menu is what a seed chooses from. All handlers are one Go function.
var menu = []dish{
	{name: "skip", always: true, yaml: `schedule: "@every 3s", func: work`, short: 20 * ms, long: 1500 * ms, lingers: 3},
	{name: "allow", yaml: `schedule: "*/4 * * * * *", func: work, overlap: allow, max_running: 2`, short: 20 * ms, long: 4 * time.Second},
	{name: "queue", yaml: `schedule: "@every 5s", offset: 1s, func: work, overlap: queue`, short: 500 * ms, long: 6 * time.Second, lingers: 4},
	{name: "replace", yaml: `schedule: "@every 7s", func: work, overlap: replace`, short: 200 * ms, long: 9 * time.Second},
	{name: "retry", yaml: `schedule: "@every 6s", func: work, overlap: allow, retry: {attempts: 3, backoff: 1s}`, short: 10 * ms, long: 500 * ms, fails: 50},
	{name: "once", yaml: `schedule: "@every 8s", func: work, delivery: at-most-once`, short: 20 * ms, long: 5 * time.Second, lingers: 5},
	{name: "all", yaml: `schedule: "@every 9s", func: work, catch_up: {policy: all, window: 10m, max: 3}`, short: 20 * ms, long: 3 * time.Second},
	{name: "none", yaml: `schedule: "@every 5s", func: work, overlap: allow, catch_up: skip, priority: 9`, short: 5 * ms, long: 50 * ms},
	{name: "jitter", yaml: `schedule: "@every 10s", func: work, jitter: 4s`, short: 5 * ms, long: 50 * ms},
	{name: "minute", yaml: `schedule: ["* * * * *", "30 * * * * *"], func: work`, short: 20 * ms, long: 3 * time.Second},
	{name: "saga", yaml: `schedule: "@every 11s", retry: {attempts: 2, backoff: 1s}, steps: [` +
		`{name: a, func: work, undo: {func: work, retry: {attempts: 3, backoff: 500ms}}}, ` +
		`{name: b, func: work, retry: {attempts: 2, backoff: 200ms}, undo: {func: work, retry: {attempts: 3, backoff: 500ms}}}, ` +
		`{name: c, func: work}]`, short: 10 * ms, long: 1500 * ms, fails: 30, lingers: 2},
	{name: "undo", yaml: `schedule: "@every 13s", func: work, overlap: allow, undo: {func: work}`, short: 10 * ms, long: 2 * time.Second, fails: 60},
	{name: "everyone", yaml: `schedule: "@every 10s", func: work, every_node: true`, short: 10 * ms, long: 2 * time.Second},
	{name: "follow", needs: "saga", yaml: `after: {job: saga, when: done}, func: work, overlap: queue`, short: 10 * ms, long: 2 * time.Second},
	{name: "zoned", yaml: `schedule: "@every 12s", func: work, nodes: {zone: a}`, short: 10 * ms, long: time.Second},
	{name: "manual", always: true, yaml: `func: work, overlap: allow, undo: {func: work, retry: {attempts: 2, backoff: 500ms}}`, short: 10 * ms, long: 3 * time.Second, fails: 20, lingers: 3},
	{name: "killer", always: true, yaml: `func: work, overlap: allow`, short: 300 * ms, long: 3 * time.Second},
	// What another version of the file says otherwise.
	{name: "moved", yaml: `schedule: "@every 6s", func: work`, other: `schedule: "@every 4s", func: work`, short: 10 * ms, long: time.Second},
	{name: "mended", yaml: `schedule: "@every 5s", func: work`, other: `schedule: "@every 5s", func: work, timeout: 1m`, short: 10 * ms, long: 2 * time.Second},
	{name: "gone", yaml: `schedule: "@every 4s", func: work`, other: "-", short: 10 * ms, long: time.Second},
}

func dishOf(name string) *dish {
	i := slices.IndexFunc(menu, func(d dish) bool { return d.name == name })
	return &menu[i]
}

// drawJobs chooses six or so of the menu, these among them.
func drawJobs(r *rand.Rand, these []string) []string {
	var names []string
	for _, d := range menu {
		if d.always || slices.Contains(these, d.name) || r.IntN(100) < 32 && (d.needs == "" || slices.Contains(names, d.needs)) {
			names = append(names, d.name)
		}
	}
	return names
}

// files are the versions of the schedule file, in the order in which they are rolled
// out; the third takes back what the second changed.
func (p *plan) files() []*jobs.Schedule {
	var list []*jobs.Schedule
	for version := range 3 {
		var b strings.Builder
		fmt.Fprintf(&b, "version: 1\nrevision: %d\ntimezone: America/New_York\ndefaults: {unroutable_after: 10s, catch_up: {max: 3}}\njobs:\n", version+1)
		for _, name := range p.jobs {
			d := dishOf(name)
			text := d.yaml
			if version == 1 && d.other != "" {
				text = d.other
			}
			if text != "-" {
				fmt.Fprintf(&b, "  %s: {%s}\n", name, text)
			}
		}
		s, err := jobs.Parse("sim.yaml", []byte(b.String()))
		if err != nil {
			panic(fmt.Sprintf("sim: %v\n%s", err, b.String()))
		}
		list = append(list, s)
	}
	return list
}
