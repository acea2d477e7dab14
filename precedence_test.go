package carillon

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func TestWhoLeadsByRevision(t *testing.T) {
	const ttl = 4 * time.Second // patience 10 s, respite 4 min
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	node := func(name string, revision int64) jobs.Node {
		return jobs.Node{Name: name, Boot: "boot-" + name, Revision: revision}
	}
	mute := node("mute", 9)
	mute.NoLead = true
	const b8 = "node b has revision 8 of the schedule, this one has 7"
	for name, c := range map[string]struct {
		own    int64
		live   []jobs.Node
		vacant time.Duration // for how long; -1: this node leads
		want   string
	}{
		"nobody else":                    {7, []jobs.Node{node("a", 7)}, 0, ""},
		"nobody at all":                  {7, nil, 0, ""},
		"the others are older":           {7, []jobs.Node{node("a", 7), node("b", 6)}, 0, ""},
		"a newer one, vacant":            {7, []jobs.Node{node("a", 7), node("b", 8)}, 0, b8},
		"a newer one, vacant for long":   {7, []jobs.Node{node("a", 7), node("b", 8)}, 9999 * time.Millisecond, b8},
		"a newer one, vacant too long":   {7, []jobs.Node{node("a", 7), node("b", 8)}, 10 * time.Second, ""},
		"a newer one, and this leads":    {7, []jobs.Node{node("a", 7), node("b", 8)}, -1, b8},
		"a newer one that does not lead": {7, []jobs.Node{mute}, 0, ""},
		"and one that does":              {7, []jobs.Node{mute, node("b", 8)}, -1, b8},
		"none has no revision":           {0, []jobs.Node{node("a", 0), node("b", 1)}, 0, "node b has revision 1 of the schedule, this one has 0"},
		"its own past":                   {7, []jobs.Node{node("a", 8)}, 0, ""},
		"the newest of several":          {7, []jobs.Node{node("c", 8), node("z", 9), node("y", 9)}, 0, "node y has revision 9 of the schedule, this one has 7"},
	} {
		vacant := time.Time{}
		if c.vacant >= 0 {
			vacant = now.Add(-c.vacant)
		}
		assert.Equal(t, c.want, newPrecedence("boot-a", ttl).decide(c.own, c.live, vacant, now), name)
	}
}

// A node that leaves a vacant seat to others is none that depose.lua counts on.
func TestTheScriptForgetsADeposalWhenTheNodeDoes(t *testing.T) {
	text, err := os.ReadFile("internal/redisstore/lua/depose.lua")
	require.NoError(t, err)
	assert.Contains(t, string(text), fmt.Sprintf("local RESPITE_MS = %d ", deposedFor.Milliseconds()))
}

func TestADeposedNodeLeavesTheSeatToOthers(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	a, b, c := jobs.Node{Name: "a", Boot: "boot-a"}, jobs.Node{Name: "b", Boot: "1"}, jobs.Node{Name: "c", Boot: "2", NoLead: true}
	deposed, other := a, b
	deposed.Deposed, other.Deposed = now, now
	const why = "this node was deposed not long ago, and others can lead"
	for name, want := range map[string]struct {
		live   []jobs.Node
		vacant time.Duration // -1: this node leads
		why    string
	}{
		"another can":                {[]jobs.Node{deposed, b}, 0, why},
		"it took its time":           {[]jobs.Node{deposed, b}, 9999 * time.Millisecond, why},
		"nobody does":                {[]jobs.Node{deposed, b}, 10 * time.Second, ""},
		"it leads again":             {[]jobs.Node{deposed, b}, -1, ""},
		"nobody else":                {[]jobs.Node{deposed}, 0, ""},
		"nobody else may":            {[]jobs.Node{deposed, c}, 0, ""},
		"the other was deposed too":  {[]jobs.Node{deposed, other}, 0, ""},
		"another was":                {[]jobs.Node{a, other}, 0, ""},
		"an earlier process of this": {[]jobs.Node{{Name: "a", Boot: "0", Deposed: now}, b}, 0, ""},
	} {
		vacant := time.Time{}
		if want.vacant >= 0 {
			vacant = now.Add(-want.vacant)
		}
		assert.Equal(t, want.why, newPrecedence("boot-a", 4*time.Second).decide(0, want.live, vacant, now), name)
	}
	other.Revision = 9
	assert.Empty(t, newPrecedence("boot-a", 4*time.Second).decide(0, []jobs.Node{a, other}, now, now), "nobody waits for a deposed one, however new it is")
}

func TestANewerNodeIsNotWaitedForInVainAgainAndAgain(t *testing.T) {
	p := newPrecedence("boot-a", 4*time.Second)
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	b := jobs.Node{Name: "b", Boot: "1", Revision: 8}
	leads := time.Time{}

	assert.NotEmpty(t, p.decide(7, []jobs.Node{b}, leads, now), "the leader resigns for it")
	resigned := now
	assert.NotEmpty(t, p.decide(7, []jobs.Node{b}, resigned, now.Add(9*time.Second)), "and waits")
	now = now.Add(10 * time.Second)
	assert.Empty(t, p.decide(7, []jobs.Node{b}, resigned, now), "in vain: it leads again")
	now = now.Add(time.Minute)
	assert.Empty(t, p.decide(7, []jobs.Node{b}, leads, now), "and does not resign for it again")
	assert.Empty(t, p.decide(7, []jobs.Node{b}, now, now), "nor wait for it")

	again, newer, other := b, b, b
	again.Boot, newer.Revision, other.Name = "2", 9, "c"
	for _, n := range []jobs.Node{again, newer, other} {
		assert.NotEmpty(t, p.decide(7, []jobs.Node{b, n}, leads, now), "%v has not been tried", n)
	}
	now = now.Add(3 * time.Minute)
	assert.NotEmpty(t, p.decide(7, []jobs.Node{b}, leads, now), "after a while it is worth a try")
}
