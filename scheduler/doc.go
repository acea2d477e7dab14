// Package scheduler decides, while its node leads, what becomes of every tick.
//
// # What is not promised
//
// Not that a tick becomes a run: it may be skipped because a run is in its way,
// or missed because nobody led when it was due and the job's catch_up rules say
// that it is too late. Then it is in the ledger with its reason. Not that a tick
// is on time: a leader that comes late, or a store that was away, makes it late,
// and the ledger says so. Not that the one who runs this is the only one: two
// nodes may believe they lead for a moment. Not that a run happens once; that is
// the matter of leases, not of ticks.
//
// Promised is that a tick is decided exactly once, whoever leads and however
// often that changes, and that none is passed over in silence.
//
// # Authority
//
// Nothing here is trusted with that promise. The store is: it keeps one cursor
// a job, the last tick that was decided, moves it only forward, only for the
// token that holds the seat, only up to its own clock, and in the same step in
// which the run is queued or the entry written. The agenda of a term is a copy
// of the cursors to think with. So whenever it is not certain what was
// committed (a new term, an answer that was lost, a schedule that changed) the
// cursors are asked for again (Adopt) and the copy is put right before anything
// else is committed. Thinking on with the old copy would be wrong even
// though the store refuses duplicates: the decisions are made afresh, with a
// later now, and a new range could begin before the true cursor.
//
// An error that says the token is fenced ends the term. Every other error is
// waited out. Waiting loses nothing: the cursors stand still, and what was not
// decided in time is decided late, by the same rules that a new leader applies.
//
// # Decisions
//
// Due is the pure part: a job, its cursor and now, and out come decisions. A tick
// is named by its time and judged by its start, which is the same but for a job
// with jitter. Of the ticks after the cursor that start not after now,
//
//	at most 1 s old    run ("ran")
//	at most 1 min old  run ("late"), whatever the policy: no change of leader
//	                   takes a minute, so nobody would call this an absence
//	inside the window  by catch_up.policy: skip runs none, latest the newest
//	                   unless a younger tick runs anyway, all runs all; but only
//	                   the newest catch_up.max, oldest first ("late")
//	older              none
//
// What does not run is "missed" with a reason that begins with policy, max or
// window; neighbours with one reason are one decision with a count. What is
// older than the window is one decision without a count: a job every second
// whose leader was away for a year must not cost 31 million steps.
//
// # Waiting
//
// "All ticks" and "never two at once" (catch_up all, overlap skip) meet when a
// leader comes late: of 60 overdue ticks the first would run and 59 be skipped
// because it is in their way. So late ticks of such a job wait (Decision.Wait):
// the store answers busy and leaves the cursor where it is, the job is parked
// for 50 ms, doubling to a second, and the same tick is tried again. The agenda
// sends nothing beyond the first tick that waits, since the cursor cannot pass
// it. A tick that becomes due meanwhile stands behind the waiting ones and waits
// too, and so does one that meets the run of a tick that waited: no tick is
// skipped because of catching up. When a tick runs in time at its first try, that
// is over, and the job is skipped by its overlap policy as on any other day.
//
// The price: a job of this kind whose runs take longer than its interval, once
// behind, stays behind by up to a minute and catch_up.max ticks, running without
// a pause; what falls out at the far end is "missed: max" instead of "skipped:
// overlap".
//
// # Time
//
// Ticks start on the store's clock, Store.Now, read anew at each wake and
// never added up. The loop sleeps to a millisecond before the next start with a
// timer, which may be that late, and the rest with a nap that is not; it wakes
// at least once a second to notice a clock that was set. When the estimate is
// ahead of the store's clock by a hair, the store answers early with how long to
// wait. A jump forward makes ticks late; a jump back makes nothing happen twice.
//
// # The other half
//
// Beside the ticks, in its own goroutine so that it never delays them, a term
// sweeps expired leases and back-offs. Leases of runs that somebody executes it
// takes only when this node has seen the store answer for a whole lease without
// a break: after an outage of the store every lease looks expired.
//
// # Who does not lead
//
// A follower watches (Watchdog). It knows what the leader should decide, from the
// same schedule, and asks the store what was decided: of at most 50 jobs a look, and
// of none when nothing is due. A leader that decides nothing at all while something
// is due, at each look for the whole grace, is silent (suspicion.verdict, which is
// pure). The follower then votes, and the store takes the seat away when the
// majority of those with the leader's schedule has. docs/adr/0017 says why like this.
//
// Not promised: that a leader which decides some jobs and forgets another is noticed,
// nor that any is when nobody else has its schedule.
package scheduler
