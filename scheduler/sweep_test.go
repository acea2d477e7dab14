package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSweepTakesRunningLeasesOnlyWhenSteady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlayer(newFakeStore())
		p.v.steady = 30*time.Second - 1
		p.start(t, "a")
		time.Sleep(900 * time.Millisecond)
		p.stop(t)
		p.v.steady = 30 * time.Second
		p.start(t, "a")
		time.Sleep(900 * time.Millisecond)
		p.stop(t)
		assert.Equal(t, []bool{false, false, true, true}, p.v.sweeps)
	})
}

func TestSweepGoesOnAtOnceWhileMoreIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlayer(newFakeStore())
		p.v.more = 100
		p.start(t, "a")
		time.Sleep(time.Millisecond)
		p.stop(t)
		assert.Len(t, p.v.sweeps, 101)
	})
}

func TestSweepFollowsAdopt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlayer(newFakeStore())
		swept := false
		p.v.before = func(op string) error {
			swept = swept || op == "sweep"
			return errDown
		}
		p.start(t, "a")
		time.Sleep(10 * time.Second)
		p.stop(t)
		assert.False(t, swept)
	})
}

func TestSlowOrFailingSweepDelaysNoTick(t *testing.T) {
	bubble(t, func(t *testing.T) {
		job := newJob(t, "second", "* * * * * *")
		f, begin := newFakeStore(), time.Now()
		p := newPlayer(f, job)
		p.v.stuck = 10 * time.Second
		n := 0
		p.v.before = func(op string) error {
			if n++; op == "sweep" && n%2 == 0 {
				return errDown
			}
			return nil
		}
		p.start(t, "a")
		time.Sleep(2 * time.Minute)
		p.stop(t)
		f.accounted(t, job, begin, time.Now())
		for _, d := range f.page("second") {
			require.Equal(t, d.tick, d.at.UTC())
		}
		assert.NotEmpty(t, p.v.sweeps)
	})
}
