// Package redisstore is where everything is: it is the only package that speaks
// to Redis, and the scripts in lua/ are the only place that decides what may
// be written.
//
// # What is not promised
//
// Nothing survives that Redis itself loses, but for what a living node remembers. A
// write that Redis acknowledged and then lost (no append-only file, a fail-over to a
// replica that lagged) is lost here too: that is noticed (amnesia.go), and what no node can
// answer for may run a second time under the same run id, or end as missed.
//
// It is not promised that a call which failed did nothing. An answer that got
// lost on its way looks like a call that got lost. Every script therefore
// answers a repeated call as it answered the first, and the errors say of which
// kind they are, not what happened.
//
// Events are hints. They are published and not stored; who misses one reads the
// hashes. Nothing in this project waits for an event.
//
// What is read for people (Runs, Nodes, Ledger) is put together from several
// reads and is not one instant of the store.
//
// # Authority
//
// Three things allow a write, and a script that writes checks one of them in the
// same call. A leader's script (term, adopt, commit, sweep) checks that the lock
// holds exactly the token it was given. A node's script about an attempt
// (finish, renew, release) checks that the run's hash holds exactly that
// attempt's token. Everything else (claim, trigger, heartbeat, leave) needs no
// permission, because being called twice or by two nodes does no harm. The
// exception is depose, which takes the seat from a leader: it counts the votes that live
// nodes have put into their records. No decision compares numbers to find out who is newer, and none uses a clock but
// TIME of this Redis.
//
// What a run may become is one table, jobs/state.go. It is rendered into every
// script (movesTable), so that Go and Lua cannot disagree.
//
// # Scripts
//
// Each is one file with a header that names its KEYS, ARGV and answer; a test
// compares the headers with the callers. lib_*.lua are put in front of the
// scripts that say they use them. Rules they all keep:
//
//   - Read first, then write. Lua does not undo what it wrote before an error.
//   - The first read is of a key that never exists, so that a slot of a cluster
//     which is being moved fails the call before anything was popped.
//   - Fixed keys come in KEYS. Keys of one job, run or route are built from the
//     prefix, because a script learns their names only when it pops an id; they
//     share the hash tag and so the slot of KEYS[1].
//   - Times are integer milliseconds: they stay exact as a double, and Lua does
//     not print them with an exponent.
//   - One call for many runs, one PUBLISH for all its events, variadic commands
//     in slices.
//
// # Formula
//
// A run's life is commit, claim, finish. Under load one call carries many runs,
// and a node's finish and its next claim travel together (Exchange), so round
// trips for each run go down while load goes up. Retry is expiry: a running
// attempt, a back-off and a parked run all stand in :leases with the time at
// which somebody should look, and the sweep is the one who looks.
//
// docs/redis.md lists every family of keys with its cap and lifetime; a test
// drives a life through this package on a real server and compares.
//
// # Clients
//
// Four go-redis clients, so that none waits behind another: scripts and reads,
// the lock, the bell (it sits in BLPOP), subscriptions. None retries by itself:
// go-redis would repeat a push. eval repeats a script after errors that a repeat
// can heal, within a budget of 3 s. Exchange and Renew repeat nothing, because
// their caller has a better idea of when to stop.
//
// # Failure story
//
//	no answer, cut, refused     Transient: the same call may be repeated. Others may
//	                            get through: leases are counted
//	LOADING                     Loading: if there is one Redis and it is no replica,
//	                            nobody gets through, and leases stand still
//	OOM, read-only, disk full   Degraded: reads go on; writes wait for an operator
//	password, rights, database  Fatal: a sentence that says what to mend
//	SCRIPT FLUSH, restart       NOSCRIPT: the script is loaded and called again
//	Redis comes back empty      cursors begin anew at now, epochs go on upwards
//	                            because the clock is in them
package redisstore
