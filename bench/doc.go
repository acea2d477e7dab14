// Package bench measures carillon beside its peers. It is a module of its own,
// so that the peers are no dependency of carillon.
//
// # What is not promised
//
// None of these numbers. They are from one small machine that was busy with other
// things, with the client, the nodes and Redis on the same two cores and the network a
// loopback. Compare what stands in one table, which was measured in turns, and
// not one table with another. A redis-server without persistence is used; with
// appendfsync everysec it does less. Nothing here fails because it is slow:
// these are commands that print numbers, and no tests.
//
// Of due-to-started with one job a second, p99 over a minute is the worst of 60:
// one hiccup of the machine decides it. The floor beside it says what the machine
// did to a thread that only slept.
//
// A peer without status, retries or fencing does less work for its number; the
// rows say which is which. What a run costs in commands and time of Redis is
// steadier than runs/s, and is what to look at first.
//
// # What is measured
//
//	BenchmarkLives        a no-op run's whole life in one node with 64 slots
//	BenchmarkLivesLimit   the same scripts without an executor
//	BenchmarkLivesAsynq   the same work for asynq
//	BenchmarkScripts      what commit, claim and finish cost Redis
//	BenchmarkTicks        three node processes: due to started, lost, twice, cores
//	BenchmarkStages       the same under MONITOR: where the time goes
//	BenchmarkLoad         a schedule file of 10,000 jobs
//	BenchmarkIdle         a node process that holds it: CPU and memory
//	BenchmarkPlanner      which of 100,000 and of 1,000,000 jobs is due, beside three cron engines
//	BenchmarkNext         the next time of an expression, beside robfig/cron, netresearch/go-cron and gronx
//
// Everything is a benchmark of go test; those that take a fixed time are run with
// -benchtime 1x. compare runs several in turns and prints medians. Node processes
// are this test binary, executed again; see child_test.go.
package bench
