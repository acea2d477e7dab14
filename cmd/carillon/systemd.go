package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"carillon"
)

// systemd speaks sd_notify(3) with the service manager that started this process:
// READY when the node takes part, WATCHDOG while its loops turn, STOPPING when it
// drains, and a STATUS that `systemctl status` shows. Without $NOTIFY_SOCKET it does
// nothing.
type systemd struct {
	socket   string
	watchdog time.Duration // how often a sign of life is expected; 0: never
}

// newSystemd reads what the service manager asks for from the environment.
func newSystemd(getenv func(string) string, pid int) systemd {
	s := systemd{socket: getenv("NOTIFY_SOCKET")}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	who := getenv("WATCHDOG_PID")
	if err == nil && usec > 0 && (who == "" || who == strconv.Itoa(pid)) {
		s.watchdog = time.Duration(usec) * time.Microsecond
	}
	return s
}

// tell sends one message. A service manager that does not listen is no reason to
// stop working.
func (s systemd) tell(state string) error {
	if s.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}

// hung is how long a node may not have looked for Redis before its loops count as
// hanging: a heartbeat is due every two seconds and gives up after three.
const hung = 15 * time.Second

// accompany reports the node's life until ctx ends. stopping ends first: with the
// signal, while the drain goes on.
func (s systemd) accompany(ctx, stopping context.Context, node *carillon.Node) error {
	if s.socket == "" {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-node.Ready():
	}
	if err := s.tell("READY=1\nSTATUS=" + condition(node.Health(), time.Now())); err != nil {
		return err
	}
	every := 5 * time.Second
	if s.watchdog > 0 {
		every = min(every, s.watchdog/3)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	signal := stopping.Done()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-signal:
			signal = nil
			if err := s.tell("STOPPING=1\nSTATUS=draining"); err != nil {
				return err
			}
		case <-tick.C:
			h := node.Health()
			text := "STATUS=" + condition(h, time.Now())
			if time.Since(h.Looked) < hung && (h.Hangs.IsZero() || time.Since(h.Hangs) < hung) {
				text = "WATCHDOG=1\n" + text
			}
			if err := s.tell(text); err != nil {
				return err
			}
		}
	}
}

// condition is how the node is doing, in one line: what an operator would see.
func condition(h carillon.Health, now time.Time) string {
	away := now.Sub(h.Reached)
	switch {
	case !h.Hangs.IsZero() && now.Sub(h.Looked) < hung:
		return fmt.Sprintf("%d running; the scheduler has hung since its term ended, %s ago: restart the node", h.Running, now.Sub(h.Hangs).Round(time.Second))
	case now.Sub(h.Looked) >= hung:
		return fmt.Sprintf("hangs: nothing was tried for %s", now.Sub(h.Looked).Round(time.Second))
	case away > 2*hung/3:
		return fmt.Sprintf("%d running; Redis has been away for %s", h.Running, away.Round(time.Second))
	default:
		return fmt.Sprintf("%d running", h.Running)
	}
}
