package executor

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func request(r jobs.HTTPRequest) Attempt {
	return attemptOf(jobs.Action{Kind: jobs.ActionHTTP, HTTP: &r})
}

// serve answers with handler until the test ends.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func TestHTTPSendsWhatTheJobSays(t *testing.T) {
	a := newActions(t, 0)
	var got *http.Request
	var body []byte
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		fmt.Fprint(w, "done\n")
	})
	at := request(jobs.HTTPRequest{Method: "POST", URL: url + "/restart?x=1", Body: `{"a":1}`,
		Headers: map[string]string{"Content-Type": "application/json", "Host": "deploy.internal", "Idempotency-Key": "forged"}})
	at.Claim.Attempt = 3
	out := &buffer{}
	report := a.Run(t.Context(), &at, out)
	require.NoError(t, report.Err)
	assert.Nil(t, report.ExitCode)
	assert.Equal(t, "done\n", out.String())
	assert.Equal(t, "POST /restart?x=1", got.Method+" "+got.URL.String())
	assert.Equal(t, `{"a":1}`, string(body))
	assert.Equal(t, "deploy.internal", got.Host)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Idempotency-Key": at.Claim.RunID, "Carillon-Run-Id": at.Claim.RunID,
		"Carillon-Attempt": "3", "User-Agent": "carillon",
	} {
		assert.Equal(t, value, got.Header.Get(name), name)
	}
}

func TestHTTPJudgesTheStatus(t *testing.T) {
	a := newActions(t, 0)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var code int
		fmt.Sscan(r.URL.Path[1:], &code)
		if code/100 == 3 {
			w.Header().Set("Location", "/200")
		}
		w.WriteHeader(code)
		if code == 500 {
			fmt.Fprint(w, "database is locked")
		}
	})
	for _, c := range []struct {
		code   int
		expect []int
		text   string
	}{
		{200, nil, ""},
		{204, nil, ""},
		{409, []int{200, 409}, ""},
		{302, []int{302}, ""},
		{302, nil, "answered 302 Found to /200: redirects are not followed; name the final address in the job's url"},
		{201, []int{200}, "answered 201 Created, expected 200: mend the service, or the job's expect"},
		{500, nil, "answered 500 Internal Server Error, expected a 2xx status: its body is in the run's output"},
		{500, []int{200, 202}, "expected 200 or 202"},
		{401, nil, "check the credentials"},
		{404, nil, "check the path"},
	} {
		out := &buffer{}
		report := a.Run(t.Context(), new(request(jobs.HTTPRequest{URL: fmt.Sprintf("%s/%d?token=secret", url, c.code), Expect: c.expect})), out)
		if c.text == "" {
			assert.NoError(t, report.Err, "%+v", c)
			continue
		}
		require.ErrorContains(t, report.Err, c.text)
		require.ErrorContains(t, report.Err, fmt.Sprintf("GET %s/%d: ", url, c.code), "the query stays out of it")
		if c.code == 500 {
			assert.Equal(t, "database is locked", out.String())
		}
	}
}

func TestHTTPKeepsABoundedBody(t *testing.T) {
	a := newActions(t, 0)
	sent := make(chan int, 1)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := 0
		for block := []byte(strings.Repeat("x", 32<<10)); n < 64<<20; n += len(block) {
			if _, err := w.Write(block); err != nil {
				break
			}
		}
		sent <- n
	})
	out := &buffer{}
	report := a.Run(t.Context(), new(request(jobs.HTTPRequest{URL: url})), out)
	require.NoError(t, report.Err)
	body, note, _ := strings.Cut(out.String(), "\n")
	assert.Len(t, body, bodyKept)
	assert.Contains(t, note, "the first 64 KiB are kept")
	assert.Less(t, <-sent, 64<<20, "it is not read to its end")
}

func TestHTTPTimesOut(t *testing.T) {
	a := newActions(t, 0)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			fmt.Fprint(w, "half")
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	})
	for path, text := range map[string]string{"/": "no answer: timed out after 100ms", "/half": "answer 200 incomplete after 4 bytes: timed out after 100ms"} {
		at := request(jobs.HTTPRequest{URL: url + path})
		at.Part.Timeout = 100 * time.Millisecond
		report := a.Run(t.Context(), &at, io.Discard)
		require.ErrorIs(t, report.Err, ErrTimedOut)
		require.ErrorContains(t, report.Err, text)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(ErrDraining) })
	require.ErrorIs(t, a.Run(ctx, new(request(jobs.HTTPRequest{URL: url})), io.Discard).Err, ErrDraining)
}

func TestHTTPSaysWhatIsWrong(t *testing.T) {
	a := newActions(t, 0)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	free := l.Addr().String()
	l.Close()
	for name, c := range map[string]struct{ url, text string }{
		"name":      {"http://no-such-host.invalid/x?token=secret", "no-such-host.invalid"},
		"port":      {"http://" + free, free + " refused the connection: is the service running, and is the port right?"},
		"authority": {secure.URL, "its certificate is signed by nobody this node trusts"},
		"no TLS":    {strings.Replace(plain, "http:", "https:", 1), "it does not speak TLS on this port: write http://"},
		"hangs up":  {plain, "closed the connection without an answer"},
		"metadata":  {"http://169.254.169.254/latest/meta-data/", "carillon does not send requests there: 169.254.169.254 is a link-local address"},
		"mapped":    {"http://[::ffff:169.254.169.254]/", "is a link-local address"},
		"nowhere":   {"http://0.0.0.0:80/", "is an unspecified address"},
		"no URL":    {"http://[::1", "make the request"},
	} {
		t.Run(name, func(t *testing.T) {
			report := a.Run(t.Context(), new(request(jobs.HTTPRequest{URL: c.url})), io.Discard)
			require.ErrorContains(t, report.Err, c.text)
			assert.NotContains(t, report.Err.Error(), "secret")
		})
	}
}

func TestHTTPRefusesTheInnardsOfTheMachineOnly(t *testing.T) {
	for ip, refused := range map[string]bool{
		"127.0.0.1": false, "::1": false, "10.0.0.5": false, "192.168.1.1": false, "fd12::1": false, "100.64.0.1": false, "8.8.8.8": false,
		"169.254.0.1": true, "169.254.169.254": true, "::ffff:169.254.169.254": true, "fe80::1": true, "fe80::1%eth0": true,
		"0.0.0.0": true, "::": true, "224.0.0.1": true, "ff02::1": true, "fd00:ec2::254": true, "100.100.100.200": true,
	} {
		assert.Equal(t, refused, refusedFor(netip.MustParseAddr(ip)) != "", ip)
	}
}
