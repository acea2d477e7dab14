// Package e2e tests carillon from outside: it builds the binary, starts it as
// real processes on real redis-servers, hurts both, and compares what happened
// with what was promised.
//
// What it does not prove: anything about time. The machines that run it are
// busy, so a limit in an assertion is several times the promise, and the
// measured number is in the test's log (go test -v). Nor does a test that
// passes prove that a race is absent; the packages' own tests drive those
// step by step. Here everything is put together, with nothing simulated but
// the misfortune.
//
// The witness is not Redis. Every job appends a line to a file on disk, in one
// write: its run id, attempt, process id and time. Whatever a script of ours
// believes, a tick that ran twice stands in that file twice. The checker
// (account_test.go) holds three things against each other for each job: the
// ticks that the schedule says there were, the lines in the file, and the
// ledger that an operator would read.
//
//   - a tick of the observed window without a ledger entry is lost
//   - a tick with two entries, or with two lines of attempt 1, happened twice
//   - a tick that the ledger says ran, and of which no line tells, is a lie;
//     so is a line of a tick that the ledger says did not run
//
// A second binary of the same code can be told where to die (internal/failpoint):
// life_dying_test.go kills a node at every line of a run's life at which that makes
// a difference, and says what the user sees when another one goes on. The other
// life_*_test.go are about what a run can meet until its end.
//
// The tests are named after the hazard. Most of them wait more than they work,
// so they run side by side, more of them than there are cores.
//
// The faults_*_test.go strike with what docs/faults.md lists, each named after its number
// there; what takes minutes is short without -faults.
//
//	go test ./e2e                              # a minute and a half
//	go test ./e2e -run Fault -faults -v        # the long faults
//	go test ./e2e -v -run Leader               # with the measured times
//	go test ./e2e -run LeaderStorm -storm 2m   # the long storm, and its table
//	CARILLON_E2E_RACE=1 go test ./e2e          # of a binary with the race detector
package e2e
