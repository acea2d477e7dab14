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
		return explainEvery(time.Duration(s.every)*time.Second, time.Duration(s.offset)*time.Second)
	}
	f := s.wordFields()
	words := explainTime(f[0], f[1], f[2])
	var chosen []string
	for _, more := range []string{explainDays(f[3], f[5]), explainMonths(f[4])} {
		if more != "" {
			words += ", " + more
		}
	}
	for _, field := range f {
		if field.hashed {
			chosen = append(chosen, "the "+field.field.name)
		}
	}
	if chosen != nil {
		words += ", with " + joined(chosen, "and") + " chosen by the job's name"
	}
	return capital(words)
}

// wordFields are the six fields of an expression that is not "@every".
func (s *Spec) wordFields() (f [6]wordField) {
	texts := strings.Fields(s.expr)
	if full, ok := descriptors[strings.ToLower(s.expr)]; ok {
		texts = strings.Fields(full)
	}
	if len(texts) == 5 {
		texts = append([]string{"0"}, texts...)
	}
	sets := [6]uint64{s.cal.second, s.cal.minute, uint64(s.cal.hour), uint64(s.cal.dom), uint64(s.cal.month), uint64(s.cal.dow)}
	for i, field := range fieldsInOrder {
		f[i] = wordFieldOf(field, texts[i], sets[i])
	}
	return f
}

// explainEvery puts "@every" into words.
func explainEvery(every, offset time.Duration) string {
	words := spoken(every)
	if noun, one := strings.CutPrefix(words, "1 "); one && !strings.Contains(noun, " ") {
		words = noun // "every hour"
	}
	place := "at"
	if offset > 0 {
		place = spoken(offset) + " after"
	}
	return "Every " + words + ", " + place + " whole multiples since 1970-01-01 00:00 UTC"
}

// spoken is a duration in words: "1 hour and 30 minutes".
func spoken(d time.Duration) string {
	if d < 2*time.Minute && d%time.Minute > 0 && d%time.Second == 0 {
		return fmt.Sprintf("%d %s", d/time.Second, plural(int(d/time.Second), "second"))
	}
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
