// Package console shows one node over HTTP: whether it is well, and its metrics.
//
// It is not a way to change anything: it answers GET and HEAD alone, and nothing it
// shows is secret. There is no password and no TLS. What is not promised: that the
// counters survive the node, which begins them at zero, or that those of all nodes
// add up to what the ledgers say. The ledger is the record; metrics are for graphs and alarms.
//
// A Server binds when it is made, so that an address in use is an error of the
// start. A Meter counts; a State is asked for when somebody looks.
package console
