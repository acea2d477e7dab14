package jobs

func readRenamedFrom(d *decoder, e entry, v *jobValue) {
	name, ok := d.word(e, "the name that the job had before")
	if !ok {
		return
	}
	if why := badName("job", name); why != "" {
		d.problem(d.resolve(e.value), "renamed_from: %s", why)
		return
	}
	v.job.RenamedFrom, v.former = name, &e
}

// checkRenames sees to it that what a job had under its old name has one heir.
func (d *decoder) checkRenames(renames []link, entries []entry) {
	if len(renames) == 0 {
		return
	}
	declared := make(map[string]entry, len(entries))
	for _, e := range entries {
		declared[e.key] = e
	}
	heirs := make(map[string]*Job, len(renames))
	for _, r := range renames {
		d.job = r.job.Name
		at, name := d.resolve(r.at.value), r.job.RenamedFrom
		other, exists := declared[name]
		switch {
		case name == r.job.Name:
			d.problem(at, "renamed_from is the job's own name; expected the one that it had before")
		case exists:
			d.problem(at, "renamed_from is %s, which is a job of this file (line %d): what it did is its own; take one of the two away",
				quoted(name), other.at.Line)
		case heirs[name] != nil:
			d.problem(at, "renamed_from is %s, as it is of job %s (line %d): only one job can go on where %s ended",
				quoted(name), quoted(heirs[name].Name), heirs[name].Line, quoted(name))
		default:
			heirs[name] = r.job
		}
		d.job = ""
	}
}
