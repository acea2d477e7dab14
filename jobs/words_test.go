package jobs

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNearestWord(t *testing.T) {
	known := []string{"schedule", "command", "description", "retry", "run", "catch_up", "timezone", "env"}
	for word, want := range map[string]string{
		"shedule": "schedule", "Schedule": "schedule", "SCHEDULE": "schedule", "schedules": "schedule", "comamnd": "command",
		"retyr": "retry", "catch-up": "catch_up", "catchup": "catch_up", "desc": "description", "rnu": "run", "enb": "env",
		"nothing-like-it": "", "x": "", "": "", "zone": "", "timeout": "",
	} {
		got, ok := Nearest(word, known)
		assert.Equal(t, want, got, word)
		assert.Equal(t, want != "", ok, word)
	}
	got, ok := Nearest("backup", []string{"backup-a", "backup-b"})
	assert.True(t, ok)
	assert.Equal(t, "backup-a", got)
	got, ok = Nearest("back", []string{"backup-nightly", "backup-weekly"})
	assert.False(t, ok, "ambiguous: %q", got)
	_, ok = Nearest("x", nil)
	assert.False(t, ok)
	got, _ = Nearest("HEARTBEET", []string{"Heartbeat"})
	assert.Equal(t, "Heartbeat", got)
}
