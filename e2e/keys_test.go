package e2e

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const day = 24 * time.Hour

// bound is what docs/redis.md promises of a family of keys.
type bound struct {
	ttl   time.Duration // at most; 0: the key stays
	cap   int           // elements, fields or entries in one key; 0: none is promised, or it is a string
	keys  int           // keys of the family after the storm, at most; 0: not checked
	empty bool          // the key is gone when nothing waits and nothing runs
}

// The storm of TestEveryFamilyOfKeysIsBounded: three jobs, each far beyond what
// is kept of it.
const (
	floodRuns  = 260
	floodJobs  = 3
	floodNodes = 2
)

// bounds has every family there is.
var bounds = map[string]bound{
	"leader":     {ttl: 5 * time.Second, keys: 1},
	"term":       {cap: 8, keys: 1},
	"lock":       {ttl: 5 * time.Second, keys: 1}, // of --lock-redis
	"lock_epoch": {cap: 2, keys: 1},
	"cursors":    {cap: floodJobs, keys: 1},
	"queue":      {empty: true},
	"priorities": {empty: true},
	"bell":       {cap: floodNodes},
	"routes":     {empty: true},
	"rollback":   {empty: true},
	"run":        {ttl: 30 * day, cap: 52, keys: floodJobs*100 + 50},
	"leases":     {empty: true},
	"active":     {empty: true},
	"waiting":    {empty: true},
	"group":      {empty: true},
	"groupwait":  {empty: true},
	"paused":     {empty: true},
	"pauses":     {empty: true},
	"renamed":    {empty: true},
	"backfill":   {empty: true},
	"backfills":  {empty: true},
	"claim":      {ttl: time.Hour, cap: 2, keys: floodNodes},
	"ledger":     {ttl: 90 * day, cap: 2000, keys: floodJobs},
	"history":    {ttl: 30 * day, cap: 100, keys: floodJobs},
	"failures":   {ttl: 30 * day, cap: 50, keys: floodJobs},
	"recent":     {ttl: 30 * day, cap: 1000, keys: 1},
	"log":        {ttl: 7 * day, keys: floodJobs * 150},
	"logs":       {ttl: 30 * day, cap: floodRuns, keys: floodJobs},
	"logsize":    {ttl: 30 * day, keys: floodJobs},
	"node":       {ttl: time.Minute, cap: 20, keys: floodNodes},
	"nodes":      {cap: floodNodes, keys: 1},
	"schedule":   {ttl: time.Minute, cap: floodJobs, keys: 1},
	"request":    {ttl: day, keys: 1},
	"sequence":   {keys: 1},
	"cluster":    {keys: 1},
	"embedded":   {keys: 1},
	"probe":      {empty: true},
}

// logBudget is how much output a job may keep.
const logBudget = 4 << 20

func TestEveryFamilyOfKeysIsBounded(t *testing.T) {
	t.Parallel()
	f, _ := ownFleet(t, `
defaults: {catch_up: {policy: all, max: 1000, window: 72h}, overlap: allow}
jobs:
  good: {schedule: "0 */10 * * * *", run: ":"}
  bad: {schedule: "0 */10 * * * *", run: "exit 1"}
  chatty: {schedule: "0 */10 * * * *", run: "head -c 100000 /dev/zero | tr '\\0' x"}
`)
	ctx := context.Background()
	// The fleet was away for so long that a storm awaits it.
	jobs := []string{"good", "bad", "chatty"}
	f.adoptedByAnother(len(jobs))
	for _, job := range jobs {
		f.putBack(job, f.now().Add(-floodRuns*10*time.Minute))
	}
	f.up("n1", "--slots", "4")
	f.up("n2", "--slots", "4")
	eventually(t, time.Minute, func() bool {
		for _, job := range jobs {
			if f.rdb.LLen(ctx, f.key("ledger:"+job)).Val() < floodRuns-1 || f.rdb.SCard(ctx, f.key("active:"+job)).Val() > 0 {
				return false
			}
		}
		return true
	}, "the storm is over")
	id := f.trigger("good", "--request-id", "once", "--reason", "to have such a key")
	f.awaitRun(patience, id, "succeeded", 1)

	found := map[string]int{}
	logs := map[string]int64{}
	iter := f.rdb.Scan(ctx, 0, "*", 1000).Iterator()
	for iter.Next(ctx) {
		key := iter.Val()
		require.True(t, strings.HasPrefix(key, f.key("")), "%s is outside of the namespace", key)
		family, rest, _ := strings.Cut(strings.TrimPrefix(key, f.key("")), ":")
		found[family]++
		b, known := bounds[family]
		if !assert.True(t, known, "%s: a family that nobody has bounded", key) {
			continue
		}
		f.within(key, b)
		if job, _, _ := strings.Cut(rest, "@"); family == "log" {
			logs[job] += f.logBytes(key)
		}
	}
	require.NoError(t, iter.Err())
	for family, n := range found {
		if most := bounds[family].keys; most > 0 {
			assert.LessOrEqual(t, n, most, "keys of family %s", family)
		}
	}
	t.Logf("keys after %d runs: %v; output kept: %v", floodRuns*floodJobs, found, logs)
	for _, family := range []string{"run", "ledger", "history", "failures", "recent", "log", "logs", "logsize", "claim", "node", "nodes", "schedule", "request", "term", "cursors", "leader"} {
		assert.Positive(t, found[family], "there is a %s: the test looks at what it should", family)
	}
	assert.LessOrEqual(t, logs["chatty"], int64(logBudget))
	assert.Greater(t, logs["chatty"], int64(logBudget/2))
}

// within holds one key against its bound.
func (f *fleet) within(key string, b bound) {
	f.t.Helper()
	ctx := context.Background()
	kind := f.rdb.Type(ctx, key).Val()
	if kind == "none" {
		return // a lock or a heartbeat, expired since
	}
	if b.empty {
		assert.Fail(f.t, "nothing waits and nothing runs", "%s: and yet there is this %s", key, kind)
		return
	}
	ttl := f.rdb.PTTL(ctx, key).Val()
	if b.ttl == 0 {
		assert.Equal(f.t, time.Duration(-1), ttl, "%s stays", key)
	} else {
		assert.Greater(f.t, ttl, time.Duration(0), "%s has a lifetime", key)
		assert.LessOrEqual(f.t, ttl, b.ttl, "%s", key)
	}
	var n int64
	switch kind {
	case "hash":
		n = f.rdb.HLen(ctx, key).Val()
	case "list":
		n = f.rdb.LLen(ctx, key).Val()
	case "set":
		n = f.rdb.SCard(ctx, key).Val()
	case "zset":
		n = f.rdb.ZCard(ctx, key).Val()
	}
	if b.cap > 0 {
		assert.LessOrEqual(f.t, n, int64(b.cap), "elements of %s", key)
	}
}

// logBytes is the output in a log.
func (f *fleet) logBytes(key string) (n int64) {
	for _, m := range f.rdb.XRange(context.Background(), key, "-", "+").Val() {
		text, _ := m.Values["data"].(string)
		n += int64(len(text))
	}
	return n
}

// The table of docs/redis.md and the one above have the same families.
func TestDocumentedFamiliesAreTheBoundedOnes(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "docs", "redis.md"))
	require.NoError(t, err)
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `:([a-z_]+)[^`]*` \\| (?:string|hash|list|set|zset|stream|none)").FindAllStringSubmatch(string(doc), -1) {
		documented[m[1]] = true
	}
	for family := range bounds {
		assert.True(t, documented[family], "docs/redis.md has no row for %s", family)
	}
	for family := range documented {
		assert.Contains(t, bounds, family, "docs/redis.md has a row for it")
	}
}
