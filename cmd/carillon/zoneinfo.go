package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

// zoneSource is the value of --zoneinfo: which database of time zones decides
// when a job fires. "" is for the environment to say.
type zoneSource string

var zoneSources = []string{jobs.ZonesEmbedded, jobs.ZonesHost}

// String, Set and Type make zoneSource a flag value.
func (z *zoneSource) String() string { return string(*z) }

// Set accepts one of the two sources.
func (z *zoneSource) Set(s string) error {
	if !slices.Contains(zoneSources, s) {
		return fmt.Errorf("%s or %s%s", jobs.ZonesEmbedded, jobs.ZonesHost, didYouMean("", s, zoneSources))
	}
	*z = zoneSource(s)
	return nil
}

// Type is the word for the value in help texts.
func (z *zoneSource) Type() string { return jobs.ZonesEmbedded + "|" + jobs.ZonesHost }

// zoneSource is what was asked for: the flag wins, then the environment.
func (a *app) zoneSource() (zoneSource, error) {
	if a.opts.zoneinfo != "" {
		return a.opts.zoneinfo, nil
	}
	var source zoneSource
	if env := a.getenv("CARILLON_ZONEINFO"); env != "" {
		if err := source.Set(env); err != nil {
			return "", fail(exitUsage, "$CARILLON_ZONEINFO %q: expected %w", env, err)
		}
	}
	return source, nil
}

// zones is the database that was asked for, opened once.
func (a *app) zones() (*jobs.Zones, error) {
	if a.opened != nil {
		return a.opened, nil
	}
	source, err := a.zoneSource()
	if err != nil {
		return nil, err
	}
	zones, err := jobs.OpenZones(string(source))
	if err != nil {
		return nil, fail(exitOther, "--zoneinfo host: %w", err)
	}
	a.opened = zones
	return zones, nil
}

// location is the zone that --timezone names, or UTC.
func (a *app) location(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	zones, err := a.zones()
	if err != nil {
		return nil, err
	}
	loc, err := zones.Load(name)
	if err != nil {
		return nil, fail(exitUsage, "--timezone: %w", err)
	}
	return loc, nil
}

// load and parse read a schedule file with the zones that were asked for.
func (a *app) load(path string) (*jobs.Schedule, error) {
	zones, err := a.zones()
	if err != nil {
		return nil, err
	}
	return jobs.Load(path, jobs.WithZones(zones))
}

func (a *app) parse(name string, data []byte) (*jobs.Schedule, error) {
	zones, err := a.zones()
	if err != nil {
		return nil, err
	}
	return jobs.Parse(name, data, jobs.WithZones(zones))
}

// completeZones offers the names of time zones.
func completeZones(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return completeWords(jobs.ZoneNames())(cmd, args, typed)
}
