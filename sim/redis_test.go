package sim

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"carillon/internal/redisstore"
	"carillon/internal/redistest"
)

// server is the one Redis of the cluster, with a clock of its own.
type redisServer struct {
	m   *miniredis.Miniredis
	raw redistest.DialFunc

	mu      sync.Mutex
	moved   *sync.Cond
	ahead   time.Duration // its clock before the true one
	aged    time.Time     // up to when keys have aged, on its own clock
	down    bool
	loading bool
	still   bool // nothing reaches it, and nothing breaks
}

func newRedis(t testing.TB, ahead time.Duration) *redisServer {
	dial, m := redistest.Bubble(t)
	m.ClockTTL(false) // it sorts all keys at every access; see age
	r := &redisServer{m: m, raw: dial, ahead: ahead}
	r.moved = sync.NewCond(&r.mu)
	r.aged = r.now()
	m.SetTime(r.aged)
	return r
}

func (r *redisServer) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.ahead).UTC()
}

// age moves the server's clock, and lets keys age with it. It runs before each command
// is written to the server: a hook of its own would be called inside of scripts too.
func (r *redisServer) age() {
	const grain = 20 * time.Millisecond
	r.mu.Lock()
	now := time.Now().Add(r.ahead).UTC()
	by := now.Sub(r.aged)
	if by.Abs() >= grain {
		r.aged = now
	}
	r.mu.Unlock()
	r.m.SetTime(now)
	if by.Abs() >= grain {
		r.m.FastForward(by)
	}
}

func (r *redisServer) step(by time.Duration) {
	r.mu.Lock()
	r.ahead += by
	r.mu.Unlock()
	r.age()
}

func (r *redisServer) set(change func()) {
	r.mu.Lock()
	change()
	r.mu.Unlock()
	r.moved.Broadcast()
}

func (r *redisServer) isDown() bool    { r.mu.Lock(); defer r.mu.Unlock(); return r.down }
func (r *redisServer) isLoading() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.loading }

// wait waits while the server holds still.
func (r *redisServer) wait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.still {
		r.moved.Wait()
	}
}

func (r *redisServer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return r.raw(ctx, network, addr)
}

// direct is a dialer without faults.
func (r *redisServer) direct(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := r.raw(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &aging{c, r}, nil
}

type aging struct {
	net.Conn
	r *redisServer
}

func (a *aging) Write(p []byte) (int, error) {
	a.r.age()
	return a.Conn.Write(p)
}

// holder is the token in the seat when a leader's script is let through.
func (r *redisServer) holder(cmd *command) string {
	if !leaderScripts[cmd.script] {
		return ""
	}
	token, _ := r.m.Get("{carillon}:leader") // an error is an empty seat
	return token
}

// scripts knows the scripts by their names, and may put other ones in their place.
type scripts struct {
	names   map[string]string // sha -> name
	changed map[string]string // sha -> sha of what is executed instead
	texts   []string          // of these
}

func newScripts(mutate *mutation) *scripts {
	s := &scripts{names: map[string]string{}, changed: map[string]string{}}
	for name, text := range redisstore.Scripts() {
		s.names[sum(text)] = name
		if mutate == nil || mutate.script != "" && mutate.script != name {
			continue
		}
		other := strings.Replace(text, mutate.from, mutate.to, 1)
		if other == text {
			continue
		}
		s.changed[sum(text)] = sum(other)
		s.texts = append(s.texts, other)
	}
	if mutate != nil && len(s.texts) == 0 {
		panic("sim: mutation \"" + mutate.name + "\" finds nothing to change")
	}
	return s
}

func sum(text string) string {
	s := sha1.Sum([]byte(text))
	return hex.EncodeToString(s[:])
}

func (s *scripts) name(sha string) string    { return s.names[sha] }
func (s *scripts) patched(sha string) string { return s.changed[sha] }
