package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const stormJobs = 20

// TestLeaderStorm kills leader after leader while twenty jobs fall due every
// second. Without flags it is short and impatient; with -storm 2m the nodes have
// the default leader TTL and a leader dies every ten seconds.
func TestLeaderStorm(t *testing.T) {
	t.Parallel()
	for _, overlap := range []string{"allow", "skip"} {
		t.Run("overlap "+overlap, func(t *testing.T) {
			t.Parallel()
			stormOf(t, overlap)
		})
	}
}

func stormOf(t *testing.T, overlap string) {
	every, flags := 10*time.Second, []string{"--lease", "3s", "--slots", "8"}
	if *storm < 30*time.Second {
		every, flags = 4*time.Second, append(flags, "--leader-ttl", "1s")
	}
	var schedule strings.Builder
	schedule.WriteString("jobs:\n")
	var names []string
	for i := range stormJobs {
		names = append(names, fmt.Sprintf("job-%02d", i))
		fmt.Fprintf(&schedule, "  %s: {schedule: \"* * * * * *\", catch_up: all, overlap: %s, run: MARK; sleep 0.3}\n", names[i], overlap)
	}
	f := newFleet(t, schedule.String())
	nodes := map[string]*process{}
	for _, name := range []string{"n1", "n2", "n3"} {
		nodes[name] = f.up(name, flags...)
	}
	begin := f.adopted(stormJobs)

	stop := time.After(*storm)
	kill := time.NewTicker(every)
	defer kill.Stop()
	killed := 0
	for raging := true; raging; {
		select {
		case <-stop:
			raging = false
		case <-kill.C:
			name := f.awaitLeader(patience)
			nodes[name].kill()
			killed++
			nodes[name] = f.begin(name, flags...)
		}
	}
	require.Positive(t, killed)
	for name, p := range nodes {
		assert.NotContains(t, p.stderr(), "another live node has this node's name", "%s was started again, there are not two of it", name)
	}

	end := f.settle(patience, names...)
	ticks := everySecond(begin, end)
	var sum account
	for _, job := range names {
		sum.add(f.audit(job, ticks))
	}
	t.Logf("%d leaders killed in %v\n%s\n%s", killed, *storm, accountHead(), sum.row("overlap: "+overlap))
	sum.balanced(t)
	assert.Zero(t, sum.missed, "catch_up: all misses nothing")
	if overlap == "allow" {
		assert.Zero(t, sum.skipped, "nothing is in the way")
	}
}
