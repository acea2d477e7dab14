package main

import (
	"context"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

func (a *app) logsCommand() *cobra.Command {
	var follow bool
	cmd := a.command(spec{
		use:   "logs ID",
		short: "Show the output of a run",
		long: `Show the output of a run: the first 32 KiB and the last 224 KiB of each attempt,
with a mark where something was dropped. On a terminal control characters are
shown, not obeyed; a pipe gets the bytes as they are.`,
		example: `  carillon logs backup@2026-11-22T02:00:00Z
  carillon logs -f backup@2026-11-22T02:00:00Z     # until the run ends
  carillon logs backup@2026-11-22T02:00:00Z > backup.log`,
		args:     exactlyOne("one run id"),
		complete: a.completeRuns,
		ownF:     true,
		run: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), func(st store) error { return a.logs(cmd.Context(), st, args[0], follow) })
		},
	})
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the run has ended")
	return cmd
}

func (a *app) logs(ctx context.Context, st store, id string, follow bool) error {
	run, err := a.findRun(ctx, st, id)
	if err != nil {
		return err
	}
	if a.opts.output != formatTable {
		return a.logsAsData(ctx, st, id, follow)
	}
	view := &logView{out: logOutput(a.stdout, a.stdoutTTY), say: a.say}
	if err := a.readLog(ctx, st, id, follow, view.chunk); err != nil {
		_ = view.close()
		return err
	}
	if err := view.close(); err != nil {
		return err
	}
	if !view.wrote {
		a.say("%s", noOutput(run, follow))
	}
	return nil
}

func noOutput(run jobs.Run, followed bool) string {
	if followed || run.Status.Final() {
		return "the run wrote nothing"
	}
	return "the run has written nothing yet (it is " + string(run.Status) + ")"
}

// readLog hands every chunk to fn: what is there now, or all until the run ends.
func (a *app) readLog(ctx context.Context, st store, id string, follow bool, fn func(jobs.LogChunk) error) error {
	f := &follower{st: st, id: id, now: a.now, say: a.say, chunk: fn}
	if follow {
		_, err := f.follow(ctx)
		return err
	}
	_, _, err := f.look(ctx)
	return err
}

// logsAsData writes the chunks themselves. Bytes that are not UTF-8 cannot
// stand in JSON and are replaced; whoever needs them takes the plain output.
func (a *app) logsAsData(ctx context.Context, st store, id string, follow bool) error {
	next := map[logWriter]int64{}
	var items []any
	err := a.readLog(ctx, st, id, follow, func(c jobs.LogChunk) error {
		end := c.Offset + int64(len(c.Data))
		if end <= next[writerOf(c)] && len(c.Data) > 0 {
			return nil
		}
		view := chunkView{Attempt: c.Attempt, Offset: c.Offset, Dropped: max(0, c.Offset-next[writerOf(c)]), Data: validText(c.Data)}
		next[writerOf(c)] = end
		if follow {
			return outputFailed(a.streamed(view, nil))
		}
		items = append(items, view)
		return nil
	})
	if err != nil || follow {
		return err
	}
	return outputFailed(a.list(items, &table{}))
}

func validText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return string([]rune(string(b)))
}
