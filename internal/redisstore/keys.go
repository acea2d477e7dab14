package redisstore

import "strings"

// keys builds every key that Go code or a script's KEYS name. All of them carry
// the hash tag {namespace}, so that any script is legal on Redis Cluster.
// docs/redis.md lists the families with their caps and lifetimes; a test
// compares the two.
type keys struct{ prefix string }

func newKeys(namespace string) keys { return keys{prefix: "{" + namespace + "}:"} }

// probe never exists. Scripts read it first: see lua/lib_common.lua.
func (k keys) probe() string { return k.prefix + "probe" }

func (k keys) leader() string { return k.prefix + "leader" }
func (k keys) term() string   { return k.prefix + "term" }

// On the lock Redises, if there are any.
func (k keys) lock() string      { return k.prefix + "lock" }
func (k keys) lockEpoch() string { return k.prefix + "lock_epoch" }

func (k keys) cursors() string          { return k.prefix + "cursors" }
func (k keys) leases() string           { return k.prefix + "leases" }
func (k keys) nodes() string            { return k.prefix + "nodes" }
func (k keys) recent() string           { return k.prefix + "recent" }
func (k keys) events() string           { return k.prefix + "events" }
func (k keys) control() string          { return k.prefix + "control" }
func (k keys) sequence() string         { return k.prefix + "sequence" }
func (k keys) cluster() string          { return k.prefix + "cluster" }
func (k keys) embedded() string         { return k.prefix + "embedded" }
func (k keys) run(id string) string     { return k.prefix + "run:" + id }
func (k keys) log(id string) string     { return k.prefix + "log:" + id }
func (k keys) active(job string) string { return k.prefix + "active:" + job }
func (k keys) activeOn(job, node string) string {
	return k.prefix + "active:" + job + ":" + node
}
func (k keys) ledger(job string) string      { return k.prefix + "ledger:" + job }
func (k keys) history(job string) string     { return k.prefix + "history:" + job }
func (k keys) backfills() string             { return k.prefix + "backfills" }
func (k keys) backfill(job string) string    { return k.prefix + "backfill:" + job }
func (k keys) paused() string                { return k.prefix + "paused" }
func (k keys) pauses() string                { return k.prefix + "pauses" }
func (k keys) renamed() string               { return k.prefix + "renamed" }
func (k keys) routes() string                { return k.prefix + "routes" }
func (k keys) rollback(id string) string     { return k.prefix + "rollback:" + id }
func (k keys) waiting(job string) string     { return k.prefix + "waiting:" + job }
func (k keys) failures(job string) string    { return k.prefix + "failures:" + job }
func (k keys) node(name string) string       { return k.prefix + "node:" + name }
func (k keys) claim(boot string) string      { return k.prefix + "claim:" + boot }
func (k keys) schedule(digest string) string { return k.prefix + "schedule:" + digest }
func (k keys) bell(route string) string      { return k.prefix + "bell:" + route }
func (k keys) priorities(route string) string {
	return k.prefix + "priorities:" + route
}
func (k keys) queue(route, priority string) string {
	return k.prefix + "queue:" + route + ":" + priority
}
func (k keys) request(job, id string) string {
	return k.prefix + "request:" + job + ":" + id
}

// nodeRoute is the route of runs that one process alone may take. It is named
// after the boot id, not the node's name, so that two processes that were given
// the same name stay two.
func nodeRoute(boot string) string { return "node=" + boot }

// familyOf reduces a key to its family ("run:<id>" to "run"), for the tests that
// check caps and lifetimes.
func (k keys) familyOf(key string) string {
	family, _, _ := strings.Cut(strings.TrimPrefix(key, k.prefix), ":")
	return family
}
