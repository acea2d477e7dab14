package jobs

import (
	"slices"
)

// maxSteps bounds a plan: how far each step has come is kept in the run's hash.
const maxSteps = 100

const stepsExpected = `a list such as [{name: migrate, run: ./migrate up, undo: {run: ./migrate down}}]`

var stepShape = shape[Step]{
	what: "a step",
	fields: slices.Concat([]field[Step]{
		{"name", func(d *decoder, e entry, s *Step) {
			name, ok := d.text(e, "the name of the step")
			if !ok {
				return
			}
			if why := badName("step", name); why != "" {
				d.problem(d.resolve(e.value), "%s", why)
				return
			}
			s.Name = name
		}},
	}, actionFields(func(s *Step) *Action { return &s.Action }), []field[Step]{
		{"undo", func(d *decoder, e entry, s *Step) { readUndo(d, e, &s.Undo) }},
		{"timeout", func(d *decoder, e entry, s *Step) { d.timeout(e, &s.Timeout) }},
		{"retry", func(d *decoder, e entry, s *Step) { readRetry(d, e, &s.Retry) }},
	}),
}

var undoShape = shape[Undo]{
	what: "undo",
	fields: slices.Concat(actionFields(func(u *Undo) *Action { return &u.Action }), []field[Undo]{
		{"timeout", func(d *decoder, e entry, u *Undo) { d.timeout(e, &u.Timeout) }},
		{"retry", func(d *decoder, e entry, u *Undo) { readRetry(d, e, &u.Retry) }},
	}),
}

// readSteps reads the steps of a job. The retry of a step is its own, within
// one attempt of the job; it does not start from the job's or the defaults'.
func readSteps(d *decoder, e entry, v *jobValue) {
	items, ok := d.list(e, stepsExpected)
	if !ok {
		return
	}
	switch {
	case len(items) == 0:
		d.problem(e.value, "steps is an empty list; expected %s", stepsExpected)
	case len(items) > maxSteps:
		d.problem(e.at, "steps has %d entries; expected at most %d", len(items), maxSteps)
		return
	}
	lines := map[string]int{}
	for _, item := range items {
		step := Step{Retry: newRetry()}
		keys, ok := object(d, item, stepShape.under(item), "keys such as {name: migrate, run: ./migrate up}", &step)
		if !ok {
			continue
		}
		name, named := keys.get("name")
		if !named {
			d.problem(item.at, "%s has no name; expected one, such as {name: migrate, run: ./migrate up}", item.path())
		}
		if line, twice := lines[step.Name]; twice && step.Name != "" {
			d.problem(name.value, "step name %s is taken; first given in line %d", quoted(step.Name), line)
		} else if named {
			lines[step.Name] = name.at.Line
		}
		if _, ok := d.exactlyOne(item, keys, item.path(), actionKeys); ok {
			d.checkCodes(keys, []Action{step.Action})
		}
		v.job.Steps = append(v.job.Steps, step)
	}
}

// readUndo reads what takes a step back, with a timeout and a retry of its own.
func readUndo(d *decoder, e entry, into **Undo) {
	undo := &Undo{Retry: newRetry()}
	keys, ok := object(d, e, undoShape.under(e), "an action, such as {run: ./migrate down}", undo)
	if !ok {
		return
	}
	if _, ok := d.exactlyOne(e, keys, e.path(), actionKeys); ok {
		d.checkCodes(keys, []Action{undo.Action})
	}
	*into = undo
}

// checkActions sees to it that the job does one thing, or steps, and has nothing
// that what it does cannot use.
func (d *decoder) checkActions(e entry, keys found, j *Job) {
	_, one := d.exactlyOne(e, keys, "the job", append(slices.Clone(actionKeys), "steps"))
	if undo, ok := keys.get("undo"); ok && keys.has("steps") {
		d.problem(undo.at, "undo is for a job of one action; give each of the steps its own")
	}
	d.checkStepTimeouts(e, keys, j)
	actions := j.Actions()
	if !one || !withoutProcess(actions) {
		return
	}
	// No process, so nothing of what only a process has: written here it is a
	// mistake, in the defaults it was meant for the other jobs.
	for _, key := range []string{"env", "dir", "user", "secrets"} {
		if k, ok := keys.get(key); ok {
			d.problem(k.at, "%s has no effect on %s; it is for command and run", key, kinds(actions))
		}
	}
	d.checkCodes(keys, actions)
	j.Env, j.Dir, j.User = nil, "", ""
}

// checkStepTimeouts refuses a step that its job does not give its time.
func (d *decoder) checkStepTimeouts(e entry, keys found, j *Job) {
	at, whose := e.at, "the default timeout of a job"
	if timeout, ok := keys.get("timeout"); ok {
		at, whose = timeout.at, "the timeout of the job"
	}
	for _, s := range j.Steps {
		if j.Timeout > 0 && s.Timeout > j.Timeout {
			d.problem(at, "the timeout %s of step %s is longer than %s, %s with all its steps; raise the one or lower the other",
				DurationText(s.Timeout), quoted(s.Name), DurationText(j.Timeout), whose)
		}
	}
}

// withoutProcess reports that none of the actions starts a process. One that
// could not be read may have been meant to.
func withoutProcess(actions []Action) bool {
	for _, a := range actions {
		if a.Kind != ActionHTTP && a.Kind != ActionFunc {
			return false
		}
	}
	return len(actions) > 0
}

// kinds lists the kinds of the actions for a message.
func kinds(actions []Action) string {
	var names []string
	for _, a := range actions {
		if !slices.Contains(names, string(a.Kind)) {
			names = append(names, string(a.Kind))
		}
	}
	return joined(names, "and")
}

// checkRelations compares values that must fit each other. The message is put
// where one of the two was written, and holds both.
func checkRelations(d *decoder, keys found, j *Job) {
	for _, starter := range []struct{ key, what string }{{"schedule", "a tick"}, {"at", "a tick"}, {"after", "a follow-on run"}} {
		at, ok := keys.get(starter.key)
		for _, p := range j.Params {
			if ok && p.Required {
				d.problem(at.at, "%s gives no params, but param %q is required; give it a default, or remove the %s to start the job only by hand",
					starter.what, p.Name, starter.key)
			}
		}
	}
	if running, ok := keys.get("max_running"); ok && j.Overlap != OverlapAllow {
		d.problem(running.at, "max_running bounds overlap: allow, but overlap is %s; add overlap: allow, or remove max_running", j.Overlap)
	}
	if every, ok := keys.get("every_node"); ok && j.EveryNode {
		checkEveryNode(d, every, keys, j)
	}
	for _, s := range j.Secrets {
		if _, twice := j.Env[s.Name]; twice {
			secrets, _ := keys.get("secrets")
			d.problem(secrets.at, "%s is in env too (the job's or the defaults'); a variable has one value, so take it out of one of them", s.Name)
		}
	}
}

// checkEveryNode refuses what has no meaning yet for one run on each node.
func checkEveryNode(d *decoder, at entry, keys found, j *Job) {
	if j.Overlap == OverlapQueue || j.Overlap == OverlapReplace {
		place := at.at
		if overlap, ok := keys.get("overlap"); ok {
			place = overlap.at
		}
		d.problem(place, "overlap is %s, but with every_node no run waits for the one before it on its node; use overlap: skip or allow", j.Overlap)
	}
	if group, ok := keys.get("group"); ok {
		d.problem(group.at, "group %s limits runs across the cluster, but with every_node each node has its own; remove the one or the other", quoted(j.Group))
	}
}
