package main

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"carillon/jobs"
)

// short writes a duration for a reader: two digits of meaning, no zero tail.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + short(-d)
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d < 2*time.Minute:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	case d < 2*time.Hour:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	case d < 48*time.Hour:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	default:
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
}

// ago says how long before now t was; nothing for the zero time. The store's
// clock may be a little ahead of ours, which is no reason to speak of the future.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := max(0, now.Sub(t))
	if d < 10*time.Second {
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	}
	return short(d) + " ago"
}

// moment writes a time to the second in UTC; nothing for the zero time.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// took is how long a run's last attempt has been running, or ran.
func took(r jobs.Run, now time.Time) string {
	switch {
	case r.StartedAt.IsZero():
		return ""
	case !r.FinishedAt.IsZero():
		return short(max(0, r.FinishedAt.Sub(r.StartedAt)))
	case r.Status == jobs.Running || r.Status == jobs.RollingBack:
		return short(max(0, now.Sub(r.StartedAt)))
	default:
		return ""
	}
}

func stateColour(s jobs.State) colour {
	switch s {
	case jobs.Succeeded:
		return green
	case jobs.Failed, jobs.RollbackFailed:
		return red
	case jobs.Retrying, jobs.RollingBack, jobs.RolledBack, jobs.Canceled:
		return yellow
	case jobs.Running:
		return cyan
	default:
		return plain
	}
}

// stateWords is a status inside a sentence: "rolled back".
func stateWords(s jobs.State) string { return strings.ReplaceAll(string(s), "_", " ") }

// stepNames lists steps by name; a job without steps has one that nobody named.
func stepNames(names []string) string {
	if len(names) == 1 && names[0] == jobs.SoleStep {
		return "the job's own action"
	}
	return strings.Join(names, ", ")
}

// pauseWords says when a pause began, by whom and why.
func pauseWords(p jobs.Pause) string {
	words := "since " + moment(p.Since)
	if p.By != "" {
		words += " by " + p.By
	}
	if p.Note != "" {
		words += ": " + p.Note
	}
	return words
}

// labelWords are a node's pool and labels as a job asks for them.
func labelWords(pool string, labels map[string]string) string {
	var words []string
	for k, v := range labels {
		words = append(words, k+"="+v)
	}
	slices.Sort(words)
	if pool != "" {
		words = append([]string{"pool=" + pool}, words...)
	}
	return strings.Join(words, ",")
}

// count writes "1 job", "2 jobs".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// whoami is user@host, for the record of who triggered a run.
func whoami(getenv func(string) string, hostname func() (string, error)) string {
	name := getenv("USER")
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	host, err := hostname()
	if err != nil {
		host = "unknown"
	}
	if name == "" {
		name = "unknown"
	}
	return name + "@" + host
}
