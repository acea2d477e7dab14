package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

func (a *app) watchCommand() *cobra.Command {
	return a.command(spec{
		use:   "watch",
		short: "Show events as they happen",
		long: `Show events as they happen, one a line. Events are a hint: when the connection was
lost, or events came faster than they could be read, stderr says that some may be
missing. What became of a run is always in ` + "`carillon run`" + `.`,
		example: `  carillon watch
  carillon watch -o jsonl | jq -r 'select(.type == "failed").run'`,
		args: noArgs,
		run: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), func(st store) error { return a.watch(cmd.Context(), st) })
		},
	})
}

func (a *app) watch(ctx context.Context, st store) error {
	colours := a.colours(a.stdoutTTY)
	subscribed := false
	err := st.Watch(ctx, func(batch []jobs.Event, resync bool) error {
		if resync && subscribed {
			a.say("the connection was lost, or events came too fast: some may be missing here")
		}
		subscribed = true
		for _, e := range batch {
			err := a.streamed(viewEvent(e), func(w io.Writer) error {
				_, err := fmt.Fprintln(w, eventLine(e, colours))
				return err
			})
			if err != nil {
				return outputFailed(err)
			}
		}
		return nil
	})
	if err == nil {
		return context.Cause(ctx)
	}
	return err
}
