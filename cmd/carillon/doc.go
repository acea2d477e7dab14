// Command carillon is cron for a fleet: one YAML file, any number of nodes,
// one Redis.
//
// What it does not promise: exactly-once side effects. A run starts at least
// once, and a second time only when its node died or was cut off; commands get
// CARILLON_RUN_ID as their idempotency key. Nor does the command line promise
// that what it shows is the newest: it reads what the store says at that
// moment, and `watch` shows events that may be lost.
//
// This package is wiring and nothing clever: flags in, words out. Every
// command has one file; what they share is split by question:
//
//	main.go      the process: signals, and the exit code
//	app.go       the root command, shared flags, and how an error ends the process
//	exit.go      every exit code, and the one error type that carries it
//	source.go    which schedule file, which Redis
//	store.go     what the commands need of a store; store_redis.go binds the real one
//	wait.go      how a command waits for a run; follow.go reads it, tell.go finds the words
//	everywhere.go the same for the runs of all nodes
//	output.go    data on stdout: table, json, jsonl, yaml
//	view.go      the JSON shapes, which are a documented contract
//	sanitise.go  nothing a job wrote reaches a terminal raw
//
// Data goes to stdout and everything else to stderr, so that a pipe sees data
// only. The exit code says what happened without reading either.
package main
