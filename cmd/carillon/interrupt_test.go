package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAnInterruptEndsACommandThatComputes holds the commands that look at no
// context in the middle of their work: in reading a pipe that nobody writes to.
func TestAnInterruptEndsACommandThatComputes(t *testing.T) {
	for _, line := range []string{
		"jobs", "validate", "next", "next --late 6h", "explain --job a", "plan --against old.yaml", "load",
		"import crontab", "import dkron", "import k8s",
	} {
		t.Run(line, func(t *testing.T) {
			pipe := filepath.Join(t.TempDir(), "schedule.yaml")
			require.NoError(t, syscall.Mkfifo(pipe, 0o600))
			args := strings.Fields(line)
			if args[0] == "import" {
				args = append(args, pipe)
			} else {
				args = append(args, "--file", pipe)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			s := newScreen(&fakeStore{})
			code := make(chan exitCode, 1)
			go func() { code <- s.main(ctx, args) }()

			writer, err := os.OpenFile(pipe, os.O_WRONLY, 0) // returns when the command has opened it
			require.NoError(t, err)
			defer func() { assert.NoError(t, writer.Close()) }()
			cancel(errInterrupted)
			select {
			case got := <-code:
				assert.Equal(t, exitInterrupted, got)
			case <-time.After(10 * time.Second):
				t.Fatal("the command goes on")
			}
			assert.Empty(t, s.out.String()+s.err.String())
		})
	}
}
