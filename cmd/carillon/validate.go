package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) validateCommand() *cobra.Command {
	return a.command(spec{
		use:   "validate",
		short: "Check the schedule file; needs no Redis",
		long: `Check the schedule file. All problems are reported at once, each with its file,
line and column, and the exit code is 3.`,
		example: `  carillon validate
  carillon validate -f /etc/carillon/schedule.yaml
  carillon validate -o json              # problems as JSON on stderr, for editors and CI`,
		args: noArgs,
		run:  func(*cobra.Command, []string) error { return a.validate() },
	})
}

type validView struct {
	File   string `json:"file"`
	OK     bool   `json:"ok"`
	Jobs   int    `json:"jobs"`
	Digest string `json:"digest"`
}

func (a *app) validate() error {
	s, err := a.schedule()
	if err != nil {
		return err
	}
	view := validView{File: s.Path, OK: true, Jobs: len(s.Jobs), Digest: s.Digest}
	return a.one(view, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: %s, digest %s: ok\n", oneLine(s.Path), count(len(s.Jobs), "job"), s.Digest)
		return err
	})
}
