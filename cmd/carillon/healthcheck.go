package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carillon"
	"carillon/jobs"
)

func (a *app) healthcheckCommand() *cobra.Command {
	var node string
	cmd := a.command(spec{
		use:   "healthcheck",
		short: "Exit 0 when this host's node is alive, for containers",
		long: `Exit 0 when Redis answers and the node has shown itself within the last 6 seconds,
and 1 with one sentence otherwise; also when the scheduler of the node hangs, so that it
can lead no more. Without --node it is the node of this host: one
whose name is the host's name, alone or with "-" and a process id, as ` + "`carillon up`" + `
makes it up.`,
		example: `  carillon healthcheck --node web-1
  HEALTHCHECK --interval=10s CMD ["carillon", "healthcheck"]      # in a Dockerfile`,
		args: noArgs,
		run:  func(cmd *cobra.Command, _ []string) error { return a.healthcheck(cmd.Context(), node) },
	})
	cmd.Flags().StringVar(&node, "node", "", "`NAME` of the node (default: the node of this host)")
	a.completeFlag(cmd, "node", a.completeNodes)
	return cmd
}

type healthView struct {
	Healthy bool   `json:"healthy"`
	Node    string `json:"node"`
	SeenAt  stamp  `json:"seen_at"`
	Reason  string `json:"reason"`
}

// healthcheck ends with 1 for everything that is not well, a Redis that does not
// answer included: supervisors know healthy and unhealthy, and no third.
func (a *app) healthcheck(ctx context.Context, name string) error {
	if name != "" && !carillon.NodeNamePattern.MatchString(name) {
		return fail(exitUsage, "--node %q: expected letters, digits, _ . -, at most 64, beginning with a letter or digit", name)
	}
	var node jobs.Node
	err := a.withStore(ctx, func(st store) error {
		nodes, err := st.Nodes(ctx)
		if err != nil {
			return err
		}
		if node, err = pickNode(nodes, name); err == nil && !node.Hangs.IsZero() {
			err = fail(exitOther, "node %s hangs: its scheduler has not ended since its term did, at %s; it executes runs and leads no more until it is restarted",
				node.Name, node.Hangs.UTC().Format(time.RFC3339))
		}
		return err
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if codeOf(err) == exitUsage || codeOf(err) == exitSchedule {
		return err
	}
	v := healthView{Healthy: err == nil, Node: node.Name, SeenAt: utc(node.SeenAt)}
	if err != nil {
		v.Node, v.Reason = name, err.Error()
	}
	written := a.one(v, func(w io.Writer) error {
		if err != nil {
			return nil
		}
		_, e := fmt.Fprintf(w, "%s is alive\n", node.Name)
		return e
	})
	if err == nil {
		return outputFailed(written)
	}
	a.say("carillon: %v", err)
	return ended(exitOther, "unhealthy")
}

// pickNode finds the node that is asked about among the live ones.
func pickNode(nodes []jobs.Node, name string) (jobs.Node, error) {
	// The name that `up` makes up ends with "-" and the id of its process.
	made := carillon.DefaultNodeName()
	host := made[:strings.LastIndexByte(made, '-')]
	for _, n := range nodes {
		if n.Name == name || name == "" && (n.Name == host || processOf(n.Name, host)) {
			return n, nil
		}
	}
	if name != "" {
		return jobs.Node{}, fail(exitOther, "node %s has not shown itself for 6 s", name)
	}
	return jobs.Node{}, fail(exitOther, "no live node is named %s or %s-PID after this host: give --node NAME if it has another name", host, host)
}

func processOf(node, host string) bool {
	pid, ok := strings.CutPrefix(node, host+"-")
	return ok && pid != "" && strings.Trim(pid, "0123456789") == ""
}
