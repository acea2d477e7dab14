package main

import (
	"fmt"
	"io"

	"carillon/jobs"
)

// logView renders a run's output: each byte once, a mark where some are
// missing, a line on stderr where another attempt begins.
type logView struct {
	out     io.Writer
	say     func(format string, args ...any)
	attempt int
	next    map[logWriter]int64 // offset of the byte that comes next
	midLine bool                // the last byte written was not a newline
	wrote   bool
}

// logWriter is within what offsets count.
type logWriter struct {
	attempt int
	token   string
}

func writerOf(c jobs.LogChunk) logWriter { return logWriter{c.Attempt, c.Writer} }

// chunk renders one chunk. A writer that did not hear whether a chunk arrived
// sends it again, so what was shown already is left out.
func (v *logView) chunk(c jobs.LogChunk) error {
	if v.next == nil {
		v.next = map[logWriter]int64{}
	}
	skip := v.next[writerOf(c)] - c.Offset
	if skip >= int64(len(c.Data)) && skip > 0 {
		return nil
	}
	if err := v.turnTo(c.Attempt); err != nil {
		return err
	}
	data := c.Data
	if skip > 0 {
		data = data[skip:]
	}
	if skip < 0 {
		if err := v.mark(-skip); err != nil {
			return err
		}
	}
	v.next[writerOf(c)] = c.Offset + int64(len(c.Data))
	return v.write(data)
}

func (v *logView) turnTo(attempt int) error {
	if attempt == v.attempt {
		return nil
	}
	if err := v.endLine(); err != nil {
		return err
	}
	if v.attempt != 0 || attempt > 1 {
		v.say("--- attempt %d ---", attempt)
	}
	v.attempt = attempt
	return nil
}

// mark stands in the output itself: whoever keeps the output keeps the notice
// that it is not whole.
func (v *logView) mark(missing int64) error {
	if err := v.endLine(); err != nil {
		return err
	}
	return v.write([]byte(dropped(missing)))
}

func dropped(n int64) string { return fmt.Sprintf("... %d bytes dropped ...\n", n) }

// endLine closes a line that the job left open, so that what follows stands on
// its own.
func (v *logView) endLine() error {
	if !v.midLine {
		return nil
	}
	return v.write([]byte("\n"))
}

func (v *logView) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	v.wrote = true
	v.midLine = p[len(p)-1] != '\n'
	_, err := v.out.Write(p)
	return outputFailed(err)
}

// close ends an open line on a terminal, where the prompt would follow it, and
// writes what a screenWriter still holds. A pipe gets the job's bytes and no
// more.
func (v *logView) close() error {
	screen, ok := v.out.(*screenWriter)
	if !ok {
		return nil
	}
	if err := screen.Flush(); err != nil {
		return outputFailed(err)
	}
	return v.endLine()
}

// logOutput is where a job's output goes: raw into a pipe, shown on a terminal.
func logOutput(w io.Writer, tty bool) io.Writer {
	if tty {
		return &screenWriter{w: w}
	}
	return w
}
