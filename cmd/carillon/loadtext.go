package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"carillon/jobs"
)

// heatMarks are the marks of the heat map, from nothing to the most. A terminal
// that knows them gets blocks, everything else plain signs.
func (a *app) heatMarks() []rune {
	if a.stdoutTTY && a.utf8() {
		return []rune(" ·░▒▓█")
	}
	return []rune(" .:-=+*#%@")
}

// utf8 reports whether the locale is one of UTF-8, in the order in which POSIX
// asks the variables.
func (a *app) utf8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := a.getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.HasSuffix(v, "utf-8") || strings.HasSuffix(v, "utf8")
		}
	}
	return false
}

const (
	loadMinute  = "Mon 2006-01-02 15:04 MST"
	shownJobs   = 5
	shownAdvice = 10
)

// writeLoad writes the load for people.
func writeLoad(w io.Writer, l load, marks []rune) error {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(oneLine(fmt.Sprintf(format, args...)) + "\n") }
	d := l.density
	from, until := d.From.In(l.loc), d.At(len(d.Minutes)).In(l.loc)
	line("%s of %s from %s to %s (%s)", count(d.Starts, "start"), count(len(d.Ticking), "job"), from.Format("Mon 2006-01-02 15:04"), until.Format("Mon 2006-01-02 15:04"), l.loc)
	if l.starts == 0 {
		_, err := io.WriteString(w, b.String())
		return err
	}
	b.WriteString("\n")
	heatMap(&b, l, marks)
	b.WriteString("\n")
	line("peak minute     %s: %s: %s", d.At(l.peak).In(l.loc).Format(loadMinute), count(l.starts, "start"), meetingWords(l.meeting))
	line("busiest hour    %s: %s", l.busiest.Begin.Format(loadMinute), count(l.busiest.Starts, "start"))
	line("quietest hours  %s", quietWords(l.quietest))
	line("at once         %s", atOnceWords(l))
	if d.Unspread > 0 {
		line("%s with jitter and very many ticks: counted without the jitter", count(d.Unspread, "job"))
	}
	if len(l.advice) > 0 {
		b.WriteString("\nworth an H, if the minute does not matter:\n")
		t := &table{head: []string{"", "", "", "", ""}}
		for _, g := range l.advice[:min(len(l.advice), shownAdvice)] {
			t.add(" "+g.Job, fmt.Sprintf("%q", g.Was), "->", fmt.Sprintf("%q", g.Instead), adviceWords(g, l.loc))
		}
		if err := t.write(&b, style{}); err != nil {
			return err
		}
		if rest := len(l.advice) - shownAdvice; rest > 0 {
			line("  and %d more; -o json has them all", rest)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// heatMap draws a row for each weekday and two columns for each hour. Below it
// stands up to which number of starts in an hour each mark goes.
func heatMap(b *strings.Builder, l load, marks []rune) {
	var cells [7][24]int
	var known [7]bool
	most := 0
	for _, h := range l.hours {
		day, hour := (int(h.Begin.Weekday())+6)%7, h.Begin.Hour()
		known[day] = true
		cells[day][hour] += h.Starts
		most = max(most, cells[day][hour])
	}
	b.WriteString("     ")
	for hour := 0; hour < 24; hour += 3 {
		fmt.Fprintf(b, "%02d    ", hour)
	}
	b.WriteString("  starts\n")
	levels := len(marks) - 1
	for day, row := range cells {
		if !known[day] {
			continue
		}
		fmt.Fprintf(b, "%s  ", time.Weekday((day + 1) % 7).String()[:3])
		sum := 0
		for _, n := range row {
			mark := string(marks[level(n, most, levels)])
			b.WriteString(mark + mark)
			sum += n
		}
		fmt.Fprintf(b, "  %6d\n", sum)
	}
	b.WriteString("     an hour:")
	last := 0
	for i := 1; i <= levels; i++ {
		if upTo := i * most / levels; upTo > last {
			fmt.Fprintf(b, "  %c %s", marks[i], roughly(upTo))
			last = upTo
		}
	}
	b.WriteString("\n")
}

// roughly writes a number of at most four digits and a unit.
func roughly(n int) string {
	switch {
	case n < 10_000:
		return strconv.Itoa(n)
	case n < 10_000_000:
		return strconv.Itoa(n/1000) + "k"
	default:
		return strconv.Itoa(n/1_000_000) + "M"
	}
}

// level is how dark a cell is: 0 for nothing, and otherwise in equal steps.
func level(n, most, levels int) int {
	if most == 0 {
		return 0
	}
	return (n*levels + most - 1) / most
}

func meetingWords(list []*jobs.Job) string {
	var names []string
	for _, j := range list[:min(len(list), shownJobs)] {
		names = append(names, j.Name)
	}
	words := strings.Join(names, ", ")
	if rest := len(list) - len(names); rest > 0 {
		words += fmt.Sprintf(" and %d more", rest)
	}
	return words
}

func quietWords(hours []int) string {
	var words []string
	for _, h := range hours {
		words = append(words, fmt.Sprintf("%02d:00", h))
	}
	return strings.Join(words, ", ") + " on all days together"
}

func atOnceWords(l load) string {
	e := l.atOnce
	switch {
	case e == nil:
		return "unknown: no Redis tells how long the runs last (--redis)"
	case e.Known == 0:
		return "unknown: no run of these jobs has ended yet"
	}
	words := fmt.Sprintf("about %s at %s", count(e.Peak, "run"), e.Minute.In(l.loc).Format(loadMinute))
	switch {
	case l.nodes == 0:
		words += "; no node is live"
	case e.Peak > l.slots:
		words += fmt.Sprintf("; the %s %s, so that %d wait", count(l.nodes, "live node"), haveWords(l), e.Peak-l.slots)
	default:
		words += fmt.Sprintf("; the %s %s", count(l.nodes, "live node"), haveWords(l))
	}
	if e.Known < e.Jobs {
		words += fmt.Sprintf(" (durations of %d of %d jobs are known, the others count a second)", e.Known, e.Jobs)
	}
	return words
}

func haveWords(l load) string {
	verb := "have"
	if l.nodes == 1 {
		verb = "has"
	}
	return verb + " " + count(l.slots, "slot")
}
