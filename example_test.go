package carillon_test

import (
	"context"
	"fmt"
	"log"

	"carillon"
	"carillon/jobs"
)

// A node with one job that is a Go function, started by hand. The README shows
// these lines; a test compares.
func Example() {
	schedule, err := jobs.Parse("schedule.yaml", []byte(`
version: 1
jobs:
  report:
    schedule: "0 7 * * mon-fri"
    timezone: Europe/Berlin
    retry: {attempts: 3, backoff: 30s}
    params: {day: {default: today}}
    func: report
`))
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	node, err := carillon.New(carillon.Options{
		Schedule: schedule,      // or File: "schedule.yaml", which is followed while it changes
		Embedded: "127.0.0.1:0", // in memory, to try it; or Redis: "redis://10.0.0.5:6379/0"
		Funcs: map[string]carillon.Func{
			"report": func(ctx context.Context, run carillon.Run) error {
				fmt.Println("a report for", run.Params["day"])
				stop() // ends the node once this run is over
				return nil
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		<-node.Ready()
		if _, err := node.Trigger(ctx, "report", map[string]string{"day": "monday"}); err != nil {
			log.Print(err)
		}
	}()
	if err := node.Run(ctx); err != nil { // blocks until ctx ends and everything is handed over
		log.Fatal(err)
	}
	// Output: a report for monday
}
