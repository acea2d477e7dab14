package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

// Completion runs at every press of a key: it reads the local file, asks Redis
// for no longer than a blink, and says nothing when either fails.

const completionPatience = 300 * time.Millisecond

const noFiles = cobra.ShellCompDirectiveNoFileComp

// addCompletion adds cobra's own command, and teaches it that a shell it does
// not know is a mistake.
func addCompletion(root *cobra.Command) {
	root.SetCompletionCommandGroupID("Help")
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Short = "Print a completion script for a shell"
		c.Long = "Print a completion script: jobs, runs, statuses and flags complete themselves."
		c.Example = `  source <(carillon completion bash)
  carillon completion zsh > "${fpath[1]}/_carillon"
  carillon completion fish > ~/.config/fish/completions/carillon.fish`
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return fail(exitUsage, "unknown shell %q: expected one of %s%s", args[0],
				strings.Join(commandNames(c), ", "), didYouMean("", args[0], commandNames(c)))
		}
	}
}

// completeShared completes the flags every command has.
func (a *app) completeShared(cmd *cobra.Command) {
	a.completeFlag(cmd, "output", completeWords(formats))
	a.completeFlag(cmd, "color", completeWords([]string{"auto", "always", "never"}))
	a.completeFlag(cmd, "zoneinfo", completeWords(zoneSources))
	for _, name := range []string{"redis", "namespace", "embedded"} {
		a.completeFlag(cmd, name, cobra.NoFileCompletions)
	}
	if err := cmd.MarkFlagFilename("file", "yaml", "yml"); err != nil {
		panic("carillon: " + err.Error())
	}
}

// completeWords offers a fixed list.
func completeWords(words []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var o offers
		for _, w := range words {
			o.add(typed, w, "")
		}
		return o, noFiles
	}
}

// offers are what a completion may offer: words that begin as typed.
type offers []cobra.Completion

func (o *offers) add(typed, word, about string) {
	if strings.HasPrefix(word, typed) {
		*o = append(*o, cobra.CompletionWithDesc(word, oneLine(about)))
	}
}

// completeJobs offers the jobs of the local file, with what they are for.
func (a *app) completeJobs(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	s := a.quietSchedule()
	if s == nil {
		return nil, noFiles
	}
	var o offers
	for _, j := range s.Jobs {
		if !slices.Contains(args, j.Name) { // named already
			o.add(typed, j.Name, j.Description)
		}
	}
	return o, noFiles
}

func (a *app) completeOneJob(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return a.completeJobs(cmd, args, typed)
}

// completeParams offers the parameters that the job on the line declares.
func (a *app) completeParams(jobOf func(args []string) string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		s := a.quietSchedule()
		if s == nil {
			return nil, noFiles
		}
		job := s.Job(jobOf(args))
		if job == nil {
			return nil, noFiles
		}
		var o offers
		for _, p := range job.Params {
			o.add(typed, p.Name+"=", p.Description)
		}
		return o, noFiles | cobra.ShellCompDirectiveNoSpace
	}
}

// completeRuns offers run ids, newest first.
func (a *app) completeRuns(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeRunsThat(runFilter{}, func(jobs.Run) bool { return true })(cmd, args, typed)
}

const offeredRuns = 50

// completeRunsThat offers the latest runs that a command can do something with.
func (a *app) completeRunsThat(filter runFilter, fit func(jobs.Run) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var o offers
		filter.Limit = offeredRuns
		if len(args) == 0 {
			a.blink(cmd, func(ctx context.Context, st store) {
				runs, _ := st.Runs(ctx, filter)
				for _, r := range runs {
					if fit(r) {
						o.add(typed, r.ID, string(r.Status))
					}
				}
			})
		}
		if len(o) == 0 {
			return nil, noFiles
		}
		return o, noFiles | cobra.ShellCompDirectiveKeepOrder
	}
}

// completePaused offers the jobs that are paused, with who paused them and why.
func (a *app) completePaused(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var o offers
	if len(args) == 0 {
		a.blink(cmd, func(ctx context.Context, st store) {
			pauses, _ := st.Paused(ctx)
			for _, job := range slices.Sorted(maps.Keys(pauses)) {
				o.add(typed, job, pauseWords(pauses[job]))
			}
		})
	}
	return o, noFiles
}

// completeNodes offers the live nodes.
func (a *app) completeNodes(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var o offers
	a.blink(cmd, func(ctx context.Context, st store) {
		nodes, _ := st.Nodes(ctx)
		for _, n := range nodes {
			o.add(typed, n.Name, labelWords(n.Pool, n.Labels))
		}
	})
	return o, noFiles
}

// blink calls fn with a store, when one answers at once.
func (a *app) blink(cmd *cobra.Command, fn func(ctx context.Context, st store)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), completionPatience)
	defer cancel()
	addr, err := a.address()
	if err != nil {
		return
	}
	st, err := a.connectTo(ctx, addr, completionPatience)
	if err != nil {
		return
	}
	defer func() { _ = st.Close() }()
	fn(ctx, st)
}

// quietSchedule is the local schedule, or nil.
func (a *app) quietSchedule() *jobs.Schedule {
	s, err := a.schedule()
	if err != nil {
		return nil
	}
	return s
}
