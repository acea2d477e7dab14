package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"carillon"
	"carillon/jobs"
)

// app is one invocation: the streams and the few things of the world that a
// test replaces, and the flags every command shares.
type app struct {
	stdin                io.Reader
	stdout, stderr       io.Writer
	stdoutTTY, stderrTTY bool
	width                int // columns of the terminal behind stdout; 0 without one
	getenv               func(string) string
	hostname             func() (string, error)
	now                  func() time.Time
	open                 func(addr address, namespace string) (store, error)
	speakFor             func(*slog.Logger) // has libraries that log by themselves write there

	opts       options
	opened     *jobs.Zones // see zones
	completing bool        // see completeFlag
}

// options are the shared flags.
type options struct {
	file      string
	redis     string
	namespace string
	embedded  string
	zoneinfo  zoneSource
	output    format
	color     colorMode
	noHeaders bool
}

const (
	defaultFile      = "schedule.yaml"
	defaultNamespace = "carillon"
	defaultEmbedded  = carillon.DefaultEmbedded
)

// main runs the command line and says how the process should end.
func (a *app) main(ctx context.Context, args []string) exitCode {
	a.completing = asksForCompletion(args)
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, pflag.ErrHelp) { // --help before a command
		a.help(cmd, nil)
		return exitOK
	}
	e := a.classify(cmd, err)
	a.report(e)
	return e.code
}

func (a *app) root() *cobra.Command {
	a.opts.output, a.opts.color = formatTable, colorAuto
	var trig triggerOptions
	root := a.command(spec{
		use:   "carillon",
		short: "Cron for a fleet: one YAML file, any number of nodes, one Redis",
		example: `  carillon up                            # a node; the first one leads
  carillon --trigger backup              # run a job now and stream its output
  carillon next --count 5                # what fires next; needs no Redis
  carillon runs --status failed          # what went wrong`,
		args: unknownCommand,
		run: func(cmd *cobra.Command, args []string) error {
			return a.runRoot(cmd, trig)
		},
	})
	root.Flags().StringVar(&trig.job, "trigger", "", "start a run of `JOB` now; the same as `carillon trigger JOB`")
	a.triggerFlags(root, &trig)
	a.completeFlag(root, "trigger", a.completeJobs)
	// The flags before a command are the root's, so that -f can be the file
	// there and "follow" behind `logs`.
	root.TraverseChildren = true
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return rootFlagsStandAlone(root, cmd) }
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Run", []*cobra.Command{a.upCommand(), a.triggerCommand()}},
		{"Act", []*cobra.Command{
			a.cancelCommand(), a.retryCommand(), a.rollbackCommand(),
			a.pauseCommand(), a.resumeCommand(), a.backfillCommand(),
		}},
		{"Look", []*cobra.Command{
			a.jobsCommand(), a.runsCommand(), a.runCommand(), a.logsCommand(),
			a.ledgerCommand(), a.nodesCommand(), a.watchCommand(), a.healthcheckCommand(), a.doctorCommand(),
		}},
		{"Check, without Redis", []*cobra.Command{a.validateCommand(), a.nextCommand(), a.explainCommand(), a.planCommand(), a.loadCommand(), a.schemaCommand()}},
		{"Come from elsewhere", []*cobra.Command{a.importCommand()}},
		{"Help", []*cobra.Command{a.versionCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.title
			root.AddCommand(c)
		}
	}
	root.SetHelpCommand(a.helpCommand(root))
	root.SetHelpCommandGroupID("Help")
	addCompletion(root)
	root.SetHelpFunc(a.help)
	root.SetFlagErrorFunc(flagError)
	return root
}

// runRoot is `carillon` without a command: --trigger, or the help.
func (a *app) runRoot(cmd *cobra.Command, trig triggerOptions) error {
	if cmd.Flags().Changed("trigger") {
		return a.trigger(cmd.Context(), trig)
	}
	for _, name := range triggerFlagNames {
		if cmd.Flags().Changed(name) {
			return fail(exitUsage, "--%s needs a job: carillon --trigger JOB --%s", name, name)
		}
	}
	return cmd.Help()
}

// rootFlagsStandAlone refuses `carillon --trigger backup runs`: one of the two
// would be ignored without a word.
func rootFlagsStandAlone(root, cmd *cobra.Command) error {
	if cmd == root {
		return nil
	}
	for _, name := range append([]string{"trigger"}, triggerFlagNames...) {
		if root.Flags().Changed(name) {
			return fail(exitUsage, "--%s does not go with the command %q", name, cmd.Name())
		}
	}
	return nil
}

// spec is what differs from one command to the next.
type spec struct {
	use, short, long, example string
	args                      cobra.PositionalArgs
	run                       func(cmd *cobra.Command, args []string) error
	complete                  cobra.CompletionFunc
	ownF                      bool // -f means something else here; --file has no short form
	// computes says that it reads files and computes, without a look at its context
	// and with nothing to tidy up: an interrupt leaves it where it is.
	computes bool
}

// command builds a cobra command with the shared flags, whose errors carry
// their exit code: what comes out of cobra without one is wrong usage.
func (a *app) command(s spec) *cobra.Command {
	complete := s.complete
	if complete == nil {
		complete = cobra.NoFileCompletions
	}
	cmd := &cobra.Command{
		Use: s.use, Short: s.short, Long: s.long, Example: s.example,
		Args: s.args, ValidArgsFunction: complete,
		SilenceUsage: true, SilenceErrors: true, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			run := s.run
			if s.computes {
				run = abandonable(run)
			}
			err := run(cmd, args)
			var e *exitError
			switch {
			case err == nil || errors.As(err, &e):
				return err
			case errors.Is(context.Cause(cmd.Context()), errInterrupted):
				return &exitError{code: exitInterrupted, err: errInterrupted, said: true}
			default:
				return &exitError{code: exitOther, err: err}
			}
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().AddFlagSet(a.sharedFlags(s.ownF))
	a.completeShared(cmd)
	return cmd
}

// abandonable returns as soon as the command is interrupted, whatever run is at: the
// process is about to end, and run with it.
func abandonable(run func(cmd *cobra.Command, args []string) error) func(cmd *cobra.Command, args []string) error {
	return func(cmd *cobra.Command, args []string) error {
		done := make(chan error, 1)
		go func() { done <- run(cmd, args) }()
		select {
		case err := <-done:
			return err
		case <-cmd.Context().Done():
			return context.Cause(cmd.Context())
		}
	}
}

// sharedFlags are local to each command rather than persistent: a persistent
// -f could not be taken by `logs`. They all write the same variables.
func (a *app) sharedFlags(ownF bool) *pflag.FlagSet {
	f := pflag.NewFlagSet("shared", pflag.ContinueOnError)
	f.SortFlags = false
	fileShort := "f"
	if ownF {
		fileShort = ""
	}
	f.StringVarP(&a.opts.file, "file", fileShort, a.opts.file, "schedule `FILE` [$CARILLON_FILE, else schedule.yaml]")
	f.StringVar(&a.opts.redis, "redis", a.opts.redis, "`URL` of the Redis [$CARILLON_REDIS, else redis.url of the file, else the embedded server]")
	f.StringVar(&a.opts.namespace, "namespace", a.opts.namespace, "`NAME` that begins every key [$CARILLON_NAMESPACE, else carillon]")
	f.StringVar(&a.opts.embedded, "embedded", defaultEmbedded, "where the embedded development server is: `HOST:PORT`")
	f.Var(&a.opts.zoneinfo, "zoneinfo", "where time zones come from [$CARILLON_ZONEINFO, else embedded]")
	f.VarP(&a.opts.output, "output", "o", "how data is written")
	f.BoolVar(&a.opts.noHeaders, "no-headers", false, "tables without their first line")
	f.Var(&a.opts.color, "color", "colour on a terminal; auto obeys NO_COLOR and TERM=dumb")
	f.VisitAll(func(fl *pflag.Flag) { fl.Annotations = map[string][]string{sharedFlag: nil} })
	return f
}

// sharedFlag marks a flag that every command has, for the help.
const sharedFlag = "carillon_shared"

// completeFlag says what a shell offers for the value of a flag. Cobra keeps that in a
// table of the process, which holds on to the whole command line, and this app: it is
// told when a shell asks, and otherwise an app that has ended leaves nothing behind.
func (a *app) completeFlag(cmd *cobra.Command, flag string, fn cobra.CompletionFunc) {
	if cmd.Flag(flag) == nil {
		panic("carillon: completion of a flag that " + cmd.Name() + " does not have: " + flag)
	}
	if !a.completing {
		return
	}
	if err := cmd.RegisterFlagCompletionFunc(flag, fn); err != nil {
		panic("carillon: " + err.Error()) // told twice: a mistake in this package
	}
}

// asksForCompletion reports whether it is a shell that wrote the command line.
func asksForCompletion(args []string) bool {
	return slices.Contains(args, cobra.ShellCompRequestCmd) || slices.Contains(args, cobra.ShellCompNoDescRequestCmd)
}

// classify gives every error its exit code. What cobra returns on its own is
// about flags, commands and arguments.
func (a *app) classify(cmd *cobra.Command, err error) *exitError {
	var e *exitError
	if !errors.As(err, &e) {
		errors.As(flagError(cmd, err), &e)
	}
	if e.code == exitUsage && e.hint == "" && cmd != nil {
		e.hint = fmt.Sprintf("see `%s --help`", cmd.CommandPath())
	}
	return e
}

// report writes an error to stderr, as words or in the format that was asked for.
func (a *app) report(e *exitError) {
	if e.said {
		return
	}
	if a.opts.output != formatTable {
		view := viewError(e)
		switch a.opts.output {
		case formatYAML:
			_ = writeYAML(a.stderr, view)
		case formatJSONL:
			_ = writeLine(a.stderr, view)
		default:
			_ = writeIndented(a.stderr, view)
		}
		return
	}
	for _, p := range e.problems {
		a.say("%s", p) // file:line:column stands first, for editors
	}
	a.say("carillon: %s", e.Error())
	if e.hint != "" {
		a.say("%s", e.hint)
	}
}

// say writes a line to stderr. Names and errors in it may come from anywhere.
func (a *app) say(format string, args ...any) {
	fmt.Fprintln(a.stderr, manyLines(fmt.Sprintf(format, args...)))
}

// flagError puts pflag's errors into one sentence that names what was expected.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var bad *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return fail(exitUsage, "unknown flag -%s in -%s", unknown.GetSpecifiedName(), unknown.GetSpecifiedShortnames()).at(cmd)
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		return fail(exitUsage, "unknown flag --%s%s", name, didYouMean("--", name, flagNames(cmd))).at(cmd)
	case errors.As(err, &missing):
		return fail(exitUsage, "%s needs a value", flagAsTyped(missing.GetFlag())).at(cmd)
	case errors.As(err, &bad):
		return fail(exitUsage, "%s %q: expected %s", flagAsTyped(bad.GetFlag()), bad.GetValue(), expected(bad)).at(cmd)
	default:
		return fail(exitUsage, "%w", err).at(cmd)
	}
}

// at adds where to read about the command.
func (e *exitError) at(cmd *cobra.Command) *exitError {
	return e.withHint("see `%s --help`", cmd.CommandPath())
}

func flagAsTyped(f *pflag.Flag) string { return "--" + f.Name }

func expected(bad *pflag.InvalidValueError) string {
	switch bad.GetFlag().Value.Type() {
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	case "duration":
		return `a duration such as "90s", "10m" or "1h30m"`
	default:
		return bad.Unwrap().Error()
	}
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}

func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

// didYouMean is the tail of a message that offers the nearest known word.
func didYouMean(prefix, word string, known []string) string {
	if k, ok := jobs.Nearest(word, known); ok {
		return fmt.Sprintf("; did you mean %s%s?", prefix, k)
	}
	return ""
}

// unknownCommand is the root's rule for arguments: it takes none, so what
// stands there was meant as a command.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fail(exitUsage, "unknown command %q%s", args[0], didYouMean("", args[0], commandNames(cmd)))
}

// noArgs, exactly and anyArgs are cobra's rules with sentences that say what
// was expected.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fail(exitUsage, "%s takes no arguments, found %q", cmd.Name(), strings.Join(args, " "))
}

func exactlyOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 1:
			return nil
		case 0:
			return fail(exitUsage, "%s needs %s", cmd.Name(), what)
		default:
			return fail(exitUsage, "%s takes %s, found %q", cmd.Name(), what, strings.Join(args, " "))
		}
	}
}
