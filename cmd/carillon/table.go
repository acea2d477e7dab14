package main

import (
	"io"
	"strings"
	"unicode/utf8"
)

// table is columns of text without borders, as wide as they need to be. The
// last column is cut to the width of a terminal: it holds what may be long.
type table struct {
	head []string
	rows [][]cell
}

// cell is one text of a table, and the colour it has on a terminal.
type cell struct {
	text   string
	colour colour
}

func (t *table) add(texts ...string) {
	row := make([]cell, len(texts))
	for i, s := range texts {
		row[i].text = oneLine(s)
	}
	t.rows = append(t.rows, row)
}

// paint colours column i of the row added last.
func (t *table) paint(i int, c colour) { t.rows[len(t.rows)-1][i].colour = c }

// style is what a table needs to know of where it is written.
type style struct {
	colours bool
	width   int // of the terminal; 0 when there is none
	headers bool
}

const columnGap = 3

func (t *table) write(w io.Writer, st style) error {
	rows := t.rows
	if st.headers {
		head := make([]cell, len(t.head))
		for i, h := range t.head {
			head[i].text = h
		}
		rows = append([][]cell{head}, rows...)
	}
	widths := make([]int, len(t.head))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], width(c.text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		b.WriteString(layOut(row, widths, st))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func layOut(row []cell, widths []int, st style) string {
	var b strings.Builder
	used, pad := 0, 0
	for i, c := range row {
		text := c.text
		if i == len(row)-1 && st.width > 0 {
			text = cut(text, st.width-used-pad)
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", pad))
			b.WriteString(c.colour.wrap(text, st.colours))
			used += pad + width(text)
			pad = 0
		}
		pad += widths[i] - width(text) + columnGap
	}
	return b.String()
}

// cut shortens text to room columns and marks that it did. Below a dozen
// columns there is no point: the terminal wraps better than we cut.
func cut(text string, room int) string {
	if room < 12 || width(text) <= room {
		return text
	}
	runes := []rune(text)
	return string(runes[:room-1]) + "…"
}

func width(s string) int { return utf8.RuneCountInString(s) }

// colour is an SGR code; the zero colour is the terminal's own.
type colour string

const (
	plain  colour = ""
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
	faint  colour = "2"
)

func (c colour) wrap(s string, on bool) string {
	if !on || c == plain {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}
