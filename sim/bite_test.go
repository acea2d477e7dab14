package sim

import (
	"flag"
	"strings"
	"testing"
	"time"
)

// mutation is a mistake that somebody could make in a script.
type mutation struct {
	name     string
	script   string // "" is every script that has the text
	from, to string
	on       focus
	notice   string // the invariant that says so first, as a rule; for people
}

var mutations = []mutation{
	{name: "commit does not look at the token of the term", script: "commit",
		from: "if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 0 } end",
		on:   focus{kinds: []faultKind{freeze, lateRequest, swallowReplies}, scripts: []string{"commit"}}, notice: "I3"},
	{name: "commit does not look at the cursor", script: "commit", from: "if ms <= cursor then", to: "if false then",
		on: focus{kinds: []faultKind{cutReply, lateReply, lateRequest}, scripts: []string{"commit"}}, notice: "I1"},
	{name: "finish does not look at the token of the attempt", script: "finish", from: "local mine = h[2] == ARGV[a + 1]", to: "local mine = true",
		on: focus{kinds: []faultKind{blackhole, lateRequest}, scripts: []string{"finish"}, jobs: []string{"queue", "replace", "allow"}}, notice: "I3"},
	{name: "an undo is recorded after its step", script: "step", from: "if ARGV[6] == '1' then redis.call('LPUSH', KEYS[3], name) end",
		to: "if h[5] and h[5] ~= name then redis.call('LPUSH', KEYS[3], h[5]) end",
		on: focus{kinds: []faultKind{crashAfter, cancelRun}, jobs: []string{"saga"}}, notice: "I7"},
	{name: "undone takes whatever is next off the list", script: "undone", from: "if redis.call('LINDEX', KEYS[3], 0) ~= ARGV[4] then return 'ok' end",
		on: focus{kinds: []faultKind{cutReply, cutReply, crashAfter}, scripts: []string{"undone"}, jobs: []string{"saga", "undo"}}, notice: "I7"},
	{name: "the run that waits is forgotten", from: "local id = redis.call('LINDEX', waiting, 0)", to: "local id = nil",
		on: focus{jobs: []string{"queue", "replace"}}, notice: "liveness"},
	{name: "a retry is forgotten", script: "sweep", from: "elseif h.status == 'retrying' then", to: "elseif h.status == 'retryin' then",
		on: focus{jobs: []string{"retry"}}, notice: "I6"},
	{name: "the sweep takes no run of a dead node", script: "sweep", from: "and not take then", to: "then",
		on: focus{kinds: []faultKind{crashAfter, crashBefore}, scripts: []string{"claim", "renew"}}, notice: "liveness"},
	{name: "a term begins from now, not from the cursor", script: "adopt", from: "local keep = at and", to: "local keep = false and",
		on: focus{kinds: []faultKind{crashAfter}, scripts: []string{"commit"}}, notice: "I2"},
	{name: "a request by hand is forgotten", script: "trigger", from: "if earlier then", to: "if false then",
		on: focus{kinds: []faultKind{trigger}}, notice: "I1"},
	{name: "the job that follows is forgotten", from: "if h[2] then follow(", to: "if false then follow(",
		on: focus{jobs: []string{"saga", "follow"}}, notice: "I2"},
	{name: "the sweep trusts a clock that was just set", script: "sweep", from: "> tonumber(ARGV[7]) then take = false end", to: "< 0 then take = false end",
		on: focus{kinds: []faultKind{redisForward}, jobs: []string{"queue", "allow"}}, notice: "I5"},
	{name: "the sweep takes a lease a second early", script: "sweep", from: "'-inf', NOW, 'LIMIT'", to: "'-inf', NOW + tonumber(ARGV[7]) * 5, 'LIMIT'",
		on: focus{kinds: []faultKind{blackhole, slowNetwork}, jobs: []string{"queue", "allow"}}, notice: "I5"},
}

var biteFlag = flag.Int("bites", 150, "after how many seeds TestTheSimulationBites gives a mistake up")

// TestTheSimulationBites: a test that cannot fail proves nothing. Each of these mistakes
// is made in the scripts that the cluster executes, and some seed has to notice.
func TestTheSimulationBites(t *testing.T) {
	for i := range mutations {
		m := &mutations[i]
		if raced && i%4 != 1 {
			continue // CI makes all of these mistakes without the race detector
		}
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			began := time.Now()
			for n := 1; n <= *biteFlag; n++ {
				r := simulate(t, drawPlan(uint64(n), m.on), m)
				alone()
				if len(r.wrong) > 0 {
					t.Logf("seed %d noticed, after %s: %s", n, time.Since(began).Round(time.Millisecond), r.wrong[0])
					return
				}
			}
			t.Errorf("%d seeds, and nothing was noticed", *biteFlag)
		})
	}
}
