// Package faults is the storm: a fleet of real processes on a real Redis, a job due
// every second and more, one misfortune after the other, and a count of what became of
// every tick.
//
//	go test ./faults -run TestStorm -v                 # a minute of it
//	make storm                                         # five minutes of everything
//	make storm TIME=30m                                # what docs/storm.md shows
//	go test ./faults -run TestStorm -v -seed 42        # the choices of an earlier one
//
// What it does not prove: that a fault at another instant would have done no harm. A
// seed repeats the order of the faults, their victims and their lengths, and not the
// interleaving of processes; package sim has that. Nor does it prove anything about
// time: a machine that is busy is late.
//
// The truth is not Redis. Jobs execute a witness (faults/witness), which appends a line
// to a file when it begins and when it ends and has the disk keep each, and which holds
// a lock of the kernel's for its run while it lives: an attempt that finds its lock taken
// is beside another one of the same run, and says so. An HTTP job asks a server that is
// such a witness too.
//
// Three things are held against each other (judge_test.go): the ticks that the schedule
// says there were; the lines of the witnesses; and what Redis said of ticks and runs,
// copied while it knew (archive_test.go). And, without any id, by Jepsen's checker
// (internal/checker): a tick that should have run is a target, and each needs a run of
// its own.
//
//	fault_test.go      the catalogue: what is done, and what it may cost
//	storm_test.go      dealing it, healing, waiting until all is quiet
//	proxy_test.go      what a network does
//	schedule_test.go   the jobs
//	truth_test.go      reading the witnesses
//	archive_test.go    copying what Redis says
//	judge_test.go      the verdict, and the table
//
// A fault is a value: a name, a sentence, what it may cost, and a function that injects
// it and takes it away. A storm fails when one of those that this machine can have was
// not injected.
package faults
