package executor

import (
	"context"
	"time"
	"unicode/utf8"

	"carillon/jobs"
)

// How output travels to the log.
const (
	flushFirst    = 20 * time.Millisecond  // from a write after silence to its flush
	flushEvery    = 100 * time.Millisecond // at least, between two flushes
	flushBytes    = 64 << 10               // of the tail, in one flush
	flushPatience = 5 * time.Second        // with one call of the log
	retryMost     = time.Second            // between two tries while the log fails
	chunkBytes    = 16 << 10               // at most, in one chunk of the tail
	tailChunks    = 4096                   // at most, of the tail in the log, however small
)

// flushLoop sends what waits: the first bytes after a moment, then at a bounded
// pace, so that a chatty job costs the store at most ten calls a second.
func (o *Output) flushLoop(ctx context.Context, f *flusher) {
	defer close(f.done)
	var last time.Time
	failures := 0
	for {
		select {
		case <-f.stop:
			return
		case <-f.wake:
		}
		for more := true; more; {
			if !pause(f.stop, untilFlush(time.Since(last), failures)) {
				return
			}
			var err error
			more, err = o.flush(ctx, false)
			last = time.Now()
			if failures++; err == nil {
				failures = 0
			}
		}
	}
}

// untilFlush is how long to wait before the next flush, when the last one was
// that long ago and that many in a row have failed.
func untilFlush(since time.Duration, failures int) time.Duration {
	if failures > 0 {
		return min(flushEvery<<min(failures, 10), retryMost)
	}
	return max(flushFirst, flushEvery-since)
}

// drain sends everything that waits, without pauses unless the log fails, and
// gives up when ctx ends.
func (o *Output) drain(ctx context.Context) {
	for failures, more := 0, true; more && ctx.Err() == nil; {
		var err error
		if more, err = o.flush(ctx, true); err == nil {
			failures = 0
			continue
		}
		if failures++; !pause(ctx.Done(), untilFlush(0, failures)) {
			return
		}
	}
}

// flush sends the oldest waiting bytes, as many as one flush may carry, and
// removes from the log what thereby leaves the tail. It reports whether more
// could be sent at once. After an error everything still waits.
func (o *Output) flush(ctx context.Context, final bool) (more bool, err error) {
	add := o.take(final)
	if len(add) == 0 {
		return false, nil
	}
	end := endOf(add[len(add)-1])
	drop := leaving(o.sent, add)
	ctx, cancel := context.WithTimeout(ctx, flushPatience)
	defer cancel()
	ids, err := o.log.AppendLog(ctx, o.runID, add, drop)
	if err != nil {
		return true, err
	}
	o.sent = o.sent[len(drop):]
	head := 0
	for i, c := range add {
		if c.Offset < HeadBytes {
			head += len(c.Data)
		} else if i < len(ids) {
			o.sent = append(o.sent, sentChunk{id: ids[i], size: int64(len(c.Data))})
		}
	}
	o.headSent += int64(head)
	return o.forget(head, end, final), nil
}

func endOf(c jobs.LogChunk) int64 { return c.Offset + int64(len(c.Data)) }

// leaving is the ids of the chunks that fall out of the tail when these are
// added: the oldest, as long as TailBytes remain without them, or when the
// chunks are too many.
func leaving(sent []sentChunk, add []jobs.LogChunk) (ids []string) {
	var size int64
	for _, c := range sent {
		size += c.size
	}
	for _, c := range add {
		if c.Offset >= HeadBytes {
			size += int64(len(c.Data))
		}
	}
	for i, c := range sent {
		size -= c.size
		if size < TailBytes && len(sent)-i+len(add) <= tailChunks {
			break
		}
		ids = append(ids, c.id)
	}
	return ids
}

// take copies the chunks of the next flush. Nothing is forgotten yet.
func (o *Output) take(final bool) []jobs.LogChunk {
	o.mu.Lock()
	defer o.mu.Unlock()
	var chunks []jobs.LogChunk
	if n := len(o.head); n > 0 {
		if !final && o.total < HeadBytes {
			n = wholeRunes(o.head)
		}
		if n > 0 {
			chunks = append(chunks, jobs.LogChunk{Attempt: o.attempt, Offset: o.headSent, Data: append([]byte(nil), o.head[:n]...)})
		}
	}
	n := min(o.tail.len(), flushBytes)
	data := o.tail.copyOut(n)
	if !final || n < o.tail.len() {
		data = data[:wholeRunes(data)]
	}
	for at := o.tail.at; len(data) > 0; {
		n := len(data)
		if n > chunkBytes {
			n = wholeRunes(data[:chunkBytes])
		}
		chunks = append(chunks, jobs.LogChunk{Attempt: o.attempt, Offset: at, Data: data[:n:n]})
		at, data = at+int64(n), data[n:]
	}
	return chunks
}

// forget lets go of what is in the log now: that many bytes of the head, and
// the tail up to the offset end. It reports whether the next flush would find
// something; half a character waits for its other half.
func (o *Output) forget(head int, end int64, final bool) (more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.head = o.head[head:]
	if len(o.head) == 0 {
		o.head = nil
	}
	o.tail.dropTo(end)
	left := len(o.head) + o.tail.len()
	return left >= utf8.UTFMax || final && left > 0
}

// wholeRunes is the length of b without a character that is cut at its end. A
// b that is no text is left as it is, and so is one that is nothing else.
func wholeRunes(b []byte) int {
	for back := 1; back < utf8.UTFMax && back < len(b); back++ {
		c := b[len(b)-back]
		if utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-back:]) {
				return len(b) - back
			}
			break
		}
	}
	return len(b)
}

// pause waits for d and reports whether it did; end cuts it short.
func pause(end <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-end:
		return false
	case <-t.C:
		return true
	}
}
