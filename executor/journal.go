package executor

import (
	"context"
	"io"
)

// journal is where the parts of one attempt write, one after the other: its
// output, without its secrets.
type journal struct {
	out    *Output
	redact *Redactor // nil: there are none
}

// writer is where a part writes.
func (j journal) writer() io.Writer {
	if j.redact != nil {
		return j.redact
	}
	return j.out
}

// mark writes a line of carillon's own between two parts.
func (j journal) mark(s *secrets, line string) {
	j.cut()
	j.out.Mark("--- " + s.redact(line) + " ---")
}

// cut says that a part has said all it will.
func (j journal) cut() {
	if j.redact != nil {
		_ = j.redact.Cut() // an output takes everything until it is closed
	}
}

// flush sends what there is, as long as ctx lasts. Nothing is written afterwards.
func (j journal) flush(ctx context.Context) {
	j.cut()
	j.out.Flush(ctx)
}

// close is flush, and forgets what could not be sent. One that was never opened has
// nothing.
func (j journal) close(ctx context.Context) (written, kept int64) {
	if j.out == nil {
		return 0, 0
	}
	j.cut()
	return j.out.Close(ctx)
}
