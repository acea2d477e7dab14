package executor

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func exit(code int, text string) Report { return Report{ExitCode: &code, Err: errors.New(text)} }

func TestVerdict(t *testing.T) {
	three := jobs.Retry{Attempts: 3, Backoff: time.Second, Factor: 2, MaxBackoff: time.Minute, NotOn: []int{126, 127}}
	on := three
	on.On = []int{75}
	code := 143
	late := Report{ExitCode: &code, Err: &timedOut{whose: "the job", after: time.Minute}}
	away := Report{Err: errors.New("answered 503"), RetryAfter: 30 * time.Second}
	for name, c := range map[string]struct {
		retry jobs.Retry
		claim jobs.Claim
		end   end
		want  jobs.State
		least time.Duration
		text  string
	}{
		"success":                        {want: jobs.Succeeded},
		"failure":                        {end: end{Report: exit(1, "exit status 1")}, want: jobs.Failed, text: "exit status 1"},
		"failure, to be tried again":     {retry: three, end: end{Report: exit(1, "exit status 1")}, want: jobs.Retrying, least: time.Second, text: "exit status 1"},
		"the second failure":             {retry: three, claim: jobs.Claim{Failures: 1}, end: end{Report: exit(1, "x")}, want: jobs.Retrying, least: 2 * time.Second, text: "x"},
		"the last failure":               {retry: three, claim: jobs.Claim{Failures: 2}, end: end{Report: exit(1, "x")}, want: jobs.Failed, text: "x"},
		"not executable":                 {retry: three, end: end{Report: exit(126, "x")}, want: jobs.Failed, text: "x"},
		"not found":                      {retry: three, end: end{Report: exit(127, "x")}, want: jobs.Failed, text: "x"},
		"a code to try again on":         {retry: on, end: end{Report: exit(75, "x")}, want: jobs.Retrying, least: time.Second, text: "x"},
		"a code that is not":             {retry: on, end: end{Report: exit(1, "x")}, want: jobs.Failed, text: "x"},
		"a timeout has no code":          {retry: on, end: end{Report: late}, want: jobs.Retrying, least: time.Second, text: "timed out after 1m0s: raise the timeout of the job, or find out what it waits for"},
		"a handler has no code":          {retry: on, end: end{Report: Report{Err: errors.New("x")}}, want: jobs.Retrying, least: time.Second, text: "x"},
		"the service asks for time":      {retry: three, end: end{Report: away}, want: jobs.Retrying, least: 30 * time.Second, text: "answered 503"},
		"canceled":                       {retry: three, end: end{Report: Report{Err: ErrCanceled}, canceled: true}, want: jobs.Canceled, text: "canceled"},
		"undone":                         {claim: jobs.Claim{Undoing: true}, want: jobs.RolledBack},
		"an undo is spent":               {retry: three, claim: jobs.Claim{Undoing: true}, end: end{Report: exit(1, "x"), left: []string{"a"}}, want: jobs.RollbackFailed, text: "x; left to undo by hand: a (carillon rollback tries it again)"},
		"canceled while nobody listened": {end: end{Report: Report{}, canceled: false}, want: jobs.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			c.claim.RunID, c.claim.Token, c.end.step = "j@1", "t", "s"
			r := verdict(&jobs.Job{Retry: c.retry}, c.claim, c.end)
			assert.Equal(t, c.want, r.Status)
			assert.Equal(t, c.text, r.Error)
			assert.Equal(t, c.end.ExitCode, r.ExitCode)
			assert.Equal(t, "s", r.FailedStep)
			assert.GreaterOrEqual(t, r.RetryIn, c.least)
			assert.LessOrEqual(t, r.RetryIn, c.least+c.least/5)
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		code        int
		after, date string
		want        time.Duration
	}{
		{429, "120", "", 2 * time.Minute},
		{503, " 7 ", "", 7 * time.Second},
		{500, "120", "", 0},
		{200, "120", "", 0},
		{503, "", "", 0},
		{503, "soon", "", 0},
		{503, "-5", "", 0},
		{503, "1.5", "", 0},
		{503, "99999999999999999999", "", 0},
		{503, "Sun, 22 Nov 2026 02:01:00 GMT", "", time.Minute},
		{503, "Sun, 22 Nov 2026 01:59:00 GMT", "", 0},
		{503, "Sun, 22 Nov 2026 05:01:00 GMT", "Sun, 22 Nov 2026 05:00:00 GMT", time.Minute},
		{503, "Sun, 22 Nov 2026 02:01:00 GMT", "yesterday", time.Minute},
	} {
		resp := &http.Response{StatusCode: c.code, Header: http.Header{"Retry-After": {c.after}, "Date": {c.date}}}
		assert.Equal(t, c.want, retryAfter(resp, now), "%+v", c)
	}
}

func TestRetryDelayHonoursWhatTheServiceAsksFor(t *testing.T) {
	r := jobs.Retry{Backoff: 10 * time.Second, Factor: 2, MaxBackoff: 10 * time.Minute}
	for _, c := range []struct{ asked, least time.Duration }{
		{0, 10 * time.Second},
		{time.Second, 10 * time.Second},
		{time.Minute, time.Minute},
		{24 * time.Hour, 10 * time.Minute},
	} {
		got := retryDelay(r, 1, "j@1", c.asked)
		assert.GreaterOrEqual(t, got, c.least)
		assert.LessOrEqual(t, got, c.least+c.least/5)
	}
	assert.GreaterOrEqual(t, retryDelay(jobs.Retry{Attempts: 2}, 1, "j@1", time.Hour), time.Hour)
}

func TestHTTPReportsWhenToComeBack(t *testing.T) {
	a := newActions(t, 0)
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "42")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	report := a.Run(t.Context(), new(request(jobs.HTTPRequest{URL: url})), &buffer{})
	require.Error(t, report.Err)
	require.Equal(t, 42*time.Second, report.RetryAfter)
}

// Two steps that call one service are no repetition of each other; two tries of
// one step are.
func TestIdempotencyKeys(t *testing.T) {
	seen := map[string]string{}
	for _, p := range []Part{{Step: jobs.SoleStep}, {Step: jobs.SoleStep, Undo: true}, {Step: "a"}, {Step: "a", Undo: true}, {Step: "b"}} {
		key := Attempt{Claim: jobs.Claim{RunID: "j@1", Attempt: 3}, Part: p}.idempotencyKey()
		assert.Empty(t, seen[key], key)
		seen[key] = fmt.Sprint(p)
	}
	assert.Contains(t, seen, "j@1", "a job of one action has the run's own id")
}
