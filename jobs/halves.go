package jobs

import (
	"maps"
	"sync"
)

func readJobs(d *decoder, e entry, f *fileValue) {
	const expected = "jobs by name, such as nightly-backup: {schedule: \"0 2 * * *\", run: ./backup.sh}"
	entries, ok := d.mapping(e, "", expected)
	if !ok {
		return
	}
	if len(entries) == 0 {
		d.problem(e.at, "jobs is empty; expected at least one job (a job that should rest keeps its place with enabled: false)")
	}
	if d.readInHalves(entries, f) || d.readInOrder(entries, f) {
		d.checkLinks(f.links, entries)
		d.checkRenames(f.renames, entries)
	}
	f.schedule.Jobs = f.jobs
}

// readInOrder reads one job after the other. It answers false when so much is
// wrong that it stopped.
func (d *decoder) readInOrder(entries []entry, f *fileValue) bool {
	for _, job := range entries {
		if d.spent || len(d.problems) > 2*maxProblems {
			return false // nobody reads further than what is printed
		}
		d.job = job.key
		if why := badName("job", job.key); why != "" {
			d.job = ""
			d.problem(job.at, "%s", why)
			d.job = job.key
		}
		if j := d.readJob(job, f); j != nil {
			f.jobs = append(f.jobs, j)
		}
		d.job = ""
	}
	return true
}

// worthHalving is from how many jobs on a second core is asked to help.
const worthHalving = 200

// readInHalves reads the jobs of a long file on two cores. It is for files without
// a mistake. When anything is wrong it answers false and has changed nothing: the
// file is then read again in order, and no message depends on where it was cut.
func (d *decoder) readInHalves(entries []entry, f *fileValue) bool {
	if len(entries) < worthHalving || len(d.problems) > 0 {
		return false
	}
	halves := [2]struct {
		decoder
		file fileValue
	}{{d.apart(), *f}, {d.apart(), *f}}
	inHalves(len(entries), func(half, from, to int) {
		h := &halves[half]
		h.readInOrder(entries[from:to], &h.file)
	})
	left := d.budget
	for i := range halves {
		h := &halves[i]
		left -= d.budget - h.budget
		if len(h.problems) > 0 || h.unweighed != d.unweighed {
			return false
		}
	}
	if left < 0 {
		return false
	}
	first, second := &halves[0], &halves[1]
	share(second.file.jobs, first.specs, second.specs)
	f.jobs = append(first.file.jobs, second.file.jobs...)
	f.links = append(first.file.links, second.file.links...)
	f.renames = append(first.file.renames, second.file.renames...)
	d.budget = left
	return true
}

// apart is a decoder that knows what d knows and may work beside it.
func (d *decoder) apart() decoder {
	other := *d
	other.problems = nil
	other.zones, other.specs, other.days = maps.Clone(d.zones), maps.Clone(d.specs), maps.Clone(d.days)
	return other
}

// share gives jobs the Specs that others have already, instead of their own.
func share(jobs []*Job, theirs, own map[specKey]*Spec) {
	same := map[*Spec]*Spec{}
	for key, spec := range own {
		if there := theirs[key]; there != nil {
			same[spec] = there
		}
	}
	for _, j := range jobs {
		for i, spec := range j.Specs {
			if there := same[spec]; there != nil {
				j.Specs[i] = there
			}
		}
	}
}

// inHalves does the work of n things, each of which concerns only itself, on two
// cores.
func inHalves(n int, work func(half, from, to int)) {
	var first sync.WaitGroup
	first.Go(func() { work(0, 0, n/2) })
	work(1, n/2, n)
	first.Wait()
}
