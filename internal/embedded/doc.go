// Package embedded is the Redis that `carillon up` brings along when it is
// given none: a miniredis in the process, for the first minutes on a laptop.
//
// # What is not promised
//
// Nothing survives the process. There is no file, no replica, no memory limit
// and no eviction. There is no password either, so it listens on the loopback
// interface only and refuses any other address; whoever can connect to it can
// start the jobs of the schedule.
//
// It is not fast, and it gets slower with what it holds: one lock around
// everything, a new Lua state for each script, sorted sets that are sorted
// again at each range. And it grows: the engine remembers a version number of
// every key it ever had (db.keyVersion in miniredis), deleted or expired, which
// is one map entry for each run, some ten megabytes a day at one run a second.
// A node that runs for weeks wants a real Redis.
//
// # What this package adds to the engine
//
// Time. Left alone, the keys of a miniredis never expire. Its own remedy
// (ClockTTL) sorts all keys on each command, so time is moved here, a few times
// a second. It follows the wall clock, as TIME does, so that a lease that is
// compared with TIME and a key that expires agree after the laptop was asleep.
//
// Readers that stop reading. The engine writes to subscribers while everybody
// else waits; one `carillon watch` stopped with Ctrl-Z would stop the whole
// cluster. So connections are accepted here, and handed over in a wrapper that
// gives each write a second and closes the connection of who needs longer.
//
// The engine speaks only the binary form of the protocol, no inline commands:
// a web page that sends a request to the port is cut off at its first line.
package embedded
