package jobs

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestRoute(t *testing.T) {
	s := lifeSchedule(t)
	for job, route := range map[string]string{
		"release":    "any",
		"wide":       "pool=batch,arch=arm64,gpu=true,zone=eu",
		"everywhere": "zone=eu",
	} {
		assert.Equal(t, route, s.Job(job).Route(), job)
	}
	assert.Equal(t, "pool=gpu", (&Job{Pool: "gpu"}).Route())
}

func TestServes(t *testing.T) {
	j := &Job{Pool: "batch", Nodes: map[string]string{"zone": "eu", "gpu": "true"}}
	eu := map[string]string{"zone": "eu", "gpu": "true", "more": "x"}
	for _, c := range []struct {
		pool   string
		labels map[string]string
		want   bool
	}{
		{"batch", eu, true},
		{"", eu, false},
		{"web", eu, false},
		{"batch", nil, false},
		{"batch", map[string]string{"zone": "eu"}, false},
		{"batch", map[string]string{"zone": "us", "gpu": "true"}, false},
		{"batch", map[string]string{"Zone": "eu", "gpu": "true"}, false},
	} {
		assert.Equal(t, c.want, j.Serves(c.pool, c.labels), "%+v", c)
	}
	assert.True(t, (&Job{}).Serves("", nil))
	assert.True(t, (&Job{}).Serves("batch", eu), "a pool takes what asks for none, too")
}

func TestRoutesOfANode(t *testing.T) {
	s := lifeSchedule(t)
	assert.Equal(t, []string{"any"}, s.Routes("", nil))
	assert.Equal(t, []string{"any", "zone=eu"}, s.Routes("", map[string]string{"zone": "eu"}))
	assert.Equal(t, []string{"any", "pool=batch,arch=arm64,gpu=true,zone=eu", "zone=eu"},
		s.Routes("batch", map[string]string{"zone": "eu", "arch": "arm64", "gpu": "true"}))
	assert.Equal(t, []string{"any"}, (&Schedule{}).Routes("batch", nil))
}

// Two jobs have one route exactly when they ask the same of a node, so whoever
// serves a route serves every job on it.
func TestARouteSaysAllThatAJobAsks(t *testing.T) {
	words := rapid.SampledFrom([]string{"a", "b", "a-b", "a.b", "eu", "1"})
	asks := rapid.Custom(func(t *rapid.T) *Job {
		j := &Job{Nodes: rapid.MapOfN(words, words, 0, 3).Draw(t, "nodes")}
		if rapid.Bool().Draw(t, "pooled") {
			j.Pool = words.Draw(t, "pool")
		}
		return j
	})
	rapid.Check(t, func(t *rapid.T) {
		one, two := asks.Draw(t, "one"), asks.Draw(t, "two")
		same := one.Pool == two.Pool && maps.Equal(one.Nodes, two.Nodes)
		if same != (one.Route() == two.Route()) {
			t.Fatalf("%q and %q", one.Route(), two.Route())
		}
		if !one.Serves(one.Pool, one.Nodes) {
			t.Fatal("a node that is what the job asks for does not serve it")
		}
	})
}

func TestCheckLabel(t *testing.T) {
	require.NoError(t, CheckLabel("zone", "eu-1.a_B"))
	require.EqualError(t, CheckLabel("zo ne", "eu"), `label "zo ne": expected 1 to 63 letters, digits, "_", "." and "-"`)
	require.EqualError(t, CheckLabel("zone", ""), `label zone has the value "": expected 1 to 63 letters, digits, "_", "." and "-"`)
	require.ErrorContains(t, CheckLabel("pool", "a"), "reserved")
	require.ErrorContains(t, CheckLabel("node", "a"), "reserved")
	require.NoError(t, CheckPool("gpu"))
	require.EqualError(t, CheckPool("a,b"), `pool "a,b": expected 1 to 63 letters, digits, "_", "." and "-"`)
	require.Error(t, CheckPool(""))
}
