package main

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon"
)

func TestSystemdIsToldWhatItAsksFor(t *testing.T) {
	env := func(m map[string]string) func(string) string { return func(k string) string { return m[k] } }
	assert.Equal(t, systemd{}, newSystemd(env(nil), 7))
	assert.NoError(t, systemd{}.tell("READY=1"), "without a service manager there is nobody to tell")
	assert.Equal(t, 30*time.Second, newSystemd(env(map[string]string{"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}), 7).watchdog)
	assert.Zero(t, newSystemd(env(map[string]string{"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}), 7).watchdog, "it is another's")
	assert.Zero(t, newSystemd(env(map[string]string{"WATCHDOG_USEC": "x"}), 7).watchdog)

	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	defer l.Close()
	s := newSystemd(env(map[string]string{"NOTIFY_SOCKET": socket}), 7)
	require.NoError(t, s.tell("READY=1\nSTATUS=x"))
	buf := make([]byte, 100)
	require.NoError(t, l.SetReadDeadline(time.Now().Add(5*time.Second)))
	n, err := l.Read(buf)
	require.NoError(t, err)
	assert.Equal(t, "READY=1\nSTATUS=x", string(buf[:n]))
	assert.ErrorContains(t, systemd{socket: socket + "x"}.tell("READY=1"), "service manager")
}

func TestConditionOfANode(t *testing.T) {
	now := time.Now()
	assert.Equal(t, "2 running", condition(carillon.Health{Looked: now, Reached: now, Running: 2}, now))
	assert.Equal(t, "2 running; Redis has been away for 1m0s", condition(carillon.Health{Looked: now, Reached: now.Add(-time.Minute), Running: 2}, now))
	assert.Contains(t, condition(carillon.Health{Looked: now.Add(-time.Minute)}, now), "hangs")
	assert.Equal(t, "2 running; the scheduler has hung since its term ended, 1m0s ago: restart the node",
		condition(carillon.Health{Looked: now, Reached: now, Running: 2, Hangs: now.Add(-time.Minute)}, now))
}
