package scheduler

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"carillon/jobs"
)

// slowStore is a view whose commits can hang.
type slowStore struct {
	*view
	gate chan struct{} // empty: a commit hangs
}

func (s *slowStore) Commit(ctx context.Context, token string, ds []jobs.Decision) ([]jobs.Verdict, error) {
	<-s.gate
	s.gate <- struct{}{}
	return s.view.Commit(ctx, token, ds)
}

// refuse makes an operation of the player's store fail, or none.
func (p *player) refuse(what string) {
	p.v.mu.Lock()
	defer p.v.mu.Unlock()
	p.v.before = func(op string) error {
		if op == what {
			return errors.New("OOM command not allowed")
		}
		return nil
	}
}

// The lock is held all the time here: it says nothing about ticks.
func TestPulseFollowsWhatIsDecided(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlayer(newFakeStore(), newJob(t, "seven", "@every 7s"))
		slow := &slowStore{view: p.v, gate: make(chan struct{}, 1)}
		slow.gate <- struct{}{}
		p.store = slow
		assert.Zero(t, p.Pulse())
		beats := func(why string) {
			t.Helper()
			time.Sleep(3 * time.Second)
			assert.True(t, p.Pulse().Leading)
			assert.LessOrEqual(t, time.Since(p.Pulse().Passed), wakeAtLeast, why)
		}
		stands := func(why string) {
			t.Helper()
			time.Sleep(time.Minute)
			assert.True(t, p.Pulse().Leading)
			assert.Greater(t, time.Since(p.Pulse().Passed), 50*time.Second, why)
		}

		p.start(t, "a")
		beats("an idle term passes once a second")
		p.refuse("commit")
		stands("what is due is refused")
		p.refuse("nothing")
		beats("it is taken again")
		<-slow.gate
		stands("what is due is not answered")
		slow.gate <- struct{}{}
		beats("it is answered again")
		p.stop(t)
		assert.Zero(t, p.Pulse(), "the pulse ends with the term")
	})
}

func TestPulseBeginsWithTheCursors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlayer(newFakeStore(), newJob(t, "rare", "0 0 29 2 *"))
		p.refuse("adopt")
		p.start(t, "a")
		time.Sleep(time.Minute)
		assert.Equal(t, Pulse{Leading: true}, p.Pulse())
		p.stop(t)
	})
}
