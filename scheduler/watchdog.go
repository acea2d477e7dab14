package scheduler

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"carillon/jobs"
)

const (
	// mostWatched is how many jobs one look asks about. A leader that decides
	// nothing is seen by any of them.
	mostWatched = 50

	// expectFrom is how far back a follower that has just begun to watch looks for
	// ticks.
	expectFrom = 10 * time.Minute

	// lookMost is the longest time between two looks.
	lookMost = 2 * time.Second

	// repeatEvery is how often a silence that lasts is logged again.
	repeatEvery = 5 * time.Minute
)

// WatchStore is what a follower needs of the shared memory to watch the leader.
type WatchStore interface {
	Now() time.Time
	SteadyFor() time.Duration
	// Sight looks at what the leader has done for these jobs. leader is the name
	// that the last sight gave.
	Sight(ctx context.Context, leader string, list []*jobs.Job) (jobs.Sight, error)
	// Candidates are the live nodes.
	Candidates(ctx context.Context) ([]jobs.Node, error)
	// Accuse votes that the leader is silent; with a majority it is deposed.
	Accuse(ctx context.Context, a jobs.Accusation) (jobs.AccusationReply, error)
}

// WatchConfig of a Watchdog.
type WatchConfig struct {
	Grace  time.Duration // how long a leader may be silent; default DefaultGrace
	Logger *slog.Logger  // default slog.Default()
}

// Watchdog is the part of a follower that computes what should have fired. It
// notices a leader that lives, for it renews its lock, and decides nothing, and votes
// for its deposal; see silence.go for what silence is.
type Watchdog struct {
	node  *Scheduler // of the same node: what it would play, and whether it leads
	store WatchStore
	grace time.Duration
	every time.Duration
	log   *slog.Logger

	// Of Run's goroutine.
	schedule  *jobs.Schedule
	taken     time.Time // when the schedule became this node's, on the store's clock
	expected  *expected // nil: from now on
	suspects  []int32   // of expected, taken out of it: what was due at the last look
	leader    string
	suspicion suspicion
	said      time.Time // when the silence that lasts was last logged; zero: there is none
	about     glance    // what was seen then
	answer    jobs.AccusationAnswer
	refused   time.Time // when it was last logged that this node cannot write

	silence atomic.Pointer[Silence]
}

// Silence is what a Watchdog finds, for who has to tell others.
type Silence struct {
	Lasts   bool // the leader is silent
	Noticed int  // how often one began, since this node did
}

// Silence may be called from any goroutine at any time.
func (w *Watchdog) Silence() Silence {
	if s := w.silence.Load(); s != nil {
		return *s
	}
	return Silence{}
}

// NewWatchdog returns a Watchdog beside the node's scheduler. It starts nothing.
func NewWatchdog(node *Scheduler, store WatchStore, cfg WatchConfig) *Watchdog {
	w := &Watchdog{node: node, store: store, grace: cfg.Grace, log: cfg.Logger}
	if w.grace <= 0 {
		w.grace = DefaultGrace
	}
	if w.log == nil {
		w.log = slog.Default()
	}
	w.every = min(lookMost, w.grace/(leastLooks+1))
	return w
}

// Run looks at the leader until ctx ends, whenever this node does not lead itself.
func (w *Watchdog) Run(ctx context.Context) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			w.look(ctx)
		}
	}
}

// look is one look. Where nothing is due it costs no call.
func (w *Watchdog) look(ctx context.Context) {
	sched := w.node.current()
	if w.node.Pulse().Leading || sched == nil {
		w.forget()
		return
	}
	now := w.store.Now()
	if sched != w.schedule {
		w.forget()
		w.schedule, w.taken = sched, now
	}
	if w.expected == nil {
		w.expected = newExpected(sched, now.Add(-expectFrom))
	}
	w.suspects = append(w.suspects, w.expected.due(now.Add(-dueBy), mostWatched-len(w.suspects))...)
	var v glance
	if len(w.suspects) > 0 {
		list := make([]*jobs.Job, len(w.suspects))
		for i, at := range w.suspects {
			list[i] = w.expected.list[at]
		}
		sight, err := w.store.Sight(ctx, w.leader, list)
		if err != nil { // who sees nothing accuses nobody
			w.suspicion = suspicion{}
			return
		}
		v = w.read(sight)
		w.leader = sight.Node
	}
	w.conclude(ctx, v)
}

// forget is for a node that does not watch, or has another schedule from now on.
func (w *Watchdog) forget() {
	w.schedule, w.expected, w.suspects, w.suspicion = nil, nil, nil, suspicion{}
	w.over()
}

// over notes that there is no silence.
func (w *Watchdog) over() {
	w.said = time.Time{}
	w.silence.Store(&Silence{Noticed: w.Silence().Noticed})
}

// read makes a glance of a sight, and puts what is not due any more back.
func (w *Watchdog) read(sight jobs.Sight) glance {
	v := glance{at: time.Now(), clock: sight.At, token: sight.Token, moved: sight.Moved, steady: w.store.SteadyFor(),
		drift: sight.Digest != w.schedule.Digest || sight.Zoneinfo != w.schedule.Zoneinfo}
	since := w.taken
	if sight.Since.After(since) {
		since = sight.Since
	}
	due := w.suspects[:0]
	for i, at := range w.suspects {
		found, again := judge(w.expected.list[at], sight.Cursors[i], sight.At, since)
		if found == nil {
			if !again.IsZero() {
				w.expected.put(at, again)
			}
			continue
		}
		due = append(due, at)
		found.lacks = found.lacks && v.drift
		if v.late == nil || w.rather(found, v.late) {
			v.late = found
		}
	}
	w.suspects = due
	if sight.Node == "" || sight.Moved.IsZero() || sight.Node != w.leader {
		v.token = "" // no term has begun, it does not say how it gets on, or its schedule was not read
	}
	return v
}

// rather orders ticks that are due: first what the leader lacks, and of that the job
// that was suspected before; then the longest overdue.
func (w *Watchdog) rather(a, b *late) bool {
	if a.lacks != b.lacks {
		return a.lacks
	}
	if was := w.suspicion.late; a.lacks && was != nil && (a.job == was.job) != (b.job == was.job) {
		return a.job == was.job
	}
	return a.start.Before(b.start)
}

// conclude draws the conclusion, and votes.
func (w *Watchdog) conclude(ctx context.Context, v glance) {
	w.suspicion = w.suspicion.next(v, w.every)
	why := w.suspicion.verdict(w.grace)
	if why == "" || v.drift && !w.outlier(ctx) {
		w.relieve(v)
		return
	}
	w.say(why, v)
	reply, err := w.store.Accuse(ctx, jobs.Accusation{Token: v.token, Since: v.clock.Add(w.suspicion.since.Sub(v.at)), Why: why})
	if err != nil {
		// What keeps this node from writing may be what silences the leader.
		w.suspicion = suspicion{}
		if now := time.Now(); ctx.Err() == nil && (w.refused.IsZero() || now.Sub(w.refused) >= repeatEvery) {
			w.refused = now
			w.log.Warn("watchdog: no vote against the silent leader: this node cannot write either", "leader", w.leader, "error", err)
		}
		return
	}
	w.heed(reply)
}

// say logs a silence when it begins, and now and then while it lasts.
func (w *Watchdog) say(why string, v glance) {
	if w.said.IsZero() {
		w.silence.Store(&Silence{Lasts: true, Noticed: w.Silence().Noticed + 1})
	}
	if now := time.Now(); w.said.IsZero() || now.Sub(w.said) >= repeatEvery {
		w.said, w.about, w.answer = now, v, ""
		w.log.Warn("watchdog: the leader is silent: it renews its lock and decides no ticks", "leader", w.leader, "why", why)
	}
}

// relieve notes that a silence is over.
func (w *Watchdog) relieve(v glance) {
	switch {
	case w.said.IsZero():
	case v.late == nil, v.token == w.about.token && !v.moved.Equal(w.about.moved) && !v.late.lacks:
		w.over()
		w.log.Info("watchdog: ticks are decided again")
	case v.token != "" && v.token != w.about.token:
		w.over()
	}
}

// heed logs what became of the vote, when that is news.
func (w *Watchdog) heed(r jobs.AccusationReply) {
	if r.Answer == w.answer {
		return
	}
	w.answer = r.Answer
	log := w.log.With("leader", w.leader, "votes", r.Votes, "voters", r.Voters)
	switch r.Answer {
	case jobs.AccusedDeposed:
		log.Warn("watchdog: the silent leader is deposed")
		w.suspicion = suspicion{}
	case jobs.AccusedGone:
		w.suspicion = suspicion{}
	case jobs.AccusedRespite:
		log.Warn("watchdog: the silent leader is not deposed: the one before was, and this one has decided nothing since either, so look at Redis first",
			"not_before", r.At)
	case jobs.AccusedNobody:
		log.Warn("watchdog: the silent leader is not deposed: no other live node would lead")
	case jobs.AccusedNoted, jobs.AccusedUnheard:
		log.Info("watchdog: a vote against the silent leader")
	}
}

// outlier reports whether the leader has a schedule that most live nodes do not have,
// while they have the one of this node. Another revision is a roll-out, and says itself
// who should lead.
func (w *Watchdog) outlier(ctx context.Context) bool {
	live, err := w.store.Candidates(ctx)
	if err != nil {
		return false
	}
	mine := 0
	for _, n := range live {
		if n.Digest == w.schedule.Digest {
			mine++
		}
		if n.Name == w.leader && n.Revision != w.schedule.Revision {
			return false
		}
	}
	return 2*mine > len(live)
}
