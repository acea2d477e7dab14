// Embed runs carillon inside a Go program: two nodes in one process, jobs that
// are Go functions, and at the end the proof that each tick ran once.
//
//	go run ./examples/embed                                     # a Redis of its own, in memory
//	go run ./examples/embed -redis redis://127.0.0.1:6379/0     # yours
//
// It ends by itself: exit code 0 when every tick ran once, 1 when not.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"carillon"
	"carillon/jobs"
)

//go:embed schedule.yaml
var schedule []byte

func main() {
	redis := flag.String("redis", "", "the `URL` of a Redis; none: one in memory, in this process")
	ticks := flag.Int("ticks", 6, "stop after `N` ticks")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *redis, *ticks); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

// patience is how long the program waits for anything before it gives up.
const patience = 30 * time.Second

// run starts two nodes, waits for some ticks and a greeting, and checks them.
func run(ctx context.Context, out io.Writer, redis string, ticks int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not done after %s", patience))
	defer cancel()
	sched, err := jobs.Parse("schedule.yaml", schedule)
	if err != nil {
		return err
	}
	book := newBook()

	// Any free port will do for the first node's server. The second is told where
	// that is, as it would be told the address of a Redis.
	alice, err := start(ctx, "alice", sched, book, carillon.Options{Redis: redis, Embedded: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	bob, err := start(ctx, "bob", sched, book, carillon.Options{Redis: redis, Embedded: alice.Status().Redis})
	if err != nil {
		return errors.Join(err, alice.stop())
	}
	fmt.Fprintf(out, "two nodes, alice and bob, on %s\n", alice.Status().Redis)

	err = work(ctx, out, bob, book, ticks)
	// Bob first: the server in memory, if there is one, is alice's.
	if err := errors.Join(err, bob.stop(), alice.stop()); err != nil {
		return err
	}
	return book.check(out)
}

// work lets one node start a run by hand and waits until enough has happened.
func work(ctx context.Context, out io.Writer, n *node, book *book, ticks int) error {
	id, err := n.Trigger(ctx, "greet", map[string]string{"name": "Ada", "times": "2"})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "triggered %s\n", id)
	for book.ticks() < ticks || book.greeting() == "" {
		select {
		case <-book.news:
		case err := <-n.done:
			n.done <- err
			return fmt.Errorf("%s stopped early", n.Name())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	fmt.Fprintf(out, "the greeting: %q\n", book.greeting())
	return nil
}

// handlers are the functions that the schedule names. They get the node's name
// only so that the program can show who did what.
func handlers(name string, book *book) map[string]carillon.Func {
	return map[string]carillon.Func{
		"count": func(_ context.Context, run carillon.Run) error {
			book.tick(run.ScheduledAt, name)
			return nil
		},
		"greet": func(ctx context.Context, run carillon.Run) error {
			times, err := strconv.Atoi(run.Params["times"])
			if err != nil {
				return fmt.Errorf("times: %w", err) // the pattern in the schedule does not let this happen
			}
			greeting := ""
			for range times {
				greeting += "Hello, " + run.Params["name"] + "! "
			}
			// What is written here is the run's log: `carillon logs` shows it.
			if _, err := fmt.Fprintln(run.Output, greeting); err != nil {
				return err
			}
			book.greet(greeting)
			return ctx.Err()
		},
	}
}

// node is a running carillon node.
type node struct {
	*carillon.Node
	cancel context.CancelFunc
	done   chan error
}

// start makes a node, runs it in the background and waits until it takes part.
func start(ctx context.Context, name string, sched *jobs.Schedule, book *book, opts carillon.Options) (*node, error) {
	opts.Node, opts.Schedule, opts.Funcs = name, sched, handlers(name, book)
	opts.Namespace = "embed-example"
	opts.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	inner, err := carillon.New(opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	n := &node{Node: inner, cancel: cancel, done: make(chan error, 1)}
	go func() { n.done <- inner.Run(ctx) }()
	select {
	case <-inner.Ready():
		return n, nil
	case err := <-n.done:
		cancel()
		return nil, fmt.Errorf("%s did not start: %w", name, errors.Join(err, context.Cause(ctx)))
	}
}

// stop ends the node and waits for it: it finishes what it runs and hands over
// the rest.
func (n *node) stop() error {
	n.cancel()
	return <-n.done
}
