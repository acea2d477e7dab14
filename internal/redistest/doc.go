// Package redistest gives tests a Redis.
//
// It is test support and promises nothing to anyone else. In particular it
// does not make a miniredis behave like a redis-server: what has to be proved
// about Redis itself (expiry while stopped, restarts, scripts over a second)
// is proved on a real one.
//
//	Shared(t)     one redis-server for the package, a namespace for each test
//	Real(t)       a redis-server of the test's own
//	StartReal     the same, to be stopped, continued, killed and restarted
//	StartCluster  six of them that are a Redis Cluster, to be resharded and failed over
//	Mini(t)       a miniredis over TCP in which time moves
//	Bubble(t)     a miniredis inside a testing/synctest bubble, no network
//	NewLink       a dialer in front of any of them that loses what it is told to
//
// Most tests want Bubble: an hour of its time costs nothing, and it waits for
// nobody. Shared is next: a test on it costs about a millisecond.
//
// A real server needs redis-server in the PATH or named by
// $CARILLON_REDIS_SERVER. Without one a test is skipped with the line to type,
// except where $CI is set: there it fails, because a build that silently tested
// nothing is worse than a red one.
package redistest
