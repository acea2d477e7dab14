package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"carillon/internal/redisstore"
)

func main() { os.Exit(int(realMain())) }

// realMain binds the app to the process: its streams, environment and signals.
func realMain() exitCode {
	redisstore.SilenceClientLog() // what fails is said here, once and in words
	a := &app{
		stdin:    os.Stdin,
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		getenv:   os.Getenv,
		hostname: os.Hostname,
		now:      time.Now,
		open:     openRedis,
		speakFor: slog.SetDefault,
	}
	a.stdoutTTY = term.IsTerminal(int(os.Stdout.Fd()))
	a.stderrTTY = term.IsTerminal(int(os.Stderr.Fd()))
	if a.stdoutTTY {
		if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
			a.width = w
		}
	}
	ctx, stop := interruptible(context.Background())
	defer stop()
	return a.main(ctx, os.Args[1:])
}

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = errors.New("interrupted")

// interruptible returns a context that the first INT or TERM cancels. The
// second one finds no handler and ends the process at once: whoever presses
// Ctrl-C twice means it.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			signal.Stop(signals)
			cancel(errInterrupted)
		case <-ctx.Done():
			signal.Stop(signals)
		}
	}()
	return ctx, func() { cancel(nil) }
}
