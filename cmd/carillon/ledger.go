package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

func (a *app) ledgerCommand() *cobra.Command {
	var limit int
	cmd := a.command(spec{
		use:   "ledger JOB",
		short: "Show what became of each tick of a job, newest first",
		example: `  carillon ledger backup
  carillon ledger backup --limit 100 -o jsonl`,
		args:     exactlyOne("one job"),
		complete: a.completeOneJob,
		run: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return fail(exitUsage, "--limit %d: expected at least 1", limit).at(cmd)
			}
			return a.withStore(cmd.Context(), func(st store) error { return a.ledger(cmd.Context(), st, args[0], limit) })
		},
	})
	cmd.Flags().IntVar(&limit, "limit", 20, "show at most `N` entries")
	return cmd
}

func (a *app) ledger(ctx context.Context, st store, job string, limit int) error {
	entries, err := st.Ledger(ctx, job, limit)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		if err := a.knownJob(job); err != nil {
			return err
		}
		a.say("nothing has become of %s yet", job)
	}
	return outputFailed(a.showLedger(entries))
}

// knownJob refuses a name that the file does not have. Without a readable file
// there is no opinion: a job that left the schedule still has its ledger, and
// one that never ran is not told from a misspelt one.
func (a *app) knownJob(name string) error {
	s, err := a.schedule()
	if err != nil {
		return nil
	}
	_, err = jobIn(s, name)
	return err
}

func (a *app) showLedger(entries []jobs.LedgerEntry) error {
	t := &table{head: []string{"TICK", "UNTIL", "COUNT", "OUTCOME", "RUN", "REASON"}}
	var items []any
	for _, e := range entries {
		items = append(items, viewLedger(e))
		until, n := "-", "?"
		if e.Until.After(e.Tick) {
			until = moment(e.Until)
		}
		if e.Count > 0 {
			n = strconv.Itoa(e.Count)
		}
		t.add(moment(e.Tick), until, n, string(e.Outcome), orDash(e.RunID), e.Reason)
		t.paint(3, outcomeColour(e.Outcome))
	}
	return a.list(items, t)
}

func outcomeColour(o jobs.Outcome) colour {
	switch o {
	case jobs.OutcomeMissed:
		return red
	case jobs.OutcomeLate, jobs.OutcomeSkipped:
		return yellow
	default:
		return plain
	}
}
