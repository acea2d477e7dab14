package executor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
)

// errRefusedAddress is wrapped by the error of a request to an address that no
// job may reach.
var errRefusedAddress = errors.New("carillon does not send requests there")

// metadata are the addresses, beside the link-local ones, where clouds hand out
// a machine's credentials.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("100.100.100.200"),
}

// refuseAddress keeps requests from addresses of the machine's own innards. It
// runs after the name was resolved, so that no name leads there either. Private
// and loopback addresses are what jobs usually talk to; they are allowed.
func refuseAddress(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	if why := refusedFor(ap.Addr()); why != "" {
		return fmt.Errorf("%w: %s is %s address", errRefusedAddress, ap.Addr(), why)
	}
	return nil
}

// refusedFor says what kind of forbidden address ip is, or nothing.
func refusedFor(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	switch {
	case ip.IsUnspecified():
		return "an unspecified"
	case ip.IsLinkLocalUnicast():
		return "a link-local"
	case ip.IsMulticast():
		return "a multicast"
	}
	for _, m := range metadata {
		if ip == m {
			return "a cloud metadata"
		}
	}
	return ""
}

// plainHTTP turns the error of a request into a sentence that says what to do.
// It never contains the URL, which may hold a secret.
func plainHTTP(req *http.Request, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, errRefusedAddress) {
		return fmt.Errorf("%w: mend the job's url, or the name it contains", innermost(err))
	}
	host := req.URL.Host
	var dns *net.DNSError
	var network net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("host %q does not resolve: check the job's url, and the DNS of this node", dns.Name)
	case errors.As(err, &dns):
		return fmt.Errorf("host %q could not be resolved: the DNS of this node does not answer (%s)", dns.Name, dns.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s refused the connection: is the service running, and is the port right?", host)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Errorf("%s cannot be reached from this node: check its network and firewall", host)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s closed the connection without an answer: look at the service's log", host)
	}
	if text := plainTLS(err); text != "" {
		return errors.New(text)
	}
	if errors.As(err, &network) && network.Timeout() {
		return fmt.Errorf("%s did not let us connect within %s: check its network and firewall", host, connectPatience)
	}
	return innermost(err)
}

// plainTLS explains why no encrypted connection came about, or is empty.
func plainTLS(err error) string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	switch {
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS on this port: write http:// in the job's url, or mend the port"
	case errors.As(err, &authority):
		return "its certificate is signed by nobody this node trusts: install the authority's certificate on this node"
	case errors.As(err, &name):
		return fmt.Sprintf("its certificate is for another name (%s): mend the host in the job's url", name.Error())
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired or is not valid yet: renew it, and check this node's clock"
	case errors.As(err, &verify):
		return fmt.Sprintf("its certificate is not accepted: %s", verify.Err)
	case errors.As(err, &alert):
		return fmt.Sprintf("it refused the TLS connection: %s", alert.Error())
	}
	return ""
}

// innermost is the error under the layers that name addresses and calls.
func innermost(err error) error {
	var op *net.OpError
	for errors.As(err, &op) {
		err = op.Err
	}
	return err
}
