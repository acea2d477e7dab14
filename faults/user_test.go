package faults

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"carillon/internal/proctest"
)

// byHand is the job that somebody triggers during the storm.
var byHand = job{name: "by-hand", kind: kind{name: "by-hand", everyone: true, text: `command: [WITNESS, take=100ms], overlap: allow`}}

// wish is one trigger that somebody typed, and typed again until it worked.
type wish struct {
	request string
	at      time.Time // of the first try
	done    time.Time // of the first that worked
	run     string    // what that one printed
	again   string    // what the same request printed once more
	tries   int
}

// user triggers a job every other second, with a request id, and does not give up. Its
// way to Redis is that of the nodes, so that answers get lost on it.
type user struct {
	s      *storm
	wishes []wish
}

// begin lets the user be there until stop is called; its last wish comes true.
func (u *user) begin() (stop func()) {
	ctx, cancel := context.WithCancel(u.s.ctx)
	var done sync.WaitGroup
	done.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-time.After(2 * time.Second):
				u.wish(n)
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

func (u *user) wish(n int) {
	w := wish{request: fmt.Sprintf("wish-%d", n), at: time.Now()}
	for deadline := w.at.Add(5 * patience); w.run == ""; w.tries++ {
		if time.Now().After(deadline) {
			u.s.complain("nobody could trigger a job for %v", 5*patience)
			break
		}
		if w.tries > 0 {
			u.s.pass(300 * time.Millisecond)
		}
		w.run = u.trigger(n+w.tries, w.request)
	}
	w.done = time.Now()
	if w.run != "" {
		w.again = u.trigger(n, w.request)
		u.s.archive.expect(w.run)
	}
	u.wishes = append(u.wishes, w)
}

// trigger tries once, by the address of one of the nodes; "" when that did not work.
func (u *user) trigger(by int, request string) (run string) {
	s := u.s
	via := s.nodes[by%len(s.nodes)].redis()
	p, err := proctest.Start(s.dir, "trigger", nil, carillon, "trigger", byHand.name, "--detach", "--request-id", request,
		"--file", s.file, "--redis", via, "--namespace", s.ns)
	if err != nil {
		s.complain("trigger: %v", err)
		return ""
	}
	<-p.Done
	if p.Cmd.ProcessState.ExitCode() != 0 {
		return ""
	}
	return strings.TrimSpace(p.Stdout())
}

// wishes judges what was triggered: each request has one run, which came to its end.
func (jg *judge) wishes(list []wish) {
	known := map[string]bool{}
	for _, w := range list {
		if w.run == "" {
			continue // it was complained of
		}
		known[w.run] = true
		end := jg.archive.ended[w.run]
		var f weighed
		f.lines(byHand, jg.truth.of[w.run], end)
		if !f.begun {
			f.lost++
			f.wrong("it was triggered, and nothing began")
		}
		f.ending(byHand, jg.truth.of[w.run], end)
		if w.again != "" && w.again != w.run {
			f.twice++
			f.wrong("the same request started %s", w.again)
			known[w.again] = true
		}
		jg.count(w.at, w.run, f, func() string { return describe(nil, jg.truth.of[w.run], end) })
	}
	for _, l := range jg.truth.begins {
		if strings.HasPrefix(l.run, byHand.name+"@") && !known[l.run] && jg.truth.first(l.run) == l {
			f := weighed{twice: 1}
			f.wrong("some request started two runs, and this is one of them")
			jg.count(jg.wished(l.at, list), l.run, f, func() string { return "" })
		}
	}
}

// wished is when the wish was first uttered whose run began at that time and of which
// nobody knows.
func (jg *judge) wished(began time.Time, list []wish) time.Time {
	for _, w := range list {
		if !began.Before(w.at) && !began.After(w.done.Add(time.Second)) {
			return w.at
		}
	}
	return began
}

// expect adds a run that no tick made to those whose end is of interest.
func (a *archive) expect(run string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.ended[run]; !ok {
		a.open[run] = true
	}
}
