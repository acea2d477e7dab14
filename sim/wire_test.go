package sim

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"carillon/internal/redistest"
)

// port is the network of one life of a node: every connection it makes goes through
// here, command by command, and may meet a fault.
type port struct {
	w    *world
	name string // of the node, for the log
	life *life  // nil: the operator's

	mu     sync.Mutex
	moved  *sync.Cond
	dead   bool          // the process is gone: nothing goes in or out
	frozen bool          // nothing moves, nothing breaks
	fault  faultKind     // a window of losses: "" or swallowRequests, swallowReplies, blackhole, refusing
	delay  time.Duration // of everything, each way
	traps  []*trap
	conns  map[*wire]struct{}
}

// trap waits for one call of a script and strikes at it.
type trap struct {
	fault  *fault
	script string // "" is any
	skip   int    // calls that pass before
}

func newPort(w *world, name string, l *life) *port {
	p := &port{w: w, name: name, life: l, conns: map[*wire]struct{}{}}
	p.moved = sync.NewCond(&p.mu)
	return p
}

func (p *port) set(change func()) {
	p.mu.Lock()
	change()
	p.mu.Unlock()
	p.moved.Broadcast()
}

// kill breaks every connection, for good or for new ones to come.
func (p *port) cut(forGood bool) {
	p.mu.Lock()
	p.dead = p.dead || forGood
	conns := p.conns
	p.conns = map[*wire]struct{}{}
	p.mu.Unlock()
	p.moved.Broadcast()
	for c := range conns {
		c.cut()
	}
}

// pass waits while the port is frozen or the server holds still; false when the
// process is gone.
func (p *port) pass() bool {
	p.w.redis.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.frozen && !p.dead {
		p.moved.Wait()
	}
	return !p.dead
}

func (p *port) look() (fault faultKind, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.delay
}

// trapped returns the trap that strikes at a call of that script, if one does.
func (p *port) trapped(script string) *trap {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, t := range p.traps {
		if t.script != "" && t.script != script {
			continue
		}
		if t.skip > 0 {
			t.skip--
			continue
		}
		p.traps = append(p.traps[:i:i], p.traps[i+1:]...)
		return t
	}
	return nil
}

// dial is the node's dialer. It never waits: the client library dials under locks, and
// who waits for a lock holds up the clock of a bubble. A network that is gone shows
// itself at the first answer that does not come.
func (p *port) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	refused := &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	if fault, _ := p.look(); fault == refusing || p.w.redis.isDown() {
		return nil, refused
	}
	inner, err := p.w.redis.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	near, far := redistest.Pipe()
	c := &wire{port: p, far: far, inner: inner}
	p.mu.Lock()
	dead := p.dead || p.fault == refusing
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	if dead || p.w.redis.isDown() {
		c.cut()
		return nil, refused
	}
	p.w.loops.Go(c.requests)
	p.w.loops.Go(c.replies)
	return near, nil
}

// wire is one connection, seen from its middle.
type wire struct {
	port       *port
	far, inner net.Conn // towards the client and towards the server

	mu      sync.Mutex
	pending []*command // sent and not answered
	talks   bool       // it is subscribed: what comes back are no answers
	mute    bool       // something was lost: what follows would be out of step, so all is lost
}

// command is one request under way.
type command struct {
	args   []string
	raw    []byte
	script string // its name, of a call of one
	trap   *trap  // strikes at the answer
	holder string // of the seat when it was let through
}

func (c *wire) cut() {
	_ = c.far.Close()
	_ = c.inner.Close()
}

func (c *wire) gone() {
	c.port.mu.Lock()
	delete(c.port.conns, c)
	c.port.mu.Unlock()
	c.cut()
}

func (c *wire) isMute() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mute
}

func (c *wire) silence() {
	c.mu.Lock()
	c.mute = true
	c.mu.Unlock()
}

// requests carries commands to the server.
func (c *wire) requests() {
	// What was sent before the client hung up still arrives.
	defer func() { _ = c.inner.Close() }()
	in := bufio.NewReader(c.far)
	for {
		v, raw, err := readValue(in, nil)
		if err != nil {
			return
		}
		cmd := &command{args: texts(v), raw: raw}
		if len(cmd.args) > 0 && strings.EqualFold(cmd.args[0], "hello") {
			// The client library waits for this one under a lock, too.
			if _, err := io.WriteString(c.far, "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"); err != nil {
				return
			}
			continue
		}
		if !c.port.pass() || !c.request(cmd) {
			return
		}
	}
}

// request lets one command through, or what a fault makes of it.
func (c *wire) request(cmd *command) bool {
	w := c.port.w
	word := ""
	if len(cmd.args) > 0 {
		word = strings.ToUpper(cmd.args[0])
	}
	if word == "EVALSHA" && len(cmd.args) > 1 {
		cmd.script = w.scripts.name(cmd.args[1])
		if patched := w.scripts.patched(cmd.args[1]); patched != "" {
			cmd.raw = bytes.Replace(cmd.raw, []byte(cmd.args[1]), []byte(patched), 1)
		}
	}
	if c.isMute() {
		return true
	}
	fault, delay := c.port.look()
	if delay > 0 {
		w.struck(slowNetwork)
		time.Sleep(delay)
	}
	if fault == blackhole || fault == swallowRequests {
		w.struck(fault)
		c.silence()
		return true
	}
	if w.redis.isLoading() {
		w.struck(redisLoads)
		_, err := io.WriteString(c.far, "-LOADING Redis is loading the dataset in memory\r\n")
		return err == nil
	}
	if cmd.script != "" {
		if t := c.port.trapped(cmd.script); t != nil {
			switch t.fault.kind {
			case crashBefore:
				w.log("%s dies before %s", c.port.name, cmd.script)
				w.struck(crashBefore)
				w.crash(c.port.life, t.fault.length)
				return false
			case lateRequest:
				w.log("%s: %s is held up for %s", c.port.name, cmd.script, t.fault.length)
				w.struck(lateRequest)
				time.Sleep(t.fault.length)
			default:
				cmd.trap = t
			}
		}
	}
	if word == "SUBSCRIBE" {
		c.mu.Lock()
		c.talks = true
		c.mu.Unlock()
	}
	w.redis.age()
	cmd.holder = w.redis.holder(cmd)
	c.mu.Lock()
	c.pending = append(c.pending, cmd)
	c.mu.Unlock()
	_, err := c.inner.Write(cmd.raw)
	return err == nil
}

// replies carries answers back.
func (c *wire) replies() {
	defer c.gone()
	in := bufio.NewReader(c.inner)
	for {
		v, raw, err := readValue(in, nil)
		if err != nil {
			return
		}
		c.mu.Lock()
		var cmd *command
		if !c.talks && len(c.pending) > 0 {
			cmd, c.pending = c.pending[0], c.pending[1:]
		}
		c.mu.Unlock()
		if cmd != nil && cmd.script != "" { // now: the answer may be held up from here on
			c.port.w.witness.saw(c.port.name, cmd, v)
		}
		if !c.port.pass() || !c.reply(cmd, raw) {
			return
		}
	}
}

func (c *wire) reply(cmd *command, raw []byte) bool {
	w := c.port.w
	if c.isMute() {
		return true
	}
	if cmd != nil && cmd.trap != nil {
		switch f := cmd.trap.fault; f.kind {
		case crashAfter:
			w.log("%s dies after %s", c.port.name, cmd.script)
			w.struck(crashAfter)
			w.crash(c.port.life, f.length)
			return false
		case cutReply:
			w.log("%s: the connection breaks before the answer to %s", c.port.name, cmd.script)
			w.struck(cutReply)
			return false
		case lateReply:
			w.log("%s: the answer to %s is held up for %s", c.port.name, cmd.script, f.length)
			w.struck(lateReply)
			time.Sleep(f.length)
		}
	}
	fault, delay := c.port.look()
	if delay > 0 {
		time.Sleep(delay)
	}
	if fault == blackhole || fault == swallowReplies {
		w.struck(fault)
		c.silence()
		return true
	}
	_, err := c.far.Write(raw)
	return err == nil
}

// readValue reads one value of the protocol, and the bytes that it was.
func readValue(in *bufio.Reader, raw []byte) (any, []byte, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return nil, raw, err
	}
	raw = append(raw, line...)
	text := strings.TrimRight(string(line[1:]), "\r\n")
	n, _ := strconv.Atoi(text)
	switch line := raw[len(raw)-len(line):]; line[0] {
	case '+':
		return text, raw, nil
	case '-':
		return fmt.Errorf("%s", text), raw, nil
	case ':':
		return int64(n), raw, nil
	case '$':
		if n < 0 {
			return nil, raw, nil
		}
		from := len(raw)
		raw = append(raw, make([]byte, n+2)...)
		if _, err := io.ReadFull(in, raw[from:]); err != nil {
			return nil, raw, err
		}
		return string(raw[from : from+n]), raw, nil
	case '*':
		if n < 0 {
			return nil, raw, nil
		}
		list := make([]any, n)
		for i := range list {
			if list[i], raw, err = readValue(in, raw); err != nil {
				return nil, raw, err
			}
		}
		return list, raw, nil
	}
	return nil, raw, fmt.Errorf("not the protocol of Redis: %q", text)
}

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, len(list))
	for i := range list {
		out[i], _ = list[i].(string)
	}
	return out
}
