// Package sim simulates whole clusters: real nodes (leader, scheduler, executor, the
// store with its real scripts) on a miniredis, in one process, on a clock that stands
// still while anything computes. A minute and a half of a cluster takes a quarter of a second.
//
// # What it does not prove
//
// miniredis is not Redis, a Go function is not a process, and a bubble has one clock for
// all of its goroutines: what a node's timers do while it is stopped, the simulation
// can only approach (its connections and its jobs stand still, and afterwards its clock may
// be behind). Processes that are killed and stopped for real, on a real Redis, are
// package faults and package e2e.
//
// # A seed
//
// A seed is a plan (newPlan): the nodes, the schedule, up to forty faults with their
// times, and how long each part of each job takes and whether it fails. First comes the storm. Nothing
// that is promised may be broken at any moment of it. Then everything heals, and three leases
// later everything that is older must have ended. Faults strike between a node and
// Redis (wire), command by command: so a node can die before a script was sent, or after
// it was executed and before it knows.
//
// Ground truth is what the jobs themselves write down (truth), outside of Redis. It is
// held against the ledger, the ledger against the ticks that the schedule says there were, and
// everything against what the scripts answered (witness). The letters of what is
// printed:
//
//   - I1 no run is queued twice, no tick decided twice
//   - I2 each tick of a job is in its ledger, once, and no cursor goes back
//   - I3 no script accepts the token of a term or an attempt that is over
//   - I4 an attempt is executed by one node; at-most-once starts once; what succeeded was done
//   - I5 no run is executed twice at once, nor two of a job that does not allow it
//   - I6 each unfinished run stands somewhere, each finished one nowhere; states follow
//     the table of moves; no script fails
//   - I7 steps in their order, undos in reverse, and whatever began was undone
//   - I10 a while after the last fault all ticks are in time
//   - I11 somebody leads when everything works
//   - I13 the ticks that became runs, matched to distinct runs as Jepsen did for
//     Chronos (package checker), with none left over on either side
//   - liveness: as above
//
// When Redis loses its data (FLUSHALL, a restart without them) another era begins: what
// was promised is promised within an era, and what ran in two of them is not held
// against anybody. I8, I9 and I12 need processes, real memory and real output, I10 in the storm real time.
//
// # Replaying
//
// The plan is a pure function of the seed and replayed exactly: all faults, at the same
// times of the bubble's clock or at the same calls, and the same jobs with the same
// durations and ends. Which of two goroutines that are ready at the same instant goes first is not, nor
// are boot ids and the jitter of back-offs, so which node wins an election may differ.
// Most failures come back at once; for the others -test.count helps.
//
//	go test ./sim -run 'TestSim$' -seed 2053 -v     one seed, with all that happened
//	go test ./sim -run 'TestSim$' -seeds 1000 -first 5000
//	make sim SEEDS=100000
//
// A campaign of fifty seeds or more fails when a kind of fault never struck, and one of 400 or more when
// something that faults should lead to (a refused leader, a refused result, a run taken over, a
// rollback) was never seen. TestTheSimulationBites makes mistakes in the scripts on purpose and
// expects to be told. Years of ticks are played without a cluster: TestYears in package
// scheduler.
package sim
