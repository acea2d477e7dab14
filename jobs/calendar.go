package jobs

// Calendar is a named set of days. It is immutable and may be shared.
type Calendar struct {
	Name string
}

// Contains reports whether a day, counted from 1970-01-01, is in the calendar.
func (c *Calendar) Contains(day int64) bool { return false }
