package executor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	connectPatience = 5 * time.Second
	bodyKept        = 64 << 10 // of an answer, to the output
	bodyRead        = 1 << 20  // of an answer, at all
)

// newHTTPClient makes the client of http actions. It goes straight to the
// address of the job's URL: a proxy or a redirect would lead past refuseAddress.
// Connections are not kept: jobs are rare, and a kept connection that turns out
// dead would make net/http send a request twice by itself.
func newHTTPClient() *http.Client {
	dialer := &net.Dialer{Timeout: connectPatience, ControlContext: refuseAddress}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    connectPatience,
			MaxResponseHeaderBytes: bodyKept,
			DisableKeepAlives:      true,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// runHTTP sends one request. The answer's body becomes the output.
func (a *Actions) runHTTP(ctx context.Context, at *Attempt, out io.Writer) Report {
	a.client.Do(func() { a.http = newHTTPClient() })
	req, err := newRequest(ctx, *at)
	if err != nil {
		return Report{Err: err}
	}
	resp, err := a.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return Report{Err: fmt.Errorf("%s: no answer: %w", nameOf(req), cutShort(ctx))}
		}
		return Report{Err: fmt.Errorf("%s: %w", nameOf(req), plainHTTP(req, err))}
	}
	defer resp.Body.Close()
	read, err := keepBody(resp.Body, out)
	if err := judge(at.Part.Action.HTTP.Expect, resp); err != nil {
		return Report{RetryAfter: retryAfter(resp, time.Now()), Err: fmt.Errorf("%s: %w", nameOf(req), err)}
	}
	switch {
	case err == nil:
		return Report{}
	case ctx.Err() != nil:
		return Report{Err: fmt.Errorf("%s: answer %d incomplete after %d bytes: %w", nameOf(req), resp.StatusCode, read, cutShort(ctx))}
	default:
		return Report{Err: fmt.Errorf("%s: answer %d broke off after %d bytes: look at the service's log: %w", nameOf(req), resp.StatusCode, read, err)}
	}
}

// newRequest is the request of a part. Every try of it in a run carries the same
// Idempotency-Key, so that the other side can tell a repetition.
func newRequest(ctx context.Context, at Attempt) (*http.Request, error) {
	r := at.Part.Action.HTTP
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if r.Body != "" {
		body = strings.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.URL, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w: mend the job's http", err)
	}
	req.Header.Set("User-Agent", "carillon")
	for name, value := range r.Headers {
		if strings.EqualFold(name, "Host") {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	req.Header.Set("Idempotency-Key", at.idempotencyKey())
	req.Header.Set("Carillon-Run-Id", at.Claim.RunID)
	req.Header.Set("Carillon-Attempt", strconv.Itoa(at.Claim.Attempt))
	return req, nil
}

// nameOf names a request without what may be secret in its URL: the password
// and the query.
func nameOf(req *http.Request) string {
	return req.Method + " " + req.URL.Scheme + "://" + req.URL.Host + req.URL.EscapedPath()
}

// keepBody brings the start of a body to out and reads a bounded amount more,
// so that the other side can finish what it says.
func keepBody(body io.Reader, out io.Writer) (read int64, err error) {
	read, err = io.Copy(out, io.LimitReader(body, bodyKept))
	if err != nil || read < bodyKept {
		return read, err
	}
	more, err := io.Copy(io.Discard, io.LimitReader(body, bodyRead-bodyKept))
	if more > 0 {
		if c, ok := out.(interface{ Cut() error }); ok {
			if err := c.Cut(); err != nil {
				return read + more, err
			}
		}
		fmt.Fprintf(out, "\ncarillon: of a longer answer the first %d KiB are kept\n", bodyKept>>10)
	}
	return read + more, err
}

// judge says what is wrong with the status of an answer, if anything is.
func judge(expect []int, resp *http.Response) error {
	code := resp.StatusCode
	if slices.Contains(expect, code) || len(expect) == 0 && code/100 == 2 {
		return nil
	}
	wanted := "a 2xx status"
	if len(expect) > 0 {
		wanted = strings.Trim(strings.Join(strings.Fields(fmt.Sprint(expect)), " or "), "[]")
	}
	switch {
	case code/100 == 3 && resp.Header.Get("Location") != "":
		return fmt.Errorf("answered %s to %s: redirects are not followed; name the final address in the job's url", resp.Status, resp.Header.Get("Location"))
	case code/100 == 2:
		return fmt.Errorf("answered %s, expected %s: mend the service, or the job's expect", resp.Status, wanted)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fmt.Errorf("answered %s, expected %s: check the credentials in the job's headers", resp.Status, wanted)
	case code == http.StatusNotFound:
		return fmt.Errorf("answered %s, expected %s: check the path in the job's url", resp.Status, wanted)
	default:
		return fmt.Errorf("answered %s, expected %s: its body is in the run's output", resp.Status, wanted)
	}
}
