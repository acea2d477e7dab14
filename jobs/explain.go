package jobs

import (
	"fmt"
	"strings"
	"time"
)

// Explain says in plain English when the expression fires: "At 02:30, Monday
// through Friday". Where they are true, the words are those of cronstrue, which
// many people know from elsewhere; explain_test.go lists where they are not.
//
// The words are about the expression alone. What a change of the clocks does to
// it, and what else a job says about its time, is in (*Job).Explain.
func (s *Spec) Explain() string {
	if s.every > 0 {
		return explainEvery(time.Duration(s.every) * time.Second)
	}
	return explainFields(s.expr)
}

// explainFields puts an accepted expression of fields, or its name, into words.
func explainFields(expr string) string {
	if full, ok := descriptors[strings.ToLower(expr)]; ok {
		expr = full
	}
	texts := strings.Fields(expr)
	if len(texts) == 5 {
		texts = append([]string{"0"}, texts...)
	}
	var f [6]wordField
	for i, field := range fieldsInOrder {
		f[i] = wordFieldOf(field, texts[i])
	}
	words := explainTime(f[0], f[1], f[2])
	for _, more := range []string{explainDays(f[3], f[5]), explainMonths(f[4])} {
		if more != "" {
			words += ", " + more
		}
	}
	return capital(words)
}

// explainEvery puts "@every" into words.
func explainEvery(d time.Duration) string {
	words := spoken(d)
	if noun, one := strings.CutPrefix(words, "1 "); one && !strings.Contains(noun, " ") {
		words = noun // "every hour"
	}
	return "Every " + words + ", at whole multiples since 1970-01-01 00:00 UTC"
}

// spoken is a duration in words: "1 hour and 30 minutes".
func spoken(d time.Duration) string {
	var words []string
	for _, u := range []struct {
		size time.Duration
		noun string
	}{{time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}, {time.Millisecond, "millisecond"}} {
		if n := int(d / u.size); n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, plural(n, u.noun)))
			d %= u.size
		}
	}
	return listed(words)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
