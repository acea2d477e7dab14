package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carillon/jobs"
)

type explainOptions struct {
	job      string
	timezone string
	name     string
}

func (a *app) explainCommand() *cobra.Command {
	var o explainOptions
	cmd := a.command(spec{
		use:      "explain EXPRESSION",
		short:    "Say when an expression fires, in plain words; needs no Redis",
		computes: true,
		long: `Say in plain words when an expression fires, or, with --job, a job of the file with
all that the file says about its time. Below the words stand the fields as they are
read, what changes of the clocks do in that zone, with the next one that touches the
expression within two years, and the next three ticks.`,
		example: `  carillon explain "30 2 * * mon-fri" --timezone Europe/Berlin
  carillon explain "H H(0-5) * * *" --name backup   # what H chooses for a job of that name
  carillon explain "@every 90s" -o json
  carillon explain --job backup`,
		run: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("job") {
				return a.explain(o, args)
			}
			for _, flag := range []string{"timezone", "name"} {
				if cmd.Flags().Changed(flag) {
					return fail(exitUsage, "--%s is for an expression; a job has what the file says", flag)
				}
			}
			return a.explainJob(o.job, args)
		},
	})
	cmd.Flags().StringVar(&o.job, "job", "", "explain this `JOB` of the file")
	cmd.Flags().StringVar(&o.timezone, "timezone", "", "read the expression in this `ZONE`, such as Europe/Berlin (default UTC)")
	cmd.Flags().StringVar(&o.name, "name", "", "the job `NAME` that spreads the H of the expression")
	a.completeFlag(cmd, "job", a.completeOneJob)
	a.completeFlag(cmd, "timezone", completeZones)
	a.completeFlag(cmd, "name", a.completeOneJob)
	return cmd
}

const (
	explainedTicks = 3
	explainedYears = 2
)

// explanationView is one expression.
type explanationView struct {
	Expression  string        `json:"expression"`
	Words       string        `json:"words"`
	Timezone    string        `json:"timezone"`
	Kind        jobs.SpecKind `json:"kind"`
	Fields      []fieldView   `json:"fields"`       // none of "@every"
	Clocks      string        `json:"clocks"`       // what a change of the clocks does; "" for nothing
	ClockChange string        `json:"clock_change"` // the next one that touches the expression; "" for none in two years
	Next        []stamp       `json:"next"`
}

type fieldView struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// jobExplanationView is a job with its expressions.
type jobExplanationView struct {
	Job       string            `json:"job"`
	Words     string            `json:"words"`
	Timezone  string            `json:"timezone"`
	Next      []stamp           `json:"next"`
	Schedules []explanationView `json:"schedules"`
}

func (a *app) explain(o explainOptions, args []string) error {
	switch {
	case len(args) == 0:
		return fail(exitUsage, `explain needs an expression, such as "30 2 * * *", or --job JOB`)
	case len(args) > 1:
		return fail(exitUsage, "explain takes one expression, found %d words: put quotes around it, so that the shell leaves its stars alone", len(args))
	}
	loc, err := a.location(o.timezone)
	if err != nil {
		return err
	}
	options := jobs.SpecOptions{Location: loc, Name: o.name}
	s, err := jobs.NewSpec(args[0], options)
	if err != nil {
		e := fail(exitSchedule, "%q: %w", args[0], err)
		if marked := markCulprits(args[0], options); marked != "" {
			e.hint = marked
		}
		if onlyWantsName(args[0], options) {
			e.hint += "\n" + nameHint
		}
		return e
	}
	view := a.viewExplanation(s)
	return a.one(view, func(w io.Writer) error {
		return writeBlocks(w, view.Words, explanationRows(view))
	})
}

func (a *app) explainJob(name string, args []string) error {
	if len(args) > 0 {
		return fail(exitUsage, "--job stands instead of an expression: drop it, or %q", strings.Join(args, " "))
	}
	s, err := a.schedule()
	if err != nil {
		return err
	}
	job, err := jobIn(s, name)
	if err != nil {
		return err
	}
	view := jobExplanationView{
		Job: job.Name, Words: job.Explain(), Timezone: job.Zone().String(),
		Next: nextTicks(job.Next, a.now(), job.Zone()), Schedules: []explanationView{},
	}
	for _, sp := range job.Specs {
		schedule := a.viewExplanation(sp)
		schedule.Expression = expressionWords(sp, job.Offset)
		view.Schedules = append(view.Schedules, schedule)
	}
	return a.one(view, func(w io.Writer) error {
		var blocks [][]row
		for _, sp := range view.Schedules {
			sp.Next = nil // the job's are below
			blocks = append(blocks, append([]row{{"expression", sp.Expression}}, explanationRows(sp)...))
		}
		return writeBlocks(w, view.Words, append(blocks, tickRows(view.Next))...)
	})
}

func (a *app) viewExplanation(s *jobs.Spec) explanationView {
	now := a.now()
	view := explanationView{
		Expression: s.String(), Words: s.Explain(), Timezone: s.Location().String(), Kind: s.Kind(),
		Fields: []fieldView{}, Clocks: s.ExplainClocks(), ClockChange: s.NextClockChange(now, now.AddDate(explainedYears, 0, 0)),
		Next: nextTicks(s.Next, now, s.Location()),
	}
	for _, f := range s.Fields() {
		view.Fields = append(view.Fields, fieldView(f))
	}
	return view
}

// nextTicks are the first ticks after an instant, in the zone.
func nextTicks(next func(time.Time) (time.Time, bool), after time.Time, loc *time.Location) []stamp {
	ticks := []stamp{}
	for len(ticks) < explainedTicks {
		tick, ok := next(after)
		if !ok {
			break
		}
		ticks = append(ticks, stamp(tick.In(loc)))
		after = tick
	}
	return ticks
}

// row is a line of what is explained: its name, which only the first of several
// has, and its text.
type row struct{ name, text string }

func explanationRows(view explanationView) []row {
	var rows []row
	for _, f := range view.Fields {
		rows = append(rows, row{f.Name, f.Value})
	}
	rows = append(rows, row{"timezone", view.Timezone}, row{"kind", string(view.Kind)})
	switch {
	case view.Kind == jobs.KindEvery:
	case view.Clocks == "":
		rows = append(rows, row{"clock changes", "there are none in this zone"})
	case view.ClockChange == "":
		rows = append(rows, row{"clock changes", view.Clocks}, row{"", fmt.Sprintf("(none of the next %d years touches it)", explainedYears)})
	default:
		rows = append(rows, row{"clock changes", view.Clocks}, row{"", view.ClockChange})
	}
	return append(rows, tickRows(view.Next)...)
}

func tickRows(ticks []stamp) []row {
	var rows []row
	name := "next"
	for _, t := range ticks {
		rows = append(rows, row{name, time.Time(t).Format(tickLayout)})
		name = ""
	}
	return rows
}

// writeBlocks writes words and, below them, blocks of rows in two columns.
func writeBlocks(w io.Writer, words string, blocks ...[]row) error {
	var b strings.Builder
	fmt.Fprintln(&b, oneLine(words))
	column := 0
	for _, rows := range blocks {
		for _, r := range rows {
			column = max(column, width(r.name))
		}
	}
	for _, rows := range blocks {
		if len(rows) > 0 {
			b.WriteByte('\n')
		}
		for _, r := range rows {
			fmt.Fprintf(&b, "  %-*s   %s\n", column, r.name, oneLine(r.text))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markCulprits writes the expression with carets under the fields that are bad
// by themselves, or "" when none is.
func markCulprits(expr string, o jobs.SpecOptions) string {
	fields := strings.Fields(expr)
	if n := len(fields); n != 5 && n != 6 {
		return ""
	}
	line, carets, found := "  ", "  ", false
	for i, field := range fields {
		alone := strings.Split(strings.Repeat("*", len(fields)), "")
		alone[i] = field
		mark := " "
		if _, err := jobs.NewSpec(strings.Join(alone, " "), o); err != nil {
			mark, found = "^", true
		}
		line += field + " "
		carets += strings.Repeat(mark, width(field)) + " "
	}
	if !found {
		return ""
	}
	return strings.TrimRight(line, " ") + "\n" + strings.TrimRight(carets, " ")
}
