package jobs

import (
	"fmt"
	"time"
)

// ExplainClocks says what a change of the clocks does to the expression, as the
// end of a sentence; "" where none changes anything: of "@every", and in a zone
// whose clocks do not change any more.
func (s *Spec) ExplainClocks() string {
	if s.every > 0 || !s.zone.changes() {
		return ""
	}
	gap, overlap := "runs right after the gap", "runs the first time only"
	if s.skip {
		gap = "is left out"
	}
	if !s.once {
		overlap = "runs both times"
	}
	return fmt.Sprintf("a time that does not exist %s, and one that comes twice %s", gap, overlap)
}

// changes reports that the zone's rules have changes of the clocks in them.
func (z *zone) changes() bool { return len(z.spans)-z.wrap > 1 }

// NextClockChange says what the first change of the clocks after one instant, and
// not after another, that touches the expression does to it: "02:30 does not
// exist on 2027-03-14 and fires at 03:00". It is "" when there is none.
func (s *Spec) NextClockChange(after, until time.Time) string {
	if s.every > 0 {
		return ""
	}
	limit := min(until.Unix(), s.until)
	for c := s.zone.at(max(after.Unix(), s.since)); s.zone.end(c) <= limit; {
		change := clockChange{at: s.zone.end(c), before: s.zone.spans[c.i].off}
		c = s.zone.next(c)
		change.after = s.zone.spans[c.i].off
		words := ""
		switch {
		case change.after > change.before:
			words = gapWords(s, change)
		case change.after < change.before:
			words = overlapWords(s, change)
		}
		if words != "" {
			return words
		}
	}
	return ""
}
