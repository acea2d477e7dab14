package jobs

import (
	"errors"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

var httpShape = shape[HTTPRequest]{
	what: "http",
	fields: []field[HTTPRequest]{
		{"method", readMethod},
		{"url", readURL},
		{"headers", readHeaders},
		{"body", func(d *decoder, e entry, r *HTTPRequest) { r.Body, _ = d.text(e, "a text") }},
		{"expect", readExpect},
	},
}

func readHTTP(d *decoder, e entry, a *Action) {
	r := &HTTPRequest{Method: "GET"}
	a.Kind, a.HTTP = ActionHTTP, r
	const expected = `{url: "https://host/path"}`
	keys, ok := object(d, e, httpShape.under(e), expected, r)
	if !ok {
		return
	}
	if !keys.has("url") {
		d.problem(e.at, "%s has no url; expected %s", e.path(), expected)
	}
	if body, ok := keys.get("body"); ok && !keys.has("method") {
		d.problem(body.at, "%s is given, but the method is GET when none is named; say which, such as method: POST", body.path())
	}
}

var httpMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

func readMethod(d *decoder, e entry, r *HTTPRequest) {
	s, ok := d.word(e, strings.Join(httpMethods, ", "))
	if !ok {
		return
	}
	method := strings.ToUpper(s)
	if !slices.Contains(httpMethods, method) {
		d.problem(d.resolve(e.value), "%s is %s; expected one of %s%s", e.path(), quoted(s), strings.Join(httpMethods, ", "), didYouMean(s, httpMethods))
		return
	}
	r.Method = method
}

func readURL(d *decoder, e entry, r *HTTPRequest) { r.URL, _ = d.httpURL(e) }

// httpURL reads an http or https URL. It may hold a password, so no message
// repeats it.
func (d *decoder) httpURL(e entry) (string, bool) {
	s, ok := d.word(e, `a URL such as "https://host/path"`)
	if !ok {
		return "", false
	}
	at := d.resolve(e.value)
	u, err := url.Parse(s)
	switch {
	case err != nil:
		// The message of url.Error repeats the URL.
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		d.problem(at, `%s is not a URL: %v; expected one such as "https://host/path"`, e.path(), err)
	case u.Scheme != "http" && u.Scheme != "https":
		d.problem(at, `%s does not begin with http:// or https://; expected a URL such as "https://host/path"`, e.path())
	case u.Hostname() == "":
		d.problem(at, `%s names no host; expected a URL such as "https://host/path"`, e.path())
	default:
		return s, true
	}
	return "", false
}

// ownHeaders are set by the transport; a file that sets them breaks requests.
var ownHeaders = []string{"Connection", "Content-Length", "Host", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

func readHeaders(d *decoder, e entry, r *HTTPRequest) {
	entries, ok := d.mapping(e, e.path()+".", "headers, such as {Accept: application/json}")
	if !ok {
		return
	}
	r.Headers = make(map[string]string, len(entries))
	for _, h := range entries {
		name := textproto.CanonicalMIMEHeaderKey(h.key)
		if i := strings.IndexFunc(h.key, notToken); i >= 0 || h.key == "" {
			d.problem(h.at, "%s is no name of a header; expected letters, digits and \"-\"", quoted(h.key))
			continue
		}
		if slices.Contains(ownHeaders, name) {
			d.problem(h.at, "the header %s is set by carillon; leave it out", name)
			continue
		}
		if _, twice := r.Headers[name]; twice {
			d.problem(h.at, "the header %s is given twice; upper and lower case are the same header", name)
			continue
		}
		value, ok := d.text(h, "a text")
		if !ok {
			continue
		}
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			d.problem(d.resolve(h.value), "%s has a line break or another control character; a header is one line", h.path())
			continue
		}
		r.Headers[name] = value
	}
}

// notToken reports a character that RFC 9110 does not allow in a header's name.
func notToken(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
}

// readExpect reads the statuses that count as success: one, or a list.
func readExpect(d *decoder, e entry, r *HTTPRequest) {
	items := []entry{e}
	if n := d.resolve(e.value); n.Kind != yaml.ScalarNode || isNull(n) {
		list, ok := d.list(e, "statuses such as [200, 204]")
		if !ok {
			return
		}
		if len(list) == 0 {
			d.problem(e.value, "%s is an empty list; expected statuses such as [200, 204] (leave it out for any 2xx)", e.path())
		}
		items = list
	}
	for _, item := range items {
		if status, ok := d.integer(item, 200, 599); ok {
			r.Expect = append(r.Expect, status)
		}
	}
	slices.Sort(r.Expect)
	r.Expect = slices.Compact(r.Expect)
}
