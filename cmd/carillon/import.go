package main

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"carillon"
	"carillon/internal/importer"
	"carillon/jobs"
)

// importOptions are the flags of `carillon import`.
type importOptions struct {
	timezone string
	dir      string
	system   bool
	out      string
	force    bool
	lenient  bool
}

// reader makes a schedule of the bytes of one kind of source.
type reader func(data []byte, opts importer.Options) (*importer.Result, error)

func (a *app) importCommand() *cobra.Command {
	cmd := a.command(spec{
		use:   "import",
		short: "Make a schedule file of a crontab, of Dkron's or of Kubernetes' jobs",
		long: `Make a schedule file of what another scheduler runs by. The schedule goes to
stdout or to --out, and it is one that ` + "`carillon validate`" + ` accepts. What is not
the same afterwards goes to stderr, a line each, with file and line:

  note       all is there; something is worth knowing
  in part    the job is there, but something of it is not
  left out   the entry is not there; it stands as a comment at the end of the file

The exit code is 1 when anything was left out or is there in part; what could be
imported is written all the same. --lenient makes that 0.`,
		example: `  carillon import crontab mycrontab --timezone Europe/Berlin > schedule.yaml
  crontab -l | carillon import crontab - --out schedule.yaml
  curl -s http://dkron:8080/v1/jobs | carillon import dkron - > schedule.yaml
  kubectl get cronjobs -A -o yaml | carillon import k8s - > schedule.yaml`,
		args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fail(exitUsage, "import knows no source %q%s", args[0], didYouMean("", args[0], commandNames(cmd)))
		},
		run: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	})
	cmd.AddCommand(a.importCrontabCommand(), a.importDkronCommand(), a.importKubernetesCommand())
	return cmd
}

func (a *app) importCrontabCommand() *cobra.Command {
	var opts importOptions
	cmd := a.command(spec{
		use:      "crontab FILE|-",
		short:    "Make a schedule file of a crontab",
		computes: true,
		long: `Make a schedule file of a crontab, of one user or with --system of the whole
system (/etc/crontab, /etc/cron.d: with a column for the user). Comments stay
where they are; the one right above a job becomes its description.

A crontab runs in the time zone of its host and in the home of its user, and says
neither: give --timezone and --dir.`,
		example: `  carillon import crontab /etc/crontab --timezone Europe/Berlin --out schedule.yaml
  crontab -l | carillon import crontab - --timezone UTC --dir "$HOME" > schedule.yaml
  carillon import crontab f > s.yaml && carillon next -f s.yaml`,
		args: exactlyOne("one file, or - for stdin"),
		run: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("system") && importer.SystemCrontab(args[0]) {
				opts.system = true
				a.say("%s: read with a column for the user, as cron reads files of that place (--system=false: without)", args[0])
			}
			return a.importFrom(cmd, args[0], opts, importer.Crontab)
		},
		complete: anyFile,
	})
	cmd.Flags().BoolVar(&opts.system, "system", false, "the sixth column is the user, as in /etc/crontab and /etc/cron.d")
	cmd.Flags().StringVar(&opts.dir, "dir", "", "the `FOLDER` in which cron started the commands: the home of the user")
	a.importFlags(cmd, &opts)
	return cmd
}

func (a *app) importDkronCommand() *cobra.Command {
	return a.importOf(spec{
		use:      "dkron FILE|-",
		short:    "Make a schedule file of the jobs of Dkron",
		computes: true,
		long: `Make a schedule file of the jobs of Dkron: what GET /v1/jobs answers, or one job.
The executors shell and http become run:, command: and http:.

Dkron runs a job without a count in its tags on every node, which becomes
every_node: true. A job without a timezone runs in that of the servers: give
--timezone.`,
		example: `  curl -s http://dkron:8080/v1/jobs > jobs.json
  carillon import dkron jobs.json --timezone Europe/Berlin --out schedule.yaml`,
	}, importer.Dkron)
}

func (a *app) importKubernetesCommand() *cobra.Command {
	return a.importOf(spec{
		use:      "k8s FILE|-",
		short:    "Make a schedule file of the CronJobs of Kubernetes",
		computes: true,
		long: `Make a schedule file of the CronJobs of Kubernetes: manifests of any number of
documents, or what kubectl prints as YAML or JSON. The command of the first
container becomes the job; its image is not run, so the nodes of carillon must
have what the command needs.

A CronJob without a timeZone runs in that of the controller, which is UTC in most
clusters: give --timezone if it is not.`,
		example: `  kubectl get cronjobs -A -o yaml | carillon import k8s - --out schedule.yaml
  helm template ./chart | carillon import k8s - > schedule.yaml`,
	}, importer.Kubernetes)
}

// importOf is the command of a source that has no flags of its own.
func (a *app) importOf(s spec, read reader) *cobra.Command {
	var opts importOptions
	s.args, s.complete = exactlyOne("one file, or - for stdin"), anyFile
	s.run = func(cmd *cobra.Command, args []string) error { return a.importFrom(cmd, args[0], opts, read) }
	cmd := a.command(s)
	a.importFlags(cmd, &opts)
	return cmd
}

// importFlags are the flags of every source.
func (a *app) importFlags(cmd *cobra.Command, opts *importOptions) {
	cmd.Flags().StringVar(&opts.timezone, "timezone", "", "`ZONE` that the source ran in where it does not say so itself, such as Europe/Berlin")
	cmd.Flags().StringVar(&opts.out, "out", "", "write the schedule to `FILE` instead of stdout")
	cmd.Flags().BoolVar(&opts.force, "force", false, "overwrite the file of --out")
	cmd.Flags().BoolVar(&opts.lenient, "lenient", false, "exit with 0 although something was left out")
	a.completeFlag(cmd, "timezone", completeZones)
}

// anyFile leaves completion to the shell, which knows the files.
func anyFile(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// importView is an import as JSON.
type importView struct {
	Jobs       int             `json:"jobs"`
	Schedule   string          `json:"schedule"`
	Out        string          `json:"out,omitempty"`
	Complaints []complaintView `json:"complaints"`
}

type complaintView struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Kind    string `json:"kind"`
	Found   string `json:"found"`
	Message string `json:"message"`
}

func (a *app) importFrom(cmd *cobra.Command, name string, opts importOptions, read reader) error {
	if _, err := a.location(opts.timezone); err != nil {
		return err
	}
	data, shownName, err := source(cmd, name)
	if err != nil {
		return err
	}
	result, err := read(data, importer.Options{
		File: shownName, Version: carillon.Version(), Timezone: opts.timezone, System: opts.system, Dir: opts.dir,
	})
	if err != nil {
		return fail(exitOther, "%w", err)
	}
	for _, c := range result.Complaints {
		a.say("%s", oneLine(c.String()))
	}
	if result.Jobs == 0 {
		return fail(exitOther, "import %s: no job in it could be imported", shownName)
	}
	if err := a.deliver(result, opts); err != nil {
		return err
	}
	if n := result.Incomplete(); n > 0 && !opts.lenient {
		return fail(exitOther, "%s imported; %s left out or there in part", count(result.Jobs, "job"), count(n, "thing"))
	}
	return nil
}

// source reads what is imported, and answers how messages call it.
func source(cmd *cobra.Command, name string) (data []byte, shown string, err error) {
	from := cmd.InOrStdin()
	shown = "stdin"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, "", fail(exitOther, "import %s: %w", name, withoutPath(err))
		}
		defer f.Close()
		from, shown = f, name
	}
	// One byte more than allowed tells the importer that there is too much.
	data, err = io.ReadAll(io.LimitReader(from, jobs.MaxFileSize+1))
	if err != nil {
		return nil, "", fail(exitOther, "import %s: %w", name, withoutPath(err))
	}
	return data, shown, nil
}

// withoutPath is the error of a file without its name, which is said already.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// deliver writes the schedule where it was asked for.
func (a *app) deliver(result *importer.Result, opts importOptions) error {
	if opts.out != "" {
		if err := writeNew(opts.out, result.YAML, opts.force); err != nil {
			return err
		}
	}
	view := importView{Jobs: result.Jobs, Schedule: string(result.YAML), Out: opts.out, Complaints: []complaintView{}}
	for _, c := range result.Complaints {
		view.Complaints = append(view.Complaints, complaintView{c.File, c.Line, string(c.Kind), c.Found, c.Message})
	}
	return a.one(view, func(w io.Writer) error {
		if opts.out != "" {
			a.say("%s written to %s; look at it, and then: carillon next -f %s", count(result.Jobs, "job"), opts.out, opts.out)
			return nil
		}
		_, err := w.Write(result.YAML)
		return err
	})
}

// writeNew writes a file that is not there yet, unless force allows to replace it.
func writeNew(name string, data []byte, force bool) error {
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(name, how, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fail(exitRefused, "--out %s: the file exists", name).withHint("--force overwrites it")
	}
	if err == nil {
		_, err = f.Write(data)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fail(exitOther, "--out %s: %w", name, withoutPath(err))
	}
	return nil
}
