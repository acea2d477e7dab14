package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// help writes the help of a command: what it does, how it is typed, examples,
// its own flags, and only then what it shares with all others.
func (a *app) help(cmd *cobra.Command, _ []string) {
	w := cmd.OutOrStdout()
	text := cmd.Short
	if cmd.Long != "" {
		text = cmd.Long
	}
	fmt.Fprintf(w, "%s\n\nUsage:\n  %s\n", strings.TrimSpace(text), usageLine(cmd))
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	helpCommands(w, cmd)
	own, shared := splitFlags(cmd)
	if own.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags:\n%s", own.FlagUsages())
	}
	if shared.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags of every command:\n%s", shared.FlagUsages())
	}
	if !cmd.HasParent() {
		fmt.Fprintf(w, "\nExit codes:\n%s\n\nSee `carillon COMMAND --help` for examples of each.\n", exitHelp)
	}
}

func usageLine(cmd *cobra.Command) string {
	switch {
	case !cmd.HasParent():
		return "carillon COMMAND [flags]\n  carillon --trigger JOB [flags]"
	case cmd.HasAvailableSubCommands():
		return cmd.CommandPath() + " COMMAND"
	default:
		return cmd.UseLine() + " [flags]"
	}
}

func helpCommands(w io.Writer, cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	groups := cmd.Groups()
	if len(groups) == 0 {
		groups = []*cobra.Group{{Title: "Commands"}}
	}
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s:\n", g.Title)
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() && c.GroupID == g.ID {
				fmt.Fprintf(w, "  %-11s %s\n", c.Name(), c.Short)
			}
		}
	}
}

func splitFlags(cmd *cobra.Command) (own, shared *pflag.FlagSet) {
	own = pflag.NewFlagSet("own", pflag.ContinueOnError)
	shared = pflag.NewFlagSet("shared", pflag.ContinueOnError)
	own.SortFlags, shared.SortFlags = false, false
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, ok := f.Annotations[sharedFlag]; ok {
			shared.AddFlag(f)
		} else {
			own.AddFlag(f)
		}
	})
	return own, shared
}

// topics are what there is help about beside the commands.
var topics = map[string]func() string{"lint": lintHelp}

// helpCommand is `carillon help [COMMAND]`. Unlike cobra's own it knows that a
// command it cannot find is an error.
func (a *app) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command, or about lint: the warnings of validate",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && topics[args[0]] != nil {
				_, err := io.WriteString(a.stdout, topics[args[0]]())
				return err
			}
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				word := strings.Join(rest, " ")
				known := slices.AppendSeq(commandNames(root), maps.Keys(topics))
				return fail(exitUsage, "no help about %q%s", word, didYouMean("", word, known)).at(root)
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
		SilenceUsage: true, SilenceErrors: true,
	}
}
