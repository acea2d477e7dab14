package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"carillon"
	"carillon/jobs"
)

type versionView struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Schedule int    `json:"schedule_version"`
	Zoneinfo string `json:"zoneinfo"`
	Commit   string `json:"commit"`
	Modified bool   `json:"modified"`
	Built    string `json:"committed_at"`
	Platform string `json:"platform"`
}

func (a *app) versionCommand() *cobra.Command {
	return a.command(spec{
		use:   "version",
		short: "Show the version of this binary",
		example: `  carillon version
  carillon version -o json`,
		args: noArgs,
		run: func(*cobra.Command, []string) error {
			zones, err := a.zones()
			if err != nil {
				return err
			}
			info, _ := debug.ReadBuildInfo()
			v := versionOf(info)
			v.Zoneinfo = zones.Version()
			return a.one(v, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, v.line())
				return err
			})
		},
	})
}

// versionOf reads what the Go tool stamped into the binary.
func versionOf(info *debug.BuildInfo) versionView {
	v := versionView{
		Version: carillon.Version(), Go: runtime.Version(), Schedule: jobs.Version,
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info == nil {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		case "vcs.time":
			v.Built = s.Value
		}
	}
	return v
}

func (v versionView) line() string {
	commit := "unknown commit"
	if v.Commit != "" {
		commit = "commit " + v.Commit[:min(12, len(v.Commit))]
	}
	if v.Modified {
		commit += ", modified"
	}
	return fmt.Sprintf("carillon %s (%s), %s %s, schedule format %d, time zones %s", v.Version, commit, v.Go, v.Platform, v.Schedule, v.Zoneinfo)
}
