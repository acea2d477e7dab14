package jobs

import (
	"slices"
	"strings"
)

// AnyRoute is the route of jobs that ask nothing of a node.
const AnyRoute = "any"

// Route is what the job asks of a node: "any", or its pool and labels in a fixed
// order, such as "pool=gpu,zone=eu". Only nodes that serve it see its runs. Runs
// of an every_node job go to the route of each node instead; Route then says
// which nodes are meant.
func (j *Job) Route() string {
	var parts []string
	if j.Pool != "" {
		parts = append(parts, "pool="+j.Pool)
	}
	for _, k := range sortedKeys(j.Nodes) {
		parts = append(parts, k+"="+j.Nodes[k])
	}
	if len(parts) == 0 {
		return AnyRoute
	}
	return strings.Join(parts, ",")
}

// Serves reports whether a node of that pool and with those labels may execute
// the job's runs.
func (j *Job) Serves(pool string, labels map[string]string) bool {
	if j.Pool != "" && j.Pool != pool {
		return false
	}
	for k, v := range j.Nodes {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// Routes are the routes that a node of that pool and with those labels serves.
func (s *Schedule) Routes(pool string, labels map[string]string) []string {
	routes := []string{AnyRoute}
	for _, j := range s.Jobs {
		if r := j.Route(); !slices.Contains(routes, r) && j.Serves(pool, labels) {
			routes = append(routes, r)
		}
	}
	slices.Sort(routes[1:])
	return routes
}
