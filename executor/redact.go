package executor

import (
	"io"
	"strings"
	"sync"
)

const (
	// redacted stands for what was taken out.
	redacted = "***"
	// leastRedacted is the length in bytes of the shortest text that is taken out: a
	// shorter one occurs by chance, and *** in its place would say where.
	leastRedacted = 4
	// redactBlock is how much of one write is looked at at a time.
	redactBlock = 64 << 10
)

// Redactor passes on what it is given, with "***" in place of every occurrence of
// some texts, however they are spread over writes. Occurrences that overlap or
// touch become one "***". It finds a text as it is; it does not see through an
// encoding (base64, escapes).
//
// What may be the beginning of a text waits for what follows, so of the stream as
// many bytes as the longest text has are held back at most. Cut passes them on.
type Redactor struct {
	find *matcher
	out  io.Writer

	mu     sync.Mutex
	state  int32
	text   []byte    // not passed on yet; between two writes the beginning that state is
	hidden []stretch // of text, in order, neither overlapping nor touching
	masked bool      // the last thing passed on was redacted
	clean  []byte    // scratch
}

// stretch is text[from:to].
type stretch struct{ from, to int }

// NewRedactor returns a redactor that takes these texts out of what goes to out.
// Texts shorter than 4 bytes are left where they are.
func NewRedactor(out io.Writer, texts ...string) *Redactor {
	return newRedactor(out, newMatcher(distinct(texts, leastRedacted)))
}

func newRedactor(out io.Writer, find *matcher) *Redactor { return &Redactor{find: find, out: out} }

// Write passes p on as far as it can be told what is in it. It fails when the
// writer behind it fails.
func (r *Redactor) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for done := 0; done < len(p); {
		n := min(len(p)-done, redactBlock)
		if err := r.take(p[done : done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// Cut says that the stream breaks off here: what is held back is passed on. When
// it is the beginning of a text, and long enough to be one, it is redacted too.
func (r *Redactor) Cut() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.text) >= leastRedacted {
		r.hide(0, len(r.text))
	}
	r.state = 0
	return r.pass(len(r.text))
}

// take looks at a block and passes on what no text can reach any more.
func (r *Redactor) take(block []byte) error {
	at := len(r.text)
	r.text = append(r.text, block...)
	state := r.state
	for i, c := range block {
		if state == 0 {
			if state = r.find.first[c]; state == 0 {
				continue
			}
		} else {
			state = r.find.step(state, c)
		}
		if n := r.find.nodes[state].match; n > 0 {
			r.hide(at+i+1-int(n), at+i+1)
		}
	}
	r.state = state
	return r.pass(len(r.text) - int(r.find.nodes[state].depth))
}

// hide marks text[from:to], whose end is beyond all that was marked before.
func (r *Redactor) hide(from, to int) {
	for len(r.hidden) > 0 {
		last := r.hidden[len(r.hidden)-1]
		if last.to < from {
			break
		}
		from = min(from, last.from)
		r.hidden = r.hidden[:len(r.hidden)-1]
	}
	r.hidden = append(r.hidden, stretch{from, to})
}

// pass hands on the first n bytes of the text, without what is hidden.
func (r *Redactor) pass(n int) error {
	if n == 0 {
		return nil
	}
	clean, at, gone := r.clean[:0], 0, 0
	for _, h := range r.hidden {
		if h.from >= n {
			break
		}
		if h.from > at {
			clean, r.masked = append(clean, r.text[at:h.from]...), false
		}
		if !r.masked {
			clean, r.masked = append(clean, redacted...), true
		}
		if at = min(h.to, n); h.to <= n {
			gone++
		}
	}
	if at == 0 {
		clean = r.text[:n] // nothing to hide, and nothing to copy
		r.masked = false
	} else {
		if at < n {
			clean, r.masked = append(clean, r.text[at:n]...), false
		}
		r.clean = clean
	}
	var err error
	if len(clean) > 0 {
		_, err = r.out.Write(clean)
	}
	r.hidden = r.hidden[:copy(r.hidden, r.hidden[gone:])]
	for i := range r.hidden {
		r.hidden[i] = stretch{max(0, r.hidden[i].from-n), r.hidden[i].to - n}
	}
	r.text = r.text[:copy(r.text, r.text[n:])]
	return err
}

// redactText is a text without what the matcher finds. A beginning at its end
// counts, because errors are cut short.
func redactText(find *matcher, text string) string {
	var clean strings.Builder
	r := newRedactor(&clean, find)
	_, _ = io.WriteString(r, text) // a builder takes everything
	_ = r.Cut()
	return clean.String()
}
