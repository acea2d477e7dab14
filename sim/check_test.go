package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/internal/checker"
	"carillon/jobs"
)

// era is the time between two losses of the data, and what Redis said in it.
type era struct {
	first   map[string]time.Time // cursor of each job when it was seen first
	last    map[string]time.Time
	ledgers map[string][]jobs.LedgerEntry // the oldest first
	states  map[string]jobs.State
	ended   time.Time // on the clock of Redis
	final   bool      // nothing was lost at its end
}

func newEra() *era {
	return &era{first: map[string]time.Time{}, last: map[string]time.Time{}, ledgers: map[string][]jobs.LedgerEntry{}, states: map[string]jobs.State{}}
}

// anomalies looks at all runs in one instant, and returns what does not fit together:
// each unfinished run must be somewhere, once, and a finished one nowhere.
const anomalies = `
local P = '{carillon}:'
local out, queued, waiting, active, rollback = {}, {}, {}, {}, {}
local leases = {}
local function bad(text) out[#out + 1] = text end
for _, id in ipairs(redis.call('ZRANGE', P .. 'leases', 0, -1)) do leases[id] = true end
local runs = {}
for _, key in ipairs(redis.call('KEYS', P .. '*')) do
  local rest = string.sub(key, #P + 1)
  local family, name = string.match(rest, '^([^:]+):(.*)$')
  if family == 'run' then runs[name] = key
  elseif family == 'queue' then
    for _, id in ipairs(redis.call('LRANGE', key, 0, -1)) do queued[id] = (queued[id] or 0) + 1 end
  elseif family == 'waiting' then
    local list = redis.call('LRANGE', key, 0, -1)
    if #list > 1 then bad(key .. ' has ' .. #list .. ' runs') end
    for _, id in ipairs(list) do waiting[id] = true end
  elseif family == 'active' then
    for _, id in ipairs(redis.call('SMEMBERS', key)) do active[id] = true end
  elseif family == 'rollback' then rollback[name] = true
  elseif family == 'bell' then
    local n = redis.call('LLEN', key)
    if n > 20 then bad(key .. ' has ' .. n .. ' tokens') end
  end
end
local FINAL = { succeeded = true, failed = true, canceled = true, rolled_back = true, rollback_failed = true }
local KNOWN = { queued = true, running = true, retrying = true, rolling_back = true }
for id, key in pairs(runs) do
  local h = redis.call('HMGET', key, 'status', 'token', 'pin', 'parked_at', 'queued_at', 'attempt')
  local status, held = h[1], h[2] and h[2] ~= ''
  if FINAL[status] then
    if leases[id] then bad(id .. ' is ' .. status .. ' and has a lease') end
    if active[id] then bad(id .. ' is ' .. status .. ' and counts as active') end
    if rollback[id] and status ~= 'rollback_failed' then bad(id .. ' is ' .. status .. ' and has a rollback list') end
  elseif KNOWN[status] then
    if not active[id] then bad(id .. ' is ' .. status .. ' and does not count as active') end
    if status == 'running' and not (leases[id] and held) then bad(id .. ' runs without a lease or token') end
    if status == 'retrying' and not leases[id] then bad(id .. ' waits to be retried and stands nowhere') end
    if status == 'queued' and not (queued[id] or leases[id] or waiting[id]) then bad(id .. ' is queued and stands nowhere') end
    if status == 'rolling_back' and not ((held and leases[id]) or (not held and (queued[id] or leases[id]))) then bad(id .. ' is rolling back and stands nowhere') end
    if tonumber(h[5]) < tonumber(ARGV[1]) then out[#out + 1] = 'late ' .. id .. ' ' .. status .. ' attempt ' .. h[6] end
  else
    bad(id .. ' has the status ' .. tostring(status))
  end
end
for id in pairs(active) do
  if not runs[id] then bad(id .. ' counts as active and is no run') end
end
for id in pairs(rollback) do
  if not runs[id] then bad(id .. ' has a rollback list and is no run') end
end
table.sort(out)
return out
`

// look asks Redis what does not fit together, and which runs queued before a time are
// unfinished.
func (w *world) look(before int64) (wrong, late []string) {
	list, err := w.client.Eval(context.Background(), anomalies, nil, before).StringSlice()
	if err != nil {
		w.broken("I6", "the look at all runs failed: %v", err)
	}
	for _, text := range list {
		if rest, ok := strings.CutPrefix(text, "late "); ok {
			late = append(late, rest)
		} else {
			wrong = append(wrong, text)
		}
	}
	return wrong, late
}

// sample looks at Redis as it is at one moment.
func (w *world) sample() {
	wrong, _ := w.look(0)
	for _, text := range wrong {
		w.broken("I6", "%s", text)
	}
	cursors, err := w.monitor.Cursors(context.Background())
	if err != nil {
		w.broken("I2", "the cursors cannot be read: %v", err)
	}
	e := w.eras[len(w.eras)-1]
	for job, at := range cursors {
		if _, ok := e.first[job]; !ok {
			e.first[job] = at
		}
		if at.Before(e.last[job]) {
			w.broken("I2", "the cursor of %s went back from %s to %s", job, e.last[job], at)
		}
		e.last[job] = at
	}
}

// lively: three leases after the last fault everything older has ended.
func (w *world) lively(healed time.Time) {
	_, late := w.look(healed.UnixMilli())
	for _, text := range late {
		w.broken("liveness", "three leases after the last fault: %s", text)
	}
	lead, ok, err := w.monitor.Leader(context.Background())
	if err != nil || !ok {
		w.broken("I11", "nobody leads: %v", err)
	} else {
		w.log("%s leads", lead.Node)
	}
}

// closeEra keeps what Redis says, at its end or before it forgets.
func (w *world) closeEra(final bool) {
	e := w.eras[len(w.eras)-1]
	e.final = final
	if !final {
		e.ended = w.redis.now()
	}
	for _, name := range w.p.jobs {
		list, err := w.monitor.Ledger(context.Background(), name, 2000)
		if err != nil {
			w.broken("I2", "the ledger of %s cannot be read: %v", name, err)
		}
		slices.Reverse(list)
		e.ledgers[name] = list
	}
	cursors, err := w.monitor.Cursors(context.Background())
	if err != nil {
		w.broken("I2", "the cursors cannot be read: %v", err)
	}
	for job, at := range cursors {
		e.last[job] = at
	}
	w.witness.mu.Lock()
	defer w.witness.mu.Unlock()
	for id, s := range w.witness.states {
		e.states[id] = s
	}
}

// judge holds the ticks that the schedule says there were, what Redis said and what
// the jobs wrote down against each other.
func (w *world) judge(r *result) {
	for i, e := range w.eras {
		for _, name := range w.p.jobs {
			if d := dishOf(name); d.steady() && w.files[0].Job(name).Ticks() {
				w.judgeLedger(i, e, w.files[0].Job(name))
			}
		}
	}
	w.judgeRuns(r)
	w.judgeOverlap()
	w.judgeTargets(r)
	w.judgeRequests()
	w.judgeFollowers()
	w.judgePunctuality()
}

// judgeRequests: a request by hand that was repeated, because nobody knew whether it had
// arrived, is one run.
func (w *world) judgeRequests() {
	for number, e := range w.eras {
		runs := map[string]string{} // of each request
		for id := range e.states {
			_, rest, ok := strings.Cut(id, "@manual-")
			if !ok {
				continue
			}
			// A run that its node brought over from an earlier era counts there: the request
			// that it came from was lost with the data.
			if slices.ContainsFunc(w.eras[:number], func(old *era) bool { return old.states[id] != "" }) {
				continue
			}
			request, _, _ := strings.Cut(rest, "-")
			if slices.ContainsFunc(w.eras[:number], func(e *era) bool { return e.states[id] != "" }) {
				continue // from before a loss, which took the request along
			}
			if had := runs[request]; had != "" {
				w.broken("I1", "one request (era %d) became %s and %s", number, had, id)
			}
			runs[request] = id
		}
		for request, id := range w.asked {
			if number == 0 && len(w.eras) == 1 && id != "" && e.states[id] == "" {
				w.broken("I2", "%s was answered with %s, and there is no such run", request, id)
			}
		}
	}
}

// judgeFollowers: each end of a job that another one follows has a run of that one, or an
// entry in its ledger that says why not.
func (w *world) judgeFollowers() {
	if !slices.Contains(w.p.jobs, "follow") {
		return
	}
	for number, e := range w.eras {
		for id, state := range e.states {
			if name, _ := jobs.JobOf(id); name != "saga" || !state.Final() || e.states["follow@after-"+id] != "" {
				continue
			}
			if !slices.ContainsFunc(e.ledgers["follow"], func(l jobs.LedgerEntry) bool { return strings.HasSuffix(l.Reason, "(after "+id+")") }) {
				w.broken("I2", "%s (era %d) is %s, and nothing became of the job that follows it", id, number, state)
			}
		}
	}
}

// judgePunctuality: when all is well for a while, ticks are in time.
func (w *world) judgePunctuality() {
	e := w.eras[len(w.eras)-1]
	from, to := w.healedAt.Add(w.p.lease+w.p.ttl+5*time.Second), e.ended.Add(-3*time.Second)
	began := map[string]time.Time{}
	for _, d := range w.truth.list {
		if at, ok := began[d.run]; !ok || d.onRedis.Before(at) {
			began[d.run] = d.onRedis
		}
	}
	for _, name := range w.p.jobs {
		d, job := dishOf(name), w.files[0].Job(name)
		if !d.steady() || !job.Ticks() || name == "everyone" {
			continue
		}
		fates := e.ticked(name)
		for tick, ok := job.Next(from); ok && job.Starts(tick).Before(to); tick, ok = job.Next(tick) {
			id := jobs.TickRunID(name, tick)
			if _, runs := fates[id]; !runs {
				said, older := "says nothing", false
				for _, l := range e.ledgers[name] {
					if !l.Tick.After(tick) && !l.Until.Before(tick) {
						// What the storm left has three leases to end.
						_, at, _ := strings.Cut(l.RunID, "@")
						of, err := time.Parse(time.RFC3339, at)
						older = older || l.Outcome == jobs.OutcomeSkipped && err == nil && of.Before(w.healedAt)
						said = fmt.Sprintf("says %s, %s %s", l.Outcome, l.Reason, l.RunID)
					}
				}
				if older {
					continue
				}
				w.broken("I10", "%s: all is well, tick %s did not become a run, and the ledger %s", name, clock(tick), said)
			} else if late := began[id].Sub(job.Starts(tick)); began[id].IsZero() || late > 2*time.Second {
				w.broken("I10", "%s: all is well, and %s began at %s", name, id, clock(began[id]))
			}
		}
	}
}

// judgeLedger: every tick of a job that never changed is in its ledger, once.
func (w *world) judgeLedger(number int, e *era, job *jobs.Job) {
	list := e.ledgers[job.Name]
	prev, known := e.first[job.Name]
	if len(list) > 0 && known && !prev.Before(list[0].Tick) {
		known = false // the first look came after the first decisions
	}
	for i, entry := range list {
		if strings.Contains(entry.Reason, "(after ") {
			continue
		}
		if i > 0 && !entry.Tick.After(prev) {
			w.broken("I1", "%s (era %d): tick %s was decided twice: %s %s, after %s", job.Name, number, clock(entry.Tick), entry.Outcome, entry.Reason, clock(prev))
		}
		if known && !strings.HasPrefix(entry.Reason, "amnesia") {
			if want, ok := job.Next(prev); !ok || !want.Equal(entry.Tick) {
				w.broken("I2", "%s (era %d): after %s comes tick %s, and the ledger says %s %s %s", job.Name, number, clock(prev), clock(want), clock(entry.Tick), entry.Outcome, entry.Reason)
			}
		}
		if entry.Count > 0 {
			n := 0
			for t, ok := entry.Tick, true; ok && !t.After(entry.Until) && n <= entry.Count; t, ok = job.Next(t) {
				n++
			}
			if n != entry.Count {
				w.broken("I2", "%s (era %d): %s to %s are %d ticks, and the ledger says %d", job.Name, number, clock(entry.Tick), clock(entry.Until), n, entry.Count)
			}
		}
		prev, known = entry.Until, true
	}
	if !e.final || !known {
		return
	}
	if next, ok := job.Next(prev); ok && job.Starts(next).Before(e.ended.Add(-3*time.Second)) {
		w.broken("I2", "%s: tick %s was never decided", job.Name, clock(next))
	}
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// ticked are the runs that ledger entries stand for, with their ticks.
func (e *era) ticked(job string) map[string]time.Time {
	m := map[string]time.Time{}
	for _, entry := range e.ledgers[job] {
		if entry.Outcome == jobs.OutcomeRan || entry.Outcome == jobs.OutcomeLate {
			m[jobs.TickRunID(job, entry.Tick)] = entry.Tick
		}
	}
	return m
}

// byRun groups what was done in an era.
func (w *world) byRun(number int) map[string][]*deed {
	m := map[string][]*deed{}
	for _, d := range w.truth.list {
		if d.era == number {
			m[d.run] = append(m[d.run], d)
		}
	}
	return m
}

// judgeRuns holds the status of every run against what was done for it.
func (w *world) judgeRuns(r *result) {
	seen := map[string]bool{}
	for _, d := range w.truth.list {
		if !d.undo && !seen[d.run] {
			seen[d.run] = true
			r.runs++
		}
	}
	for number, e := range w.eras {
		all := w.byRun(number)
		for id, list := range all {
			if number > 0 && e.states[id] == "" {
				continue // from before the loss
			}
			w.judgeAttempts(r, id, list, number)
			if number == 0 || w.eraOf(id) == number {
				w.judgeSteps(id, list, e.states[id])
			}
		}
		for id, state := range e.states {
			if state == jobs.Succeeded && number == 0 && !done(all[id]) {
				w.broken("I4", "%s succeeded, and nobody did it", id)
			}
		}
	}
}

// eraOf is the only era in which a run did anything; -1 if there are several.
func (w *world) eraOf(id string) int {
	number := -1
	for _, d := range w.truth.list {
		if d.run != id {
			continue
		}
		if number >= 0 && d.era != number {
			return -1
		}
		number = d.era
	}
	return number
}

func done(list []*deed) bool {
	return slices.ContainsFunc(list, func(d *deed) bool { return !d.undo && d.how == "done" })
}

// judgeAttempts: an attempt belongs to one life of one node.
func (w *world) judgeAttempts(r *result, id string, list []*deed, number int) {
	type home struct {
		node string
		life int
	}
	homes := map[int]home{}
	for _, d := range list {
		if d.undo {
			continue
		}
		h := home{d.node, d.life}
		if had, ok := homes[d.attempt]; ok && had != h {
			w.broken("I4", "attempt %d of %s was executed by %s/%d and %s/%d", d.attempt, id, had.node, had.life, d.node, d.life)
		}
		homes[d.attempt] = h
	}
	if len(homes) > 0 {
		r.again += len(homes) - 1
	}
	if job, _ := jobs.JobOf(id); job == "once" && len(homes) > 1 && number == 0 {
		w.broken("I4", "%s was started %d times, and its delivery is at-most-once", id, len(homes))
	}
}

// judgeSteps: the order of steps and undos, and that what was done is undone.
func (w *world) judgeSteps(id string, list []*deed, state jobs.State) {
	name, _ := jobs.JobOf(id)
	job := w.files[0].Job(name)
	if job == nil || len(job.Steps) == 0 && job.Undo == nil {
		return
	}
	plan := job.Plan()
	index := func(d *deed) int {
		return slices.IndexFunc(plan, func(s jobs.Step) bool { return s.Name == d.step || len(plan) == 1 })
	}
	slices.SortStableFunc(list, func(a, b *deed) int { return a.begin.Compare(b.begin) })
	at, back := -1, len(plan)
	started := map[int]bool{}
	undone := map[int]bool{}
	for _, d := range list {
		i := index(d)
		switch {
		case !d.undo && back < len(plan):
			w.broken("I7", "%s: step %s began after an undo had", id, d.step)
		case !d.undo && (i < at || i > at+1):
			w.broken("I7", "%s: step %s began after step %d of the plan", id, d.step, at+1)
		case d.undo && i > back:
			w.broken("I7", "%s: the undo of %s began after that of an earlier step", id, d.step)
		}
		if d.undo {
			back = i
			undone[i] = undone[i] || d.how == "done"
		} else {
			at = i
			started[i] = true
		}
	}
	switch state {
	case jobs.Succeeded:
		if back < len(plan) {
			w.broken("I7", "%s succeeded and was undone", id)
		}
		if at != len(plan)-1 {
			w.broken("I7", "%s succeeded after step %d of %d", id, at+1, len(plan))
		}
	case jobs.RolledBack, jobs.Failed, jobs.Canceled:
		for i := range started {
			if plan[i].Undo != nil && !undone[i] {
				w.broken("I7", "%s is %s, and step %s was not undone", id, state, plan[i].Name)
			}
		}
	}
}

// judgeOverlap: a run is never executed twice at once, nor two runs of a job that
// does not allow it.
func (w *world) judgeOverlap() {
	byJob := map[string][]*deed{}
	for _, d := range w.truth.list {
		name := d.job
		if name == "everyone" {
			name += "@" + d.node
		}
		byJob[name] = append(byJob[name], d)
	}
	for name, list := range byJob {
		alone := dishOf(list[0].job).alone()
		slices.SortStableFunc(list, func(a, b *deed) int { return cmp.Or(a.begin.Compare(b.begin), a.end.Compare(b.end)) })
		for i, d := range list {
			for _, next := range list[i+1:] {
				if !next.begin.Before(d.end) {
					break
				}
				if !alone && d.run != next.run || w.lostJustBefore(next.begin) || w.older(d) || w.older(next) || !atOnce(d, next) {
					continue
				}
				w.broken("I5", "%s: two at once: %s and %s", name, d, next)
			}
		}
	}
}

// lostJustBefore: for a lease after a loss of data attempts go on of which Redis knows
// nothing: nobody has told their nodes yet.
func (w *world) lostJustBefore(at time.Time) bool {
	return slices.ContainsFunc(w.lost, func(lost time.Time) bool { return !at.Before(lost) && at.Before(lost.Add(w.p.lease)) })
}

// older: the run is from before a loss of data. Redis may hear of it again, from the node
// that has it, and could not know of it before.
func (w *world) older(d *deed) bool {
	return slices.ContainsFunc(w.eras[:d.era], func(e *era) bool { return e.states[d.run] != "" })
}

// atOnce: both worked at one moment. A process that stands still does not work.
func atOnce(a, b *deed) bool {
	for _, x := range a.worked() {
		for _, y := range b.worked() {
			if x.from.Before(y.to) && y.from.Before(x.to) {
				return true
			}
		}
	}
	return false
}

// judgeTargets is Jepsen's check of Chronos: every tick that became a run met one,
// distinct from all others, whatever ids say.
func (w *world) judgeTargets(r *result) {
	var targets []checker.Target
	var runs []checker.Run
	began := map[string]bool{}
	for _, d := range w.truth.list {
		if d.undo || d.trigger != string(jobs.TriggerSchedule) || d.job == "everyone" || began[d.run] {
			continue
		}
		began[d.run] = true
		runs = append(runs, checker.Run{ID: d.run, Job: d.job, Start: d.onRedis})
	}
	slack := time.Minute // for all steps back of the clock of Redis
	last := w.eras[len(w.eras)-1].ended.Add(slack)
	targeted := map[string]bool{}
	for number, e := range w.eras {
		for _, name := range w.p.jobs {
			if name == "everyone" {
				continue
			}
			for id, tick := range e.ticked(name) {
				switch state := e.states[id]; {
				case began[id]:
				case !e.final && !state.Final():
					continue // the data was lost before it could begin
				case state == jobs.Canceled, state == jobs.Failed:
					continue // called off, or its file was gone, before it began
				case state == jobs.RolledBack, state == jobs.RollbackFailed:
					continue // the same, when its node had recorded a step and not begun it: it is undone all the same
				default:
					w.broken("I13", "%s (era %d): %s is %q and never began", name, number, id, state)
				}
				if targeted[id] {
					continue // of two eras
				}
				targeted[id] = true
				targets = append(targets, checker.Target{Job: name, From: tick.Add(-slack), To: last})
			}
		}
	}
	m := checker.Match(targets, runs)
	r.extra += len(m.Extra)
	if !m.Valid() || len(m.Extra) > 0 {
		w.broken("I13", "%s", m)
	}
}
