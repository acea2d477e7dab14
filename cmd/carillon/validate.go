package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

type validateOptions struct {
	silence []string
	strict  bool
}

func (a *app) validateCommand() *cobra.Command {
	var o validateOptions
	cmd := a.command(spec{
		use:      "validate",
		short:    "Check the schedule file; needs no Redis",
		computes: true,
		long: `Check the schedule file. All problems are reported at once, each with its file,
line and column, and the exit code is 3.
A file without problems may have warnings: what is legal and seldom meant. They do
not stop anything unless --strict says so; "carillon help lint" lists them.`,
		example: `  carillon validate
  carillon validate -f /etc/carillon/schedule.yaml
  carillon validate --strict --silence dst-touches   # for CI: a warning is a failure
  carillon validate -o json              # problems as JSON on stderr, warnings on stdout`,
		args: noArgs,
		run:  func(*cobra.Command, []string) error { return a.validate(o) },
	})
	cmd.Flags().BoolVar(&o.strict, "strict", false, "exit with code 3 when there are warnings")
	cmd.Flags().StringArrayVar(&o.silence, "silence", nil, "leave out warnings of this `ID`; may be repeated")
	a.completeFlag(cmd, "silence", completeWords(lintIDs()))
	return cmd
}

func lintIDs() []string {
	var ids []string
	for _, r := range jobs.LintRules() {
		ids = append(ids, r.ID)
	}
	return ids
}

type validView struct {
	File     string        `json:"file"`
	OK       bool          `json:"ok"`
	Jobs     int           `json:"jobs"`
	Digest   string        `json:"digest"`
	Warnings []warningView `json:"warnings"`
}

type warningView struct {
	ID      string `json:"id"`
	Job     string `json:"job,omitempty"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

func (a *app) validate(o validateOptions) error {
	for _, id := range o.silence {
		if !slices.Contains(lintIDs(), id) {
			return fail(exitUsage, "--silence %q: expected the id of a warning%s", id, didYouMean("", id, lintIDs())).withHint("see `carillon help lint`")
		}
	}
	s, err := a.schedule()
	if err != nil {
		return err
	}
	warnings := slices.DeleteFunc(s.Lint(a.now()), func(w jobs.Warning) bool { return slices.Contains(o.silence, w.ID) })
	refused := o.strict && len(warnings) > 0
	view := validView{File: s.Path, OK: !refused, Jobs: len(s.Jobs), Digest: s.Digest, Warnings: []warningView{}}
	for _, w := range warnings {
		view.Warnings = append(view.Warnings, warningView{ID: w.ID, Job: w.Job, File: s.Path, Line: w.Line, Column: w.Column, Message: w.Message})
	}
	err = a.one(view, func(w io.Writer) error {
		a.sayWarnings(view)
		if refused {
			return nil
		}
		verdict := "ok"
		if n := len(warnings); n > 0 {
			verdict += ", " + count(n, "warning")
		}
		_, err := fmt.Fprintf(w, "%s: %s, digest %s: %s\n", oneLine(s.Path), count(len(s.Jobs), "job"), s.Digest, verdict)
		return err
	})
	if err == nil && refused {
		err = fail(exitSchedule, "%s: %s, and --strict takes none", s.Path, count(len(warnings), "warning"))
	}
	return err
}

// mostWarnings bounds what is printed for people to read: a generated file has
// the same mistake in thousands of jobs.
const mostWarnings = 100

// sayWarnings prints one warning a line, in the form editors jump to.
func (a *app) sayWarnings(view validView) {
	shown := view.Warnings[:min(len(view.Warnings), mostWarnings)]
	for _, w := range shown {
		job := ""
		if w.Job != "" {
			job = fmt.Sprintf("job %q: ", w.Job)
		}
		a.say("%s:%d:%d: warning: %s%s [%s]", w.File, w.Line, w.Column, job, w.Message, w.ID)
	}
	if rest := len(view.Warnings) - len(shown); rest > 0 {
		a.say("and %d more; -o json has them all", rest)
	}
	if len(shown) > 0 {
		a.say("If it is meant: silence: [%s] in the job, or at the top of the file for all; `carillon help lint` lists the ids.", shown[0].ID)
	}
}

// lintHelp is the topic `carillon help lint`.
func lintHelp() string {
	var b strings.Builder
	b.WriteString(`Warnings of "carillon validate": what is legal in a schedule file and seldom meant.
Each has an id. Where it is meant, silence it: "silence: [ID]" in the job, or at the
top of the file for all jobs, or --silence ID for once. --strict makes the exit code
3 when any is left.

`)
	for _, r := range jobs.LintRules() {
		fmt.Fprintf(&b, "  %-25s %s\n", r.ID, r.Meaning)
	}
	return b.String()
}
