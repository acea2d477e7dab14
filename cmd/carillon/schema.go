package main

import (
	"io"

	"github.com/spf13/cobra"

	"carillon"
)

func (a *app) schemaCommand() *cobra.Command {
	return a.command(spec{
		use:   "schema",
		short: "Print the JSON Schema of the schedule file, for editors",
		long: `Print the JSON Schema (draft-07) of the schedule file. With it an editor completes
keys and values, shows what they mean, and underlines what is wrong while it is
typed. It is JSON whatever --output says. Editors find it through the first line of a
schedule file:

  # yaml-language-server: $schema=./schedule.schema.json`,
		example: `  carillon schema > schedule.schema.json`,
		args:    noArgs,
		run: func(*cobra.Command, []string) error {
			_, err := io.WriteString(a.stdout, carillon.ScheduleSchema())
			return err
		},
	})
}
