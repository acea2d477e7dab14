// Package carillon is cron for a fleet, as a library: one schedule, any number
// of nodes, one Redis, and each tick runs once.
//
// # What is not promised
//
// Exactly-once effects. A run starts at least once; a second time when its node
// died, was cut off, or was told to stop before the run had ended, and as often
// as the job's retry says after failures. [Run].ID is the same for all these
// attempts: use it as an idempotency key.
//
// Nothing survives what Redis itself loses. Without an append-only file, or
// after a fail-over to a replica that lagged, runs of that window may repeat
// under the same id or be reported missed.
//
// Nobody is on time to the microsecond. A tick is due on the clock of Redis, and
// a node that leads looks at it at least once a second; after a change of leader
// ticks are late, and the ledger says which.
//
// # What is promised
//
// A tick is queued at most once, whoever leads and however often that changes.
// No tick vanishes: it becomes a run, or an entry in the job's ledger that says
// why not. A node that lost its seat or its lease changes nothing any more. A
// final status stays. docs/guarantees.md goes through the faults one by one and
// names the test for each.
//
// # How it works
//
// Every node is the same and reads the same schedule (package jobs). One of them
// holds the leader's lock (package leader) and turns due ticks into runs on a
// Redis list (package scheduler). All of them take runs from that list and
// execute them (package executor). What is true is in Redis, and only scripts
// change it (internal/redisstore). docs/walk.md follows one run through all of
// them.
//
// # Use
//
// [New] checks [Options] and the schedule and starts nothing. [Node.Run] is the
// node's life: it blocks until its context ends, then resigns, lets running jobs
// finish, hands back the rest and returns. Any number of nodes may live in one
// process; the package has no state of its own.
//
// A schedule comes from a file, which is then followed while it changes, or from
// memory. A job with "func: NAME" calls Options.Funcs[NAME]; the other kinds of
// job work as they do in the program.
//
// A node that executes commands starts the program it lives in once more, as a
// watcher that kills them when the node is killed. It does so from an init
// function of package executor, before main; see there.
package carillon
