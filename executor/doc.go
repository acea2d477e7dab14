// Package executor takes runs that wait and executes them on this node.
//
// # What is not promised
//
// It is not promised that a command runs once. It starts at least once, and
// again when its node died, was cut off from Redis, or was told to stop before
// the command had ended. Every attempt carries CARILLON_RUN_ID, which stays the
// same: it is the idempotency key, and what the job does with it is its own
// affair.
//
// Nor that an attempt which lost its lease did nothing. It is ended before
// another one can start, but what it did until then is done.
//
// A command that leaves its process group (setsid, a daemon that forks twice)
// is not killed while its node lives. When the node dies, the watcher finds such
// processes by their environment, on Linux only.
//
// A Go handler that ignores the end of its context cannot be stopped. It is left
// behind, with an error in the log, and its run gets its result without it.
//
// Output is kept from its two ends: the first 32 KiB of an attempt and the last
// 224 KiB. What lies between is counted and dropped.
//
// A secret is taken out of output and errors where it stands as it is: the whole
// value, and each of its lines. A value or a line of fewer than 4 bytes is left
// alone, because it occurs by chance; one that a program encodes (base64, escapes)
// is not recognised. Write secrets that are longer, and do not print them.
//
// An undo may run although its step never did: it is recorded before the step
// starts, and a node can die between the two. It may also run twice. It has to
// tolerate both.
//
// # Authority
//
// A claim gives a run to this node for the length of a lease, under a token that
// names this one attempt. Every later write carries the token; the store refuses
// it when another attempt holds the run. So two attempts of one run may be alive
// for a moment, and only one of them can say how it ended.
//
// What to execute comes from this node's own schedule file and never from Redis.
// A claim names the job and the digest of its definition; a node that does not
// have that definition parks the run for one that does.
//
// # States
//
//	claimed    in a slot. Not started when the claim is older than half a lease
//	forward    the steps run, from the one where the run stands; the lease is
//	           renewed every third of its length, and the first time after a second
//	backward   the claim says that the run is to be undone: the undos of its
//	           rollback list run, the last step's first
//	ended      a result waits on the board until a lane has written it
//	given back the node drained or lost the lease: no result, the run is released
//
// Each step is recorded in the store before it starts, together with its undo, and
// does not start without that; each undo that succeeded is said before the next
// one starts. Both are repeated until there is an answer. A job of one action
// without an undo records nothing. Whether a failure leads to a rollback is not
// decided here: the store knows what there is to undo.
//
// A step and an undo may be tried again within the attempt, by their own retry and
// in their slot; a job is tried again by another attempt, anywhere, that resumes
// at the step that failed. What was left behind still running is never tried again
// beside itself.
//
// A canceled run ends like one that timed out and is not tried again, except that
// what had succeeded stays so. A rollback is not canceled.
//
// Slots, results and "there may be runs" are on the board, a mutex and a
// condition without I/O. Two lanes carry: each sends what ended and asks for as
// many runs as there are free slots, in one round trip, and while Redis works on
// one request the other is put together. Under load results travel in batches by
// themselves, because they gather while a lane is under way.
//
// A node with a free slot sleeps on the bell. One token wakes one node; one that
// finds no slot puts it back; a lost token costs a second at most.
//
// # Formula
//
// A lease is counted on the monotonic clock, from the moment the last accepted
// renewal was sent. Of its length L:
//
//	1/3   renew, again and again until there is an answer
//	1/2   a claim that is older is not started
//	2/3   the attempt is told to end: TERM to its group, or the end of its context
//	9/10  KILL to the group; the watcher does the same from outside
//	1     only now may the sweep hand the run to another node
//
// While Redis itself says that it serves nobody (it loads its data, it cannot write its
// disk), nobody else can take the run either, so the count starts again and the job runs
// on. That connections are refused says nothing of the kind: it may be us alone whom a
// firewall or a proxy in between refuses.
//
// A job with "on_lost: keep" has no 2/3 and no 9/10: its attempt goes on, and is
// renewed again, until the answer is that the run is another's; then it still goes
// on, but starts no further step, and its result is refused. It dies with its node.
//
// # Processes
//
// A command is the leader of a process group of its own, with /dev/null for
// input and one pipe for both outputs. To end it is TERM to the group, a grace,
// and KILL to the group; KILL also follows when the leader has ended by itself,
// so that nothing of a finished job lives on. The leader is reaped last: until
// then its id cannot belong to anybody else.
//
// The watcher is this program, started once more with an environment variable,
// in a session of its own. It holds one end of a pipe and is told every group,
// its deadline and its end. When the pipe closes the node is dead, and it kills
// the groups; when a deadline passes the node is stopped, and it kills that
// group. The first command starts it; a node that only calls handlers and sends
// requests has none. A watcher that dies or stops reading is replaced.
//
// Commands see a short list of the node's variables (PATH, HOME, LANG and the
// like), their own env and secrets, and CARILLON_*. The node's environment often
// holds the password of its Redis. Secrets are read when an attempt starts; one
// that is missing fails it. Requests and Go handlers are not given any.
//
// # Failure story
//
//	the node is killed (SIGKILL)  the watcher kills its commands within a second;
//	                              the lease runs out; another node starts the run
//	the node is stopped (SIGSTOP) the watcher kills at 9/10 of the lease
//	the node is told to stop      no more claims; running jobs get the drain time;
//	                              what is left is ended and given back at once
//	Redis loads, or its disk is   jobs run on; results wait and are delivered
//	full
//	Redis does not answer, or     jobs run on until 2/3 of the lease, then end and are
//	refuses connections           given back when it is there again
//	a reply is lost               the same request again: the same claims, the
//	                              same answers
//	another attempt has the run   ours is killed; its result would be refused
//	Redis has lost its data       what runs here is made known to it again, and what
//	                              ended here is not done again (memory.go)
//	a step cannot be recorded     it waits, as long as the lease can be held
//	the node dies in a rollback   another one goes on at the same undo
//	an undo is spent              the rollback ends; the error says what is left
//	the word of a cancel is lost  the next renewal says it too
//	the watcher dies              another is started and told everything
//	a process does not die        it is stuck in the kernel: the slot is freed, the
//	                              run failed, and the log says which process
//
// # The files
//
// executor.go is Run, the lanes and the drain; board.go what they share;
// leases.go when a lease needs what; cancel.go who was called off; attempt.go one
// run in one slot. forward.go and backward.go are what it does there, part by part
// (part.go). action.go is the way to the four kinds: command.go with program.go,
// environ.go, account.go, group_linux.go and ending.go; http.go with
// http_errors.go and http_after.go; func.go. journal.go, output.go, ring.go and
// flush.go are the way of output to the log, and secrets.go, redact.go and
// matcher.go keep secrets out of it.
// leash.go and watcher.go are this side of the watcher, watcher_process.go and
// watchline.go the other.
package executor
