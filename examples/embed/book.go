package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// book is where the handlers write what they did. They run on many goroutines.
type book struct {
	news chan struct{} // rings after every entry

	mu   sync.Mutex
	ran  map[time.Time][]string // tick -> the nodes that ran it
	said string
}

func newBook() *book {
	return &book{news: make(chan struct{}, 1), ran: map[time.Time][]string{}}
}

func (b *book) tick(at time.Time, node string) {
	b.mu.Lock()
	b.ran[at] = append(b.ran[at], node)
	b.mu.Unlock()
	b.ring()
}

func (b *book) greet(greeting string) {
	b.mu.Lock()
	b.said = strings.TrimSpace(greeting)
	b.mu.Unlock()
	b.ring()
}

func (b *book) ring() {
	select {
	case b.news <- struct{}{}:
	default: // somebody is about to look anyway
	}
}

func (b *book) ticks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ran)
}

func (b *book) greeting() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said
}

// check prints the ticks in order and finds those that ran twice, and the gaps
// where one is missing.
func (b *book) check(out io.Writer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	ticks := make([]time.Time, 0, len(b.ran))
	for at := range b.ran {
		ticks = append(ticks, at)
	}
	slices.SortFunc(ticks, time.Time.Compare)
	var wrong []error
	for i, at := range ticks {
		nodes := b.ran[at]
		fmt.Fprintf(out, "  %s  %s\n", at.UTC().Format(time.TimeOnly), strings.Join(nodes, ", "))
		if len(nodes) != 1 {
			wrong = append(wrong, fmt.Errorf("the tick of %s ran %d times", at.UTC().Format(time.TimeOnly), len(nodes)))
		}
		if i > 0 && at.Sub(ticks[i-1]) != time.Second {
			wrong = append(wrong, fmt.Errorf("between %s and %s a tick is missing", ticks[i-1].UTC().Format(time.TimeOnly), at.UTC().Format(time.TimeOnly)))
		}
	}
	if len(wrong) == 0 {
		fmt.Fprintf(out, "%d ticks, each ran once\n", len(ticks))
	}
	return errors.Join(wrong...)
}
