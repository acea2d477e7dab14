package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"carillon"
)

// truth is what the jobs themselves wrote down, outside of Redis.
type truth struct {
	mu   sync.Mutex
	list []*deed
	try  map[string]int
}

// deed is one call of a handler.
type deed struct {
	run, job, trigger string
	tick              time.Time
	attempt           int
	step              string
	undo              bool
	node              string
	life              int // of the node
	era               int // how often the data had been lost
	begin, end        time.Time
	onRedis           time.Time // its beginning on the clock of Redis
	how               string    // "" while it goes on, done, failed, cut, dead
	stood             []stretch // when its process stood still
}

type stretch struct{ from, to time.Time }

// worked is when the deed was being done.
func (d *deed) worked() []stretch {
	var list []stretch
	from := d.begin
	for _, s := range d.stood {
		list = append(list, stretch{from, s.from})
		from = s.to
	}
	return append(list, stretch{from, d.end})
}

func (d *deed) String() string {
	what := d.step
	if d.undo {
		what = "undo " + what
	}
	return fmt.Sprintf("%s #%d %s on %s/%d: %s .. %s %s", d.run, d.attempt, what, d.node, d.life, since(d.begin), since(d.end), d.how)
}

// since is a time of the bubble, for people.
func since(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	return fmt.Sprintf("%.3fs", t.Sub(bubbleBegan).Seconds())
}

// bubbleBegan is when the clock of every bubble begins.
var bubbleBegan = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

var errNodeGone = errors.New("this node is dead")

// work is the handler of every job.
func (w *world) work(l *life) carillon.Func {
	return func(ctx context.Context, run carillon.Run) error {
		d, r := w.begin(l, run)
		if d == nil {
			return errNodeGone
		}
		dish := dishOf(run.Job)
		length := dish.short + time.Duration(r.Int64N(int64(dish.long-dish.short)))
		fails := r.IntN(100) < dish.fails
		if r.IntN(100) < dish.lingers {
			length = w.p.lease + time.Duration(r.Int64N(int64(w.p.lease/2)))
		}
		kills := run.Job == "killer" && !run.Undo
		if w.healed.Load() {
			length, fails, kills = min(length, 200*time.Millisecond), false, false
		}
		end, how := l.spend(ctx, length, func(from, to time.Time) { d.stood = append(d.stood, stretch{from, to}) })
		switch {
		case how == "done" && kills:
			w.log("%s kills %s", run.ID, l.name())
			w.struck(killer)
			w.finish(d, end, "dead")
			w.crash(l, time.Second)
			return errNodeGone
		case how == "done" && fails:
			how = "failed"
		}
		w.finish(d, end, how)
		switch how {
		case "done":
			return nil
		case "failed":
			return errors.New("it did not work")
		case "dead":
			return errNodeGone
		}
		return ctx.Err()
	}
}

// begin writes a deed down, unless its node is dead. r draws what it does.
func (w *world) begin(l *life, run carillon.Run) (*deed, randSource) {
	if l.isDead() {
		return nil, nil
	}
	t := &w.truth
	t.mu.Lock()
	defer t.mu.Unlock()
	at := fmt.Sprint(run.ID, " ", run.Attempt, " ", run.Step, " ", run.Undo)
	t.try[at]++
	d := &deed{run: run.ID, job: run.Job, trigger: string(run.Trigger), tick: run.ScheduledAt, attempt: run.Attempt, step: run.Step, undo: run.Undo,
		node: l.member.name, life: l.number, era: int(w.era.Load()), begin: time.Now(), onRedis: w.redis.now()}
	t.list = append(t.list, d)
	return d, w.p.hash(at, t.try[at])
}

func (w *world) finish(d *deed, end time.Time, how string) {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	d.end, d.how = end, how
}

type randSource interface {
	IntN(int) int
	Int64N(int64) int64
}

// spend works for a while. A process that stands still does not work, and learns
// only afterwards what happened meanwhile.
func (l *life) spend(ctx context.Context, length time.Duration, stood func(from, to time.Time)) (end time.Time, how string) {
	for {
		frozen, changed := l.state()
		if frozen {
			from := time.Now()
			select {
			case <-changed:
			case <-l.dead:
				return from, "dead"
			}
			if ctx.Err() != nil {
				return from, "cut"
			}
			stood(from, time.Now())
			continue
		}
		began := time.Now()
		timer := time.NewTimer(length)
		select {
		case <-timer.C:
			return time.Now(), "done"
		case <-l.dead:
			timer.Stop()
			return time.Now(), "dead"
		case <-ctx.Done():
			timer.Stop()
			return time.Now(), "cut"
		case <-changed:
			timer.Stop()
			length -= time.Since(began)
		}
	}
}
