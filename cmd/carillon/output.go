package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// format is how data is written to stdout.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatJSONL format = "jsonl"
	formatYAML  format = "yaml"
)

var formats = []string{string(formatTable), string(formatJSON), string(formatJSONL), string(formatYAML)}

// String, Set and Type make format a flag value.
func (f *format) String() string { return string(*f) }

// Set accepts one of the four formats.
func (f *format) Set(s string) error {
	for _, known := range formats {
		if s == known {
			*f = format(s)
			return nil
		}
	}
	return fmt.Errorf("one of %s", strings.Join(formats, ", "))
}

// Type is the word for the value in help texts.
func (f *format) Type() string { return strings.Join(formats, "|") }

// list writes the elements of a list: one array, one line each, or t.
func (a *app) list(items []any, t *table) error {
	switch a.opts.output {
	case formatJSON:
		if items == nil {
			items = []any{}
		}
		return writeIndented(a.stdout, items)
	case formatJSONL:
		for _, item := range items {
			if err := writeLine(a.stdout, item); err != nil {
				return err
			}
		}
		return nil
	case formatYAML:
		if items == nil {
			items = []any{}
		}
		return writeYAML(a.stdout, items)
	default:
		if len(t.rows) == 0 {
			return nil
		}
		return t.write(a.stdout, a.style())
	}
}

// one writes a single object, or calls human for the table format.
func (a *app) one(item any, human func(io.Writer) error) error {
	switch a.opts.output {
	case formatJSON:
		return writeIndented(a.stdout, item)
	case formatJSONL:
		return writeLine(a.stdout, item)
	case formatYAML:
		return writeYAML(a.stdout, item)
	default:
		return human(a.stdout)
	}
}

// wordless is the table form of what stderr has said in words.
func wordless(io.Writer) error { return nil }

// streamed writes one element of a list that has no end yet: with json it is a
// line as with jsonl, for an array would never close.
func (a *app) streamed(item any, human func(io.Writer) error) error {
	switch a.opts.output {
	case formatJSON, formatJSONL:
		return writeLine(a.stdout, item)
	case formatYAML:
		return writeYAML(a.stdout, []any{item})
	default:
		return human(a.stdout)
	}
}

func (a *app) style() style {
	return style{colours: a.colours(a.stdoutTTY), width: a.width, headers: !a.opts.noHeaders}
}

// colours decides whether a stream gets colour: the flag first, then what the
// environment asks for, then whether anybody looks.
func (a *app) colours(tty bool) bool {
	switch a.opts.color {
	case colorAlways:
		return true
	case colorNever:
		return false
	default:
		return tty && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
	}
}

// colorMode is the value of --color.
type colorMode string

const (
	colorAuto   colorMode = "auto"
	colorAlways colorMode = "always"
	colorNever  colorMode = "never"
)

// String, Set and Type make colorMode a flag value.
func (c *colorMode) String() string { return string(*c) }

// Set accepts auto, always or never.
func (c *colorMode) Set(s string) error {
	switch m := colorMode(s); m {
	case colorAuto, colorAlways, colorNever:
		*c = m
		return nil
	}
	return fmt.Errorf("one of auto, always, never")
}

// Type is the word for the value in help texts.
func (c *colorMode) Type() string { return "auto|always|never" }

func writeIndented(w io.Writer, v any) error {
	var b bytes.Buffer
	if err := json.Indent(&b, compactJSON(v), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

func writeLine(w io.Writer, v any) error {
	_, err := w.Write(append(compactJSON(v), '\n'))
	return err
}

func writeYAML(w io.Writer, v any) error {
	doc, err := yamlFromJSON(compactJSON(v))
	if err != nil {
		return err
	}
	_, err = w.Write(doc)
	return err
}

// compactJSON encodes one of our own views, which cannot fail. The encoder
// leaves DEL, the C1 controls and the reordering marks as they are, and JSON
// is read on terminals too.
func compactJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("carillon: a view that is not JSON: " + err.Error())
	}
	doc := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if !bytes.ContainsFunc(doc, dangerous) {
		return doc
	}
	var safe bytes.Buffer
	for _, r := range string(doc) {
		if dangerous(r) {
			fmt.Fprintf(&safe, `\u%04x`, r)
		} else {
			safe.WriteRune(r)
		}
	}
	return safe.Bytes()
}
