package executor

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"carillon/jobs"
)

// retryAfter is how long the answer of a service that is overloaded (429) or away
// (503) asks to be left alone. It gives seconds, or a date, which is read on the
// service's own clock when the answer tells what time it is there.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	text := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if there, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		now = there
	}
	return max(0, until.Sub(now))
}

// retryDelay is how long to wait after that many failures: what the policy says,
// and not less than the service asked for, as far as the policy's longest wait
// allows. Both get their jitter, so that the runs which a service sent away do not
// come back together.
func retryDelay(r jobs.Retry, failures int, seed string, asked time.Duration) time.Duration {
	if r.MaxBackoff > 0 {
		asked = min(asked, r.MaxBackoff)
	}
	return max(jobs.RetryDelay(r, failures, seed), jobs.RetryDelay(jobs.Retry{Backoff: asked, Factor: 1}, failures, seed))
}
