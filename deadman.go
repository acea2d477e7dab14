package carillon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"carillon/jobs"
	"carillon/scheduler"
)

const (
	// deadmanLook is how often the loop looks, and sees a new file or a pulse that
	// is back.
	deadmanLook = time.Second

	// deadmanTimeout is for a whole ping.
	deadmanTimeout = 10 * time.Second

	// deadmanRetry is when a ping that failed is sent again, if every is longer.
	deadmanRetry = time.Minute

	// deadmanSpeak is the least time between two complaints.
	deadmanSpeak = time.Minute

	// deadmanBody is how much of an answer is read. Nobody looks at it.
	deadmanBody = 4 << 10
)

// deadman pings the heartbeat URL of the schedule while this node leads and ticks
// are really decided. It runs beside a term, which never waits for it.
type deadman struct {
	heartbeat func() jobs.Heartbeat
	pulse     func() scheduler.Pulse
	get       func(ctx context.Context, url string) error
	log       *slog.Logger

	// Of the goroutine of the term under way; terms do not overlap.
	was    jobs.Heartbeat // what due is about
	due    time.Time      // the next ping; it outlives the term
	spoken time.Time
}

func newDeadman(heartbeat func() jobs.Heartbeat, pulse func() scheduler.Pulse, log *slog.Logger) *deadman {
	return &deadman{heartbeat: heartbeat, pulse: pulse, get: ping(newPingClient()), log: log}
}

// beside runs lead and pings until it returns.
func (d *deadman) beside(ctx context.Context, lead func(context.Context) error) error {
	pinging, stop := context.WithCancel(ctx)
	var loop sync.WaitGroup
	loop.Go(func() { d.run(pinging) })
	err := lead(ctx)
	stop() // a ping under way too: it does not hold up the next leader
	loop.Wait()
	return err
}

// run pings until ctx ends.
func (d *deadman) run(ctx context.Context) {
	began := time.Now()
	for {
		h := d.heartbeat()
		d.look(ctx, h, began)
		wait := deadmanLook
		if h.URL != "" {
			wait = min(wait, h.Every)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// look pings if it is time to and ticks are decided. A ping that is withheld stays
// due. began is when this node began to lead.
func (d *deadman) look(ctx context.Context, h jobs.Heartbeat, began time.Time) {
	now := time.Now()
	if h != d.was {
		d.was, d.due = h, now
	}
	if h.URL == "" || now.Before(d.due) {
		return
	}
	if ok, why := alive(d.pulse(), h.Every, now); !ok {
		if now.Sub(later(d.due, began)) > aliveGrace {
			d.complain("heartbeat: not sent", h, why)
		}
		return
	}
	err := d.get(ctx, h.URL)
	d.due = now.Add(h.Every)
	if err != nil && ctx.Err() == nil {
		d.due = now.Add(min(h.Every, deadmanRetry))
		d.complain("heartbeat: the URL does not answer as it should", h, err.Error())
	}
}

// complain says, once a minute at most, that a ping does not go out. Of the URL it
// names the host alone: userinfo, path and query may be what lets one in.
func (d *deadman) complain(what string, h jobs.Heartbeat, why string) {
	now := time.Now()
	if !d.spoken.IsZero() && now.Sub(d.spoken) < deadmanSpeak {
		return
	}
	d.spoken = now
	host := ""
	if u, err := url.Parse(h.URL); err == nil {
		host = u.Host
	}
	d.log.Warn(what, "host", host, "why", why)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// newPingClient keeps no connections, follows nobody elsewhere and waits for
// nothing without end.
func newPingClient() *http.Client {
	return &http.Client{
		Timeout: deadmanTimeout,
		Transport: &http.Transport{
			MaxResponseHeaderBytes: deadmanBody,
			DisableKeepAlives:      true,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ping returns what sends one GET. Its errors do not hold the URL.
func ping(client *http.Client) func(context.Context, string) error {
	return func(ctx context.Context, to string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
		if err != nil {
			return withoutURL(err)
		}
		req.Header.Set("User-Agent", "carillon")
		resp, err := client.Do(req)
		if err != nil {
			return withoutURL(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, deadmanBody)) // the status has said it
		if resp.StatusCode < 200 || resp.StatusCode > 299 {
			return fmt.Errorf("it answered %d; expected 200 to 299", resp.StatusCode)
		}
		return nil
	}
}

// withoutURL is what went wrong, without the URL that url.Error repeats.
func withoutURL(err error) error {
	if bad := (*url.Error)(nil); errors.As(err, &bad) {
		return bad.Err
	}
	return err
}
